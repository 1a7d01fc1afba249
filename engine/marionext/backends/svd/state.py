"""What a run needs to go on where it was: the latents and how many steps they are through.

A run that was killed and continued from here ends in the same bytes as one that was not: the noise
is drawn once, from the seed, on the processor, and every step depends on the latents alone.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from marionext.errors import OutputError
from marionext.files import replacing

__all__ = ["DenoiseState", "draw_noise", "read_state", "write_state"]


@dataclass(frozen=True, slots=True)
class DenoiseState:
    """A run between two steps."""

    step: int
    """Steps done."""
    latents: Tensor
    """(frames + 1, channels, h, w), float32 on the host, at the noise level of the next step; the
    first is the reference slot's. A running render changes them in place after each step."""


def draw_noise(
    seed: int, frames: int, latent_shape: tuple[int, int, int], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Draw everything random in a render, in the reference's order: picture first, then latents.

    Args:
        seed: of the render.
        frames: frames of the clip, without the slot.
        latent_shape: channels, height and width of a frame's latents.
        size: width and height of the picture.

    Returns:
        Noise for the character's picture (1, 3, height, width) and for the latents
        (frames + 1, channels, h, w), both of unit variance. Those of a longer clip begin with
        those of a shorter one.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    width, height = size
    image = torch.randn((1, 3, height, width), generator=generator)
    latents = torch.empty((frames + 1, *latent_shape))
    for frame in latents:
        frame.copy_(torch.randn(latent_shape, generator=generator))
    return image, latents


def write_state(state: DenoiseState, path: Path) -> None:
    """Save a state; the file appears complete or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with replacing(path) as temporary:
            save_file({"latents": state.latents}, temporary, metadata={"step": str(state.step)})
    except (OutputError, SafetensorError) as error:
        raise OutputError(
            f"{path}: the latents cannot be kept: {error}",
            hint="Free some disk space, or choose another output folder.",
        ) from error


def read_state(path: Path) -> DenoiseState:
    """Load a state.

    Raises:
        OutputError: the file is missing or is not a saved state.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return DenoiseState(int((file.metadata() or {})["step"]), file.get_tensor("latents"))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise OutputError(
            f"{path}: not a saved state of a render: {error}",
            hint="Delete the file; the render starts over.",
        ) from None
