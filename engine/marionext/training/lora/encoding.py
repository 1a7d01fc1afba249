"""Encode pictures and captions once: the networks that do it are not trained.

A picture's latents are a mean and a deviation: each step draws its own of them, as the base's
training did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from marionext.backends.pictures.families import FamilyName
from marionext.errors import ModelError
from marionext.files import write_bytes

__all__ = ["Words", "encode_words", "latents_of", "read_tensors", "write_latents", "write_words"]


@dataclass(frozen=True, slots=True)
class Words:
    """What text encoders make of captions."""

    tokens: Tensor
    """(captions, length, channels), what the network attends to."""
    pooled: Tensor
    """(captions, channels) of the captions as a whole; no channels where the family has none."""

    def to(self, device: torch.device) -> "Words":
        """Return them on a device."""
        return Words(self.tokens.to(device), self.pooled.to(device))


def encode_words(
    pipeline: Any, family: FamilyName, captions: Sequence[str], device: torch.device
) -> Words:
    """Encode captions as the family's pipeline does; gradients flow where they are wanted."""
    texts = list(captions)
    usual = {"device": device, "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
    if family == "sd15":
        tokens: Tensor = pipeline.encode_prompt(prompt=texts, **usual)[0]
        return Words(tokens, tokens.new_zeros(len(texts), 0))
    others = {"prompt_2": None, **({"prompt_3": None} if family == "sd3" else {})}
    tokens, _, pooled, _ = pipeline.encode_prompt(prompt=texts, **others, **usual)
    return Words(tokens, pooled)


@torch.no_grad()
def write_latents(path: Path, pixels: NDArray[np.uint8], vae: Any, *, mirrored: bool) -> None:
    """Encode a picture (height, width, 3), and its mirror image where that is wanted, to a file.

    Raises:
        OutputError: the file cannot be written.
    """
    shown = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    tensors = {}
    for prefix, picture in (("", shown), ("mirrored_", shown.flip(-1))):
        if prefix and not mirrored:
            continue
        found = vae.encode(picture.to(vae.device, vae.dtype)).latent_dist
        tensors[f"{prefix}mean"] = _scaled(found.mean.float(), vae.config)[0]
        tensors[f"{prefix}deviation"] = found.std.float()[0] * _factor(vae.config, found.std)[0]
    kept = {name: value.cpu().contiguous() for name, value in tensors.items()}
    write_bytes(path, save(kept, {"format": "pt"}))


def write_words(path: Path, words: Words) -> None:
    """Keep a caption's words in a file.

    Raises:
        OutputError: the file cannot be written.
    """
    kept = {
        "tokens": words.tokens[0].float().cpu().contiguous(),
        "pooled": words.pooled[0].float().cpu().contiguous(),
    }
    write_bytes(path, save(kept, {"format": "pt"}))


def latents_of(tensors: dict[str, Tensor], generator: torch.Generator, *, mirrored: bool) -> Tensor:
    """Draw a picture's latents, (c, h, w), of unit variance as the network sees them."""
    prefix = "mirrored_" if mirrored else ""
    mean, deviation = tensors[f"{prefix}mean"], tensors[f"{prefix}deviation"]
    return mean + deviation * torch.randn(mean.shape, generator=generator)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read what was kept in a file.

    Raises:
        ModelError: it is damaged.
    """
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(
            f"{path}: not what was encoded here: {error}", hint="Delete the file; it is made again."
        ) from None


def _factor(config: Any, like: Tensor) -> Tensor:
    """Return what brings latents of an autoencoder to unit variance: (1, 1 or c, 1, 1)."""
    factor = like.new_tensor(float(config.scaling_factor)).view(1, 1, 1, 1)
    if (deviation := getattr(config, "latents_std", None)) is not None:
        factor = factor / like.new_tensor(deviation).view(1, -1, 1, 1)
    return factor


def _scaled(latents: Tensor, config: Any) -> Tensor:
    mean = getattr(config, "latents_mean", None)
    shift = getattr(config, "shift_factor", None) or 0.0
    middle = shift if mean is None else latents.new_tensor(mean).view(1, -1, 1, 1)
    return (latents - middle) * _factor(config, latents)
