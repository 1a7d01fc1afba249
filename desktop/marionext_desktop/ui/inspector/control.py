"""What keeps the inspector's first page and the document together."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from fractions import Fraction

import numpy as np
from PySide6.QtCore import QObject, QTimer

from marionext.edits import SetPoints
from marionext.frames import FrameRange
from marionext.pose import Origin
from marionext.pose.smoothing import savitzky_golay
from marionext.skeleton import LIMB_GROUPS, POINT_NAMES
from marionext_desktop.model import editing, posing
from marionext_desktop.model.document import Document
from marionext_desktop.model.edit_stack import Keypoints
from marionext_desktop.model.poses import placement
from marionext_desktop.model.posing import marks
from marionext_desktop.model.project import Clip, Project
from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.inspector.plots import Curves
from marionext_desktop.ui.inspector.selection import ClipFacts, JointFacts, SelectionPage, State
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Showing
from marionext_desktop.ui.timeline.rows import point_title, row_title, side_of

__all__ = ["InspectorControl", "Target", "target_of"]


class Target:
    """What an edit of poses is about: a clip, a person, frames of the source, joints."""

    def __init__(self, clip: Clip, person: int, span: FrameRange, frame: int) -> None:
        self.clip, self.person, self.span, self.frame = clip, person, span, frame


def target_of(session: Session, showing: Showing, *, here: bool = False) -> Target | None:
    """Return what an edit is about now; None: there is no pose at the playhead.

    Args:
        session: with the document.
        showing: with the playhead.
        here: this frame alone; else the range between in and out, as far as the clip reaches.
    """
    project = session.project
    clip = project.clip_at(showing.frame)
    if clip is None:
        return None
    frame = project.source_frame(clip, showing.frame)
    span = FrameRange(frame, frame + 1)
    if not here:
        marked = (
            project.span if project.mark_in is not None or project.mark_out is not None else None
        )
        found = editing.source_span(project, clip, marked)
        if found is None:
            return None
        span = found
    person = showing.person if clip.person is None else clip.person
    return Target(clip, person, span, frame)


class InspectorControl(QObject):
    """Fills the page, and carries out what is entered there."""

    def __init__(
        self, page: SelectionPage, session: Session, showing: Showing, actions: Actions
    ) -> None:
        super().__init__(page)
        self.page = page
        self._session, self._showing = session, showing
        self._actions = actions
        self._gesture: tuple[Hashable, Project, Project] | None = None
        """What is being changed again and again, the project before, and as it is."""
        self._preview_window: int | None = None
        self._later = QTimer(self, singleShot=True, interval=30)
        self._later.timeout.connect(self._show)
        self._curve_later = QTimer(self, singleShot=True, interval=120)
        self._curve_later.timeout.connect(self._show_curve)
        session.document.changed.connect(lambda _old, _new: self.refresh())
        session.poses.changed.connect(lambda _name, _span: self.refresh())
        showing.frame_changed.connect(self._frame_changed)
        for signal in (showing.joints_changed, showing.clips_changed, showing.person_changed):
            signal.connect(self.refresh)
        page.place_entered.connect(self._place)
        page.score_entered.connect(self._score)
        page.state_chosen.connect(self._state)
        page.smooth_wanted.connect(self._smooth)
        page.fill_wanted.connect(self._fill)
        page.transform_wanted.connect(self._transform)
        page.transform_finished.connect(self._transform_finished)
        page.fit_chosen.connect(self._fit)
        page.speed_entered.connect(self._speed)
        page.person_entered.connect(self._person)
        page.volume_entered.connect(self._volume)
        page.curve.sought.connect(showing.go_to)
        session.retargeting.changed.connect(self.refresh)
        self.refresh()

    @property
    def _document(self) -> Document:
        return self._session.document

    # ---------------------------------------------------------------- what is shown

    def refresh(self) -> None:
        """Show everything anew, soon."""
        self._later.start()
        self._curve_later.start()

    def _frame_changed(self, frame: int) -> None:
        self.page.curve.show_frame(frame)
        self._later.start()

    def _show(self) -> None:
        self.page.show_joint(self._joint_facts())
        self.page.show_clip(self._clip_facts())
        project = self._session.project
        names = {each.id: each.name for each in project.characters}
        first = next(iter(names.values()), "")
        lines = self._session.retargeting.now.proportions
        self.page.show_fit(
            project.render.fit,
            names.get(project.render.character or "", first),
            tuple((say(each.limb), each.ratio) for each in lines),
        )

    def _keypoints(self) -> tuple[Target, Keypoints] | None:
        target = target_of(self._session, self._showing, here=True)
        found = None if target is None else self._session.poses.keypoints(target.clip)
        if target is None or found is None or target.person >= found.people:
            return None
        target.frame = min(target.frame, len(found) - 1)
        return target, found

    def _joint_facts(self) -> JointFacts | None:
        chosen = sorted(self._showing.joints)
        if not chosen:
            return None
        title = chosen_title(self._showing)
        known = self._keypoints()
        if known is None:
            return JointFacts(title=title)
        target, found = known
        scores = found.scores[target.frame, target.person, chosen]
        if len(chosen) > 1:
            return JointFacts(
                title=title, score=float(scores.mean()), state=self._state_of(target, chosen)
            )
        where = placement(found.size, self._session.project.size)
        place = where.to_canvas(found.points[target.frame, target.person, chosen[0]])
        origin = Origin(int(found.origins[target.frame, target.person, chosen[0]]))
        words = {
            Origin.DETECTED: say("As found by the detector."),
            Origin.FILLED: say("Filled in from the frames around it."),
            Origin.BY_HAND: say("Placed by hand."),
        }
        return JointFacts(
            title=title,
            single=True,
            x=float(place[0]),
            y=float(place[1]),
            score=float(scores[0]),
            state=self._state_of(target, chosen),
            origin=words[origin] if scores[0] > 0 else say("Not seen in this frame."),
        )

    def _state_of(self, target: Target, chosen: list[int]) -> State:
        source = self._session.project.source(target.clip.source)
        state: State = ""
        states: dict[str, State] = {"key": "key", "hold": "hold", "hide": "missing"}
        wanted = set(chosen)
        for mark in marks(target.clip, source.frames):
            if (
                mark.person == target.person
                and target.frame in mark.frames
                and mark.points & wanted
            ):
                state = states.get(mark.kind, state)
        return state

    def _clip_facts(self) -> ClipFacts | None:
        project, chosen = self._session.project, self._showing.clips
        if len(chosen) != 1:
            return None
        clip = next((each for each in project.clips if each.id in chosen), None)
        if clip is None:
            return None
        source = project.source(clip.source)
        track = self._session.poses.captured_track(source) if source.has_poses else None
        first, last = project.source_frame(clip, clip.at), project.source_frame(clip, clip.stop - 1)
        lines = [
            say(
                "{count} frames, of the source {first} to {last}",
                count=clip.count,
                first=first,
                last=last,
            )
        ]
        if source.size[0]:
            lines.append(f"{source.size[0]} × {source.size[1]}  ·  {float(source.rate):.5g} fps")
        return ClipFacts(
            title=source.name,
            speed=clip.speed,
            hold=clip.hold is not None,
            people=1 if track is None else max(track.people, 1),
            person=clip.person,
            volume=clip.volume,
            sound=source.kind == "sound",
            lines=tuple(lines),
        )

    def _show_curve(self) -> None:
        """Show the height of a joint over the range, and how it would be after smoothing."""
        chosen = sorted(self._showing.joints)
        target = target_of(self._session, self._showing)
        found = None if target is None else self._session.poses.keypoints(target.clip)
        if not chosen or target is None or found is None or target.person >= found.people:
            self.page.curve.show_curves(None)
            return
        project, clip = self._session.project, target.clip
        marked = project.span or clip.span
        start, stop = max(clip.at, marked.start), min(clip.stop, marked.stop)
        if stop - start < 2:
            start, stop = clip.at, clip.stop
        number = chosen[0]
        shown = np.minimum(
            project.source_frames(clip)[start - clip.at : stop - clip.at], len(found) - 1
        )
        after = found.points[shown, target.person, number, 1].astype(np.float32)
        after[found.scores[shown, target.person, number] <= 0] = np.nan
        base = self._session.poses.captured_track(project.source(clip.source))
        before = after
        if self._preview_window is None and base is not None:
            before = base.points[shown, target.person, number, 1].astype(np.float32)
            before[base.scores[shown, target.person, number] <= 0] = np.nan
        elif self._preview_window is not None:
            after = _smoothed(after, self._preview_window)
        side = side_of(POINT_NAMES[number])
        title = say("height, {joint}", joint=point_title(number).lower())
        self.page.curve.show_curves(Curves(title, side, start, before, after))
        self.page.curve.show_frame(self._showing.frame)

    # ---------------------------------------------------------------- what is entered

    def _do(self, words: str, change: Callable[[Project], Project], merge: Hashable = None) -> None:
        self._document.do(words, change(self._session.project), merge=merge)
        if merge is None:
            self._document.end_gesture()

    def _place(self, x: float, y: float) -> None:
        known, chosen = self._keypoints(), sorted(self._showing.joints)
        if known is None or len(chosen) != 1:
            return
        target, found = known
        where = placement(found.size, self._session.project.size)
        there = {chosen[0]: where.to_source(x, y)}
        self._do(
            say("Place {joint}", joint=point_title(chosen[0]).lower()),
            lambda project: posing.drag(
                project, target.clip.id, target.person, target.frame, there, found
            ),
        )

    def _score(self, score: float) -> None:
        known, chosen = self._keypoints(), sorted(self._showing.joints)
        if known is None or not chosen:
            return
        target, found = known
        points = found.points[target.frame, target.person, chosen].tolist()
        edit = SetPoints(
            frames=FrameRange(target.frame, target.frame + 1),
            joints=tuple(POINT_NAMES[number] for number in chosen),
            person=target.person,
            points=(tuple((x, y) for x, y in points) if score > 0 else (None,) * len(chosen),),
            score=max(score, 1e-6),
        )
        key = ("score", target.frame, tuple(chosen))
        self._change(
            say("Confidence"), key, lambda base: posing.add_edits(base, target.clip.id, [edit])
        )

    def _change(self, words: str, key: Hashable, change: Callable[[Project], Project]) -> None:
        """Do something that the next change of the same kind replaces, as one step."""
        project = self._session.project
        begun = self._gesture
        goes_on = begun is not None and begun[0] == key and begun[2] is project
        base = begun[1] if goes_on and begun is not None else project
        new = change(base)
        self._document.do(words, new, merge=("inspector", key))
        self._gesture = (key, base, self._session.project)

    def _state(self, state: str) -> None:
        self._actions[{"key": "key", "hold": "hold", "missing": "hide"}[state]].trigger()
        self._later.start()

    def _smooth(self, window: int, apply: bool) -> None:
        self._preview_window = None if apply else window
        if apply:
            target = target_of(self._session, self._showing)
            if target is not None:
                joints = self._showing.joints
                self._do(
                    say("Smooth"),
                    lambda project: posing.smooth(
                        project, target.clip.id, target.person, target.span, joints, window
                    ),
                )
        self._curve_later.start(0)

    def _fill(self, longest: int) -> None:
        target = target_of(self._session, self._showing)
        found = None if target is None else self._session.poses.keypoints(target.clip)
        if target is None or found is None or target.person >= found.people:
            return
        chosen = sorted(self._showing.joints) or list(range(len(POINT_NAMES)))
        project = self._session.project
        filled = 0
        for name, points in _limbs_of(chosen).items():
            seen = found.scores[target.span.start : target.span.stop, target.person][:, points] > 0
            unseen = np.asarray(~np.all(seen, axis=1))
            edges = np.flatnonzero(np.diff(np.r_[0, unseen.astype(np.int8), 0]))
            for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
                if b - a <= longest and a > 0 and b < len(unseen):
                    span = FrameRange(target.span.start + a, target.span.start + b)
                    joints = LIMB_GROUPS[name]
                    project = posing.fill(project, target.clip.id, target.person, span, joints)
                    filled += 1
        if filled:
            self._document.do(say("Fill gaps"), project)
            self._document.end_gesture()
        else:
            self._session.told.emit(
                "warn", say("There is no gap of up to {n} frames in the range.", n=longest)
            )

    def _transform(self, x: float, y: float, factor: float, degrees: float) -> None:
        """Show a transform while it is being entered: one step, replaced with each change."""
        target = target_of(self._session, self._showing)
        found = None if target is None else self._session.poses.keypoints(target.clip)
        if target is None or found is None:
            return
        name, joints = target.clip.id, self._showing.joints
        scale = placement(found.size, self._session.project.size).scale

        def transformed(base: Project) -> Project:
            new = base
            if factor != 1 or degrees:
                pivot = "neck" if not joints or len(joints) > 30 else POINT_NAMES[min(joints)]
                new = posing.transform(
                    new, name, target.person, target.span, joints,
                    scale=(factor, factor), rotation=degrees, pivot=pivot,
                )  # fmt: skip
            if x or y:
                by = (x / scale, y / scale)
                new = posing.offset(new, name, target.person, target.span, joints, by)
            return new

        self._change(say("Move, scale, turn"), ("transform", name), transformed)

    def _transform_finished(self) -> None:
        self._gesture = None
        self._document.end_gesture()

    def _fit(self, fit: str) -> None:
        self._do(
            say("Fit"),
            lambda project: replace(project, render=replace(project.render, fit=fit)),  # type: ignore[arg-type]
        )

    def _with_clip(
        self, words: str, change: Callable[[Project, str], Project], merge: Hashable = None
    ) -> None:
        chosen = self._showing.clips
        if len(chosen) == 1:
            (name,) = chosen
            self._do(words, lambda project: change(project, name), merge)

    def _speed(self, speed: float) -> None:
        if speed:
            pace = Fraction(speed).limit_denominator(1000)
            self._with_clip(say("Speed"), lambda project, name: editing.retime(project, name, pace))

    def _person(self, person: str) -> None:
        who = int(person) if person else None
        self._with_clip(
            say("Follow person"), lambda project, name: editing.set_person(project, name, who)
        )

    def _volume(self, volume: float) -> None:
        self._with_clip(
            say("Volume"),
            lambda project, name: editing.set_volume(project, name, volume),
            merge="volume",
        )


def chosen_title(showing: Showing) -> str:
    """Return what is chosen, in words."""
    if len(showing.rows) == 1:
        (name,) = showing.rows
        return row_title(name)
    if len(showing.joints) == 1:
        (number,) = showing.joints
        return point_title(number)
    return say("{count} joints", count=len(showing.joints))


def _limbs_of(points: list[int]) -> dict[str, list[int]]:
    """Return limbs and the points of each that are among some points."""
    names = (
        "head", "face", "torso", "right_arm", "left_arm", "right_leg", "left_leg",
        "right_hand", "left_hand", "right_foot", "left_foot",
    )  # fmt: skip
    wanted = set(points)
    found = {name: sorted(wanted & set(LIMB_GROUPS[name])) for name in names}
    return {name: own for name, own in found.items() if own}


def _smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Return how values would be after smoothing, for the eye."""
    known = np.isfinite(values)
    if known.sum() < window:
        return values
    filled = np.interp(np.arange(len(values)), np.flatnonzero(known), values[known])
    points = np.stack([filled, filled], axis=-1)[:, None].astype(np.float64)
    weights, scene = np.ones((len(values), 1)), np.zeros((len(values), 1), np.int64)
    smooth = savitzky_golay(points, weights, scene, window=window)[:, 0, 0].astype(np.float32)
    smooth[~known] = np.nan
    return smooth
