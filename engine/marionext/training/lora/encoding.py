"""Encode pictures and captions once: the networks that do it are not trained.

Of what the autoencoder tells of a picture only the mean is kept. Its deviation is tiny in published
ones, and means nothing in those that were trained without it: drawn from, it would be learned as
noise all over the pictures.
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

__all__ = ["Words", "encode_words", "read_tensors", "write_latents", "write_words"]


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
        found = vae.encode(picture.to(vae.device, vae.dtype)).latent_dist.mode()
        tensors[f"{prefix}latents"] = _scaled(found.float(), vae.config)[0]
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


def _scaled(latents: Tensor, config: Any) -> Tensor:
    """Bring (1, c, h, w) latents of an autoencoder to unit variance, as networks see them."""
    mean, deviation = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is not None and deviation is not None:
        mean, deviation = (latents.new_tensor(each).view(1, -1, 1, 1) for each in (mean, deviation))
        return (latents - mean) / deviation * float(config.scaling_factor)
    shift = float(getattr(config, "shift_factor", None) or 0.0)
    return (latents - shift) * float(config.scaling_factor)
