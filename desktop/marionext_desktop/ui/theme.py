"""Colours, type and the few rules of style that the whole window shares, dark and light.

Fusion draws the plain widgets from a `QPalette`; a short style sheet gives them their shape; what
is painted by hand asks `theme()` for the same colours by name. The scheme follows the system's, or
what the user chose. Left is blue and right orange, as Okabe and Ito chose them so that people who
see colours differently tell them apart (Okabe & Ito 2008, "Color Universal Design").
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

__all__ = ["GRID", "Colours", "Theme", "font", "theme"]

GRID = 8
"""Pixels that distances are multiples or halves of."""

Scheme = Literal["system", "dark", "light"]


@dataclass(frozen=True, slots=True)
class Colours:
    """One scheme; every value is ``#rrggbb``."""

    back: str
    """Behind the panels."""
    panel: str
    head: str
    """Bars at the top and bottom of a panel."""
    raised: str
    """Buttons, cards."""
    hover: str
    field: str
    """Where something is typed."""
    edge: str
    line: str
    """The darkest lines: grooves, what lies behind a strip."""
    stage: str
    """Around the picture in the viewer."""
    strong: str
    """Text that is read first."""
    text: str
    faint: str
    accent: str
    accent_soft: str
    on_accent: str
    playhead: str
    left: str
    right: str
    centre: str
    selected: str
    heat: str
    """A strip where all is good."""
    heat_fair: str
    heat_poor: str
    heat_none: str
    good: str
    warn: str
    bad: str
    violet: str
    shade: str
    """Laid over what lies outside in and out."""


DARK = Colours(
    back="#101215",
    panel="#1a1d21",
    head="#1e2126",
    raised="#262a30",
    hover="#30353c",
    field="#121418",
    edge="#2b3037",
    line="#0b0d0f",
    stage="#0a0b0d",
    strong="#e8eaed",
    text="#a9b0ba",
    faint="#79818c",
    accent="#5b8cff",
    accent_soft="#2a3f70",
    on_accent="#ffffff",
    playhead="#ff5c50",
    left="#56b4e9",
    right="#e69f00",
    centre="#d5d9df",
    selected="#f5e663",
    heat="#2b5458",
    heat_fair="#6f6a2e",
    heat_poor="#b07a24",
    heat_none="#191b1f",
    good="#3fb58a",
    warn="#e8a33d",
    bad="#e4572e",
    violet="#b48cf2",
    shade="#000000",
)

LIGHT = Colours(
    back="#dfe2e6",
    panel="#f7f8f9",
    head="#eef0f2",
    raised="#e6e9ed",
    hover="#d9dde3",
    field="#ffffff",
    edge="#cfd4da",
    line="#c3c9d0",
    stage="#c9cdd3",
    strong="#15181c",
    text="#434a53",
    faint="#6a727c",
    accent="#2f66e0",
    accent_soft="#cfdcfa",
    on_accent="#ffffff",
    playhead="#d93a2e",
    left="#0072b2",
    right="#b06f00",
    centre="#4a515b",
    selected="#a88c00",
    heat="#a8cfce",
    heat_fair="#d8d09a",
    heat_poor="#eab96a",
    heat_none="#e3e6ea",
    good="#1d8a62",
    warn="#a86400",
    bad="#c43d17",
    violet="#7b4fd0",
    shade="#5a6470",
)


