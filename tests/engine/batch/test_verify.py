"""What is damaged is found by its hash, made again, and nothing else is touched."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marionext.cli import main
from marionext.record import Record

JobMaker = Callable[..., dict[str, Any]]


def contents(folder: Path) -> dict[str, bytes]:
    """Everything in a render's folder but the record and what is only for a while."""
    passing = {"render.json", ".render.json", "preview.png", ".marionext.lock"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in passing
    }


@pytest.fixture
def doll(tmp_path: Path, write_job) -> Path:
    """The folder of a finished doll with pose maps."""
    job = write_job("a", output={"directory": "out/a", "pose_maps": True})
    assert main(["batch", str(job)]) == 0
    return tmp_path / "out" / "a"


@pytest.fixture
def puppet(tmp_path: Path, write_job) -> Path:
    """The folder of a finished puppet."""
    job = write_job("p", model="puppet")
    assert main(["batch", str(job)]) == 0
    return tmp_path / "out" / "p"


def test_a_finished_render_is_whole(doll: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["verify", str(doll)]) == 0
    assert capsys.readouterr().out == f"whole     {doll}: 7 frames\n"
    assert main(["verify", str(doll.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["whole"] is True


def test_damage_of_every_kind_is_found_and_repaired(
    doll: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(doll)
    frames = doll / "frames"
    cut = frames / "000102.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    (frames / "000103.png").unlink()
    (frames / "000104.png").write_bytes((frames / "000101.png").read_bytes())
    video = doll / "wave.mp4"
    content = bytearray(video.read_bytes())
    content[len(content) // 2] ^= 0xFF
    video.write_bytes(content)
    (doll / "posemaps" / "000107.png").unlink()
    (doll / "poses.npz").write_bytes(b"PK")
    untouched = frames / "000106.png"
    made = untouched.stat().st_mtime_ns
    capsys.readouterr()
    assert main(["verify", str(doll)]) == 1
    lines = {line.strip() for line in capsys.readouterr().out.splitlines()}
    assert lines >= {
        "frames/000102.png is cut off",
        "frames/000103.png is missing",
        "frames/000104.png is changed",
        "wave.mp4 is changed",
        "posemaps/000107.png is missing",
        "poses.npz is changed",
    }
    assert main(["verify", str(doll), "--repair"]) == 0
    assert "repaired" in capsys.readouterr().out
    assert contents(doll) == before
    assert untouched.stat().st_mtime_ns == made


def test_damaged_latents_are_denoised_again_to_the_same_bytes(puppet: Path) -> None:
    before = contents(puppet)
    latents = puppet / "takes" / "000" / "kept" / "latents.safetensors"
    content = bytearray(latents.read_bytes())
    # Still latents that can be read, but others.
    content[-100] ^= 0x10
    latents.write_bytes(content)
    (puppet / "frames" / "000105.png").unlink()
    assert main(["verify", str(puppet)]) == 1
    assert main(["verify", str(puppet), "--repair"]) == 0
    assert contents(puppet) == before
    latents.write_bytes(b"cut")
    assert main(["verify", str(puppet), "--repair"]) == 0
    assert contents(puppet) == before


@pytest.mark.slow
def test_a_take_that_is_shown_is_repaired_as_that_take(puppet: Path) -> None:
    first = contents(puppet)
    again = ["render", "--again", str(puppet), "--frames", "103-104"]
    assert main([*again, "--seed", "5"]) == 0
    before = contents(puppet)
    assert before["frames/000103.png"] != first["frames/000103.png"]
    for name in ("frames/000103.png", "takes/001/000103.png", "takes/000/000104.png"):
        (puppet / name).unlink()
    assert main(["verify", str(puppet)]) == 1
    assert main(["verify", str(puppet), "--repair"]) == 0
    assert contents(puppet) == before
    assert Record.read(puppet / "render.json").take_of(103) == 1


def test_a_record_that_is_cut_off_comes_back_from_its_copy_and_the_rest_is_judged_by_it(
    doll: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(doll)
    record = doll / "render.json"
    whole = record.read_bytes()
    record.write_bytes(whole[:200])
    (doll / "frames" / "000103.png").write_bytes(b"")
    assert main(["verify", str(doll)]) == 1
    assert "render.json is unreadable" in capsys.readouterr().out
    assert main(["verify", str(doll), "--repair"]) == 0
    assert (doll / "render.unreadable-1.json").read_bytes() == whole[:200]
    after = contents(doll)
    del after["render.unreadable-1.json"]
    assert after == before
    record.unlink()
    assert main(["verify", str(doll), "--repair"]) == 0


def test_a_record_that_is_cut_off_as_its_copy_is_told_and_nothing_is_touched(
    doll: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(doll)
    for name in ("render.json", ".render.json"):
        (doll / name).write_bytes((doll / name).read_bytes()[:200])
    assert main(["verify", str(doll), "--repair"]) == 1
    said = capsys.readouterr()
    assert "render.json is unreadable" in said.out
    assert "there is no whole copy of it either" in said.err
    assert "into another folder" in said.err
    assert contents(doll) == before


def test_a_folder_without_renders_is_said(tmp_path: Path) -> None:
    assert main(["verify", str(tmp_path)]) == 1


def test_an_unfinished_render_is_finished(tmp_path: Path, doll: Path) -> None:
    before = contents(doll)
    record = Record.read(doll / "render.json")
    done = {number: digest for number, digest in record.done.items() if number != 107}
    record.with_frames(done).with_stage("draw").write(doll / "render.json")
    assert main(["verify", str(doll)]) == 1
    assert main(["verify", str(doll), "--repair"]) == 0
    assert contents(doll) == before


def test_the_same_render_is_made_again_elsewhere_in_the_same_bytes(
    puppet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    record = puppet / "render.json"
    # On a machine of another number of processors.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    command = ["render", "--again", str(record), "--out", str(tmp_path / "anew")]
    assert main(command) == 0
    assert contents(tmp_path / "anew") == contents(puppet)
    anew, old = (Record.read(folder / "render.json") for folder in (tmp_path / "anew", puppet))
    assert (anew.identity, anew.frames, anew.videos) == (old.identity, old.frames, old.videos)
    assert main([*command, "--seed", "3"]) == 2
    assert main([*command, "--frames", "103"]) == 2


def test_another_motion_is_not_the_same_render(
    doll: Path, tmp_path: Path, track_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.npz"
    other.write_bytes(track_file.read_bytes() + b"\0")
    command = ["render", "--again", str(doll), "--out", str(tmp_path / "anew")]
    assert main([*command, "--motion", str(other)]) == 1
    assert "its file of the motion differs" in capsys.readouterr().err
    assert not (tmp_path / "anew").exists()
    moved = track_file.rename(tmp_path / "moved.npz")
    assert main(command) == 2
    assert main([*command, "--motion", str(moved)]) == 0


def test_results_of_version_1_are_judged_by_the_hashes_they_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    data = Path(__file__).parents[2] / "data" / "version-1" / "finished"
    folder = Path(shutil.copytree(data, tmp_path / "old"))
    record = Record.read(folder / "render.json")
    status = main(["verify", str(folder)])
    missing = [name for name in record.videos if not (folder / name).is_file()]
    assert status == (1 if missing else 0)
    (folder / "frames" / "000103.png").write_bytes(b"")
    assert main(["verify", str(folder)]) == 1
    assert "frames/000103.png is changed" in capsys.readouterr().out
