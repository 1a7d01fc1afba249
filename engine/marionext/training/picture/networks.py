"""The picture model's networks: Stable Diffusion 1.5's classes in small widths.

They begin as the puppet without time. The puppet denoises frames of the same figures, told by a
pose map; its UNet has the layers of a picture UNet, with layers through time between them, and
predicts the same v. So its weights are good ones to begin with for all but the words: the
attention to them begins anew, and the code of the noise level, which for pictures is a number of
1000, is fitted to give the puppet's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from marionext.backends.svd.loading import NetworkFiles
from marionext.diffusion.controlnext import ControlNeXt, ControlNeXtConfig
from marionext.diffusion.image_variants import ImageVariant, steered
from marionext.training.biases import remove_biases
from marionext.training.tokenizer import LENGTH

__all__ = ["GAIN", "SCHEDULER", "PictureNetworks", "PictureSizes", "begin_with_puppet", "levels"]

GAIN = 0.2
"""Share of the control map that is added, as in the puppet."""

SCHEDULER: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "trailing",
}
"""Stable Diffusion's noise levels; what is predicted is v."""

_OF_TIME = ("temporal", "time_mixer", "time_pos_embed", "add_embedding")
_OF_WORDS = ("attn2.to_k", "attn2.to_v")


@dataclass(frozen=True, slots=True)
class PictureSizes:
    """Widths of the networks."""

    latent_channels: int = 16
    unet: tuple[int, ...] = (96, 160)
    heads: tuple[int, ...] = (3, 5)
    stem: tuple[int, ...] = (16, 16, 16)
    blocks: tuple[int, ...] = (16, 96)
    text_width: int = 160
    text_layers: int = 2

    @property
    def control(self) -> ControlNeXtConfig:
        """Shape of the control network: the puppet's."""
        return ControlNeXtConfig(
            stem_widths=self.stem,
            stem_padding=1,
            block_widths=self.blocks,
            block_groups=(4, 8),
            time_width=128,
            out_channels=self.unet[0],
        )


class PictureNetworks(nn.Module):
    """UNet, control network and text encoder, trained together.

    Args:
        sizes: their widths.
        vocabulary: how many tokens there are; the last one ends a text.
    """

    def __init__(self, sizes: PictureSizes, vocabulary: int) -> None:
        super().__init__()
        levels = len(sizes.unet)
        self.unet = UNet2DConditionModel(
            sample_size=(48, 32),
            in_channels=sizes.latent_channels,
            out_channels=sizes.latent_channels,
            block_out_channels=sizes.unet,
            layers_per_block=1,
            cross_attention_dim=sizes.text_width,
            # For historical reasons diffusers takes the number of heads by this name.
            attention_head_dim=sizes.heads,
            use_linear_projection=True,
            # The control arrives behind the first block.
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (levels - 1)),
            up_block_types=("CrossAttnUpBlock2D",) * levels,
        )
        self.controlnext = ControlNeXt(sizes.control)
        remove_biases(self.controlnext)
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=vocabulary,
                hidden_size=sizes.text_width,
                intermediate_size=2 * sizes.text_width,
                num_hidden_layers=sizes.text_layers,
                num_attention_heads=4,
                max_position_embeddings=LENGTH,
                projection_dim=sizes.text_width,
                bos_token_id=vocabulary - 2,
                eos_token_id=vocabulary - 1,
                pad_token_id=vocabulary - 1,
            )
        )
        # CLIP's own beginning, of deviation 0.02, drowns in constants that the first steps learn:
        # after 150 of them two captions differed by a fifteenth, and were not heard.
        nn.init.normal_(self.text_encoder.get_input_embeddings().weight)
        self.variant = ImageVariant(sizes.control, place="after_first_block", pool_first=True)

    def forward(
        self, noisy: Tensor, times: Tensor, tokens: Tensor, maps: Tensor, strengths: Tensor
    ) -> Tensor:
        """Predict v.

        Args:
            noisy: (n, c, h, w), scaled latents and noise, of unit variance together.
            times: (n,) timesteps, 0 to 999.
            tokens: (n, length) of the captions.
            maps: (n, 3, H, W) pose maps in [0, 1].
            strengths: (n,) of the control, 1 or 0.

        Returns:
            (n, c, h, w).
        """
        words = self.text_encoder(tokens).last_hidden_state
        control = self.controlnext(maps, times)
        with steered(self.unet, self.variant, control, GAIN * strengths.view(-1, 1, 1, 1)):
            prediction: Tensor = self.unet(noisy, times, words).sample
        return prediction.float()


def levels() -> Tensor:
    """Return what is left of a picture at each timestep: (1000,), products of alphas."""
    values: Tensor = DDIMScheduler.from_config(SCHEDULER).alphas_cumprod
    return values


@torch.no_grad()
def begin_with_puppet(networks: PictureNetworks, bundle: Path) -> None:
    """Take over the weights of the puppet, in place.

    Args:
        networks: just made, of the puppet's widths.
        bundle: the puppet's folder.

    Raises:
        ModelError: it cannot be read.
    """
    files = NetworkFiles(bundle, torch.float32)
    video, control = files.unet(), files.controlnext()
    shares = levels()
    times = 0.25 * ((1 - shares) / shares).sqrt().log()
    # The puppet is always told the same three numbers.
    told = video.add_embedding(
        video.add_time_proj(torch.tensor([6.0, 128.0, 0.02])).flatten()[None]
    )
    _fit_times(networks.unet, video, times, told)
    _fit_times(networks.controlnext, control, times, torch.zeros(1))
    channels = networks.unet.config.in_channels
    values = {
        name.replace(".spatial_res_block", ""): value
        for name, value in video.state_dict().items()
        if not any(part in name for part in _OF_TIME)
    }
    values["conv_in.weight"] = values["conv_in.weight"][:, :channels]
    _take(networks.unet, values, new=("time_embedding", *_OF_WORDS))
    _take(networks.controlnext, control.state_dict(), new=("time_embedding",))


def _take(network: nn.Module, values: Mapping[str, Tensor], new: tuple[str, ...]) -> None:
    """Load values; what has a part of ``new`` in its name stays as it is."""
    own = network.state_dict()
    taken = {name: value for name, value in values.items() if not any(part in name for part in new)}
    network.load_state_dict({**own, **taken})


def _fit_times(new: Any, old: Any, times: Tensor, also: Tensor) -> None:
    """Let a network's code of timesteps 0 to 999 be another's of its own times.

    The first layer stays random; the second is linear in what it gives, and solved for.

    Args:
        new: has ``time_proj`` and ``time_embedding``, as has ``old``.
        old: whose code is wanted.
        times: (1000,) that the old network is told at each timestep.
        also: what is added to the old code.
    """
    wanted = old.time_embedding(old.time_proj(times)) + also
    embedding = new.time_embedding
    hidden = embedding.act(embedding.linear_1(new.time_proj(torch.arange(float(len(times))))))
    inputs = torch.cat([hidden, torch.ones(len(hidden), 1)], dim=1).double()
    ridge = 1e-4 * torch.eye(inputs.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ wanted.double())
    embedding.linear_2.weight.copy_(solution[:-1].T)
    embedding.linear_2.bias.copy_(solution[-1])
