"""The line at the bottom: what the mouse and keys do here, what was done, how full the cache is."""

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout

from marionext_desktop.model.words import say
from marionext_desktop.ui.controls import label, retone

__all__ = ["StatusBar"]

_HINTS = {
    "edit": (
        "Drag moves the whole limb", "Shift one joint", "Alt no fade", "Ctrl straight",
        "P key", "H hold", "\\ before / after",
    ),
    "clean": ("N next finding", "Return mend", "Shift+Return ignore", "\\ before / after"),
    "render": (
        "Drag the divider", "Click a version: B", "Shift+click: A",
        "Ctrl+Return draft of the range",
    ),
}  # fmt: skip
_SHOWN_MS = 6000


class StatusBar(QFrame):
    """The line."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("back")
        self.setFixedHeight(26)
        self._hint = label("", "faint", 11)
        self._chosen = label("", "faint", 11)
        self._undo = label("", "faint", 11)
        self._cache = label("", "faint", 11)
        self._space = "edit"
        self._back = QTimer(self, singleShot=True, interval=_SHOWN_MS)
        self._back.timeout.connect(self._show_hint)
        line = QHBoxLayout(self)
        line.setContentsMargins(14, 0, 14, 0)
        line.setSpacing(24)
        line.addWidget(self._hint, 1)
        for item in (self._chosen, self._undo, self._cache):
            line.addWidget(item)
        self._show_hint()

    def show_space(self, space: str) -> None:
        """Say what can be done in a workspace."""
        self._space = space
        self._show_hint()

    def _show_hint(self) -> None:
        retone(self._hint, "faint")
        self._hint.setText("    ·    ".join(say(hint) for hint in _HINTS[self._space]))

    def tell(self, tone: str, words: str) -> None:
        """Say something for a while."""
        retone(self._hint, tone)  # type: ignore[arg-type]
        self._hint.setText(words.replace("\n", "  "))
        self._hint.setToolTip(words)
        self._back.start()

    def show_chosen(self, words: str) -> None:
        """Say what is chosen."""
        self._chosen.setText(words)

    def show_undo(self, words: str | None) -> None:
        """Say what would be undone."""
        self._undo.setText(say("Undo: {what}", what=words.lower()) if words else "")

    def show_cache(self, words: str) -> None:
        """Say how much is ready to be played."""
        self._cache.setText(words)
