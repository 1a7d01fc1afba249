"""Models: what is there, what can be fetched and under which licence."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QProgressBar, QVBoxLayout, QWidget

from marionext_desktop.model.words import say
from marionext_desktop.ui.controls import Button, Scrolled, label, row

__all__ = ["ModelCard", "ModelsPage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model."""

    id: str
    title: str
    words: str
    """What it is for."""
    state: Literal["ready", "absent", "fetching", "damaged"] = "ready"
    licence: str = ""
    size: str = ""
    progress: float = 0.0
    message: str = ""
    built_in: bool = False


class _Card(QFrame):
    """One model."""

    asked = Signal(str, str)

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.setObjectName("card")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 10, 10)
        column.setSpacing(5)
        state = {
            "ready": ("there", "good"),
            "absent": ("not there", "faint"),
            "fetching": ("is fetched", "accent"),
            "damaged": ("damaged", "bad"),
        }[card.state]
        title = label(card.title, "strong", bold=True, wrapped=True)
        column.addWidget(row(title, None, label(say(state[0]), state[1], 11)))  # type: ignore[arg-type]
        column.addWidget(label(card.words, "text", 11, wrapped=True))
        facts = " · ".join(part for part in (card.size, card.licence) if part)
        if facts:
            column.addWidget(label(facts, "faint", 11, wrapped=True))
        if card.message:
            column.addWidget(label(card.message, "warn", 11, wrapped=True))
        if card.state == "fetching":
            bar = QProgressBar()
            bar.setTextVisible(False)
            bar.setRange(0, 1000)
            bar.setValue(round(card.progress * 1000))
            column.addWidget(bar)
        buttons: list[QWidget] = []
        if card.state in {"absent", "damaged"}:
            buttons.append(self._button("fetch", "Fetch …", "deep", card))
        if card.state == "fetching":
            buttons.append(self._button("stop", "Stop", "soft", card))
        if card.state in {"ready", "damaged"} and not card.built_in:
            buttons.append(self._button("check", "Check", "soft", card))
            buttons.append(self._button("folder", "Folder", "soft", card))
        if buttons:
            column.addWidget(row(*buttons, None))

    def _button(self, what: str, words: str, kind: str, card: ModelCard) -> Button:
        return Button(words=say(words), kind=kind, pressed=lambda: self.asked.emit(what, card.id))  # type: ignore[arg-type]


class ModelsPage(Scrolled):
    """All models."""

    asked = Signal(str, str)
    """``fetch``, ``stop``, ``check`` or ``folder``, and the model's id."""

    looked_at = Signal()
    """The page is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.column.setContentsMargins(8, 8, 8, 8)
        self.column.setSpacing(8)
        self._cards: list[_Card] = []
        self._shown: tuple[ModelCard, ...] = ()

    def showEvent(self, event: QShowEvent) -> None:
        """Look which there are."""
        super().showEvent(event)
        self.looked_at.emit()

    def show_models(self, models: Iterable[ModelCard]) -> None:
        """Show models."""
        found = tuple(models)
        if found == self._shown:
            return
        self._shown = found
        for card in self._cards:
            self.column.removeWidget(card)
            card.deleteLater()
        self._cards = []
        for place, model in enumerate(found):
            card = _Card(model)
            card.asked.connect(self.asked)
            self.column.insertWidget(place, card)
            self._cards.append(card)
