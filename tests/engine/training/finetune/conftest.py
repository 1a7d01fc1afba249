"""A bundle of tiny networks, and short videos of drawn figures with their poses."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from marionext import bundles
from marionext.bundles import ModelBundle
from marionext.codec import encode
from marionext.diffusion import ControlNeXtConfig, ControlNeXtSVD
from marionext.frames import FrameRate
from marionext.output import Pictures, encode_video
from marionext.pose import PoseTrack
from marionext.pose.formats import write_track
from marionext.training.figures.clips import make_clip
from marionext.training.finetune.defaults import finetune_settings
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.finetune.trainer import TrainingRun, train
from marionext.training.reports import Report, TrainingReporter

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
    stem_widths=(8, 8, 16),
    stem_padding=1,
    block_widths=(16, 16),
    block_groups=(4, 8),
    out_channels=32,
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
SIZE = (32, 48)


def _write(path: Path, network: Any, configuration: dict[str, Any], weights: str) -> None:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(configuration))
    save_file(network.state_dict(), path / weights)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks of SVD's classes in a bundle's folder; not to be changed."""
    torch.manual_seed(11)
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    stem = "diffusion_pytorch_model.safetensors"
    _write(folder / "unet", UNetSpatioTemporalConditionModel(**UNET), UNET, stem)
    _write(folder / "vae", AutoencoderKLTemporalDecoder(**VAE), VAE, stem)
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**ENCODER))
    _write(folder / "image_encoder", encoder, ENCODER, "model.safetensors")
    control = ControlNeXtSVD(CONTROL)
    _write(folder / "controlnext", control, encode(CONTROL), "controlnext.safetensors")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    settings = {"width": 64, "height": 64, "steps": 2, "window": 4, "overlap": 1, "decode_chunk": 2}
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (folder / "marionext.toml").write_text("\n".join(['card = "svd"', "[settings]", *lines]))
    return folder


@pytest.fixture
def tiny(tiny_folder: Path) -> ModelBundle:
    """The tiny networks as a bundle."""
    return bundles.require(str(tiny_folder))


@pytest.fixture
def settings(tiny: ModelBundle) -> FinetuneSettings:
    """Settings under which a step takes a moment."""
    given = {"width": SIZE[0], "height": SIZE[1], "window": 3, "warm_up": 0, "rate": 1e-3}
    return finetune_settings(tiny, given)


Trainer = Callable[..., Path]


@pytest.fixture
def run_training(tiny: ModelBundle, settings: FinetuneSettings) -> Trainer:
    """Return what trains the tiny bundle on three drawn figures.

    Keyword arguments go over the settings, ``run`` over how it is run, ``report`` and ``bundle``
    take the usual ones' place.
    """

    def run(
        folder: Path,
        steps: int,
        *,
        run: dict[str, Any] | None = None,
        report: TrainingReporter | None = None,
        bundle: ModelBundle | None = None,
        **changes: Any,
    ) -> Path:
        options: dict[str, Any] = {
            "data": "figures", "folder": folder, "steps": steps, "figures": 3, "device": "cpu",
            "evaluate_every": 2, "preview_every": 0, "validation": 1, **(run or {}),
        }  # fmt: skip
        return train(
            bundle or tiny,
            replace(settings, **changes),
            TrainingRun(**options),
            report or TrainingReporter(lambda _event: None),
        )

    return run


@pytest.fixture
def reports() -> list[Report]:
    """What a training tells."""
    return []


VideoMaker = Callable[..., Path]


@pytest.fixture
def make_video() -> VideoMaker:
    """Return what writes a drawn dance as a video, with its poses beside it."""

    def make(
        path: Path, frames: int = 8, *, size: tuple[int, int] = (64, 96), poses: bool = True
    ) -> Path:
        clip = make_clip(len(path.name), frames, size)
        path.parent.mkdir(parents=True, exist_ok=True)
        rate = FrameRate.parse("12")
        encode_video(Pictures(frames, lambda index: clip.frames[index + 1]), rate, path)
        if poses:
            track = PoseTrack(
                points=clip.points[1:], scores=clip.scores[1:], size=size, rate=rate, first=1
            )
            write_track(track, path.with_suffix(".pose.npz"))
        return path

    return make
