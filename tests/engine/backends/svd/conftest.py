"""Real classes at a tiny configuration: a whole render takes a moment on one core."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from numpy.typing import NDArray
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from marionext.backends.svd import Models
from marionext.diffusion import ControlNeXtConfig, ControlNeXtSVD
from marionext.diffusion.memory import Placement
from marionext.settings import SvdSettings

LATENTS = 4
UNET: dict[str, Any] = {
    "in_channels": 2 * LATENTS,
    "out_channels": LATENTS,
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "layers_per_block": 1,
    "num_attention_heads": (2, 4),
    "cross_attention_dim": 16,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 24,
}
VAE: dict[str, Any] = {
    "block_out_channels": (32, 32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "latent_channels": LATENTS,
    "layers_per_block": 1,
}
ENCODER: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 16,
    "projection_dim": 16,
}
CONTROL = ControlNeXtConfig(
    stem_widths=(8, 8, 16), block_widths=(16, 16), block_groups=(4, 8), out_channels=32
)
SCHEDULER: dict[str, Any] = {
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "use_karras_sigmas": True,
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}


def tiny_networks() -> dict[str, Any]:
    torch.manual_seed(11)
    networks = {
        "unet": UNetSpatioTemporalConditionModel(**UNET),
        "vae": AutoencoderKLTemporalDecoder(**VAE),
        "image_encoder": CLIPVisionModelWithProjection(CLIPVisionConfig(**ENCODER)),
        "controlnext": ControlNeXtSVD(CONTROL),
    }
    for network in networks.values():
        network.eval().requires_grad_(False)
    return networks


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def networks() -> dict[str, Any]:
    """Tiny networks as diffusers makes them, the same in every test."""
    return tiny_networks()


@pytest.fixture
def scheduler() -> dict[str, Any]:
    return dict(SCHEDULER)


@pytest.fixture
def models(networks: dict[str, Any]) -> Models:
    """The tiny networks ready to render on the processor."""
    placement = Placement(torch.device("cpu"), torch.float32)
    return Models(**networks, scheduler=SCHEDULER, placement=placement)


@pytest.fixture
def settings() -> SvdSettings:
    return SvdSettings(
        width=64, height=64, steps=2, window=4, overlap=2, guidance_min=2, guidance_max=2, seed=5
    )


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture
def pose_maps() -> Callable[[int], NDArray[np.uint8]]:
    """A different map for each frame, drawn on demand."""

    def draw(frame: int) -> NDArray[np.uint8]:
        return np.random.default_rng(100 + frame).integers(0, 256, (64, 64, 3), dtype=np.uint8)

    return draw


def _write(path: Path, network: Any, configuration: dict[str, Any], weights: str) -> None:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(configuration))
    save_file(network.state_dict(), path / weights)


@pytest.fixture
def bundle(tmp_path: Path, networks: dict[str, Any]) -> Path:
    """The tiny networks in a bundle's folder, our layout."""
    folder = tmp_path / "bundle"
    _write(folder / "unet", networks["unet"], UNET, "diffusion_pytorch_model.safetensors")
    _write(folder / "vae", networks["vae"], VAE, "diffusion_pytorch_model.safetensors")
    _write(folder / "image_encoder", networks["image_encoder"], ENCODER, "model.safetensors")
    _write(
        folder / "controlnext", networks["controlnext"], asdict(CONTROL), "controlnext.safetensors"
    )
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    return folder
