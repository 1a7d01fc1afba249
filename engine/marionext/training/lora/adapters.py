"""Adapters of low rank (Hu et al. 2021, "LoRA", arXiv:2106.09685) on a picture model's networks."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from marionext.errors import SettingsError
from marionext.training.lora.settings import LoraSettings, Targets

__all__ = ["adapt", "adapter_tensors", "without_adapters"]

ADAPTER = "default"

_PROJECTIONS = r"\.attn\w*\.(to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out)$"
_LINEAR = r"(transformer_blocks\.\d+\.|\.proj_in$|\.proj_out$)"
_TARGETS: Mapping[Targets, str] = {
    "attention": _PROJECTIONS,
    "transformers": rf"{_PROJECTIONS}|{_LINEAR}",
    "layers": "",
}
_OF_TEXT = r"\.self_attn\.(q_proj|k_proj|v_proj|out_proj)$"


def adapt(network: nn.Module, settings: LoraSettings, *, text: bool) -> dict[str, nn.Parameter]:
    """Freeze a network and lay adapters over some of its layers; they begin without an effect.

    Args:
        network: that denoises, or a text encoder.
        settings: which layers, and of which rank.
        text: whether it is a text encoder.

    Returns:
        The adapters' parameters by their names.

    Raises:
        SettingsError: a pattern finds no layer.
    """
    network.requires_grad_(requires_grad=False)
    patterns = (_OF_TEXT,) if text else settings.patterns or (_TARGETS[settings.targets],)
    unused = set(_unused(network))
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and name not in unused
    ]
    targets: set[str] = set()
    for pattern in patterns:
        found = {name for name in names if re.search(pattern, name)}
        if not found:
            raise SettingsError(
                f"patterns: {pattern!r} is found in no name of a linear layer or convolution",
                hint=f"Names are as {', '.join(names[1::40][:2])}.",
            )
        targets |= found
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.rank * settings.scale,
        target_modules=sorted(targets),
    )
    # With the seed, so that every process of a training begins with the same adapters.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        inject_adapter_in_model(config, network, ADAPTER)
    chosen = {name: value for name, value in network.named_parameters() if value.requires_grad}
    for value in chosen.values():
        # Small steps are lost in half precision.
        value.data = value.data.float()
    return chosen


def _unused(network: nn.Module) -> Iterator[str]:
    """Yield layers whose result nothing depends on: the words' queries in SD 3's last block."""
    for name, module in network.named_modules():
        if getattr(module, "context_pre_only", False) and hasattr(module, "add_q_proj"):
            yield f"{name}.add_q_proj"


def adapter_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return the adapters by the names of their layers, in diffusers' form.

    Their factor is part of the values: whoever reads them without one gets what was trained.
    """
    found = {}
    for name, module in network.named_modules():
        if not (isinstance(module, BaseTunerLayer) and hasattr(module, "lora_A")):
            continue
        layer: Any = module
        scale = float(layer.scaling[ADAPTER])
        found[f"{name}.lora_A.weight"] = layer.lora_A[ADAPTER].weight.detach()
        found[f"{name}.lora_B.weight"] = layer.lora_B[ADAPTER].weight.detach() * scale
    return found


@contextmanager
def without_adapters(networks: Iterable[nn.Module]) -> Iterator[None]:
    """While open, networks are as they were before."""
    layers = [
        module
        for network in networks
        for module in network.modules()
        if isinstance(module, BaseTunerLayer)
    ]
    for layer in layers:
        layer._disable_adapters = True  # enable_adapters() would also change what is trained
    try:
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False
