"""What is chosen: where a joint is, how drags act, calming, moving, laying over a character."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from PySide6.QtCore import Signal

from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import (
    Amount,
    Button,
    Choice,
    Number,
    Scrolled,
    Section,
    Segments,
    field,
    label,
    row,
)
from marionext_desktop.ui.inspector.findings import FindingsSection
from marionext_desktop.ui.inspector.plots import CurvePlot, Proportions
from marionext_desktop.ui.showing import Options, Showing

__all__ = ["ClipFacts", "JointFacts", "SelectionPage"]

State = Literal["", "key", "hold", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointFacts:
    """What the inspector says about the joints that are chosen."""

    title: str
    single: bool = False
    """Whether it is one joint, that has a place."""
    x: float = 0.0
    y: float = 0.0
    score: float = 0.0
    state: State = ""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What the inspector says about the clip that is chosen."""

    title: str
    speed: Fraction = Fraction(1)
    hold: bool = False
    people: int = 1
    person: int | None = 0
    volume: float = 1.0
    sound: bool = False
    lines: tuple[str, ...] = ()


class SelectionPage(Scrolled):
    """The inspector's first page."""

    place_entered = Signal(float, float)
    score_entered = Signal(float)
    state_chosen = Signal(str)
    smooth_wanted = Signal(int, bool)
    """Frames of the window, and whether it is to be done, not only shown."""
    fill_wanted = Signal(int)
    """Gaps up to this many frames."""
    transform_wanted = Signal(float, float, float, float)
    """Pixels right and down, factor, degrees."""
    transform_finished = Signal()
    clean_wanted = Signal()
    fit_chosen = Signal(str)
    speed_entered = Signal(float)
    person_entered = Signal(str)
    volume_entered = Signal(float)

    def __init__(self, actions: Actions, showing: Showing) -> None:
        super().__init__()
        self._showing = showing
        self.findings = FindingsSection(actions)
        self.joint = self._joint_section(actions)
        self.smooth = self._smooth_section()
        self.gaps = self._gap_section()
        self.transform = self._transform_section(actions)
        self.retarget = self._retarget_section()
        self.clip = self._clip_section(actions)
        self.add(
            self.findings,
            self.joint,
            self.clip,
            self.smooth,
            self.gaps,
            self.transform,
            self.retarget,
        )
        showing.options_changed.connect(lambda _old, new: self._show_options(new))
        showing.space_changed.connect(self.show_space)
        self._show_options(showing.options)
        self.show_space(showing.space)
        self.show_joint(None)
        self.show_clip(None)

    # ---------------------------------------------------------------- sections

    def _joint_section(self, actions: Actions) -> Section:
        self.place_x = Number(-1e5, 1e5, decimals=1, prefix="X  ", tip=say("Pixels from the left"))
        self.place_y = Number(-1e5, 1e5, decimals=1, prefix="Y  ", tip=say("Pixels from the top"))
        for one in (self.place_x, self.place_y):
            one.entered.connect(lambda _v: self._tell_place())
        self.score = Amount(0, 1, 1, decimals=2, tip=say("How sure the place is"))
        self.score.entered.connect(self.score_entered)
        self.state = Segments(
            [("key", say("Key")), ("hold", say("Hold")), ("missing", say("Missing"))],
            tip=say("What was done by hand in this frame"),
        )
        self.state.chosen.connect(self.state_chosen)
        self.way = Segments(
            [("joint", say("Joint")), ("limb", say("Limb")), ("hand", say("Hand"))],
            tip=say("What a drag moves"),
        )
        self.way.chosen.connect(lambda key: self._showing.change(way=key))
        self.fade = Amount(0, 60, 6, suffix=say(" fr"), tip=say("Frames over which a drag fades"))
        self.fade.entered.connect(lambda value: self._showing.change(fade=int(value)))
        key = Button("diamond-plus", action=actions["key"])
        self.place_line = field(say("Position"), self.place_x, self.place_y)
        self.score_line = field(say("Confidence"), self.score)
        self.origin = label("", "faint", 11)
        return Section(
            say("Nothing chosen"),
            self.place_line,
            self.score_line,
            field(say("State"), self.state),
            field(say("Drag moves"), self.way),
            field(say("Fade"), self.fade),
            self.origin,
            extra=key,
        )

    def _tell_place(self) -> None:
        self.place_entered.emit(self.place_x.value(), self.place_y.value())

    def _smooth_section(self) -> Section:
        self.curve = CurvePlot()
        self.strength = Amount(
            5, 61, 9, suffix=say(" fr"), step=2, tip=say("Frames that a curve is laid through")
        )
        self.strength.entered.connect(lambda _v: self.smooth_wanted.emit(self.smoothing, False))
        apply = Button(
            words=say("Apply to the range"),
            kind="deep",
            pressed=lambda: self.smooth_wanted.emit(self.smoothing, True),
        )
        return Section(
            say("Smooth"), self.curve, field(say("Strength"), self.strength), row(None, apply)
        )

    @property
    def smoothing(self) -> int:
        """Frames of the smoothing, odd."""
        return int(self.strength.value) // 2 * 2 + 1

    def _gap_section(self) -> Section:
        self.longest_gap = Amount(
            1, 60, 8, suffix=say(" fr"), tip=say("Longest gap that is filled")
        )
        fill = Button(
            words=say("Fill gaps"),
            kind="soft",
            pressed=lambda: self.fill_wanted.emit(int(self.longest_gap.value)),
        )
        clean = Button(words=say("Clean up"), kind="primary", pressed=self.clean_wanted.emit)
        clean.setToolTip(say("Mend swaps, gaps, outliers and tremble in the range"))
        return Section(
            say("Fill gaps"), field(say("Longest gap"), self.longest_gap), row(fill, None, clean)
        )

    def _transform_section(self, actions: Actions) -> Section:
        self.move_x = Number(-4000, 4000, prefix="X  ", tip=say("Pixels to the right"))
        self.move_y = Number(-4000, 4000, prefix="Y  ", tip=say("Pixels down"))
        self.grow = Amount(25, 400, 100, suffix=" %", tip=say("Size"))
        self.turn = Amount(-180, 180, 0, suffix="°", tip=say("Degrees, clockwise"))
        for one in (self.move_x, self.move_y, self.grow, self.turn):
            one.entered.connect(lambda _v: self._tell_transform())
        done = Button(words=say("Apply to the range"), kind="deep", pressed=self._finish_transform)
        mirror = Button("flip-horizontal-2", kind="soft", action=actions["mirror"])
        swap = Button("arrow-left-right", kind="soft", action=actions["swap"])
        section = Section(
            say("Move, scale, turn"),
            field(say("Move"), self.move_x, self.move_y),
            field(say("Scale"), self.grow),
            field(say("Turn"), self.turn),
            row(mirror, swap, None, done),
        )
        section.open(False)
        return section

    def _tell_transform(self) -> None:
        self.transform_wanted.emit(
            self.move_x.value(), self.move_y.value(), self.grow.value / 100, self.turn.value
        )

    def _finish_transform(self) -> None:
        self._tell_transform()
        self.transform_finished.emit()
        self.reset_transform()

    def reset_transform(self) -> None:
        """Begin anew."""
        self.move_x.show_value(0)
        self.move_y.show_value(0)
        self.grow.show_value(100)
        self.turn.show_value(0)

    def _retarget_section(self) -> Section:
        self.fit = Choice(
            [
                ("limbs", say("Limb by limb")),
                ("linear", say("Moved and scaled")),
                ("inside", say("Limb by limb, kept in the picture")),
                ("none", say("As it is")),
            ],
            tip=say("How the motion is laid over the character"),
        )
        self.fit.chosen.connect(self.fit_chosen)
        self.proportions = Proportions()
        self.proportions.show_lines(())
        return Section(say("Retarget"), field(say("Fit"), self.fit), self.proportions)

    def _clip_section(self, actions: Actions) -> Section:
        self.speed = Number(-10000, 10000, decimals=1, suffix=" %", tip=say("Speed of the clip"))
        self.speed.entered.connect(lambda value: self.speed_entered.emit(value / 100))
        self.person = Choice(tip=say("Whom the clip follows"))
        self.person.chosen.connect(self.person_entered)
        self.volume = Amount(0, 200, 100, suffix=" %", tip=say("Loudness of the clip"))
        self.volume.entered.connect(lambda value: self.volume_entered.emit(value / 100))
        self.clip_words = label("", "faint", 11, wrapped=True)
        self.person_line = field(say("Follows"), self.person)
        self.volume_line = field(say("Volume"), self.volume)
        reverse = Button("rewind", action=actions["reverse"])
        return Section(
            say("Clip"),
            self.clip_words,
            field(say("Speed"), self.speed),
            self.person_line,
            self.volume_line,
            extra=reverse,
        )

    # ---------------------------------------------------------------- what is shown

    def show_space(self, space: str) -> None:
        """Show what a workspace is for."""
        clean = space == "clean"
        self.findings.setVisible(clean)
        self.gaps.setVisible(clean)
        self.retarget.setVisible(not clean)

    def show_joint(self, facts: JointFacts | None) -> None:
        """Say something about the joints that are chosen; None: there are none."""
        self.joint.title.setText(say("Nothing chosen") if facts is None else facts.title)
        single = facts is not None and facts.single
        self.place_line.setEnabled(single)
        self.score_line.setEnabled(facts is not None)
        self.state.setEnabled(facts is not None)
        self.transform.setEnabled(True)
        if facts is None:
            self.origin.setText(say("Click a joint in the viewer or a row of the timeline."))
            return
        if not self.place_x.hasFocus():
            self.place_x.show_value(facts.x)
        if not self.place_y.hasFocus():
            self.place_y.show_value(facts.y)
        self.score.show_value(facts.score)
        if facts.state:
            self.state.choose(facts.state)
        else:
            self.state.show_none()
        self.origin.setText(facts.origin)

    def show_clip(self, facts: ClipFacts | None) -> None:
        """Say something about the clip that is chosen; None: there is none."""
        self.clip.setVisible(facts is not None)
        if facts is None:
            return
        self.clip.title.setText(facts.title)
        self.clip_words.setText("\n".join(facts.lines))
        self.clip_words.setVisible(bool(facts.lines))
        if not self.speed.hasFocus():
            self.speed.show_value(float(facts.speed) * 100)
        self.speed.setEnabled(not facts.hold)
        people = [(str(n), say("Person {n}", n=n + 1)) for n in range(facts.people)]
        self.person.offer([*people, ("", say("Everybody"))])
        self.person.choose("" if facts.person is None else str(facts.person))
        self.person_line.setVisible(not facts.sound)
        self.volume.show_value(facts.volume * 100)

    def show_fit(self, fit: str, character: str, lines: tuple[tuple[str, float], ...]) -> None:
        """Say how the motion is laid over a character."""
        self.fit.choose(fit)
        self.retarget.title.setText(
            say("Retarget to {name}", name=character) if character else say("Retarget")
        )
        self.proportions.show_lines(lines)

    def _show_options(self, options: Options) -> None:
        self.way.choose(options.way)
        self.fade.show_value(options.fade)
