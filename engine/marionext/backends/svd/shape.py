"""The few numbers of a bundle that tell how much memory and work it takes.

Read from the configuration files and the headers of the weights: neither torch nor the weights are
loaded, so `marionext plan` answers at once.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marionext.bundles import layers
from marionext.errors import ModelError
from marionext.files import open_file, read_json

__all__ = ["BundleShape", "read_configuration", "read_shape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleShape:
    """What an estimate needs to know of a bundle. The defaults are SVD's."""

    unet_parameters: int = 1_524_623_082
    vae_parameters: int = 97_742_847
    encoder_parameters: int = 632_076_800
    control_parameters: int = 3_526_400
    unet_width: int = 320
    """Channels of the UNet's first level."""
    vae_width: int = 128
    """Channels of the decoder's widest full-size layer."""
    control_width: int = 128
    """Channels of the control network's stem."""
    latent_channels: int = 4
    latent_factor: int = 8
    """Pixels of the picture along one side of a latent pixel."""


def read_shape(bundle: Path) -> BundleShape:
    """Read a bundle's shape.

    Args:
        bundle: folder in diffusers' layout.

    Raises:
        ModelError: a configuration file is missing or is not what it should be.
    """
    homes = {name: _home(bundle, name) for name in ("unet", "vae", "image_encoder", "controlnext")}
    unet = read_configuration(homes["unet"] / "config.json")
    vae = read_configuration(homes["vae"] / "config.json")
    own = homes["controlnext"] / "config.json"
    control = read_configuration(own) if own.is_file() else {}
    svd = BundleShape()
    try:
        return BundleShape(
            unet_parameters=_parameters(homes["unet"]) or svd.unet_parameters,
            vae_parameters=_parameters(homes["vae"]) or svd.vae_parameters,
            encoder_parameters=_parameters(homes["image_encoder"]) or svd.encoder_parameters,
            control_parameters=_parameters(homes["controlnext"]) or svd.control_parameters,
            unet_width=int(unet["block_out_channels"][0]),
            vae_width=int(vae["block_out_channels"][0]),
            control_width=int((control.get("stem_widths") or (svd.control_width,))[-1]),
            latent_channels=int(vae["latent_channels"]),
            latent_factor=2 ** (len(vae["block_out_channels"]) - 1),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(
            f"{bundle}: the configuration of unet or vae is not that of a video model: {error!r}"
        ) from None


def _home(bundle: Path, name: str) -> Path:
    """Return a network's folder: the bundle's own, or that of a bundle which it is built on."""
    folders = [folder / name for folder in layers(bundle)]
    return next((folder for folder in folders if (folder / "config.json").is_file()), folders[0])


def read_configuration(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: the file is missing, no JSON, or no object.
    """
    try:
        data = read_json(path)
    except FileNotFoundError:
        raise ModelError(
            f"{path}: missing",
            hint="A bundle is a folder in diffusers' layout: unet/, vae/, image_encoder/, "
            "scheduler/, and the control weights. `marionext models check` tells what is missing.",
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(data, dict):
        raise ModelError(f"{path}: expected an object, got {type(data).__name__}")
    return data


def _parameters(folder: Path) -> int:
    """Count the numbers in a folder's smallest safetensors file by its header; 0 without one."""
    files = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    return _count(files[0]) if files else 0


def _count(path: Path) -> int:
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
            if length > 100_000_000:
                return 0
            header = json.loads(file.read(length))
        return sum(
            math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # A damaged file is told of where it is loaded.
        return 0
