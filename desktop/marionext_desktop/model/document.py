"""The open document: the project as it is, as it was, and as it was before something was undone.

A project is a value, so a step of the history is the value that was there before it; steps share
all that they have in common. What is undone is therefore byte for byte what it was.

What becomes of renders, and where media lie, is no work of the user's hands: `Document.amend`
changes it in every step of the history alike, and no undo brings back a take that was overtaken.
"""

import dataclasses
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from marionext_desktop.model.project import Project

__all__ = ["HISTORY_BYTES", "Document"]

HISTORY_BYTES = 256 << 20
"""What the steps that can be undone may take; beyond it the oldest are forgotten."""
_MOST_STEPS = 5_000
_OF_ANY_OBJECT = 64
"""Bytes that a small value takes in memory, roughly."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Something that was done."""

    label: str
    before: Project
    after: Project
    merge: Hashable
    size: int
    """Bytes that are kept for this step alone, roughly."""


class Document(QObject):
    """A project and its history.

    Args:
        project: to begin with.
        budget: bytes that the history may take.
    """

    changed = Signal(object, object)
    """The project before and after; whoever shows it compares what is his."""
    history_changed = Signal()
    """What can be undone or redone, or whether there is something to save, is another."""

    def __init__(
        self,
        project: Project | None = None,
        *,
        budget: int = HISTORY_BYTES,
        parent: QObject | None = None,
    ) -> None:
        """Open a project."""
        super().__init__(parent)
        self._project = project or Project()
        self._saved: Project | None = self._project
        self._budget = budget
        self._done: list[_Step] = []
        self._undone: list[_Step] = []
        self._gesture_open = False

    @property
    def project(self) -> Project:
        """The project as it is."""
        return self._project

    @property
    def dirty(self) -> bool:
        """Whether it differs from what was saved."""
        return self._project is not self._saved

    @property
    def undo_label(self) -> str | None:
        """What would be undone; None: nothing."""
        return self._done[-1].label if self._done else None

    @property
    def redo_label(self) -> str | None:
        """What would be done again; None: nothing."""
        return self._undone[-1].label if self._undone else None

    @property
    def labels(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What was done, oldest first, and what was undone, the next to be done again first."""
        return (
            tuple(step.label for step in self._done),
            tuple(step.label for step in reversed(self._undone)),
        )

    def do(self, label: str, project: Project, *, merge: Hashable = None) -> bool:
        """Change the project, as one step that can be undone.

        Args:
            label: what was done, in the user's words.
            project: as it shall be.
            merge: of a gesture that changes the project again and again, such as a drag. Changes
                of one gesture that follow each other are one step, until `end_gesture`.

        Returns:
            Whether anything has changed.
        """
        old = self._project
        if project is old:
            return False
        last = self._done[-1] if self._done else None
        goes_on = self._gesture_open and merge is not None and last is not None
        if goes_on and last is not None and last.merge == merge:
            if project == last.before:
                # The gesture has come back to where it began: nothing was done.
                self._done.pop()
                self._gesture_open = False
                self._set(last.before)
                return True
            size = _size_of(project, last.before)
            self._done[-1] = _Step(label, last.before, project, merge, size)
        elif project == old:
            return False
        else:
            self._done.append(_Step(label, old, project, merge, _size_of(project, old)))
            self._gesture_open = merge is not None
        self._undone.clear()
        self._forget_the_oldest()
        self._set(project)
        return True

    def end_gesture(self) -> None:
        """Let the next change be a step of its own: the mouse button is up, the field is left."""
        self._gesture_open = False

    def cancel_gesture(self) -> None:
        """Take back what the gesture has done so far, as Escape does."""
        if self._gesture_open and self._done:
            self._gesture_open = False
            self._set(self._done.pop().before)

    def undo(self) -> str | None:
        """Take the last step back and return what it was; None: there is none."""
        self._gesture_open = False
        if not self._done:
            return None
        step = self._done.pop()
        self._undone.append(step)
        self._set(step.before)
        return step.label

    def redo(self) -> str | None:
        """Do again what was undone last and return what it is; None: there is nothing."""
        self._gesture_open = False
        if not self._undone:
            return None
        step = self._undone.pop()
        self._done.append(step)
        self._set(step.after)
        return step.label

    def amend(self, change: Callable[[Project], Project]) -> None:
        """Change what no undo shall bring back, in every step of the history alike.

        Args:
            change: makes a project of a project; one that is not concerned comes back as it is.
        """
        known: dict[int, Project] = {}

        def amended(project: Project) -> Project:
            if id(project) not in known:
                known[id(project)] = change(project)
            return known[id(project)]

        # The old values stay alive until all are changed, so that no id is given away twice.
        kept = [self._done, self._undone]
        new = amended(self._project)
        self._done, self._undone = (
            [dataclasses.replace(s, before=amended(s.before), after=amended(s.after)) for s in each]
            for each in kept
        )
        if new is not self._project:
            self._set(new)

    def saved(self, project: Project | None = None) -> None:
        """Note that a project was saved; None: the one that is open."""
        self._saved = self._project if project is None else project
        self.history_changed.emit()

    def reset(self, project: Project, *, dirty: bool = False) -> None:
        """Open another project, without a history.

        Args:
            project: the other one.
            dirty: whether it is still to be saved, such as one that was recovered.
        """
        self._done.clear()
        self._undone.clear()
        self._gesture_open = False
        self._saved = None if dirty else project
        self._set(project)

    @property
    def history_bytes(self) -> int:
        """What the history takes, roughly."""
        return sum(step.size for step in (*self._done, *self._undone))

    def _set(self, project: Project) -> None:
        old, self._project = self._project, project
        if project is not old:
            self.changed.emit(old, project)
        self.history_changed.emit()

    def _forget_the_oldest(self) -> None:
        total = self.history_bytes
        while len(self._done) > 1 and (total > self._budget or len(self._done) > _MOST_STEPS):
            total -= self._done.pop(0).size


def _size_of(new: object, old: object) -> int:
    """Return roughly how many bytes a value takes beside one that it shares parts with."""
    if new is old:
        return 0
    if dataclasses.is_dataclass(new) and not isinstance(new, type):
        same = type(new) is type(old)
        return _OF_ANY_OBJECT + sum(
            _size_of(getattr(new, each.name), getattr(old, each.name) if same else None)
            for each in dataclasses.fields(new)
        )
    if isinstance(new, tuple):
        shared = {id(item) for item in old} if isinstance(old, tuple) else set()
        # Things are mostly changed in their places, or put at the end.
        beside = old if isinstance(old, tuple) else ()
        size = _OF_ANY_OBJECT + 8 * len(new)
        for place, item in enumerate(new):
            if id(item) not in shared:
                size += _size_of(item, beside[place] if place < len(beside) else None)
        return size
    if isinstance(new, str | bytes):
        return _OF_ANY_OBJECT + len(new)
    return 0 if isinstance(new, bool | int | type(None)) else 32
