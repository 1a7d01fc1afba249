"""The command ``marionext image``: what its options come to."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from marionext.cli import main
from marionext.cli.image import parse_control, parse_draft, parse_lora
from marionext.errors import SettingsError
from marionext.jobs import MotionSource, PictureJob, read_job

VIEW = MotionSource(path=".", person="left")


def saved(tmp_path: Path, *options: str) -> PictureJob:
    file = tmp_path / "job.json"
    arguments = ["image", "--prompt", "p", "--out", str(tmp_path / "out"), *options]
    assert main([*arguments, "--save-job", str(file)]) == 0
    job = read_job(file)
    assert isinstance(job, PictureJob)
    return job


def test_options_become_a_job(tmp_path: Path) -> None:
    job = saved(
        tmp_path,
        "--negative", "n", "--base", "sdxl", "--control", "pose=dance.bvh@12",
        "--control", "canny=a,b.png,low=20,high=60,strength=0.3,steps=:0.5", "--yaw", "30",
        "--strength", "0.8", "--control-steps", "0.1:0.9", "--lora", "style.safetensors:0.6",
        "--init", "doll=hero.png:0.4", "--size", "832x1216", "--steps", "30", "--guidance", "5",
        "--scheduler", "unipc", "--seed", "7", "--count", "9", "--batch", "3",
    )  # fmt: skip
    here = Path.cwd()
    pose, canny = job.controls
    assert (pose.source.path, pose.frame) == (str(here / "dance.bvh"), 12)
    assert (pose.strength, pose.start, pose.stop) == (0.8, 0.1, 0.9)
    assert pose.source.camera.yaw == 30
    assert canny.source.path == str(here / "a,b.png")
    assert (canny.low, canny.high, canny.strength, canny.start, canny.stop) == (20, 60, 0.3, 0, 0.5)
    assert (job.loras[0].path, job.loras[0].weight) == (str(here / "style.safetensors"), 0.6)
    assert job.draft is not None
    assert (job.draft.kind, job.draft.path, job.draft.change) == (
        "doll",
        str(here / "hero.png"),
        0.4,
    )
    assert (job.base, job.size, job.steps, job.guidance) == ("sdxl", (832, 1216), 30, 5)
    assert (job.scheduler, job.seed, job.count, job.batch) == ("unipc", 7, 9, 3)


def test_threads_of_the_processor_are_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "a.png", tmp_path / "out"
    Image.new("RGB", (16, 16)).save(source)
    upscale = ["upscale", str(source), "--out", str(out)]
    assert main([*upscale, "--threads", "2"]) == 0
    record = json.loads((out / "upscale.json").read_text())
    assert record["computed"]["threads"] == "2"
    for command in (upscale, ["image", "--prompt", "p", "--out", str(tmp_path / "new")]):
        assert main([*command, "--threads", "0"]) == 2
        assert "threads: expected a number from 1 to 999, got 0" in capsys.readouterr().err


def test_a_base_may_be_a_folder_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert saved(tmp_path, "--base", str(tmp_path / "mine")).base == str(tmp_path / "mine")
    assert saved(tmp_path, "--base", "a.safetensors").base == str(Path.cwd() / "a.safetensors")
    assert saved(tmp_path).base == "figurine"


def test_a_folder_of_a_models_name_is_not_meant_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sdxl").mkdir()
    monkeypatch.chdir(tmp_path)
    assert saved(tmp_path, "--base", "sdxl").base == "sdxl"
    assert saved(tmp_path, "--base", "./sdxl").base == str(tmp_path / "sdxl")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pose=a@b.npz", {"frame": None, "name": "a@b.npz"}),
        ("pose=a.npz@-3", {"frame": -3, "name": "a.npz"}),
        ("mask=a.png,fit=whole,ready=no", {"fit": "whole", "ready": "no"}),
        ("pose=a.png,palette=openpose,weights=sd15-pose", {"weights": "sd15-pose"}),
        ("depth=a=b.png,changes=no", {"changes": False, "name": "a=b.png"}),
    ],
)
def test_controls_are_read(text: str, expected: dict[str, Any]) -> None:
    found = parse_control(text, VIEW)
    assert found.source.person == "left"
    for name, value in expected.items():
        assert (Path(found.source.path).name if name == "name" else getattr(found, name)) == value
    if "palette" in text:
        assert found.source.palette == "openpose"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dance.bvh", "expected KIND=SOURCE"),
        ("poze=a.bvh", "expected KIND=SOURCE"),
        ("pose=", "expected KIND=SOURCE"),
        ("pose=a.bvh,stength=1", "unknown detail 'stength'"),
        ("pose=a.bvh,strength=much", "strength: expected a number"),
        ("canny=a.png,low=1.5", "low: expected a number"),
        ("pose=a.bvh,steps=0.5", "expected a part of the steps"),
        ("pose=a.bvh,steps=.:1", "expected a part of the steps"),
        ("pose=a.bvh,fit=tight", "expected one of"),
        ("pose=a.bvh,changes=some", "expected yes or no"),
    ],
)
def test_controls_that_are_none_are_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        parse_control(text, VIEW)


def test_numbers_follow_a_colon_that_a_drive_may_have_too() -> None:
    assert (Path(parse_lora("c:/a.safetensors").path).name, parse_lora("a:b").weight) == (
        "a.safetensors",
        1.0,
    )
    assert parse_lora("a.safetensors:-0.5").weight == -0.5
    assert (parse_draft("a.png").change, parse_draft("a.png:0.2").change) == (0.6, 0.2)


def test_two_bases_and_no_words_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = ["image", "--out", str(tmp_path), "--prompt"]
    assert main([*usual, "p", "--base", "sd15", "--base", "sdxl"]) == 2
    assert "expected one, got 2: sd15, sdxl" in capsys.readouterr().err
    assert main([*usual, " "]) == 2
    assert "prompt: expected words" in capsys.readouterr().err


def test_a_model_for_pictures_renders_no_motion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, hint in (("sd15", "marionext image --base sd15"), ("sdxl-canny", "weights=sdxl")):
        arguments = ["render", "--motion", "a.bvh", "--character", "b.png", "--model", model]
        assert main([*arguments, "--out", str(tmp_path)]) == 2
        assert hint in capsys.readouterr().err


def test_the_list_of_models_tells_their_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--json"]) == 0
    kinds = {row["name"]: row["kind"] for row in json.loads(capsys.readouterr().out)}
    assert (kinds["svd"], kinds["sdxl"], kinds["sdxl-depth"]) == ("video", "picture", "control")
