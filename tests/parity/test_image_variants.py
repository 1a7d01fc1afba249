"""ControlNeXt for pictures equals the reference: networks, injections and whole UNets."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor

from marionext.diffusion.controlnext import ControlNeXt
from marionext.diffusion.image_variants import SD15, SD15_TRAINING, SDXL, ImageVariant, steered

Rebuild = Callable[[Path], dict[str, Tensor]]
VARIANTS = {"sdxl": SDXL, "sd15": SD15, "sd15_training": SD15_TRAINING}


def difference(found: Tensor, recorded: Tensor) -> float:
    assert found.shape == recorded.shape
    return float((found.double() - recorded.double()).abs().max() / recorded.abs().max())


def control_network(variant: ImageVariant, weights: dict[str, Tensor]) -> ControlNeXt:
    network = ControlNeXt(replace(variant.config, out_channels=len(weights["mid_convs.1.weight"])))
    network.load_state_dict(weights)
    return network.eval()


@torch.no_grad()
@pytest.mark.cases("f_image_controlnext/*.safetensors")
def test_picture_variants_equal_the_reference(case: Path, rebuilt_weights: Rebuild) -> None:
    with safe_open(case, framework="pt") as file:
        recorded = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    variant = VARIANTS[case.stem]
    network = control_network(
        variant, rebuilt_weights(case.with_name(f"{case.stem}.controlnet.keys.json"))
    )
    real_keys = case.with_name(f"{case.stem}.controlnet_real.keys.json")
    real = control_network(variant, rebuilt_weights(real_keys)) if real_keys.is_file() else None
    unet: Any = UNet2DConditionModel(**json.loads(metadata["unet_config"]))
    unet.load_state_dict(rebuilt_weights(case.with_name(f"{case.stem}.unet.keys.json")))
    unet.eval()
    added = (
        {"added_cond_kwargs": {name: recorded[name] for name in ("text_embeds", "time_ids")}}
        if "text_embeds" in recorded
        else {}
    )

    def run(time: Tensor) -> Tensor:
        output: Tensor = unet(
            recorded["sample"], time, recorded["encoder_hidden_states"], return_dict=False, **added
        )[0]
        return output

    scale = network.scale if variant.config.learned_scale else 1.0
    for number in json.loads(metadata["timesteps"]):
        time, name = torch.tensor(number), f"t{number}"
        control = network(recorded["control"], time)
        assert difference(control, recorded[f"{name}.controlnet_out"]) <= 1e-5
        wanted = recorded.get(f"{name}.real_controlnet_out")
        if real is not None and wanted is not None:
            assert difference(real(recorded["control"][: len(wanted)], time), wanted) <= 1e-5
        for suffix, factor in (("", scale), ("_1", scale), ("_0p35", 0.35)):
            if f"{name}.unet_ctrl{suffix}" in recorded:
                with steered(unet, variant, control, factor):
                    output = run(time)
                assert difference(output, recorded[f"{name}.unet_ctrl{suffix}"]) <= 1e-5
        for plain in ("unet_none", "unet_none_stock_diffusers"):
            if f"{name}.{plain}" in recorded:
                assert difference(run(time), recorded[f"{name}.{plain}"]) <= 1e-5


@pytest.mark.cases("g_manifests/sd*_controlnext*.json", "g_manifests/sdxl_controlnext.json")
def test_picture_variants_have_the_released_names_and_shapes(case: Path) -> None:
    variant = {
        "sd15_controlnext": SD15,
        "sd15_controlnext_training_repo": SD15_TRAINING,
        "sdxl_controlnext": SDXL,
    }[case.stem]
    with torch.device("meta"):
        network = ControlNeXt(variant.config)
    found = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert found == json.loads(case.read_text())["shapes"]
