"""Write a LoRA as files that others read: diffusers' form, and kohya's for ComfyUI and A1111."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from marionext.backends.pictures.families import FamilyName
from marionext.files import sha256_of, write_bytes, write_json
from marionext.training.lora.adapters import adapter_tensors

__all__ = ["RECORD", "WEIGHTS", "kohya_name", "write_lora"]

WEIGHTS = "pytorch_lora_weights.safetensors"
"""What diffusers looks for in a folder."""
RECORD = "training.json"

_ARCHITECTURES: Mapping[FamilyName, str] = {
    "sd15": "stable-diffusion-v1/lora",
    "sdxl": "stable-diffusion-xl-v1-base/lora",
    "sd3": "stable-diffusion-3-medium/lora",
}
"""What a file is for, in the words of the model metadata standard that user interfaces read."""
_VERSIONS: Mapping[FamilyName, str] = {"sd15": "sd_v1", "sdxl": "sdxl_base_v1-0", "sd3": "sd3"}


def kohya_name(folder: Path) -> str:
    """Return the name of the file in kohya's form: user interfaces list LoRAs by their names."""
    return f"{folder.resolve().name}.safetensors"


def write_lora(
    folder: Path,
    family: FamilyName,
    networks: Mapping[str, nn.Module],
    record: Mapping[str, object],
    *,
    name: str,
    trigger: str,
    rank: int,
) -> None:
    """Write the weights, in half precision, and how they were made.

    Args:
        folder: of the result; files of an earlier one are replaced.
        family: of the base.
        networks: adapted ones, by their names in a pipeline.
        record: how they were made.
        name: of the file in kohya's form.
        trigger: words that call it.
        rank: of the adapters.

    Raises:
        OutputError: a file cannot be written.
    """
    tensors = {
        f"{part}.{_portable(part, key)}": value.to(torch.float16).cpu().contiguous()
        for part, network in networks.items()
        for key, value in adapter_tensors(network).items()
    }
    told = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": _ARCHITECTURES[family],
        "modelspec.implementation": "diffusers",
        "modelspec.title": Path(name).stem,
        "marionext": json.dumps(record, sort_keys=True),
    }
    if trigger:
        told["modelspec.trigger_phrase"] = trigger
    files = {WEIGHTS: save(tensors, told)}
    if family != "sd3":
        told |= {
            "ss_base_model_version": _VERSIONS[family],
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(rank),
            "ss_network_alpha": str(rank),
        }
        files[name] = save(_in_kohyas_form(tensors, family), told)
    for file, content in files.items():
        write_bytes(folder / file, content)
    hashes = {file: sha256_of(folder / file) for file in files}
    write_json(folder / RECORD, {**record, "files": hashes})


def _portable(part: str, name: str) -> str:
    """Return a layer's name as all versions of the libraries read it."""
    if part.startswith("text_encoder") and not name.startswith("text_model."):
        return f"text_model.{name}"
    return name


def _in_kohyas_form(tensors: Mapping[str, Tensor], family: FamilyName) -> dict[str, Tensor]:
    """Return the same weights under the names that kohya's scripts give them.

    Their factor is in the values already: alpha is the rank.
    """
    prefixes = {
        "unet": "lora_unet",
        "text_encoder": "lora_te" if family == "sd15" else "lora_te1",
        "text_encoder_2": "lora_te2",
    }
    found = {}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        layer, side, _ = rest.rsplit(".", 2)
        home = f"{prefixes[part]}_{layer.replace('.', '_')}"
        if side == "lora_A":
            found[f"{home}.lora_down.weight"] = value
            found[f"{home}.alpha"] = torch.tensor(float(len(value)), dtype=torch.float16)
        else:
            found[f"{home}.lora_up.weight"] = value
    return found
