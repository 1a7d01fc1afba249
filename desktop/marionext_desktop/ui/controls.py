"""The few controls that all panels are made of: buttons, segments, fields, sections, panels."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QIcon,
    QKeyEvent,
    QKeySequence,
    QPaintEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from marionext_desktop.ui.icons import icon, icon_picture
from marionext_desktop.ui.painting import BOLD, MEDIUM, painting
from marionext_desktop.ui.theme import font, theme

__all__ = [
    "Amount",
    "Button",
    "Choice",
    "Number",
    "Panel",
    "Scrolled",
    "Section",
    "Segments",
    "Tabs",
    "field",
    "label",
    "retone",
    "row",
    "separator",
    "with_keys",
]

Kind = Literal["flat", "bare", "segment", "tab", "primary", "soft", "deep", "play"]
_NAME_WIDTH = 88
"""Pixels of the column of names in an inspector."""


def with_keys(words: str, keys: QKeySequence | str | None) -> str:
    """Return a tooltip that ends with the shortcut, as in ``Blade (Ctrl+B)``."""
    shown = QKeySequence(keys or "").toString(QKeySequence.SequenceFormat.NativeText)
    return f"{words} ({shown})" if shown else words


class Button(QToolButton):
    """A button with an icon, words or both, in one of the window's few kinds.

    A button made from an action does what the action does and shows its state and shortcut.
    """

    def __init__(
        self,
        picture: str = "",
        words: str = "",
        *,
        tip: str = "",
        kind: Kind = "flat",
        checkable: bool = False,
        size: int = 16,
        action: QAction | None = None,
        pressed: Callable[[], object] | None = None,
    ) -> None:
        """Show an icon by its name, words beside it, or both."""
        super().__init__()
        self._picture, self._size, self._action = picture, size, action
        self.setProperty("kind", kind)
        self.setCheckable(checkable)
        self.setFont(font(12, MEDIUM))
        self.setIconSize(QSize(size, size))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setText(words)
        if words:
            beside = Qt.ToolButtonStyle.ToolButtonTextBesideIcon
            alone = Qt.ToolButtonStyle.ToolButtonTextOnly
            self.setToolButtonStyle(beside if picture else alone)
        self.setToolTip(tip)
        self.setAccessibleName(words or tip)
        if action is not None:
            self._follow(action)
        if pressed is not None:
            self.clicked.connect(lambda _checked=False: pressed())
        self._paint_icon()
        theme().changed.connect(self._paint_icon)

    def _follow(self, action: QAction) -> None:
        self.setCheckable(action.isCheckable())
        self.clicked.connect(action.trigger)

        def show_state() -> None:
            self.setEnabled(action.isEnabled())
            self.setChecked(action.isChecked())
            words = action.toolTip() or action.text().replace("&", "")
            self.setToolTip(with_keys(words, action.shortcut()))
            self.setAccessibleName(words)

        action.changed.connect(show_state)
        show_state()

    def event(self, event: QEvent) -> bool:
        """Let Space and Return press the button that has the focus, whatever else they mean."""
        keys = {Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter}
        overrides = event.type() is QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent)
        if overrides and isinstance(event, QKeyEvent) and event.key() in keys:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return presses it."""
        if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self.click()
            return
        super().keyPressEvent(event)

    def set_picture(self, picture: str) -> None:
        """Show another icon."""
        self._picture = picture
        self._paint_icon()

    def _paint_icon(self) -> None:
        if self._picture:
            kind = self.property("kind")
            colour = {"primary": "on_accent", "play": "strong"}.get(kind, "text")
            on = "on_accent" if kind == "primary" else "strong"
            self.setIcon(icon(self._picture, colour, self._size, on=on))
        else:
            self.setIcon(QIcon())


