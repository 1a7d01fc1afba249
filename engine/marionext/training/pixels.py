"""Pictures and pose maps as networks in training see them."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from marionext.motion.projection import TYPICAL_SCORES
from marionext.posemap import SmallDrawer

__all__ = ["draw_maps", "figure_weights", "pictures_to_tensor", "random_sureness"]


def pictures_to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """Return (n, h, w, 3) as (n, 3, h, w) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


def random_sureness(rng: np.random.Generator, sources: int) -> NDArray[np.float64]:
    """Draw how sure detectors are of each joint: (sources, 134), factors of scores.

    They are surer of some joints than of others, poses given by hand of all of them: a map's legs
    may be bright or hardly to be seen, and mean the same.
    """
    shape = (sources, 1)
    typical = rng.uniform(0.0, 1.15, shape) if rng.uniform() < 0.9 else np.zeros(shape)
    sure = 1 - np.clip(typical, 0, 1) * (1 - TYPICAL_SCORES)
    return np.clip(sure * rng.uniform(0.9, 1.08, sure.shape), 0, 1.05)


def draw_maps(
    drawer: SmallDrawer,
    points: NDArray[np.float32],
    scores: NDArray[np.floating],
    size: tuple[int, int],
) -> Tensor:
    """Draw pose maps of (frames, people, 134, 2) points: (frames, 3, h, w) in [0, 1]."""
    maps = [drawer.draw(pose, score, size) for pose, score in zip(points, scores, strict=True)]
    return pictures_to_tensor(np.stack(maps))


def figure_weights(maps: Tensor, grid: tuple[int, int], weight: float) -> Tensor:
    """Weigh the cells of a picture's latents: ``weight`` at and around the drawn pose, else 1.

    Args:
        maps: (n, 3, H, W) pose maps in [0, 1].
        grid: rows and columns of the latents.
        weight: of the figure.

    Returns:
        (n, 1, h, w).
    """
    drawn = (maps.sum(dim=1) > 0.05).float()
    cells = F.adaptive_max_pool2d(drawn, grid)
    near = F.max_pool2d(cells, 3, stride=1, padding=1)
    return (1 + (weight - 1) * near)[:, None]
