"""Draw the windows of a step by their numbers: a step is the same however often it is drawn.

Every window has a number of its own, and everything random in it comes from that number alone. So
a resumed training draws what an uninterrupted one would have drawn, and a step of eight windows is
the same step on one device at once, in several parts, or on several devices.
"""

from bisect import bisect_right
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from marionext.pose.skeleton import FACE, LEFT_HAND, RIGHT_HAND, SEEN_SCORE
from marionext.posemap import SmallDrawer
from marionext.training.finetune.encoding import EncodedClip
from marionext.training.finetune.settings import FinetuneSettings

__all__ = ["Batch", "Drawing", "region_weights"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some windows; slot 0 of each is the reference picture under its own control."""

    latents: Tensor
    """(windows, frames, c, h, w): clean, not scaled."""
    noise: Tensor
    """Of the same shape, of unit variance."""
    sigmas: Tensor
    """(windows,): noise levels."""
    references: Tensor
    """(windows, c, h, w): latents of the character's picture with a little noise, not scaled."""
    embeddings: Tensor
    """(windows, channels)."""
    maps: Tensor
    """(windows, frames, 3, H, W): control pictures of 8 bits."""
    weights: Tensor
    """(windows, frames, 1, h, w): of the loss."""
    kept: Tensor
    """(windows,): 0 where picture, embedding and control are taken away, else 1."""
    names: tuple[str, ...]
    """Which clip and frames each window is, for people."""

    def to(self, device: torch.device) -> Self:
        """Return a copy on a device."""
        moved = {
            field.name: getattr(self, field.name).to(device, non_blocking=True)
            for field in fields(self)
            if field.name != "names"
        }
        return replace(self, **moved)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.latents)

    def window(self, index: int) -> Self:
        """Return one window as a batch of its own."""
        parts = {field.name: getattr(self, field.name)[index : index + 1] for field in fields(self)}
        return replace(self, **parts)


class Drawing:
    """Draws batches from clips; not for two threads at once."""

    def __init__(self, clips: tuple[EncodedClip, ...], settings: FinetuneSettings) -> None:
        """Count the windows that there are."""
        self._clips, self._settings = clips, settings
        self._ends = list(accumulate(len(clip.starts) for clip in clips))
        self._drawer = SmallDrawer(settings.size)

    def batch(self, first: int, count: int) -> Batch:
        """Draw the windows ``first`` to ``first + count - 1``."""
        return _joined([self._drawn(number) for number in range(first, first + count)])

    def fixed(self, count: int) -> Batch:
        """Draw windows spread over all the clips, whole ones, to measure with."""
        places = np.linspace(0, self._ends[-1] - 1, min(count, self._ends[-1])).round().astype(int)
        windows = []
        for number, place in enumerate(places):
            clip, start = self._place(int(place))
            generator = torch.Generator().manual_seed(number)
            windows.append(self._window(clip, start, 0, generator))
        return _joined(windows)

    def _place(self, place: int) -> tuple[EncodedClip, int]:
        """Return clip and start of the window of a number."""
        index = bisect_right(self._ends, place)
        clip = self._clips[index]
        return clip, clip.starts[place - self._ends[index] + len(clip.starts)]

    def _drawn(self, number: int) -> Batch:
        settings = self._settings
        rng = np.random.default_rng([settings.seed, number])
        clip, start = self._place(int(rng.integers(self._ends[-1])))
        reference = int(rng.integers(len(clip.references)))
        sigma = np.exp(settings.sigma_mean + settings.sigma_deviation * rng.normal())
        kept, later = rng.uniform() >= settings.unconditional, rng.uniform() < settings.later
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        whole = self._window(clip, start, reference, generator)
        latents, weights = whole.latents, whole.weights
        if later:
            latents = torch.cat([latents[:, 1:2], latents[:, 1:]], dim=1)
            weights = torch.cat([torch.zeros_like(weights[:, :1]), weights[:, 1:]], dim=1)
        return Batch(
            latents,
            whole.noise,
            torch.tensor([sigma], dtype=torch.float32),
            whole.references,
            whole.embeddings,
            whole.maps,
            weights,
            torch.tensor([float(kept)]),
            whole.names,
        )

    def _window(
        self, clip: EncodedClip, start: int, reference: int, generator: torch.Generator
    ) -> Batch:
        settings = self._settings
        indices = clip.window(start, settings.window - 1, settings.stride)
        clean, noisy, embedding = clip.reference(reference)
        latents = torch.cat([clean[None], clip.latents(indices)])
        shown = [clip.references[reference], *indices]
        maps = np.stack([clip.control(index, self._drawer) for index in shown])
        grid = (latents.shape[-2], latents.shape[-1])
        weights = np.stack([region_weights(*clip.poses(index), settings, grid) for index in shown])
        pictures = torch.from_numpy(maps).permute(0, 3, 1, 2)
        weighed = torch.from_numpy(weights)
        if clip.ready_made:
            weighed = torch.ones_like(weighed)
        elif settings.body_weight != 1:
            weighed = torch.maximum(weighed, _body(pictures, grid, settings.body_weight))
        first, last = clip.first + indices[0], clip.first + indices[-1]
        return Batch(
            latents[None],
            torch.randn(latents.shape, generator=generator)[None],
            torch.ones(1),
            noisy[None],
            embedding[None],
            pictures[None],
            weighed[None, :, None],
            torch.ones(1),
            (f"{clip.name} frames {first}-{last}",),
        )


def region_weights(
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    settings: FinetuneSettings,
    grid: tuple[int, int],
) -> NDArray[np.float32]:
    """Weigh the cells of the latents at and around hands and faces.

    Args:
        points: (people, 134, 2) in pixels of the training's size.
        scores: (people, 134).
        settings: size and weights.
        grid: rows and columns of the latents.

    Returns:
        (rows, columns): 1, or the weight of the region; the larger where two meet.
    """
    weights = np.ones(grid, np.float32)
    per_cell = np.array([settings.width / grid[1], settings.height / grid[0]], np.float32)
    regions = (
        (FACE, settings.face_weight),
        (LEFT_HAND, settings.hand_weight),
        (RIGHT_HAND, settings.hand_weight),
    )
    rows, columns = np.mgrid[: grid[0], : grid[1]] + 0.5
    for region, weight in regions:
        for person in range(len(points)):
            places = points[person, region][scores[person, region] > SEEN_SCORE] / per_cell
            if not len(places):
                continue
            # Half a cell around the box of the points: a hand may lie between two cells.
            (left, top), (right, bottom) = places.min(axis=0) - 0.5, places.max(axis=0) + 0.5
            inside = (columns > left) & (columns < right) & (rows > top) & (rows < bottom)
            weights[inside] = np.maximum(weights[inside], weight) if weight > 1 else weight
    return weights


def _body(pictures: Tensor, grid: tuple[int, int], weight: float) -> Tensor:
    """Weigh the cells at and beside what is drawn: (frames, h, w)."""
    drawn = (pictures.float().sum(dim=1, keepdim=True) > 12).float()
    near = F.max_pool2d(F.adaptive_max_pool2d(drawn, grid), 3, stride=1, padding=1)
    return (1 + (weight - 1) * near)[:, 0]


def _joined(windows: list[Batch]) -> Batch:
    tensors = {
        field.name: torch.cat([getattr(window, field.name) for window in windows])
        for field in fields(Batch)
        if field.name != "names"
    }
    return Batch(**tensors, names=tuple(name for window in windows for name in window.names))
