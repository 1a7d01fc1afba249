"""Small pictures of numbers: a joint over time before and after, proportions of two bodies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from marionext_desktop.model.words import say
from marionext_desktop.ui.painting import BOLD, box, painting, text
from marionext_desktop.ui.theme import theme

__all__ = ["CurvePlot", "Curves", "Proportions"]


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """A value over a range of frames."""

    title: str
    colour: str
    first: int
    before: NDArray[np.float32]
    """(frames,); not a number where it is unknown."""
    after: NDArray[np.float32]


class CurvePlot(QWidget):
    """Draws a value before and after; a click goes to the frame."""

    sought = Signal(int)

    def __init__(self, height: int = 112) -> None:
        super().__init__()
        self.setFixedHeight(height)
        self.setAccessibleName(say("Curve before and after"))
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._curves: Curves | None = None
        self._frame = 0

    def show_curves(self, curves: Curves | None) -> None:
        """Show another value."""
        self._curves = curves
        self.update()

    def show_frame(self, frame: int) -> None:
        """Show where the playhead is."""
        self._frame = frame
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint both lines."""
        with painting(self) as p:
            p.setRenderHint(QPainter.RenderHint.Antialiasing)
            w, h = self.width(), self.height()
            box(p, QRectF(0.5, 0.5, w - 1, h - 1), 5, "field", "edge")
            p.setPen(QPen(theme().colour("edge", 150), 1))
            for part in (1, 2, 3):
                p.drawLine(QLineF(1, h * part / 4, w - 1, h * part / 4))
            curves = self._curves
            if curves is None:
                text(p, w / 2, h / 2 + 4, say("Choose a joint"), "faint", 11, align="centre")
                return
            both = np.concatenate([curves.before, curves.after])
            known = both[np.isfinite(both)]
            if len(known):
                low, high = float(known.min()), float(known.max())
                scale = (h - 34) / max(high - low, 1.0)
                self._draw(p, curves.before, low, scale, "faint", 1.2)
                self._draw(p, curves.after, low, scale, curves.colour, 2.0)
            count = len(curves.after)
            place = self._frame - curves.first
            if 0 <= place < count and count > 1:
                x = 6 + (w - 12) * place / (count - 1)
                p.setPen(QPen(theme().colour("playhead"), 1))
                p.drawLine(QLineF(x, 1, x, h - 1))
            text(p, 8, 16, curves.title, "text", 11)
            advance = text(p, w - 8, 16, say("after"), curves.colour, 11, BOLD, align="right")
            text(p, w - 16 - advance, 16, say("before"), "faint", 11, align="right")

    def _draw(
        self,
        p: QPainter,
        values: NDArray[np.float32],
        low: float,
        scale: float,
        colour: str,
        width: float,
    ) -> None:
        step = max(len(values) // max(self.width(), 1), 1)
        values = values[::step]
        xs = 6 + (self.width() - 12) * np.arange(len(values)) / max(len(values) - 1, 1)
        ys = 24 + (values - low) * scale
        known = np.isfinite(values)
        edges = np.flatnonzero(np.diff(np.r_[0, known.astype(np.int8), 0]))
        p.setBrush(Qt.BrushStyle.NoBrush)
        p.setPen(QPen(theme().colour(colour), width))
        for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            points = [
                QPointF(x, y) for x, y in zip(xs[a:b].tolist(), ys[a:b].tolist(), strict=True)
            ]
            p.drawPolyline(QPolygonF(points))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the frame."""
        if self._curves is not None:
            share = (event.position().x() - 6) / max(self.width() - 12, 1)
            last = len(self._curves.after) - 1
            self.sought.emit(self._curves.first + round(min(max(share, 0), 1) * last))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go along with the mouse."""
        self.mousePressEvent(event)


class Proportions(QWidget):
    """How long a character's limbs are, the dancer's being 100 %."""

    _LINE = 22

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[tuple[str, float], ...] = ()
        self.setAccessibleName(say("Proportions of the character"))

    def show_lines(self, lines: tuple[tuple[str, float], ...]) -> None:
        """Show proportions: a name and a factor each."""
        self._lines = lines
        self.setFixedHeight(max(len(lines), 1) * self._LINE)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint a bar each, to the right what is longer."""
        with painting(self) as p:
            p.setRenderHint(QPainter.RenderHint.Antialiasing)
            if not self._lines:
                text(p, 0, 15, say("Known once poses and character are there"), "faint", 11)
                return
            left, wide = 100.0, self.width() - 150.0
            middle = left + wide / 2
            p.setPen(QPen(theme().colour("edge"), 1))
            p.drawLine(QLineF(middle, 0, middle, self.height()))
            for number, (name, factor) in enumerate(self._lines):
                y = number * self._LINE
                text(p, 0, y + 15, name, "text", 12)
                long = max(min((factor - 1) * wide, wide / 2), -wide / 2)
                bar = QRectF(min(middle, middle + long), y + 7, max(abs(long), 1), 8)
                box(p, bar, 2, "violet")
                text(
                    p,
                    self.width(),
                    y + 15,
                    f"{factor * 100:.0f} %",
                    "strong",
                    12,
                    figures=True,
                    align="right",
                )
