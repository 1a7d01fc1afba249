"""Layered dolls: written for people to mend, rendered as they are, never overwritten unasked."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext.casting import find_files, layered_files, read_picture
from marionext.cli import main
from marionext.local import LocalEngine
from marionext.protocol import Event, Failed, Finished, FrameWritten

JobMaker = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the user's: no doll is kept yet, and no detector is there."""
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def layered(character_file: Path, tmp_path: Path) -> Path:
    """The folder of a layered doll, made by the command."""
    folder = tmp_path / "hero.doll"
    assert main(["doll", str(character_file), "-o", str(folder)]) == 0
    return folder


def render(job: dict[str, Any]) -> list[Event]:
    with LocalEngine() as engine:
        return engine.wait(engine.submit(job), timeout=300)


def doll_job(make_job: JobMaker, **changes: Any) -> dict[str, Any]:
    job = make_job(frames="101-103", **changes)
    return {**job, "model": "doll", "settings": {"width": 64, "height": 96}}


def pixels_in(folder: Path) -> np.ndarray[Any, Any]:
    frames = sorted((folder / "frames").iterdir())
    return np.stack([np.asarray(Image.open(frame), np.int16) for frame in frames])


def files_in(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_layered_doll_renders_as_the_picture_it_was_made_of(
    layered: Path, make_job: JobMaker, tmp_path: Path
) -> None:
    assert isinstance(render(doll_job(make_job))[-1], Finished)
    output = {"directory": str(tmp_path / "of-layers")}
    job = doll_job(make_job, character=str(layered), output=output)
    assert isinstance(render(job)[-1], Finished)
    difference = np.abs(pixels_in(tmp_path / "out") - pixels_in(tmp_path / "of-layers"))
    assert difference.max() <= 2
    inputs = json.loads((tmp_path / "of-layers" / "render.json").read_text())["inputs"]
    assert set(inputs) == {"motion", "character"}, "it knows its pose itself"


def test_a_layer_that_is_mended_is_seen_and_is_another_render(
    layered: Path, make_job: JobMaker, tmp_path: Path
) -> None:
    job = doll_job(make_job, character=str(layered))
    assert isinstance(render(job)[-1], Finished)
    before = pixels_in(tmp_path / "out")
    for path in layered_files(layered):
        if path.name == "trunk.png" and path.parent == layered:
            with Image.open(path) as picture:
                painted = np.asarray(picture.convert("RGBA")).copy()
            painted[..., :3] = (20, 200, 30)
            Image.fromarray(painted).save(path)
    failed = render(job)[-1]
    assert isinstance(failed, Failed)
    assert "file of the character differs" in failed.message
    again = doll_job(make_job, character=str(layered), output={"directory": str(tmp_path / "new")})
    assert isinstance(render(again)[-1], Finished)
    after = pixels_in(tmp_path / "new")
    green = [(pixels[..., 1] - pixels[..., 0] > 100).sum() for pixels in (before, after)]
    assert green[1] > green[0] + 500


def test_a_layered_doll_may_lie_anywhere_and_takes_are_made_of_it(
    layered: Path, make_job: JobMaker, tmp_path: Path
) -> None:
    assert isinstance(render(doll_job(make_job, character=str(layered)))[-1], Finished)
    moved = layered.rename(tmp_path / "moved.doll")
    job = {**doll_job(make_job, character=str(moved)), "again": "102"}
    written = [event.frame for event in render(job) if isinstance(event, FrameWritten)]
    assert written == [102]


def test_a_missing_layer_is_named(layered: Path, make_job: JobMaker) -> None:
    gone = layered / "trunk.png"
    gone.unlink()
    failed = render(doll_job(make_job, character=str(layered)))[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "character"
    assert gone.name in failed.message


def test_a_doll_json_that_is_damaged_is_refused(layered: Path, make_job: JobMaker) -> None:
    (layered / "doll.json").write_text("{", encoding="utf-8")
    failed = render(doll_job(make_job, character=str(layered)))[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "character"
    assert "doll.json" in failed.message


def test_a_render_into_a_doll_is_refused(layered: Path, make_job: JobMaker) -> None:
    before = files_in(layered)
    job = doll_job(make_job, character=str(layered), output={"directory": str(layered)})
    failed = render(job)[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "output"
    assert files_in(layered) == before


def test_nothing_is_overwritten_but_a_doll_and_only_when_asked(
    layered: Path, character_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (layered / "notes.txt").write_text("of the user", encoding="utf-8")
    before = files_in(layered)
    command = ["doll", str(character_file), "-o", str(layered)]
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert files_in(layered) == before
    assert main([*command, "--overwrite"]) == 0
    assert files_in(layered) == before, "the same doll, and the notes"
    mine = layered.parent / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("of the user", encoding="utf-8")
    assert main(["doll", str(character_file), "-o", str(mine), "--overwrite"]) == 1
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_a_doll_is_never_written_over_the_picture_it_is_made_of(
    character_file: Path, tmp_path: Path
) -> None:
    before = files_in(tmp_path)
    assert main(["doll", str(character_file), "-o", str(tmp_path)]) == 1
    assert files_in(tmp_path) == before


def test_pose_and_mask_may_be_named(character_file: Path, tmp_path: Path) -> None:
    pose = tmp_path / "elsewhere.npz"
    (tmp_path / "hero.pose.npz").rename(pose)
    figure = np.asarray(Image.open(character_file))[..., 2] < 200
    Image.fromarray(figure.astype(np.uint8) * 255).save(tmp_path / "outline.png")
    command = ["doll", str(character_file), "-o", str(tmp_path / "d"), "--pose", str(pose)]
    assert main([*command, "--mask", str(tmp_path / "outline.png")]) == 0
    assert main(["doll", str(character_file), "-o", str(tmp_path / "e")]) == 4, "no detector here"


def test_another_model_sees_the_picture_that_the_layers_make(
    layered: Path, character_file: Path, make_job: JobMaker
) -> None:
    made = read_picture(layered).pixels.astype(int)
    original = np.asarray(Image.open(character_file)).astype(int)
    assert np.abs(made - original).mean() < 6
    job = make_job(frames="101", character=str(layered))
    assert isinstance(render(job)[-1], Finished)


def test_a_copy_of_a_doll_is_the_same_character(layered: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(layered, copy)
    (copy / "notes.txt").write_text("of the user", encoding="utf-8")
    names = [path.name for path in find_files(copy).own]
    assert names == [path.name for path in find_files(layered).own]
