"""The render queue: one card a job, with what it does, how far it is, and what can be done."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QPoint, QPointF, QRectF, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPixmap,
)
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import Button, Panel, Scrolled, label
from marionext_desktop.ui.icons import icon_picture
from marionext_desktop.ui.painting import MEDIUM, box, painting, text
from marionext_desktop.ui.theme import theme

__all__ = ["JobCard", "QueuePanel"]

State = Literal["running", "waiting", "paused", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCard:
    """A job of the queue."""

    id: str
    title: str
    words: str
    state: State
    right: str = ""
    """Time that is left, or how it ended."""
    progress: float = 0.0
    picture: QPixmap | None = None
    mine: bool = True
    """Whether it is a render of this project."""


_TONES: dict[State, str] = {
    "running": "accent",
    "waiting": "faint",
    "paused": "warn",
    "done": "good",
    "failed": "bad",
    "cancelled": "faint",
}
_BUTTONS: dict[State, tuple[tuple[str, str, str], ...]] = {
    "running": (("pause", "pause", "Pause"), ("cancel", "x", "Cancel")),
    "waiting": (("up", "arrow-up", "Render earlier"), ("cancel", "x", "Cancel")),
    "paused": (("resume", "play", "Go on"), ("cancel", "x", "Cancel")),
    "done": (("folder", "folder-open", "Open the folder"), ("show", "play", "Show it")),
    "failed": (("retry", "rotate-ccw", "Try again"), ("log", "file-text", "Log")),
    "cancelled": (("retry", "rotate-ccw", "Try again"), ("remove", "x", "Take away")),
}


class _Card(QWidget):
    """One job."""

    asked = Signal(str, str)
    """What is to be done, and with which job."""
    menu_wanted = Signal(str, QPoint)

    def __init__(self, job: JobCard) -> None:
        super().__init__()
        self.setFixedHeight(66)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 20, 12, 0)
        line.setSpacing(0)
        line.addStretch(1)
        self._line = line
        self._buttons: list[Button] = []
        self._state: State | None = None
        self.job = job
        self.show_job(job)

    def show_job(self, job: JobCard) -> None:
        """Show how it goes on."""
        self.job = job
        self.setAccessibleName(f"{job.title}, {job.words}, {job.right}")
        self.setToolTip(f"{job.title}\n{job.words}" if len(job.words) > 36 else "")
        if job.state != self._state:
            self._state = job.state
            for button in self._buttons:
                self._line.removeWidget(button)
                button.deleteLater()
            self._buttons = []
            for what, picture, tip in _BUTTONS[job.state]:
                button = Button(picture, size=14, tip=say(tip))
                button.setFixedSize(22, 22)
                button.clicked.connect(
                    lambda _on=False, what=what: self.asked.emit(what, self.job.id)
                )
                self._line.addWidget(button)
                self._buttons.append(button)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the card."""
        job = self.job
        with painting(self) as p:
            p.setRenderHint(QPainter.RenderHint.Antialiasing)
            p.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            card = QRectF(8.5, 3.5, self.width() - 17, 59)
            box(p, card, 6, "raised" if job.state == "running" else "head", "edge")
            frame = QRectF(card.x() + 6, card.y() + 6, 36, 47)
            shape = QPainterPath()
            shape.addRoundedRect(frame, 3, 3)
            p.save()
            p.setClipPath(shape)
            p.fillRect(frame, theme().colour("line"))
            if job.picture is not None and not job.picture.isNull():
                w, h = job.picture.width(), job.picture.height()
                scale = max(frame.width() / w, frame.height() / h)
                wide, tall = frame.width() / scale, frame.height() / scale
                p.drawPixmap(
                    frame, job.picture, QRectF((w - wide) / 2, (h - tall) * 0.25, wide, tall)
                )
                if job.state in {"waiting", "paused", "cancelled"}:
                    p.fillRect(frame, theme().colour("back", 150))
            else:
                p.drawPixmap(
                    QPointF(frame.center().x() - 8, frame.center().y() - 8),
                    icon_picture("clapperboard", "faint", 16),
                )
            p.restore()
            tone = _TONES[job.state]
            left, right = frame.right() + 10, card.right() - 10
            advance = text(
                p,
                right,
                card.y() + 20,
                job.right,
                "text" if job.state == "waiting" else tone,
                11,
                MEDIUM,
                figures=True,
                align="right",
            )
            text(
                p,
                left,
                card.y() + 20,
                job.title,
                "strong",
                12,
                MEDIUM,
                width=right - advance - left - 10,
            )
            words_tone = "bad" if job.state == "failed" else "faint"
            text(p, left, card.y() + 37, job.words, words_tone, 11, width=right - left - 50)
            bar = QRectF(left, card.bottom() - 11, right - left, 4)
            box(p, bar, 2, "line")
            if job.progress > 0:
                box(
                    p,
                    QRectF(bar.x(), bar.y(), max(bar.width() * min(job.progress, 1), 4), 4),
                    2,
                    tone,
                )

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:
        """Show what was rendered."""
        self.asked.emit("show", self.job.id)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for a menu."""
        self.menu_wanted.emit(self.job.id, event.globalPos())


class QueuePanel(Panel):
    """The queue."""

    asked = Signal(str, str)
    """``pause``, ``resume``, ``cancel``, ``up``, ``retry``, ``log``, ``folder``, ``show`` or
    ``remove``, and the job's id."""
    menu_wanted = Signal(str, QPoint)

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self._counts = label("", "faint", 11)
        self.more = Button("ellipsis", tip=say("More"))
        self.head(
            label(say("Render queue"), "strong", bold=True), 6, self._counts, None,
            Button("pause", action=actions["pause_queue"]), self.more, height=38, left=14,
        )  # fmt: skip
        self._empty = label(
            say("Renders wait here, one after the other, and go on when the window is closed."),
            "faint", 11, wrapped=True,
        )  # fmt: skip
        self._empty.setContentsMargins(14, 12, 14, 0)
        self._holder = QWidget()
        self._column = QVBoxLayout(self._holder)
        self._column.setContentsMargins(0, 2, 0, 0)
        self._column.setSpacing(0)
        self.add(Scrolled(self._empty, self._holder), 1)
        self._cards: dict[str, _Card] = {}

    def show_jobs(self, jobs: Iterable[JobCard]) -> None:
        """Show the jobs of the queue, in their order."""
        found = list(jobs)
        names = [job.id for job in found]
        if list(self._cards) != names:
            kept = {name: card for name, card in self._cards.items() if name in names}
            for name, card in self._cards.items():
                self._column.removeWidget(card)
                if name not in kept:
                    card.deleteLater()
            self._cards = {}
            for job in found:
                known = kept.get(job.id)
                card = known or _Card(job)
                if known is None:
                    card.asked.connect(self.asked)
                    card.menu_wanted.connect(self.menu_wanted)
                self._column.addWidget(card)
                self._cards[job.id] = card
        for job in found:
            if self._cards[job.id].job != job:
                self._cards[job.id].show_job(job)
        running = sum(job.state == "running" for job in found)
        waiting = sum(job.state == "waiting" for job in found)
        parts = [
            say("{n} running", n=running) if running else "",
            say("{n} waiting", n=waiting) if waiting else "",
        ]
        self._counts.setText(" · ".join(part for part in parts if part))
        self._empty.setVisible(not found)
