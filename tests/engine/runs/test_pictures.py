"""Jobs that make pictures: from the job's file to the folder with its record."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.engine.backends.pictures import tiny
from tests.engine.conftest import dancing_track

from marionext.casting import doll_pose, open_doll
from marionext.cli import main
from marionext.errors import OutputError, SettingsError
from marionext.job_files import inputs_of, model_of, refuse_missing, results_of
from marionext.jobs import PictureJob, decode_job, encode_job, read_job
from marionext.local import LocalEngine
from marionext.pose.formats import read_native, write_track
from marionext.protocol import Event, Failed, Finished, FrameWritten, Log, Preview, Progress

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with LocalEngine() as engine:
        yield engine


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base with a control network of its own for poses, and another one for depth."""
    root = tmp_path_factory.mktemp("models")
    tiny.make_sd15(root / "base")
    tiny.make_control(root / "base" / "controlnext-pose", "sd15")
    tiny.make_control(root / "depth", "sd15_training")
    tiny.make_control(root / "wide", "sdxl")
    return root


@pytest.fixture
def job_of(tmp_path: Path, models: Path) -> Callable[..., dict[str, Any]]:
    write_track(dancing_track(7), tmp_path / "wave.npz")

    def made(**changes: Any) -> dict[str, Any]:
        return {
            "kind": "picture",
            "prompt": "a dancer in red",
            "base": str(models / "base"),
            "output": str(tmp_path / "out"),
            "steps": 2,
            "width": 48,
            "height": 64,
            "controls": [
                {"kind": "pose", "source": {"path": str(tmp_path / "wave.npz")}, "frame": 103}
            ],
            **changes,
        }

    return made


def run(engine: LocalEngine, job: dict[str, Any], **settings: Any) -> list[Event]:
    return engine.wait(engine.submit(job, {"device": "cpu", **settings}), timeout=120)


def said(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Log))


