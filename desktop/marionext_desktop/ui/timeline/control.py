"""What keeps the timeline's sheet and the document together, in both directions."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from PySide6.QtCore import QObject, QTimer

from marionext.frames import FrameRange
from marionext.skeleton import POINT_NAMES
from marionext_desktop.model import editing, posing
from marionext_desktop.model.project import Project, Take
from marionext_desktop.model.words import say
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Options, Showing
from marionext_desktop.ui.timeline.contents import (
    Badge,
    ClipBar,
    Contents,
    Curve,
    Flag,
    SoundBar,
    TakeBar,
)
from marionext_desktop.ui.timeline.gestures import (
    CutClip,
    Gesture,
    MoveClip,
    MoveFlag,
    MoveKeys,
    MoveMark,
    Retime,
    Slip,
    Trim,
)
from marionext_desktop.ui.timeline.panel import TimelinePanel
from marionext_desktop.ui.timeline.reading import (
    MARKER_COLOURS,
    KeyTable,
    clip_bars,
    read_keys,
    sequence_scores,
    take_bars,
)
from marionext_desktop.ui.timeline.rows import LIMBS, point_title, pose_rows, row_scores, side_of

__all__ = ["TimelineControl"]

_COALESCE_MS = 0


class TimelineControl(QObject):
    """Shows the document on the sheet and carries out what is done there.

    Args:
        panel: the timeline.
        session: with the document.
        showing: with the selection.
    """

    def __init__(self, panel: TimelinePanel, session: Session, showing: Showing) -> None:
        super().__init__(panel)
        self.panel, self.sheet = panel, panel.sheet
        self._session, self._showing = session, showing
        self.opened: set[str] = set()
        """Limbs whose parts are shown."""
        self.keys = KeyTable()
        self.badges: tuple[Badge, ...] = ()
        self.sounds: tuple[SoundBar, ...] = ()
        self.beats: tuple[int, ...] = ()
        self.missing: frozenset[str] = frozenset()
        """Ids of sources whose files are not there."""
        self.describe_take: Callable[[Take], TakeBar] = _plain_take
        self._base: Project | None = None
        self._base_keys = KeyTable()
        self._base_chosen: frozenset[tuple[str, int]] = frozenset()
        self._rows = pose_rows(())
        self._clips: tuple[ClipBar, ...] = ()
        self._takes: tuple[TakeBar, ...] = ()
        self._curves: tuple[Curve, ...] = ()
        self._scores_old = True
        self._later = QTimer(self, singleShot=True, interval=_COALESCE_MS)
        self._later.timeout.connect(self._show)

        document, sheet = session.document, self.sheet
        document.changed.connect(self._document_changed)
        session.poses.changed.connect(self._poses_changed)
        session.captures.changed.connect(lambda _name: self.refresh())
        showing.frame_changed.connect(sheet.show_frame)
        showing.joints_changed.connect(self._joints_changed)
        showing.clips_changed.connect(lambda: sheet.show_chosen(clips=showing.clips))
        showing.keys_changed.connect(lambda: sheet.show_chosen(keys=showing.keys))
        showing.finding_changed.connect(lambda: sheet.show_chosen(badge=showing.finding))
        showing.takes_changed.connect(
            lambda: sheet.show_chosen(takes={showing.take_a, showing.take_b} - {""})
        )
        showing.person_changed.connect(self.refresh_scores)
        showing.options_changed.connect(self._options_changed)
        sheet.sought.connect(self._seek)
        sheet.gestured.connect(self._gestured)
        sheet.gesture_dropped.connect(self._dropped)
        sheet.row_chosen.connect(self.choose_row)
        sheet.row_folded.connect(self._fold)
        sheet.keys_chosen.connect(showing.choose_keys)
        sheet.clip_chosen.connect(self._choose_clip)
        self.refresh_scores()

    # ---------------------------------------------------------------- to the sheet

    def refresh(self) -> None:
        """Read everything but the scores anew, soon."""
        self._later.start()

    def refresh_scores(self) -> None:
        """Read everything anew, soon."""
        self._scores_old = True
        self._later.start()

    def _document_changed(self, old: Project, new: Project) -> None:
        if old.clips is not new.clips or old.rate != new.rate:
            moved = [(c.id, c.at, c.count, c.first, c.speed, c.hold, c.person) for c in old.clips]
            now = [(c.id, c.at, c.count, c.first, c.speed, c.hold, c.person) for c in new.clips]
            self._scores_old = self._scores_old or moved != now
        self.refresh()

    def _show(self) -> None:
        project = self._session.project
        self._rows = pose_rows(self._opened())
        if self._scores_old:
            self._scores_old = False
            poses = self._session.poses
            scores = sequence_scores(project, self._rows, poses.keypoints, self._showing.person)
            self.sheet.show_rows(self._rows, scores)
        self.keys = read_keys(project, self._rows)
        self._clips = clip_bars(project, missing=self.missing, waiting=self._waiting)
        self._takes = take_bars(project.takes, project.length, self.describe_take)
        self._curves = self._read_curves(project)
        self.show_contents()

    def show_contents(self) -> None:
        """Show what was read, with what others have told."""
        project = self._session.project
        flags = tuple(
            Flag(each.id, each.frame, each.name, MARKER_COLOURS[each.colour])
            for each in project.markers
        )
        self.sheet.show_contents(
            Contents(
                frames=project.length,
                rate=project.rate,
                drop_frame=project.drop_frame,
                clips=self._clips,
                person=self._person_words(project),
                keys=self.keys.rows,
                badges=self.badges,
                curves=self._curves,
                sounds=self.sounds or self._plain_sounds(project),
                beats=self.beats,
                takes=self._takes,
                flags=flags,
                mark_in=project.mark_in,
                mark_out=project.mark_out,
            )
        )

    def _opened(self) -> set[str]:
        return {"all"} if self._showing.options.rows == "joints" else self.opened

    def _person_words(self, project: Project) -> str:
        return say("person {n}", n=self._showing.person + 1) if project.clips else ""

    def _plain_sounds(self, project: Project) -> tuple[SoundBar, ...]:
        sources = project.by_id
        bars = [
            SoundBar(clip.id, sources[clip.source].name, clip.at, clip.stop)
            for clip in project.lane("sound")
        ]
        if not bars:
            bars = [
                SoundBar(clip.id, "", clip.at, clip.stop, own=False)
                for clip in project.lane("motion")
                if sources[clip.source].sound
            ]
        return tuple(bars)

    def _waiting(self, source: str) -> str:
        state = self._session.captures.state(self._session.project.source(source))
        match state.stage:
            case "waiting":
                return say("waits for its poses")
            case "capturing":
                return say("finding poses {share} %", share=round(state.fraction * 100))
            case "failed":
                lacking = state.lacks_detector
                return say("needs the detector") if lacking else say("no poses found")
        return ""

    def _poses_changed(self, name: str, span: FrameRange | None) -> None:
        """Recolour the strips where keypoints have changed."""
        project = self._session.project
        clip = next((each for each in project.clips if each.id == name), None)
        if clip is None:
            return
        heat = self.sheet.state.heat
        if span is None or heat is None or self._scores_old or heat.frames != project.length:
            self.refresh_scores()
            return
        found = self._session.poses.keypoints(clip)
        if found is None:
            return
        shown = np.minimum(project.source_frames(clip), len(found) - 1)
        places = np.flatnonzero((shown >= span.start) & (shown < span.stop))
        if len(places):
            first, last = int(places[0]), int(places[-1]) + 1
            who = min(
                self._showing.person if clip.person is None else clip.person, found.people - 1
            )
            scores = row_scores(found.scores[shown[first:last], who], self._rows)
            if not np.array_equal(scores, heat.scores[:, clip.at + first : clip.at + last]):
                self.sheet.patch_scores(clip.at + first, scores)
        if self._showing.options.rows == "curves":
            self.refresh()

    def _read_curves(self, project: Project) -> tuple[Curve, ...]:
        if self._showing.options.rows != "curves" or not self._showing.joints:
            return ()
        curves: list[Curve] = []
        for number in sorted(self._showing.joints)[:3]:
            after = np.full((project.length, 2), np.nan, np.float32)
            before = after.copy()
            for clip in project.lane("motion"):
                found = self._session.poses.keypoints(clip)
                base = self._session.poses.captured_track(project.source(clip.source))
                if found is None or not found.people:
                    continue
                who = min(
                    self._showing.person if clip.person is None else clip.person, found.people - 1
                )
                shown = np.minimum(project.source_frames(clip), len(found) - 1)
                place = slice(clip.at, clip.stop)
                after[place] = found.points[shown, who, number]
                after[place][found.scores[shown, who, number] <= 0] = np.nan
                if base is not None and clip.edits:
                    before[place] = base.points[shown, who, number]
                    before[place][base.scores[shown, who, number] <= 0] = np.nan
            title = point_title(number)
            side = {"left": "left", "right": "right"}.get(_side(number), "centre")
            for axis, letter in enumerate("xy"):
                curves.append(Curve(f"{letter}  {title}", side, after[:, axis], before[:, axis]))
        return tuple(curves)

    def _joints_changed(self) -> None:
        rows = set(self._showing.rows)
        if not rows:
            chosen = self._showing.joints
            rows = {
                row.name for row in self._rows if row.points and chosen and set(row.points) & chosen
            }
            if len(chosen) > 30:
                rows = {row.name for row in self._rows if set(row.points) <= chosen}
        self.sheet.show_chosen(rows=rows)
        if self._showing.options.rows == "curves":
            self.refresh()

    def _options_changed(self, old: Options, new: Options) -> None:
        if old.rows != new.rows:
            self.refresh_scores()

    # ---------------------------------------------------------------- from the sheet

    def _seek(self, frame: int) -> None:
        self._showing.go_to(frame)

    def choose_row(self, name: str, add: bool = False) -> None:
        """Choose the joints of a row."""
        row = next((row for row in self._rows if row.name == name), None)
        if row is not None:
            self._showing.choose_joints(row.points, rows=(name,), add=add)

    def _fold(self, name: str) -> None:
        if not name:
            self.sheet.fold(not self.sheet.state.folded)
        elif self._showing.options.rows == "joints":
            self.opened = set(LIMBS) - {name}
            self._showing.change(rows="limbs")
        else:
            self.opened ^= {name}
            self.refresh_scores()

    def _choose_clip(self, name: str, add: bool) -> None:
        chosen = self._showing.clips
        if add and name:
            self._showing.choose_clips(chosen ^ {name})
        elif name not in chosen or not name:
            self._showing.choose_clips({name} if name else ())

    def _gestured(self, gesture: Gesture, finished: bool) -> None:
        document = self._session.document
        if self._base is None:
            self._base, self._base_keys = document.project, self.keys
            self._base_chosen = self._showing.keys
        label, project = self._carried_out(self._base, gesture)
        document.do(label, project, merge=("timeline", type(gesture).__name__))
        if isinstance(gesture, MoveKeys):
            self._showing.choose_keys({(row, at + gesture.by) for row, at in self._base_chosen})
        if finished:
            self._base = None
            document.end_gesture()

    def _dropped(self) -> None:
        self._base = None
        self._showing.choose_keys(self._base_chosen)
        self._session.document.cancel_gesture()

    def _carried_out(self, project: Project, gesture: Gesture) -> tuple[str, Project]:
        """Return what a gesture is called and what it makes of the project."""
        match gesture:
            case Trim(clip=name, edge=edge, frame=frame, ripple=ripple):
                clip = project.clip(name)
                end = "start" if edge == "start" else "end"
                by = frame - (clip.at if edge == "start" else clip.stop)
                return say("Trim"), editing.trim(project, name, end, by, ripple=ripple)  # type: ignore[arg-type]
            case MoveClip(clip=name, frame=frame):
                chosen = self._showing.clips if name in self._showing.clips else {name}
                by = frame - project.clip(name).at
                return say("Move"), editing.move(project, chosen, by)
            case Slip(clip=name, by=by):
                step = project.step(project.clip(name))
                return say("Slip"), editing.slip(project, name, -round(by * step))
            case Retime(clip=name, stop=stop):
                clip = project.clip(name)
                speed = clip.speed * Fraction(clip.count, max(stop - clip.at, 1))
                return say("Retime"), editing.retime(project, name, speed)
            case CutClip(clip=name, frame=frame):
                return say("Cut"), editing.blade(project, frame, clips={name})
            case MoveKeys(by=by):
                return say("Move keys"), self._with_moved_keys(project, by)
            case MoveMark(which="in", frame=frame):
                return say("Mark in"), editing.set_mark_in(project, frame)
            case MoveMark(frame=frame):
                return say("Mark out"), editing.set_mark_out(project, frame)
            case MoveFlag(flag=flag, frame=frame):
                return say("Move marker"), editing.change_marker(project, flag, frame=frame)

    def _with_moved_keys(self, project: Project, by: int) -> Project:
        for name, found in self._base_keys.at(self._base_chosen).items():
            clip = project.clip(name)
            frames = round(by * project.step(clip))
            project = posing.move_marks(project, name, {mark.edit for mark in found}, frames)
        return project


def _plain_take(take: Take) -> TakeBar:
    states = {"done": "done", "rendering": "running", "failed": "failed"}
    state = states.get(take.status, "waiting")
    return TakeBar(take.id, take.span.start, take.span.stop, take.name, take.message, state)  # type: ignore[arg-type]


def _side(number: int) -> str:
    return side_of(POINT_NAMES[number])
