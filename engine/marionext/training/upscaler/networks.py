"""The upscaler's networks: an SD 3 pipeline small enough to ship, and its control network.

The autoencoder keeps pixels as they are: of a picture that is to come out sharper, nothing may be
lost on the way in. Nothing of it is learnt. Its one level is two convolutions around residual
branches that are silent, and what it passes through its normalisation are pairs of u and -u beside
large constants: silu(u) - silu(-u) is u again, and the constants fix the deviation. A fourth latent
is empty: diffusers takes what has as many channels as latents for latents.

The text encoders are random and say the same always: there is nothing to say.
"""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from marionext.diffusion.controlnext import ControlNeXt, ControlNeXtConfig
from marionext.diffusion.image_variants import ImageVariant, steered
from marionext.training.biases import remove_biases
from marionext.training.tokenizer import make_tokenizer

__all__ = [
    "BLOCK",
    "LATENTS",
    "NOISE",
    "SCALE",
    "WORDS",
    "UpscalerNetworks",
    "UpscalerSizes",
    "make_pipeline",
    "pixel_keeper",
]

NOISE = 0.01
"""Noise at which the last step of the flow begins, where a picture has deviation 1."""

BLOCK = 0
"""After which block of the transformer the control map is added."""

SCALE = 2.0
"""Brings pictures in [-1, 1] to about unit variance."""

LATENTS = 4
"""Channels of latents: three colours, and one that is empty."""

WORDS = 4
"""Tokens that each text encoder says: of nothing there is little to say, and 256 of them would
take as long as the picture."""

_CONSTANT = 32.0


@dataclass(frozen=True, slots=True)
class UpscalerSizes:
    """Widths of the networks."""

    width: int = 96
    heads: int = 3
    layers: int = 4
    patch: int = 4
    """Side of what is one token, in pixels."""
    stem: tuple[int, ...] = (64, 64, 96)
    blocks: tuple[int, ...] = (128,)
    tile: int = 96
    """Side of the pictures that it is trained for, in pixels."""

    @property
    def control(self) -> ControlNeXtConfig:
        """Shape of the control network.

        Behind its first convolution there are as many places as the small picture has pixels,
        behind its only block as many as there are tokens.
        """
        return ControlNeXtConfig(
            stem_widths=self.stem,
            stem_padding=1,
            block_widths=self.blocks,
            block_groups=(4,) * len(self.blocks),
            time_width=64,
            out_channels=self.width,
        )


