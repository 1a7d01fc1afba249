"""The drawing canvas, cut into tiles, so that what no stroke touched is never looked at.

Tiles are made of whole periods of the resizing: at 2160 / 576 = 15 / 4 every 4 pixels of the map
come from 15 of the canvas in the same way, so a tile of 30 resized anywhere gives the 8 pixels
that it would give in its place. So the touched tiles are stacked to one tall picture, resized at
a single stroke, and laid where they belong.
"""

from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["TiledCanvas"]

_LEAST_TILE = 30
"""Least side of a tile in pixels of the canvas: strokes are 9 wide and run in all directions."""

_SPACING = 8
"""Pixels of the canvas between the points at which a line is looked at."""

Places = NDArray[np.intp]


class TiledCanvas:
    """A black canvas larger than the picture that is made of it; not for two threads at once.

    Draw on `canvas` as you like, mark where, and take the picture: the canvas is black again.
    """

    def __init__(self, target: tuple[int, int], source: tuple[int, int]) -> None:
        """Lay tiles over a canvas.

        Args:
            target: width and height of the picture.
            source: width and height of the canvas it is resized from.
        """
        self._target = target
        self._columns = _Axis(target[0], source[0])
        self._rows = _Axis(target[1], source[1])
        rows, columns = self._rows, self._columns
        # Whole tiles; what the last ones have beyond the canvas is never drawn on.
        whole = np.zeros((rows.count * rows.tile, columns.count * columns.tile, 3), np.uint8)
        self.canvas = whole[: source[1], : source[0]]
        """(height, width, 3)."""
        self._tiles = whole.reshape(rows.count, rows.tile, columns.count, -1).swapaxes(1, 2)
        # The same once more as lines of tiles; line k of tile (r, c) is number
        # (r * tile + k) * count + c.
        self._lines = whole.reshape(-1, 3 * columns.tile)
        self._steps = np.arange(rows.tile) * columns.count
        self._stack = np.empty_like(self._lines[:0])
        self._tile_size = np.array([columns.tile, rows.tile], np.float64)
        self._tile_counts = np.array([columns.count, rows.count], np.float64)
        # One row and one column more, for what lies outside: at -1 and at `count`.
        self._touched = np.zeros((rows.count + 1, columns.count + 1), np.bool_)

    def mark_box(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Mark what lies within a box, its corners included, in pixels of the canvas."""
        rows, columns = self._rows.between(y0, y1), self._columns.between(x0, x1)
        self._touched[rows, columns] = True

    def mark_segments(
        self, centres: NDArray[np.floating], halves: NDArray[np.floating], reach: int
    ) -> None:
        """Mark what lies near straight lines.

        Args:
            centres: (lines, 2) of the lines, in pixels of the canvas.
            halves: (lines, 2) from the centre to an end.
            reach: how far from its line a stroke is drawn, at most, across or down.
        """
        # Boxes about points along the line cover the stroke; they are no larger than a tile, so
        # the tiles of their corners are all they touch.
        margin = reach + _SPACING / 2
        lengths = 2 * np.abs(halves).max(axis=1, initial=0.0)
        counts = (lengths / _SPACING).astype(np.intp) + 2
        line = np.repeat(np.arange(len(counts)), counts)
        first = np.cumsum(counts) - counts
        along = (np.arange(len(line)) - first[line]) * (2.0 / (counts - 1))[line] - 1.0
        points = centres[line] + halves[line] * along[:, None]
        corners = np.stack([points - margin, points + margin])
        tiles = np.clip(corners // self._tile_size, -1, self._tile_counts).astype(np.intp)
        self._touched[tiles[[0, 0, 1, 1], :, 1], tiles[[0, 1, 0, 1], :, 0]] = True

    def take(self) -> NDArray[np.uint8]:
        """Resize what was marked to the picture (height, width, 3), and make the canvas black."""
        rows, columns = self._rows, self._columns
        width, height = columns.count * columns.target_tile, rows.count * rows.target_tile
        picture = np.zeros((height, width, 3), np.uint8)
        places = np.nonzero(self._touched[:-1, :-1])
        if len(places[0]):
            tiles = self._gathered(*places)
            self._tiles[places] = 0
            self._touched[...] = False
            shown = picture.reshape(rows.count, rows.target_tile, columns.count, -1)
            shown.swapaxes(1, 2)[places] = self._resized(tiles)
        wanted = picture[: self._target[1], : self._target[0]]
        return wanted if wanted.shape == picture.shape else wanted.copy()

    def _gathered(self, row: Places, column: Places) -> NDArray[np.uint8]:
        """Copy tiles, (tiles, height, width * 3), into memory that is kept: new memory is slow."""
        rows, columns = self._rows, self._columns
        first = row * (rows.tile * columns.count) + column
        numbers = (first[:, None] + self._steps).ravel()
        if len(self._stack) < len(numbers):
            self._stack = np.empty((2 * len(numbers), 3 * columns.tile), np.uint8)
        stack = self._stack[: len(numbers)]
        # Any other mode than clip would go through a buffer.
        np.take(self._lines, numbers, axis=0, out=stack, mode="clip")
        return stack.reshape(len(row), rows.tile, -1)

    def _resized(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize all tiles at once: (tiles, height, width * 3) to the same of the picture's."""
        rows, columns = self._rows, self._columns
        count = len(tiles)
        if rows.count > 1 or count == 1:
            tall = tiles.reshape(count * rows.tile, columns.tile, 3)
            size = (columns.target_tile, count * rows.target_tile)
            stacked: NDArray[np.uint8] = cv2.resize(tall, size).reshape(count, rows.target_tile, -1)
            return stacked
        # A single row of tiles may have no period; then they lie side by side.
        wide = tiles.swapaxes(0, 1).reshape(rows.tile, count * columns.tile, 3)
        size = (count * columns.target_tile, rows.target_tile)
        beside: NDArray[np.uint8] = cv2.resize(wide, size).reshape(rows.target_tile, count, -1)
        return beside.swapaxes(0, 1)


class _Axis:
    """How one axis of the canvas is resized, and where it may be cut without a trace.

    OpenCV computes in single precision where an output pixel reads its input. That is exact,
    and so the same in every period, when the ratio is a dyadic fraction; where it is not, the
    axis is one tile. Below a ratio of 2 a pixel would read across a cut.
    """

    __slots__ = ("_source", "count", "target_tile", "tile")

    def __init__(self, target: int, source: int) -> None:
        """Take the lengths of the axis in the picture and on the canvas."""
        ratio = Fraction(source, target)
        self._source = source
        self.target_tile, self.tile = target, source
        if ratio >= 2 and ratio.denominator & (ratio.denominator - 1) == 0:
            periods = -(-_LEAST_TILE // ratio.numerator)
            self.target_tile = periods * ratio.denominator
            self.tile = periods * ratio.numerator
        # `tile` is its length on the canvas, `count` how many there are.
        self.count = -(-source // self.tile)

    def between(self, low: float, high: float) -> slice:
        """Return the tiles between two places, both included; none outside the canvas."""
        if high < 0 or low >= self._source:
            return slice(0, 0)
        return slice(int(max(low, 0)) // self.tile, int(high) // self.tile + 1)
