"""Pairs that the refiner learns from: what the doll's warp made, and what it should have been.

Dolls are made of the reference pictures of drawn clips and posed as the clips dance. The pictures
are made worse in the ways that real ones are: patterns on the body (`textures`), rough masks,
keypoints that are a little off. Everything follows from a clip's seed.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marionext.backends.doll.refiner import View, bright, view_of
from marionext.doll import DollDrawer, make_doll
from marionext.errors import CharacterError
from marionext.posemap import SmallDrawer
from marionext.training.doll.textures import textured
from marionext.training.figures.clips import draw_empty, make_clip

__all__ = ["Pairs", "StepPairs", "draw_pairs", "joined", "plain_pairs"]

TEXTURED, MASKED, SHAKEN = 0.45, 0.25, 0.4
"""Shares of the clips with a pattern on the figure, with a rough mask, with keypoints off."""
SHAKE = 0.012
"""Largest deviation of keypoints, in heights of the picture."""
RECOLOURED = 0.5
"""Share of the pairs whose colours are changed."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Some frames as the warp made them, and as they should be."""

    view: View
    truth: Tensor
    """(n, 3, h, w), 0 to 1."""

    def __len__(self) -> int:
        return len(self.truth)


def plain_pairs(seed: int, frames: int, size: tuple[int, int]) -> Pairs:
    """Draw a clip's pairs as they are: what is held out.

    Raises:
        CharacterError: the reference shows too little of the figure.
    """
    clip = make_clip(seed, frames, size)
    return _drawn(clip.frames, clip.points, clip.scores, None)


def draw_pairs(seed: int, frames: int, size: tuple[int, int]) -> Pairs:
    """Draw a clip's pairs, made worse in some of the ways of real pictures.

    Raises:
        CharacterError: the reference shows too little of the figure.
    """
    clip = make_clip(seed, frames, size)
    rng = np.random.default_rng([seed, 3])
    empty = draw_empty(seed, size)
    pictures, points = clip.frames, clip.points
    mask: NDArray[np.float32] | None = None
    if rng.uniform() < MASKED:
        figure = np.abs(pictures[0].astype(np.int16) - empty).max(axis=-1) > 12
        mask = _rough(figure.astype(np.float32), rng)
    if rng.uniform() < TEXTURED:
        pictures = textured(clip, empty, rng)
    if rng.uniform() < SHAKEN:
        off = rng.normal(0, rng.uniform(0, SHAKE / 2), points.shape) * size[1]
        # Whole hands and faces are off, not each of their points for itself.
        for part in (slice(24, 92), slice(92, 113), slice(113, 134)):
            off[:, :, part] = off[:, :, part.start : part.start + 1] + off[:, :, part] * 0.15
        points = points + np.clip(off, -SHAKE * size[1], SHAKE * size[1]).astype(np.float32)
    return _drawn(pictures, points, clip.scores, mask)


def _drawn(
    pictures: NDArray[np.uint8],
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    mask: NDArray[np.float32] | None,
) -> Pairs:
    size = pictures.shape[2], pictures.shape[1]
    doll = make_doll(pictures[0], points[0, 0], scores[0, 0], mask=mask)
    drawer, maps = DollDrawer([doll], size), SmallDrawer(size)
    background = drawer.draw(points[0, :0], scores[0, :0]).picture
    orders = drawer.plan(points[1:], scores[1:])
    views = []
    for pose, score, order in zip(points[1:], scores[1:], orders, strict=True):
        drawn = drawer.draw(pose, score, orders=order)
        pose_map = maps.draw(pose, bright(score), size)
        views.append(view_of(drawn, pose_map, background, size))
    view = View(
        torch.cat([each.pixels for each in views]), torch.cat([each.parts for each in views])
    )
    return Pairs(view, torch.from_numpy(pictures[1:]).permute(0, 3, 1, 2).float() / 255)


