"""A training as a whole: it goes on where it was, and says what is wrong."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from marionext import bundles
from marionext.backends.svd.loading import NetworkFiles
from marionext.errors import JobCancelled, ModelError, MotionError, OutputError, SettingsError
from marionext.protocol import Log, Progress
from marionext.training.reports import Measured, Report, TrainingReporter

Trainer = Callable[..., Path]


def state_of(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


def same_weights(one: Path, two: Path) -> bool:
    """Compare parameters, averages and the optimiser's memory, bit for bit."""
    first, second = state_of(one), state_of(two)
    for kind in ("parameters", "averages"):
        assert first[kind].keys() == second[kind].keys()
        assert first[kind]
        for name, value in first[kind].items():
            if not torch.equal(value, second[kind][name]):
                return False
    moments = (state["optimiser"]["state"] for state in (first, second))
    return all(
        torch.equal(value, mine[name])
        for theirs, mine in zip(*(list(state.values()) for state in moments), strict=True)
        for name, value in theirs.items()
    )


def curve_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open(newline="") as stream:
        return [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(stream)
        ]


def test_a_resumed_training_ends_in_the_same_bits(tmp_path: Path, run_training: Trainer) -> None:
    run_training(tmp_path / "through", 4, main="everything")
    run_training(tmp_path / "stopped", 2, main="everything")
    run_training(tmp_path / "stopped", 4, main="everything", run={"resume": True})
    assert same_weights(tmp_path / "through", tmp_path / "stopped")
    assert curve_of(tmp_path / "through") == curve_of(tmp_path / "stopped")
    results = [
        load_file(tmp_path / name / "bundle" / "unet" / "increments.safetensors")
        for name in ("through", "stopped")
    ]
    assert results[0].keys() == results[1].keys()
    assert all(torch.equal(value, results[1][name]) for name, value in results[0].items())


def test_a_training_stopped_by_the_user_keeps_its_last_step(
    tmp_path: Path, run_training: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Told of every step, however quickly they follow each other.
    monkeypatch.setattr("marionext.training.reports._SECONDS_BETWEEN", 0.0)
    steps: list[int] = []

    def listen(event: Report) -> None:
        if isinstance(event, Progress) and event.stage == "train":
            steps.append(event.done)

    stopping = TrainingReporter(listen, lambda: len(steps) >= 2)
    with pytest.raises(JobCancelled, match="after step 3;"):
        run_training(tmp_path / "stopped", 5, report=stopping)
    assert bundles.require(str(tmp_path / "stopped" / "bundle"))
    assert state_of(tmp_path / "stopped")["step"] == 3
    run_training(tmp_path / "stopped", 5, run={"resume": True})
    run_training(tmp_path / "through", 5)
    assert same_weights(tmp_path / "through", tmp_path / "stopped")


def test_a_finished_training_is_written_again_without_a_step(
    tmp_path: Path, run_training: Trainer
) -> None:
    target = run_training(tmp_path, 2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    (target / "bundle.json").unlink()
    run_training(tmp_path, 2, run={"resume": True})
    assert bundles.require(str(target))
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_folder_with_a_training_is_not_begun_anew(tmp_path: Path, run_training: Trainer) -> None:
    run_training(tmp_path, 1)
    with pytest.raises(SettingsError, match="holds a training already"):
        run_training(tmp_path, 2)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path, run_training: Trainer) -> None:
    run_training(tmp_path, 2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ModelError, match="different: rate"):
        run_training(tmp_path, 4, rate=2e-3, run={"resume": True})
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_checkpoint_of_another_base_is_refused(
    tmp_path: Path, run_training: Trainer, tiny_folder: Path
) -> None:
    run_training(tmp_path / "out", 1)
    other = tmp_path / "other"
    shutil.copytree(tiny_folder, other)
    unet = NetworkFiles(other, torch.float32).unet()
    unet.conv_in.bias.data += 1
    save_file(unet.state_dict(), other / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ModelError, match="different: base"):
        run_training(tmp_path / "out", 2, run={"resume": True}, bundle=bundles.require(str(other)))


def test_a_training_on_other_clips_goes_on_and_says_so(
    tmp_path: Path, run_training: Trainer, reports: list[Report]
) -> None:
    run_training(tmp_path, 1)
    telling = TrainingReporter(reports.append)
    run_training(tmp_path, 2, run={"resume": True, "figures": 2}, report=telling)
    assert any(isinstance(event, Log) and "others than before" in event.text for event in reports)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, run_training: Trainer) -> None:
    run_training(tmp_path, 2)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot read the checkpoint"):
        run_training(tmp_path, 4, run={"resume": True})


