"""Pictures read from files on threads: the window asks, paints what it has, and is told later."""

from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from PySide6.QtCore import QObject, QRunnable, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QImage, QImageReader, QPixmap

__all__ = ["PictureFiles"]

_BYTES = 96 << 20


class _Answers(QObject):
    """Carries pictures from threads to the window's."""

    read = Signal(object, QImage)


class _Reading(QRunnable):
    """Reads one file."""

    def __init__(self, key: Hashable, path: str, side: int, answers: _Answers) -> None:
        super().__init__()
        self.key, self.path, self.side, self.answers = key, path, side, answers

    def run(self) -> None:
        """Read it, smaller where that is enough."""
        reader = QImageReader(self.path)
        reader.setAutoTransform(True)
        size = reader.size()
        if self.side and size.isValid() and max(size.width(), size.height()) > self.side:
            wanted = size.scaled(QSize(self.side, self.side), Qt.AspectRatioMode.KeepAspectRatio)
            reader.setScaledSize(wanted)
        image = reader.read()
        try:
            self.answers.read.emit(self.key, image)
        except RuntimeError:  # the window is gone
            return


class PictureFiles(QObject):
    """Pictures of files, kept up to a number of bytes, the ones used last the longest.

    A picture is known by its path and when the file was changed, so that one that is written anew
    is read anew.
    """

    ready = Signal(str)
    """Path of a picture that can be had now."""

    def __init__(self, parent: QObject | None = None, *, budget: int = _BYTES) -> None:
        super().__init__(parent)
        self._budget, self._bytes = budget, 0
        self._images: OrderedDict[Hashable, QImage] = OrderedDict()
        self._pixmaps: dict[Hashable, QPixmap] = {}
        self._asked: set[Hashable] = set()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(2)
        self._answers = _Answers(self)
        self._answers.read.connect(self._take)

    def image(self, path: Path, *, side: int = 0) -> QImage | None:
        """Return a picture, or None while it is read or where there is none.

        Args:
            path: of the file.
            side: pixels of the longer side that are enough; 0: all.
        """
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return None
        key = (str(path), changed, side)
        found = self._images.get(key)
        if found is not None:
            self._images.move_to_end(key)
            return None if found.isNull() else found
        if key not in self._asked:
            self._asked.add(key)
            self._pool.start(_Reading(key, str(path), side, self._answers))
        return None

    def pixmap(self, path: Path, *, side: int = 128) -> QPixmap | None:
        """Return a small picture for a list; see `image`."""
        image = self.image(path, side=side)
        if image is None:
            return None
        key = image.cacheKey()
        if key not in self._pixmaps:
            self._pixmaps[key] = QPixmap.fromImage(image)
        return self._pixmaps[key]

    def _take(self, key: tuple[str, int, int], image: QImage) -> None:
        self._asked.discard(key)
        self._images[key] = image
        self._bytes += image.sizeInBytes()
        while self._bytes > self._budget and len(self._images) > 1:
            _, old = self._images.popitem(last=False)
            self._bytes -= old.sizeInBytes()
            self._pixmaps.pop(old.cacheKey(), None)
        self.ready.emit(key[0])

    def close(self) -> None:
        """Read nothing more."""
        self._pool.clear()
        self._pool.waitForDone(2000)