def _rough(mask: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a mask as a segmenter may get it: too wide or too narrow here and there, soft."""
    height, width = mask.shape
    noise = rng.normal(0, 1, (6, 4)).astype(np.float32)
    wide = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.006, 0.02) * height)
    edge = 0.5 + 0.22 * wide
    return np.asarray(np.clip((soft - edge) * 4 + 0.5, 0, 1), np.float32)


def joined(parts: list[Pairs]) -> Pairs:
    """Put pairs of one size together."""
    pixels = torch.cat([part.view.pixels for part in parts])
    return Pairs(
        View(pixels, torch.cat([part.view.parts for part in parts])),
        torch.cat([part.truth for part in parts]),
    )


class StepPairs:
    """Draws the pairs of each step; the same for the same step.

    A clip costs more to draw than a step to learn from it. So there is a stock of clips: in each
    step some are drawn anew and take the place of the oldest, and pairs are picked from all.

    Args:
        seed: of the training.
        batch: pairs in a step.
        stock: clips at hand.
        renewed: clips drawn in a step, may be less than 1.
        frames: frames of a clip.
        size: width and height of the clips.
        large: every so many-th clip is drawn at twice the size; 0: none is.
        piece: width and height of the pairs: they are cut out around the figure, since the empty
            background teaches nothing.
    """

    def __init__(
        self,
        seed: int,
        batch: int,
        stock: int,
        renewed: float,
        frames: int,
        size: tuple[int, int],
        large: int,
        piece: tuple[int, int],
    ) -> None:
        self._seed, self._batch, self._stock, self._renewed = seed, batch, stock, renewed
        self._frames, self._size, self._large, self._piece = frames, size, large, piece
        self._clips: dict[int, Pairs] = {}

    def __call__(self, step: int) -> Pairs:
        """Draw them."""
        first = int(step * self._renewed)
        numbers = range(first, first + self._stock)
        self._clips = {number: self._clips.get(number) or self._clip(number) for number in numbers}
        rng = np.random.default_rng([self._seed, step, 4])
        picked = rng.choice(self._stock, self._batch, replace=self._batch > self._stock)
        return joined([self._pick(self._clips[first + int(index)], rng) for index in picked])

    def _clip(self, number: int) -> Pairs:
        """Draw a clip; one whose reference shows too little is replaced."""
        width, height = self._size
        large = self._large and number % self._large == self._large - 1
        size = (2 * width, 2 * height) if large else self._size
        frames = max(self._frames // 2, 1) if large else self._frames
        seed = (self._seed << 20) + number
        for more in range(100):
            try:
                return draw_pairs((seed << 7) + more + (1 << 33), frames, size)
            except CharacterError:
                continue
        raise CharacterError(f"no figure of the clips from {seed << 7} on can be taken apart")

    def _pick(self, pairs: Pairs, rng: np.random.Generator) -> Pairs:
        """Pick a frame, cut out a piece, change its colours."""
        index = int(rng.integers(len(pairs)))
        view, truth = pairs.view, pairs.truth[index]
        pixels, parts = view.pixels[index], view.parts[index]
        width, height = self._piece
        places = torch.nonzero(pixels[3] > 0.5)
        middle = places[int(rng.integers(len(places)))].tolist() if len(places) else [0, 0]
        top, left = (
            int(np.clip(at - side * rng.uniform(0.25, 0.75), 0, whole - side))
            for at, side, whole in zip(middle, (height, width), truth.shape[1:], strict=True)
        )
        piece = np.s_[..., top : top + height, left : left + width]
        pixels, parts, truth = pixels[piece], parts[piece], truth[piece]
        if rng.uniform() < RECOLOURED:
            pixels, truth = _recoloured(pixels, truth, rng)
        return Pairs(View(pixels[None], parts[None]), truth[None])


def _recoloured(pixels: Tensor, truth: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Exchange the colours' channels, and change contrast and brightness of each, in all alike."""
    order = torch.from_numpy(rng.permutation(3))
    gain = torch.from_numpy(rng.uniform(0.7, 1.15, (3, 1, 1)).astype(np.float32))
    lift = torch.from_numpy(rng.uniform(-0.1, 0.1, (3, 1, 1)).astype(np.float32))

    def changed(picture: Tensor) -> Tensor:
        return (picture[order] * gain + lift).clamp(0, 1)

    picture, background = changed(pixels[:3]), changed(pixels[5:8])
    return torch.cat([picture, pixels[3:5], background, pixels[8:]]), changed(truth)
