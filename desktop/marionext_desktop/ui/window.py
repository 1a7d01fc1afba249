"""The window: panels in three workspaces, and what keeps them together."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from PySide6.QtCore import QByteArray, QPoint, QRectF, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QApplication, QMainWindow, QMenu, QSplitter, QVBoxLayout, QWidget

from marionext.queueing import Line
from marionext_desktop.model import editing
from marionext_desktop.model.files import SUFFIX
from marionext_desktop.model.project import Project
from marionext_desktop.model.relinking import Missing
from marionext_desktop.model.samples import sample_files
from marionext_desktop.model.settings import UserSettings, with_recent, write_settings
from marionext_desktop.model.timecode import format_timecode
from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import Button, Tabs
from marionext_desktop.ui.dialogs import (
    KeysDialog,
    PreferencesDialog,
    ProjectDialog,
    SpeedDialog,
    TextDialog,
)
from marionext_desktop.ui.editing_commands import EditingCommands
from marionext_desktop.ui.export_control import ExportControl
from marionext_desktop.ui.findings_control import FindingsControl
from marionext_desktop.ui.help import help_page
from marionext_desktop.ui.hints import Hints
from marionext_desktop.ui.inspector.character_control import CharacterControl
from marionext_desktop.ui.inspector.characters import CharacterPage
from marionext_desktop.ui.inspector.control import InspectorControl
from marionext_desktop.ui.inspector.render_control import RenderControl
from marionext_desktop.ui.inspector.rendering import RenderPage
from marionext_desktop.ui.inspector.selection import SelectionPage
from marionext_desktop.ui.library import LibraryPanel
from marionext_desktop.ui.library_control import LibraryControl
from marionext_desktop.ui.loading import PictureFiles
from marionext_desktop.ui.making_control import MakingControl
from marionext_desktop.ui.media_control import MediaControl
from marionext_desktop.ui.menus import Menus
from marionext_desktop.ui.models_control import ModelsControl
from marionext_desktop.ui.models_page import ModelsPage
from marionext_desktop.ui.project_control import ProjectControl
from marionext_desktop.ui.queue_panel import QueuePanel
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Options, Showing, Space
from marionext_desktop.ui.status_bar import StatusBar
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.timeline.control import TimelineControl
from marionext_desktop.ui.timeline.panel import TimelinePanel
from marionext_desktop.ui.top_bar import TopBar
from marionext_desktop.ui.viewer.control import ViewerControl
from marionext_desktop.ui.viewer.panel import ViewerPanel
from marionext_desktop.ui.watchdog import Watchdog

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
_SPACE_COMMANDS: dict[str, Space] = {
    "edit_space": "edit",
    "clean_space": "clean",
    "render_space": "render",
}
_SPACE_LAYOUTS = {"edit": "side", "clean": "overlay", "render": "wipe"}
_LEFT_WIDTH, _RIGHT_WIDTH, _BOTTOM_HEIGHT = 236, 336, 426


class Window(QMainWindow):
    """The editor.

    Args:
        session: what it works with.
        settings: the user's choices; None: as they are at the beginning.
    """

    def __init__(self, session: Session, settings: UserSettings | None = None) -> None:
        super().__init__()
        self.session = session
        self.settings = settings or UserSettings()
        self.watchdog = Watchdog(self)
        self.showing = Showing(self)
        self.actions_ = Actions(self)
        self.actions_.give_keys(self.settings.key_set, self.settings.keys)
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

        self.upper_half = QSplitter(Qt.Orientation.Horizontal)
        for above in (self.library, self.viewer, self.inspector):
            self.upper_half.addWidget(above)
        self.lower_half = QSplitter(Qt.Orientation.Horizontal)
        for below in (self.timeline, self.queue):
            self.lower_half.addWidget(below)
        self.halves = QSplitter(Qt.Orientation.Vertical)
        self.halves.addWidget(self.upper_half)
        self.halves.addWidget(self.lower_half)
        for splitter in (self.upper_half, self.lower_half, self.halves):
            splitter.setHandleWidth(6)
            splitter.setChildrenCollapsible(False)
        self.upper_half.setStretchFactor(1, 1)
        self.lower_half.setStretchFactor(0, 1)
        self.halves.setStretchFactor(0, 1)
        self.upper_half.splitterMoved.connect(
            lambda _at, _n: self._align(self.upper_half, self.lower_half)
        )
        self.lower_half.splitterMoved.connect(
            lambda _at, _n: self._align(self.lower_half, self.upper_half)
        )
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
        self.findings_control = FindingsControl(
            session.findings, session, showing, actions, self.selection, self.timeline_control,
            self.viewer,
        )  # fmt: skip
        self.projects = ProjectControl(self, session)
        self.exports = ExportControl(self, session)
        self.menus = Menus(
            actions, session, showing, self.timeline_control, self.viewer.canvas,
            self.findings_control, self.render_control,
        )  # fmt: skip
        self.making = MakingControl(self, session, showing)
        self.models_control = ModelsControl(self.models, session.models, session)
        self.timeline.sheet.dropped.connect(self.library_control.drop)
        self.models_control.wanted.connect(lambda: self.library.turn("models"))
        self.media = MediaControl(
            session, showing, actions, self.viewer_control, self.timeline_control,
            self.viewer.transport, self.library_control, self.status,
        )  # fmt: skip
        self.media.make_proxies(self.settings.proxy)
        self.exports.mix = self.media.mix
        self.render_control.show_log = self._show_log
        self._recent_menu = QMenu(say("Open recent"), self)
        self.top.menus["File"].insertMenu(actions["save"], self._recent_menu)
        self._recent_menu.aboutToShow.connect(self._fill_recent)

    def reset_layout(self) -> None:
        """Give all panels their usual sizes."""
        width = max(self.width(), 1280)
        self.upper_half.setSizes([_LEFT_WIDTH, width - _LEFT_WIDTH - _RIGHT_WIDTH, _RIGHT_WIDTH])
        self.lower_half.setSizes([width - _RIGHT_WIDTH, _RIGHT_WIDTH])
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
            actions[name].toggled.connect(partial(self._turn_option, option))
        for name, (option, value) in _CHOICE_COMMANDS.items():
            actions.on(name, partial(self._choose, option, value))
        for name, space in _SPACE_COMMANDS.items():
            actions.on(name, partial(showing.turn_to, space))
        commands = {
            "fit": self.viewer.canvas.fit,
            "actual": lambda: self.viewer.canvas.zoom_to(1.0),
            "look_at": self._look_at,
            "zoom_in": lambda: self.timeline.sheet.zoom(1.3),
            "zoom_out": lambda: self.timeline.sheet.zoom(1 / 1.3),
            "zoom_fit": self.timeline.sheet.fit,
            "back": lambda: self.media.player.step(-1),
            "on": lambda: self.media.player.step(1),
            "back_second": lambda: self.media.player.step(-self._second()),
            "on_second": lambda: self.media.player.step(self._second()),
            "previous_edit": lambda: self._to_edit(back=True),
            "next_edit": lambda: self._to_edit(back=False),
            "start": lambda: self.go_to(0),
            "end": lambda: self.go_to(session.project.length - 1),
            "go_to": self._type_place,
            "quit": self.close,
            "next_panel": self._next_panel,
            "models": lambda: self._show_library("models"),
            "import": self.library_control.ask_for_files,
            "new": self.projects.new,
            "open": self.projects.open,
            "save": self.projects.save,
            "save_as": self.projects.save_as,
            "make_character": self.making.ask,
            "relink": self.projects.relink,
            "export": self.exports.ask,
            "sample": lambda: self.projects.when_safe(self.open_sample),
            "project_settings": self._ask_project_settings,
            "preferences": self._ask_preferences,
            "speed": self._ask_speed,
            "find_poses": self._find_poses,
            "shortcuts": self._ask_keys,
            "help": self.show_help,
            "about": self._show_about,
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
        self.library.list.dropped.connect(self.open_files)
        showing.frame_changed.connect(lambda _frame: self._show_place())
        showing.options_changed.connect(lambda _old, new: self._show_options(new))
        showing.space_changed.connect(self._turn)
        for signal in (showing.joints_changed, showing.keys_changed, showing.clips_changed):
            signal.connect(self._show_chosen)
        session.document.changed.connect(self._document_changed)
        session.document.history_changed.connect(self._show_history)
        session.told.connect(self.status.tell)
        self.projects.named.connect(self._show_history)
        self.projects.opened.connect(self._remember)
        self.projects.missing_changed.connect(self._show_missing)
        session.engine.state_changed.connect(self._show_engine)
        self._show_engine(session.engine.state, "")

    def _turn_option(self, option: str, on: bool) -> None:
        self.showing.change(**{option: on})

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
            low, high = person.points[known].min(axis=0), person.points[known].max(axis=0)
            wide, tall = (max(float(side), 60.0) for side in high - low)
            x, y = ((low + high) / 2).tolist()
            canvas.look_at(QRectF(x - wide / 2, y - tall / 2, wide, tall))

    def _next_panel(self) -> None:
        panels = [self.library.list, self.viewer.canvas, self.timeline.sheet, self.inspector]
        shown = [panel for panel in panels if panel.isVisible()]
        at = next(
            (n for n, panel in enumerate(shown) if _has_focus(panel)),
            -1,
        )
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
        projects = self.projects
        self.top.show_project(projects.name, dirty=document.dirty, saved=projects.words)
        self.setWindowTitle(f"{projects.name}[*] – Marionext")
        self.setWindowModified(document.dirty)

    def _show_missing(self, missing: tuple[Missing, ...]) -> None:
        names = frozenset(each.id for each in missing)
        self.timeline_control.missing = self.library_control.missing = names
        self.timeline_control.refresh()
        self.library_control.refresh()

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
            self.status.tell(
                "bad",
                say("The engine was lost: {why}. It starts again with the next job.", why=message),
            )

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
            self.open_files(paths)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape lets go of what is dragged, then chooses nothing."""
        if event.key() == Qt.Key.Key_Escape:
            held = (self.timeline.sheet, self.viewer.canvas, self.character.canvas)
            if not any(each.drop_gesture() for each in held):
                self.editing.select_none()
            return
        super().keyPressEvent(event)

    # ---------------------------------------------------------------- dialogs

    def _ask_project_settings(self) -> None:
        dialog = ProjectDialog(self, self.session.project)
        if dialog.exec():
            self._do(say("Project settings"), dialog.project())

    def _ask_speed(self) -> None:
        project, chosen = self.session.project, self.showing.clips
        clips = [clip for clip in project.clips if clip.id in chosen]
        if not clips:
            return
        dialog = SpeedDialog(self, clips[0].speed)
        if dialog.exec():
            speed = dialog.value()
            for clip in clips:
                project = editing.retime(project, clip.id, speed)
            self._do(say("Speed"), project)

    def _ask_preferences(self) -> None:
        dialog = PreferencesDialog(self, self.settings)
        if dialog.exec():
            self.change_settings(dialog.settings())

    def _ask_keys(self) -> None:
        dialog = KeysDialog(self, self.settings.key_set, dict(self.settings.keys))
        if dialog.exec():
            self.change_settings(
                replace(self.settings, key_set=dialog.key_set, keys=dialog.changed)
            )

    def change_settings(self, settings: UserSettings) -> None:
        """Take over other choices of the user, and keep them."""
        before, self.settings = self.settings, settings
        if before.theme != settings.theme:
            theme().apply(settings.theme)
        if (before.key_set, before.keys) != (settings.key_set, settings.keys):
            self.actions_.give_keys(settings.key_set, settings.keys)
        self.media.make_proxies(settings.proxy)
        write_settings(settings)

    def show_help(self) -> None:
        """Show the page of this workspace."""
        page = help_page(self.showing.space, self.actions_)
        TextDialog(self, say("Help"), page).open()

    def _show_about(self) -> None:
        text = say(
            "# Marionext {version}\n\nRenders a character video from a motion.\n\n"
            "Apache License 2.0. Icons: Lucide (ISC). Qt for Python (LGPL 3).",
            version=version("marionext"),
        )
        TextDialog(self, say("About Marionext"), text).open()

    def _show_log(self, lines: list[Line]) -> None:
        text = "\n".join(
            f"{datetime.fromtimestamp(each.at):%H:%M:%S}  {each.text}" for each in lines
        )
        TextDialog(self, say("Log"), text or say("Nothing was said."), rich=False).open()

    def _find_poses(self) -> None:
        project = self.session.project
        clip = project.clip_at(self.showing.frame)
        if clip is not None:
            self.session.captures.start(project.source(clip.source), anew=True)

    def _do(self, words: str, project: Project) -> None:
        self.session.document.do(words, project)
        self.session.document.end_gesture()

    # ---------------------------------------------------------------- projects

    def _remember(self, path: Path) -> None:
        self.settings = with_recent(self.settings, path)
        write_settings(self.settings)

    def _fill_recent(self) -> None:
        self._recent_menu.clear()
        for name in self.settings.recent:
            path = Path(name)
            action = self._recent_menu.addAction(f"{path.stem}   {path.parent}")
            action.setEnabled(path.is_file())
            action.triggered.connect(lambda _on=False, path=path: self.projects.open(path))
        if not self.settings.recent:
            self._recent_menu.addAction(say("None yet")).setEnabled(False)

    def open_files(self, paths: list[str]) -> None:
        """Open a project, or bring media in."""
        projects = [path for path in paths if path.endswith(SUFFIX)]
        if projects:
            self.projects.open(Path(projects[0]))
        media = [path for path in paths if not path.endswith(SUFFIX)]
        if media:
            self.session.bring_in(media)

    def open_sample(self) -> None:
        """Open the sample project: the bundled dance and the bundled character."""
        self.projects.reset_to_empty()
        self.session.bring_in(sample_files())

    def begin(self) -> None:
        """Do what belongs to the start: recovery, the sample and its hints the first time."""
        self.projects.offer_recovery()
        if not self.settings.started:
            self.change_settings(replace(self.settings, started=True))
            if not self.session.project.sources:
                self.open_sample()
                self.show_hints()

    def show_hints(self) -> None:
        """Show the three hints."""
        play, canvas = self.viewer.transport.play, self.viewer.canvas
        where = QPoint(canvas.width() // 2, canvas.height() // 2)
        if self.showing.options.layout == "side":
            where = QPoint(canvas.width() // 2 - 40, canvas.height() // 2)
        keys = self.actions_["draft"].shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        self._hints = Hints(
            self,
            [
                (play, QPoint(play.width() // 2, 0), say("Press Space"),
                 say("The sample dance plays, and the character dances along on the right.")),
                (canvas, where, say("Drag a wrist"),
                 say("The arm follows and keeps its length; the change fades around the frame.")),
                (self.timeline.sheet, QPoint(320, 4), say("Mark a range, then draft it"),
                 say("I and O set in and out; {keys} renders a draft of it.", keys=keys)),
            ],
        )  # fmt: skip

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask where work would be lost, then end what runs beside the window."""
        if not self._closing and self.isVisible():
            # Closing from within is nothing to Qt: what is decided at once goes on below.
            self.projects.when_safe(self.close_unasked)
            if not self._closing:
                event.ignore()
                return
        self._end()
        event.accept()

    def is_moving(self) -> bool:
        """Tell whether it plays, or somebody drags: then a pause of the window would be seen."""
        dragged = QApplication.mouseButtons() != Qt.MouseButton.NoButton
        return self.media.player.playing or dragged

    def close_unasked(self) -> None:
        """Close, whatever is not saved."""
        self._closing = True
        self.close()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        sizes = [self.upper_half.sizes(), self.lower_half.sizes(), self.halves.sizes()]
        panels = "/".join(",".join(map(str, each)) for each in sizes)
        geometry = bytes(self.saveGeometry().toBase64().data()).decode("ascii")
        write_settings(replace(self.settings, window=geometry, panels=panels))
        self.media.close()
        self.making.close()
        self.projects.close()
        self.files.close()
        self.session.close(keep_rendering=self.settings.keep_rendering)

    _closing = False
    _ended = False

    def restore_layout(self) -> None:
        """Take the size and the panels of the last time."""
        if self.settings.window:
            self.restoreGeometry(QByteArray.fromBase64(self.settings.window.encode("ascii")))
        try:
            sizes = [[int(n) for n in part.split(",")] for part in self.settings.panels.split("/")]
        except ValueError:
            return
        for splitter, each in zip(
            (self.upper_half, self.lower_half, self.halves), sizes, strict=False
        ):
            if len(each) == splitter.count() and all(n > 0 for n in each):
                splitter.setSizes(each)


def _has_focus(panel: QWidget) -> bool:
    focused = QApplication.focusWidget()
    return focused is not None and (panel is focused or panel.isAncestorOf(focused))
