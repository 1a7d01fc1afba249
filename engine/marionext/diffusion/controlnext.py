"""The ControlNeXt network: a few convolutions that turn a pose map into one control map.

Peng et al. 2024, "ControlNeXt: Powerful and Efficient Control for Image and Video Generation"
(arXiv:2408.06070). Where a ControlNet copies half of the UNet, this is 3.5 million parameters that
see only the pose map and the noise level. One class serves every released variant and the small
networks of our own; they differ in `ControlNeXtConfig` alone. State-dict names are those of the
authors' files, so that their weights load without renaming.
"""

from dataclasses import dataclass

import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import Downsample2D, ResnetBlock2D
from torch import Tensor, nn

from marionext.errors import ModelError

__all__ = ["ControlNeXt", "ControlNeXtConfig", "ControlNeXtSVD"]

TIME_CHANNELS = 128
"""Width of the sinusoidal code of the timestep, in every released variant."""

STEM_GROUPS = 2
MID_GROUPS = 8


@dataclass(frozen=True, slots=True)
class ControlNeXtConfig:
    """Shape of the network. The defaults are ControlNeXt-SVD v2's."""

    stem_widths: tuple[int, ...] = (64, 64, 128)
    """Channels of the stem's convolutions, the first of stride 2. Empty: no stem, the pose map
    goes into the first block as it is (the SD 1.5 variant)."""

    stem_padding: int = 0
    """Padding of the stem's convolutions after the first: 0 in the inference code that the
    released SVD weights belong to, 1 in the training code and in SDXL. The names and shapes of the
    weights do not tell which."""

    block_widths: tuple[int, ...] = (128, 256)
    """Channels of the residual blocks, each followed by a convolution of stride 2."""

    block_groups: tuple[int, ...] = (4, 8)
    """Groups of the normalisations in each residual block."""

    time_width: int = 256
    """Width of the timestep embedding."""

    out_channels: int = 320
    """Channels of the control map: those of the activations it is added to."""

    plain_middle: bool = False
    """Whether the middle convolutions are neither normalised nor added to what enters them, as in
    the SD 1.5 variant alone."""

    learned_scale: bool = False
    """Whether the weights hold a scalar ``scale`` that multiplies the map when it is added."""

    zero_convolution: bool = False
    """Whether the map is added as it is, its last convolution having begun at zero as in a
    ControlNet, instead of being cross-normalised. For comparison; no released weights are so."""

    def __post_init__(self) -> None:
        """Refuse widths that the normalisations cannot be laid over.

        Raises:
            ModelError: the fields do not fit each other.
        """
        if not self.block_widths or len(self.block_widths) != len(self.block_groups):
            raise ModelError(
                "a control network has one number of groups for each block, "
                f"got widths {self.block_widths} and groups {self.block_groups}"
            )
        inputs = (self.stem_widths[-1] if self.stem_widths else 3, *self.block_widths[:-1])
        for entering, leaving, groups in zip(
            inputs, self.block_widths, self.block_groups, strict=True
        ):
            if entering % groups or leaving % groups:
                raise ModelError(
                    f"a control block of {entering} to {leaving} channels has no {groups} groups"
                )
        if any(width % STEM_GROUPS for width in self.stem_widths):
            raise ModelError(f"the stem's widths are even, got {self.stem_widths}")
        if not self.plain_middle and self.block_widths[-1] % MID_GROUPS:
            raise ModelError(
                f"the last block's width is a multiple of {MID_GROUPS}, got {self.block_widths[-1]}"
            )


def _stem(widths: tuple[int, ...], padding: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    entering = 3
    for index, width in enumerate(widths):
        first = index == 0
        layers += [
            nn.Conv2d(
                entering, width, 3, stride=2 if first else 1, padding=1 if first else padding
            ),
            nn.GroupNorm(STEM_GROUPS, width),
            nn.ReLU(),
        ]
        entering = width
    return nn.Sequential(*layers)


def _middle(width: int, *, norm: bool) -> nn.Sequential:
    def normalisation() -> list[nn.Module]:
        return [nn.GroupNorm(MID_GROUPS, width)] if norm else []

    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        *normalisation(),
        nn.Conv2d(width, width, 3, padding=1),
        *normalisation(),
    )


class ControlNeXt(nn.Module):
    """Pose maps of single frames to control maps."""

    def __init__(self, config: ControlNeXtConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ControlNeXtConfig()
        # The sine half comes second, without the shift: diffusers' flip_sin_to_cos.
        self.time_proj = Timesteps(TIME_CHANNELS, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(TIME_CHANNELS, config.time_width)
        if config.stem_widths:
            self.embedding: nn.Module = _stem(config.stem_widths, config.stem_padding)
        else:
            self.embedding = nn.Identity()
        self.down_res = nn.ModuleList()
        self.down_sample = nn.ModuleList()
        entering = config.stem_widths[-1] if config.stem_widths else 3
        for width, groups in zip(config.block_widths, config.block_groups, strict=True):
            self.down_res.append(
                ResnetBlock2D(
                    in_channels=entering,
                    out_channels=width,
                    temb_channels=config.time_width,
                    groups=groups,
                )
            )
            self.down_sample.append(Downsample2D(width, use_conv=True, padding=1, name="op"))
            entering = width
        self.mid_convs = nn.ModuleList(
            [
                _middle(entering, norm=not config.plain_middle),
                nn.Conv2d(entering, config.out_channels, 1),
            ]
        )
        if config.learned_scale:
            self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, control: Tensor, timestep: Tensor | float) -> Tensor:
        """Turn pose maps into control maps.

        Args:
            control: (frames, 3, H, W) in [0, 1].
            timestep: the UNet's timestep (SVD: ln(sigma) / 4), one for all or (frames,).

        Returns:
            (frames, out_channels, h, w), not yet normalised; about an eighth of H and W.
        """
        times = torch.as_tensor(timestep, device=control.device).reshape(-1)
        times = times.expand(control.shape[0]) if times.numel() == 1 else times
        code = self.time_embedding(self.time_proj(times).to(control.dtype))
        features = self.embedding(control)
        for block, down in zip(self.down_res, self.down_sample, strict=True):
            features = down(block(features, code))
        middle = self.mid_convs[0](features)
        features = middle if self.config.plain_middle else features + middle
        output: Tensor = self.mid_convs[1](features)
        return output


class ControlNeXtSVD(ControlNeXt):
    """The video variant: clips in, the maps of all their frames out."""

    def forward(self, control: Tensor, timestep: Tensor | float) -> Tensor:
        """Turn clips of pose maps into control maps.

        Args:
            control: (clips, frames, 3, H, W) in [0, 1].
            timestep: ln(sigma) / 4, one for all or (clips,).

        Returns:
            (clips * frames, out_channels, h, w): the UNet flattens clips and frames as well.
        """
        times = torch.as_tensor(timestep, device=control.device).reshape(-1)
        if times.numel() > 1:
            times = times.repeat_interleave(control.shape[1])
        return super().forward(control.flatten(0, 1), times)
