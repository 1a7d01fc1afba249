"""What looks wrong: badges on the timeline, the list, the keys that go through it."""

from dataclasses import replace
from functools import lru_cache

from PySide6.QtCore import QObject, QTimer

from marionext.frames import FrameRange
from marionext_desktop.model import findings as looking_for
from marionext_desktop.model import posing
from marionext_desktop.model.findings import Finding
from marionext_desktop.model.limbs import limb_of
from marionext_desktop.model.looking import Findings, mended
from marionext_desktop.model.project import Clip, Project
from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.inspector.control import target_of
from marionext_desktop.ui.inspector.findings import FindingLine
from marionext_desktop.ui.inspector.selection import SelectionPage
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Showing
from marionext_desktop.ui.timeline.contents import Badge
from marionext_desktop.ui.timeline.control import TimelineControl
from marionext_desktop.ui.viewer.panel import ViewerPanel

__all__ = ["FindingsControl"]

_ICONS = {
    "swap": "arrow-left-right",
    "gap": "circle-dashed",
    "outlier": "zap",
    "tremble": "activity",
    "length": "ruler",
    "hand": "hand",
    "outside": "frame",
    "cut": "scissors",
}
_SERIOUS = {"swap", "length", "hand"}
_FEET = {"right_foot": "feet", "left_foot": "feet"}