class Segments(QFrame):
    """A row of buttons of which one is chosen."""

    chosen = Signal(str)
    """The key of the segment that the user chose."""

    def __init__(self, choices: Iterable[tuple[str, str]], *, tip: str = "") -> None:
        """Offer choices: a key each and the words that are shown."""
        super().__init__()
        self.setObjectName("segments")
        self.setAccessibleName(tip)
        box = QHBoxLayout(self)
        box.setContentsMargins(2, 2, 2, 2)
        box.setSpacing(1)
        self.setMinimumWidth(60)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, Button] = {}
        for key, words in choices:
            button = Button(words=words, kind="segment", checkable=True, tip=tip)
            button.clicked.connect(lambda _on=False, key=key: self.chosen.emit(key))
            button.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
            self._group.addButton(button)
            self._buttons[key] = button
            box.addWidget(button, 1)

    @property
    def key(self) -> str:
        """Which is chosen."""
        return next((key for key, one in self._buttons.items() if one.isChecked()), "")

    def choose(self, key: str) -> None:
        """Show a choice without announcing it."""
        if key in self._buttons:
            self._buttons[key].setChecked(True)

    def show_none(self) -> None:
        """Show that none is chosen."""
        self._group.setExclusive(False)
        for button in self._buttons.values():
            button.setChecked(False)
        self._group.setExclusive(True)

    def button(self, key: str) -> Button:
        """Return the button of a choice."""
        return self._buttons[key]


class Choice(QComboBox):
    """A list to choose from; the wheel scrolls the panel, never the value."""

    chosen = Signal(str)
    """The key that the user chose."""

    def __init__(self, choices: Iterable[tuple[str, str]] = (), *, tip: str = "") -> None:
        """Offer choices: a key each and the words that are shown."""
        super().__init__()
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumContentsLength(6)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.offer(choices)
        self.activated.connect(lambda place: self.chosen.emit(str(self.itemData(place))))

    def offer(self, choices: Iterable[tuple[str, str]]) -> None:
        """Offer other choices; what was chosen stays so if it is still there."""
        before = self.key
        self.clear()
        for key, words in choices:
            self.addItem(words, key)
        self.choose(before)

    @property
    def key(self) -> str:
        """Which is chosen."""
        found = self.currentData()
        return "" if found is None else str(found)

    def choose(self, key: str) -> None:
        """Show a choice without announcing it."""
        place = self.findData(key)
        if place >= 0:
            self.setCurrentIndex(place)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the panel."""
        event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the arrow, which a style sheet cannot give the theme's colour."""
        super().paintEvent(event)
        with painting(self) as painter:
            at = QPointF(self.width() - 19, (self.height() - 13) / 2)
            painter.drawPixmap(at, icon_picture("chevron-down", "faint", 13))


