"""Draw people as they are edited: blue left, orange right, white joints, on any picture."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPixmap, QPolygonF

from marionext.skeleton import BODY_LIMBS, HAND_BONES, POINT_NAMES, SEEN_SCORE
from marionext_desktop.ui.theme import theme

__all__ = ["Look", "Place", "draw_figure", "joined", "near_point", "tint_of"]

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Place:
    """From the canvas's pixels to the widget's."""

    scale: float
    x: float
    """Of the canvas's corner."""
    y: float

    def __call__(self, x: float, y: float) -> QPointF:
        """Return where a place of the canvas is in the widget."""
        return QPointF(self.x + x * self.scale, self.y + y * self.scale)

    def all(self, points: Points) -> list[QPointF]:
        """Return where points are: (n, 2)."""
        at = points * self.scale + np.array((self.x, self.y))
        return [QPointF(x, y) for x, y in at.tolist()]


_FEET = ((10, 21), (21, 22), (10, 23), (13, 18), (18, 19), (13, 20))
_LEFT_BODY = {5, 6, 7, 11, 12, 13, 15, 17, 18, 19, 20}
_MIDDLE_BODY = {0, 1}
_BODY_JOINTS = range(24)
_SMALL = range(14, 24)
"""Joints of the head and feet: they lie close together."""


def _side(a: int, b: int) -> str:
    ends = {a, b} - _MIDDLE_BODY
    if not ends:
        return "centre"
    return "left" if ends & _LEFT_BODY else "right"


_LIMBS = tuple((a, b, _side(a, b)) for a, b in (*BODY_LIMBS, *_FEET))
_HANDS = tuple(
    (base + a, base + b, side)
    for base, side in ((92, "left"), (113, "right"))
    for a, b in HAND_BONES
)


@cache
def _neighbours() -> NDArray[np.bool_]:
    """Return which points a line joins: (134, 134)."""
    near = np.eye(134, dtype=bool)
    for a, b, _ in (*_LIMBS, *_HANDS):
        near[a, b] = near[b, a] = True
    return near


def joined(moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the points that are drawn together with those that moved: (134,)."""
    found: NDArray[np.bool_] = np.any(_neighbours()[moved], axis=0)
    return found


def tint_of(number: int) -> str:
    """Return the colour of a point's side, by its name in `Colours`."""
    name = POINT_NAMES[number]
    return "left" if name.startswith("left") else "right" if name.startswith("right") else "centre"


@dataclass(frozen=True, slots=True)
class Look:
    """How a person is drawn."""

    width: float = 3.0
    alpha: int = 255
    tint: str = ""
    """One colour for all of it; empty: by side."""
    joints: bool = True
    """Whether joints can be seen to be taken hold of."""
    face: bool = True
    confidence: bool = False
    """Whether what is less sure is drawn fainter."""
    dashed: bool = False
    selected: Collection[int] = ()
    hovered: int = -1


@cache
def _dot(fill: str, rim: str, radius: float, ring: str) -> QPixmap:
    density = 3
    side = int(radius * 2 + (14 if ring else 4))
    picture = QPixmap(side * density, side * density)
    picture.setDevicePixelRatio(density)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    middle = QPointF(side / 2, side / 2)
    painter.setBrush(QColor(fill))
    painter.setPen(QPen(QColor(rim), 1.2))
    painter.drawEllipse(middle, radius, radius)
    if ring:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(rim), 3))
        painter.drawEllipse(middle, radius + 4.5, radius + 4.5)
        painter.setPen(QPen(QColor(ring), 1.6))
        painter.drawEllipse(middle, radius + 4.5, radius + 4.5)
    painter.end()
    return picture


def _put(painter: QPainter, at: QPointF, dot: QPixmap) -> None:
    half = dot.width() / dot.devicePixelRatio() / 2
    painter.drawPixmap(QPointF(at.x() - half, at.y() - half), dot)


_SELECTED = "#f5e663"
"""Yellow in both schemes: it lies on pictures, not on the window."""
_OVER = {"left": "#56b4e9", "right": "#e69f00", "centre": "#e8eaed"}
"""Okabe and Ito's blue and orange, over pictures in both schemes."""
_RIM = "#0b0d0f"


def draw_figure(
    painter: QPainter, points: Points, scores: Points, place: Place, look: Look
) -> None:
    """Draw one person.

    Args:
        painter: on what.
        points: (134, 2) in pixels of the canvas.
        scores: (134,); what is 0 is not drawn.
        place: from canvas to widget.
        look: how.
    """
    at = place.all(points)
    seen = scores.tolist()
    _draw_lines(painter, _LIMBS, at, seen, look, look.width, rim=True)
    _draw_lines(painter, _HANDS, at, seen, look, look.width * 0.5, rim=False)
    if look.face:
        _draw_face(painter, at, seen, look)
    if look.joints:
        _draw_joints(painter, at, seen, look)


