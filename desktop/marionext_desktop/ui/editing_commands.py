"""The commands that change the document: cutting, copying, keys, poses over the range."""

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject

from marionext.frames import FrameRange
from marionext.skeleton import MIRRORED, POINT_COUNT
from marionext_desktop.model import editing, posing
from marionext_desktop.model.posing import CopiedPoses
from marionext_desktop.model.project import Clip, Project
from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.inspector.control import target_of
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Showing
from marionext_desktop.ui.timeline.control import TimelineControl

__all__ = ["EditingCommands"]


class EditingCommands(QObject):
    """Carries out what menus, buttons and keys ask for."""

    def __init__(
        self, actions: Actions, session: Session, showing: Showing, timeline: TimelineControl
    ) -> None:
        super().__init__(actions)
        self._actions, self._session, self._showing, self._timeline = (
            actions,
            session,
            showing,
            timeline,
        )
        self._copied: CopiedPoses | tuple[Clip, ...] | None = None
        commands: dict[str, Callable[[], object]] = {
            "undo": self.undo,
            "redo": self.redo,
            "cut": self.cut,
            "copy": self.copy,
            "paste": self.paste,
            "paste_mirrored": lambda: self.paste(mirrored=True),
            "duplicate": self.duplicate,
            "delete": lambda: self.delete(ripple=True),
            "lift": lambda: self.delete(ripple=False),
            "select_all": self.select_all,
            "select_none": self.select_none,
            "blade": self.blade,
            "trim_start": lambda: self.trim("start"),
            "trim_end": lambda: self.trim("end"),
            "close_gap": self.close_gap,
            "reverse": self.reverse,
            "freeze": self.freeze,
            "mark_in": lambda: self._do(
                say("Mark in"), editing.set_mark_in(self._project, self._frame)
            ),
            "mark_out": lambda: self._do(
                say("Mark out"), editing.set_mark_out(self._project, self._frame)
            ),
            "clear_marks": lambda: self._do(
                say("Clear in and out"), editing.clear_marks(self._project)
            ),
            "mark_clip": self.mark_clip,
            "marker": lambda: self._do(
                say("Set a marker"), editing.add_marker(self._project, self._frame)
            ),
            "key": self.key,
            "unkey": self.unkey,
            "hold": self.hold,
            "hide": self.hide,
            "swap": lambda: self._over_range(say("Exchange left and right"), posing.swap),
            "mirror": lambda: self._over_range(say("Mirror"), posing.mirror),
            "smooth": self.smooth,
            "fill": lambda: self._over_range(say("Fill the gap"), posing.fill),
            "reset_pose": self.reset_pose,
            "next_person": self.next_person,
        }
        for name, do in commands.items():
            actions.on(name, do)
        session.document.history_changed.connect(self.show_history)
        for signal in (showing.clips_changed, showing.keys_changed, showing.joints_changed):
            signal.connect(self.show_state)
        session.document.changed.connect(lambda _old, _new: self.show_state())
        self.show_history()
        self.show_state()

    # ---------------------------------------------------------------- state

    @property
    def _project(self) -> Project:
        return self._session.project

    @property
    def _frame(self) -> int:
        return self._showing.frame

    def show_history(self) -> None:
        """Say what can be undone and done again."""
        document = self._session.document
        for name, words, label in (
            ("undo", say("Undo"), document.undo_label),
            ("redo", say("Redo"), document.redo_label),
        ):
            action = self._actions[name]
            action.setEnabled(label is not None)
            action.setText(f"{words}: {label.lower()}" if label else words)
            action.setToolTip(action.text())

    def show_state(self) -> None:
        """Allow what can be done now."""
        project = self._project
        clips = bool(self._showing.clips)
        some = bool(project.clips)
        self._actions.allow(clips, "reverse", "speed", "duplicate")
        self._actions.allow(
            some, "blade", "trim_start", "trim_end", "freeze", "mark_in", "mark_out", "key", "hold",
            "hide", "swap", "mirror", "smooth", "fill", "select_all", "close_gap", "export",
            "reset_pose", "mark_clip", "marker",
        )  # fmt: skip
        self._actions.allow(
            project.mark_in is not None or project.mark_out is not None, "clear_marks"
        )

    def _do(self, words: str, project: Project) -> bool:
        document = self._session.document
        done = document.do(words, project)
        document.end_gesture()
        return done

    # ---------------------------------------------------------------- history

    def undo(self) -> None:
        """Take the last step back."""
        self._session.document.undo()

    def redo(self) -> None:
        """Do the last step that was undone again."""
        self._session.document.redo()

    # ---------------------------------------------------------------- clips and keys

    def _chosen_clips(self) -> set[str]:
        known = {clip.id for clip in self._project.clips}
        return set(self._showing.clips) & known

    def delete(self, *, ripple: bool) -> None:
        """Delete the keys that are chosen, else the clips, else what lies between in and out."""
        if self._showing.keys:
            self._delete_keys()
            return
        clips = self._chosen_clips()
        project = self._project
        if clips:
            self._showing.choose_clips(())
            change = editing.extract if ripple else editing.lift
            self._do(say("Delete"), change(project, clips))
        elif project.mark_in is not None and project.mark_out is not None and project.span:
            cut = editing.extract_range if ripple else editing.lift_range
            self._do(say("Delete the range"), cut(project, project.span))

    def _delete_keys(self) -> None:
        project = self._project
        for name, found in self._timeline.keys.at(self._showing.keys).items():
            project = posing.remove_marks(project, name, found)
        self._showing.choose_keys(())
        self._do(say("Remove keys"), project)

    def cut(self) -> None:
        """Copy and delete."""
        self.copy()
        self.delete(ripple=False)

    def copy(self) -> None:
        """Copy the clips that are chosen, else the pose at the playhead."""
        clips = self._chosen_clips()
        if clips:
            self._copied = tuple(clip for clip in self._project.clips if clip.id in clips)
            self._session.told.emit(
                "good",
                say("{n} clips copied", n=len(clips)) if len(clips) > 1 else say("Clip copied"),
            )
            return
        target = target_of(self._session, self._showing, here=True)
        found = None if target is None else self._session.poses.keypoints(target.clip)
        if target is None or found is None or target.person >= found.people:
            return
        joints = self._showing.joints
        self._copied = posing.copy_poses(found, target.person, target.span, joints)
        words = say("Pose copied") if not joints else say("{n} joints copied", n=len(joints))
        self._session.told.emit("good", words)

    def paste(self, *, mirrored: bool = False) -> None:
        """Put on the timeline, or on the pose, what was copied."""
        copied = self._copied
        project = self._project
        if isinstance(copied, tuple):
            self._do(say("Paste"), editing.paste(project, copied, self._frame))
            return
        if copied is None:
            return
        target = target_of(self._session, self._showing, here=True)
        found = None if target is None else self._session.poses.keypoints(target.clip)
        if target is None or found is None:
            return
        if mirrored:
            copied = _mirrored(copied)
        self._do(
            say("Paste pose"),
            posing.paste_poses(
                project, target.clip.id, target.person, target.frame, copied, now=found
            ),
        )

    def duplicate(self) -> None:
        """Put copies of the clips that are chosen behind them."""
        clips = self._chosen_clips()
        chosen = [clip for clip in self._project.clips if clip.id in clips]
        if chosen:
            end = max(clip.stop for clip in chosen)
            project = self._project
            for clip in chosen:
                start = min(each.at for each in chosen)
                copy = replace(clip, id=editing.new_id(), at=end + clip.at - start)
                project = editing.insert(project, copy)
            self._do(say("Duplicate"), project)

    def select_all(self) -> None:
        """Choose all joints where a pose is worked on, else all clips."""
        if self._showing.joints or self._showing.space == "clean":
            self._showing.choose_joints(range(POINT_COUNT))
        else:
            self._showing.choose_clips(clip.id for clip in self._project.clips)

    def select_none(self) -> None:
        """Choose nothing."""
        self._showing.choose_joints(())
        self._showing.choose_clips(())
        self._showing.choose_keys(())

    def blade(self) -> None:
        """Cut the clips that are chosen, or all, at the playhead."""
        clips = self._chosen_clips() or None
        self._do(say("Cut"), editing.blade(self._project, self._frame, clips=clips))

    def trim(self, edge: str) -> None:
        """Trim the clip at the playhead to the playhead, and close the gap."""
        clip = self._project.clip_at(self._frame)
        if clip is None:
            return
        if edge == "start":
            by = self._frame - clip.at
            project = editing.trim(self._project, clip.id, "start", by, ripple=True)
            if self._do(say("Trim the start"), project):
                self._showing.go_to(clip.at)
        else:
            by = self._frame + 1 - clip.stop
            self._do(
                say("Trim the end"), editing.trim(self._project, clip.id, "end", by, ripple=True)
            )

    def close_gap(self) -> None:
        """Close the gap at the playhead."""
        self._do(say("Close the gap"), editing.close_gap(self._project, self._frame))

    def reverse(self) -> None:
        """Play the clips that are chosen backwards."""
        project = self._project
        for name in self._chosen_clips():
            project = editing.reverse(project, name)
        self._do(say("Reverse"), project)

    def freeze(self) -> None:
        """Hold the frame at the playhead for a second."""
        count = max(round(float(self._project.rate)), 1)
        self._do(say("Hold a frame"), editing.freeze(self._project, self._frame, count))

    def mark_clip(self) -> None:
        """Put in and out on the ends of the clip at the playhead."""
        clip = self._project.clip_at(self._frame)
        if clip is not None:
            project = editing.set_mark_in(editing.clear_marks(self._project), clip.at)
            self._do(say("Mark the clip"), editing.set_mark_out(project, clip.stop - 1))

    # ---------------------------------------------------------------- poses

    def key(self) -> None:
        """Set a key on the joints that are chosen, or on all."""
        target = target_of(self._session, self._showing, here=True)
        found = None if target is None else self._session.poses.keypoints(target.clip)
        if target is None or found is None or target.person >= found.people:
            return
        frame = min(target.frame, len(found) - 1)
        self._do(
            say("Set a key"),
            posing.key(
                self._project, target.clip.id, target.person, frame, self._showing.joints, found
            ),
        )

    def unkey(self) -> None:
        """Remove the keys that are chosen, else those of the joints at the playhead."""
        if self._showing.keys:
            self._delete_keys()
            return
        target = target_of(self._session, self._showing, here=True)
        if target is None:
            return
        source = self._project.source(target.clip.source)
        joints = self._showing.joints or frozenset(range(POINT_COUNT))
        gone = [
            mark
            for mark in posing.marks(target.clip, source.frames)
            if mark.person == target.person and target.frame in mark.frames and mark.points & joints
        ]
        self._do(say("Remove keys"), posing.remove_marks(self._project, target.clip.id, gone))

    def _over_range(self, words: str, change: Callable[..., Project]) -> None:
        target = target_of(self._session, self._showing)
        if target is not None:
            joints = self._showing.joints
            self._do(
                words, change(self._project, target.clip.id, target.person, target.span, joints)
            )

    def hold(self) -> None:
        """Keep the joints where they are at the playhead, over the range, or half a second."""
        target = target_of(self._session, self._showing)
        here = target_of(self._session, self._showing, here=True)
        if target is None or here is None:
            return
        span = target.span
        if self._project.mark_in is None and self._project.mark_out is None:
            half = max(round(float(self._project.rate) / 2), 1)
            span = FrameRange(here.frame, min(here.frame + half, span.stop))
        self._do(
            say("Hold"),
            posing.hold(
                self._project, target.clip.id, target.person, span, self._showing.joints, here.frame
            ),
        )

    def hide(self) -> None:
        """Mark joints as missing: over the range where it is set, else in this frame."""
        marked = self._project.mark_in is not None or self._project.mark_out is not None
        target = target_of(self._session, self._showing, here=not marked)
        if target is not None and self._showing.joints:
            self._do(
                say("Mark as missing"),
                posing.hide(
                    self._project, target.clip.id, target.person, target.span, self._showing.joints
                ),
            )
        elif target is not None:
            self._session.told.emit(
                "warn", say("Choose joints first: click one, or a row of the timeline.")
            )

    def smooth(self) -> None:
        """Smooth the range."""
        target = target_of(self._session, self._showing)
        if target is not None:
            self._do(
                say("Smooth"),
                posing.smooth(
                    self._project, target.clip.id, target.person, target.span,
                    self._showing.joints, 9,
                ),
            )  # fmt: skip

    def reset_pose(self) -> None:
        """Take away what was done by hand on the chosen joints within the range."""
        target = target_of(self._session, self._showing)
        if target is None:
            return
        source = self._project.source(target.clip.source)
        joints = self._showing.joints or frozenset(range(POINT_COUNT))
        gone = {
            mark.edit
            for mark in posing.marks(target.clip, source.frames)
            if mark.person == target.person
            and mark.points & joints
            and mark.frames.start < target.span.stop
            and target.span.start < mark.frames.stop
        }
        self._do(say("As detected again"), posing.remove_edits(self._project, target.clip.id, gone))

    def next_person(self) -> None:
        """Work on the next of the people in the frame."""
        pose = self._session.poses.pose_at(self._frame)
        if pose is not None and len(pose.points):
            self._showing.choose_person((self._showing.person + 1) % len(pose.points))


def _mirrored(copied: CopiedPoses) -> CopiedPoses:
    """Return copied poses as a mirror shows them: the left hand's for the right hand."""
    width = copied.size[0]
    joints = tuple(MIRRORED[number] for number in copied.joints)
    points = tuple(
        tuple(None if place is None else (width - place[0], place[1]) for place in row)
        for row in copied.points
    )
    order = sorted(range(len(joints)), key=lambda place: joints[place])
    return CopiedPoses(
        tuple(joints[place] for place in order),
        tuple(tuple(row[place] for place in order) for row in points),
        copied.size,
    )
