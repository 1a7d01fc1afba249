"""Cover a picture of any size with overlapping tiles, and join what is made of them without a seam.

Tiles are spread evenly, the first at the edge and the last at the other edge, so that all have one
size and none leans out. Where they overlap, what a tile made along its own edge is left out
(``margin``: there it could not see far enough), and over the rest of the overlap one tile fades
into the next.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marionext.backends.upscaling.base import OnPart
from marionext.errors import SettingsError

__all__ = ["Tile", "join_tiles", "plan_tiles"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture: rows ``top`` to ``bottom - 1`` and columns ``left`` to ``right - 1``."""

    top: int
    bottom: int
    left: int
    right: int


def plan_tiles(size: tuple[int, int], side: int, overlap: int) -> list[Tile]:
    """Cover a picture with tiles, row by row.

    Args:
        size: width and height of the picture, at least 1.
        side: of a tile; what is smaller in a direction is one tile in it.
        overlap: pixels that neighbours share at least, in [0, side).

    Raises:
        SettingsError: a number is outside its range.
    """
    if min(size) < 1:
        raise SettingsError(f"expected a picture of at least one pixel, got {size[0]}x{size[1]}")
    if not 0 <= overlap < side:
        raise SettingsError(f"tile: expected more than the overlap of {overlap}, got {side}")
    return [
        Tile(top, bottom, left, right)
        for top, bottom in _spans(size[1], side, overlap)
        for left, right in _spans(size[0], side, overlap)
    ]


def _spans(total: int, side: int, overlap: int) -> list[tuple[int, int]]:
    if total <= side:
        return [(0, total)]
    slack = total - side
    seams = -(-slack // (side - overlap))  # ceiling division
    starts = [slack * seam // seams for seam in range(seams + 1)]
    return [(start, start + side) for start in starts]


def join_tiles(
    picture: NDArray[np.uint8],
    by: int,
    tiles: list[Tile],
    work: Callable[[NDArray[np.uint8]], Iterable[NDArray[np.float32]]],
    on_part: OnPart,
    *,
    overlap: int,
    margin: int,
    batch: int = 1,
) -> NDArray[np.uint8]:
    """Make each tile of a picture larger and join them.

    Args:
        picture: (height, width, 3).
        by: factor of both sides.
        tiles: that cover it, of `plan_tiles` with the same overlap.
        work: makes of tiles, (tiles, h, w, 3), a larger one each, (by * h, by * w, 3), of 0 to
            255.
        on_part: told the tiles that are done.
        overlap: pixels that neighbours share at least.
        margin: how many of them at a tile's edge are left out, less than half the overlap.
        batch: tiles that are made at once.

    Returns:
        (by * height, by * width, 3).
    """
    height, width = picture.shape[:2]
    whole = np.zeros((height * by, width * by, picture.shape[2]), np.float32)
    shares = np.zeros((height * by, width * by, 1), np.float32)
    fade = (overlap * by, margin * by)
    on_part(0, len(tiles))
    for start in range(0, len(tiles), batch):
        part = tiles[start : start + batch]
        cut = np.stack([picture[each.top : each.bottom, each.left : each.right] for each in part])
        for place, (tile, made) in enumerate(zip(part, work(cut), strict=True), start=start + 1):
            rows = _weights(tile.top * by, tile.bottom * by, height * by, *fade)
            columns = _weights(tile.left * by, tile.right * by, width * by, *fade)
            share = (rows[:, None] * columns)[:, :, None]
            there = np.s_[tile.top * by : tile.bottom * by, tile.left * by : tile.right * by]
            whole[there] += made * share
            shares[there] += share
            on_part(place, len(tiles))
    return np.asarray(np.clip(np.rint(whole / shares), 0, 255), np.uint8)


def _weights(start: int, stop: int, total: int, overlap: int, margin: int) -> NDArray[np.float32]:
    """Return how much each line of a tile counts: none at its edges inside of the picture."""
    weights = np.ones(stop - start, np.float32)
    ramp = np.zeros(overlap, np.float32)
    inner = overlap - 2 * margin
    ramp[margin : overlap - margin] = np.arange(1, inner + 1, dtype=np.float32) / (inner + 1)
    ramp[overlap - margin :] = 1
    if start > 0:
        weights[:overlap] *= ramp
    if stop < total:
        weights[len(weights) - overlap :] *= ramp[::-1]
    return weights
