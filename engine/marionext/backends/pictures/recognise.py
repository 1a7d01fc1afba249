"""What a file or folder of weights for pictures is, told by its header before anything is loaded.

Names and shapes tell the families of bases, LoRAs and control networks apart. They do not tell
ControlNeXt's releases for SVD, SDXL and SD 1.5's training code apart, which are of one shape: a
known hash does (`marionext.bundles.known_file`), and without one the base decides.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from marionext.backends.pictures.families import FAMILIES, FamilyName
from marionext.errors import ModelError
from marionext.files import open_file, read_json

__all__ = [
    "Shapes",
    "base_family",
    "lora_family",
    "lora_layers",
    "lora_magnitudes",
    "missing_parts",
    "predicts_velocity",
    "read_configuration",
    "read_shapes",
    "refuse_other_lora",
    "text_width",
]

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of each tensor of a file, by name."""

_LARGEST_HEADER = 100 << 20
_CONTEXT_OF = {
    768: "sd15",
    1024: "Stable Diffusion 2",
    1280: "the refiner of Stable Diffusion XL",
    2048: "sdxl",
    4096: "sd3",
}
"""What the width of the text means that a UNet's cross-attention takes."""

_UNET_PREFIX = "model.diffusion_model."
_CROSS_ATTENTION = "attn2.to_k.weight"
_VAE = ("first_stage_model.", "vae.")
_PARTS: dict[FamilyName, dict[str, tuple[str, ...]]] = {
    "sd15": {"text_encoder": ("cond_stage_model.",), "vae": _VAE},
    "sdxl": {
        "text_encoder": ("conditioner.embedders.0.",),
        "text_encoder_2": ("conditioner.embedders.1.",),
        "vae": _VAE,
    },
    "sd3": {
        "text_encoder": ("text_encoders.clip_l.",),
        "text_encoder_2": ("text_encoders.clip_g.",),
        "vae": _VAE,
    },
}
"""How the tensors of a part begin in a checkpoint of one file, by the part's folder elsewhere."""
_OTHER_FORMS = {
    ("hada_w1", "hada_w2"): "a LoHa (LyCORIS)",
    ("lokr_w1", "lokr_w2"): "a LoKr (LyCORIS)",
    ("oft_blocks", "oft_diag", ".oft_"): "an OFT",
    ("lora_mid.",): "a LoCon with a core in the middle (Tucker)",
    (".diff.", ".diff_b.", ".w_norm.", ".b_norm."): "whole differences of weights beside it",
}
"""What files beside LoRAs hold, by words in the names of their tensors."""
_OTHER_NETWORKS = {
    r"double_blocks|single_(transformer_)?blocks": "a transformer such as Flux",
    r"(^|[._])blocks[._][0-9]+[._](self|cross)_attn": "a transformer such as Wan",
}
"""Networks that no base here has, by patterns of the names of their layers."""
_VELOCITY, _NO_SIGNAL = "v_pred", "ztsnr"
"""Empty tensors by which checkpoints of SDXL's family say what they predict, and that their noise
ends without any signal: the custom of their trainers and of other programs."""


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
            hint="A base is a folder in diffusers' layout: model_index.json, unet/ or "
            "transformer/, vae/, scheduler/, text_encoder/, tokenizer/.",
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(data, dict):
        raise ModelError(f"{path}: expected an object, got {type(data).__name__}")
    return data


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the header of a safetensors file.

    Raises:
        ModelError: no such file, not a safetensors file, cut off, or under another name.
    """
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length) if length <= _LARGEST_HEADER else b"")
            size = file.seek(0, os.SEEK_END)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        shapes = {
            name: tuple(int(side) for side in entry["shape"]) for name, entry in entries.items()
        }
        end = 8 + length + max((int(e["data_offsets"][1]) for e in entries.values()), default=0)
    except FileNotFoundError:
        raise ModelError(f"no such file: {path}") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise ModelError(
            f"{path}: not a safetensors file: its header cannot be read",
            hint="Checkpoints in pickles (.ckpt) are not opened: take the .safetensors of the same "
            "model. A file that is one was cut off: fetch it again.",
        ) from None
    if size < end:
        raise ModelError(
            f"{path}: cut off: expected {end} bytes by its header, got {size}",
            hint="Fetch or copy it again.",
        )
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path}: holds safetensors, expected a name that says so",
            hint=f"Call it {path.with_suffix('.safetensors').name}: the libraries go by the name.",
        )
    return shapes


def missing_parts(path: Path, family: FamilyName) -> tuple[str, ...]:
    """Return the parts that a checkpoint in one file lacks, by the names of their folders.

    Raises:
        ModelError: as `read_shapes`.
    """
    names = read_shapes(path)
    return tuple(
        part
        for part, starts in _PARTS[family].items()
        if not any(name.startswith(starts) for name in names)
    )


def predicts_velocity(path: Path) -> dict[str, Any]:
    """Return what a checkpoint in one file says of its noise, as settings of a scheduler.

    Empty where it says nothing.

    Raises:
        ModelError: as `read_shapes`.
    """
    names = read_shapes(path)
    if _VELOCITY not in names:
        return {}
    found: dict[str, Any] = {"prediction_type": "v_prediction"}
    return {**found, "rescale_betas_zero_snr": True} if _NO_SIGNAL in names else found


def base_family(path: Path) -> FamilyName:
    """Tell the family of a base: a folder of diffusers' layout, or a checkpoint in one file.

    Raises:
        ModelError: it is of no family that makes pictures here; says what it is, if that is known.
    """
    return _family_of_folder(path) if path.is_dir() else _family_of_file(path)


def _family_of_folder(folder: Path) -> FamilyName:
    if (folder / "transformer" / "config.json").is_file():
        name = read_configuration(folder / "transformer" / "config.json").get("_class_name")
        if name == "SD3Transformer2DModel":
            return "sd3"
        raise _other(folder, f"a {name}")
    config = read_configuration(folder / "unet" / "config.json")
    name = config.get("_class_name", "UNet2DConditionModel")
    if name != "UNet2DConditionModel":
        raise _other(folder, f"a {name}, which makes videos or something else")
    entering, leaving = config.get("in_channels", 4), config.get("out_channels", 4)
    if entering != leaving:
        what = f"a UNet that takes {entering} channels and returns {leaving}, as for inpainting"
        raise _other(folder, what)
    return "sdxl" if config.get("addition_embed_type") == "text_time" else "sd15"


def _family_of_file(path: Path) -> FamilyName:
    shapes = read_shapes(path)
    if any("lora_" in name or ".lora." in name for name in shapes):
        raise _other(path, "a LoRA", hint="Give it with --lora, and a checkpoint with --base.")
    if any("joint_blocks." in name for name in shapes):
        return "sd3"
    own = {name: shape for name, shape in shapes.items() if name.startswith(_UNET_PREFIX)}
    if not own:
        if _cross_attentions(shapes):
            what = "the weights of a UNet alone"
            raise _other(path, what, hint="Give the folder that it belongs to, or a whole model.")
        if "mid_convs.0.0.weight" in shapes:
            what = "a control network"
            raise _other(path, what, hint="Name it in a control: pose=MOTION,weights=FILE.")
        if any(name.startswith("control_model.") for name in shapes):
            raise _other(path, "a ControlNet")
        raise _other(path, f"unknown ({', '.join(list(shapes)[:3])} ...)")
    first = own.get(f"{_UNET_PREFIX}input_blocks.0.0.weight", (0, 4))
    if first[1] != 4:
        raise _other(path, f"a UNet of {first[1]} channels, as for inpainting")
    if any(".time_mixer." in name or ".time_stack." in name for name in own):
        raise _other(path, "Stable Video Diffusion")
    found = {_CONTEXT_OF.get(shape[1], "unknown") for shape in _cross_attentions(own)}
    for family in ("sd15", "sdxl"):
        if found == {family}:
            return FAMILIES[family].name
    raise _other(path, ", ".join(sorted(found)) or "unknown")


def _cross_attentions(shapes: Shapes) -> list[tuple[int, ...]]:
    return [shape for name, shape in shapes.items() if name.endswith(_CROSS_ATTENTION)]


def _other(path: Path, what: str, *, hint: str | None = None) -> ModelError:
    families = ", ".join(family.title for family in FAMILIES.values())
    return ModelError(f"{path}: expected a base among {families}, this is {what}", hint=hint)


def _lora_parts(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of those tensors of a LoRA that tell what enters a layer.

    Raises:
        ModelError: it is no LoRA, or holds changes of another form as well.
    """
    shapes = read_shapes(path)
    for words, what in _OTHER_FORMS.items():
        if any(word in f"{name}." for name in shapes for word in words):
            raise ModelError(
                f"{path}: expected a LoRA, this holds {what}",
                hint="Nothing here reads that form. Take a LoRA of the same style (LoCon will "
                "do), or a base that it was merged into.",
            )
    downs = {
        name: shape
        for name, shape in shapes.items()
        if name.endswith(("lora_down.weight", "lora_A.weight", "lora.down.weight"))
    }
    if not downs:
        raise ModelError(
            f"{path}: expected a LoRA, none of its {len(shapes)} tensors is a part of one: "
            f"{', '.join(list(shapes)[:3])}",
            hint="A whole checkpoint is given with --base, a control network in --control.",
        )
    return downs


