"""Fill in what a picture does not show: smoothly, or with patches of what is around it."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_background", "fill_patches", "fill_rows", "fill_smoothly"]

Floats = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]
Places = NDArray[np.signedinteger[Any]]

_LONG_SIDES = (32, 64, 128)
"""Pixels in which patches are looked for, from coarse to fine; details come back from the full
size."""
_PATCH = 7
_HALF = _PATCH // 2
_OFFSETS = np.array(
    [(i, j) for i in range(-_HALF, _HALF + 1) for j in range(-_HALF, _HALF + 1)], np.int32
)
_STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))
_ROUNDS = 4
_TRIED = 384
"""Pixels of the longer side in which filling along rows is tried."""
_RING = 0.04
"""Width of the ring on which filling along rows is tried, as a part of the shorter side."""
_PLAIN = 3.0
"""Mean error there, of 255, up to which rows are believed."""
_GRAIN = 0.75
"""Difference of neighbouring pixels, of 255, from which on a picture has a grain."""
_FAR = 40.0
"""A patch that much worse (of 255) is as bad as one that far away:"""
_UP = 0.1
"""Parts of the height: what stands behind a figure lies in layers, sky over hills over ground."""
_ASIDE = 0.7
"""Parts of the width."""
_TURNS = 5


def fill_smoothly(colours: Floats, weight: Floats) -> Floats:
    """Continue colours into where nothing is known (push-pull: Gortler et al. 1996).

    Args:
        colours: (h, w, c).
        weight: (h, w), 0 to 1: how well each is known.

    Returns:
        (h, w, c).
    """
    height, width = weight.shape
    if min(height, width) < 2:
        total = max(float(weight.sum()), 1e-6)
        mean = (colours * weight[..., None]).sum(axis=(0, 1)) / total
        return np.where(weight[..., None] > 0.5, colours, mean).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    share = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    smaller = cv2.resize(colours * weight[..., None], half, interpolation=cv2.INTER_AREA)
    smaller = smaller.reshape(*share.shape, -1) / np.maximum(share, 1e-6)[..., None]
    below = fill_smoothly(
        np.asarray(smaller, np.float32), np.minimum(share * 4, 1).astype(np.float32)
    )
    above = cv2.resize(below, (width, height), interpolation=cv2.INTER_LINEAR)
    above = above.reshape(colours.shape)
    return np.asarray(colours * weight[..., None] + above * (1 - weight[..., None]), np.float32)


def fill_background(picture: Picture, hole: NDArray[np.bool_]) -> Picture:
    """Fill in what stands behind a figure: along rows where that is how the picture is, or patches.

    Drawn backgrounds and plain walls go on straight from the hole's left to its right. Whether this
    is one is told by a ring around the hole: it is filled in the same way and held against what is
    there; and a drawing has no grain.

    Args:
        picture: (h, w, 3) RGB.
        hole: (h, w).
    """
    if not hole.any() or hole.all():
        return picture.copy()
    return (
        fill_rows(picture, hole) if _goes_on_in_rows(picture, hole) else fill_patches(picture, hole)
    )


def _goes_on_in_rows(picture: Picture, hole: NDArray[np.bool_]) -> bool:
    """Tell whether a background goes on straight from the hole's left to its right."""
    scale = _TRIED / max(hole.shape)
    if scale < 1:
        size = (max(round(hole.shape[1] * scale), 8), max(round(hole.shape[0] * scale), 8))
        # Grain is looked for in single pixels: they are taken as they are.
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        hole = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    wide = max(round(min(hole.shape) * _RING), 2)
    kernel = np.ones((2 * wide + 1, 2 * wide + 1), np.uint8)
    larger = cv2.dilate(hole.astype(np.uint8), kernel) > 0
    ring = larger & ~hole
    if not ring.any() or larger.all():
        return True
    tried = fill_rows(picture, larger)[ring].astype(np.float32)
    wrong = float(np.abs(tried - picture[ring]).mean())
    steps = np.abs(np.diff(picture.astype(np.float32).mean(axis=-1), axis=1, append=0))
    return wrong < _PLAIN or float(np.median(steps[ring])) < _GRAIN


def fill_rows(picture: Picture, hole: NDArray[np.bool_]) -> Picture:
    """Fill a hole straight between what is to its left and to its right."""
    height, width = hole.shape
    weight = (~hole).astype(np.float32)
    smooth = fill_smoothly(picture.astype(np.float32), weight)
    columns = np.arange(width)
    last = np.maximum.accumulate(np.where(hole, -1, columns), axis=1)
    following = np.where(hole, width, columns)[:, ::-1]
    following = np.minimum.accumulate(following, axis=1)[:, ::-1]
    # A single pixel may be noise or an outline's rest: three in a row say more.
    blurred = cv2.blur(picture.astype(np.float32) * weight[..., None], (3, 1))
    blurred /= np.maximum(cv2.blur(weight, (3, 1)), 1e-3)[..., None]
    rows = np.arange(height)[:, None]
    left = blurred[rows, np.maximum(last, 0)]
    right = blurred[rows, np.minimum(following, width - 1)]
    from_left = np.where(last < 0, 0, 1 / np.maximum(columns - last, 1))
    from_right = np.where(following >= width, 0, 1 / np.maximum(following - columns, 1))
    total = from_left + from_right
    line = left * from_left[..., None] + right * from_right[..., None]
    line = np.where((total > 0)[..., None], line / np.maximum(total, 1e-9)[..., None], smooth)
    return np.where(hole[..., None], np.clip(line + 0.5, 0, 255), picture).astype(np.uint8)