def test_pictures_are_made_with_a_record_and_a_sheet(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    events = run(engine, job_of(count=3, batch=2, seed=11))
    assert isinstance(events[-1], Finished), events[-1]
    assert events[-1].frames == 3
    out = tmp_path / "out"
    names = [f"pictures/{number:06d}.png" for number in (1, 2, 3)]
    assert [Path(e.path) for e in events if isinstance(e, FrameWritten)] == [out / n for n in names]
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    record = json.loads((out / "picture.json").read_text())
    assert record["seeds"] == dict(zip(names, (11, 12, 13), strict=True))
    poses = {name.replace(".png", ".pose.npz") for name in names}
    assert set(record["files"]) == {*names, *poses, "controls/1-pose.png", "sheet.png"}
    assert record["inputs"].keys() == {"control 1 (pose)", "control 1 as drawn"}
    assert record["models"]["control 1/controlnext.safetensors"]
    assert record["computed"]["dtype"] == "float32"
    with Image.open(out / names[1]) as picture:
        assert picture.size == (48, 64)
        assert json.loads(picture.info["Marionext"])["seed"] == 12
    control = np.asarray(Image.open(out / "controls/1-pose.png"))
    assert control.shape == (64, 48, 3)
    assert control.max() > 20
    # More of the same: those that are there stay.
    kept = (out / names[0]).stat().st_mtime_ns
    again = run(engine, job_of(count=4, batch=2, seed=11))
    assert isinstance(again[-1], Finished)
    assert "3 of 4 pictures are there already" in said(again)
    assert [e.frame for e in again if isinstance(e, FrameWritten)] == [4]
    assert (out / names[0]).stat().st_mtime_ns == kept


def test_what_is_in_the_making_is_shown_and_gone_afterwards(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    events = run(engine, job_of(count=2))
    shown = [event for event in events if isinstance(event, Preview)]
    assert [event.frame for event in shown] == [1, 1, 2, 2]
    preview = Path(shown[0].path)
    assert preview.parent == out / "controls"
    assert not preview.exists()
    assert json.loads((out / "picture.json").read_text())["files"].keys().isdisjoint({preview.name})
    silent = run(engine, job_of(output=str(tmp_path / "silent"), count=2), previews=False)
    assert not any(isinstance(event, Preview) for event in silent)
    name = "pictures/000002.png"
    assert (tmp_path / "silent" / name).read_bytes() == (out / name).read_bytes()
    # Nobody's own file is taken for one, and no picture fails for the sake of a preview.
    preview.write_text("mine")
    assert isinstance(run(engine, job_of(count=3))[-1], Finished)
    assert preview.read_text() == "mine"


def test_what_is_not_ours_is_neither_replaced_nor_removed(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "pictures").mkdir(parents=True)
    (out / "pictures" / "000001.png").write_bytes(b"mine")
    failed = run(engine, job_of())[-1]
    assert isinstance(failed, Failed)
    assert "did not write it" in failed.message
    (out / "pictures" / "000001.png").unlink()
    assert isinstance(run(engine, job_of())[-1], Finished)
    other = run(engine, job_of(prompt="in blue"))[-1]
    assert isinstance(other, Failed)
    assert "pictures of another job" in other.message
    (out / "mine.txt").write_text("mine")
    assert isinstance(run(engine, job_of(prompt="in blue"), overwrite=True)[-1], Finished)
    assert (out / "mine.txt").read_text() == "mine"
    # A picture that was painted over is the user's.
    (out / "pictures" / "000001.png").write_bytes(b"painted")
    failed = run(engine, job_of(prompt="in blue"))[-1]
    assert isinstance(failed, Failed)
    assert "not as Marionext wrote it" in failed.message
    assert (out / "pictures" / "000001.png").read_bytes() == b"painted"


def test_a_run_that_died_before_it_said_so_goes_on(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert isinstance(run(engine, job_of(count=2))[-1], Finished)
    record = tmp_path / "out" / "picture.json"
    data = json.loads(record.read_text())
    data["files"]["pictures/000002.png"] = ""
    record.write_text(json.dumps(data))
    before = (tmp_path / "out" / "pictures" / "000002.png").read_bytes()
    events = run(engine, job_of(count=2))
    assert isinstance(events[-1], Finished)
    assert (tmp_path / "out" / "pictures" / "000002.png").read_bytes() == before


def test_size_follows_the_control_and_is_said(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]]
) -> None:
    control = {**job_of()["controls"][0], "fit": "whole"}
    whole = {"width": 64, "height": 48, "controls": [control], "prompt": "whole"}
    events = run(engine, job_of(width=None, height=None))
    assert isinstance(events[-1], Finished), events[-1]
    assert "the size nearest to pose control wave.npz" in said(events)
    assert "96x128 brought to 48x80; 20% of it are cut off at left and right" in said(events)
    assert "all of it, on black" in said(run(engine, job_of(**whole), overwrite=True))


def test_depth_and_pose_steer_together(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], models: Path, tmp_path: Path
) -> None:
    grey = np.tile(np.linspace(0, 255, 160, dtype=np.uint8), (80, 1))
    Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(tmp_path / "depth.png")
    depth = {
        "kind": "depth",
        "source": {"path": str(tmp_path / "depth.png")},
        "weights": str(models / "depth"),
    }
    both = job_of(controls=[*job_of()["controls"], depth])
    refused = run(engine, both)[-1]
    assert isinstance(refused, Failed)
    assert (
        "expected a shape like 48x64, it is 160x80: 62% of it would be cut off" in refused.message
    )
    depth["fit"] = "whole"
    events = run(engine, both)
    assert isinstance(events[-1], Finished), events[-1]
    assert "taken as a map of depth already" in said(events)
    assert "all of it, on black" in said(events)
    shown = np.asarray(Image.open(tmp_path / "out" / "controls" / "2-depth.png"))
    assert not shown[:10].any()
    assert shown[32, -1].max() > 240


