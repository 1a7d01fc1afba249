"""Write trained networks as a folder that stock diffusers opens, and what belongs beside them."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from marionext.bundles import record_files
from marionext.codec import encode
from marionext.diffusion.controlnext import ControlNeXt
from marionext.files import write_bytes, write_text

__all__ = ["write_control", "write_pipeline", "write_record"]


def write_pipeline(folder: Path, pipeline: Any) -> None:
    """Write a pipeline's configurations, weights and tokenizers, in half precision.

    Args:
        folder: files in it are replaced.
        pipeline: of diffusers; its networks are in half precision after this.

    Raises:
        OutputError: a file cannot be written.
    """
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            torch.nn.Module.to(part, torch.float16)
    with tempfile.TemporaryDirectory() as made:
        pipeline.save_pretrained(made, variant="fp16")
        for path in sorted(Path(made).rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                if path.suffix == ".json":
                    content = _plain(content)
                write_bytes(folder / path.relative_to(made), content)


def write_control(folder: Path, control: ControlNeXt, settings: Mapping[str, object]) -> None:
    """Write a pipeline's own control network beside it, and what it was trained for.

    Raises:
        OutputError: a file cannot be written.
    """
    own = folder / "controlnext"
    weights = {
        name: value.to(torch.float16).contiguous() for name, value in control.state_dict().items()
    }
    write_bytes(own / "controlnext.safetensors", save(weights, {"format": "pt"}))
    _write(own / "config.json", encode(control.config))
    _write(own / "control.json", settings)


def write_record(folder: Path, card: str, own: str, record: Mapping[str, object]) -> None:
    """Write how a model is used and how it was made, and hashes of all its files: the last step.

    Args:
        folder: of the model.
        card: name of its card.
        own: its ``marionext.toml``.
        record: how it was made, for ``training.json``.

    Raises:
        OutputError: a file cannot be written.
        ModelError: a file that the card names is missing.
    """
    write_text(folder / "marionext.toml", own)
    _write(folder / "training.json", record)
    record_files(folder, card, "python -m marionext.training")


def _plain(content: bytes) -> bytes:
    """Drop what names a place on the machine of the training."""
    data: Any = json.loads(content)
    if isinstance(data, dict):
        for name in ("_name_or_path", "name_or_path"):
            data.pop(name, None)
    return (json.dumps(data, indent=2) + "\n").encode()


def _write(path: Path, content: object) -> None:
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
