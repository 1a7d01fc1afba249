"""The window: panels in three workspaces, and what keeps them together."""

from PySide6.QtCore import QByteArray, QTimer, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeyEvent
from PySide6.QtWidgets import QMainWindow, QSplitter, QVBoxLayout, QWidget

from marionext_desktop.model import editing
from marionext_desktop.model.project import Project
from marionext_desktop.model.timecode import format_timecode
from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import Button, Tabs
from marionext_desktop.ui.editing_commands import EditingCommands
from marionext_desktop.ui.inspector.character_control import CharacterControl
from marionext_desktop.ui.inspector.characters import CharacterPage
from marionext_desktop.ui.inspector.control import InspectorControl
from marionext_desktop.ui.inspector.render_control import RenderControl
from marionext_desktop.ui.inspector.rendering import RenderPage
from marionext_desktop.ui.inspector.selection import SelectionPage
from marionext_desktop.ui.library import LibraryPanel
from marionext_desktop.ui.library_control import LibraryControl
from marionext_desktop.ui.loading import PictureFiles
from marionext_desktop.ui.models_page import ModelsPage
from marionext_desktop.ui.queue_panel import QueuePanel
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Options, Showing
from marionext_desktop.ui.status_bar import StatusBar
from marionext_desktop.ui.timeline.control import TimelineControl
from marionext_desktop.ui.timeline.panel import TimelinePanel
from marionext_desktop.ui.top_bar import TopBar
from marionext_desktop.ui.viewer.control import ViewerControl
from marionext_desktop.ui.viewer.panel import ViewerPanel

__all__ = ["Window"]

_OPTION_COMMANDS = {
    "snap": "snap",
    "onion": "onion",
    "trails": "trails",
    "confidence": "confidence",
    "grid": "grid",
    "compare": "compare",
    "live": "live",
    "loop": "loop",
    "mute": "mute",
    "timecode": "timecode",
}
"""Commands that turn an option on and off, with the options' names."""
_CHOICE_COMMANDS = {
    "single": ("layout", "single"),
    "overlay": ("layout", "overlay"),
    "side": ("layout", "side"),
    "wipe": ("layout", "wipe"),
    "tool_select": ("tool", "select"),
    "tool_blade": ("tool", "blade"),
    "tool_slip": ("tool", "slip"),
    "tool_retime": ("tool", "retime"),
    "drag_joint": ("way", "joint"),
    "drag_limb": ("way", "limb"),
    "drag_hand": ("way", "hand"),
}
"""Commands that choose a value of an option."""
_SPACE_COMMANDS = {"edit_space": "edit", "clean_space": "clean", "render_space": "render"}
_SPACE_LAYOUTS = {"edit": "side", "clean": "overlay", "render": "wipe"}
_LEFT_WIDTH, _RIGHT_WIDTH, _BOTTOM_HEIGHT = 236, 336, 408


