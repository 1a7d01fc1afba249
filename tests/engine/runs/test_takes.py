"""Parts of a finished render made again: what stays, what changes, what comes back."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext.cli import main
from marionext.client import EngineProcess
from marionext.local import LocalEngine
from marionext.protocol import Event, Failed, Finished, FrameWritten, Progress
from marionext.record import Record

JobMaker = Callable[..., dict[str, Any]]
AGAIN = "103-105"
OTHERS = ("000101.png", "000102.png", "000106.png", "000107.png")


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    """One engine for all jobs of this module, as a host keeps it."""
    with LocalEngine() as engine:
        yield engine


@pytest.fixture
def job(engine: LocalEngine, make_job: JobMaker) -> dict[str, Any]:
    """The job of a render that is finished."""
    job = make_job()
    assert isinstance(run(engine, job)[-1], Finished)
    return job


def run(engine: LocalEngine, job: dict[str, Any]) -> list[Event]:
    return engine.wait(engine.submit(job), timeout=300)


def again(job: dict[str, Any], frames: str = AGAIN, **settings: Any) -> dict[str, Any]:
    return {**job, "again": frames, "settings": {**job["settings"], **settings}}


def show(job: dict[str, Any], take: int, frames: str | None = None) -> dict[str, Any]:
    return {"kind": "take", "directory": folder_of(job), "take": take, "frames": frames}


def folder_of(job: dict[str, Any]) -> str:
    return str(job["output"]["directory"])


def frames_in(job: dict[str, Any]) -> dict[str, bytes]:
    folder = Path(folder_of(job)) / "frames"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def record_of(job: dict[str, Any]) -> Record:
    return Record.read(Path(folder_of(job)) / "render.json")


def test_other_frames_keep_their_bytes_and_the_take_before_comes_back(
    engine: LocalEngine, job: dict[str, Any]
) -> None:
    first = frames_in(job)
    video = (Path(folder_of(job)) / "wave.mp4").read_bytes()
    events = run(engine, again(job, seed=5))
    assert isinstance(events[-1], Finished), events[-1]
    assert [event.frame for event in events if isinstance(event, FrameWritten)] == [103, 104, 105]
    second = frames_in(job)
    assert {name: second[name] for name in OTHERS} == {name: first[name] for name in OTHERS}
    assert all(second[name] != first[name] for name in first if name not in OTHERS)
    assert (Path(folder_of(job)) / "wave.mp4").read_bytes() != video
    assert isinstance(run(engine, show(job, 0))[-1], Finished)
    assert frames_in(job) == first
    assert (Path(folder_of(job)) / "wave.mp4").read_bytes() == video
    assert isinstance(run(engine, show(job, 1, "104"))[-1], Finished)
    mixed = frames_in(job)
    assert mixed == {**first, "000104.png": second["000104.png"]}
    assert record_of(job).shown == {"104": 1}


def test_the_render_itself_stays_finished_whatever_take_is_shown(
    engine: LocalEngine, job: dict[str, Any]
) -> None:
    run(engine, again(job, seed=5))
    shown = frames_in(job)
    events = run(engine, job)
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, FrameWritten) for event in events)
    assert frames_in(job) == shown


def test_the_same_take_is_not_made_twice(engine: LocalEngine, job: dict[str, Any]) -> None:
    run(engine, again(job, seed=5))
    shown = frames_in(job)
    run(engine, show(job, 0))
    events = run(engine, again(job, seed=5))
    assert not any(isinstance(event, FrameWritten) for event in events)
    assert frames_in(job) == shown
    assert len(record_of(job).takes) == 1


def test_a_take_is_made_between_the_frames_that_are_shown(
    engine: LocalEngine, job: dict[str, Any]
) -> None:
    run(engine, again(job, "102-104", seed=5))
    first = frames_in(job)
    run(engine, again(job, "104-106", seed=6))
    second = frames_in(job)
    kept = [name for name in first if not "000104.png" <= name <= "000106.png"]
    assert {name: second[name] for name in kept} == {name: first[name] for name in kept}
    assert record_of(job).shown == {"102": 1, "103": 1, "104": 2, "105": 2, "106": 2}
    assert record_of(job).takes[1].before == {"102": 1, "103": 1}


def test_an_edit_is_a_take_with_the_same_seed(engine: LocalEngine, job: dict[str, Any]) -> None:
    first = frames_in(job)
    edit = {"kind": "offset", "frames": AGAIN, "joints": ["right_arm"], "by": [0, -25]}
    edited = {**again(job), "pose": {**job["pose"], "edits": [edit]}}
    assert isinstance(run(engine, edited)[-1], Finished)
    second = frames_in(job)
    assert {name: second[name] for name in OTHERS} == {name: first[name] for name in OTHERS}
    assert second["000104.png"] != first["000104.png"]
    assert record_of(job).takes[0].job["pose"]["edits"][0]["joints"] == ["right_arm"]
    assert record_of(job).job["pose"]["edits"] == []


def test_frames_of_takes_that_are_lost_come_back(engine: LocalEngine, job: dict[str, Any]) -> None:
    first = frames_in(job)
    run(engine, again(job, seed=5))
    second = frames_in(job)
    folder = Path(folder_of(job))
    (folder / "frames" / "000104.png").write_bytes(b"damaged")
    assert isinstance(run(engine, job)[-1], Finished)
    assert frames_in(job) == second, "brought back from the folder of its take"
    for path in (folder / "frames" / "000104.png", folder / "takes" / "001" / "000104.png"):
        path.unlink()
    events = run(engine, job)
    assert [event.frame for event in events if isinstance(event, FrameWritten)] == [104]
    assert not any(isinstance(e, Progress) and e.stage == "denoise" for e in events)
    assert frames_in(job)["000104.png"] == first["000104.png"], "decoded as the render has it"
    run(engine, again(job, seed=5))
    assert frames_in(job) == second, "and decoded again as the take has it"


BAD: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "frames it lacks": (lambda job: again(job, "107-108"), "108"),
    "another size": (lambda job: again(job, width=128), "another size"),
    "another selection": (lambda job: {**again(job), "frames": "101-106"}, "another frames"),
    "a take that is not there": (lambda job: show(job, 3), "no take 3"),
    "frames a take lacks": (lambda job: show(job, 0, "99"), "99"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_costs_nothing(engine: LocalEngine, job: dict[str, Any], case: str) -> None:
    changed, words = BAD[case]
    first, record = frames_in(job), record_of(job)
    failed = run(engine, changed(job))[-1]
    assert isinstance(failed, Failed)
    assert words in failed.message, failed.message
    assert frames_in(job) == first
    assert record_of(job) == record


def test_a_render_that_is_not_finished_has_no_takes(
    engine: LocalEngine, job: dict[str, Any]
) -> None:
    folder = Path(folder_of(job))
    (folder / "frames" / "000102.png").unlink()
    failed = run(engine, again(job))[-1]
    assert isinstance(failed, Failed)
    assert "lacks 1 of its 7 frames" in failed.message
    assert not (folder / "takes" / "001").exists()


def test_a_folder_without_a_render_is_refused_and_stays_as_it_is(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    for job in (again(make_job()), {"kind": "take", "directory": str(tmp_path / "out")}):
        failed = run(engine, job)[-1]
        assert isinstance(failed, Failed)
        assert failed.code == "output"
        assert list((tmp_path / "out").iterdir()) == []


def test_overwriting_takes_the_takes_away_and_nothing_else(
    engine: LocalEngine, job: dict[str, Any]
) -> None:
    run(engine, again(job, seed=5))
    mine = Path(folder_of(job)) / "takes" / "001" / "notes.txt"
    mine.write_text("of the user")
    job_id = engine.submit(job, {"overwrite": True})
    assert isinstance(engine.wait(job_id, timeout=300)[-1], Finished)
    assert record_of(job).takes == ()
    assert mine.read_text() == "of the user"
    assert [path.name for path in mine.parent.iterdir()] == ["notes.txt"]


def test_joins_show_no_more_than_a_fifth(engine: LocalEngine, make_job: JobMaker) -> None:
    """The measure of `benchmarks/takes.py`, on a short clip: its mean over the joins."""
    from marionext import presets

    job = make_job(
        motion={"path": str(presets.folder("motions") / "dance.bvh")},
        character=str(presets.folder("characters") / "hero.png"),
        frames="1-24",
        settings={"width": 64, "height": 128, "steps": 2, "window": 8, "overlap": 1},
    )
    assert isinstance(run(engine, job)[-1], Finished)

    def steps() -> np.ndarray[Any, Any]:
        paths = sorted((Path(folder_of(job)) / "frames").glob("*.png"))
        shown = np.stack([np.asarray(Image.open(path), np.float32) for path in paths])
        return np.asarray(np.abs(np.diff(shown, axis=0)).mean(axis=(1, 2, 3)))

    before, at = steps(), []
    for seed, (start, stop) in enumerate(((5, 8), (10, 15), (13, 14)), start=50):
        assert isinstance(run(engine, again(job, f"{start}-{stop}", seed=seed))[-1], Finished)
        at += [steps()[start - 2] / before[start - 2], steps()[stop - 1] / before[stop - 1]]
        run(engine, show(job, 0))
    assert np.mean(at) <= 1.2, at


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
def test_a_take_killed_at_any_moment_goes_on_to_the_same_bytes(
    engine: LocalEngine, job: dict[str, Any], tmp_path: Path
) -> None:
    import shutil

    first = frames_in(job)
    shutil.copytree(folder_of(job), tmp_path / "whole")
    whole = {**job, "output": {**job["output"], "directory": str(tmp_path / "whole")}}
    run(engine, again(whole, seed=5, steps=4))
    moments: list[Callable[[Event], bool]] = [
        lambda event: isinstance(event, Progress) and event.stage == "denoise" and event.done >= 2,
        lambda event: isinstance(event, FrameWritten) and event.frame >= 104,
        lambda event: isinstance(event, Progress) and event.stage == "encode",
    ]
    for moment in moments:
        with EngineProcess(environment={"OMP_NUM_THREADS": "1"}) as process:
            process.submit(again(job, seed=5, steps=4))
            while not any(moment(event) for event in process.poll()):
                assert process.alive
            os.kill(process.pid, signal.SIGKILL)
        here = frames_in(job)
        assert {name: here[name] for name in OTHERS} == {name: first[name] for name in OTHERS}
    assert isinstance(run(engine, again(job, seed=5, steps=4))[-1], Finished)
    assert frames_in(job) == frames_in(whole)
    assert len(record_of(job).takes) == 1
    assert not (Path(folder_of(job)) / "takes" / "001" / "state").exists()


def test_a_switch_that_was_killed_after_its_record_is_finished_by_the_next_run(
    engine: LocalEngine, job: dict[str, Any]
) -> None:
    first = frames_in(job)
    run(engine, again(job, seed=5))
    second = frames_in(job)
    # As a run leaves it that was killed between the record and the copies.
    for name in ("000103.png", "000105.png"):
        (Path(folder_of(job)) / "frames" / name).write_bytes(first[name])
    assert isinstance(run(engine, job)[-1], Finished)
    assert frames_in(job) == second


def test_the_command_line_makes_lists_and_shows_takes(
    track_file: Path, character_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    small = [
        "--model",
        "puppet",
        "--size",
        "64x64",
        "--steps",
        "1",
        "--window",
        "4",
        "--overlap",
        "2",
        "--no-clean",
    ]
    paths = ["--motion", str(track_file), "--character", str(character_file), "--out", out]
    assert main(["render", *paths, *small]) == 0
    first = (tmp_path / "out" / "frames" / "000104.png").read_bytes()
    assert main(["render", "--again", out, "--frames", "104"]) == 0
    assert main(["render", "--again", out, "--frames", "104", "--seed", "9"]) == 0
    capsys.readouterr()
    assert main(["takes", out, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["take"], row["seed"], row["shown"]) for row in rows] == [
        (0, 0, "101-103,105-107"),
        (1, 1, None),
        (2, 9, "104"),
    ]
    assert main(["takes", out, "--show", "0"]) == 0
    assert (tmp_path / "out" / "frames" / "000104.png").read_bytes() == first
    assert main(["render", "--again", out]) == 2
    assert main(["render", "--again", out, "--frames", "104", "--out", out]) == 2
    assert main(["takes", str(tmp_path)]) == 1
    listed = subprocess.run(
        [sys.executable, "-m", "marionext", "takes", out],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "take 2" in listed
    assert "shown nowhere" in listed


def test_showing_a_take_changes_nothing_where_the_videos_cannot_be_made(
    engine: LocalEngine, job: dict[str, Any]
) -> None:
    first = frames_in(job)
    video = Path(folder_of(job)) / "wave.mp4"
    of_first = video.read_bytes()
    run(engine, again(job, seed=5))
    second, of_second = frames_in(job), video.read_bytes()
    motion = Path(job["motion"]["path"])
    away = motion.rename(motion.with_name("away.npz"))
    assert isinstance(run(engine, show(job, 0))[-1], Failed)
    assert frames_in(job) == second
    away.rename(motion)
    assert isinstance(run(engine, show(job, 0))[-1], Finished)
    assert frames_in(job) == first
    assert video.read_bytes() == of_first
    # As a run leaves it that was killed when the frames were switched and the video was not.
    video.write_bytes(of_second)
    record = record_of(job).with_stage("encode")
    record.write(Path(folder_of(job)) / "render.json")
    assert isinstance(run(engine, show(job, 0))[-1], Finished)
    assert video.read_bytes() == of_first


def test_a_part_is_not_made_of_another_motion(
    engine: LocalEngine, job: dict[str, Any], tmp_path: Path
) -> None:
    from marionext.pose.formats import read_track, write_track

    first, motion = frames_in(job), Path(job["motion"]["path"])
    track = read_track(motion)
    write_track(track.with_(points=track.points[::-1].copy()), motion)
    failed = run(engine, again(job))[-1]
    assert isinstance(failed, Failed)
    assert "file of the motion is not the one" in failed.message
    assert frames_in(job) == first
    assert record_of(job).takes == ()


def test_a_part_is_made_again_where_everything_was_moved(
    engine: LocalEngine, job: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    motion = Path(job["motion"]["path"]).rename(tmp_path / "elsewhere.npz")
    folder = Path(folder_of(job)).rename(tmp_path / "moved")
    assert main(["render", "--again", str(folder), "--frames", "104"]) == 2
    assert "Say --motion with where it is now" in capsys.readouterr().err
    arguments = ["--again", str(folder / "render.json"), "--motion", str(motion)]
    assert main(["render", *arguments, "--frames", "104"]) == 0
    assert Record.read(folder / "render.json").shown == {"104": 1}


def test_a_take_that_was_stopped_before_its_video_is_continued(
    engine: LocalEngine, job: dict[str, Any]
) -> None:
    folder = folder_of(job)
    assert main(["render", "--again", folder, "--frames", "104"]) == 0
    frames = frames_in(job)
    record_of(job).with_stage("encode").write(Path(folder) / "render.json")
    assert main(["render", "--again", folder, "--frames", "104"]) == 0
    assert len(record_of(job).takes) == 1
    assert frames_in(job) == frames
    assert main(["render", "--again", folder, "--frames", "104"]) == 0
    assert len(record_of(job).takes) == 2
