"""Three hints at the first start, one beside each place that they are about."""

from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QGraphicsDropShadowEffect, QVBoxLayout, QWidget

from marionext_desktop.model.words import say
from marionext_desktop.ui.controls import Button, label, row
from marionext_desktop.ui.painting import box, painting
from marionext_desktop.ui.theme import theme

__all__ = ["Hint", "Hints"]

_TIP = 9


class Hint(QWidget):
    """A card that points at something."""

    next_wanted = Signal()
    closed = Signal()

    def __init__(self, parent: QWidget, title: str, words: str, count: str, *, last: bool) -> None:
        super().__init__(parent)
        self.setFixedWidth(290)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 14, 14 + _TIP)
        column.setSpacing(6)
        column.addWidget(label(title, "strong", 13, bold=True))
        column.addWidget(label(words, "text", 12, wrapped=True))
        go = Button(words=say("Start") if last else say("Next"), kind="primary")
        go.clicked.connect(self.closed if last else self.next_wanted)
        skip = Button(words=say("Skip"), pressed=self.closed.emit)
        skip.setVisible(not last)
        column.addSpacing(4)
        column.addWidget(row(label(count, "faint", 11), None, skip, go, gap=6))
        self.adjustSize()
        shadow = QGraphicsDropShadowEffect(self)
        shadow.setBlurRadius(32)
        shadow.setOffset(0, 6)
        self.setGraphicsEffect(shadow)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the card and its tip."""
        with painting(self) as p:
            p.setRenderHint(QPainter.RenderHint.Antialiasing)
            card = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5 - _TIP)
            box(p, card, 8, "panel", theme().colour("accent", 190))
            x = 36.0
            y = card.bottom()
            p.setPen(Qt.PenStyle.NoPen)
            p.setBrush(theme().colour("accent", 190))
            p.drawPolygon(
                QPolygonF([QPointF(x - _TIP, y), QPointF(x + _TIP, y), QPointF(x, y + _TIP)])
            )


class Hints(QObject):
    """Shows hints one after the other."""

    finished = Signal()

    def __init__(self, window: QWidget, hints: list[tuple[QWidget, QPoint, str, str]]) -> None:
        """Point at places.

        Args:
            window: that they lie over.
            hints: what each points at, where in it, a title and words.
        """
        super().__init__(window)
        self._window, self._hints = window, hints
        self._card: Hint | None = None
        self._at = -1
        window.installEventFilter(self)
        self.next()

    def next(self) -> None:
        """Show the next hint, or be done."""
        self._at += 1
        if self._card is not None:
            self._card.deleteLater()
            self._card = None
        if self._at >= len(self._hints):
            self.close()
            return
        _target, _point, title, words = self._hints[self._at]
        count = f"{self._at + 1} / {len(self._hints)}"
        last = self._at + 1 == len(self._hints)
        self._card = Hint(self._window, title, words, count, last=last)
        self._card.next_wanted.connect(self.next)
        self._card.closed.connect(self.close)
        self._place()
        self._card.show()
        self._card.raise_()

    def _place(self) -> None:
        if self._card is None:
            return
        target, point, _, _ = self._hints[self._at]
        at = target.mapTo(self._window, point)
        left = min(max(at.x() - 36, 8), self._window.width() - self._card.width() - 8)
        top = max(at.y() - self._card.height(), 8)
        self._card.move(left, top)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay where the hint points."""
        if event.type() is QEvent.Type.Resize:
            self._place()
        return False

    def close(self) -> None:
        """Show no more hints."""
        if self._card is not None:
            self._card.deleteLater()
            self._card = None
        self._window.removeEventFilter(self)
        self.finished.emit()
