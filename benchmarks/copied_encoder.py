"""A ControlNet for a spatio-temporal UNet, to compare with: a trainable copy of its whole encoder.

Zhang et al. 2023, "Adding Conditional Control to Text-to-Image Diffusion Models",
arXiv:2302.05543: the copy sees what the UNet sees plus the encoded control picture, and each of
its outputs passes a zero convolution on its way to the UNet's skip connections and middle.
"""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["CopiedEncoder", "with_residuals"]

WIDTHS = (16, 32, 96, 256)
"""Of the small network that brings control pictures to the size of latents, in every ControlNet."""


def zero_convolution(channels: int) -> nn.Conv2d:
    """Return a 1x1 convolution that begins at 0."""
    convolution = nn.Conv2d(channels, channels, 1)
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
    return convolution


def conditioning(width: int) -> nn.Sequential:
    """Return the network that brings control pictures, eight times larger, to latents' size."""
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTHS[0], 3, padding=1), nn.SiLU()]
    for entering, leaving in pairwise(WIDTHS):
        layers += [nn.Conv2d(entering, entering, 3, padding=1), nn.SiLU()]
        layers += [nn.Conv2d(entering, leaving, 3, padding=1, stride=2), nn.SiLU()]
    last = nn.Conv2d(WIDTHS[-1], width, 3, padding=1)
    nn.init.zeros_(last.weight)
    return nn.Sequential(*layers, last)


class CopiedEncoder(nn.Module):
    """Conv_in, embeddings, down blocks and middle of a UNet, copied, with zero convolutions."""

    def __init__(self, unet: Any) -> None:
        """Copy what is needed of a `UNetSpatioTemporalConditionModel`."""
        super().__init__()
        parts = ("time_proj", "time_embedding", "add_time_proj", "add_embedding")
        for name in (*parts, "conv_in", "down_blocks", "mid_block"):
            setattr(self, name, copy.deepcopy(getattr(unet, name)))
        widths = list(unet.config.block_out_channels)
        self.conditioning = conditioning(widths[0])
        skips = [widths[0]]
        for block, width in zip(self.down_blocks, widths, strict=True):
            skips += [width] * (len(block.resnets) + len(block.downsamplers or ()))
        self.zeros = nn.ModuleList([zero_convolution(width) for width in skips])
        self.zero_middle = zero_convolution(widths[-1])

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        added_time_ids: Tensor,
        maps: Tensor,
    ) -> tuple[list[Tensor], Tensor]:
        """Return what is added to the UNet's skip connections, in order, and to its middle.

        Args:
            latents: (clips, frames, channels, h, w), as the UNet gets it.
            timestep: (clips,).
            encoder_hidden_states: (clips, 1, channels).
            added_time_ids: (clips, 3).
            maps: (clips, frames, 3, H, W) in [0, 1].
        """
        clips, frames = latents.shape[:2]
        code = self.time_embedding(self.time_proj(timestep.expand(clips)).to(latents.dtype))
        added = self.add_time_proj(added_time_ids.flatten()).reshape(clips, -1)
        code = code + self.add_embedding(added.to(latents.dtype))
        code = code.repeat_interleave(frames, dim=0)
        context = encoder_hidden_states.repeat_interleave(frames, dim=0)
        features = self.conv_in(latents.flatten(0, 1)) + self.conditioning(maps.flatten(0, 1))
        indicator = torch.zeros(clips, frames, dtype=latents.dtype, device=latents.device)
        skips: tuple[Tensor, ...] = (features,)
        for block in self.down_blocks:
            more = {"encoder_hidden_states": context} if hasattr(block, "attentions") else {}
            features, outputs = block(
                hidden_states=features, temb=code, image_only_indicator=indicator, **more
            )
            skips += outputs
        features = self.mid_block(
            hidden_states=features,
            temb=code,
            encoder_hidden_states=context,
            image_only_indicator=indicator,
        )
        residuals = [zero(skip) for zero, skip in zip(self.zeros, skips, strict=True)]
        return residuals, self.zero_middle(features)


@contextmanager
def with_residuals(unet: Any, skips: list[Tensor], middle: Tensor) -> Iterator[None]:
    """While the context is open, add residuals to a UNet's skip connections and its middle."""
    left = list(skips)

    def add_to_skips(
        _block: nn.Module, _inputs: tuple[object, ...], options: dict[str, Any]
    ) -> tuple[tuple[object, ...], dict[str, Any]]:
        taken = options["res_hidden_states_tuple"]
        mine, left[len(left) - len(taken) :] = left[len(left) - len(taken) :], []
        joined = tuple(skip + more for skip, more in zip(taken, mine, strict=True))
        return (), {**options, "res_hidden_states_tuple": joined}

    with ExitStack() as stack:
        handle = unet.mid_block.register_forward_hook(lambda _m, _i, output: output + middle)
        stack.callback(handle.remove)
        for block in unet.up_blocks:
            handle = block.register_forward_pre_hook(add_to_skips, with_kwargs=True)
            stack.callback(handle.remove)
        yield
