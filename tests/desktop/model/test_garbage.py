import gc
import threading
from typing import ClassVar

from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from marionext_desktop.model.garbage import GarbageCollector


class Circle(QObject):
    """Something of Qt in a cycle, which tells where it ends."""

    ended: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.itself = self

    def __del__(self) -> None:
        Circle.ended.append(threading.current_thread().name)


def test_cycles_end_on_the_windows_thread(qtbot: QtBot) -> None:
    collector = GarbageCollector()
    assert not gc.isenabled()
    Circle.ended.clear()
    for _ in range(5):
        Circle()

    def make_many() -> None:
        kept = [[number] for number in range(50_000)]
        del kept

    thread = threading.Thread(target=make_many)
    thread.start()
    thread.join()
    assert Circle.ended == []
    waste = [[number] for number in range(20_000)]
    qtbot.waitUntil(lambda: len(Circle.ended) == 5, timeout=5_000)
    assert set(Circle.ended) == {threading.main_thread().name}
    del waste
    # Everything is looked through only while nobody would notice.
    moving = [True]
    collector.spare(lambda: moving[0])
    Circle.ended.clear()
    kept = Circle()
    gc.collect(1)  # it is older now than what is looked through often
    del kept
    for _ in range(250):
        collector.check()
    assert Circle.ended == []
    moving[0] = False
    collector.check()
    assert len(Circle.ended) == 1
    collector.close()
    assert gc.isenabled()
    gc.disable()