def test_the_paper_doll_is_a_draft_in_the_controls_pose(
    engine: LocalEngine,
    job_of: Callable[..., dict[str, Any]],
    character_file: Path,
    tmp_path: Path,
) -> None:
    draft = {"kind": "doll", "path": str(character_file), "change": 0.5}
    events = run(engine, job_of(draft=draft))
    assert isinstance(events[-1], Finished), events[-1]
    drawn = np.asarray(Image.open(tmp_path / "out" / "controls" / "draft.png")).astype(int)
    assert drawn.shape == (64, 48, 3)
    reds = (drawn[..., 0] - drawn[..., 1]) > 90  # the figure's red trunk
    assert reds.sum() > 50
    without = run(engine, job_of(draft=draft, controls=[], output=str(tmp_path / "b")))[-1]
    assert isinstance(without, Failed)
    assert "expected a pose control for the doll" in without.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": "nothing"}, "no base is called 'nothing'"),
        ({"base": "doll"}, "this one renders motions"),
        ({"base": "sd15-pose"}, "this one steers pictures"),
        ({"base": "missing.safetensors"}, "no such base"),
        ({"scheduler": "eular"}, "diffusers has none called 'eular'"),
        ({"draft": {"path": "nowhere.png"}}, "no such picture"),
        ({"loras": [{"path": "nowhere.safetensors"}]}, "no such file"),
        ({"config": "."}, "the base .* is a folder and has its own"),
        ({"vae": "nowhere"}, "vae: there is no"),
    ],
)
def test_what_cannot_be_is_named_before_a_model_is_loaded(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], changes: dict[str, Any], words: str
) -> None:
    failed = run(engine, job_of(**changes))[-1]
    assert isinstance(failed, Failed)
    assert re.search(words, failed.message), failed.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frame": 99}, "expected a frame within 101-107, got 99"),
        ({"kind": "canny", "weights": "{wide}"}, "expected a control network for .* 1.5, .* XL"),
        ({"kind": "canny"}, "no canny control is known for base, which understands pose and mask"),
        ({"source": {"path": "nowhere.npz"}}, "no such motion"),
    ],
)
def test_controls_that_cannot_be_are_named(
    engine: LocalEngine,
    job_of: Callable[..., dict[str, Any]],
    models: Path,
    changes: dict[str, Any],
    words: str,
) -> None:
    if "weights" in changes:
        changes = {**changes, "weights": str(models / "wide")}
    control = {**job_of()["controls"][0], **changes}
    failed = run(engine, job_of(controls=[control]))[-1]
    assert isinstance(failed, Failed)
    assert re.search(words, failed.message), failed.message


