"""The puppet's networks: Stable Video Diffusion's classes in small widths.

Nothing here is a new architecture. What differs from SVD is configuration: two levels instead of
four, widths, latent channels, a small image encoder, a noise schedule that begins at a lower level.

What a part of the body looks like has to be fetched from where it is in the reference picture.
Attention over space does that, once attention over time has told every frame where the reference's
parts are; so there is attention wherever the control has arrived, up to the finest level. Of the
finest level's 96 channels three share a normalisation (diffusers fixes 32 groups), the fewest
that keep a colour's level; see `initial.py`.
"""

import copy
from dataclasses import dataclass

import torch
from diffusers import UNetSpatioTemporalConditionModel
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from marionext.diffusion.controlnext import ControlNeXtConfig, ControlNeXtSVD
from marionext.diffusion.injection import injected
from marionext.training.biases import remove_biases
from marionext.training.initial import keep_levels

__all__ = ["PuppetNetworks", "PuppetSizes"]

ADDED_TIME_IDS = (6.0, 128.0, 0.02)
"""Frame rate minus one, motion bucket and noise augmentation, as the reference always gives."""

CONTROL_CHANNELS_SCALE = 0.1


@dataclass(frozen=True, slots=True)
class PuppetSizes:
    """Widths of the networks."""

    latent_channels: int = 16
    unet: tuple[int, ...] = (96, 160)
    heads: tuple[int, ...] = (3, 5)
    embedding: int = 64
    """Width of the image embedding, the UNet's only context token."""
    stem: tuple[int, ...] = (16, 16, 16)
    blocks: tuple[int, ...] = (16, 96)
    clip_width: int = 96
    clip_layers: int = 2


def _unet(sizes: PuppetSizes) -> UNetSpatioTemporalConditionModel:
    return UNetSpatioTemporalConditionModel(
        in_channels=2 * sizes.latent_channels,
        out_channels=sizes.latent_channels,
        block_out_channels=sizes.unet,
        layers_per_block=1,
        cross_attention_dim=sizes.embedding,
        num_attention_heads=sizes.heads,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=32 * len(ADDED_TIME_IDS),
        num_frames=8,
        # The control arrives behind the first block.
        down_block_types=(
            "DownBlockSpatioTemporal",
            *["CrossAttnDownBlockSpatioTemporal"] * (len(sizes.unet) - 1),
        ),
        up_block_types=("CrossAttnUpBlockSpatioTemporal",) * len(sizes.unet),
    )


def _image_encoder(sizes: PuppetSizes) -> CLIPVisionModelWithProjection:
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=sizes.clip_width,
            intermediate_size=2 * sizes.clip_width,
            num_hidden_layers=sizes.clip_layers,
            num_attention_heads=4,
            image_size=224,
            patch_size=32,
            projection_dim=sizes.embedding,
        )
    )


class PuppetNetworks(nn.Module):
    """UNet, control network and image encoder, trained together."""

    def __init__(self, sizes: PuppetSizes) -> None:
        super().__init__()
        self.unet = _unet(sizes)
        self.controlnext = ControlNeXtSVD(
            ControlNeXtConfig(
                stem_widths=sizes.stem,
                stem_padding=1,
                block_widths=sizes.blocks,
                block_groups=(4, 8),
                time_width=128,
                out_channels=sizes.unet[0],
            )
        )
        self.image_encoder = _image_encoder(sizes)
        keep_levels(self.unet)
        remove_biases(self.controlnext)
        self._make_room_for_control()
        self.parts = nn.Conv2d(sizes.unet[1], sizes.latent_channels, 1)
        """Only for training: reads the parts of the body from the block before the last."""
        self.origin = nn.Conv2d(sizes.unet[-1], sizes.latent_channels, 1)
        """Likewise: reads from the middle, in every frame, where the reference has its parts."""
        self.layout = self.middle = torch.empty(0)
        self.unet.up_blocks[-2].register_forward_hook(self._keep_layout)
        self.unet.mid_block.register_forward_hook(self._keep_middle)

    def _make_room_for_control(self) -> None:
        """Begin with half of the steered channels quiet and the control map in that half.

        Cross normalisation gives the control map the deviation of all channels together, and only
        a fifth of it is added: among quiet channels it has an effect from the first step on.
        """
        quiet = self.controlnext.config.out_channels // 2
        with torch.no_grad():
            convolution: nn.Module = self.unet.down_blocks[0].downsamplers[0].conv
            for parameter in convolution.parameters():
                parameter[quiet:] *= CONTROL_CHANNELS_SCALE
            projection = self.controlnext.mid_convs[1].get_parameter("weight")
            projection[:quiet] *= CONTROL_CHANNELS_SCALE

    def _keep_layout(self, _block: nn.Module, _inputs: object, output: Tensor) -> None:
        self.layout = output

    def _keep_middle(self, _block: nn.Module, _inputs: object, output: Tensor) -> None:
        self.middle = output

    def forward(
        self,
        noisy: Tensor,
        sigmas: Tensor,
        references: Tensor,
        embeddings: Tensor,
        maps: Tensor,
        strengths: Tensor,
    ) -> Tensor:
        """Predict the clean latents (EDM preconditioning, v-prediction).

        Args:
            noisy: (clips, frames, c, h, w), scaled latents plus noise.
            sigmas: (clips,) noise levels.
            references: (clips, c, h, w), unscaled latents of the reference pictures, the same for
                each frame; or (clips, frames, c, h, w).
            embeddings: (clips, width) of the reference pictures.
            maps: (clips, frames, 3, H, W) pose maps in [0, 1].
            strengths: (clips,) of the control, 1 or 0.

        Returns:
            (clips, frames, c, h, w).
        """
        clips, frames = noisy.shape[:2]
        level = sigmas.view(-1, 1, 1, 1, 1)
        scale = (level**2 + 1).sqrt()
        if references.ndim == 4:
            references = references[:, None].expand(-1, frames, -1, -1, -1)
        times = 0.25 * sigmas.log()
        control = self.controlnext(maps, times)
        identities = noisy.new_tensor([ADDED_TIME_IDS]).expand(clips, -1)
        with injected(self.unet.down_blocks[0], control, strengths.repeat_interleave(frames)):
            prediction = self.unet(
                torch.cat([noisy / scale, references], dim=2),
                times,
                embeddings[:, None],
                added_time_ids=identities,
            ).sample
        result: Tensor = prediction.float() * (-level / scale) + noisy / scale**2
        return result

    def averaged_copy(self) -> "PuppetNetworks":
        """Return a copy that no gradient reaches, to keep a moving average in."""
        twin = copy.deepcopy(self)
        return twin.requires_grad_(False).eval()
