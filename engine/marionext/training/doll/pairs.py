"""Pairs that the refiner learns from: what the doll's warp made, and what it should have been.

Dolls are made of the reference pictures of drawn clips and posed as the clips dance. The pictures
are made worse in the ways that real ones are: patterns on the body (`textures`), rough masks,
keypoints that are a little off. Everything follows from a clip's seed.
"""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marionext.backends.doll.refiner import COLOURS, View, bright, view_of
from marionext.errors import CharacterError
from marionext.posemap import SmallDrawer
from marionext.training.doll.textures import textured
from marionext.training.figures.clips import draw_empty, make_clip
from marionext.training.warping import warp

__all__ = ["ClipDrawer", "DrawnClip", "Pairs", "Stock", "draw_pairs", "plain_pairs"]

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
    warps, background = warp(pictures, points, scores, mask)
    maps = SmallDrawer(size)
    views = [
        view_of(drawn, maps.draw(pose, bright(score), size), background, size)
        for drawn, pose, score in zip(warps, points[1:], scores[1:], strict=True)
    ]
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


@dataclass(frozen=True, slots=True)
class DrawnClip:
    """A clip's pairs as they are kept: in bytes."""

    pixels: NDArray[np.uint8]
    """(frames, 15, h, w): a view's eleven channels, its parts, the truth."""
    places: NDArray[np.int16]
    """(frames, n, 2): rows and columns of some pixels of the figure."""


@dataclass(frozen=True, slots=True)
class ClipDrawer:
    """Draws the clips of a training by their numbers; the same for the same number.

    Args:
        seed: of the training.
        frames: frames of a clip.
        size: width and height of the clips.
        large: every so many-th clip is drawn at twice the size, with half the frames; 0: none is.
    """

    seed: int
    frames: int
    size: tuple[int, int]
    large: int

    def __call__(self, number: int) -> DrawnClip:
        """Draw a clip; one whose reference shows too little is replaced."""
        width, height = self.size
        large = self.large and number % self.large == self.large - 1
        size = (2 * width, 2 * height) if large else self.size
        frames = max(self.frames // 2, 1) if large else self.frames
        seed = (self.seed << 20) + number
        for more in range(100):
            try:
                pairs = draw_pairs((seed << 7) + more + (1 << 33), frames, size)
            except CharacterError:
                continue
            return _kept(pairs, np.random.default_rng([seed, 5]))
        raise CharacterError(f"no figure of the clips from {seed << 7} on can be taken apart")


PLACES = 32
"""Places of the figure that are remembered of each frame."""


def _kept(pairs: Pairs, rng: np.random.Generator) -> DrawnClip:
    bytes_of = [
        (pairs.view.pixels * 255).round().byte(),
        pairs.view.parts[:, None].byte(),
        (pairs.truth * 255).round().byte(),
    ]
    places = np.zeros((len(pairs), PLACES, 2), np.int16)
    for some, coverage in zip(places, pairs.view.coverage[:, 0].numpy(), strict=True):
        figure = np.argwhere(coverage > 0.5)
        if len(figure):
            some[:] = figure[rng.integers(len(figure), size=PLACES)]
    return DrawnClip(torch.cat(bytes_of, dim=1).numpy(), places)


class Stock:
    """The clips at hand, and the pairs that a step learns of them.

    A clip costs more to draw than a step to learn from it, so each is looked at many times. The
    pairs of a step depend on its number and the clips at hand only.

    Args:
        seed: of the training.
        batch: pairs in a step.
        kept: clips that are kept; the oldest are left out.
        piece: width and height of the pairs: they are cut out around the figure, since the empty
            background teaches nothing.
        device: where the clips are kept and the pairs made.
    """

    def __init__(
        self, seed: int, batch: int, kept: int, piece: tuple[int, int], device: torch.device
    ) -> None:
        self._seed, self._batch, self._piece, self._device = seed, batch, piece, device
        self._clips: deque[tuple[Tensor, NDArray[np.int16]]] = deque(maxlen=kept)

    def add(self, clip: DrawnClip) -> None:
        """Take in a clip."""
        self._clips.append((torch.from_numpy(clip.pixels).to(self._device), clip.places))

    def pairs(self, step: int) -> Pairs:
        """Pick frames, cut out pieces, change colours."""
        rng = np.random.default_rng([self._seed, step, 4])
        width, height = self._piece
        pieces = []
        for index in rng.integers(len(self._clips), size=self._batch):
            pixels, places = self._clips[index]
            frame = int(rng.integers(len(pixels)))
            middle = places[frame, rng.integers(PLACES)]
            top, left = (
                int(np.clip(at - side * rng.uniform(0.25, 0.75), 0, whole - side))
                for at, side, whole in zip(middle, (height, width), pixels.shape[2:], strict=True)
            )
            pieces.append(pixels[frame, :, top : top + height, left : left + width])
        whole = torch.stack(pieces)
        view = View(whole[:, :COLOURS].float() / 255, whole[:, COLOURS].long())
        return _recoloured(Pairs(view, whole[:, COLOURS + 1 :].float() / 255), rng)


def _recoloured(pairs: Pairs, rng: np.random.Generator) -> Pairs:
    """Exchange the colours' channels, and change contrast and brightness of each, in all alike."""
    count, device = len(pairs), pairs.truth.device
    orders = np.tile(np.arange(3), (count, 1))
    gains, lifts = np.ones((count, 3)), np.zeros((count, 3))
    for index in np.flatnonzero(rng.uniform(size=count) < RECOLOURED):
        orders[index] = rng.permutation(3)
        gains[index], lifts[index] = rng.uniform(0.7, 1.15, 3), rng.uniform(-0.1, 0.1, 3)
    order = torch.from_numpy(orders).to(device)[:, :, None, None]
    gain, lift = (
        torch.from_numpy(values.astype(np.float32)).to(device)[:, :, None, None]
        for values in (gains, lifts)
    )

    def changed(pictures: Tensor) -> Tensor:
        picked = pictures.gather(1, order.expand_as(pictures))
        return (picked * gain + lift).clamp(0, 1)

    view = pairs.view
    pixels = [
        changed(view.picture), view.coverage, view.validity, changed(view.background), view.pose_map
    ]  # fmt: skip
    return Pairs(View(torch.cat(pixels, dim=1), view.parts), changed(pairs.truth))