def test_a_picture_job_is_a_job_like_others(
    job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    job = decode_job(job_of(loras=[{"path": "a.safetensors"}], draft={"path": "b.png"}))
    assert isinstance(job, PictureJob)
    assert decode_job(encode_job(job)) == job
    assert results_of(job) == (tmp_path / "out",)
    assert list(inputs_of(job)) == ["control 1 (pose)", "LoRA 1", "the draft"]
    assert model_of(job) == job.base
    file = tmp_path / "hero.json"
    file.write_text(
        '{"kind": "picture", "prompt": "p", "output": "out", "base": "b.safetensors", "controls": '
        '[{"kind": "canny", "source": {"path": "a.png", "rig": "r.toml"}, "weights": "sdxl-canny"}]'
        ', "loras": [{"path": "l.safetensors"}]}'
    )
    (tmp_path / "b.safetensors").write_bytes(b"")
    read = read_job(file)
    assert isinstance(read, PictureJob)
    assert (read.base, read.output) == (str(tmp_path / "b.safetensors"), str(tmp_path / "out"))
    assert read.controls[0].source.path == str(tmp_path / "a.png")
    assert read.controls[0].source.rig == str(tmp_path / "r.toml")
    assert read.controls[0].weights == "sdxl-canny"
    assert read.loras[0].path == str(tmp_path / "l.safetensors")
    assert model_of(read) == ""
    with pytest.raises(Exception, match=r"expected control 1 \(canny\), there is no"):
        refuse_missing(read)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": "  "}, "prompt: expected words"),
        ({"width": None}, "both a width and a height"),
        ({"count": 0}, "count: expected a number from 1"),
        ({"guidance": -1}, "guidance"),
        ({"settings": {}}, "unknown key 'settings'"),
        ({"loras": [{"path": "a", "weight": 99}]}, "weight: expected a number from -10 to 10"),
        ({"draft": {"path": "a", "change": 0}}, "change: expected a number from 0.01"),
        ({"controls": [{"kind": "pose"}]}, "missing key 'source'"),
        ({"controls": [{"kind": "poze", "source": {"path": "a"}}]}, "expected one of"),
    ],
)
def test_jobs_that_cannot_be_are_refused(
    job_of: Callable[..., dict[str, Any]], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        decode_job(job_of(**changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": 0.6, "stop": 0.6}, "to start before it stops"),
        ({"low": 200, "high": 100}, "low: expected a threshold up to the upper one"),
        ({"strength": -1}, "strength: expected a number from 0"),
    ],
)
def test_controls_that_cannot_be_are_refused(
    job_of: Callable[..., dict[str, Any]], changes: dict[str, Any], words: str
) -> None:
    control = {**job_of()["controls"][0], **changes}
    with pytest.raises(SettingsError, match=words):
        decode_job(job_of(controls=[control]))


def test_records_of_others_are_refused(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    record = tmp_path / "out" / "picture.json"
    for content in ("[]", '{"schema": "marionext.pictures", "version": 9}', "no JSON"):
        record.write_text(content)
        failed = run(engine, job_of())[-1]
        assert isinstance(failed, Failed)
        assert failed.code == OutputError.code
        assert record.read_text() == content


def test_a_base_says_how_it_is_used_best(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    base = tiny.make_sd15(tmp_path / "mine")
    own = base / "marionext.toml"
    own.write_text("[settings]\nsteps = 3\nguidance = 1.5\n")
    job = job_of(base=str(base), steps=None, controls=[])
    assert isinstance(run(engine, job)[-1], Finished)
    record = json.loads((tmp_path / "out" / "picture.json").read_text())
    assert (record["job"]["steps"], record["job"]["guidance"]) == (3, 1.5)
    own.write_text("[settings]\nstepz = 3\n")
    failed = run(engine, job)[-1]
    assert isinstance(failed, Failed)
    assert "unknown key 'stepz'" in failed.message


def test_a_lora_of_another_family_is_refused_by_name(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "style.safetensors"
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight"
    save_file({name: torch.zeros(4, 2048)}, path)
    failed = run(engine, job_of(loras=[{"path": str(path)}]))[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "model"
    assert "a LoRA for Stable Diffusion 1.5 with text 32 wide" in failed.message
    assert "this one is for Stable Diffusion XL" in failed.message


def test_a_job_goes_on_with_the_threads_that_it_was_begun_with(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert isinstance(run(engine, job_of(), threads=1)[-1], Finished)
    torch.set_num_threads(2)  # as another machine might have it
    try:
        events = run(engine, job_of(count=2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert isinstance(events[-1], Finished), events[-1]
    record = json.loads((tmp_path / "out" / "picture.json").read_text())
    assert record["computed"]["threads"] == "1"
    refused = run(engine, job_of(count=2), threads=3)[-1]
    assert isinstance(refused, Failed)
    assert "pictures of another job" in refused.message


def test_a_picture_is_the_character_of_a_render_in_its_pose(
    engine: LocalEngine, job_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    assert isinstance(run(engine, job_of(width=96, height=128))[-1], Finished)
    made = tmp_path / "out" / "pictures" / "000001.png"
    track = read_native(made.with_suffix(".pose.npz"))
    assert (track.size, len(track), track.people) == ((96, 128), 1, 1)
    still = [0, 1, 2, 5, 8, 11]  # the arm that waves is smoothed
    assert np.allclose(track.points[0, 0, still], dancing_track(7).points[2, 0, still], atol=1)
    doll = open_doll(made, print)
    assert np.array_equal(doll_pose(doll).points, track.points)
    # A pose that was drawn already is only a picture of keypoints.
    drawn = tmp_path / "out" / "controls" / "1-pose.png"
    shutil.copy(drawn, tmp_path / "drawn.png")
    control = {"kind": "pose", "source": {"path": str(tmp_path / "drawn.png")}, "ready": "yes"}
    again = job_of(width=96, height=128, controls=[control], output=str(tmp_path / "b"))
    assert isinstance(run(engine, again)[-1], Finished)
    assert [path.name for path in (tmp_path / "b" / "pictures").iterdir()] == ["000001.png"]


def test_damaged_pictures_are_found_and_made_again(
    engine: LocalEngine,
    job_of: Callable[..., dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert isinstance(run(engine, job_of(count=2))[-1], Finished)
    out = tmp_path / "out"
    assert main(["verify", str(tmp_path)]) == 0
    assert f"whole     {out}: 2 pictures" in capsys.readouterr().out
    first, second = (out / "pictures" / f"00000{number}.png" for number in (1, 2))
    before = first.read_bytes(), second.read_bytes()
    first.write_bytes(b"painted over")
    second.unlink()
    assert main(["verify", str(out)]) == 1
    said = capsys.readouterr()
    assert "pictures/000001.png is changed" in said.out
    assert "pictures/000002.png is missing" in said.out
    assert "1 of 1 are damaged; --repair" in said.err
    assert first.read_bytes() == b"painted over"
    assert main(["verify", str(out), "--repair", "--json", "--device", "cpu"]) == 0
    assert (first.read_bytes(), second.read_bytes()) == before
    rows = json.loads(capsys.readouterr().out)
    assert (rows[0]["whole"], rows[0]["repaired"], len(rows[0]["damaged"])) == (True, True, 2)
    (out / "picture.json").write_text("{}")
    assert main(["verify", str(out)]) == 1
    assert "not a record of pictures" in capsys.readouterr().err