def _is_transformers(names: Iterable[str]) -> bool:
    return any("joint_blocks" in name or name.startswith("transformer.") for name in names)


def _widths(downs: Shapes) -> set[int]:
    """Return how wide the text is that a LoRA's cross-attention takes; none if it changes none."""
    parts = ("attn2_to_k", "attn2.to_k", "attn2.processor.to_k")
    return {
        shape[1]
        for name, shape in downs.items()
        if any(part in name for part in parts) and "text" not in name
    }


def lora_family(path: Path) -> str | None:
    """Tell the family that a LoRA is for, or None where it changes nothing that would tell.

    Raises:
        ModelError: it is no LoRA.
    """
    downs = _lora_parts(path)
    for pattern, what in _OTHER_NETWORKS.items():
        if any(re.search(pattern, name) for name in downs):
            return what
    if _is_transformers(downs):
        return "sd3"
    found = {_CONTEXT_OF.get(width, f"one of text {width} wide") for width in _widths(downs)}
    return ", ".join(sorted(found)) or None


def lora_layers(path: Path) -> int:
    """Return how many layers a LoRA changes.

    Raises:
        ModelError: it is no LoRA.
    """
    return len(_lora_parts(path))


def lora_magnitudes(path: Path) -> bool:
    """Tell whether a LoRA holds magnitudes (DoRA) in the form that nothing here reads.

    Raises:
        ModelError: as `read_shapes`.
    """
    return any(name.endswith(".dora_scale") for name in read_shapes(path))


