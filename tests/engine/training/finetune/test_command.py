"""``marionext train``, from a folder of videos to a rendered picture."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marionext.cli import main
from marionext.protocol import Failed, Preview, Progress, read_event

VideoMaker = Callable[..., Path]


def test_what_was_trained_on_videos_renders(
    tmp_path: Path,
    make_video: VideoMaker,
    track_file: Path,
    character_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, out = tmp_path / "data", tmp_path / "trained"
    for name in ("one.mp4", "another.mp4"):
        make_video(data / name, 5)
    (data / "broken.mp4").write_bytes(b"no video")
    train = [
        "train", "--data", str(data), "--out", str(out), "--size", "64x64", "--window", "3",
        "--warm-up", "0", "--main-rate", "1e-3", "--rate", "1e-3", "--average", "0", "--eval-every",
        "2", "--validation", "1", "--device", "cpu",
    ]  # fmt: skip
    assert main([*train, "--steps", "2"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(out / "bundle")
    assert "broken.mp4 is left out" in told.err
    assert main([*train, "--steps", "3", "--resume"]) == 0
    assert "going on after step 2" in capsys.readouterr().err
    assert (out / "previews" / "000003.mp4").is_file()

    def render(model: str, folder: Path) -> np.ndarray:
        arguments = [
            "render", "--motion", str(track_file), "--character", str(character_file), "--model",
            model, "--size", "64x64", "--steps", "2", "--frames", "101-103", "--out", str(folder),
            "--device", "cpu", "--no-clean",
        ]  # fmt: skip
        assert main(arguments) == 0
        return np.asarray(Image.open(folder / "frames" / "000102.png")).astype(int)

    mine, usual = render(str(out / "bundle"), tmp_path / "a"), render("puppet", tmp_path / "b")
    assert mine.shape == usual.shape == (64, 64, 3)
    # Three steps change a picture, and do not destroy it.
    assert 0 < np.abs(mine - usual).mean() < 40
    assert main(["models", "check", str(out / "bundle")]) == 0


def test_events_are_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "trained"
    arguments = [
        "train", "--data", "figures", "--clips", "2", "--out", str(out), "--size", "64x64",
        "--window", "2", "--steps", "1", "--validation", "1", "--device", "cpu", "--json",
    ]  # fmt: skip
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert kinds[-1] == "trained"
    assert "measured" in kinds
    usual = [
        read_event(line) for line in lines if json.loads(line)["type"] in {"progress", "preview"}
    ]
    assert any(isinstance(event, Preview) and event.path.endswith(".mp4") for event in usual)
    steps = [event for event in usual if isinstance(event, Progress) and event.stage == "train"]
    assert (steps[-1].done, steps[-1].total, steps[-1].fraction) == (1, 1, 1.0)
    assert main(arguments) == 2
    failed = read_event(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(failed, Failed)
    assert "holds a training already" in failed.message


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--data", "nowhere"], 3, "not there"),
        (["--data", "figures", "--size", "100x64"], 2, "width: expected a multiple of 16"),
        (["--data", "figures", "--steps", "0"], 2, "steps: expected at least 1"),
        (["--data", "figures", "--pattern", "("], 2, "no regular expression"),
        (["--data", "figures", "--rate", "-1"], 2, "rate: expected a number above 0"),
        (["--data", "figures", "--bundle", "pupet"], 4, "no model is called 'pupet'"),
        (
            ["--data", "figures", "--pattern", "attn9", "--clips", "1", "--size", "64x64"],
            2,
            "attn9",
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
    words: str,
) -> None:
    assert main(["train", "--out", str(tmp_path / "out"), *options]) == status
    assert words in capsys.readouterr().err
