"""Pictures prepared for training: latents, pose maps and captions, drawn anew for each step."""

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from marionext.posemap import SmallDrawer
from marionext.training.figures.clips import figure_of, make_clip
from marionext.training.initial import PatchEncoder
from marionext.training.picture.captions import WORDS, caption
from marionext.training.pixels import draw_maps, pictures_to_tensor, random_sureness
from marionext.training.tokenizer import make_tokenizer

__all__ = ["PictureMaker", "PictureStock", "Pictures"]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Some pictures; each pair of neighbours shows one character."""

    latents: Tensor
    """(n, c, h, w), not scaled."""
    maps: Tensor
    """(n, 3, H, W) of 8 bits."""
    tokens: Tensor
    """(n, length) of their captions."""

    def __len__(self) -> int:
        return len(self.latents)

    def on(self, device: torch.device) -> "Pictures":
        """Return them on a device."""
        return Pictures(*(getattr(self, name).to(device) for name in self.__slots__))

    @property
    def controls(self) -> Tensor:
        """What the control network takes: (n, 3, H, W) in [0, 1]."""
        return self.maps.float() / 255


class PictureStock:
    """The pictures at hand: each is looked at several times, with other noise.

    Args:
        seed: of the training.
        kept: batches that are kept; the oldest are left out.
    """

    def __init__(self, seed: int, kept: int) -> None:
        self._seed = seed
        self._batches: deque[Pictures] = deque(maxlen=kept)

    def add(self, pictures: Pictures) -> None:
        """Take in a batch."""
        self._batches.append(pictures)

    def pick(self, step: int, size: tuple[int, int]) -> Pictures:
        """Pick as many as a batch holds, by the number of the step.

        Args:
            step: number of it.
            size: width and height of the pictures; others where there are none yet.
        """
        rng = np.random.default_rng([self._seed, step, 8])
        alike = [each for each in self._batches if each.maps.shape[:1:-1] == size]
        batches = alike or [self._batches[-1]]
        count = len(batches[0])
        places = zip(
            rng.integers(len(batches), size=count), rng.integers(count, size=count), strict=True
        )
        found = [(batches[batch], index) for batch, index in places]
        return Pictures(
            *(
                torch.stack([getattr(batch, name)[index] for batch, index in found])
                for name in Pictures.__slots__
            )
        )


class PictureMaker:
    """Makes pictures by the seeds of their clips.

    Args:
        encode: the encoder of the autoencoder.
        size: width and height of the pictures.
    """

    def __init__(self, encode: PatchEncoder, size: tuple[int, int]) -> None:
        self._encode, self._size = encode, size
        self._drawer = SmallDrawer(size)
        self._tokenizer = make_tokenizer(WORDS)

    def __reduce__(self) -> tuple[type, tuple[PatchEncoder, tuple[int, int]]]:
        """Be rebuilt in another process: the drawer's arrays share memory."""
        return PictureMaker, (self._encode, self._size)

    def pictures(self, seeds: list[int]) -> Pictures:
        """Make two pictures of each clip: its reference, and one of its dance."""
        shown, maps, captions = [], [], []
        for seed in seeds:
            clip, look = make_clip(seed, 1, self._size), figure_of(seed).look
            rng = np.random.default_rng([seed, 6])
            sure = random_sureness(rng, len(clip.frames))
            shown.append(pictures_to_tensor(clip.frames))
            maps.append(
                draw_maps(self._drawer, clip.points, clip.scores * sure[:, None], self._size)
            )
            captions += [caption(look, rng) for _ in clip.frames]
        latents = self._encode(torch.cat(shown) * 2 - 1)
        drawn = torch.cat(maps).mul(255).round().byte()
        return Pictures(latents, drawn, self.tokens(captions))

    def tokens(self, captions: list[str]) -> Tensor:
        """Return the tokens of captions: (n, length)."""
        tokens = self._tokenizer(
            captions, padding="max_length", truncation=True, return_tensors="pt"
        )
        found: Tensor = tokens.input_ids
        return found
