"""Measure a training on clips set apart: the error at fixed noise, and preview videos.

Whether the control has an effect shows in two numbers: the error under a window's own control and
under another's. While they are equal, the model ignores it.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marionext.diffusion.schedule import make_schedule
from marionext.frames import FrameRate
from marionext.output import Pictures, encode_video
from marionext.training.finetune.batches import Batch
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.finetune.steering import SteeredUNet, window_losses

__all__ = ["denoise_window", "levels_of", "measure", "write_preview"]

LEVELS = (-1.0, 0.0, 1.0)
"""Noise levels that are measured at, in deviations of ln sigma."""


def levels_of(settings: FinetuneSettings) -> tuple[float, ...]:
    """Return the sigmas that are measured at."""
    return tuple(
        float(np.exp(settings.sigma_mean + place * settings.sigma_deviation)) for place in LEVELS
    )


@torch.no_grad()
def measure(
    network: SteeredUNet,
    batch: Batch,
    levels: tuple[float, ...],
    predict: Callable[[Batch], Tensor],
) -> dict[str, float]:
    """Return the mean loss under the windows' own control (``validation``) and another (``wrong``).

    Args:
        network: whose scale applies.
        batch: windows with their noise; every cell counts alike.
        levels: sigmas.
        predict: the network's answer to a batch on its device.
    """
    other = batch.maps.roll(1, 0) if len(batch) > 1 else batch.maps.flip(1)
    sums = {"validation": 0.0, "wrong": 0.0}
    for kind, maps in (("validation", batch.maps), ("wrong", other)):
        shown = replace(batch, maps=maps, weights=torch.ones_like(batch.weights))
        for index in range(len(batch)):
            for level in levels:
                window = shown.window(index)
                window = replace(window, sigmas=torch.full_like(window.sigmas, level))
                # Slot 0 shows the character as it was given: it is easy, and not the point.
                dance = window.weights.clone()
                dance[:, 0] = 0
                window = replace(window, weights=dance)
                sums[kind] += float(window_losses(predict(window), window, network.scale).sum())
    # As if slot 0 had not been among the frames that the mean was taken over.
    frames = batch.latents.shape[1]
    share = len(batch) * len(levels) * (frames - 1) / frames
    return {name: total / share for name, total in sums.items()}


@torch.no_grad()
def denoise_window(
    predict: Callable[[Batch], Tensor],
    window: Batch,
    scheduler: dict[str, Any],
    steps: int,
    guidance: float,
    scale: float,
) -> Tensor:
    """Generate one window's latents from its noise: (frames, c, h, w), not scaled."""
    schedule = make_schedule(scheduler, steps)
    latents = window.noise * schedule.initial
    for sigma, following in zip(schedule.sigmas[:-1], schedule.sigmas[1:], strict=True):
        sigmas = torch.full_like(window.sigmas, sigma)
        # What is predicted from is made of clean latents and noise: no noise is added here.
        noisy = replace(
            window, latents=latents / scale, noise=torch.zeros_like(latents), sigmas=sigmas
        )
        clean = predict(noisy)
        if guidance != 1:
            without = predict(replace(noisy, kept=torch.zeros_like(noisy.kept)))
            clean = without + guidance * (clean - without)
        latents = latents + (latents - clean) / sigma * (following - sigma)
    return latents[0] / scale


@torch.no_grad()
def write_preview(
    vae: Any, window: Batch, made: Tensor, rate: FrameRate, chunk: int, path: Path
) -> None:
    """Write a video: the clip, its control pictures, and what the model makes of them.

    Args:
        vae: the autoencoder, on its device.
        window: one window.
        made: its generated latents, (frames, c, h, w), not scaled.
        rate: of the video.
        chunk: frames decoded together.
        path: of the video.
    """
    maps = window.maps[0, 1:].permute(0, 2, 3, 1).cpu().numpy()
    shown = (
        _decoded(vae, window.latents[0, 1:], chunk),
        # Maps are dim; people see brighter ones better.
        np.clip(maps.astype(np.uint16) * 2, 0, 255).astype(np.uint8),
        _decoded(vae, made[1:], chunk),
    )
    frames = np.concatenate(shown, axis=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    encode_video(Pictures(len(frames), lambda index: frames[index]), rate, path)


def _decoded(vae: Any, latents: Tensor, chunk: int) -> NDArray[np.uint8]:
    parts = []
    for start in range(0, len(latents), chunk):
        part = latents[start : start + chunk].to(vae.device, vae.dtype)
        pixels = vae.decode(part, num_frames=len(part)).sample.float().clamp(-1, 1)
        parts.append(pixels.add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)