class Number(QDoubleSpinBox):
    """A field for a number: typed, or changed by the arrow keys."""

    entered = Signal(float)
    """The number that the user entered."""

    def __init__(
        self,
        low: float,
        high: float,
        *,
        decimals: int = 0,
        suffix: str = "",
        prefix: str = "",
        tip: str = "",
    ) -> None:
        """Take numbers within limits."""
        super().__init__()
        self.setRange(low, high)
        self.setDecimals(decimals)
        self.setSuffix(suffix)
        self.setPrefix(prefix)
        self.setSingleStep(10**-decimals if decimals < 2 else 0.05)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFont(font(12, figures=True))
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.valueChanged.connect(self._announce)
        self._quiet = False

    def sizeHint(self) -> QSize:
        """Return a size that does not depend on the limits: inspectors are narrow."""
        return QSize(66, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Return a size that does not depend on the limits: inspectors are narrow."""
        return QSize(52, super().minimumSizeHint().height())

    def show_value(self, value: float) -> None:
        """Show a number without announcing it."""
        self._quiet = True
        self.setValue(value)
        self._quiet = False

    def _announce(self, value: float) -> None:
        if not self._quiet:
            self.entered.emit(value)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the panel."""
        event.ignore()


class _Slider(QSlider):
    """A slider that the wheel does not move, and that a click takes to where it was clicked."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the panel."""
        event.ignore()


class Amount(QWidget):
    """A number with a slider."""

    entered = Signal(float)
    """The number that the user entered, at every step of a drag."""

    def __init__(
        self,
        low: float,
        high: float,
        value: float,
        *,
        decimals: int = 0,
        suffix: str = "",
        tip: str = "",
        step: float | None = None,
    ) -> None:
        """Take numbers within limits."""
        super().__init__()
        self._scale = 10**decimals
        self.slider = _Slider(Qt.Orientation.Horizontal)
        self.slider.setRange(round(low * self._scale), round(high * self._scale))
        self.slider.setMinimumWidth(50)
        self.slider.setAccessibleName(tip)
        self.slider.setToolTip(tip)
        self.number = Number(low, high, decimals=decimals, suffix=suffix, tip=tip)
        self.number.setFixedWidth(66)
        if step is not None:
            self.number.setSingleStep(step)
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(8)
        box.addWidget(self.slider, 1)
        box.addWidget(self.number)
        self.show_value(value)
        self.slider.valueChanged.connect(self._slid)
        self.number.entered.connect(self._typed)

    @property
    def value(self) -> float:
        """The number shown."""
        return self.number.value()

    def show_value(self, value: float) -> None:
        """Show a number without announcing it."""
        self.slider.blockSignals(True)
        self.slider.setValue(round(value * self._scale))
        self.slider.blockSignals(False)
        self.number.show_value(value)

    def _slid(self, place: int) -> None:
        self.number.show_value(place / self._scale)
        self.entered.emit(self.number.value())

    def _typed(self, value: float) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(round(value * self._scale))
        self.slider.blockSignals(False)
        self.entered.emit(value)


Tone = Literal["strong", "text", "faint", "warn", "bad", "good", "accent"]


def label(
    words: str = "",
    tone: Tone = "text",
    pixels: int = 12,
    *,
    bold: bool = False,
    figures: bool = False,
    wrapped: bool = False,
) -> QLabel:
    """Return words in one of the tones of the window."""
    made = QLabel(words)
    made.setFont(font(pixels, BOLD if bold else font(12).weight(), figures=figures))
    made.setWordWrap(wrapped)
    made.setProperty("tone", tone)
    return made


def retone(what: QLabel, tone: Tone) -> None:
    """Show a label in another tone."""
    if what.property("tone") != tone:
        what.setProperty("tone", tone)
        what.style().unpolish(what)
        what.style().polish(what)


def separator() -> QFrame:
    """Return a short line between groups of buttons."""
    line = QFrame()
    line.setObjectName("separator")
    line.setFixedSize(1, 18)
    return line


def row(
    *items: QWidget | int | None,
    gap: int = 4,
    margins: tuple[int, int, int, int] = (0, 0, 0, 0),
    name: str = "",
) -> QWidget:
    """Return widgets side by side: a number is a gap in pixels, None takes what room is left."""
    made = QWidget()
    made.setObjectName(name)
    if name:
        made.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    line = QHBoxLayout(made)
    line.setContentsMargins(*margins)
    line.setSpacing(gap)
    for item in items:
        if item is None:
            line.addStretch(1)
        elif isinstance(item, int):
            line.addSpacing(item)
        else:
            line.addWidget(item)
    return made


def field(name: str, *what: QWidget) -> QWidget:
    """Return a line of an inspector: a name, and what it is set with."""
    title = label(name)
    title.setFixedWidth(_NAME_WIDTH)
    made = row(title, gap=8)
    line = made.layout()
    if isinstance(line, QHBoxLayout):
        for one in what:
            line.addWidget(one, 1)
    if what and not what[0].accessibleName():
        what[0].setAccessibleName(name)
    return made


class Section(QFrame):
    """A part of an inspector that folds."""

    def __init__(self, title: str, *lines: QWidget, extra: QWidget | None = None) -> None:
        """Show lines below a title; ``extra`` stands at the title's right."""
        super().__init__()
        self.setObjectName("section")
        box = QVBoxLayout(self)
        box.setContentsMargins(14, 9, 14, 12)
        box.setSpacing(8)
        self._inner = QWidget()
        self._fold = Button("chevron-down", size=14, tip=title, kind="bare")
        self._fold.setFixedSize(20, 20)
        self._fold.clicked.connect(lambda: self.open(not self._inner.isVisibleTo(self)))
        self.title = label(title, "strong", bold=True)
        self.extra = extra
        box.addWidget(row(self._fold, self.title, None, *([extra] if extra else []), gap=4))
        self.lines = QVBoxLayout(self._inner)
        self.lines.setContentsMargins(0, 0, 0, 0)
        self.lines.setSpacing(8)
        for line in lines:
            self.lines.addWidget(line)
        box.addWidget(self._inner)

    def open(self, on: bool) -> None:
        """Fold or unfold."""
        self._inner.setVisible(on)
        self._fold.set_picture("chevron-down" if on else "chevron-right")

    def mouseDoubleClickEvent(self, event: object) -> None:
        """Fold or unfold."""
        self.open(not self._inner.isVisibleTo(self))


class Scrolled(QScrollArea):
    """Sections below each other, scrolled where they do not fit."""

    def __init__(self, *parts: QWidget) -> None:
        """Show parts from top to bottom."""
        super().__init__()
        inner = QWidget()
        inner.setObjectName("inner")
        self.column = QVBoxLayout(inner)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(0)
        self.column.addStretch(1)
        self.add(*parts)
        self.setWidget(inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.viewport().setAutoFillBackground(False)

    def add(self, *parts: QWidget) -> None:
        """Add parts below those that are there."""
        for part in parts:
            self.column.insertWidget(self.column.count() - 1, part)


class Panel(QFrame):
    """A rounded part of the window with a bar at its top, and one at its bottom if wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(0)

    def head(self, *items: QWidget | int | None, height: int = 40, left: int = 8) -> QWidget:
        """Add the bar at the top."""
        made = row(*items, margins=(left, 0, 8, 0), name="head")
        made.setFixedHeight(height)
        self.column.addWidget(made)
        return made

    def foot(self, *items: QWidget | int | None, height: int = 48) -> QWidget:
        """Add the bar at the bottom."""
        made = row(*items, margins=(14, 0, 14, 0), name="foot")
        made.setFixedHeight(height)
        self.column.addWidget(made)
        return made

    def add(self, what: QWidget, stretch: int = 0) -> None:
        """Add a part."""
        self.column.addWidget(what, stretch)


class Tabs(Panel):
    """A panel with several pages, one shown."""

    turned = Signal(str)
    """The key of the page that is shown now."""

    def __init__(self, pages: Sequence[tuple[str, str, QWidget]], *extras: QWidget) -> None:
        """Show pages: a key, a title and a widget each."""
        super().__init__()
        self._pages = {key: page for key, _, page in pages}
        self._tabs: dict[str, Button] = {}
        group = QButtonGroup(self)
        for key, title, _ in pages:
            tab = Button(words=title, kind="tab", checkable=True, tip=title)
            tab.clicked.connect(lambda _on=False, key=key: self.turn(key))
            group.addButton(tab)
            self._tabs[key] = tab
        self.head(*self._tabs.values(), None, *extras)
        for page in self._pages.values():
            self.add(page, 1)
        self.turn(pages[0][0])

    @property
    def key(self) -> str:
        """Which page is shown."""
        return next(key for key, tab in self._tabs.items() if tab.isChecked())

    def turn(self, key: str) -> None:
        """Show a page."""
        for name, page in self._pages.items():
            page.setVisible(name == key)
            self._tabs[name].setChecked(name == key)
        self.turned.emit(key)
