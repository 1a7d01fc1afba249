"""What all hand-painted widgets draw with: text in its place, rounded boxes, chips, diamonds."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontMetricsF,
    QPaintDevice,
    QPainter,
    QPen,
    QPixmap,
    QPolygonF,
)

from marionext_desktop.ui.theme import font, theme

__all__ = [
    "BOLD",
    "MEDIUM",
    "NORMAL",
    "box",
    "chip",
    "chip_width",
    "diamond",
    "painting",
    "text",
    "text_width",
]

NORMAL = QFont.Weight.Normal
MEDIUM = QFont.Weight.Medium
BOLD = QFont.Weight.DemiBold


@contextmanager
def painting(device: QPaintDevice) -> Iterator[QPainter]:
    """Paint on a widget or picture; it is finished whatever happens.

    A painter that is left open, as an error would leave it, takes the program down with the next
    picture.
    """
    painter = QPainter(device)
    try:
        yield painter
    finally:
        painter.end()


@cache
def _metrics(pixels: int, weight: QFont.Weight, figures: bool) -> QFontMetricsF:
    return QFontMetricsF(font(pixels, weight, figures=figures))


@lru_cache(maxsize=4096)
def _fitted(
    words: str, pixels: int, weight: QFont.Weight, figures: bool, width: float | None
) -> tuple[str, float]:
    """Return words as they fit into a width, and how wide they are then."""
    metrics = _metrics(pixels, weight, figures)
    if width is not None:
        words = metrics.elidedText(words, Qt.TextElideMode.ElideRight, width)
    return words, metrics.horizontalAdvance(words)


def text_width(words: str, pixels: int = 12, weight: QFont.Weight = QFont.Weight.Normal) -> float:
    """Return how wide words are, in pixels."""
    return _metrics(pixels, weight, figures=False).horizontalAdvance(words)


def text(
    painter: QPainter,
    x: float,
    y: float,
    words: str,
    colour: str = "text",
    pixels: int = 12,
    weight: QFont.Weight = QFont.Weight.Normal,
    *,
    figures: bool = False,
    align: Literal["left", "centre", "right"] = "left",
    width: float | None = None,
) -> float:
    """Write words and return how wide they are.

    Args:
        painter: on what.
        x: of the edge that ``align`` names.
        y: of the base line.
        words: one line.
        colour: a name of `Colours`, or ``#rrggbb``.
        pixels: height of the type.
        weight: how bold.
        figures: whether digits are of one width.
        align: which edge ``x`` is.
        width: what is wider is cut, with dots.
    """
    words, advance = _fitted(words, pixels, weight, figures, width)
    painter.setFont(font(pixels, weight, figures=figures))
    painter.setPen(theme().colour(colour))
    back = {"left": 0.0, "centre": advance / 2, "right": advance}[align]
    painter.drawText(QPointF(x - back, y), words)
    return advance


def box(
    painter: QPainter,
    area: QRectF,
    radius: float,
    fill: str | QColor | None = None,
    edge: str | QColor | None = None,
    width: float = 1.0,
) -> None:
    """Draw a rounded box."""
    filled = theme().colour(fill) if isinstance(fill, str) else fill
    edged = theme().colour(edge) if isinstance(edge, str) else edge
    painter.setBrush(QBrush(filled) if filled is not None else Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(edged, width) if edged is not None else Qt.PenStyle.NoPen)
    painter.drawRoundedRect(area, radius, radius)


def chip_width(title: str, more: str) -> float:
    """Return how wide `chip` draws these words."""
    return text_width(title, 11, BOLD) + text_width(more, 11) + (38 if more else 30)


def chip(painter: QPainter, x: float, y: float, title: str, more: str, dot: str) -> QRectF:
    """Draw a label that lies over a picture: a dot, a title and what belongs to it.

    Returns:
        What it covers.
    """
    area = QRectF(x, y, chip_width(title, more), 22)
    box(painter, area, 4, QColor(11, 13, 15, 215))
    painter.setBrush(theme().colour(dot))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawEllipse(QPointF(x + 11, area.center().y()), 3.2, 3.2)
    advance = text(painter, x + 20, y + 15.5, title, "#e8eaed", 11, BOLD)
    if more:
        text(painter, x + 27 + advance, y + 15.5, more, "#a9b0ba", 11)
    return area


@cache
def _diamond(colour: str, rim: str, size: float, density: float) -> QPixmap:
    side = round(size * 2 + 4)
    picture = QPixmap(round(side * density), round(side * density))
    picture.setDevicePixelRatio(density)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(colour))
    painter.setPen(QPen(QColor(rim), 1))
    c = side / 2
    corners = ((c, c - size), (c + size, c), (c, c + size), (c - size, c))
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in corners]))
    painter.end()
    return picture


def diamond(colour: str = "strong", size: float = 4.2, density: float = 3) -> QPixmap:
    """Return the sign of a key, to be drawn with its middle where the key is.

    Args:
        colour: a name of `Colours`.
        size: from its middle to its corners.
        density: pixels for each of the window; that of the display saves scaling it at each draw.
    """
    return _diamond(theme().colour(colour).name(), theme().colour("line").name(), size, density)
