"""A rough picture of what is being denoised: the clean latents as they are guessed after each step.

Colours come from a linear map that is fitted to the base's own autoencoder, so that any base has
previews. Nothing here changes what is made: no random number is drawn.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

__all__ = ["CleanGuess", "ColourMap", "colour_card"]

_CELLS = 8
_SHORTEST = 192
"""Pixels of a preview's shorter side, about: enough for a thumbnail."""


class CleanGuess:
    """Watches a scheduler, and remembers what it takes the clean latents to be."""

    def __init__(self, scheduler: Any) -> None:
        """Begin to watch; the scheduler is one that nobody else uses."""
        self.latents: Tensor | None = None
        """Of the last step; None: this scheduler does not tell."""
        self._scheduler = scheduler
        step = scheduler.step

        @functools.wraps(step)
        def watched(output: Tensor, time: Any, sample: Tensor, *rest: Any, **more: Any) -> Any:
            found = step(output, time, sample, *rest, **more)
            self.latents = self._told(found, output, time, sample)
            return found

        scheduler.step = watched

    def _told(self, found: Any, output: Tensor, time: Any, sample: Tensor) -> Tensor | None:
        scheduler = self._scheduler
        values = found if isinstance(found, tuple) else tuple(found.values())
        if len(values) > 1 and isinstance(values[1], Tensor) and values[1].shape == sample.shape:
            return values[1]
        config = scheduler.config
        algorithm = str(getattr(config, "algorithm_type", ""))
        if getattr(config, "predict_x0", False) or "++" in algorithm:
            guessed = scheduler.model_outputs[-1]
            return guessed if isinstance(guessed, Tensor) else None
        if "FlowMatch" in type(scheduler).__name__:
            place = max(0, (scheduler.step_index or 1) - 1)
            level: Tensor = scheduler.sigmas[place].to(sample)
            return sample - level * output
        if hasattr(scheduler, "sigmas") or not hasattr(scheduler, "alphas_cumprod"):
            return None
        kept: Tensor = scheduler.alphas_cumprod[int(time)].to(sample)
        if config.prediction_type == "v_prediction":
            return kept.sqrt() * sample - (1 - kept).sqrt() * output
        if config.prediction_type == "epsilon":
            return (sample - (1 - kept).sqrt() * output) / kept.sqrt()
        return None


def colour_card(factor: int) -> Tensor:
    """Return a picture of many plain colours, (1, 3, side, side) from -1 to 1.

    Args:
        factor: pixels of a side of a latent pixel.
    """
    levels = torch.tensor([-0.9, -0.3, 0.3, 0.9])
    colours = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, _CELLS, _CELLS)
    return torch.nn.functional.interpolate(colours, scale_factor=4 * factor, mode="nearest")


class ColourMap:
    """Turns latents into colours."""

    def __init__(self, encode: Callable[[Tensor], Tensor], factor: int) -> None:
        """Fit the map.

        Args:
            encode: returns the latents of a picture as the network sees them.
            factor: pixels of a side of a latent pixel.
        """
        card = colour_card(factor)
        latents = encode(card).float().cpu()[0]
        small = torch.nn.functional.avg_pool2d(card, factor)[0]
        self._map = torch.linalg.lstsq(_rows(latents), small.flatten(1).T).solution

    def picture(self, latents: Tensor) -> NDArray[np.uint8]:
        """Return latents, (channels, h, w), as a small RGB picture."""
        values = latents.float().cpu()
        colours = (_rows(values) @ self._map).reshape(*values.shape[1:], 3)
        pixels = ((colours / 2 + 0.5).clamp(0, 1) * 255).round().byte().numpy()
        grown = max(1, round(_SHORTEST / min(pixels.shape[:2])))
        shown = Image.fromarray(pixels)
        size = shown.width * grown, shown.height * grown
        return np.asarray(shown.resize(size, Image.Resampling.BICUBIC))


def _rows(latents: Tensor) -> Tensor:
    """Return (h * w, channels + 1), the last column ones."""
    values = latents.flatten(1).T
    return torch.cat([values, torch.ones(len(values), 1)], dim=1)
