"""A bundle's folder becomes networks ready to render: one way for every bundle.

The layout is diffusers' own: ``unet``, ``vae``, ``image_encoder`` and ``scheduler``, each with its
configuration and weights. The control weights are ours (``controlnext/config.json`` and
``controlnext.safetensors``) or the authors' loose files (``controlnet.bin`` or ``.safetensors``,
and ``unet.bin`` or ``.safetensors`` in place of the UNet's own weights).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from marionext.codec import decode
from marionext.diffusion.bundle_shape import BundleShape, read_configuration
from marionext.diffusion.controlnext import ControlNeXtConfig, ControlNeXtSVD
from marionext.diffusion.lossless import make_lossless, use_channels_last
from marionext.diffusion.memory import Placement, choose_device, choose_dtype
from marionext.diffusion.schedule import make_schedule
from marionext.diffusion.weights import as_safetensors, fill, find_weights
from marionext.errors import ModelError, SettingsError

__all__ = ["Models", "load_models"]

DIFFUSERS = "diffusion_pytorch_model"
"""Stem of the weight files that diffusers writes."""


@dataclass(frozen=True, slots=True)
class Models:
    """The loaded networks of a bundle, ready for inference."""

    unet: Any
    """`UNetSpatioTemporalConditionModel`."""
    vae: Any
    """`AutoencoderKLTemporalDecoder`."""
    image_encoder: Any
    """`CLIPVisionModelWithProjection`."""
    controlnext: ControlNeXtSVD
    scheduler: dict[str, Any]
    """Configuration of an `EulerDiscreteScheduler`."""
    placement: Placement

    @property
    def latent_channels(self) -> int:
        """Channels of the latents."""
        return int(self.vae.config.latent_channels)

    @property
    def latent_factor(self) -> int:
        """Pixels along one side of a latent pixel."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def shape(self) -> BundleShape:
        """What estimates need to know."""
        return BundleShape(
            unet_parameters=_size(self.unet),
            vae_parameters=_size(self.vae),
            encoder_parameters=_size(self.image_encoder),
            control_parameters=_size(self.controlnext),
            unet_width=int(self.unet.config.block_out_channels[0]),
            vae_width=int(self.vae.config.block_out_channels[0]),
            control_width=max(self.controlnext.config.stem_widths, default=3),
            latent_channels=self.latent_channels,
            latent_factor=self.latent_factor,
        )

    def __post_init__(self) -> None:
        """Prepare the networks, and refuse ones that do not fit each other.

        Raises:
            ModelError: two networks disagree about a width they share.
        """
        unet, channels = self.unet.config, self.latent_channels
        facts = (
            ("the UNet takes", unet.in_channels, "noisy and image latents together", 2 * channels),
            ("the UNet returns", unet.out_channels, "the autoencoder's latents", channels),
            (
                "the control map has",
                self.controlnext.config.out_channels,
                "the UNet's first level",
                unet.block_out_channels[0],
            ),
            (
                "the image embedding has",
                self.image_encoder.config.projection_dim,
                "the UNet's context",
                unet.cross_attention_dim,
            ),
        )
        for subject, found, measure, expected in facts:
            if found != expected:
                raise ModelError(
                    f"the bundle's networks do not fit each other: {subject} {found} channels, "
                    f"{measure} {expected}"
                )
        make_schedule(self.scheduler, 1)
        for network in (self.unet, self.vae, self.image_encoder, self.controlnext):
            network.requires_grad_(False).eval()
        channels_last = self.placement.device.type == "cuda"
        for network in (self.unet, self.vae):
            make_lossless(network, channels_last=channels_last)
        if channels_last:
            use_channels_last(self.controlnext)


def load_models(
    bundle: Path,
    *,
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto",
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto",
    converted: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Models:
    """Load a bundle's networks into the host's memory; they move to the device when they work.

    Args:
        bundle: the folder.
        device: where they will work; ``auto``: CUDA, else MPS, else the processor.
        dtype: number format; ``auto``: half precision on a GPU.
        converted: folder for converted weights when the bundle's own cannot be written.
        say: takes sentences for the user, such as that memory is short.

    Raises:
        ModelError: a file is missing, damaged, or belongs to another model.
        DeviceError: the device is not there.
    """
    place = choose_device(device)
    number = choose_dtype(place, dtype)
    half = number != torch.float32

    def loaded(network: nn.Module, path: Path) -> Any:
        expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        fill(network, as_safetensors(path, expected, spare=converted), number)
        _compute_buffers(network)
        return network

    def made(name: str, kind: Callable[[dict[str, Any]], nn.Module]) -> nn.Module:
        path = bundle / name / "config.json"
        configuration = read_configuration(path)
        try:
            with torch.device("meta"):
                return kind(configuration)
        except (TypeError, ValueError, KeyError, RuntimeError, AttributeError) as error:
            raise ModelError(f"{path}: describes no such network: {error}") from None

    unet = made("unet", UNetSpatioTemporalConditionModel.from_config)
    vae = made("vae", AutoencoderKLTemporalDecoder.from_config)
    encoder = made("image_encoder", _image_encoder)
    with torch.device("meta"):
        control = ControlNeXtSVD(_control_configuration(bundle))
    return Models(
        unet=loaded(unet, _unet_weights(bundle, half=half)),
        vae=loaded(vae, find_weights(bundle / "vae", [DIFFUSERS], half=half)),
        image_encoder=loaded(encoder, find_weights(bundle / "image_encoder", ["model"], half=half)),
        controlnext=loaded(control, _control_weights(bundle, half=half)),
        scheduler=read_configuration(bundle / "scheduler" / "scheduler_config.json"),
        placement=Placement(place, number, say=say),
    )


def _image_encoder(configuration: dict[str, Any]) -> nn.Module:
    network: nn.Module = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(configuration))
    return network


def _control_configuration(bundle: Path) -> ControlNeXtConfig:
    path = bundle / "controlnext" / "config.json"
    if not path.is_file():
        return ControlNeXtConfig()
    try:
        return decode(ControlNeXtConfig, read_configuration(path))
    except SettingsError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from None


def _control_weights(bundle: Path, *, half: bool) -> Path:
    own = bundle / "controlnext"
    if any(own.glob("*.safetensors")):
        return find_weights(own, ["controlnext", DIFFUSERS], half=half)
    return find_weights(bundle, ["controlnext", "controlnet"], half=half)


def _unet_weights(bundle: Path, *, half: bool) -> Path:
    """Return the authors' continued UNet where it lies in the bundle, else the bundle's own."""
    if any(bundle.glob("unet.*")):
        return find_weights(bundle, ["unet"], half=half)
    return find_weights(bundle / "unet", [DIFFUSERS], half=half)


def _compute_buffers(network: nn.Module) -> None:
    """Give values to buffers that no file holds: CLIP's position numbers."""
    for module in network.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                positions = torch.arange(buffer.numel()).reshape(buffer.shape)
                module.register_buffer(name, positions, persistent=False)


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
