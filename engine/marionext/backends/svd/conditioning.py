"""What the video model is told about the character: an embedding, a picture, three numbers.

The two pictures go different ways: CLIP sees the whole picture, blurred and resized to its input;
the autoencoder sees it with a little noise, as Stable Video Diffusion was trained (Blattmann et al.
2023, arXiv:2311.15127). Sizes and rounding follow the reference implementation to the bit.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from marionext.backends.svd.loading import Models

__all__ = ["Condition", "clip_pixels", "encode_character"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Condition:
    """What every window of a run is conditioned on; float32 on the host."""

    embedding: Tensor
    """(1, 1, channels): CLIP's embedding of the picture."""
    image_latents: Tensor
    """(1, latent channels, h, w): the encoded picture, not scaled."""
    time_ids: Tensor
    """(1, 3): frames per second less one, motion bucket, noise augmentation."""
    preview: Tensor
    """(latent channels + 1, 3): latents and 1 to RGB in 0 to 1, as near as a line comes."""

    def emptied(self) -> "Condition":
        """Return what stands for no condition in guidance: no embedding and no picture."""
        return replace(
            self,
            embedding=torch.zeros_like(self.embedding),
            image_latents=torch.zeros_like(self.image_latents),
        )


def clip_pixels(picture: NDArray[np.uint8], side: int = 224) -> Tensor:
    """Turn a picture into CLIP's input: blurred, resized, normalised, not clamped.

    Args:
        picture: (h, w, 3) RGB.
        side: width and height of CLIP's input.

    Returns:
        (1, 3, side, side), float32.
    """
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255 * 2 - 1
    blurred = _blur(pixels, side)
    resized = F.interpolate(blurred, size=(side, side), mode="bicubic", align_corners=True)
    mean = torch.tensor(CLIP_MEAN).view(1, 3, 1, 1)
    deviation = torch.tensor(CLIP_STD).view(1, 3, 1, 1)
    return ((resized + 1) / 2 - mean) / deviation


def _blur(pixels: Tensor, side: int) -> Tensor:
    """Blur (1, 3, h, w) as much as the reduction to ``side`` asks for, each axis by its own."""
    for axis in (3, 2):
        sigma = max((pixels.shape[axis] / side - 1) / 2, 0.001)
        length = int(max(4 * sigma, 3)) // 2 * 2 + 1
        places = torch.arange(length, dtype=torch.float32) - length // 2
        kernel = torch.exp(-(places**2) / (2 * sigma**2))
        kernel = (kernel / kernel.sum()).view(1, 1, *((1, -1) if axis == 3 else (-1, 1)))
        margin = length // 2
        padding = (margin, margin, 0, 0) if axis == 3 else (0, 0, margin, margin)
        padded = F.pad(pixels, padding, mode="reflect")
        pixels = F.conv2d(padded, kernel.expand(3, 1, -1, -1), groups=3)
    return pixels


@torch.no_grad()
def encode_character(
    models: Models,
    picture: NDArray[np.uint8],
    size: tuple[int, int],
    image_noise: Tensor,
    *,
    noise_augmentation: float,
    time_ids: tuple[float, float, float],
) -> Condition:
    """Encode the character's picture in both ways.

    Args:
        models: the loaded networks.
        picture: (h, w, 3) RGB; CLIP sees it as it is, the autoencoder at ``size``.
        size: width and height of the frames.
        image_noise: (1, 3, height, width), of unit variance.
        noise_augmentation: deviation of the noise added to the picture, which runs from -1 to 1.
        time_ids: frames per second less one, SVD's measure of motion, and the noise augmentation
            that the networks are told.
    """
    device = models.placement.device
    with models.placement.at_work(models.image_encoder) as (encoder,):
        pixels = clip_pixels(picture, int(encoder.config.image_size))
        embedding = encoder(pixels.to(device, encoder.dtype)).image_embeds.float().cpu()
    if (picture.shape[1], picture.shape[0]) != size:
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255 * 2 - 1
    noisy = pixels + noise_augmentation * image_noise
    with models.placement.at_work(models.vae) as (vae,):
        dtype = vae.dtype
        # The encoder overflows in half precision; the decoder does not.
        upcast = dtype == torch.float16 and bool(vae.config.force_upcast)
        try:
            if upcast:
                vae.to(torch.float32)
            latents = vae.encode(noisy.to(device, vae.dtype)).latent_dist.mode().float().cpu()
        finally:
            # Also when memory ran out: what is decoded later counts on the format.
            if upcast:
                vae.to(dtype)
    return Condition(
        embedding[:, None],
        latents,
        torch.tensor([time_ids], dtype=torch.float32),
        _preview_map(latents, pixels),
    )


def _preview_map(latents: Tensor, pixels: Tensor) -> Tensor:
    """Fit RGB to latents on the character's own picture, so that any autoencoder has previews.

    Args:
        latents: (1, channels, h, w).
        pixels: (1, 3, H, W) in -1 to 1.

    Returns:
        (channels + 1, 3), for colours from 0 to 1.
    """
    small = F.adaptive_avg_pool2d(pixels, (latents.shape[-2], latents.shape[-1]))
    colours = (small[0].flatten(1).T / 2 + 0.5).double()
    columns = latents[0].flatten(1).T.double()
    columns = torch.cat([columns, torch.ones(len(columns), 1, dtype=torch.float64)], dim=1)
    # A little ridge: a picture of one colour would leave the system without a solution.
    ridge = 1e-3 * len(columns) * torch.eye(columns.shape[1], dtype=torch.float64)
    solution: Tensor = torch.linalg.solve(columns.T @ columns + ridge, columns.T @ colours)
    return solution.float()