def fill_patches(
    picture: Picture, hole: NDArray[np.bool_], usable: NDArray[np.bool_] | None = None
) -> Picture:
    """Fill a hole with patches from the rest of the picture, so that textures go on.

    From coarse to fine, each place in the hole takes over from where its surroundings are found
    again: matches are searched at random and handed on to neighbours (PatchMatch: Barnes et al.
    2009), and overlapping patches are averaged (Wexler et al. 2007). The same picture always gives
    the same filling.

    Args:
        picture: (h, w, 3) RGB.
        hole: (h, w).
        usable: (h, w) what patches may be taken from; None: all outside of the hole.

    Returns:
        (h, w, 3), as the picture outside of the hole.
    """
    if not hole.any() or hole.all():
        return picture.copy()
    height, width = hole.shape
    usable = ~hole if usable is None else usable & ~hole
    field = gone = None
    for side in _LONG_SIDES:
        scale = min(side / max(height, width), 1.0)
        size = (max(round(width * scale), 8), max(round(height * scale), 8))
        level = _Level.of(picture, hole, usable, size)
        if level is None:
            continue
        level.match(level.start(field, gone))
        field, gone = level.field(), level.gone
    if field is None or gone is None:
        smooth = fill_smoothly(picture.astype(np.float32), (~hole).astype(np.float32))
        return np.where(hole[..., None], np.clip(smooth + 0.5, 0, 255), picture).astype(np.uint8)
    return _copy(picture, hole, field, gone)


