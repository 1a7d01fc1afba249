"""A LoRA trained on a few pictures: it goes on where it was, and works wherever LoRAs do."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.engine.backends.pictures import tiny

from marionext.backends.pictures.control_files import find_control
from marionext.backends.pictures.making import Control, PictureMaker, Wish, open_maker
from marionext.errors import JobCancelled, ModelError, SettingsError
from marionext.jobs import EngineSettings, LoraFile, MotionSource, PictureControl
from marionext.protocol import Progress
from marionext.training.lora.noising import make_noising
from marionext.training.reports import Report, TrainingReporter

Bases = Callable[[str], Path]
Trainer = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

FAMILIES = ("sd15", "sdxl", "sd3")
WEIGHTS = "pytorch_lora_weights.safetensors"


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "lora" / WEIGHTS)


def curve_of(folder: Path) -> list[dict[str, float]]:
    with (folder / "curve.csv").open(newline="") as stream:
        return [
            {name: float(value) for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(stream)
        ]


def made(maker: PictureMaker, **changes: Any) -> np.ndarray:
    usual: dict[str, Any] = {
        "prompt": "red", "negative": "", "size": (32, 48), "steps": 2, "guidance": 3.0,
        "scheduler": None, **changes,
    }  # fmt: skip
    nothing = {"on_step": lambda *_: None, "on_decode": lambda *_: None}
    return next(maker.make(Wish(**usual), [3], **nothing)).astype(int)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trained_lora_changes_pictures_under_a_control_and_leaves_no_trace(
    tmp_path: Path, run_training: Trainer, tiny_base: Bases, family: Any
) -> None:
    folder = run_training(tmp_path / "ink", 4, family=family, rate=0.1)
    maker = open_maker(tiny_base(family), family, EngineSettings(device="cpu"), Path(), print)
    before = {name: value.clone() for name, value in maker.network.state_dict().items()}
    asked = PictureControl(
        kind="pose",
        source=MotionSource(path="a.bvh"),
        weights=str(tiny.make_control(tmp_path / "control", family)),
    )
    stripes = np.zeros((48, 32, 3), np.uint8)
    stripes[:, ::3] = 255
    files = find_control(asked, family, None)
    control = Control(files=files, picture=stripes, strength=1.0, start=0.0, stop=1.0)
    lora = LoraFile(path=str(folder / WEIGHTS), weight=1.0)
    plain = made(maker)
    both = made(maker, loras=(lora,), controls=(control,))
    pairs = (both, made(maker, loras=(lora,))), (both, made(maker, controls=(control,)))
    assert all((one != other).any() for one, other in pairs)
    assert (made(maker) == plain).all()
    after = maker.network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    if family != "sd3":
        kohya = LoraFile(path=str(folder / "ink.safetensors"), weight=1.0)
        near = np.abs(made(maker, loras=(kohya,)) - made(maker, loras=(lora,)))
        assert near.max() <= 1  # the same numbers under other names


@pytest.mark.parametrize("family", FAMILIES)
def test_a_resumed_training_ends_in_the_same_bits(
    tmp_path: Path, run_training: Trainer, family: str
) -> None:
    # Everything that draws random numbers, and the text encoders where there is more than one.
    changes: dict[str, Any] = {
        "flip": True, "noise_offset": 0.1, "average": 0.9, "text_encoder": family == "sdxl",
        "unconditional": 0.4, "accumulate": 2,
    }  # fmt: skip
    run_training(tmp_path / "through", 3, family=family, **changes)
    run_training(tmp_path / "stopped", 1, family=family, **changes)
    run_training(tmp_path / "stopped", 3, family=family, run={"resume": True}, **changes)
    one, two = weights_of(tmp_path / "through"), weights_of(tmp_path / "stopped")
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert curve_of(tmp_path / "through")[-1]["validation"] == pytest.approx(
        curve_of(tmp_path / "stopped")[-1]["validation"], abs=0
    )


def test_what_is_held_out_is_learned_too_and_the_base_is_the_yardstick(
    tmp_path: Path, run_training: Trainer, reports: list[Report]
) -> None:
    run = {"preview_every": 24, "evaluate_every": 12, "anneal": 10}
    folder = run_training(tmp_path, 24, rate=3e-2, targets="layers", run=run)
    curve = curve_of(tmp_path)
    assert [row["step"] for row in curve] == [12, 24]
    assert curve[-1]["validation"] < 0.98 * curve[-1]["base"]
    assert curve[0]["base"] == curve[-1]["base"]
    assert (tmp_path / "previews" / "000024.png").is_file()
    record = json.loads((folder / "training.json").read_text())
    assert record["base"]["family"] == "sd15"
    assert record["settings"]["targets"] == "layers"
    assert record["files"].keys() == {WEIGHTS, f"{tmp_path.name}.safetensors"}
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        assert json.loads(file.metadata()["marionext"])["steps"] == 24
        assert file.metadata()["modelspec.architecture"] == "stable-diffusion-v1/lora"


def test_text_encoders_and_alpha_survive_in_diffusers_form(
    tmp_path: Path, run_training: Trainer, tiny_base: Bases
) -> None:
    folder = run_training(tmp_path, 2, text_encoder=True, alpha=2.0, rate=0.1, text_rate=0.1)
    assert any(name.startswith("text_encoder.text_model.encoder") for name in weights_of(tmp_path))
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(tiny_base("sd15"))
    words = {"device": "cpu", "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
    plain = pipeline.encode_prompt("red", **words)[0]
    pipeline.load_lora_weights(folder)
    layer = pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    assert set(layer.scaling.values()) == {1.0}
    assert not torch.equal(pipeline.encode_prompt("red", **words)[0], plain)


def test_half_precision_and_recomputed_activations_learn_the_same(
    tmp_path: Path, run_training: Trainer
) -> None:
    run_training(tmp_path / "usual", 2)
    run_training(tmp_path / "again", 2, run={"gradient_checkpointing": True})
    for name, value in weights_of(tmp_path / "usual").items():
        assert torch.allclose(value, weights_of(tmp_path / "again")[name], atol=1e-3)
    run_training(tmp_path / "half", 2, precision="bfloat16")
    usual, half = curve_of(tmp_path / "usual")[-1], curve_of(tmp_path / "half")[-1]
    assert half["validation"] == pytest.approx(usual["validation"], rel=0.05)


def test_a_training_stopped_by_the_user_keeps_its_last_step(
    tmp_path: Path, run_training: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marionext.training.reports._SECONDS_BETWEEN", 0.0)
    steps: list[int] = []

    def listen(event: Report) -> None:
        if isinstance(event, Progress) and event.stage == "train":
            steps.append(event.done)

    with pytest.raises(JobCancelled, match="after step 2;"):
        run_training(tmp_path, 5, report=TrainingReporter(listen, lambda: bool(steps)))
    assert (tmp_path / "lora" / WEIGHTS).is_file()
    run_training(tmp_path, 3, run={"resume": True})


def test_other_settings_another_base_and_a_foreign_folder_are_refused(
    tmp_path: Path, run_training: Trainer
) -> None:
    run_training(tmp_path / "out", 1)
    with pytest.raises(SettingsError, match="holds a training already"):
        run_training(tmp_path / "out", 2)
    with pytest.raises(ModelError, match="different: rank"):
        run_training(tmp_path / "out", 2, rank=2, run={"resume": True})
    other = tiny.make_sd15(tmp_path / "other", seed=5)
    with pytest.raises(ModelError, match="different: base"):
        run_training(tmp_path / "out", 2, base=other, run={"resume": True})
    theirs = tmp_path / "theirs" / "lora" / WEIGHTS
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"somebody's")
    with pytest.raises(SettingsError, match="no checkpoint of it"):
        run_training(tmp_path / "theirs", 1)
    assert theirs.read_bytes() == b"somebody's"
    with pytest.raises(SettingsError, match="float16 needs CUDA"):
        run_training(tmp_path / "half", 1, precision="float16")
    with pytest.raises(SettingsError, match="attn9"):
        run_training(tmp_path / "pattern", 1, patterns=("attn9",))


@pytest.mark.parametrize(
    ("scheduler", "config"),
    [
        ("PNDMScheduler", {"beta_schedule": "scaled_linear"}),
        ("DDIMScheduler", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
        ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
    ],
)
def test_who_predicts_what_is_wanted_is_led_to_the_picture_by_the_scheduler(
    scheduler: str, config: dict[str, Any]
) -> None:
    noising = make_noising({"_class_name": scheduler, **config})
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=generator)
    flow = "Flow" in scheduler
    # DDIM tells what it takes for the picture; noise levels are those of all of its kind.
    kind = diffusers.FlowMatchEulerDiscreteScheduler if flow else diffusers.DDIMScheduler
    steps = kind.from_config({**config, "clip_sample": False} if not flow else config)
    steps.set_timesteps(10)
    time = steps.timesteps[6]
    levels = time.reshape(1).float()
    noisy = noising.noisy(clean, noise, levels)
    wanted = noising.wanted(clean, noise, levels)
    found = steps.step(wanted, time, noisy)
    if flow:
        following = noising.noisy(clean, noise, steps.timesteps[7].reshape(1))
        assert torch.allclose(found.prev_sample, following, atol=1e-4)
    else:
        assert torch.allclose(found.pred_original_sample, clean, atol=1e-3)
    drawn = noising.draw(1000, generator)
    assert 0 <= drawn.min() < drawn.max() <= 1000


def test_a_scheduler_that_predicts_something_else_is_refused() -> None:
    with pytest.raises(ModelError, match="predicts sample"):
        make_noising({"_class_name": "DDIMScheduler", "prediction_type": "sample"})
