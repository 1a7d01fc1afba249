"""Everything that can be done, as Qt's actions: menus, buttons and keys all go through them."""

from collections.abc import Callable, Iterator, Mapping

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from marionext_desktop.model.shortcuts import COMMANDS, KeySet, keys_of
from marionext_desktop.model.words import say
from marionext_desktop.ui.icons import icon
from marionext_desktop.ui.theme import theme

__all__ = ["Actions"]

_SEPARATED = {
    "import", "export", "project_settings", "quit", "cut", "delete", "select_all", "blade",
    "speed", "marker", "mark_in", "snap", "swap", "smooth", "next_person", "next_finding",
    "compare", "drag_joint", "live", "set_a", "shuttle_back", "back", "previous_edit", "go_to",
    "loop", "single", "fit", "onion", "zoom_in", "library", "full_screen", "models", "about",
}  # fmt: skip
"""Commands above which a menu has a line."""
_WHILE_HELD = {
    "back", "on", "back_second", "on_second", "zoom_in", "zoom_out", "undo", "redo",
    "previous_edit", "next_edit",
}  # fmt: skip
"""Commands that go on while the key is held."""


class Actions(QObject):
    """One action for each command of `marionext_desktop.model.shortcuts`."""

    def __init__(self, window: QWidget) -> None:
        """Make the actions of a window."""
        super().__init__(window)
        self._actions: dict[str, QAction] = {}
        for name, command in COMMANDS.items():
            action = QAction(say(command.words), window)
            action.setObjectName(name)
            action.setCheckable(command.checkable)
            action.setAutoRepeat(name in _WHILE_HELD)
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
            action.setToolTip(say(command.words).rstrip(" …"))
            window.addAction(action)
            self._actions[name] = action
        self._paint()
        theme().changed.connect(self._paint)

    def __getitem__(self, name: str) -> QAction:
        return self._actions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._actions)

    def on(self, name: str, do: Callable[[], object]) -> None:
        """Do something when a command is given."""
        self._actions[name].triggered.connect(lambda _checked=False: do())

    def give_keys(
        self, key_set: KeySet, changed: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        """Give every command its keys; see `marionext_desktop.model.shortcuts`."""
        for name, action in self._actions.items():
            keys = keys_of(name, key_set, changed)
            action.setShortcuts([QKeySequence(key) for key in keys])

    def check(self, name: str, on: bool) -> None:
        """Show whether a command is in force."""
        self._actions[name].setChecked(on)

    def allow(self, on: bool, *names: str) -> None:
        """Allow or forbid commands."""
        for name in names:
            self._actions[name].setEnabled(on)

    def fill(self, bar: QMenuBar) -> dict[str, QMenu]:
        """Make the menus and return them by their English names."""
        menus: dict[str, QMenu] = {}
        for name, command in COMMANDS.items():
            menu = menus.get(command.menu)
            if menu is None:
                menu = menus[command.menu] = bar.addMenu("&" + say(command.menu))
            elif name in _SEPARATED:
                menu.addSeparator()
            menu.addAction(self._actions[name])
        return menus

    def menu(self, parent: QWidget, *names: str | None) -> QMenu:
        """Return a menu of some commands; None is a line between them."""
        menu = QMenu(parent)
        for name in names:
            if name is None:
                menu.addSeparator()
            else:
                menu.addAction(self._actions[name])
        return menu

    def _paint(self) -> None:
        for name, action in self._actions.items():
            picture = COMMANDS[name].picture
            # An icon would stand in the place of the tick.
            if picture and not action.isCheckable():
                action.setIcon(icon(picture, "text"))