def _colour(side: str, alpha: int, look: Look) -> QColor:
    name = look.tint or side
    colour = QColor(_OVER.get(name, "")) if name in _OVER else QColor(theme().colour(name))
    colour.setAlpha(alpha)
    return colour


def _draw_lines(
    painter: QPainter,
    limbs: tuple[tuple[int, int, str], ...],
    at: list[QPointF],
    seen: list[float],
    look: Look,
    width: float,
    *,
    rim: bool,
) -> None:
    known = [(a, b, side) for a, b, side in limbs if seen[a] > 0 and seen[b] > 0]
    style = Qt.PenStyle.DashLine if look.dashed else Qt.PenStyle.SolidLine
    flat = look.dashed or width < 2
    cap = Qt.PenCapStyle.FlatCap if flat else Qt.PenCapStyle.RoundCap
    if rim and not look.tint and not look.dashed:
        shade = QColor(_RIM)
        shade.setAlpha(int(look.alpha * 0.6))
        painter.setPen(QPen(shade, width + 2.4, style, cap))
        painter.drawLines([QLineF(at[a], at[b]) for a, b, _ in known])
    if look.confidence:
        for a, b, side in known:
            share = min(seen[a], seen[b])
            alpha = int(look.alpha * (0.2 + 0.8 * min(share, 1.0)))
            painter.setPen(QPen(_colour(side, alpha, look), width, style, cap))
            painter.drawLine(at[a], at[b])
        return
    for side in ("right", "left", "centre"):
        sure = [
            QLineF(at[a], at[b])
            for a, b, s in known
            if s == side and min(seen[a], seen[b]) >= SEEN_SCORE
        ]
        poor = [
            QLineF(at[a], at[b])
            for a, b, s in known
            if s == side and min(seen[a], seen[b]) < SEEN_SCORE
        ]
        if sure:
            painter.setPen(QPen(_colour(side, look.alpha, look), width, style, cap))
            painter.drawLines(sure)
        if poor:
            painter.setPen(
                QPen(_colour(side, look.alpha // 2, look), width * 0.6, Qt.PenStyle.DotLine, cap)
            )
            painter.drawLines(poor)


def _draw_face(painter: QPainter, at: list[QPointF], seen: list[float], look: Look) -> None:
    face = [at[number] for number in range(24, 92) if seen[number] > 0]
    if face:
        size = 1.7 if look.width > 2 else 1.2
        colour = _colour("centre", int(look.alpha * 0.8), look)
        painter.setPen(QPen(colour, size, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawPoints(QPolygonF(face))


def _draw_joints(painter: QPainter, at: list[QPointF], seen: list[float], look: Look) -> None:
    large, small = _dot("#ffffff", _RIM, 3.4, ""), _dot("#ffffff", _RIM, 2.3, "")
    for number in _BODY_JOINTS:
        if seen[number] > 0 and number not in look.selected:
            _put(painter, at[number], small if number in _SMALL else large)
    marked = _dot(_SELECTED, _RIM, 4.6, _SELECTED)
    many = len(look.selected) > 6
    tiny = _dot(_SELECTED, _RIM, 2.4, "")
    for number in look.selected:
        if seen[number] > 0:
            _put(painter, at[number], tiny if number >= 24 and many else marked)
    if look.hovered >= 0 and look.hovered not in look.selected and seen[look.hovered] > 0:
        _put(painter, at[look.hovered], _dot("#ffffff", _RIM, 4.2, "#ffffff"))


def near_point(
    points: Points, scores: Points, place: Place, at: QPointF, *, fine: bool
) -> int | None:
    """Return the point that the mouse is on, or None.

    Args:
        points: (134, 2) in pixels of the canvas.
        scores: (134,).
        place: from canvas to widget.
        at: the mouse, in the widget.
        fine: whether points of the face count: they hide each other unless seen from near.
    """
    there = points * place.scale + (place.x, place.y)
    away = np.hypot(there[:, 0] - at.x(), there[:, 1] - at.y())
    reach = np.full(len(points), 5.0 if fine else -1.0)
    reach[:24], reach[92:] = 11.0, 7.0
    far = (away > reach) | (scores <= 0)
    # The body's joints come before those of the hand at the same place.
    away[24:] += 2.0
    away[far] = np.inf
    nearest = int(away.argmin())
    return nearest if np.isfinite(away[nearest]) else None
