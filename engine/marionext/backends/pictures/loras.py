"""LoRAs on a pipeline for as long as a job needs them; afterwards the base is what it was."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from marionext.backends.pictures.families import FamilyName
from marionext.backends.pictures.recognise import lora_layers, lora_magnitudes, refuse_other_lora
from marionext.errors import ModelError
from marionext.files import read_json
from marionext.jobs import LoraFile

__all__ = ["with_loras"]

_WRAPPED = "base_model.model."
_BARE = (
    _WRAPPED,
    *("down_blocks.", "mid_block.", "up_blocks.", "transformer_blocks.", "text_model.encoder."),
)
"""Beginnings of names in LoRAs that peft itself has saved."""


@contextmanager
def with_loras(
    pipeline: Any,
    family: FamilyName,
    loras: Sequence[LoraFile],
    say: Callable[[str], None],
) -> Iterator[None]:
    """While the context is open, have LoRAs laid over a pipeline's networks.

    They lie beside the weights, which are not touched: what is taken off leaves no trace.

    Args:
        pipeline: of diffusers.
        family: of its base.
        loras: files and factors.
        say: told what of a file has no place here.

    Raises:
        ModelError: a file is no LoRA, is one for another family, is damaged, or cannot be loaded.
    """
    if not loras:
        yield
        return
    unet = pipeline.components.get("unet")
    width = None if unet is None else int(unet.config.cross_attention_dim)
    for lora in loras:
        refuse_other_lora(Path(lora.path), family, width)
    _require_peft()
    try:
        names = []
        for place, lora in enumerate(loras):
            name = f"lora_{place}"
            _load(pipeline, Path(lora.path), name, say)
            names.append(name)
        pipeline.set_adapters(names, adapter_weights=[lora.weight for lora in loras])
        yield
    finally:
        pipeline.unload_lora_weights()


def _require_peft() -> None:
    try:
        import peft  # noqa: F401, PLC0415 - what diffusers loads LoRAs with
    except ImportError:
        raise ModelError(
            "LoRAs need the package peft, which is not installed", hint="pip install peft"
        ) from None


def _load(pipeline: Any, path: Path, name: str, say: Callable[[str], None]) -> None:
    try:
        tensors = _of_peft(path, "unet" if "unet" in pipeline.components else "transformer", say)
        with warnings.catch_warnings():
            # peft warns of several at once, which is what is wanted.
            warnings.simplefilter("ignore")
            if tensors is not None:
                pipeline.load_lora_weights(tensors, adapter_name=name)
            else:
                folder, file = str(path.parent), path.name
                pipeline.load_lora_weights(folder, weight_name=file, adapter_name=name)
    except (ImportError, KeyError, OSError, RuntimeError, SafetensorError, ValueError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        raise ModelError(
            f"{path}: this LoRA cannot be laid over this base: {first.strip()}",
            hint="It may be for another base of the same family, or in a form that diffusers does "
            "not know.",
        ) from None
    downs = _downs(pipeline, name)
    if not downs:
        raise ModelError(
            f"{path}: nothing in this LoRA belongs to this base",
            hint="It may be for another family, or in a form that diffusers does not know.",
        )
    if not all(bool(torch.isfinite(down).all()) for down in downs):
        raise ModelError(f"{path}: damaged: it holds numbers that are none")
    expected = lora_layers(path)
    if len(downs) < expected:
        say(
            f"{path.name}: {expected - len(downs)} of its {expected} layers left out: this base "
            "has no place for them, it was made for another one"
        )
    if lora_magnitudes(path):
        say(
            f"{path.name} is a DoRA: its magnitudes (dora_scale) are left out, so that pictures "
            "are not quite of its style"
        )


def _of_peft(
    path: Path, network: str, say: Callable[[str], None]
) -> dict[str, torch.Tensor] | None:
    """Return a LoRA as peft itself saves it under diffusers' names; None: it has another form.

    Its names begin with the wrapped model's or with nothing, and its strength stands in a file
    beside it.
    """
    if path.suffix.lower() != ".safetensors":
        return None
    with safe_open(path, framework="pt") as file:
        names = tuple(file.keys())
        if not all(name.startswith(_BARE) for name in names):
            return None
        tensors = {name.removeprefix(_WRAPPED): file.get_tensor(name) for name in names}
    config = path.parent / "adapter_config.json"
    alpha, root = None, False
    if config.is_file():
        told = read_json(config)
        if isinstance(told, dict):
            alpha, root = told.get("lora_alpha"), bool(told.get("use_rslora"))
    if not isinstance(alpha, int | float):
        say(f"{path.name}: no adapter_config.json beside it tells its strength; 1 is taken")
    renamed = {}
    for name, tensor in tensors.items():
        home = "text_encoder" if name.startswith("text_model.") else network
        down = tensors.get(name.replace(".lora_B.", ".lora_A."))
        if isinstance(alpha, int | float) and ".lora_B." in name and down is not None:
            rank = float(down.shape[0])
            tensor = tensor * (alpha / (rank**0.5 if root else rank))  # noqa: PLW2901
        renamed[f"{home}.{name}"] = tensor
    return renamed


def _downs(pipeline: Any, name: str) -> list[torch.Tensor]:
    """Return the first matrix of each layer that a LoRA was laid over."""
    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    homes = [getattr(module, "lora_A", {}) for network in networks for module in network.modules()]
    return [home[name].weight for home in homes if name in home]
