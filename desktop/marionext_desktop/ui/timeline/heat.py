"""Heat strips: how sure each row's points are, a pixel a frame, with levels for zooming out.

A level keeps the worst of 4, 16 and 64 frames, so that a single bad frame is still seen when ten
minutes are on the screen. An edit recolours the columns it touched and nothing else.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from marionext_desktop.ui.theme import theme

__all__ = ["HeatStrips"]

_LEVELS = (1, 4, 16, 64)
_FAIR, _POOR = 0.36, 0.3


def _table() -> NDArray[np.uint32]:
    """Return the colour of each score from 0 to 255: 0xffRRGGBB."""
    at = np.linspace(0, 1, 256)
    stops = (0.0, _POOR, _FAIR, 0.46, 1.0)
    names = ("heat_poor", "heat_poor", "heat_fair", "heat", "heat")
    colours = [theme().colour(name) for name in names]
    channels = [
        np.interp(at, stops, [getattr(colour, channel)() for colour in colours])
        for channel in ("red", "green", "blue")
    ]
    red, green, blue = (channel.astype(np.uint32) for channel in channels)
    table = 0xFF000000 | red << 16 | green << 8 | blue
    table[0] = theme().colour("heat_none").rgb()
    colours_of: NDArray[np.uint32] = table.astype(np.uint32)
    return colours_of


class HeatStrips:
    """The strips of all rows as pictures.

    Args:
        scores: (rows, frames), 0 where nothing is known.
    """

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores = scores
        self._pixels: list[NDArray[np.uint32]] = []
        self._images: list[QImage] = []
        self.recolour()

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.scores.shape[1])

    def recolour(self) -> None:
        """Make all pictures anew, in the theme's colours."""
        self._colours = _table()
        self._pixels, self._images = [], []
        for level in _LEVELS:
            pixels = self._coloured(level, 0, self.frames)
            rows, columns = pixels.shape
            self._pixels.append(pixels)
            self._images.append(
                QImage(pixels.data, columns, rows, columns * 4, QImage.Format.Format_RGB32)
            )

    def patch(self, start: int, scores: NDArray[np.float32]) -> None:
        """Show other scores from a frame on.

        Args:
            start: index of the first frame that changed.
            scores: (rows, frames changed).
        """
        stop = start + scores.shape[1]
        self.scores[:, start:stop] = scores
        for level, pixels in zip(_LEVELS, self._pixels, strict=True):
            first, last = start // level, -(-stop // level)
            pixels[:, first:last] = self._coloured(level, first * level, last * level)

    def at_scale(self, scale: float) -> tuple[int, QImage]:
        """Return the picture for a zoom, and how many frames a pixel of it stands for.

        Args:
            scale: pixels of the window for a frame.
        """
        for level, image in zip(reversed(_LEVELS), reversed(self._images), strict=True):
            if level * scale <= 1.0 and image.width() > 0:
                return level, image
        return 1, self._images[0]

    def gaps(self, row: int, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the runs of frames within a range in which nothing is known of a row."""
        start, stop = max(start, 0), min(stop, self.frames)
        if stop <= start:
            return
        unknown = np.zeros(stop - start + 2, np.int8)
        unknown[1:-1] = self.scores[row, start:stop] <= 0
        edges = np.flatnonzero(np.diff(unknown)) + start
        yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)

    def _coloured(self, level: int, start: int, stop: int) -> NDArray[np.uint32]:
        block = self.scores[:, start:stop]
        rows, count = block.shape
        short = -count % level
        if short:
            block = np.pad(block, ((0, 0), (0, short)), mode="edge")
        worst = block.reshape(rows, -1, level).min(axis=2) if level > 1 else block
        shade = (np.clip(worst, 0, 1) * 254.999).astype(np.uint8) + (worst > 0)
        return np.ascontiguousarray(self._colours[shade])
