"""What keeps the viewer and the document together: frames to be shown, joints to be dragged."""

from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import QObject, QRectF, Qt, QTimer
from PySide6.QtGui import QImage

from marionext.jobs import LivePose
from marionext.pose import Origin
from marionext.protocol import Failed, Posed
from marionext_desktop.model import posing
from marionext_desktop.model.edit_stack import Keypoints
from marionext_desktop.model.limbs import dragged
from marionext_desktop.model.poses import Pose, placement
from marionext_desktop.model.project import Clip, Project
from marionext_desktop.model.words import say
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Options, Showing
from marionext_desktop.ui.timeline.rows import point_title
from marionext_desktop.ui.viewer.canvas import Ghost, Person, Picture, Stage, Trail
from marionext_desktop.ui.viewer.panel import ViewerPanel

__all__ = ["ViewerControl"]

_TRAIL = 20
"""Frames of a trail before and after the present."""
_GHOST_AWAY = 8
"""Frames between ghosts where there are no keys near."""
_LIVE_SIDE = 768
_MOST_TRAILS = 4


@dataclass(slots=True)
class _Drag:
    """A joint that is held."""

    project: Project
    clip: Clip
    frame: int
    """Of the source."""
    person: int
    """Of the source."""
    number: int
    before: Keypoints
    """As the keypoints were, of that frame alone."""
    at: tuple[float, float]


