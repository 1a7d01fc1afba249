"""Noise levels from pure noise down to the picture, and the Euler step between two of them.

Stable Video Diffusion is trained in the frame of Karras et al. 2022 ("Elucidating the Design Space
of Diffusion-Based Generative Models", arXiv:2206.00364): the network sees latents scaled to unit
variance and ``ln(sigma) / 4`` as the time, and predicts v. The levels come from diffusers'
`EulerDiscreteScheduler`, which gives the reference's to the bit.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler
from torch import Tensor

from marionext.errors import ModelError

__all__ = ["AYS_SIGMAS", "Schedule", "denoised", "euler_step", "make_schedule", "network_input"]

AYS_SIGMAS = (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034)
"""Align Your Steps for Stable Video Diffusion (Sabour et al. 2024, arXiv:2404.14507), without the
final 0; for other numbers of steps it is interpolated in the logarithm, as its authors do."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The levels of one run."""

    sigmas: tuple[float, ...]
    """Steps + 1 levels, falling, the last one 0; float32 values."""
    timesteps: tuple[float, ...]
    """What the networks are told at each step; float32 values."""
    initial: float
    """Deviation of the noise the run starts from."""

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.timesteps)


def make_schedule(
    config: dict[str, Any], steps: int, kind: Literal["karras", "ays"] = "karras"
) -> Schedule:
    """Lay out the levels of a run.

    Args:
        config: the bundle's ``scheduler_config.json``.
        steps: number of steps, at least 1.
        kind: ``karras`` stands for the bundle's own spacing.

    Raises:
        ModelError: the bundle's scheduler is of another kind than SVD's.
    """
    scheduler = EulerDiscreteScheduler.from_config(config)
    found = scheduler.config
    if (found.prediction_type, found.timestep_type) != ("v_prediction", "continuous"):
        raise ModelError(
            "expected a scheduler with v_prediction and continuous timesteps, as SVD's, "
            f"got {found.prediction_type} and {found.timestep_type}"
        )
    with warnings.catch_warnings():
        # diffusers hands torch tensors to numpy in a way that numpy 2 means to give up.
        warnings.simplefilter("ignore", DeprecationWarning)
        if kind == "karras":
            scheduler.set_timesteps(steps)
        else:
            scheduler.set_timesteps(sigmas=_aligned(steps, float(found.sigma_max or AYS_SIGMAS[0])))
    return Schedule(
        tuple(scheduler.sigmas.tolist()),
        tuple(scheduler.timesteps.tolist()),
        float(scheduler.init_noise_sigma),
    )


def _aligned(steps: int, highest: float) -> list[float]:
    """Return Align Your Steps from ``highest`` down, with a final 0."""
    known = np.log([highest, *(sigma for sigma in AYS_SIGMAS if sigma < highest)])
    places = np.linspace(0, len(known) - 1, steps)
    return [*np.exp(np.interp(places, np.arange(len(known)), known)).tolist(), 0.0]


def network_input(latents: Tensor, sigma: float) -> Tensor:
    """Scale noisy latents to the unit variance the network was trained on."""
    level = torch.tensor(sigma, dtype=torch.float32)
    return latents / ((level**2 + 1) ** 0.5).to(latents.device)


def denoised(latents: Tensor, prediction: Tensor, sigma: float) -> Tensor:
    """Return the clean latents that a v-prediction stands for; all tensors of one shape."""
    level = torch.tensor(sigma, dtype=torch.float32)
    return prediction * (-level / (level**2 + 1) ** 0.5) + latents / (level**2 + 1)


def euler_step(latents: Tensor, prediction: Tensor, sigma: float, following: float) -> Tensor:
    """Go from one noise level to the next.

    Args:
        latents: at level ``sigma``, float32, any shape.
        prediction: v of the same shape.
        sigma: level of ``latents``, above 0.
        following: the next level.

    Returns:
        The latents at level ``following``.
    """
    level = torch.tensor(sigma, dtype=torch.float32)
    derivative = (latents - denoised(latents, prediction, sigma)) / level
    return latents + derivative * (torch.tensor(following, dtype=torch.float32) - level)
