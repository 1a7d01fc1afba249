"""The two small models for pictures that are shipped: they do what their cards say."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from marionext import presets
from marionext.cli import main
from marionext.errors import ModelError
from marionext.training.figures.clips import HELD_OUT, make_clip

DANCE = presets.folder("motions") / "dance.bvh"


def made(out: Path, *arguments: str) -> np.ndarray:
    given = ["image", "--out", str(out), "--size", "128x192", "--steps", "8", "--device", "cpu"]
    assert main([*given, *arguments]) == 0
    return np.asarray(Image.open(next((out / "pictures").glob("*.png"))).convert("RGB"), float)


def test_figurine_hears_words_and_poses(tmp_path: Path) -> None:
    pose = ("--control", f"pose={DANCE}@85", "--camera", "follow", "--margin", "0.02")
    red, blue = (
        made(tmp_path / colour, "--prompt", f"a dancer, {colour} dress, white background", *pose)
        for colour in ("red", "blue")
    )
    # The dress is in the middle; hands and face are as they were.
    body = np.s_[80:125, 52:76]
    assert (red[body] - blue[body]).mean((0, 1))[0] > 40
    assert (red[body] - blue[body]).mean((0, 1))[2] < -40
    other = made(
        tmp_path / "other", "--prompt", "a dancer, red dress, white background",
        "--control", f"pose={DANCE}@145", *pose[2:],
    )  # fmt: skip
    assert np.abs(other - red).mean() > 4


def test_figurine_says_which_controls_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (64, 96), (90, 20, 20)).save(picture)
    status = main(
        ["image", "--prompt", "a dancer", "--control", f"depth={picture}", "--out",
         str(tmp_path / "out")]
    )  # fmt: skip
    assert status == ModelError("").exit_status
    said = capsys.readouterr().err
    assert "no depth control is known for figurine, which understands pose control" in said
    assert "--base sd15" in said


def test_the_upscaler_is_nearer_to_the_truth_than_interpolation(tmp_path: Path) -> None:
    wanted = make_clip(HELD_OUT + 3, 1, (256, 384)).frames[1][100:260, 40:200]
    small = tmp_path / "small.png"
    Image.fromarray(cv2.resize(wanted, (80, 80), interpolation=cv2.INTER_AREA)).save(small)
    errors = {}
    for method in ((), ("--with", "lanczos")):
        out = tmp_path / f"large{len(method)}.png"
        assert main(["upscale", str(small), "--out", str(out), "--device", "cpu", *method]) == 0
        found = np.asarray(Image.open(out).convert("RGB"), float)
        assert found.shape == wanted.shape
        errors[method] = float(np.square(found - wanted).mean())
    # Half of the error is 3 dB.
    assert errors[()] < 0.5 * errors["--with", "lanczos"]
