"""Write the trained networks as a folder that stock diffusers opens, in half precision.

It is a ``StableDiffusionPipeline`` like any other, with the control network beside it in
``controlnext``: ``control.json`` there says where its map is added.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import save
from torch import nn

from marionext.codec import encode
from marionext.files import write_bytes, write_text
from marionext.training.picture.captions import WORDS
from marionext.training.picture.networks import GAIN, SCHEDULER, PictureNetworks
from marionext.training.picture.tokenizer import make_tokenizer

__all__ = ["CONTROL", "export_pipeline"]

CONTROL = {
    "variant": "sd15_training",
    "kinds": ["pose"],
    "palette": "controlnext",
    "strength": GAIN,
}
"""The map is added where the training code of ControlNeXt for SD 1.5 adds it."""


def export_pipeline(
    folder: Path, vae: AutoencoderKL, networks: PictureNetworks, record: Mapping[str, object]
) -> None:
    """Write configurations, weights, tokenizer and the training record.

    Args:
        folder: files in it are replaced.
        vae: the autoencoder.
        networks: the averaged networks; like the autoencoder they are in half precision after this.
        record: how they were made, for ``training.json``.

    Raises:
        OutputError: a file cannot be written.
    """
    for part in (vae, networks):
        nn.Module.to(part, torch.float16)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=networks.text_encoder,
        tokenizer=make_tokenizer(WORDS),
        unet=networks.unet,
        scheduler=DDIMScheduler.from_config(SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with tempfile.TemporaryDirectory() as made:
        pipeline.save_pretrained(made, variant="fp16")
        for path in sorted(Path(made).rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                if path.suffix == ".json":
                    content = _plain(content)
                write_bytes(folder / path.relative_to(made), content)
    control = networks.controlnext
    weights = {name: value.contiguous() for name, value in control.state_dict().items()}
    write_bytes(folder / "controlnext" / "controlnext.safetensors", save(weights, {"format": "pt"}))
    _write(folder / "controlnext" / "config.json", encode(control.config))
    _write(folder / "controlnext" / "control.json", CONTROL)
    _write(folder / "training.json", record)


def _plain(content: bytes) -> bytes:
    """Drop what names a place on the machine of the training."""
    data: Any = json.loads(content)
    if isinstance(data, dict):
        for name in ("_name_or_path", "name_or_path"):
            data.pop(name, None)
    return (json.dumps(data, indent=2) + "\n").encode()


def _write(path: Path, content: object) -> None:
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