def text_width(base: Path, family: FamilyName) -> int:
    """Return how wide the text is that a base's network is shown: small ones have their own.

    Raises:
        ModelError: the base's configuration cannot be read.
    """
    usual = FAMILIES[family].context
    if family == "sd3" or not base.is_dir():
        return usual
    width = read_configuration(base / "unet" / "config.json").get("cross_attention_dim")
    return width if isinstance(width, int) else usual


def refuse_other_lora(path: Path, family: FamilyName, width: int | None = None) -> None:
    """Make sure that a LoRA is for a base.

    Args:
        path: of the LoRA.
        family: of the base.
        width: of the text that the base's network is shown; None: as is usual in its family.

    Raises:
        ModelError: it is for another one, or no LoRA.
    """
    found = lora_family(path)
    if found is None or (found == family and family == "sd3"):
        return
    if found != "sd3" and found not in _OTHER_NETWORKS.values() and family != "sd3":
        widths = _widths(_lora_parts(path))
        if widths == {FAMILIES[family].context if width is None else width}:
            return
    title = FAMILIES[found].title if found in FAMILIES else found
    own = "" if width in {None, FAMILIES[family].context} else f" with text {width} wide"
    raise ModelError(
        f"{path}: expected a LoRA for {FAMILIES[family].title}{own}, this one is for {title}",
        hint="Take a base of its family, or another LoRA.",
    )
