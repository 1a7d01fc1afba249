"""What pictures take in work and memory, reckoned from the headers of their files: no torch.

Rough figures, meant to warn and not to bill: how fast a machine is, is learned from what it made.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marionext.backends.pictures.bases import Base
from marionext.backends.pictures.families import FAMILIES, FamilyName
from marionext.backends.pictures.recognise import read_configuration, read_shapes
from marionext.errors import ModelError

__all__ = ["BaseShape", "memory_of", "operations_of", "published_shape", "read_shape"]

_UNET_OPERATIONS = 0.2
"""Floating-point operations for each latent pixel and parameter of a UNet: 0.23 of Stable Diffusion
1.5 at 512x512, 0.16 of XL at 1024x1024 (``benchmarks/picture_claims.py``)."""
_TOKEN_OPERATIONS = 2.6
"""The same for each token and parameter of a transformer: a product and a sum, and attention."""
_VAE_OPERATIONS = 0.1
"""The same for each pixel and parameter of an autoencoder."""
_UNET_BYTES = 27.0
"""Of activations, for each latent pixel, channel of the first level and byte of a number."""
_VAE_BYTES = 8.0 * 128
"""The same for each pixel: autoencoders of all families have 128 channels there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseShape:
    """What a base's files say of its size."""

    network: int
    """Parameters of the network that denoises."""
    vae: int
    others: int
    """Parameters of the text encoders."""
    width: int
    """Channels of the network's first level."""
    own_size: tuple[int, int]
    """Width and height that it was trained at."""
    factor: int = 8
    """Pixels of a side of a latent pixel."""
    patch: int | None = None
    """Latent pixels of a side of a transformer's token; None: a UNet."""

    @property
    def side_step(self) -> int:
        """What width and height are multiples of."""
        return self.factor * (self.patch or 1)


def published_shape(family: FamilyName) -> BaseShape:
    """Return the shape of a family's published base, for where it is not on this machine."""
    side = FAMILIES[family].side
    counts = {
        "sd15": (859_520_964, 83_653_863, 123_060_480, 320),
        "sdxl": (2_567_463_684, 83_653_863, 817_720_320, 320),
        "sd3": (2_028_328_000, 83_819_683, 818_381_824, 1536),
    }
    network, vae, others, width = counts[family]
    return BaseShape(
        network=network, vae=vae, others=others, width=width, own_size=(side, side),
        patch=2 if family == "sd3" else None,
    )  # fmt: skip


def read_shape(base: Base) -> BaseShape:
    """Read the shape of a base that is here.

    Raises:
        ModelError: a file is missing or damaged.
    """
    family = FAMILIES[base.family]
    home = base.path if base.path.is_dir() else base.config
    if home is None:
        raise ModelError(
            f"{base.path} holds weights alone: its configurations and tokenizers are needed, too",
            hint=f"Say where they are with --config FOLDER, or run 'marionext models pull "
            f"{base.family}' once.",
        )
    config = read_configuration(home / family.network / "config.json")
    levels = read_configuration(home / "vae" / "config.json").get("block_out_channels")
    factor = 2 ** (len(levels) - 1) if isinstance(levels, list) and levels else 8
    counts = _counts(base, family.network)
    patch = config.get("patch_size", 2) if base.family == "sd3" else None
    return BaseShape(
        network=counts[0], vae=counts[1], others=counts[2],
        width=_width(config),
        own_size=_own_size(config, factor, family.side),
        factor=factor,
        patch=patch if isinstance(patch, int) else None,
    )  # fmt: skip


def _width(config: dict[str, Any]) -> int:
    if "block_out_channels" in config:
        return int(config["block_out_channels"][0])
    return int(config.get("num_attention_heads", 24)) * int(config.get("attention_head_dim", 64))


def _own_size(config: dict[str, Any], factor: int, side: int) -> tuple[int, int]:
    sample = config.get("sample_size")
    if isinstance(sample, int):
        return sample * factor, sample * factor
    if isinstance(sample, list) and len(sample) == 2:
        return int(sample[1]) * factor, int(sample[0]) * factor
    return side, side


def _counts(base: Base, network: str) -> tuple[int, int, int]:
    """Return the parameters of the network, the autoencoder and the rest."""
    if base.path.is_dir():
        parts = {folder.name: _of_folder(folder) for folder in base.path.iterdir()}
        vae = parts.get("vae", 0)
        others = sum(count for name, count in parts.items() if name.startswith("text_encoder"))
        return parts.get(network, 0), vae, others
    found = [0, 0, 0]
    for name, shape in read_shapes(base.path).items():
        place = 2
        if name.startswith("model.diffusion_model."):
            place = 0
        elif name.startswith(("first_stage_model.", "vae.")):
            place = 1
        found[place] += math.prod(shape)
    return found[0], found[1], found[2]


def _of_folder(folder: Path) -> int:
    files = sorted(folder.glob("*.safetensors"))
    half = [file for file in files if ".fp16." in file.name] or files
    return sum(math.prod(shape) for file in half for shape in read_shapes(file).values())


def operations_of(
    shape: BaseShape, size: tuple[int, int], steps: int, halves: int, *, coded: int = 1
) -> float:
    """Return the floating-point operations of a picture.

    Args:
        shape: of the base.
        size: width and height in pixels.
        steps: of denoising.
        halves: 2 under guidance, else 1.
        coded: how often the autoencoder runs: 2 where a picture is begun with.
    """
    pixels = size[0] * size[1]
    latents = pixels / shape.factor**2
    if shape.patch is None:
        step = _UNET_OPERATIONS * latents * shape.network
    else:
        step = _TOKEN_OPERATIONS * latents / shape.patch**2 * shape.network
    return steps * halves * step + coded * _VAE_OPERATIONS * pixels * shape.vae


def memory_of(shape: BaseShape, size: tuple[int, int], together: int, number_bytes: int) -> float:
    """Return the bytes that a base takes on its device at most.

    Args:
        shape: of the base.
        size: width and height in pixels.
        together: pictures that are denoised at once, twice under guidance.
        number_bytes: of the number format.
    """
    pixels = size[0] * size[1]
    weights = (shape.network + shape.vae + shape.others) * number_bytes
    latents = pixels / shape.factor**2
    if shape.patch is not None:
        latents /= shape.patch**2
    denoising = together * latents * shape.width * _UNET_BYTES * number_bytes
    # Autoencoders of whole numbers run in single precision where they would overflow.
    return weights + max(denoising, pixels * _VAE_BYTES * 4)