class Theme(QObject):
    """The scheme in force; there is one for the application."""

    changed = Signal()
    """The colours are others; what keeps pictures of them makes them anew."""

    def __init__(self) -> None:
        super().__init__()
        self._wish: Scheme = "system"
        self.colours = DARK
        self._made: dict[tuple[str, int], QColor] = {}
        self._styled: QApplication | None = None
        self._shown: Colours | None = None
        """The scheme that the application has been given."""

    @property
    def dark(self) -> bool:
        """Whether text is light on dark."""
        return self.colours is DARK

    def colour(self, name: str, alpha: int = 255) -> QColor:
        """Return a colour by its name in `Colours`, or one written ``#rrggbb``.

        Args:
            name: which.
            alpha: 0 (clear) to 255.
        """
        made = self._made.get((name, alpha))
        if made is None:
            made = QColor(name if name.startswith("#") else getattr(self.colours, name))
            made.setAlpha(alpha)
            self._made[name, alpha] = made
        return made

    def apply(self, wish: Scheme = "system") -> None:
        """Give the application the scheme that is wished for, and follow the system's if so."""
        self._wish = wish
        application = QApplication.instance()
        if not isinstance(application, QApplication):
            return
        if application is not self._styled:
            hints = QGuiApplication.styleHints()
            hints.colorSchemeChanged.connect(self._follow, Qt.ConnectionType.UniqueConnection)
            application.setStyle("Fusion")
            self._styled, self._shown = application, None
        self._follow()

    def _follow(self) -> None:
        light = self._wish == "light"
        if self._wish == "system":
            light = QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Light
        colours = LIGHT if light else DARK
        if colours is self._shown:
            return  # a style sheet goes through every widget there is
        self.colours = colours
        self._made.clear()
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.setFont(font(12))
            application.setPalette(self._palette())
            application.setStyleSheet(_style_sheet(self.colours))
            self._shown = colours
        self.changed.emit()

    def _palette(self) -> QPalette:
        role, group = QPalette.ColorRole, QPalette.ColorGroup
        palette = QPalette()
        for which, name in (
            (role.Window, "panel"),
            (role.WindowText, "strong"),
            (role.Base, "field"),
            (role.AlternateBase, "head"),
            (role.Text, "strong"),
            (role.Button, "raised"),
            (role.ButtonText, "strong"),
            (role.BrightText, "on_accent"),
            (role.ToolTipBase, "raised"),
            (role.ToolTipText, "strong"),
            (role.PlaceholderText, "faint"),
            (role.Highlight, "accent"),
            (role.HighlightedText, "on_accent"),
            (role.Link, "accent"),
            (role.Light, "hover"),
            (role.Midlight, "edge"),
            (role.Mid, "edge"),
            (role.Dark, "line"),
            (role.Shadow, "line"),
            (role.Accent, "accent"),
        ):
            palette.setColor(which, self.colour(name))
        for which in (role.WindowText, role.Text, role.ButtonText):
            palette.setColor(group.Disabled, which, self.colour("faint", 150))
        return palette


@cache
def theme() -> Theme:
    """Return the one theme of the application."""
    return Theme()


@cache
def _families() -> tuple[str, ...]:
    known = set(QFontDatabase.families())
    wanted = ("Inter", "Inter Variable", "Segoe UI Variable Text", "SF Pro Text", "Noto Sans")
    system = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family()
    chinese = ("Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei UI")
    first = next((name for name in wanted if name in known), system)
    return (first, *(name for name in chinese if name in known))


@cache
def font(
    pixels: int, weight: QFont.Weight = QFont.Weight.Normal, *, figures: bool = False
) -> QFont:
    """Return the window's type.

    Args:
        pixels: height, before the display's scale.
        weight: how bold.
        figures: whether all digits are of one width, so that running numbers stand still.
    """
    made = QFont(list(_families()))
    made.setPixelSize(pixels)
    made.setWeight(weight)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if figures:
        made.setFeature(QFont.Tag("tnum"), 1)
    return made


