"""A window with a dancer on its timeline, and hands for it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot
from tests.desktop.conftest import waving

from marionext.frames import FrameRate
from marionext_desktop.model import editing
from marionext_desktop.model.project import Character, Project, Source
from marionext_desktop.model.queue import RenderQueue
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.window import Window

FRAMES = 120


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, hero: Path) -> Iterator[Window]:
    """Open a window on a project of one clip; nothing runs beside it that is not asked for."""
    theme().apply("dark")
    queue = RenderQueue(folder=tmp_path / "queue", own=tmp_path / "own")
    session = Session(queue=queue, folder=tmp_path / "tracks")
    source = Source(
        id="source", path=str(tmp_path / "waving.npz"), kind="poses", name="waving.npz",
        frames=FRAMES, rate=FrameRate.parse("30"), size=(96, 128),
    )  # fmt: skip
    (tmp_path / "waving.npz").write_bytes(b"")
    project = editing.add_source(Project(), source)
    project = editing.append(project, replace(editing.whole_clip(project, "source"), id="clip"))
    cast = Character(id="hero", path=str(hero), name="Hero", size=(512, 768))
    project = replace(project, characters=(cast,))
    session.document.reset(project)
    session.poses.put_track(source, waving(FRAMES, rate="30"))
    opened = Window(session)
    opened.showing.change(live=False)
    opened.resize(1600, 900)
    qtbot.addWidget(opened, before_close_func=Window.close_unasked)
    opened.show()
    qtbot.waitExposed(opened)
    settle(qtbot)
    yield opened
    opened.close_unasked()


def settle(qtbot: QtBot, milliseconds: int = 60) -> None:
    """Let what was put off for a moment happen."""
    qtbot.wait(milliseconds)


class Hand:
    """A mouse whose every move is an event."""

    def __init__(self, widget: QWidget) -> None:
        self.widget = widget
        self.at = QPointF()
        self.buttons = Qt.MouseButton.NoButton

    def _send(self, kind: QEvent.Type, button: Qt.MouseButton, keys: Qt.KeyboardModifier) -> None:
        everywhere = QPointF(self.widget.mapToGlobal(self.at.toPoint()))
        event = QMouseEvent(kind, self.at, everywhere, button, self.buttons, keys)
        QApplication.sendEvent(self.widget, event)

    def press(
        self, x: float, y: float, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
    ) -> "Hand":
        """Press the left button."""
        self.at, self.buttons = QPointF(x, y), Qt.MouseButton.LeftButton
        self._send(QEvent.Type.MouseButtonPress, Qt.MouseButton.LeftButton, keys)
        return self

    def move(
        self, x: float, y: float, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
    ) -> "Hand":
        """Move, in three steps as a real one would."""
        start = QPointF(self.at)
        for step in (1, 2, 3):
            self.at = start + (QPointF(x, y) - start) * step / 3
            self._send(QEvent.Type.MouseMove, Qt.MouseButton.NoButton, keys)
        return self

    def release(self) -> "Hand":
        """Let go."""
        self.buttons = Qt.MouseButton.NoButton
        self._send(
            QEvent.Type.MouseButtonRelease,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        return self


@pytest.fixture
def hand() -> Callable[[QWidget], Hand]:
    """Return what makes a hand over a widget."""
    return Hand
