"""What a right click offers on the timeline and in the viewer."""

from PySide6.QtCore import QObject, QPoint
from PySide6.QtWidgets import QMenu

from marionext_desktop.model import editing
from marionext_desktop.model.project import Project
from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.dialogs import MarkerDialog
from marionext_desktop.ui.findings_control import FindingsControl
from marionext_desktop.ui.inspector.render_control import RenderControl
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Showing
from marionext_desktop.ui.timeline.control import TimelineControl
from marionext_desktop.ui.viewer.canvas import Canvas

__all__ = ["Menus"]


class Menus(QObject):
    """Opens menus where they are wanted."""

    def __init__(
        self,
        actions: Actions,
        session: Session,
        showing: Showing,
        timeline: TimelineControl,
        canvas: Canvas,
        findings: FindingsControl,
        renders: RenderControl,
    ) -> None:
        super().__init__(actions)
        self._actions, self._session, self._showing = actions, session, showing
        self._timeline, self._canvas = timeline, canvas
        self._findings, self._renders = findings, renders
        timeline.sheet.menu_wanted.connect(self.on_timeline)
        timeline.sheet.flag_opened.connect(self.open_flag)
        canvas.menu_wanted.connect(self.in_viewer)
        renders.page.version_menu_wanted.connect(self.on_take)

    def on_timeline(self, kind: str, name: str, at: QPoint) -> None:
        """Open the menu of something on the timeline."""
        if kind == "take":
            self.on_take(name, at)
            return
        if kind == "flag":
            self.open_flag(name)
            return
        if kind == "badge":
            self._findings.look_at(name)
            self._menu(at, "mend", "ignore", None, "next_finding", "mend_all")
            return
        if kind == "clip":
            if name not in self._showing.clips:
                self._showing.choose_clips({name})
            self._menu(
                at, "blade", "trim_start", "trim_end", None, "speed", "reverse", "freeze", None,
                "copy", "paste", "duplicate", None, "mark_clip", "find_poses", None,
                "delete", "lift",
            )  # fmt: skip
            return
        if kind == "row":
            self._timeline.choose_row(name)
            self._pose_menu(at)
            return
        self._menu(
            at, "mark_in", "mark_out", "clear_marks", None, "marker", None, "draft", "render",
            "again", None, "zoom_fit", "timecode",
        )  # fmt: skip

    def in_viewer(self, number: int, at: QPoint) -> None:
        """Open the menu of a joint, or of the viewer."""
        if number >= 0:
            if number not in self._showing.joints:
                self._showing.choose_joints({number})
            self._pose_menu(at)
        else:
            self._menu(
                at, "single", "overlay", "side", "wipe", None, "fit", "actual", "look_at", None,
                "onion", "trails", "confidence", "grid", "compare", "live",
            )  # fmt: skip

    def _pose_menu(self, at: QPoint) -> None:
        self._menu(
            at, "key", "unkey", "hold", "hide", None, "fill", "smooth", "swap", "mirror", None,
            "copy", "paste", "paste_mirrored", None, "reset_pose", "look_at",
        )  # fmt: skip

    def _menu(self, at: QPoint, *names: str | None) -> None:
        self._actions.menu(self._canvas, *names).exec(at)

    def on_take(self, name: str, at: QPoint) -> None:
        """Open the menu of a version."""
        menu = QMenu(self._canvas)
        menu.addAction(say("Show as B")).triggered.connect(
            lambda: self._renders.choose_version(name, False)
        )
        menu.addAction(say("Compare as A")).triggered.connect(
            lambda: self._renders.choose_version(name, True)
        )
        menu.addAction(say("Show it in all of its frames")).triggered.connect(
            lambda: self._renders.show_everywhere(name)
        )
        menu.addSeparator()
        menu.addAction(say("Take off the list")).triggered.connect(
            lambda: self._renders.remove_take(name, files=False)
        )
        menu.addAction(say("Take off the list and delete its frames")).triggered.connect(
            lambda: self._renders.remove_take(name, files=True)
        )
        menu.exec(at)

    def open_flag(self, name: str) -> None:
        """Ask for name and colour of a marker."""
        project = self._session.project
        marker = next((each for each in project.markers if each.id == name), None)
        if marker is None:
            return
        dialog = MarkerDialog(self._canvas.window(), marker)
        dialog.removed.connect(
            lambda: self._do(say("Remove a marker"), editing.remove_marker(project, name))
        )
        if dialog.exec():
            changed = editing.change_marker(
                project, name, text=dialog.name.text(), colour=dialog.colour.key  # type: ignore[arg-type]
            )  # fmt: skip
            self._do(say("Change a marker"), changed)

    def _do(self, words: str, project: Project) -> None:
        self._session.document.do(words, project)
        self._session.document.end_gesture()
