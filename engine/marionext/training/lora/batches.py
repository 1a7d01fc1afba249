"""Draw the pictures of a step by their numbers: a step is the same however often it is drawn.

Batches have pictures of one size. Each round goes through all pictures once (as often as they are
to be repeated), in an order of its own; everything random in a batch comes from its number alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from marionext.training.lora.dataset import Dataset, Picture
from marionext.training.lora.encoding import Words, read_tensors
from marionext.training.lora.noising import Noising
from marionext.training.lora.settings import LoraSettings

__all__ = ["Batch", "Drawing"]

_ROUNDS, _CHANCE = 0, 1
"""What random numbers are for: the orders of rounds, all else in a batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some pictures of one size."""

    clean: Tensor
    """(n, c, h, w): latents of unit variance."""
    noise: Tensor
    levels: Tensor
    """(n,) of noise, as the network is told them."""
    captions: tuple[str, ...]
    words: Words | None
    """Of the captions; None where text encoders are trained."""
    conditions: Tensor
    """(n, 6), the numbers on its size that Stable Diffusion XL is told of each picture."""
    names: tuple[str, ...]

    def to(self, device: torch.device) -> "Batch":
        """Return them on a device."""
        return Batch(
            self.clean.to(device),
            self.noise.to(device),
            self.levels.to(device),
            self.captions,
            None if self.words is None else self.words.to(device),
            self.conditions.to(device),
            self.names,
        )


class Drawing:
    """Draws batches of a dataset.

    Args:
        dataset: pictures and captions.
        settings: of the training.
        noising: how the base is taught.
    """

    def __init__(self, dataset: Dataset, settings: LoraSettings, noising: Noising) -> None:
        self._dataset, self._settings, self._noising = dataset, settings, noising
        self._sizes: dict[tuple[int, int], list[Picture]] = {}
        for picture in dataset.learned:
            same = self._sizes.setdefault(picture.frame.size, [])
            same += [picture] * picture.repeats
        self.round_length = sum(
            -(-len(pictures) // settings.batch) for pictures in self._sizes.values()
        )
        """Batches of a round."""
        self._round = lru_cache(maxsize=2)(self._ordered)

    def batch(self, number: int) -> Batch:
        """Draw the batch of a number."""
        settings = self._settings
        rounds, place = divmod(number, self.round_length)
        pictures = self._round(rounds)[place]
        rng = np.random.default_rng([settings.seed, _CHANCE, number])
        wordless = rng.uniform(size=len(pictures)) < settings.unconditional
        mirrored = rng.uniform(size=len(pictures)) < (0.5 if settings.flip else 0)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        levels = self._noising.draw(len(pictures), generator, settings.level_power)
        captions = [
            "" if silent else picture.words
            for picture, silent in zip(pictures, wordless, strict=True)
        ]
        return self._made(pictures, captions, mirrored.tolist(), levels, generator)

    def held_out(self, count: int, shares: Sequence[float]) -> list[Batch]:
        """Draw held-out pictures to measure with, each at all levels.

        Args:
            count: of pictures, spread over all of them.
            shares: of the way from picture to noise.
        """
        pictures = self._dataset.held_out
        places = np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int)
        levels = torch.tensor([self._noising.at(share) for share in shares])
        batches = []
        for number, place in enumerate(places):
            same = [pictures[place]] * len(shares)
            generator = torch.Generator().manual_seed(number)
            words = [picture.words for picture in same]
            batches.append(self._made(same, words, [False] * len(same), levels, generator))
        return batches

    def _ordered(self, number: int) -> list[list[Picture]]:
        """Return the batches of a round."""
        rng = np.random.default_rng([self._settings.seed, _ROUNDS, number])
        length = self._settings.batch
        batches = []
        for pictures in self._sizes.values():
            order = rng.permutation(len(pictures))
            for start in range(0, len(order), length):
                # The last one is filled up with the first ones again.
                chosen = np.take(order, range(start, start + length), mode="wrap")
                batches.append([pictures[place] for place in chosen])
        return [batches[place] for place in rng.permutation(len(batches))]

    def _made(
        self,
        pictures: Sequence[Picture],
        captions: Sequence[str],
        mirrored: Sequence[bool],
        levels: Tensor,
        generator: torch.Generator,
    ) -> Batch:
        clean = torch.stack(
            [
                read_tensors(picture.latents)["mirrored_latents" if turned else "latents"]
                for picture, turned in zip(pictures, mirrored, strict=True)
            ]
        )
        noise = torch.randn(clean.shape, generator=generator)
        if self._settings.noise_offset:
            same = torch.randn(*clean.shape[:2], 1, 1, generator=generator)
            noise = noise + self._settings.noise_offset * same
        return Batch(
            clean,
            noise,
            levels,
            tuple(captions),
            self._words(captions) if self._dataset.words else None,
            torch.tensor([picture.frame.conditions for picture in pictures], dtype=torch.float32),
            tuple(picture.name for picture in pictures),
        )

    def _words(self, captions: Sequence[str]) -> Words:
        kept = [read_tensors(self._dataset.words[caption]) for caption in captions]
        return Words(*(torch.stack([each[name] for each in kept]) for name in ("tokens", "pooled")))