def test_a_loss_that_is_no_number_names_the_batch_and_keeps_the_checkpoint(
    tmp_path: Path, run_training: Trainer
) -> None:
    run_training(tmp_path, 2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    learned = json.loads((tmp_path / "data.json").read_text())["learned"]
    for path in (tmp_path / "encoded").glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            notes = file.metadata()
        tensors = load_file(path)
        tensors["latents"] = torch.full_like(tensors["latents"], float("nan"))
        save_file(tensors, path, notes)
    with pytest.raises(ModelError, match="the loss of step 3 is nan") as raised:
        run_training(tmp_path, 4, run={"resume": True})
    assert any(clip["name"] in raised.value.message for clip in learned)
    assert "frames" in raised.value.message
    assert "checkpoint of step 2 is kept" in raised.value.message
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path, run_training: Trainer) -> None:
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX's")
    run_training(tmp_path, 2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OutputError) as raised:
            run_training(tmp_path, 4, run={"resume": True})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "checkpoint.pt" in raised.value.message
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    run_training(tmp_path, 4, run={"resume": True})
    assert state_of(tmp_path)["step"] == 4


def test_too_little_room_is_said_before_anything_is_trained(
    tmp_path: Path, run_training: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(OutputError, match="free disk space"):
        run_training(tmp_path, 2)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_sizes_that_the_networks_cannot_take_are_refused(
    tmp_path: Path, run_training: Trainer
) -> None:
    with pytest.raises(SettingsError, match="width: expected a multiple of 8") as raised:
        run_training(tmp_path, 2, width=36)
    assert "32" in (raised.value.hint or "")


def test_an_empty_folder_is_refused(tmp_path: Path, run_training: Trainer) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(MotionError, match="found none"):
        run_training(tmp_path / "out", 2, run={"data": str(tmp_path / "data")})
    with pytest.raises(MotionError, match="not there"):
        run_training(tmp_path / "out", 2, run={"data": str(tmp_path / "elsewhere")})


def test_how_a_step_is_divided_does_not_change_it(tmp_path: Path, run_training: Trainer) -> None:
    run_training(tmp_path / "apart", 2, batch=1, accumulate=2, average=0.0)
    run_training(tmp_path / "together", 2, batch=2, accumulate=1, average=0.0)
    apart, together = state_of(tmp_path / "apart"), state_of(tmp_path / "together")
    for name, value in apart["parameters"].items():
        assert torch.allclose(value, together["parameters"][name], atol=2e-5), name


def test_checkpointed_gradients_are_the_same_gradients(
    tmp_path: Path, run_training: Trainer
) -> None:
    run_training(tmp_path / "plain", 2)
    run_training(tmp_path / "again", 2, run={"gradient_checkpointing": True})
    plain, again = state_of(tmp_path / "plain"), state_of(tmp_path / "again")
    for name, value in plain["parameters"].items():
        assert torch.allclose(value, again["parameters"][name], atol=1e-5), name


def test_mixed_precision_keeps_its_weights_in_single(tmp_path: Path, run_training: Trainer) -> None:
    run_training(tmp_path / "single", 2)
    run_training(tmp_path / "mixed", 2, precision="bfloat16")
    single, mixed = curve_of(tmp_path / "single"), curve_of(tmp_path / "mixed")
    assert float(mixed[0]["loss"]) == pytest.approx(float(single[0]["loss"]), rel=0.05)
    for value in state_of(tmp_path / "mixed")["parameters"].values():
        assert value.dtype == torch.float32


def test_only_what_was_chosen_is_changed(tmp_path: Path, run_training: Trainer) -> None:
    target = run_training(tmp_path, 2, main="patterns", patterns=(r"attn2\.to_out",), average=0.0)
    changed = load_file(target / "unet" / "increments.safetensors")
    assert changed
    assert all("attn2.to_out" in name for name in changed)


def test_the_result_is_the_base_with_what_was_learned(
    tmp_path: Path, run_training: Trainer, tiny: bundles.ModelBundle
) -> None:
    target = run_training(tmp_path, 2, main="everything", average=0.0)
    trained = state_of(tmp_path)["parameters"]
    base = NetworkFiles(tiny.folder, torch.float32).unet().state_dict()
    result = NetworkFiles(target, torch.float32)
    for name, value in result.unet().state_dict().items():
        wanted = trained.get(f"unet.{name}", base[name])
        assert torch.allclose(value, wanted, atol=1e-6), name
        if name.endswith("conv1.weight"):
            assert not torch.equal(value, base[name]), name
    for name, value in result.controlnext().state_dict().items():
        assert torch.equal(value, trained[f"control.{name}"]), name
    vae = NetworkFiles(tiny.folder, torch.float32).vae().state_dict()
    assert all(torch.equal(value, vae[name]) for name, value in result.vae().state_dict().items())


def test_adapters_become_part_of_the_weights(
    tmp_path: Path, run_training: Trainer, tiny: bundles.ModelBundle
) -> None:
    pytest.importorskip("peft", reason="an extra")
    target = run_training(
        tmp_path, 3, main="lora", rank=2, patterns=(r"attn1\.to_v$",), average=0.0, main_rate=1e-2
    )
    changed = load_file(target / "unet" / "increments.safetensors")
    base = dict(NetworkFiles(tiny.folder, torch.float32).unet().named_parameters())
    assert changed
    for name, value in changed.items():
        assert name.endswith("attn1.to_v.weight")
        assert value.shape == base[name].shape
        assert torch.linalg.matrix_rank(value.float(), rtol=1e-2) <= 2
    assert all(".lora_" in name for name in state_of(tmp_path)["parameters"] if "unet" in name)


def test_a_zero_convolution_begins_as_the_model_without_control(
    tmp_path: Path, run_training: Trainer
) -> None:
    target = run_training(
        tmp_path, 1, control="fresh", injection="zero", main="none", rate=1e-12, decay=0.0
    )
    row = curve_of(tmp_path)[0]
    assert row["validation"] == row["wrong"]
    assert NetworkFiles(target, torch.float32).controlnext().config.zero_convolution
    with pytest.raises(SettingsError, match="zero convolution"):
        run_training(tmp_path / "next", 1, bundle=bundles.require(str(target)))


def test_fresh_cross_normalised_control_is_heard_from_the_first_step(
    tmp_path: Path, run_training: Trainer
) -> None:
    run_training(tmp_path, 1, control="fresh", main="none")
    row = curve_of(tmp_path)[0]
    assert row["validation"] != row["wrong"]


def test_a_training_tells_how_far_it_is(
    tmp_path: Path, run_training: Trainer, reports: list[Report]
) -> None:
    from marionext.footage import probe

    run_training(tmp_path, 4, report=TrainingReporter(reports.append), run={"preview_every": 2})
    steps = [event for event in reports if isinstance(event, Progress) and event.stage == "train"]
    assert steps[-1].done == steps[-1].total == 4
    assert steps[-1].seconds_left == 0
    measured = [event for event in reports if isinstance(event, Measured)]
    assert [event.step for event in measured] == [2, 4]
    assert all(event.values["validation"] > 0 for event in measured)
    assert any(isinstance(event, Log) and "too few" in event.text for event in reports)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    for step in (2, 4):
        info = probe(tmp_path / "previews" / f"{step:06}.mp4")
        assert info.size == (96, 48)
        assert info.frames == 2


def test_a_model_trained_twice_is_built_on_both(tmp_path: Path, run_training: Trainer) -> None:
    first = run_training(tmp_path / "first", 2, main="everything", average=0.0)
    second = run_training(
        tmp_path / "second", 2, main="everything", average=0.0, bundle=bundles.require(str(first))
    )
    learned = state_of(tmp_path / "second")["parameters"]
    unet = NetworkFiles(second, torch.float32).unet()
    for name, value in unet.named_parameters():
        if f"unet.{name}" in learned:
            assert torch.allclose(value, learned[f"unet.{name}"], atol=1e-6), name


@pytest.mark.skipif(sys.platform == "win32", reason="gloo needs POSIX here")
@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path: Path, tiny_folder: Path) -> None:
    import os
    import subprocess

    common = [
        "-m", "marionext", "train", "--bundle", str(tiny_folder), "--data", "figures",
        "--clips", "3", "--steps", "2", "--eval-every", "2", "--preview-every", "0", "--size",
        "32x48", "--window", "3", "--average", "0", "--warm-up", "0", "--device", "cpu",
    ]  # fmt: skip
    # What `accelerate launch` calls for several GPUs of one machine.
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "hf")}
    for arguments in (
        [*common, "--out", str(tmp_path / "one"), "--accumulate", "2"],
        [*launch, *common, "--out", str(tmp_path / "two")],
    ):
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    one, two = state_of(tmp_path / "one"), state_of(tmp_path / "two")
    for name, value in one["parameters"].items():
        assert torch.allclose(value, two["parameters"][name], atol=2e-5), name
