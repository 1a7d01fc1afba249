import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusion3Img2ImgPipeline, StableDiffusion3Pipeline
from PIL import Image

from marionext.codec import decode
from marionext.diffusion.controlnext import ControlNeXt, ControlNeXtConfig
from marionext.diffusion.image_variants import SD_3, ImageVariant, steered
from marionext.errors import ModelError
from marionext.training.checkpoints import load_checkpoint
from marionext.training.loop import Schedule
from marionext.training.upscaler import training as training_module
from marionext.training.upscaler.commands import main
from marionext.training.upscaler.networks import (
    BLOCK,
    NOISE,
    WORDS,
    UpscalerSizes,
    pixel_keeper,
)
from marionext.training.upscaler.pictures import PieceMaker, dead_leaves, enlarged, shrunk
from marionext.training.upscaler.training import (
    UpscalerSettings,
    load_networks,
    sharpened,
    train_upscaler,
)

TINY = UpscalerSettings(
    sizes=UpscalerSizes(width=16, heads=2, layers=2, stem=(4, 4, 8), blocks=(8,), tile=32),
    batch=2,
    made=4,
    stock=1,
    kept=2,
)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "VALIDATION_MAKINGS", 1)


def trained(folder: Path, steps: int, *, resume: bool = False) -> Path:
    return train_upscaler(TINY, folder, Schedule(steps, 0, evaluate_every=2), resume=resume)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of two steps."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_module, "VALIDATION_MAKINGS", 1)
        trained(folder, 2)
    return folder


def test_the_autoencoder_keeps_pixels_as_they_are() -> None:
    keeper = pixel_keeper()
    pictures = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(1)) * 2 - 1
    pictures[1] = 0.8  # a plain one: nothing of its level may be normalised away
    with torch.no_grad():
        latents = keeper.encode(pictures).latent_dist.sample()
        again = keeper.decode(latents).sample
    assert latents.shape == (2, 4, 24, 40)
    # Half of a step of 8 bits is 0.004.
    assert (again - pictures).abs().max() < 1e-3


def test_pieces_lie_over_each_other() -> None:
    pieces = PieceMaker(5, 6, 32)(3)
    assert pieces.wanted.shape == pieces.enlarged.shape == (6, 3, 32, 32)
    wrong = (pieces.wanted.float() - pieces.enlarged.float()).abs().mean((1, 2, 3))
    moved = (pieces.wanted.roll(2, 3).float() - pieces.enlarged.float()).abs().mean((1, 2, 3))
    assert (wrong < moved).all()
    again = PieceMaker(5, 6, 32)(3)
    assert torch.equal(pieces.wanted, again.wanted)


def test_shrinking_and_enlarging_moves_nothing() -> None:
    picture = dead_leaves(np.random.default_rng(1), 64)
    for seed in range(6):
        small = shrunk(picture, np.random.default_rng(seed))
        bigger = enlarged(small)
        assert small.shape == (32, 32, 3)
        assert bigger.shape == picture.shape
        turned = enlarged(np.ascontiguousarray(np.rot90(small)))
        # Each direction is rounded and cut to 8 bits by itself.
        assert np.abs(np.rot90(bigger).astype(int) - turned).mean() < 0.5


def test_a_resumed_training_takes_the_same_steps(tmp_path: Path) -> None:
    through = trained(tmp_path / "through", 4)
    trained(tmp_path / "stopped", 2)
    resumed = trained(tmp_path / "stopped", 4, resume=True)
    states = [
        load_checkpoint(path, torch.load(path, weights_only=True)["config"])
        for path in (through, resumed)
    ]
    for kind in ("networks", "average"):
        for name, value in states[0][kind].items():
            assert torch.equal(value, states[1][kind][name]), name
    rows = (tmp_path / "stopped" / "upscaler.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["step", "2", "4"]


def test_what_was_trained_is_a_stock_pipeline_that_takes_the_same_step(
    tmp_path: Path, work: Path
) -> None:
    bundle = tmp_path / "bundle"
    given = ["--out", str(work), "--bundle", str(bundle), "--note", "tiny"]
    assert main(["upscaler-export", *given]) == 0
    record = json.loads((bundle / "training.json").read_text())
    assert (record["notes"], record["steps"], len(record["curve"])) == (["tiny"], 2, 1)
    assert str(tmp_path) not in "".join(path.read_text() for path in bundle.rglob("*.json"))
    pipeline = StableDiffusion3Pipeline.from_pretrained(
        bundle, variant="fp16", dtype=torch.float32, text_encoder_3=None, tokenizer_3=None
    )
    pipeline = StableDiffusion3Img2ImgPipeline(**pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    own = json.loads((bundle / "controlnext" / "config.json").read_text())
    control = ControlNeXt(decode(ControlNeXtConfig, own))
    networks, _ = load_networks(work)
    control.load_state_dict(networks.controlnext.state_dict())

    picture = enlarged(dead_leaves(np.random.default_rng(2), 16))
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]
    times = torch.tensor([1000 * NOISE])
    variant = ImageVariant(control.config, place=SD_3.place, pool_first=False, block=BLOCK)
    with (
        torch.no_grad(),
        steered(pipeline.transformer, variant, control(pixels.float() / 255, times)),
    ):
        made = pipeline(
            "",
            image=Image.fromarray(picture),
            height=32,
            width=32,
            num_inference_steps=4,
            strength=0.25,
            guidance_scale=1.0,
            max_sequence_length=WORDS,
            generator=torch.Generator().manual_seed(3),
        ).images[0]
    generator = torch.Generator().manual_seed(3)
    # The pipeline draws for its autoencoder first, which makes no use of it.
    _, noise = (torch.randn(1, 4, 32, 32, generator=generator) for _ in range(2))
    ours = sharpened(networks, pixels, noise)[0].permute(1, 2, 0).numpy()
    assert pipeline.num_timesteps == 1
    # Its weights went through half precision.
    assert np.abs(np.asarray(made).astype(int) - ours).max() <= 1


def test_without_a_checkpoint_nothing_is_exported(tmp_path: Path) -> None:
    given = ["upscaler-export", "--out", str(tmp_path), "--bundle", str(tmp_path / "bundle")]
    assert main(given) == ModelError("").exit_status
    assert not (tmp_path / "bundle").exists()
