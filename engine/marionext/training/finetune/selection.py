"""Choose which of the UNet's parameters are trained; the rest is frozen.

ControlNeXt (Peng et al. 2024, arXiv:2408.06070) trains no copy of the main branch but a small part
of the branch itself, alongside a control network of a few convolutions. Which part is for the task
to say: some layers, evenly spaced, where a light change is enough; everything for Stable Video
Diffusion, whose authors publish the whole continued UNet; or adapters of low rank (Hu et al. 2021,
"LoRA", arXiv:2106.09685), which change many layers by few numbers.
"""

import importlib.util
import re
from collections.abc import Iterator
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock, TemporalBasicTransformerBlock
from diffusers.models.resnet import Downsample2D, SpatioTemporalResBlock, Upsample2D
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import Tensor, nn

from marionext.errors import SettingsError
from marionext.training.finetune.settings import FinetuneSettings

__all__ = ["choose_parameters", "evenly_spaced", "increments", "layers_of", "originals"]

LAYERS = (SpatioTemporalResBlock, TransformerSpatioTemporalModel, Downsample2D, Upsample2D)
"""What counts as one layer of the UNet, with its first and last convolution."""

ADAPTED = r"\.(to_q|to_k|to_v|to_out\.0|proj_in|proj_out|net\.0\.proj|net\.2)$"
"""Layers that get adapters where no pattern says otherwise: the transformers' linear ones."""

ADAPTER = "default"


def layers_of(unet: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the UNet's layers with their names, in the order that a picture passes them."""
    found = [
        (name, module)
        for name, module in unet.named_modules()
        if isinstance(module, LAYERS) or name in {"conv_in", "conv_out"}
    ]

    def place(item: tuple[str, nn.Module]) -> tuple[int, int, int, int]:
        name = item[0].split(".")
        ends = ("conv_in", "down_blocks", "mid_block", "up_blocks", "conv_out")
        if len(name) == 1:
            return ends.index(name[0]), 0, 0, 0
        block, kind, index = ("0", *name[1:]) if name[0] == "mid_block" else name[1:4]
        # Within a block each residual layer is followed by its transformer, resizing comes last;
        # the middle has one residual layer more, before the first transformer.
        kinds = ("resnets", "attentions", "downsamplers", "upsamplers")
        late = 1 if kind.endswith("samplers") else 0
        return ends.index(name[0]), int(block), late * 1000 + int(index), kinds.index(kind)

    return sorted(found, key=place)


def evenly_spaced(total: int, count: int) -> list[int]:
    """Return ``count`` of ``total`` places, each in the middle of an equal part."""
    count = min(count, total)
    return [int((index + 0.5) * total / count) for index in range(count)]


def choose_parameters(unet: nn.Module, settings: FinetuneSettings) -> dict[str, nn.Parameter]:
    """Freeze the UNet but for what is chosen, putting adapters in where they are.

    Returns:
        The parameters that are trained, by their names.

    Raises:
        SettingsError: a pattern finds nothing, or adapters are wanted without peft.
    """
    unet.requires_grad_(False)
    match settings.main:
        case "none":
            return {}
        case "lora":
            return _with_adapters(unet, settings)
        case "everything":
            chosen = dict(unet.named_parameters())
        case "evenly":
            layers = layers_of(unet)
            places = evenly_spaced(len(layers), settings.layers)
            chosen = {
                f"{layers[place][0]}.{name}": parameter
                for place in places
                for name, parameter in layers[place][1].named_parameters()
            }
        case "patterns":
            chosen = {}
            for pattern in settings.patterns:
                found = {
                    name: parameter
                    for name, parameter in unet.named_parameters()
                    if re.search(pattern, name)
                }
                if not found:
                    raise SettingsError(
                        f"patterns: {pattern!r} is found in no name of the UNet's parameters",
                        hint="Names are as down_blocks.1.attentions.0.proj_in.weight.",
                    )
                chosen |= found
    unused = set(_unused(unet))
    chosen = {name: value for name, value in chosen.items() if name not in unused}
    if not chosen:
        raise SettingsError(
            "main: nothing of what was chosen has any effect: queries and keys of attention to "
            "a single token are not used"
        )
    for parameter in chosen.values():
        parameter.requires_grad_(True)
    return chosen


def _unused(unet: nn.Module) -> Iterator[str]:
    """Yield the parameters whose gradient is always 0: attention to one token is its value."""
    for name, module in unet.named_modules():
        if isinstance(module, BasicTransformerBlock | TemporalBasicTransformerBlock):
            for part in ("attn2.to_q.", "attn2.to_k.", "norm2."):
                for end in ("weight", "bias"):
                    yield f"{name}.{part}{end}"


def _with_adapters(unet: nn.Module, settings: FinetuneSettings) -> dict[str, nn.Parameter]:
    if importlib.util.find_spec("peft") is None:
        raise SettingsError(
            "main: lora was asked for, but the package peft is not installed",
            hint="pip install 'marionext[train]'",
        )
    from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415 - an extra

    patterns = settings.patterns or (ADAPTED,)
    unused = tuple(name.rpartition(".")[0] for name in _unused(unet))
    targets = [
        name
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and any(re.search(pattern, name) for pattern in patterns)
        and name not in unused
    ]
    if not targets:
        raise SettingsError(f"patterns: {patterns} find no linear layer or convolution in the UNet")
    # With the seed, so that every process of a training begins with the same adapters.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        inject_adapter_in_model(
            LoraConfig(r=settings.rank, lora_alpha=settings.rank, target_modules=targets),
            unet,
            ADAPTER,
        )
    return {name: value for name, value in unet.named_parameters() if value.requires_grad}


def originals(chosen: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Keep what the chosen parameters were before the training, on the host."""
    return {
        name: parameter.detach().to("cpu", copy=True)
        for name, parameter in chosen.items()
        if ".lora_" not in name
    }


@torch.no_grad()
def increments(
    unet: nn.Module, chosen: dict[str, nn.Parameter], before: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return what the training has added to the UNet's weights: W - W_base, by base's names.

    Args:
        unet: as it is now.
        chosen: what was trained.
        before: what `originals` returned.
    """
    changes = {
        name: chosen[name].detach().cpu().float() - value.float() for name, value in before.items()
    }
    for name, module in unet.named_modules():
        if hasattr(module, "get_delta_weight"):
            adapted: Any = module
            changes[f"{name}.weight"] = adapted.get_delta_weight(ADAPTER).cpu().float()
    return changes