@torch.no_grad()
def pixel_keeper() -> AutoencoderKL:
    """Make an autoencoder whose latents are the pixels, to a ten-thousandth."""
    keeper = AutoencoderKL(
        block_out_channels=(12,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=3,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=SCALE,
        shift_factor=0.0,
        force_upcast=False,
    )
    for name, module in keeper.named_modules():
        if isinstance(module, nn.Conv2d) and name.endswith(("conv1", "conv2")):
            for value in module.parameters():
                nn.init.zeros_(value)
    constants = torch.tensor([0.0, 0.0, _CONSTANT, -_CONSTANT]).repeat(3)
    for part in (keeper.encoder, keeper.decoder):
        for convolution in (part.conv_in, part.conv_out):
            nn.init.zeros_(convolution.weight)
            nn.init.zeros_(convolution.bias)
        part.conv_in.bias.copy_(constants)
        deviation = _CONSTANT / 2**0.5
        for colour in range(3):
            for place, sign in ((4 * colour, 1.0), (4 * colour + 1, -1.0)):
                part.conv_in.weight[place, colour, 1, 1] = sign
                part.conv_out.weight[colour, place, 1, 1] = sign * deviation
    # No deviation: a picture is what it is.
    keeper.encoder.conv_out.bias[LATENTS:] = -30.0
    return keeper.requires_grad_(requires_grad=False).eval()


def _text_encoder(seed: int) -> CLIPTextModelWithProjection:
    words = len(make_tokenizer(()))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return (
            CLIPTextModelWithProjection(
                CLIPTextConfig(
                    vocab_size=words,
                    hidden_size=16,
                    intermediate_size=16,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    max_position_embeddings=WORDS,
                    projection_dim=16,
                    bos_token_id=words - 2,
                    eos_token_id=words - 1,
                    pad_token_id=words - 1,
                )
            )
            .requires_grad_(requires_grad=False)
            .eval()
        )


def make_pipeline(transformer: SD3Transformer2DModel) -> StableDiffusion3Pipeline:
    """Make the stock pipeline around a transformer."""
    tokenizer = make_tokenizer(())
    tokenizer.model_max_length = WORDS
    return StableDiffusion3Pipeline(
        transformer=transformer,
        vae=pixel_keeper(),
        text_encoder=_text_encoder(1),
        text_encoder_2=_text_encoder(2),
        text_encoder_3=None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=None,
        scheduler=FlowMatchEulerDiscreteScheduler(shift_terminal=NOISE),
    )


class UpscalerNetworks(nn.Module):
    """The transformer and its control network, trained together.

    Args:
        sizes: their widths.
    """

    def __init__(self, sizes: UpscalerSizes) -> None:
        super().__init__()
        self.transformer = SD3Transformer2DModel(
            sample_size=sizes.tile,
            patch_size=sizes.patch,
            in_channels=LATENTS,
            out_channels=LATENTS,
            num_layers=sizes.layers,
            attention_head_dim=sizes.width // sizes.heads,
            num_attention_heads=sizes.heads,
            joint_attention_dim=32,
            caption_projection_dim=sizes.width,
            pooled_projection_dim=32,
            pos_embed_max_size=sizes.tile // sizes.patch,
            qk_norm="rms_norm",
        )
        self.controlnext = ControlNeXt(sizes.control)
        remove_biases(self.controlnext)
        self.variant = ImageVariant(
            sizes.control, place="after_block", pool_first=False, block=BLOCK
        )
        _begin(self.transformer)
        with torch.no_grad():
            words, _, said, _ = make_pipeline(self.transformer).encode_prompt(
                "",
                "",
                "",
                do_classifier_free_guidance=False,
                device="cpu",
                max_sequence_length=WORDS,
            )
        self.register_buffer("words", words, persistent=False)
        self.register_buffer("said", said, persistent=False)

    def forward(self, noisy: Tensor, times: Tensor, controls: Tensor) -> Tensor:
        """Predict the flow, noise less picture.

        Args:
            noisy: (n, 4, h, w), latents of about unit variance with noise.
            times: (n,) of the flow, 0 to 1000.
            controls: (n, 3, h, w) enlarged pictures in [0, 1].

        Returns:
            (n, 4, h, w).
        """
        count = len(noisy)
        words: Any = self.words
        said: Any = self.said
        control = self.controlnext(controls, times)
        with steered(self.transformer, self.variant, control):
            prediction: Tensor = self.transformer(
                hidden_states=noisy,
                encoder_hidden_states=words.expand(count, -1, -1),
                pooled_projections=said.expand(count, -1),
                timestep=times,
                return_dict=False,
            )[0]
        return prediction.float()


@torch.no_grad()
def _begin(transformer: SD3Transformer2DModel) -> None:
    """Let every block begin as a plain one: what depends on time and words comes with learning."""
    for block in transformer.transformer_blocks:
        for norm in (block.norm1, block.norm1_context):
            nn.init.zeros_(norm.linear.weight)
            nn.init.zeros_(norm.linear.bias)
            if norm.linear.out_features == 6 * transformer.inner_dim:
                parts = norm.linear.bias.view(6, -1)
                parts[2], parts[5] = 1.0, 1.0  # the gates of attention and of the layers behind it
        depth = (2 * len(transformer.transformer_blocks)) ** -0.5
        block.attn.to_out[0].weight.mul_(depth)
        block.ff.net[2].weight.mul_(depth)
    nn.init.zeros_(transformer.norm_out.linear.weight)
    nn.init.zeros_(transformer.norm_out.linear.bias)
    nn.init.zeros_(transformer.proj_out.weight)
    nn.init.zeros_(transformer.proj_out.bias)