class FindingsControl(QObject):
    """Shows findings, goes to them, mends and ignores them."""

    def __init__(
        self,
        findings: Findings,
        session: Session,
        showing: Showing,
        actions: Actions,
        page: SelectionPage,
        timeline: TimelineControl,
        viewer: ViewerPanel,
    ) -> None:
        super().__init__(page)
        self.findings = findings
        self._session, self._showing, self._actions = session, showing, actions
        self._page, self._timeline, self._viewer = page, timeline, viewer
        self._shown: dict[str, tuple[Clip, Finding]] = {}
        """What is found in all clips, by key, in the order of the timeline."""
        self._read: object = None
        """What the findings were made of that are shown."""
        self._later = QTimer(self, singleShot=True, interval=30)
        self._later.timeout.connect(self._show)
        findings.changed.connect(lambda _clip: self.refresh())
        findings.busy_changed.connect(lambda _busy: self.refresh())
        session.document.changed.connect(lambda _old, _new: self.refresh())
        showing.finding_changed.connect(self._light)
        showing.space_changed.connect(lambda _space: self._light())
        page.findings.chosen.connect(self.look_at)
        page.findings.mended.connect(lambda key: self.mend([key]))
        page.clean_wanted.connect(self.clean_up)
        timeline.sheet.badge_chosen.connect(self.look_at)
        viewer.toast.accepted.connect(self.mend_chosen)
        viewer.toast.dismissed.connect(self.ignore_chosen)
        actions.on("next_finding", lambda: self.step(1))
        actions.on("previous_finding", lambda: self.step(-1))
        actions.on("mend", self.mend_chosen)
        actions.on("mend_all", self.mend_all)
        actions.on("ignore", self.ignore_chosen)
        self.refresh()

    def refresh(self) -> None:
        """Show everything anew, soon."""
        self._later.start()

    def _show(self) -> None:
        project = self._session.project
        for clip in project.lane("motion"):
            self.findings.watch(clip.id)
        each_clip = [(clip, self.findings.of(clip)) for clip in project.lane("motion")]
        read = (
            project.rate,
            self.findings.busy,
            [(replace(clip, edits=()), findings) for clip, findings in each_clip],
        )
        if read == self._read:
            # An edit is told before what is wrong with it is known: all as it was.
            self._light()
            return
        self._read = read
        found: list[tuple[int, int, str, Clip, Finding]] = []
        for clip, findings in each_clip:
            for finding in findings:
                # Minor ones, of which there are many, are not shown: their order is enough.
                shown = not finding.minor
                span = self._span(project, clip, finding) if shown else finding.frames
                if span is not None:
                    key = f"{clip.id}:{finding.key(clip.source)}"
                    found.append((span.start, span.stop, key, clip, finding))
        found.sort(key=lambda each: each[:2])
        self._shown = {key: (clip, finding) for _, _, key, clip, finding in found}
        self._timeline.badges = tuple(
            Badge(
                key,
                _rows(finding.points),
                start,
                stop,
                _ICONS[finding.kind],
                f"{looking_for.title(finding)}  ·  {start}–{stop - 1}",
                serious=finding.kind in _SERIOUS,
            )
            for start, stop, key, _, finding in found
            if not finding.minor
        )
        self._timeline.show_contents()
        major = [each for each in found if not each[4].minor]
        minor = len(found) - len(major)
        words = say("They are being looked for …") if self.findings.busy else ""
        if minor and not words:
            words = say("and {n} of a few frames, that Clean up sees to", n=minor)
        self._page.findings.show_findings(
            (
                FindingLine(
                    key=key,
                    words=looking_for.title(finding),
                    frames=str(start) if stop - start == 1 else f"{start}–{stop - 1}",
                    icon=_ICONS[finding.kind],
                    serious=finding.kind in _SERIOUS,
                    can_mend=bool(finding.mend),
                    tip=say("Click to go there"),
                )
                for start, stop, key, _, finding in major
            ),
            words,
        )
        if self._showing.finding not in self._shown:
            self._showing.choose_finding("")
        self._light()

    def _span(self, project: Project, clip: Clip, finding: Finding) -> FrameRange | None:
        low, high = finding.frames.start, finding.frames.stop - 1
        ends = [project.timeline_frame(clip, low), project.timeline_frame(clip, high)]
        known = [end for end in ends if end is not None]
        return FrameRange(min(known), max(known) + 1) if known else None

    def _light(self) -> None:
        """Show which finding is looked at."""
        key = self._showing.finding
        self._page.findings.light(key)
        chosen = self._shown.get(key)
        self._actions.allow(chosen is not None and bool(chosen[1].mend), "mend")
        self._actions.allow(chosen is not None, "ignore")
        self._actions.allow(bool(self._shown), "mend_all", "next_finding", "previous_finding")
        toast = self._viewer.toast
        if chosen is None or self._showing.space != "clean":
            toast.hide()
            return
        clip, finding = chosen
        span = self._span(self._session.project, clip, finding)
        where = "" if span is None else say("frames {a}–{b}", a=span.start, b=span.stop - 1)
        more = {
            "swap": say("left and right look exchanged"),
            "gap": say("nothing was found here"),
            "outlier": say("far from the frames around it"),
            "tremble": say("it moves to and fro"),
            "length": say("a limb that grows"),
            "hand": say("hand and wrist do not meet"),
            "outside": say("the figure is cut by the picture's edge"),
            "cut": say("everything is elsewhere from one frame to the next"),
        }[finding.kind]
        yes = {"swap": say("Swap"), "gap": say("Fill"), "tremble": say("Smooth")}.get(
            finding.kind, say("Mend")
        )
        toast.tell(
            _ICONS[finding.kind],
            f"{looking_for.title(finding)}, {where}",
            more,
            yes if finding.mend else "",
            say("Ignore"),
            serious=finding.kind in _SERIOUS,
        )

    # ---------------------------------------------------------------- what is done

    def look_at(self, key: str) -> None:
        """Go to a finding."""
        found = self._shown.get(key)
        if found is None:
            return
        clip, finding = found
        span = self._span(self._session.project, clip, finding)
        if span is not None:
            self._showing.go_to((span.start + span.stop - 1) // 2)
            state = self._timeline.sheet.state.span
            if not state.first <= span.start <= state.first + state.shown:
                self._timeline.sheet.show_range(span.start, span.stop)
        if clip.person is None:
            self._showing.choose_person(finding.person)
        if finding.points and len(finding.points) < 60:
            self._showing.choose_joints(finding.points)
        self._showing.choose_finding(key)

    def step(self, by: int) -> None:
        """Go to the next finding, or the one before."""
        keys = [key for key, (_, finding) in self._shown.items() if not finding.minor]
        if not keys:
            self._session.told.emit("good", say("Nothing looks wrong."))
            return
        if self._showing.space == "render":
            self._showing.turn_to("clean")
        at = keys.index(self._showing.finding) if self._showing.finding in keys else None
        first = 0 if by > 0 else len(keys) - 1
        self.look_at(keys[first if at is None else (at + by) % len(keys)])

    def _after(self, key: str) -> str:
        """Return the finding that is looked at once this one is gone."""
        keys = [name for name, (_, finding) in self._shown.items() if not finding.minor]
        if key not in keys or len(keys) < 2:
            return ""
        at = keys.index(key)
        return keys[at + 1] if at + 1 < len(keys) else keys[at - 1]

    def mend_chosen(self) -> None:
        """Mend the finding that is looked at, and go to the next one."""
        key = self._showing.finding
        found = self._shown.get(key)
        if found is not None and found[1].mend:
            after = self._after(key)
            self.mend([key])
            self.look_at(after)

    def mend(self, keys: list[str]) -> None:
        """Mend findings, as one step."""
        project = self._session.project
        by_clip: dict[str, list[Finding]] = {}
        for key in keys:
            if key in self._shown:
                clip, finding = self._shown[key]
                by_clip.setdefault(clip.id, []).append(finding)
        for name, found in by_clip.items():
            project = mended(project, name, found)
        title = say("Mend")
        if len(keys) == 1 and keys[0] in self._shown:
            title = say("Mend: {what}", what=looking_for.title(self._shown[keys[0]][1]).lower())
        self._session.document.do(title, project)
        self._session.document.end_gesture()

    def mend_all(self) -> None:
        """Mend all that can be."""
        keys = [key for key, (_, finding) in self._shown.items() if finding.mend]
        self.mend(keys)
        self._session.told.emit("good", say("{n} findings mended", n=len(keys)))

    def clean_up(self) -> None:
        """Mend what can be in the range, and calm it."""
        project = self._session.project
        target = target_of(self._session, self._showing)
        if target is None:
            return
        inside = [
            finding
            for clip, finding in self._shown.values()
            if clip.id == target.clip.id
            and finding.mend
            and finding.frames.start < target.span.stop
            and target.span.start < finding.frames.stop
        ]
        project = mended(project, target.clip.id, inside)
        project = posing.smooth(
            project, target.clip.id, target.person, target.span, (), self._page.smoothing
        )
        self._session.document.do(say("Clean up"), project)
        self._session.document.end_gesture()
        self._session.told.emit(
            "good", say("{n} findings mended, the range is calmed", n=len(inside))
        )

    def ignore_chosen(self) -> None:
        """Hear no more of the finding that is looked at, and go to the next one."""
        key = self._showing.finding
        found = self._shown.get(key)
        if found is None:
            return
        after = self._after(key)
        clip, finding = found
        project = looking_for.ignore(self._session.project, clip.source, finding)
        self._session.document.do(say("Ignore"), project)
        self._session.document.end_gesture()
        self.look_at(after)


@lru_cache(maxsize=1024)
def _rows(points: tuple[int, ...]) -> tuple[str, ...]:
    """Return the rows of the timeline that show a finding about some points."""
    if not points or len(points) > 100:
        return ("torso",)
    limbs = dict.fromkeys(limb_of(point) for point in points)
    return tuple(dict.fromkeys(_FEET.get(limb, limb) for limb in limbs))
