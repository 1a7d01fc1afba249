"""Write trained networks as a bundle's folder, in half precision; begin again from such a folder.

The layout is that of Stable Video Diffusion in diffusers, with the control network beside it, so
that one code path loads the puppet and SVD.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import AutoencoderKLTemporalDecoder
from safetensors.torch import save
from torch import nn

from marionext.backends.svd.loading import NetworkFiles
from marionext.bundles import record_files
from marionext.codec import encode
from marionext.files import write_bytes, write_text
from marionext.training.checkpoints import save_checkpoint
from marionext.training.initial import read_components
from marionext.training.puppet.networks import PuppetNetworks
from marionext.training.puppet.vae import keep_components
from marionext.training.puppet.video import FINISHED, SCHEDULER

__all__ = ["begin_with_bundle", "export_bundle"]


def begin_with_bundle(bundle: Path, folder: Path) -> None:
    """Let the training in a folder begin with the networks of a finished bundle.

    Raises:
        ModelError: the bundle cannot be read.
        OutputError: the folder cannot be written.
    """
    files = NetworkFiles(bundle, torch.float32)
    folder.mkdir(parents=True, exist_ok=True)
    keep_components(folder, read_components(files.vae()))
    networks = {
        "unet": files.unet(),
        "controlnext": files.controlnext(),
        "image_encoder": files.image_encoder(),
    }
    weights = {
        f"{part}.{name}": value
        for part, network in networks.items()
        for name, value in network.state_dict().items()
    }
    save_checkpoint(folder / FINISHED, weights)


def export_bundle(
    folder: Path,
    vae: AutoencoderKLTemporalDecoder,
    networks: PuppetNetworks,
    record: Mapping[str, object],
) -> None:
    """Write configurations, weights and the training record.

    Args:
        folder: the bundle's folder; files in it are replaced.
        vae: the autoencoder, its scaling factor set.
        networks: the averaged networks.
        record: how they were made, for ``training.json``.
    """
    _write(folder / "unet" / "config.json", _plain(networks.unet.config))
    _save(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors", networks.unet)
    _write(folder / "vae" / "config.json", _plain(vae.config))
    _save(folder / "vae" / "diffusion_pytorch_model.fp16.safetensors", vae)
    encoder = networks.image_encoder
    _write(folder / "image_encoder" / "config.json", encoder.config.to_diff_dict())
    _save(folder / "image_encoder" / "model.fp16.safetensors", encoder)
    control = networks.controlnext
    _write(folder / "controlnext" / "config.json", encode(control.config))
    _save(folder / "controlnext" / "controlnext.safetensors", control)
    _write(folder / "scheduler" / "scheduler_config.json", SCHEDULER)
    _write(folder / "training.json", record)
    record_files(folder, "puppet", "python -m marionext.training")


def _plain(config: Mapping[str, object]) -> dict[str, object]:
    """Drop what names a path on the machine of the training."""
    kept = {name: value for name, value in config.items() if name != "_name_or_path"}
    kept.pop("_use_default_values", None)
    return kept


def _write(path: Path, content: Mapping[str, object]) -> None:
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def _save(path: Path, network: nn.Module) -> None:
    tensors = {
        name: value.to(torch.float16).contiguous() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
        if not name.endswith("position_ids")
    }
    write_bytes(path, save(tensors, {"format": "pt"}))
