"""How the next render is made, what it will take, and the versions there are."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QPoint, QRectF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPixmap,
)
from PySide6.QtWidgets import QFrame, QGridLayout, QVBoxLayout, QWidget

from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import (
    Button,
    Choice,
    Number,
    Scrolled,
    Section,
    Segments,
    field,
    label,
    row,
    with_keys,
)
from marionext_desktop.ui.icons import icon_picture
from marionext_desktop.ui.painting import BOLD, box, painting, text
from marionext_desktop.ui.theme import theme

__all__ = ["EstimateLines", "RenderPage", "Version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateLines:
    """What a render will take."""

    title: str
    lines: tuple[tuple[str, str], ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A take, as a card."""

    id: str
    title: str
    words: str
    state: Literal["done", "running", "waiting", "stale", "failed"] = "done"
    picture: QPixmap | None = None


class _Estimate(QFrame):
    """What a render takes, before anything is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("estimate")
        self._grid = QGridLayout()
        self._grid.setVerticalSpacing(5)
        self._title = label(say("Estimate"), "strong", bold=True)
        self._warning = label("", "warn", 11, wrapped=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 11)
        column.setSpacing(7)
        column.addWidget(self._title)
        column.addLayout(self._grid)
        column.addWidget(self._warning)
        self._cells: list[QWidget] = []

    def show_lines(self, estimate: EstimateLines) -> None:
        """Show other figures."""
        self._title.setText(estimate.title)
        for cell in self._cells:
            self._grid.removeWidget(cell)
            cell.deleteLater()
        self._cells = []
        for line, (name, value) in enumerate(estimate.lines):
            left, right = label(name), label(value, "strong", figures=True)
            right.setAlignment(Qt.AlignmentFlag.AlignRight)
            self._grid.addWidget(left, line, 0)
            self._grid.addWidget(right, line, 1)
            self._cells += [left, right]
        self._warning.setText(estimate.warning)
        self._warning.setVisible(bool(estimate.warning))


class _Card(QWidget):
    """A version: a click compares it (B), with Shift it is A."""

    pressed = Signal(str, bool)
    menu_wanted = Signal(str, QPoint)

    def __init__(self, version: Version) -> None:
        super().__init__()
        self.version = version
        self.mark = ""
        self.setFixedSize(94, 122)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(f"{version.title}, {version.words}")
        self.setToolTip(say("{name}: click shows it as B, Shift+click as A", name=version.title))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the card."""
        version = self.version
        with painting(self) as p:
            p.setRenderHint(QPainter.RenderHint.Antialiasing)
            p.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            edge = {"A": "strong", "B": "accent"}.get(
                self.mark, "accent" if self.hasFocus() else "edge"
            )
            whole = QRectF(self.rect()).adjusted(0.75, 0.75, -0.75, -0.75)
            box(p, whole, 6, "head", edge, 1.5 if self.mark or self.hasFocus() else 1)
            frame = QRectF(4, 4, 86, 74)
            shape = QPainterPath()
            shape.addRoundedRect(frame, 4, 4)
            p.save()
            p.setClipPath(shape)
            p.fillRect(frame, theme().colour("line"))
            if version.picture is not None and not version.picture.isNull():
                w, h = version.picture.width(), version.picture.height()
                scale = max(frame.width() / w, frame.height() / h)
                wide, tall = frame.width() / scale, frame.height() / scale
                p.drawPixmap(
                    frame, version.picture, QRectF((w - wide) / 2, (h - tall) * 0.2, wide, tall)
                )
            else:
                p.drawPixmap(38, 32, icon_picture("image", "faint", 18))
            p.restore()
            text(p, 8, 97, version.title, "strong", 12, BOLD)
            tone = {"failed": "bad", "stale": "warn", "running": "accent"}.get(
                version.state, "faint"
            )
            text(p, 8, 113, version.words, tone, 11, width=78)
            if self.mark:
                badge = QRectF(68, 83, 19, 18)
                box(p, badge, 4, "accent" if self.mark == "B" else "strong")
                colour = "on_accent" if self.mark == "B" else "back"
                text(
                    p,
                    badge.center().x(),
                    badge.y() + 13.5,
                    self.mark,
                    colour,
                    11,
                    BOLD,
                    align="centre",
                )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Compare it."""
        if event.button() is Qt.MouseButton.LeftButton:
            shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.pressed.emit(self.version.id, shift)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space compares it."""
        if event.key() in {Qt.Key.Key_Space, Qt.Key.Key_Return}:
            shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.pressed.emit(self.version.id, shift)
            return
        super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for a menu."""
        self.menu_wanted.emit(self.version.id, event.globalPos())

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the focus."""
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Show the focus."""
        self.update()


class RenderPage(Scrolled):
    """The inspector's page of the render."""

    changed = Signal(str, object)
    """Name of a field of `RenderChoice`, and its new value."""
    range_chosen = Signal(str)
    version_chosen = Signal(str, bool)
    version_menu_wanted = Signal(str, QPoint)

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self.model = Choice(tip=say("The model that renders"))
        self.model.chosen.connect(lambda key: self.changed.emit("model", key))
        self.quality = Choice(tip=say("How carefully it renders"))
        self.quality.chosen.connect(lambda key: self.changed.emit("quality", key or None))
        self.character = Choice(tip=say("Who takes the dancer's part"))
        self.character.chosen.connect(lambda key: self.changed.emit("character", key or None))
        self.frame_size = Choice(tip=say("Width and height of the frames"))
        self.frame_size.chosen.connect(self._tell_size)
        self.range = Segments(
            [("range", say("In–Out")), ("all", say("All"))], tip=say("What is rendered")
        )
        self.range.chosen.connect(self.range_chosen)
        self.seed = Number(0, 2**31 - 1, tip=say("Another seed, other details"))
        self.seed.entered.connect(lambda value: self.changed.emit("seed", int(value)))
        self.steps = Number(0, 200, tip=say("Denoising steps; 0: as the quality says"))
        self.steps.setSpecialValueText(say("by quality"))
        self.steps.entered.connect(lambda value: self.changed.emit("steps", int(value) or None))
        self.estimate = _Estimate()
        draft = Button("zap", say("Draft"), kind="soft", action=actions["draft"])
        self.queue = Button(words=say("Add to queue"), kind="primary", action=actions["render"])
        keys = actions["draft"].shortcut()
        draft.setText(with_keys(say("Draft"), keys).replace("(", " ").replace(")", ""))
        self._draft, self._actions = draft, actions
        actions["draft"].changed.connect(self._show_keys)
        self.compared = label(say("compare A | B"), "faint", 11)
        holder = QWidget()
        self._cards = QGridLayout(holder)
        self._cards.setContentsMargins(0, 0, 0, 0)
        self._cards.setSpacing(8)
        self._shown: dict[str, _Card] = {}
        self._versions: tuple[Version, ...] = ()
        self._none = label(say("Renders of this project stand here."), "faint", 11, wrapped=True)
        self.add(
            Section(
                say("Render"),
                field(say("Model"), self.model),
                field(say("Quality"), self.quality),
                field(say("Character"), self.character),
                field(say("Size"), self.frame_size),
                field(say("Range"), self.range),
                field(say("Seed"), self.seed),
                field(say("Steps"), self.steps),
                self.estimate,
                row(draft, None, self.queue),
            ),
            Section(say("Versions"), holder, self._none, extra=self.compared),
        )

    def _show_keys(self) -> None:
        keys = self._actions["draft"].shortcut()
        words = keys.toString(keys.SequenceFormat.NativeText)
        self._draft.setText(f"{say('Draft')}  {words}".strip())

    def _tell_size(self, key: str) -> None:
        sides = tuple(int(side) for side in key.split("x")) if key else None
        self.changed.emit("size", sides)

    def show_versions(self, versions: Iterable[Version], a: str, b: str) -> None:
        """Show takes, and which are compared."""
        found = tuple(versions)
        if found != self._versions:
            self._versions = found
            for card in self._shown.values():
                self._cards.removeWidget(card)
                card.deleteLater()
            self._shown = {}
            for place, version in enumerate(found):
                card = _Card(version)
                card.pressed.connect(self.version_chosen)
                card.menu_wanted.connect(self.version_menu_wanted)
                self._cards.addWidget(card, place // 3, place % 3, Qt.AlignmentFlag.AlignLeft)
                self._shown[version.id] = card
        for name, card in self._shown.items():
            mark = "B" if name == b else "A" if name == a else ""
            if card.mark != mark:
                card.mark = mark
                card.update()
        self._none.setVisible(not found)