_STYLE = """
* { outline: 0; }
QMainWindow, QWidget#back { background: $back; }
QFrame#panel { background: $panel; border-radius: 8px; }
QWidget#head { background: $head; border-top-left-radius: 8px; border-top-right-radius: 8px; }
QWidget#foot { background: $head; border-bottom-left-radius: 8px; border-bottom-right-radius: 8px; }
QFrame#section { border: 0; border-bottom: 1px solid $edge; }
QFrame#segments { background: $back; border-radius: 6px; }
QFrame#card { background: $raised; border: 1px solid $edge; border-radius: 6px; }
QFrame#estimate { background: $estimate; border: 1px solid $accent_soft; border-radius: 6px; }
QFrame#separator { background: $edge; border: 0; }
QSplitter::handle { background: transparent; }
QMenuBar { background: $back; color: $text; spacing: 0; padding: 0; }
QMenuBar::item { background: transparent; padding: 6px 9px; border-radius: 5px; }
QMenuBar::item:selected { background: $hover; color: $strong; }
QMenu { background: $panel; border: 1px solid $edge; border-radius: 8px; padding: 5px; }
QMenu::item { padding: 5px 28px 5px 24px; border-radius: 4px; color: $strong; }
QMenu::item:selected { background: $accent; color: $on_accent; }
QMenu::item:disabled { color: $faint; }
QMenu::separator { height: 1px; background: $edge; margin: 5px 8px; }
QMenu::indicator { width: 14px; height: 14px; left: 6px; }
QToolTip { background: $raised; color: $strong; border: 1px solid $edge; padding: 4px 6px; }
QToolButton { color: $text; border: 1px solid transparent; border-radius: 5px; padding: 4px 5px;
  background: transparent; }
QToolButton:hover { background: $hover; color: $strong; }
QToolButton:focus { border-color: $accent; }
QToolButton:disabled { color: $faint; }
QToolButton[kind="bare"] { padding: 0; }
QToolButton[kind="flat"]:checked { background: $accent_soft; color: $strong; }
QToolButton[kind="segment"] { padding: 3px 8px; border-radius: 4px; }
QToolButton[kind="segment"]:checked { background: $hover; color: $strong; }
QToolButton[kind="tab"] { padding: 8px 10px 7px 10px; color: $faint; border: 0; border-radius: 0;
  border-bottom: 2px solid transparent; background: transparent; }
QToolButton[kind="tab"]:hover { color: $strong; }
QToolButton[kind="tab"]:checked { color: $strong; border-bottom: 2px solid $accent; }
QToolButton[kind="primary"] { background: $accent; color: $on_accent; padding: 5px 13px;
  border-radius: 6px; }
QToolButton[kind="primary"]:hover { background: $accent_bright; }
QToolButton[kind="primary"]:focus { border-color: $strong; }
QToolButton[kind="primary"]:disabled { background: $raised; color: $faint; }
QToolButton[kind="soft"] { background: $raised; color: $strong; padding: 5px 11px; }
QToolButton[kind="soft"]:hover { background: $hover; }
QToolButton[kind="soft"]:checked { background: $accent_soft; }
QToolButton[kind="soft"]:disabled { color: $faint; }
QToolButton[kind="deep"] { background: $accent_soft; color: $strong; padding: 5px 11px; }
QToolButton[kind="deep"]:disabled { background: $raised; color: $faint; }
QToolButton[kind="play"] { background: $hover; border-radius: 17px; min-width: 32px;
  min-height: 32px; padding: 0; }
QToolButton::menu-indicator { image: none; width: 0; }
QLineEdit, QAbstractSpinBox, QComboBox, QPlainTextEdit, QTextBrowser, QKeySequenceEdit {
  background: $field; border: 1px solid $edge; border-radius: 5px; color: $strong;
  padding: 3px 7px; selection-background-color: $accent; selection-color: $on_accent; }
QLineEdit, QAbstractSpinBox, QComboBox { min-height: 18px; }
QLineEdit:focus, QAbstractSpinBox:focus, QComboBox:focus, QListView:focus { border-color: $accent; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { width: 0; border: 0; }
QComboBox::drop-down { border: 0; width: 22px; }
QComboBox::down-arrow { image: none; }
QComboBox QAbstractItemView { background: $panel; border: 1px solid $edge; padding: 4px;
  selection-background-color: $accent; selection-color: $on_accent; }
QSlider::groove:horizontal { height: 4px; background: $line; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal { width: 12px; height: 12px; margin: -4px 0; border-radius: 6px;
  background: $knob; }
QSlider::handle:horizontal:focus { background: $accent; }
QSlider::sub-page:horizontal:disabled { background: $edge; }
QPushButton { background: $raised; color: $strong; border: 1px solid $edge; border-radius: 6px;
  padding: 6px 14px; }
QPushButton:hover { background: $hover; }
QPushButton:focus { border-color: $accent; }
QPushButton:default { background: $accent; color: $on_accent; border-color: $accent; }
QPushButton:disabled { color: $faint; }
QPushButton:default:disabled { background: $raised; color: $faint; border-color: $edge; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QCheckBox, QRadioButton { color: $text; spacing: 8px; }
QScrollArea, QWidget#inner { background: transparent; border: 0; }
QScrollBar:vertical { background: transparent; width: 8px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 8px; margin: 0; }
QScrollBar::handle { background: $hover; border-radius: 4px; min-height: 30px; min-width: 30px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QListView, QTreeView, QTableView { background: $panel; border: 1px solid transparent; }
QListView::item, QTreeView::item { padding: 4px; border-radius: 4px; color: $strong; }
QListView::item:selected, QTreeView::item:selected { background: $accent_soft; color: $strong; }
QHeaderView::section { background: $head; color: $faint; border: 0; padding: 5px 8px; }
QProgressBar { background: $line; border: 0; border-radius: 2px; max-height: 4px; }
QProgressBar::chunk { background: $accent; border-radius: 2px; }
QLabel[tone="strong"] { color: $strong; } QLabel[tone="text"] { color: $text; }
QLabel[tone="faint"] { color: $faint; } QLabel[tone="warn"] { color: $warn; }
QLabel[tone="bad"] { color: $bad; } QLabel[tone="good"] { color: $good; }
QLabel[tone="accent"] { color: $accent; }
"""


def _mixed(one: str, other: str, share: float) -> str:
    """Return a colour between two: ``share`` of the other."""
    a, b = QColor(one), QColor(other)
    parts = zip((a.red(), a.green(), a.blue()), (b.red(), b.green(), b.blue()), strict=True)
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in parts)


def _style_sheet(colours: Colours) -> str:
    values = {each.name: getattr(colours, each.name) for each in fields(colours)}
    values["estimate"] = _mixed(colours.panel, colours.accent, 0.1)
    values["accent_bright"] = _mixed(colours.accent, "#ffffff", 0.12)
    values["knob"] = colours.strong if colours is DARK else colours.accent
    sheet = _STYLE
    for name in sorted(values, key=len, reverse=True):
        sheet = sheet.replace(f"${name}", values[name])
    return sheet
