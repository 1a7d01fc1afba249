"""Icons by their names in the Lucide set (ISC, beside this file), in the theme's colours."""

from functools import cache
from importlib import resources

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from marionext_desktop.ui.theme import theme

__all__ = ["icon", "icon_picture"]

_STROKE = 1.75
_DENSITY = 3
"""Pixels of a picture for each of the window: enough for displays of three times the density."""


def icon_picture(name: str, colour: str = "text", size: int = 16) -> QPixmap:
    """Return an icon's picture.

    Args:
        name: file name in this folder, without ``.svg``.
        colour: a name of `Colours`, or ``#rrggbb``.
        size: pixels of the window.
    """
    return _picture(name, theme().colour(colour).name(), size)


def icon(name: str, colour: str = "text", size: int = 16, *, on: str = "strong") -> QIcon:
    """Return an icon for a button.

    Args:
        name: file name in this folder, without ``.svg``.
        colour: of the button at rest.
        size: pixels of the window.
        on: colour where the button is checked or pointed at.
    """
    made = QIcon(icon_picture(name, colour, size))
    made.addPixmap(icon_picture(name, on, size), QIcon.Mode.Normal, QIcon.State.On)
    made.addPixmap(icon_picture(name, on, size), QIcon.Mode.Active, QIcon.State.Off)
    made.addPixmap(icon_picture(name, on, size), QIcon.Mode.Active, QIcon.State.On)
    faint = theme().colour("faint")
    dim = _picture(name, f"#{faint.red():02x}{faint.green():02x}{faint.blue():02x}", size)
    made.addPixmap(dim, QIcon.Mode.Disabled, QIcon.State.Off)
    return made


@cache
def _source(name: str) -> str:
    return resources.files(__name__).joinpath(f"{name}.svg").read_text("utf-8")


@cache
def _picture(name: str, colour: str, size: int) -> QPixmap:
    source = _source(name).replace("currentColor", colour)
    source = source.replace('stroke-width="2"', f'stroke-width="{_STROKE}"')
    picture = QPixmap(size * _DENSITY, size * _DENSITY)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    QSvgRenderer(QByteArray(source.encode())).render(painter)
    painter.end()
    picture.setDevicePixelRatio(_DENSITY)
    return picture
