"""Pieces of pictures to learn enlarging from: drawn figures, and heaps of leaves.

Figures are what draft frames show. Photographs hold edges of every contrast and fine texture, which
drawn figures lack; a *dead leaves* picture has both with their statistics (discs of many sizes that
cover each other, Lee, Mumford and Huang 2001), and no photograph has to be shipped.
"""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from marionext.training.figures.clips import make_clip

__all__ = ["PieceMaker", "PieceStock", "Pieces", "dead_leaves", "enlarged", "shrunk"]

Picture = NDArray[np.uint8]

FACTOR = 2
SIZES = ((384, 576), (512, 768), (640, 960))
"""Widths and heights at which figures are drawn."""
LEAVES = 0.4
"""Share of the pieces that show leaves."""
_TRIED = 6
"""Places that are looked at for each piece: one with edges is taken sooner than a plain one."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of pictures, and of the same enlarged from fewer pixels."""

    wanted: Tensor
    """(n, 3, h, w) of 8 bits."""
    enlarged: Tensor
    """(n, 3, h, w) of 8 bits."""

    def __len__(self) -> int:
        return len(self.wanted)


def shrunk(picture: Picture, rng: np.random.Generator | None = None) -> Picture:
    """Return a picture in a quarter of its pixels: by area, or by one of the usual ways."""
    size = (picture.shape[1] // FACTOR, picture.shape[0] // FACTOR)
    way = 0 if rng is None else int(rng.integers(3))
    if way == 0:
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    method = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)[way - 1]
    return np.asarray(Image.fromarray(picture).resize(size, method))


def enlarged(picture: Picture, by: int = FACTOR) -> Picture:
    """Return a picture enlarged by a curve (Lanczos): (h, w, 3) to (by * h, by * w, 3)."""
    size = (picture.shape[1] * by, picture.shape[0] * by)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def dead_leaves(rng: np.random.Generator, side: int) -> Picture:
    """Draw discs and polygons that cover each other, some of them textured: (side, side, 3)."""
    large = 2 * side
    picture = np.empty((large, large, 3), np.float32)
    base, spread = rng.uniform(30, 225, 3), rng.uniform(10, 70)
    picture[:] = base
    for _ in range(int(rng.integers(300, 1200))):
        # There are as many discs of a size as its area is small.
        radius = min(5 * rng.uniform(0.0005, 1.0) ** -0.6, 0.25 * large)
        x, y = rng.uniform(0, large, 2)
        # Lighter and darker more than of other colours, as things in one light are.
        colour = base + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
        mask = np.zeros((large, large), np.uint8)
        if rng.uniform() < 0.5:
            cv2.circle(mask, (int(x), int(y)), max(1, int(radius)), 255, -1)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            ring = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)
            cv2.fillPoly(mask, [ring.astype(np.int32)], 255)
        left, top = max(int(x - radius), 0), max(int(y - radius), 0)
        right, bottom = int(x + radius) + 2, int(y + radius) + 2
        part = picture[top:bottom, left:right]
        inside = mask[top:bottom, left:right] > 0
        if not inside.any():
            continue
        filled = np.broadcast_to(colour, part.shape).astype(np.float32)
        if rng.uniform() < 0.4:
            filled = filled + _texture(rng, filled.shape[:2])[..., None]
        part[inside] = filled[inside]
    drawn = np.clip(picture, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _texture(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw stripes or grain about zero."""
    height, width = shape
    strength = rng.uniform(4, 40)
    if rng.uniform() < 0.5:
        angle, period = rng.uniform(0, np.pi), rng.uniform(5, 30)
        rows, columns = np.mgrid[:height, :width]
        wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * (2 * np.pi / period))
        stripes: NDArray[np.float32] = (strength * wave).astype(np.float32)
        return stripes
    grain = rng.normal(0, 1, (height, width)).astype(np.float32)
    soft = cv2.GaussianBlur(grain, (0, 0), rng.uniform(1.0, 4.0))
    share = strength / max(float(soft.std()), 1e-6)
    grains: NDArray[np.float32] = (share * soft).astype(np.float32)
    return grains


class PieceMaker:
    """Makes pieces by their number.

    Args:
        first: seed of the first figure.
        count: pieces made at once.
        side: of a piece, in pixels.
    """

    def __init__(self, first: int, count: int, side: int) -> None:
        self._first, self._count, self._side = first, count, side

    def __call__(self, number: int) -> Pieces:
        """Make pieces."""
        seed = self._first + number
        rng = np.random.default_rng([seed, 9])
        leaves = round(self._count * LEAVES)
        size = SIZES[int(rng.integers(len(SIZES)))]
        frames = list(make_clip(seed, 1, size).frames)
        found = self._cut(frames, self._count - leaves, rng)
        found += self._cut([dead_leaves(rng, 3 * self._side)], leaves, rng)
        wanted, bigger = (np.stack(each) for each in zip(*found, strict=True))
        return Pieces(_tensor(wanted), _tensor(bigger))

    def _cut(
        self, pictures: list[Picture], count: int, rng: np.random.Generator
    ) -> list[tuple[Picture, Picture]]:
        pairs = [(each, enlarged(shrunk(each, rng))) for each in pictures]
        cut = []
        for place in range(count):
            picture, bigger = pairs[place % len(pairs)]
            height, width = picture.shape[:2]
            tried = [
                (
                    FACTOR * int(rng.integers((height - self._side) // FACTOR + 1)),
                    FACTOR * int(rng.integers((width - self._side) // FACTOR + 1)),
                )
                for _ in range(_TRIED)
            ]
            energies = np.array([self._wrong(picture, bigger, at) + 0.1 for at in tried])
            top, left = tried[int(rng.choice(_TRIED, p=energies / energies.sum()))]
            rows, columns = slice(top, top + self._side), slice(left, left + self._side)
            cut.append((picture[rows, columns], bigger[rows, columns]))
        return cut

    def _wrong(self, picture: Picture, bigger: Picture, at: tuple[int, int]) -> float:
        rows, columns = (slice(start, start + self._side, 2) for start in at)
        return float(cv2.absdiff(picture[rows, columns], bigger[rows, columns]).mean())


class PieceStock:
    """The pieces at hand: each is looked at several times, turned and in other colours.

    Args:
        seed: of the training.
        kept: makings that are kept; the oldest are left out.
        batch: pieces in a step.
    """

    def __init__(self, seed: int, kept: int, batch: int) -> None:
        self._seed, self._batch = seed, batch
        self._made: deque[Pieces] = deque(maxlen=kept)

    def add(self, pieces: Pieces) -> None:
        """Take some in."""
        self._made.append(pieces)

    def pick(self, step: int) -> Pieces:
        """Pick those of a step."""
        rng = np.random.default_rng([self._seed, step, 10])
        wanted: list[Tensor] = []
        bigger: list[Tensor] = []
        for index in rng.integers(len(self._made), size=self._batch):
            made = self._made[index]
            place, turns = int(rng.integers(len(made))), int(rng.integers(4))
            order, mirrored = rng.permutation(3), rng.uniform() < 0.5
            for pieces, into in ((made.wanted, wanted), (made.enlarged, bigger)):
                piece = torch.rot90(pieces[place][order], turns, (1, 2))
                into.append(piece.flip(2) if mirrored else piece)
        return Pieces(torch.stack(wanted), torch.stack(bigger))


def _tensor(pictures: Picture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
