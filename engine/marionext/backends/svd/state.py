"""What a render keeps of its latents: to go on after a crash, and to make a part of it again.

A run that was killed and goes on from a `DenoiseState` ends in the same bytes as one that was not:
the noise is drawn from the seed, on the processor, and every step depends on the latents alone.
`Latents` are those of a finished render; they stay with its frames.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from marionext.errors import OutputError, SettingsError
from marionext.files import replacing
from marionext.frames import format_frames, parse_frames

__all__ = [
    "DenoiseState",
    "Latents",
    "draw_noise",
    "read_latents",
    "read_state",
    "write_latents",
    "write_state",
]

_HINT = "Free some disk space, or choose another output folder."


@dataclass(frozen=True, slots=True)
class DenoiseState:
    """A run between two steps."""

    step: int
    """Steps done."""
    latents: Tensor
    """(places, channels, h, w), float32 on the host, at the noise level of the next step: of all
    places that are denoised, in order. A running render changes them in place after each step."""


@dataclass(frozen=True, slots=True)
class Latents:
    """The clean latents that some frames were decoded from."""

    numbers: tuple[int, ...]
    """Of the frames, ascending."""
    frames: Tensor
    """(frames, channels, h, w), in half precision unless the render was one to the last bit."""
    slot: Tensor | None
    """(channels, h, w) of the reference slot; None where it was held."""


def draw_noise(
    seed: int,
    frames: int | Sequence[int],
    latent_shape: tuple[int, int, int],
    size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Draw everything random in a render.

    Args:
        seed: of the render.
        frames: numbers of the frames: the noise of each belongs to its number, whatever else is
            rendered. Or how many there are: then all is drawn in one row, in the order of the
            reference: picture, slot, frames.
        latent_shape: channels, height and width of a frame's latents.
        size: width and height of the picture.

    Returns:
        Noise for the character's picture (1, 3, height, width) and for the latents
        (frames + 1, channels, h, w), both of unit variance; the first place is the slot's.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    width, height = size
    image = torch.randn((1, 3, height, width), generator=generator)
    if isinstance(frames, int):
        latents = torch.empty((frames + 1, *latent_shape))
        for place in latents:
            place.copy_(torch.randn(latent_shape, generator=generator))
        return image, latents
    latents = torch.empty((len(frames) + 1, *latent_shape))
    for place, name in zip(latents, ("slot", *frames), strict=True):
        # Hashed, since neighbouring seeds of the generator are not independent in themselves.
        digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
        generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        place.copy_(torch.randn(latent_shape, generator=generator))
    return image, latents


def write_state(state: DenoiseState, path: Path) -> None:
    """Save a state; the file appears complete or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    _save({"latents": state.latents}, {"step": str(state.step)}, path)


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


def write_latents(latents: Latents, path: Path) -> None:
    """Save the latents of finished frames; the file appears complete or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    tensors = {"frames": latents.frames}
    if latents.slot is not None:
        tensors["slot"] = latents.slot
    _save(tensors, {"numbers": format_frames(latents.numbers)}, path)


def read_latents(path: Path) -> Latents:
    """Load the latents of finished frames.

    Raises:
        OutputError: the file is missing or is something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            numbers = parse_frames((file.metadata() or {})["numbers"])
            frames = file.get_tensor("frames")
            slot = file.get_tensor("slot") if "slot" in file.keys() else None  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError, SettingsError) as error:
        raise OutputError(
            f"{path}: not the latents of finished frames: {error}",
            hint="Render the whole again, with --overwrite.",
        ) from None
    if len(numbers) != len(frames):
        raise OutputError(
            f"{path}: expected the latents of {len(numbers)} frames, found {len(frames)}",
            hint="Render the whole again, with --overwrite.",
        )
    return Latents(numbers, frames, slot)


def _save(tensors: dict[str, Tensor], facts: dict[str, str], path: Path) -> None:
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=facts)
    except (OutputError, SafetensorError) as error:
        raise OutputError(f"{path}: the latents cannot be kept: {error}", hint=_HINT) from error
