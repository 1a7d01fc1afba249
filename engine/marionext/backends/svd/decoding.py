"""Latents to frames, a few at a time, so that a clip of any length streams to disk.

The temporal decoder mixes the frames of a chunk and sees nothing beyond it: the chunk size changes
the picture, and a render that goes on must cut its chunks where the first run did.
"""

from collections.abc import Callable, Collection, Iterator
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marionext.backends.svd.loading import Models
from marionext.diffusion.memory import reproducible
from marionext.errors import JobCancelled
from marionext.settings import SvdSettings

__all__ = ["decode", "decode_chunk"]


def _never() -> bool:
    return False


def decode(
    models: Models,
    latents: Tensor,
    settings: SvdSettings,
    *,
    frames: Collection[int] | None = None,
    cancelled: Callable[[], bool] = _never,
) -> Iterator[NDArray[np.uint8]]:
    """Decode a clip frame by frame.

    The reference slot is not shown. It is not in the first chunk either, where it would bleed into
    the first frame, except in parity mode, where it does as the reference does.

    Args:
        models: the loaded networks.
        latents: (frames + 1, channels, h, w), as `denoise` returned them.
        settings: of the render.
        frames: those that are wanted, counted from 0; they are the same whatever else is. None:
            all.
        cancelled: asked before each chunk.

    Yields:
        Each of them in order: (height, width, 3) RGB.

    Raises:
        JobCancelled: ``cancelled`` said so.
        DeviceError: the device ran out of memory.
    """
    offset = 1 if settings.parity else 0
    shown = latents if settings.parity else latents[1:]
    chunk = settings.decode_chunk
    count = len(shown) - offset
    wanted = sorted(frame + offset for frame in (range(count) if frames is None else frames))
    for chunk_number, inside in groupby(wanted, key=lambda place: place // chunk):
        if cancelled():
            raise JobCancelled("cancelled while decoding")
        first = chunk_number * chunk
        pixels = _frames(models, shown[first : first + chunk], settings)
        yield from (pixels[place - first] for place in inside)


@torch.no_grad()
def decode_chunk(models: Models, latents: Tensor) -> Tensor:
    """Decode a few neighbouring frames.

    Args:
        models: the loaded networks.
        latents: (frames, channels, h, w).

    Returns:
        (frames, 3, height, width), about -1 to 1, float32 on the host.
    """
    placement = models.placement
    with placement.at_work(models.vae) as (vae,):
        scaled = (latents / vae.config.scaling_factor).to(placement.device, placement.dtype)
        pixels: Tensor = vae.decode(scaled, num_frames=len(latents)).sample
        return pixels.float().cpu()


def _frames(models: Models, latents: Tensor, settings: SvdSettings) -> NDArray[np.uint8]:
    """Decode a chunk to pictures, (frames, height, width, 3)."""
    with reproducible(exact=settings.parity):
        pixels = models.surviving(lambda: decode_chunk(models, latents), settings)
    rounded = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).numpy())