class ViewerControl(QObject):
    """Shows a frame, and moves its joints.

    Args:
        panel: the viewer.
        session: with the document.
        showing: with frame and selection.
    """

    def __init__(self, panel: ViewerPanel, session: Session, showing: Showing) -> None:
        super().__init__(panel)
        self.panel, self.canvas = panel, panel.canvas
        self._session, self._showing = session, showing
        self._drag: _Drag | None = None
        self._source: Picture | None = None
        self._result: Picture | None = None
        self._other: Picture | None = None
        self._live: Picture | None = None
        self._ghosts: tuple[Ghost, ...] = ()
        self._ghost_key: object = None
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._show)
        self._asked_live: object = None
        self._live_on_its_way = False

        canvas = self.canvas
        session.document.changed.connect(lambda _old, _new: self.refresh())
        session.poses.changed.connect(self._poses_changed)
        session.poses.track_ready.connect(lambda _name: self.refresh())
        session.engine.pictured.connect(self._take_live)
        showing.frame_changed.connect(self._frame_changed)
        showing.joints_changed.connect(self._joints_changed)
        showing.person_changed.connect(self.refresh)
        showing.options_changed.connect(self._options_changed)
        canvas.joints_chosen.connect(self._choose)
        canvas.drag_begun.connect(self._begin_drag)
        canvas.dragged.connect(self._go_on)
        canvas.drag_ended.connect(self._end_drag)
        canvas.person_chosen.connect(showing.choose_person)
        panel.person_chosen.connect(showing.choose_person)
        session.retargeting.changed.connect(self._fit_changed)
        self.refresh()

    def _fit_changed(self) -> None:
        self._asked_live = None
        self.refresh()

    # ---------------------------------------------------------------- pictures, told by others

    def show_source(self, image: QImage | None, *, title: str = "") -> None:
        """Show the picture of the source in the frame; None: there is none."""
        self._source = None if image is None else self._on_canvas(image, title)
        self.refresh()

    def show_result(
        self, image: QImage | None, *, title: str = "", more: str = "", note: str = ""
    ) -> None:
        """Show the picture of the take in the frame; None: there is none, the live one is shown."""
        self._result = None if image is None else self._on_canvas(image, title, more, note)
        self.refresh()

    def show_other(self, image: QImage | None, *, title: str = "", more: str = "") -> None:
        """Show the picture that the result is compared with; None: the source."""
        self._other = None if image is None else self._on_canvas(image, title, more)
        self.refresh()

    def _on_canvas(self, image: QImage, title: str, more: str = "", note: str = "") -> Picture:
        size = self._session.project.size
        where = placement((image.width(), image.height()), size)
        area = QRectF(
            where.left, where.top, image.width() * where.scale, image.height() * where.scale
        )
        return Picture(image, area, title, more, note)

    # ---------------------------------------------------------------- the frame

    def refresh(self) -> None:
        """Show the frame anew, soon."""
        self._later.start()

    def _frame_changed(self, _frame: int) -> None:
        self._show()

    def _options_changed(self, old: Options, new: Options) -> None:
        if (old.onion, old.trails, old.compare, old.live) != (
            new.onion,
            new.trails,
            new.compare,
            new.live,
        ):
            self._ghost_key = None
            self.refresh()

    def _joints_changed(self) -> None:
        self.refresh()

    def _poses_changed(self, _name: str, _span: object) -> None:
        self._ghost_key = None if self._drag is None else self._ghost_key
        # A drag is shown at once, everything else with what else has changed.
        if self._drag is not None:
            self._show()
        else:
            self.refresh()

    def _show(self) -> None:
        project, showing = self._session.project, self._showing
        frame = showing.frame
        pose = self._session.poses.pose_at(frame)
        people = () if pose is None else _people(pose)
        person = min(showing.person, max(len(people) - 1, 0))
        chosen = frozenset(showing.joints)
        result = self._result
        if result is None and showing.options.live:
            result = self._live
        stage = Stage(
            size=project.size,
            frame=frame,
            source=self._source,
            result=result,
            other=self._other,
            people=people,
            person=person,
            pose_title=self._pose_title(project, len(people), person),
            detected=self._detected(project, frame, person),
            ghosts=self._read_ghosts(project, frame, person),
            trails=self._read_trails(project, frame, person),
            selected=chosen,
            tag=self._tag(pose, person, chosen),
            empty=self._empty_words(project),
        )
        self.canvas.show_stage(stage)
        names = tuple(say("Person {n}", n=n + 1) for n in range(len(people)))
        self.panel.show_people(names, person)
        if pose is not None:
            self._ask_live(project, pose, frame)

    def _pose_title(self, project: Project, people: int, person: int) -> str:
        clip = project.clip_at(self._showing.frame)
        if clip is None or not people:
            return ""
        words = say("person {n}", n=person + 1)
        return f"{words} · {say('edited')}" if clip.edits else words

    def _tag(self, pose: Pose | None, person: int, chosen: frozenset[int]) -> str:
        if pose is None or len(chosen) != 1 or person >= len(pose.origins):
            return ""
        (number,) = chosen
        origin = int(pose.origins[person, number])
        return {
            Origin.DETECTED: say("found"),
            Origin.FILLED: say("filled"),
            Origin.BY_HAND: say("by hand"),
        }[Origin(origin)]

    def _empty_words(self, project: Project) -> str:
        if not project.clips:
            return say(
                "Drop a dance video or a motion file here\nvideos, BVH, glTF, VRM, pose JSON"
            )
        clip = project.clip_at(self._showing.frame)
        if clip is None:
            return say("A gap")
        source = project.source(clip.source)
        if source.kind != "video":
            return say("{name} has no picture", name=source.name)
        return ""

    def _detected(self, project: Project, frame: int, person: int) -> Person | None:
        """Return the person as found, where that is to be compared."""
        clip = project.clip_at(frame)
        if not self._showing.options.compare or clip is None or not clip.edits:
            return None
        source = project.source(clip.source)
        track = self._session.poses.captured_track(source)
        who = person if clip.person is None else clip.person
        if track is None or who >= track.people:
            return None
        row = min(project.source_frame(clip, frame), len(track) - 1)
        where = placement(track.size, project.size)
        return Person(where.to_canvas(track.points[row, who]), track.scores[row, who])

    def _read_ghosts(self, project: Project, frame: int, person: int) -> tuple[Ghost, ...]:
        if not self._showing.options.onion:
            self._ghosts = ()
            return self._ghosts
        clip = project.clip_at(frame)
        key = (frame, person, None if clip is None else clip.id, project.size)
        if key != self._ghost_key:
            self._ghost_key = key
            self._ghosts = ()
            if clip is not None:
                found = []
                for near, tint in self._ghost_frames(project, clip, frame):
                    pose = self._session.poses.pose_at(near)
                    if pose is not None and person < len(pose.points):
                        one = Person(pose.points[person], pose.scores[person])
                        found.append(Ghost(one, tint))
                self._ghosts = tuple(found)
        return self._ghosts

    def _ghost_frames(self, project: Project, clip: Clip, frame: int) -> list[tuple[int, str]]:
        """Return the frames of the ghosts: the keys on both sides, or some frames away."""
        source = project.source(clip.source)
        keys = set()
        for mark in posing.marks(clip, source.frames):
            if mark.kind == "key":
                at = project.timeline_frame(clip, mark.frames.start)
                if at is not None:
                    keys.add(at)
        before = max((at for at in keys if at < frame), default=frame - _GHOST_AWAY)
        after = min((at for at in keys if at > frame), default=frame + _GHOST_AWAY)
        return [
            (at, tint)
            for at, tint in ((before, "#f2785c"), (after, "#6fd08c"))
            if clip.at <= at < clip.stop
        ]

    def _read_trails(self, project: Project, frame: int, person: int) -> tuple[Trail, ...]:
        chosen = sorted(self._showing.joints)
        clip = project.clip_at(frame)
        if (
            not self._showing.options.trails
            or not chosen
            or len(chosen) > _MOST_TRAILS
            or clip is None
        ):
            return ()
        found = self._session.poses.keypoints(clip)
        who = person if clip.person is None else clip.person
        if found is None or who >= found.people:
            return ()
        first, last = max(frame - _TRAIL, clip.at), min(frame + _TRAIL, clip.stop - 1)
        rows = [
            min(project.source_frame(clip, at), len(found) - 1) for at in range(first, last + 1)
        ]
        where = placement(found.size, project.size)
        return tuple(
            Trail(where.to_canvas(found.points[rows, who, number]), frame - first)
            for number in chosen
            if found.scores[rows, who, number].all()
        )

    # ---------------------------------------------------------------- joints

    def _choose(self, joints: frozenset[int], add: bool) -> None:
        self._showing.choose_joints(joints, add=add)

    def _begin_drag(self, number: int) -> None:
        project = self._session.project
        clip = project.clip_at(self._showing.frame)
        found = None if clip is None else self._session.poses.keypoints(clip)
        if clip is None or found is None:
            return
        frame = min(project.source_frame(clip, self._showing.frame), len(found) - 1)
        who = self._showing.person if clip.person is None else clip.person
        if who >= found.people:
            return
        # The keypoints change in place with every step of the drag.
        before = replace(found, points=found.points.copy(), scores=found.scores.copy())
        x, y = found.points[frame, who, number].tolist()
        self._drag = _Drag(project, clip, frame, who, number, before, (x, y))

    def _go_on(self, x: float, y: float, modifiers: Qt.KeyboardModifier) -> None:
        drag = self._drag
        if drag is None:
            return
        options = self._showing.options
        scale = placement(drag.before.size, drag.project.size).scale
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            # Straight across or down.
            x, y = (x, 0.0) if abs(x) > abs(y) else (0.0, y)
        to = (drag.at[0] + x / scale, drag.at[1] + y / scale)
        way = "joint" if modifiers & Qt.KeyboardModifier.ShiftModifier else options.way
        fade = 0 if modifiers & Qt.KeyboardModifier.AltModifier else options.fade
        points, scores = (
            drag.before.points[drag.frame, drag.person],
            drag.before.scores[drag.frame, drag.person],
        )
        moved = dragged(points, scores, drag.number, to, way)
        others = self._showing.joints - {drag.number}
        if others and len(self._showing.joints) > 1 and drag.number in self._showing.joints:
            # Several joints are chosen: they go along as they are.
            by = np.array(to) - points[drag.number]
            chosen = sorted(self._showing.joints)
            moved = {n: tuple((points[n] + by).tolist()) for n in chosen if scores[n] > 0}
        project = posing.drag(
            drag.project,
            drag.clip.id,
            drag.person,
            drag.frame,
            moved,
            drag.before,
            fade=(min(fade, drag.frame), fade),
        )
        title = point_title(drag.number)
        self._session.document.do(
            say("Drag {joint}", joint=title.lower()), project, merge=("drag", drag.number)
        )
        if self._later.isActive():
            self._later.stop()
            self._show()

    def _end_drag(self, kept: bool) -> None:
        self._drag = None
        self._ghost_key = None
        if kept:
            self._session.document.end_gesture()
        else:
            self._session.document.cancel_gesture()
        self.refresh()

    # ---------------------------------------------------------------- the character, live

    def _ask_live(self, project: Project, pose: Pose, frame: int) -> None:
        """Ask the engine how the character looks in this pose, where nothing is rendered."""
        layouts = {"side", "wipe"} | (
            {"single"} if self._showing.options.layer == "result" else set()
        )
        wanted = self._showing.options.live and self._showing.options.layout in layouts
        character = next(
            (c for c in project.characters if c.id == project.render.character),
            project.characters[0] if project.characters else None,
        )
        if not wanted or self._result is not None or character is None or not len(pose.points):
            return
        key = (character.path, pose.points.tobytes(), pose.scores.tobytes(), project.size)
        if key == self._asked_live:
            return
        if self._live_on_its_way:
            # The answer asks again if the pose is another by then: playing shows as many as it can.
            return
        self._asked_live = key
        self._live_on_its_way = True
        fitted = self._session.retargeting.now.motion
        share = min(1.0, _LIVE_SIDE / max(project.size))
        width, height = (max(round(side * share), 16) for side in project.size)
        self._session.engine.show_pose(
            LivePose(
                character=character.path,
                width=width,
                height=height,
                points=tuple((pose.points * share).tolist()),
                scores=tuple(pose.scores.tolist()),
                fit=project.render.fit,
                motion=None if fitted is None else str(fitted),
            ),
            tag=(frame, character.name),
        )

    def _take_live(self, answer: Posed | Failed, tag: object) -> None:
        self._live_on_its_way = False
        if isinstance(answer, Failed):
            if answer.code != "cancelled":
                self._live = None
                self._asked_live = None
            return
        image = image_of(answer)
        name = tag[1] if isinstance(tag, tuple) else ""
        self._live = self._on_canvas(image, say("live"), str(name))
        if self._result is None:
            self.refresh()
            return
        self._live = None


def image_of(posed: Posed) -> QImage:
    """Return the picture of an answer of the engine."""
    pixels = posed.pixels
    return QImage(
        pixels, posed.width, posed.height, posed.width * 3, QImage.Format.Format_RGB888
    ).copy()


def _people(pose: Pose) -> tuple[Person, ...]:
    return tuple(
        Person(points, scores) for points, scores in zip(pose.points, pose.scores, strict=True)
    )
