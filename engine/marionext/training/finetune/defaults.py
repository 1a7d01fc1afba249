"""Default settings of a training: those that the model is rendered with."""

import math
from typing import Any

import torch

from marionext.backends.svd.loading import NetworkFiles
from marionext.bundles import ModelBundle
from marionext.codec import decode
from marionext.training.finetune.result import rendered_with
from marionext.training.finetune.settings import FinetuneSettings

__all__ = ["finetune_settings"]

SVD_LEVELS = (0.7, 1.6)
"""Mean and deviation of ln sigma that Stable Video Diffusion is trained with."""

NARROW = 0.8
"""Deviation for schedules that end at a high level, as the puppet's."""


def finetune_settings(bundle: ModelBundle, given: dict[str, Any]) -> FinetuneSettings:
    """Return the settings of a training.

    Args:
        bundle: the model to begin with; size and window are those it is rendered with, noise
            levels lie where its schedule has them.
        given: fields of `FinetuneSettings` that were chosen.

    Raises:
        SettingsError: a value is of the wrong type or out of its range.
        ModelError: the bundle is of another architecture, or its scheduler cannot be read.
    """
    usual = rendered_with(bundle)
    mean, deviation = usual_levels(NetworkFiles(bundle.folder, torch.float32).scheduler())
    base = FinetuneSettings(
        width=usual.width,
        height=usual.height,
        window=usual.window,
        sigma_mean=mean,
        sigma_deviation=deviation,
    )
    return decode(FinetuneSettings, given, base=base)


def usual_levels(scheduler: dict[str, Any]) -> tuple[float, float]:
    """Return mean and deviation of ln sigma for a model that is rendered with this schedule."""
    lowest = scheduler.get("sigma_min")
    if isinstance(lowest, int | float) and lowest > 1:
        # Nothing below the last level is ever asked of it.
        return math.log(lowest), NARROW
    return SVD_LEVELS
