"""Which tiles of the drawing canvas have been drawn in, so that the rest can be left alone.

Tiles are made of whole periods of the resizing: at 2160 / 576 = 15 / 4 every 4 pixels of the map
come from 15 of the canvas in the same way, so a tile of 120 resized alone gives the 32 pixels
that it would give as part of the whole.
"""

from collections.abc import Iterator
from fractions import Fraction

__all__ = ["Touched"]

_TILE_WIDTH, _TILE_HEIGHT = 30, 120
"""Least sides of a tile in pixels of the canvas: smaller ones cost more calls than they save, and
figures are tall and thin."""

Region = tuple[slice, slice]
"""Rows and columns."""


class Touched:
    """The set of touched tiles, one row of tiles a whole number whose bits are its columns."""

    __slots__ = ("_columns", "_masks", "_rows")

    def __init__(self, target: tuple[int, int], source: tuple[int, int]) -> None:
        """Lay tiles over a canvas.

        Args:
            target: width and height of the map.
            source: width and height of the canvas it is resized from.
        """
        self._columns = _Axis(target[0], source[0], _TILE_WIDTH)
        self._rows = _Axis(target[1], source[1], _TILE_HEIGHT)
        self._masks = [0] * self._rows.count

    def add_box(self, x0: float, y0: float, x1: float, y1: float, *, margin: float) -> None:
        """Mark what lies within ``margin`` of a box, in pixels of the canvas."""
        bits = self._columns.bits(x0 - margin, x1 + margin)
        if bits:
            first, last = self._rows.span(y0 - margin, y1 + margin)
            for row in range(first, last + 1):
                self._masks[row] |= bits

    def add_segment(self, x0: float, y0: float, x1: float, y1: float, *, margin: float) -> None:
        """Mark what lies within ``margin`` of a straight line, in pixels of the canvas."""
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        first, last = self._rows.span(y0 - margin, y1 + margin)
        if first >= last or x0 == x1 or y0 == y1:
            self.add_box(min(x0, x1), y0, max(x0, x1), y1, margin=margin)
            return
        height = self._rows.tile
        slope = (x1 - x0) / (y1 - y0)
        for row in range(first, last + 1):
            top, bottom = row * height - margin - y0, (row + 1) * height + margin - y0
            start = x0 + top * slope if top > 0 else x0
            end = x0 + bottom * slope if bottom < y1 - y0 else x1
            low, high = (start, end) if start < end else (end, start)
            self._masks[row] |= self._columns.bits(low - margin, high + margin)

    def take(self) -> Iterator[tuple[Region, Region]]:
        """Give each run of touched tiles, its place in the map and in the canvas, and forget it."""
        for row, mask in enumerate(self._masks):
            if mask:
                self._masks[row] = 0
                target_rows, source_rows = self._rows.slices(row, row)
                for first, last in _runs(mask):
                    target, source = self._columns.slices(first, last)
                    yield (target_rows, target), (source_rows, source)


def _runs(mask: int) -> Iterator[tuple[int, int]]:
    """Give the first and last position of each run of set bits, lowest first."""
    position = 0
    while mask:
        gap = (mask & -mask).bit_length() - 1
        mask >>= gap
        length = (~mask & (mask + 1)).bit_length() - 1
        mask >>= length
        yield position + gap, position + gap + length - 1
        position += gap + length


class _Axis:
    """How one axis of the canvas is resized, and where it may be cut without a trace.

    OpenCV computes in single precision where an output pixel samples its input. That is exact,
    and so the same in every period, when the ratio is a dyadic fraction; where it is not, the
    axis is one tile. Below a ratio of 2 samples would reach across a cut.
    """

    __slots__ = ("_source", "_target", "_target_tile", "count", "tile")

    def __init__(self, target: int, source: int, least: int) -> None:
        """Take the lengths of the axis on map and canvas, and the least length of a tile."""
        ratio = Fraction(source, target)
        self._target, self._source = target, source
        self._target_tile, self.tile = target, source
        if ratio >= 2 and ratio.denominator & (ratio.denominator - 1) == 0:
            periods = -(-least // ratio.numerator)
            self._target_tile = periods * ratio.denominator
            self.tile = periods * ratio.numerator
        # `tile` is its length on the canvas, `count` how many there are.
        self.count = -(-source // self.tile)

    def span(self, low: float, high: float) -> tuple[int, int]:
        """Return the first and last tile between two places; the last is less for none."""
        if high < 0 or low >= self._source:
            return 0, -1
        return (
            int(low) // self.tile if low > 0 else 0,
            (int(high) if high < self._source else self._source - 1) // self.tile,
        )

    def bits(self, low: float, high: float) -> int:
        """Return the tiles between two places as the bits of a number."""
        first, last = self.span(low, high)
        return ((1 << (last - first + 1)) - 1) << first if last >= first else 0

    def slices(self, first: int, last: int) -> tuple[slice, slice]:
        """Return the pixels of some tiles in the map and on the canvas."""
        return (
            slice(first * self._target_tile, min((last + 1) * self._target_tile, self._target)),
            slice(first * self.tile, min((last + 1) * self.tile, self._source)),
        )