class Window(QMainWindow):
    """The editor.

    Args:
        session: what it works with.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.showing = Showing(self)
        self.actions_ = Actions(self)
        self.actions_.give_keys("editor")
        self.setWindowTitle("Marionext[*]")
        self.setAcceptDrops(True)
        self.setMinimumSize(1024, 640)
        self._build()
        self._connect()
        self._layouts: dict[str, str] = dict(_SPACE_LAYOUTS)
        self._show_options(self.showing.options)
        self._show_project()
        self.viewer.canvas.setFocus()

    # ---------------------------------------------------------------- parts

    def _build(self) -> None:
        actions, showing = self.actions_, self.showing
        self.top = TopBar(actions, showing)
        self.setMenuWidget(self.top)
        self.models = ModelsPage()
        self.library = LibraryPanel(actions, self.models)
        self.viewer = ViewerPanel(actions, showing)
        self.selection = SelectionPage(actions, showing)
        self.character = CharacterPage(actions)
        self.rendering = RenderPage(actions)
        self.inspector = Tabs(
            [
                ("selection", say("Inspector"), self.selection),
                ("character", say("Character"), self.character),
                ("render", say("Render"), self.rendering),
            ],
            Button("panel-right", action=actions["inspector"]),
        )
        self.timeline = TimelinePanel(actions, showing)
        self.queue = QueuePanel(actions)
        self.status = StatusBar()

        self.upper = QSplitter(Qt.Orientation.Horizontal)
        for part in (self.library, self.viewer, self.inspector):
            self.upper.addWidget(part)
        self.lower = QSplitter(Qt.Orientation.Horizontal)
        for part in (self.timeline, self.queue):
            self.lower.addWidget(part)
        self.halves = QSplitter(Qt.Orientation.Vertical)
        self.halves.addWidget(self.upper)
        self.halves.addWidget(self.lower)
        for splitter in (self.upper, self.lower, self.halves):
            splitter.setHandleWidth(6)
            splitter.setChildrenCollapsible(False)
        self.upper.setStretchFactor(1, 1)
        self.lower.setStretchFactor(0, 1)
        self.halves.setStretchFactor(0, 1)
        self.upper.splitterMoved.connect(lambda _at, _n: self._align(self.upper, self.lower))
        self.lower.splitterMoved.connect(lambda _at, _n: self._align(self.lower, self.upper))
        for right in (self.inspector, self.queue):
            right.setMinimumWidth(280)
        back = QWidget()
        back.setObjectName("back")
        column = QVBoxLayout(back)
        column.setContentsMargins(6, 0, 6, 0)
        column.setSpacing(0)
        column.addWidget(self.halves, 1)
        column.addWidget(self.status)
        self.setCentralWidget(back)
        self.reset_layout()

        self.timeline_control = TimelineControl(self.timeline, self.session, showing)
        self.viewer_control = ViewerControl(self.viewer, self.session, showing)
        self.inspector_control = InspectorControl(self.selection, self.session, showing, actions)
        self.editing = EditingCommands(actions, self.session, showing, self.timeline_control)
        self.files = PictureFiles(self)
        session = self.session
        self.render_control = RenderControl(
            self.rendering, self.queue, session, showing, actions, self.files
        )
        self.timeline_control.describe_take = self.render_control.describe
        self.render_control.queue_moved = self.timeline_control.refresh
        self.library_control = LibraryControl(self.library, session, showing, self.files)
        self.character_control = CharacterControl(self.character, session, showing, self.files)

    def reset_layout(self) -> None:
        """Give all panels their usual sizes."""
        width = max(self.width(), 1280)
        self.upper.setSizes([_LEFT_WIDTH, width - _LEFT_WIDTH - _RIGHT_WIDTH, _RIGHT_WIDTH])
        self.lower.setSizes([width - _RIGHT_WIDTH, _RIGHT_WIDTH])
        self.halves.setSizes([max(self.height() - _BOTTOM_HEIGHT, 300), _BOTTOM_HEIGHT])

    def _align(self, moved: QSplitter, other: QSplitter) -> None:
        """Keep the right column as wide above as below."""
        right = moved.sizes()[-1]
        sizes = other.sizes()
        spare = sizes[-1] - right
        sizes[-1] = right
        sizes[-2] += spare
        other.setSizes(sizes)

    # ---------------------------------------------------------------- commands

    def _connect(self) -> None:
        actions, showing, session = self.actions_, self.showing, self.session
        for name, option in _OPTION_COMMANDS.items():
            actions[name].toggled.connect(
                lambda on, option=option: showing.change(**{option: on})
            )
        for name, (option, value) in _CHOICE_COMMANDS.items():
            actions.on(name, lambda option=option, value=value: self._choose(option, value))
        for name, space in _SPACE_COMMANDS.items():
            actions.on(name, lambda space=space: showing.turn_to(space))  # type: ignore[arg-type]
        commands = {
            "fit": self.viewer.canvas.fit,
            "actual": lambda: self.viewer.canvas.zoom_to(1.0),
            "look_at": self._look_at,
            "zoom_in": lambda: self.timeline.sheet.zoom(1.3),
            "zoom_out": lambda: self.timeline.sheet.zoom(1 / 1.3),
            "zoom_fit": self.timeline.sheet.fit,
            "back": lambda: self.go_to(showing.frame - 1),
            "on": lambda: self.go_to(showing.frame + 1),
            "back_second": lambda: self.go_to(showing.frame - self._second()),
            "on_second": lambda: self.go_to(showing.frame + self._second()),
            "previous_edit": lambda: self._to_edit(back=True),
            "next_edit": lambda: self._to_edit(back=False),
            "start": lambda: self.go_to(0),
            "end": lambda: self.go_to(session.project.length - 1),
            "go_to": self._type_place,
            "quit": self.close,
            "next_panel": self._next_panel,
            "models": lambda: self._show_library("models"),
            "import": self.library_control.ask_for_files,
        }
        for name, do in commands.items():
            actions.on(name, do)
        actions["library"].toggled.connect(self.library.setVisible)
        actions["inspector"].toggled.connect(self._show_right)
        actions["full_screen"].toggled.connect(
            lambda on: self.showFullScreen() if on else self.showNormal()
        )
        for name in ("library", "inspector"):
            actions.check(name, True)
        self.viewer.transport.place.entered.connect(self.go_to)
        self.library.list.dropped.connect(session.bring_in)
        showing.frame_changed.connect(lambda _frame: self._show_place())
        showing.options_changed.connect(lambda _old, new: self._show_options(new))
        showing.space_changed.connect(self._turn)
        for signal in (showing.joints_changed, showing.keys_changed, showing.clips_changed):
            signal.connect(self._show_chosen)
        session.document.changed.connect(self._document_changed)
        session.document.history_changed.connect(self._show_history)
        session.told.connect(self.status.tell)
        session.engine.state_changed.connect(self._show_engine)
        self._show_engine(session.engine.state, "")

    def _choose(self, option: str, value: str) -> None:
        self.showing.change(**{option: value})
        self._show_options(self.showing.options)

    def go_to(self, frame: int) -> None:
        """Show a frame, or the nearest there is."""
        last = max(self.session.project.length - 1, 0)
        self.showing.go_to(min(max(frame, 0), last))

    def _second(self) -> int:
        return max(round(float(self.session.project.rate)), 1)

    def _to_edit(self, *, back: bool) -> None:
        found = editing.next_edit_point(self.session.project, self.showing.frame, back=back)
        if found is not None:
            self.go_to(found)

    def _type_place(self) -> None:
        place = self.viewer.transport.place
        place.setFocus(Qt.FocusReason.ShortcutFocusReason)
        place.selectAll()

    def _look_at(self) -> None:
        canvas = self.viewer.canvas
        stage = canvas.stage
        if stage.person >= len(stage.people):
            return
        person = stage.people[stage.person]
        chosen = sorted(self.showing.joints) or list(range(24))
        known = [number for number in chosen if person.scores[number] > 0]
        if known:
            from PySide6.QtCore import QRectF  # noqa: PLC0415

            low, high = person.points[known].min(axis=0), person.points[known].max(axis=0)
            wide, tall = (max(float(side), 60.0) for side in high - low)
            x, y = ((low + high) / 2).tolist()
            canvas.look_at(QRectF(x - wide / 2, y - tall / 2, wide, tall))

    def _next_panel(self) -> None:
        panels = [self.library.list, self.viewer.canvas, self.timeline.sheet, self.inspector]
        shown = [panel for panel in panels if panel.isVisible()]
        at = next((n for n, panel in enumerate(shown) if panel.hasFocus() or panel.isAncestorOf(self.focusWidget() or self)), -1)
        target = shown[(at + 1) % len(shown)]
        if target is self.inspector:
            target.focusNextChild()
        target.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _show_library(self, page: str) -> None:
        self.actions_.check("library", True)
        self.library.turn(page)

    def _show_right(self, on: bool) -> None:
        self.inspector.setVisible(on)
        self.queue.setVisible(on)

    # ---------------------------------------------------------------- what is shown

    def _show_options(self, options: Options) -> None:
        for name, option in _OPTION_COMMANDS.items():
            self.actions_.check(name, bool(getattr(options, option)))
        for name, (option, value) in _CHOICE_COMMANDS.items():
            self.actions_.check(name, getattr(options, option) == value)
        self._layouts[self.showing.space] = options.layout
        place = self.viewer.transport.place
        place.timecode = options.timecode
        self.viewer.transport.show_muted(options.mute)
        self._show_place()

    def _turn(self, space: str) -> None:
        for name, each in _SPACE_COMMANDS.items():
            self.actions_.check(name, each == space)
        self.actions_.check("library", space != "clean")
        self.showing.change(layout=self._layouts[space])
        self.inspector.turn("render" if space == "render" else "selection")
        self.status.show_space(space)

    def _document_changed(self, old: Project, new: Project) -> None:
        last = max(new.length - 1, 0)
        if self.showing.frame > last:
            self.showing.go_to(last)
        known = {clip.id for clip in new.clips}
        if not self.showing.clips <= known:
            self.showing.choose_clips(self.showing.clips & known)
        if old.rate != new.rate or old.drop_frame != new.drop_frame or old.clips is not new.clips:
            self._show_place()
        self._show_marks()

    def _show_project(self) -> None:
        self._show_history()
        self._show_place()
        self._show_marks()

    def _show_history(self) -> None:
        document = self.session.document
        self.status.show_undo(document.undo_label)
        self.top.show_project(self.project_name(), dirty=document.dirty, saved="")
        self.setWindowModified(document.dirty)

    def project_name(self) -> str:
        """Return the name of the project, for people."""
        return say("Untitled")

    def _show_place(self) -> None:
        project = self.session.project
        place = self.viewer.transport.place
        place.rate, place.drop = project.rate, project.drop_frame
        self.viewer.transport.show_place(self.showing.frame, project.length)

    def _show_marks(self) -> None:
        project = self.session.project

        def words(frame: int | None) -> str:
            if frame is None:
                return ""
            if not self.showing.options.timecode:
                return str(frame)
            return format_timecode(frame, project.rate, drop=project.drop_frame)

        self.viewer.transport.show_marks(words(project.mark_in), words(project.mark_out))

    def _show_chosen(self) -> None:
        showing = self.showing
        parts = []
        if showing.keys:
            rows = len({row for row, _ in showing.keys})
            parts.append(say("{n} keys chosen in {rows} rows", n=len(showing.keys), rows=rows))
        if showing.clips:
            parts.append(say("{n} clips chosen", n=len(showing.clips)))
        if len(showing.joints) > 1:
            parts.append(say("{n} joints chosen", n=len(showing.joints)))
        self.status.show_chosen("  ·  ".join(parts))

    def _show_engine(self, state: str, message: str) -> None:
        words, tone = {
            "off": (say("Engine ready"), "good"),
            "ready": (say("Engine ready"), "good"),
            "working": (say("Engine works"), "accent"),
            "lost": (say("Engine was lost"), "bad"),
        }[state]
        self.top.show_engine(words, "", tone)
        self.top.engine.setToolTip(message)
        if state == "lost":
            self.status.tell("bad", say("The engine was lost: {why}. It starts again with the next job.", why=message))

    # ---------------------------------------------------------------- files dropped anywhere

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Bring files in."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.session.bring_in(paths)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape lets go of what is dragged, then chooses nothing."""
        if event.key() == Qt.Key.Key_Escape:
            if not (self.timeline.sheet.drop_gesture() or self.viewer.canvas.drop_gesture()):
                self.editing.select_none()
            return
        super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """End what runs beside the window."""
        self.files.close()
        self.session.close()
        event.accept()
