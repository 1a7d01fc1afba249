"""Clips prepared for training: latents, pose maps and what the image encoder sees.

Drawing and encoding a frame takes two milliseconds, so nothing is stored: every step gets clips
of its own, made from its number while the step before it is computed.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marionext.backends.svd.conditioning import clip_pixels
from marionext.errors import CharacterError
from marionext.posemap import SmallDrawer
from marionext.training.figures.clips import Clip, make_clip
from marionext.training.initial import PatchEncoder
from marionext.training.pixels import draw_maps, pictures_to_tensor, random_sureness
from marionext.training.warping import warp

__all__ = ["Batch", "ClipMaker", "warped_frames"]

NOISE_AUGMENTATION = 0.02


@dataclass(frozen=True, slots=True)
class Batch:
    """Some clips; slot 0 of each is the reference picture in its own pose."""

    latents: Tensor
    """(clips, frames, c, h, w), not scaled."""
    references: Tensor
    """(clips, c, h, w), of the reference picture with a little noise, not scaled; or
    (clips, frames, c, h, w), of what the doll's warp makes of it for each frame."""
    pixels: Tensor
    """(clips, 3, 224, 224): the reference pictures as the image encoder takes them."""
    maps: Tensor
    """(clips, frames, 3, H, W) in [0, 1]."""
    parts: Tensor
    """(clips, frames, c, h, w): the poses drawn as one fixed figure on black, less the black."""


def warped_frames(clip: Clip) -> NDArray[np.uint8]:
    """Return a clip's reference and the doll's warp of it for each frame: (frames, h, w, 3).

    A reference that shows too little of the figure for a doll stays as it is.
    """
    try:
        drawn, _ = warp(clip.frames, clip.points, clip.scores)
    except CharacterError:
        return np.repeat(clip.frames[:1], len(clip.frames), axis=0)
    return np.stack([clip.frames[0], *(each.picture for each in drawn)])


class ClipMaker:
    """Makes batches of clips by their seeds; not for two threads at once.

    Args:
        encode: the encoder of the autoencoder.
        size: width and height of the pictures.
        warped: whether each frame's reference is the doll's warp of the reference picture.
    """

    def __init__(
        self, encode: PatchEncoder, size: tuple[int, int], *, warped: bool = False
    ) -> None:
        self._encode, self._size, self._warped = encode, size, warped
        self._drawer = SmallDrawer(size)

    def __reduce__(self) -> tuple[Any, ...]:
        """Be rebuilt in another process: the drawer's arrays share memory."""
        return partial(ClipMaker, warped=self._warped), (self._encode, self._size)

    def batch(self, seeds: list[int], frames: int) -> Batch:
        """Make the clips of some seeds, each of ``frames`` slots with the reference's."""
        clips = [make_clip(seed, frames - 1, self._size, parts=True) for seed in seeds]
        return self.batch_of(clips, seeds)

    def batch_of(self, clips: list[Clip], seeds: list[int]) -> Batch:
        """Make the batch of some clips of one length, drawn with their parts."""
        encoded = [self._latents(clip, seed) for clip, seed in zip(clips, seeds, strict=True)]
        return Batch(
            torch.stack([latents for latents, _ in encoded]),
            torch.stack([reference for _, reference in encoded]),
            torch.cat([clip_pixels(clip.frames[0]) for clip in clips]),
            torch.stack([self._maps(clip, seed) for clip, seed in zip(clips, seeds, strict=True)]),
            torch.stack([self._parts(clip) for clip in clips]),
        )

    def _parts(self, clip: Clip) -> Tensor:
        black = torch.full((1, 3, self._size[1], self._size[0]), -1.0)
        return self._encode(pictures_to_tensor(clip.parts) * 2 - 1) - self._encode(black)

    def _latents(self, clip: Clip, seed: int) -> tuple[Tensor, Tensor]:
        pictures = pictures_to_tensor(clip.frames) * 2 - 1
        shown = pictures[:1]
        if self._warped:
            shown = pictures_to_tensor(warped_frames(clip)) * 2 - 1
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(shown.shape, generator=generator) * NOISE_AUGMENTATION
        latents = self._encode(torch.cat([pictures, shown + noise]))
        references = latents[len(pictures) :]
        return latents[: len(pictures)], references if self._warped else references[0]

    def _maps(self, clip: Clip, seed: int) -> Tensor:
        """Draw the poses, each joint as bright as some detector's score would make it."""
        sure = random_sureness(np.random.default_rng([seed, 2]), 2)
        # The reference's pose comes from another picture, and often from another source.
        rows = np.stack([sure[0], *[sure[1]] * (len(clip.scores) - 1)])
        return draw_maps(self._drawer, clip.points, clip.scores * rows[:, None], self._size)
