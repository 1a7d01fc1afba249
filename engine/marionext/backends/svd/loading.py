"""A bundle's folder becomes networks ready to render: one way for every bundle.

The layout is diffusers' own: ``unet``, ``vae``, ``image_encoder`` and ``scheduler``, each with its
configuration and weights. The control weights are ours (``controlnext/config.json`` and
``controlnext.safetensors``) or the authors' loose files (``controlnet.bin`` or ``.safetensors``,
and ``unet.bin`` or ``.safetensors`` in place of the UNet's own weights).

A bundle may be built on another (`marionext.bundles.layers`): what it does not hold itself is the
base's, and ``unet/increments.safetensors`` is added to the base's UNet.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from marionext.backends.svd.budget import estimate, what_would_fit
from marionext.backends.svd.shape import BundleShape, read_configuration
from marionext.bundles import INCREMENTS, known_file, layers
from marionext.codec import decode
from marionext.diffusion.controlnext import ControlNeXtConfig, ControlNeXtSVD
from marionext.diffusion.lossless import make_lossless, use_channels_last
from marionext.diffusion.memory import Placement, choose_device, choose_dtype
from marionext.diffusion.schedule import make_schedule
from marionext.diffusion.weights import as_safetensors, fill, find_weights
from marionext.errors import ModelError, SettingsError
from marionext.settings import SvdSettings

__all__ = ["Models", "NetworkFiles", "load_models"]

Outcome = TypeVar("Outcome")

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

    def settle(self, settings: SvdSettings, frames: int) -> None:
        """Choose the rung of the memory ladder that a render fits on."""
        figures = estimate(self.shape, settings, frames, number_bytes=self.placement.number_bytes)
        self.placement.settle(figures.device_bytes)

    def surviving(self, work: Callable[[], Outcome], settings: SvdSettings) -> Outcome:
        """Do a piece of work, again on a lower rung as often as memory runs out.

        Raises:
            DeviceError: memory ran out on the last rung, or the device itself failed.
        """

        def advice(free: int) -> str | None:
            number_bytes = self.placement.number_bytes
            return what_would_fit(self.shape, settings, free, number_bytes=number_bytes)

        return self.placement.surviving(work, advice)

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
    files = NetworkFiles(bundle, number, converted)
    return Models(
        unet=files.unet(),
        vae=files.vae(),
        image_encoder=files.image_encoder(),
        controlnext=files.controlnext(),
        scheduler=files.scheduler(),
        placement=Placement(place, number, say=say),
    )


class NetworkFiles:
    """A bundle's networks, each loaded when it is asked for, as diffusers made it.

    Args:
        bundle: the folder.
        dtype: format that weights take on.
        converted: folder for converted weights when the bundle's own cannot be written.
    """

    def __init__(self, bundle: Path, dtype: torch.dtype, converted: Path | None = None) -> None:
        """Find the folders that the bundle is built on; nothing is loaded yet."""
        self._layers = layers(bundle)
        self._dtype = dtype
        self._half = dtype != torch.float32
        self._converted = converted

    def unet(self) -> Any:
        """Load the `UNetSpatioTemporalConditionModel`.

        Raises:
            ModelError: a file is missing, damaged, or belongs to another model; as all of these.
        """
        network = self._made("unet", UNetSpatioTemporalConditionModel.from_config)
        paths = [folder / INCREMENTS for folder in reversed(self._layers)]
        increments = [path for path in paths if path.is_file()]
        return self._filled(network, self._weights(_unet_weights), increments)

    def vae(self) -> Any:
        """Load the `AutoencoderKLTemporalDecoder`."""
        network = self._made("vae", AutoencoderKLTemporalDecoder.from_config)

        def find(folder: Path, half: bool) -> Path:
            return find_weights(folder / "vae", [DIFFUSERS], half=half)

        return self._filled(network, self._weights(find))

    def image_encoder(self) -> Any:
        """Load the `CLIPVisionModelWithProjection`."""
        network = self._made("image_encoder", _image_encoder)

        def find(folder: Path, half: bool) -> Path:
            return find_weights(folder / "image_encoder", ["model"], half=half)

        return self._filled(network, self._weights(find))

    def controlnext(self) -> ControlNeXtSVD:
        """Load the control network."""
        with torch.device("meta"):
            network = ControlNeXtSVD(self.control_configuration())
        weights = self._weights(_control_weights)
        known = known_file(weights)
        if known is not None and known.architecture != "svd":
            # Names and shapes are those of the video's network: it would load, and steer nothing.
            raise ModelError(
                f"{weights}: expected the control network of a video model, its hash says that it "
                f"is {known}",
                hint="Put the file for Stable Video Diffusion there.",
            )
        filled: ControlNeXtSVD = self._filled(network, weights)
        return filled

    def scheduler(self) -> dict[str, Any]:
        """Read the configuration of the `EulerDiscreteScheduler`."""
        return read_configuration(self._configuration("scheduler/scheduler_config.json"))

    def configuration(self, name: str) -> dict[str, Any]:
        """Read the configuration of ``unet``, ``vae`` or ``image_encoder``."""
        return read_configuration(self._configuration(f"{name}/config.json"))

    def control_configuration(self) -> ControlNeXtConfig:
        """Read the control network's shape; ControlNeXt-SVD v2's where there is no file of it."""
        path = self._configuration("controlnext/config.json")
        if not path.is_file():
            return ControlNeXtConfig()
        try:
            return decode(ControlNeXtConfig, read_configuration(path))
        except SettingsError as error:
            raise ModelError(f"{path}: {error.message}", hint=error.hint) from None

    def _configuration(self, name: str) -> Path:
        """Return the topmost file of a name, or where it would lie in the bundle itself."""
        places = [folder / name for folder in self._layers]
        return next((place for place in places if place.is_file()), places[-1])

    def _weights(self, find: Callable[[Path, bool], Path]) -> Path:
        """Return the topmost weights that a search finds."""
        for folder in self._layers[:-1]:
            with suppress(ModelError):
                return find(folder, self._half)
        return find(self._layers[-1], self._half)

    def _made(self, name: str, kind: Callable[[dict[str, Any]], nn.Module]) -> nn.Module:
        path = self._configuration(f"{name}/config.json")
        configuration = read_configuration(path)
        try:
            with torch.device("meta"):
                return kind(configuration)
        except (TypeError, ValueError, KeyError, RuntimeError, AttributeError) as error:
            raise ModelError(f"{path}: describes no such network: {error}") from None

    def _filled(self, network: nn.Module, path: Path, increments: Sequence[Path] = ()) -> Any:
        expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        weights = as_safetensors(path, expected, spare=self._converted)
        fill(network, weights, self._dtype, increments)
        _compute_buffers(network)
        return network


def _image_encoder(configuration: dict[str, Any]) -> nn.Module:
    network: nn.Module = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(configuration))
    return network


def _control_weights(bundle: Path, half: bool) -> Path:
    own = bundle / "controlnext"
    if any(own.glob("*.safetensors")):
        return find_weights(own, ["controlnext", DIFFUSERS], half=half)
    return find_weights(bundle, ["controlnext", "controlnet"], half=half)


def _unet_weights(bundle: Path, half: bool) -> Path:
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