class _Level:
    """The search at one scale."""

    def __init__(self, colours: Floats, gone: NDArray[np.bool_], source: NDArray[np.bool_]) -> None:
        self.gone = gone
        self._source = source
        self._rows, self._columns = np.nonzero(gone)
        self._picked = np.zeros((len(self._rows), 2), np.int32)
        self._wide = np.pad(colours, ((_HALF, _HALF), (_HALF, _HALF), (0, 0)), mode="edge")
        self._rng = np.random.default_rng(1)

    @classmethod
    def of(
        cls,
        picture: Picture,
        hole: NDArray[np.bool_],
        usable: NDArray[np.bool_],
        size: tuple[int, int],
    ) -> "_Level | None":
        """Bring a picture to a size; None where too little is known to take anything from."""
        known = cv2.resize(usable.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        colours = cv2.resize(
            picture.astype(np.float32) * usable[..., None], size, interpolation=cv2.INTER_AREA
        )
        colours = np.asarray(colours / np.maximum(known, 1e-6)[..., None], np.float32)
        gone = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.3
        # Sources are places whose whole patch is known.
        unknown = (known < 0.7).astype(np.uint8)
        source = cv2.dilate(unknown, np.ones((_PATCH, _PATCH), np.uint8)) == 0
        source[:_HALF], source[-_HALF:] = False, False
        source[:, :_HALF], source[:, -_HALF:] = False, False
        if source.sum() < 16 or not gone.any():
            return None
        return cls(fill_smoothly(colours, (unknown == 0).astype(np.float32)), gone, source)

    def start(self, field: Places | None, gone: NDArray[np.bool_] | None) -> Places:
        """Return first matches: those of the coarser scale, or any."""
        height, width = self.gone.shape
        sources = np.argwhere(self._source)
        chance = sources[self._rng.integers(len(sources), size=len(self._rows))]
        if field is None or gone is None:
            return chance.astype(np.int32)
        ratio = np.array([height, width]) / gone.shape
        here = np.stack([self._rows, self._columns], axis=1)
        at = np.clip((here / ratio).astype(np.int32), 0, np.array(gone.shape) - 1)
        moved = np.round((field[at[:, 0], at[:, 1]] - at) * ratio).astype(np.int32)
        found = np.clip(here + moved, 0, (height - 1, width - 1))
        right = gone[at[:, 0], at[:, 1]] & self._source[found[:, 0], found[:, 1]]
        # What the coarser scale found is the first guess of the colours, too.
        inner = self._wide[_HALF : _HALF + height, _HALF : _HALF + width]
        inner[self._rows[right], self._columns[right]] = inner[found[right, 0], found[right, 1]]
        return np.where(right[:, None], found, chance).astype(np.int32)

    def match(self, picked: Places) -> None:
        """Search and vote in turns."""
        self._picked = picked
        height, width = self.gone.shape
        number = np.full((height, width), -1, np.int32)
        number[self.gone] = np.arange(len(self._rows))
        beside = [
            number[
                np.clip(self._rows + row, 0, height - 1),
                np.clip(self._columns + column, 0, width - 1),
            ]
            for row, column in _STEPS
        ]
        for _ in range(_ROUNDS):
            target = self._patches(self._rows, self._columns)
            best = np.square(target - self._patches(*self._picked.T)).sum(axis=1)
            best += self._far(slice(None), self._picked)
            for turn in range(_TURNS):
                for near, step in zip(beside, _STEPS, strict=True):
                    self._try(self._picked[near] - step, near >= 0, target, best)
                reach = max(height, width) / 2**turn
                aside = self._rng.normal(0, reach, self._picked.shape).astype(np.int32)
                self._try(self._picked + aside, None, target, best)
            self._vote()

    def field(self) -> Places:
        """Return for each place of the hole where to take it from: (h, w, 2) row and column."""
        field = np.zeros((*self.gone.shape, 2), np.int32)
        field[self.gone] = self._picked
        return field

    def _patches(self, rows: Places, columns: Places) -> Floats:
        """Return the patches around places: (n, values)."""
        taken = self._wide[
            rows[:, None] + _HALF + _OFFSETS[:, 0], columns[:, None] + _HALF + _OFFSETS[:, 1]
        ]
        return np.asarray(taken.reshape(len(rows), 3 * _PATCH**2))

    def _try(
        self,
        places: Places,
        allowed: NDArray[np.bool_] | None,
        target: Floats,
        best: Floats,
    ) -> None:
        """Take over places where they fit better, in place."""
        height, width = self.gone.shape
        at = np.clip(places, 0, (height - 1, width - 1)).astype(np.int32)
        usable = self._source[at[:, 0], at[:, 1]]
        right = np.flatnonzero(usable if allowed is None else usable & allowed)
        cost = np.square(target[right] - self._patches(*at[right].T)).sum(axis=1)
        cost += self._far(right, at[right])
        better = right[cost < best[right]]
        self._picked[better], best[better] = at[better], cost[cost < best[right]]

    def _far(self, which: Any, places: Places) -> Floats:
        """Return what it costs to take from far away, above all from higher or lower."""
        height, width = self.gone.shape
        up = (places[:, 0] - self._rows[which]) / (_UP * height)
        aside = (places[:, 1] - self._columns[which]) / (_ASIDE * width)
        return np.asarray(3 * _PATCH**2 * _FAR**2 * (up * up + aside * aside), np.float32)

    def _vote(self) -> None:
        """Make each place of the hole the mean of what the patches over it say."""
        height, width = self.gone.shape
        inner = self._wide[_HALF : _HALF + height, _HALF : _HALF + width]
        total, count = np.zeros_like(inner), np.zeros((height, width, 1), np.float32)
        here = np.stack([self._rows, self._columns], axis=1)
        for offset in _OFFSETS:
            to = here + offset
            inside = ((to >= 0) & (to < (height, width))).all(axis=1)
            fro = self._picked[inside] + offset
            # Each offset writes a place once at most.
            total[to[inside, 0], to[inside, 1]] += inner[fro[:, 0], fro[:, 1]]
            count[to[inside, 0], to[inside, 1]] += 1
        inner[self.gone] = (total / np.maximum(count, 1))[self.gone]


def _copy(
    picture: Picture,
    hole: NDArray[np.bool_],
    field: Places,
    gone: NDArray[np.bool_],
) -> Picture:
    """Copy at full size what the field says, soft where pieces meet."""
    height, width = hole.shape
    small_height, small_width = gone.shape
    rows, columns = np.nonzero(hole)
    ratio = np.array([height / small_height, width / small_width], np.float32)
    total = np.zeros((len(rows), 3), np.float32)
    weight = np.zeros((len(rows), 1), np.float32)
    exact = np.stack([(rows + 0.5) / ratio[0] - 0.5, (columns + 0.5) / ratio[1] - 0.5], axis=1)
    base = np.floor(exact).astype(np.int32)
    for offset in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at = np.clip(base + offset, 0, (small_height - 1, small_width - 1))
        share = np.prod(1 - np.abs(exact - base - offset), axis=1, keepdims=True)
        share = np.where(gone[at[:, 0], at[:, 1]][:, None], share, 0) + 1e-6
        moved = field[at[:, 0], at[:, 1]] - at
        fro = np.round(np.stack([rows, columns], axis=1) + moved * ratio).astype(np.int32)
        fro = np.clip(fro, 0, (height - 1, width - 1))
        share = np.where(hole[fro[:, 0], fro[:, 1]][:, None], share * 1e-3, share)
        total += picture[fro[:, 0], fro[:, 1]] * share
        weight += share
    out = picture.copy()
    out[rows, columns] = np.clip(total / weight + 0.5, 0, 255).astype(np.uint8)
    # A last smoothing along the seam to what is known.
    edge = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    inner = cv2.erode(hole.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    soft = cv2.blur(out, (3, 3))
    rim = edge & ~inner & hole
    out[rim] = soft[rim]
    return out
