"""The few dialogs: small, with one clear way on, and none that a key could not do."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QKeySequence, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QKeySequenceEdit,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QTextBrowser,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from marionext.errors import SettingsError
from marionext.frames import FrameRange, FrameRate
from marionext_desktop.model import editing
from marionext_desktop.model.exporting import FORMS, missing_frames
from marionext_desktop.model.project import COLOURS, Marker, Project
from marionext_desktop.model.settings import UserSettings
from marionext_desktop.model.shortcuts import COMMANDS, KEY_SETS, KeySet, keys_of
from marionext_desktop.model.timecode import can_drop
from marionext_desktop.model.words import LANGUAGES, say
from marionext_desktop.ui.controls import Choice, Number, Segments, label, retone, row
from marionext_desktop.ui.theme import font

__all__ = [
    "ExportDialog",
    "Form",
    "KeysDialog",
    "MarkerDialog",
    "PreferencesDialog",
    "ProjectDialog",
    "SpeedDialog",
    "TextDialog",
]


class Form(QDialog):
    """Lines of names and fields above the buttons."""

    def __init__(self, parent: QWidget, title: str, yes: str, *, width: int = 420) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(width)
        self.form = QFormLayout()
        self.form.setHorizontalSpacing(16)
        self.form.setVerticalSpacing(10)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.words = label("", "faint", 11, wrapped=True)
        self.ok = QPushButton(yes)
        self.ok.setDefault(True)
        self.ok.clicked.connect(self.accept)
        self.cancel = QPushButton(say("Cancel"))
        self.cancel.setAutoDefault(False)
        self.cancel.clicked.connect(self.reject)
        heading = label(title, "strong", 15, bold=True)
        self.buttons = row(None, self.cancel, self.ok, gap=8)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(20, 18, 20, 16)
        self.column.setSpacing(14)
        self.column.addWidget(heading)
        self.column.addLayout(self.form)
        self.column.addWidget(self.words)
        self.column.addWidget(self.buttons)
        self.words.hide()

    def say(self, words: str, tone: str = "faint") -> None:
        """Say something below the fields."""
        retone(self.words, tone)  # type: ignore[arg-type]
        self.words.setText(words)
        self.words.setVisible(bool(words))


class ProjectDialog(Form):
    """Rate, size and timecode of a project."""

    def __init__(self, parent: QWidget, project: Project) -> None:
        super().__init__(parent, say("Project settings"), say("Apply"))
        self._project = project
        self.rate = Choice()
        self.rate.setEditable(True)
        for rate in ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60"):
            self.rate.addItem(f"{float(Fraction(rate)):.6g}", rate)
        self.rate.setEditText(f"{float(project.rate):.6g}")
        self.across = Number(16, 8192, suffix=" px")
        self.down = Number(16, 8192, suffix=" px")
        self.across.show_value(project.size[0])
        self.down.show_value(project.size[1])
        self.drop = QCheckBox(say("Drop-frame timecode (29.97 and 59.94)"))
        self.drop.setChecked(project.drop_frame)
        self.form.addRow(say("Frames per second"), self.rate)
        self.form.addRow(say("Canvas"), row(self.across, label("×", "faint"), self.down, gap=8))
        self.form.addRow("", self.drop)
        self.rate.editTextChanged.connect(self._check)
        self._check()

    def _rate(self) -> FrameRate:
        text = self.rate.currentText().strip()
        exact = self.rate.currentData()
        shown = self.rate.itemText(self.rate.currentIndex())
        return FrameRate.parse(str(exact) if exact and text == shown else text)

    def _check(self) -> None:
        try:
            rate = self._rate()
        except SettingsError as error:
            self.ok.setEnabled(False)
            self.say(error.message, "bad")
            return
        self.ok.setEnabled(True)
        self.drop.setEnabled(can_drop(rate))
        words = say("Clips, markers and versions stay at their times.")
        self.say("" if rate == self._project.rate else words)

    def project(self) -> Project:
        """Return the project as it shall be."""
        project = editing.set_rate(self._project, self._rate())
        size = (int(self.across.value()), int(self.down.value()))
        drop = self.drop.isChecked() and self.drop.isEnabled()
        return replace(project, size=size, drop_frame=drop)


class SpeedDialog(Form):
    """How fast a clip is played."""

    def __init__(self, parent: QWidget, speed: Fraction) -> None:
        super().__init__(parent, say("Speed"), say("Apply"), width=320)
        self.speed = Number(1, 10000, decimals=1, suffix=" %")
        self.speed.show_value(float(abs(speed)) * 100)
        self.reverse = QCheckBox(say("Backwards"))
        self.reverse.setChecked(speed < 0)
        self.form.addRow(say("Speed"), self.speed)
        self.form.addRow("", self.reverse)
        self.speed.selectAll()

    def value(self) -> Fraction:
        """Return the speed as it shall be."""
        self.speed.interpretText()
        speed = Fraction(self.speed.value() / 100).limit_denominator(1000)
        return -speed if self.reverse.isChecked() else speed


class MarkerDialog(Form):
    """Name and colour of a marker."""

    removed = Signal()

    def __init__(self, parent: QWidget, marker: Marker) -> None:
        super().__init__(parent, say("Marker"), say("Apply"), width=340)
        self.name = QLineEdit(marker.name)
        self.colour = Choice((colour, say(colour.capitalize())) for colour in COLOURS)
        self.colour.choose(marker.colour)
        self.form.addRow(say("Name"), self.name)
        self.form.addRow(say("Colour"), self.colour)
        remove = QPushButton(say("Remove"))
        remove.setAutoDefault(False)
        remove.clicked.connect(self._remove)
        line = self.buttons.layout()
        if isinstance(line, QHBoxLayout):
            line.insertWidget(0, remove)
        self.name.setFocus()

    def _remove(self) -> None:
        self.removed.emit()
        self.reject()


class ExportDialog(Form):
    """What is made of the sequence, and where."""

    KINDS = (
        *((key, name) for key, (name, _suffix) in FORMS.items()),
        ("track", "Poses: native track (.npz)"),
        ("openpose", "Poses: OpenPose JSON, a folder"),
        ("comfyui", "Poses: ComfyUI POSE_KEYPOINT (.json)"),
        ("otio", "Timeline: OpenTimelineIO (.otio)"),
        ("job", "Job file for batch (.json)"),
    )
    _SUFFIXES: ClassVar[dict[str, str]] = {
        **{key: suffix for key, (_name, suffix) in FORMS.items()},
        "track": ".npz", "openpose": "", "comfyui": ".json", "otio": ".otio", "job": ".json",
    }  # fmt: skip

    def __init__(self, parent: QWidget, project: Project, folder: Path, name: str) -> None:
        super().__init__(parent, say("Export"), say("Export"), width=520)
        self._project, self._folder, self._name = project, folder, name
        self.kind = Choice((key, say(words)) for key, words in self.KINDS)
        self.take = Choice([("", say("What the timeline shows"))])
        for each in reversed(project.takes):
            if each.status == "done":
                self.take.addItem(each.name, each.id)
        marked = project.mark_in is not None or project.mark_out is not None
        self.range = Segments([("range", say("In–Out")), ("all", say("All"))])
        self.range.choose("range" if marked else "all")
        self.range.button("range").setEnabled(marked)
        self.range.chosen.connect(lambda _key: self._check())
        self.quality = Choice(
            [("high", say("High")), ("good", say("Good")), ("small", say("Small"))]
        )
        self.sound = QCheckBox(say("With sound"))
        self.sound.setChecked(True)
        self.file = QLineEdit()
        browse = QPushButton(say("Choose …"))
        browse.setAutoDefault(False)
        browse.clicked.connect(self._browse)
        self.form.addRow(say("Form"), self.kind)
        self.form.addRow(say("Version"), self.take)
        self.form.addRow(say("Range"), self.range)
        self.form.addRow(say("Quality"), self.quality)
        self.form.addRow("", self.sound)
        self.form.addRow(say("File"), row(self.file, browse, gap=8))
        self.kind.chosen.connect(lambda _key: self._propose())
        self.take.chosen.connect(lambda _key: self._check())
        self.file.textChanged.connect(lambda _text: self._check())
        self._propose()

    def _propose(self) -> None:
        suffix = self._SUFFIXES[self.kind.key]
        place = self._folder / f"{self._name}{suffix}"
        number = 1
        while place.exists():
            number += 1
            place = self._folder / f"{self._name}-{number}{suffix}"
        self.file.setText(str(place))
        pictures = self.kind.key in FORMS
        for one in (self.take, self.quality, self.sound):
            one.setEnabled(pictures)
        if self.kind.key in {"gif", "png"}:
            self.sound.setEnabled(False)
        self.quality.setEnabled(self.kind.key in {"mp4", "webm"})
        self._check()

    def _browse(self) -> None:
        if self._SUFFIXES[self.kind.key]:
            suffix = self._SUFFIXES[self.kind.key]
            text, _ = QFileDialog.getSaveFileName(
                self, say("Export"), self.file.text(), f"*{suffix}"
            )
        else:
            text = QFileDialog.getExistingDirectory(self, say("Export"), str(self._folder))
        if text:
            self.file.setText(text)

    def span(self) -> FrameRange | None:
        """Return the frames that are exported."""
        if self.range.key == "all":
            length = self._project.length
            return FrameRange(0, length) if length else None
        return self._project.span

    def path(self) -> Path:
        """Return where it goes."""
        return Path(self.file.text().strip()).expanduser()

    def _check(self) -> None:
        span = self.span()
        problem = ""
        if span is None:
            problem = say("There is nothing on the timeline.")
        elif not self.file.text().strip():
            problem = say("Choose a file.")
        elif self.path().exists() and not (self.path().is_dir() and not any(self.path().iterdir())):
            problem = say("{name} is there already: choose another name.", name=self.path().name)
        elif self.kind.key in FORMS:
            take = next((t for t in self._project.takes if t.id == self.take.key), None)
            missing = missing_frames(self._project, span, take)
            if missing:
                problem = say(
                    "{n} of these frames are not rendered, the first is {first}. Render them, or"
                    " export a shorter range.",
                    n=len(missing),
                    first=missing[0],
                )
        self.ok.setEnabled(not problem)
        count = "" if span is None else say("{n} frames", n=len(span))
        self.say(problem or count, "warn" if problem else "faint")


class PreferencesDialog(Form):
    """What the user chooses about the window."""

    def __init__(self, parent: QWidget, settings: UserSettings) -> None:
        super().__init__(parent, say("Preferences"), say("Apply"))
        self._settings = settings
        self.theme = Choice(
            [("system", say("As the system")), ("dark", say("Dark")), ("light", say("Light"))]
        )
        self.theme.choose(settings.theme)
        self.language = Choice([("system", say("As the system")), *LANGUAGES.items()])
        self.language.choose(settings.language)
        self.keys = Choice((key, say(words)) for key, words in KEY_SETS.items())
        self.keys.choose(settings.key_set)
        self.rendering = QCheckBox(say("Renders go on when the window is closed"))
        self.rendering.setChecked(settings.keep_rendering)
        self.proxy = QCheckBox(say("Make proxies of videos for smooth scrubbing"))
        self.proxy.setChecked(settings.proxy)
        self.form.addRow(say("Appearance"), self.theme)
        self.form.addRow(say("Language"), self.language)
        self.form.addRow(say("Keys"), self.keys)
        self.form.addRow("", self.rendering)
        self.form.addRow("", self.proxy)
        self.language.chosen.connect(
            lambda key: self.say(
                say("The language changes with the next start.") if key != settings.language else ""
            )
        )

    def settings(self) -> UserSettings:
        """Return the settings as they shall be."""
        return replace(
            self._settings,
            theme=self.theme.key,  # type: ignore[arg-type]
            language=self.language.key,  # type: ignore[arg-type]
            key_set=self.keys.key,  # type: ignore[arg-type]
            keep_rendering=self.rendering.isChecked(),
            proxy=self.proxy.isChecked(),
        )


class KeysDialog(QDialog):
    """All commands with their keys, to be looked for and changed."""

    def __init__(
        self, parent: QWidget, key_set: KeySet, changed: dict[str, tuple[str, ...]]
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(say("Keys"))
        self.resize(620, 640)
        self.changed = dict(changed)
        self.set = Choice((key, say(words)) for key, words in KEY_SETS.items())
        self.set.choose(key_set)
        self.set.chosen.connect(lambda _key: self._fill())
        self.search = QLineEdit()
        self.search.setPlaceholderText(say("Look for a command or a key"))
        self.search.setClearButtonEnabled(True)
        self._model = QStandardItemModel()
        self._shown = QSortFilterProxyModel()
        self._shown.setSourceModel(self._model)
        self._shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._shown.setFilterKeyColumn(-1)
        self._shown.setRecursiveFilteringEnabled(True)
        self.search.textChanged.connect(self._shown.setFilterFixedString)
        self.tree = QTreeView()
        self.tree.setModel(self._shown)
        self.tree.setAccessibleName(say("Commands and keys"))
        self.tree.setEditTriggers(QTreeView.EditTrigger.NoEditTriggers)
        self.tree.selectionModel().currentChanged.connect(lambda _new, _old: self._show_one())
        self.edit = QKeySequenceEdit()
        self.edit.setMaximumSequenceLength(1)
        self.edit.setClearButtonEnabled(True)
        self.edit.setAccessibleName(say("Press the new key"))
        self.edit.editingFinished.connect(self._change)
        self.usual = QPushButton(say("As usual"))
        self.usual.setAutoDefault(False)
        self.usual.clicked.connect(self._reset_one)
        self.words = label("", "faint", 11, wrapped=True)
        ok = QPushButton(say("Apply"))
        ok.setDefault(True)
        ok.clicked.connect(self.accept)
        cancel = QPushButton(say("Cancel"))
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        everything = QPushButton(say("All as usual"))
        everything.setAutoDefault(False)
        everything.clicked.connect(self._reset_all)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 16)
        column.setSpacing(12)
        column.addWidget(label(say("Keys"), "strong", 15, bold=True))
        column.addWidget(row(self.search, self.set, gap=8))
        column.addWidget(self.tree, 1)
        column.addWidget(row(label(say("Key")), self.edit, self.usual, gap=8))
        column.addWidget(self.words)
        column.addWidget(row(everything, None, cancel, ok, gap=8))
        self._fill()

    @property
    def key_set(self) -> KeySet:
        """Return the set that is chosen."""
        return self.set.key  # type: ignore[return-value]

    def _fill(self) -> None:
        before = self._command()
        self._model.clear()
        self._model.setHorizontalHeaderLabels([say("Command"), say("Key")])
        menus: dict[str, QStandardItem] = {}
        self._items: dict[str, QStandardItem] = {}
        for name, command in COMMANDS.items():
            menu = menus.get(command.menu)
            if menu is None:
                menu = menus[command.menu] = QStandardItem(say(command.menu))
                menu.setSelectable(False)
                empty = QStandardItem("")
                empty.setSelectable(False)
                self._model.appendRow([menu, empty])
            item = QStandardItem(say(command.words).rstrip(" …"))
            item.setData(name, Qt.ItemDataRole.UserRole)
            keys = keys_of(name, self.key_set, self.changed)
            shown = QStandardItem("   ".join(_native(key) for key in keys))
            shown.setFont(font(12, figures=True))
            if name in self.changed:
                item.setText("● " + item.text())
            menu.appendRow([item, shown])
            self._items[name] = item
        self.tree.expandAll()
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.header().resizeSection(1, 190)
        if before in self._items:
            self.choose(before)

    def choose(self, name: str) -> None:
        """Choose a command."""
        self.tree.setCurrentIndex(self._shown.mapFromSource(self._items[name].index()))

    def _command(self) -> str:
        index = self.tree.currentIndex().siblingAtColumn(0)
        return str(index.data(Qt.ItemDataRole.UserRole) or "") if index.isValid() else ""

    def _show_one(self) -> None:
        name = self._command()
        self.edit.setEnabled(bool(name))
        self.usual.setEnabled(name in self.changed)
        if name:
            keys = keys_of(name, self.key_set, self.changed)
            self.edit.setKeySequence(QKeySequence(keys[0] if keys else ""))
            self._warn(name)

    def _change(self) -> None:
        name = self._command()
        if not name:
            return
        key = self.edit.keySequence().toString(QKeySequence.SequenceFormat.PortableText)
        if (key,) == keys_of(name, self.key_set, self.changed)[:1]:
            return
        self.changed[name] = (key,) if key else ()
        self._fill()
        self._warn(name)

    def _warn(self, name: str) -> None:
        mine = set(keys_of(name, self.key_set, self.changed))
        others = [
            say(COMMANDS[other].words).rstrip(" …")
            for other in COMMANDS
            if other != name and mine & set(keys_of(other, self.key_set, self.changed))
        ]
        if others:
            retone(self.words, "warn")
            self.words.setText(say("Also the key of: {names}", names=", ".join(others)))
        else:
            retone(self.words, "faint")
            self.words.setText(say("Choose a command, click into the field and press its new key."))

    def _reset_one(self) -> None:
        self.changed.pop(self._command(), None)
        self._fill()

    def _reset_all(self) -> None:
        self.changed.clear()
        self._fill()


def _native(key: str) -> str:
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)


class TextDialog(QDialog):
    """Something to be read: help, a log."""

    def __init__(
        self,
        parent: QWidget,
        title: str,
        text: str,
        *,
        rich: bool = True,
        opened: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.resize(620, 640)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        shown: QWidget
        if rich:
            browser = QTextBrowser()
            browser.setOpenExternalLinks(opened is None)
            browser.setMarkdown(text)
            shown = browser
        else:
            plain = QPlainTextEdit(text)
            plain.setReadOnly(True)
            shown = plain
        shown.setAccessibleName(title)
        close = QPushButton(say("Close"))
        close.setDefault(True)
        close.clicked.connect(self.accept)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 14)
        column.setSpacing(12)
        column.addWidget(shown, 1)
        column.addWidget(row(None, close))
