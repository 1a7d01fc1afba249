"""Whole renders through the engine, in this process."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from marionext.local import LocalEngine
from marionext.posemap import draw
from marionext.protocol import (
    Event,
    Failed,
    Finished,
    FrameWritten,
    Log,
    Preview,
    Progress,
    write_line,
)

JobMaker = Callable[..., dict[str, Any]]
DANCE = Path(__file__).parents[2] / "presets" / "motions" / "dance.bvh"


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    """One engine for all jobs of this module, as a host keeps it."""
    with LocalEngine() as engine:
        yield engine


def run(engine: LocalEngine, job: dict[str, Any], **settings: Any) -> list[Event]:
    """Render a job and return its events; the last one ends it."""
    return engine.wait(engine.submit(job, settings), timeout=300)


def frames_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "frames").iterdir())}


def size_of(picture: Path | str) -> tuple[int, int]:
    with Image.open(picture) as opened:
        return opened.size


def test_n_poses_become_n_frames_under_the_sources_numbers(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path
) -> None:
    events = run(engine, make_job())
    finished = events[-1]
    assert isinstance(finished, Finished), finished
    assert finished.frames == 7
    names = [f"{number:06d}.png" for number in range(101, 108)]
    assert list(frames_of(tmp_path / "out")) == names
    written = [event for event in events if isinstance(event, FrameWritten)]
    assert [event.frame for event in written] == list(range(101, 108))
    assert size_of(written[0].path) == (64, 64)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert any(isinstance(event, Preview) for event in events)
    with av.open(finished.videos[0]) as video:
        stream = video.streams.video[0]
        assert stream.average_rate == Fraction(24)
        assert sum(1 for _ in video.decode(video=0)) == 7


def test_the_same_job_again_renders_nothing_and_another_one_is_refused(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path
) -> None:
    assert isinstance(run(engine, make_job())[-1], Finished)
    before = frames_of(tmp_path / "out")
    again = run(engine, make_job())
    assert isinstance(again[-1], Finished)
    assert not any(isinstance(event, FrameWritten) for event in again)
    other = run(engine, make_job(settings={"seed": 3}))[-1]
    assert isinstance(other, Failed)
    assert other.code == "output"
    assert "settings.seed" in other.message
    assert frames_of(tmp_path / "out") == before
    replaced = run(engine, make_job(settings={"seed": 3}), overwrite=True)[-1]
    assert isinstance(replaced, Finished)
    assert frames_of(tmp_path / "out") != before


def test_a_frame_that_was_deleted_comes_back_the_same(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path
) -> None:
    assert isinstance(run(engine, make_job())[-1], Finished)
    before = frames_of(tmp_path / "out")
    (tmp_path / "out" / "frames" / "000104.png").unlink()
    events = run(engine, make_job())
    assert [event.frame for event in events if isinstance(event, FrameWritten)] == [104]
    assert frames_of(tmp_path / "out") == before


def test_a_cancelled_render_goes_on_where_it_was(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path
) -> None:
    assert isinstance(run(engine, make_job())[-1], Finished)
    whole = frames_of(tmp_path / "out")
    job = make_job(output={"directory": str(tmp_path / "stopped")})
    job_id = engine.submit(job)
    while True:
        event = engine.next_event()
        if isinstance(event, Progress) and event.stage == "denoise":
            engine.cancel(job_id)
        if isinstance(event, Failed | Finished):
            break
    assert isinstance(event, Failed)
    assert event.code == "cancelled"
    assert isinstance(run(engine, job)[-1], Finished)
    assert frames_of(tmp_path / "stopped") == whole


@pytest.mark.parametrize("selection", ["103", "101-107:3", "101,104-105"])
def test_a_selection_renders_those_frames_only(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path, selection: str
) -> None:
    expected = {"103": [103], "101-107:3": [101, 104, 107], "101,104-105": [101, 104, 105]}
    assert isinstance(run(engine, make_job(frames=selection))[-1], Finished)
    numbers = [int(name[:6]) for name in frames_of(tmp_path / "out")]
    assert numbers == expected[selection]


def test_ready_made_pose_maps_are_a_motion(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path, track_file: Path
) -> None:
    from marionext.pose.formats import read_track

    track = read_track(track_file)
    folder = tmp_path / "maps"
    folder.mkdir()
    for index in range(3):
        drawn = draw(track.points[index], track.scores[index], track.size, (64, 64))
        Image.fromarray(drawn).save(folder / f"{40 + index:04d}.png")
    events = run(engine, make_job(motion={"path": str(folder)}))
    assert isinstance(events[-1], Finished), events[-1]
    assert list(frames_of(tmp_path / "out")) == ["000040.png", "000041.png", "000042.png"]


def test_size_is_rounded_aloud(engine: LocalEngine, make_job: JobMaker, tmp_path: Path) -> None:
    events = run(engine, make_job(frames="101", settings={"width": 70, "height": 100}))
    assert isinstance(events[-1], Finished)
    assert any(isinstance(event, Log) and "64x128" in event.text for event in events)
    assert size_of(tmp_path / "out" / "frames" / "000101.png") == (64, 128)


def test_a_transparent_character_is_laid_over_white_aloud(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path
) -> None:
    picture = tmp_path / "ghost.png"
    Image.new("RGBA", (80, 80), (200, 30, 30, 0)).save(picture)
    events = run(engine, make_job(frames="101", character=str(picture)))
    assert isinstance(events[-1], Finished), events[-1]
    assert any(isinstance(event, Log) and "transparent" in event.text for event in events)


def test_side_by_side_and_pose_maps_are_made_on_request(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path
) -> None:
    output = {"side_by_side": True, "pose_maps": True, "videos": ["mp4"]}
    events = run(engine, make_job(frames="101-103", output=output))
    finished = events[-1]
    assert isinstance(finished, Finished), finished
    with av.open(str(tmp_path / "out" / "wave-with-poses.mp4")) as video:
        frame = next(video.decode(video=0))
        assert (frame.width, frame.height) == (128, 64)
    maps = sorted(path.name for path in (tmp_path / "out" / "posemaps").iterdir())
    assert maps == ["000101.png", "000102.png", "000103.png"]


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


BAD: dict[str, tuple[Callable[[Path], dict[str, Any]], str, str]] = {
    "missing motion": (lambda at: {"motion": {"path": str(at / "no.mp4")}}, "motion", "no such"),
    "empty video": (
        lambda at: {"motion": {"path": write(at / "a.mp4", b"")}},
        "motion",
        "empty",
    ),
    "not a video": (
        lambda at: {"motion": {"path": write(at / "a.mp4", b"hello" * 99)}},
        "motion",
        "a.mp4",
    ),
    "broken rig": (
        lambda at: {"motion": {"path": write(at / "a.bvh", b"HIERARCHY\nROOT")}},
        "motion",
        "line 2: expected a name",
    ),
    "truncated track": (
        lambda at: {"motion": {"path": write(at / "a.npz", b"PK\x03\x04")}},
        "motion",
        "cannot be read as one",
    ),
    "frames it lacks": (lambda _at: {"frames": "1-3"}, "motion", "101-107"),
    "missing character": (
        lambda at: {"character": str(at / "no.png")},
        "character",
        "no such picture",
    ),
    "character is no picture": (
        lambda at: {"character": write(at / "x.png", b"text")},
        "character",
        "not a picture",
    ),
    "unknown model": (lambda _at: {"model": "gpt"}, "model", "gpt"),
    "unknown key": (lambda _at: {"settings": {"stepz": 1}}, "settings", "unknown key 'stepz'"),
    "overlap too large": (lambda _at: {"settings": {"overlap": 9}}, "settings", "overlap"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_a_clear_error(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path, case: str
) -> None:
    changes, code, words = BAD[case]
    failed = run(engine, make_job(**changes(tmp_path)))[-1]
    assert isinstance(failed, Failed)
    assert failed.code == code, failed
    assert words in failed.message
    assert not (tmp_path / "out" / "frames").exists()


def test_a_tiny_character_is_refused_with_its_size(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path
) -> None:
    picture = tmp_path / "tiny.png"
    Image.new("RGB", (63, 200)).save(picture)
    failed = run(engine, make_job(character=str(picture)))[-1]
    assert isinstance(failed, Failed)
    assert "63x200" in failed.message


def test_the_manifest_tells_how_the_frames_were_made(
    engine: LocalEngine, make_job: JobMaker, tmp_path: Path
) -> None:
    assert isinstance(run(engine, make_job(frames="101-102"))[-1], Finished)
    record = json.loads((tmp_path / "out" / "render.json").read_text())
    assert record["job"]["settings"]["steps"] == 2
    assert set(record["frames"]) == {"101", "102"}
    assert record["stage"]["name"] == "finished"
    assert not (tmp_path / "out" / "state").exists()
    assert np.load(tmp_path / "out" / "poses.npz")["points"].shape == (7, 1, 134, 2)


def test_advice_counts_the_frames_that_are_made(engine: LocalEngine, make_job: JobMaker) -> None:
    large = {"width": 256, "height": 256}
    job = make_job(motion={"path": str(DANCE)}, frames="5-6", settings=large)
    told = [event.text for event in run(engine, job) if isinstance(event, Log)]
    advice = [text for text in told if " px in " in text]
    assert advice
    assert all(" in 2 of 2 frames" in text for text in advice)


@pytest.mark.parametrize("name", ["motion.npz", "character.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut off", None], ids=["empty", "else", "half"])
def test_kept_poses_that_are_damaged_are_told_and_made_again(
    name: str, content: bytes | None, make_job: JobMaker, tmp_path: Path
) -> None:
    with LocalEngine() as engine:
        job = make_job(settings={"steps": 3})
        job_id = engine.submit(job)
        while True:  # stopped in the midst, so that the state stays
            event = engine.next_event()
            if isinstance(event, Progress) and event.stage == "denoise" and event.done > 2:
                engine.cancel(job_id)
            if isinstance(event, Failed):
                break
        kept = tmp_path / "out" / "state" / name
        whole = kept.read_bytes()
        kept.write_bytes(whole[: len(whole) // 2] if content is None else content)
        events = run(engine, job)
        assert isinstance(events[-1], Finished), events[-1]
        said = [event.text for event in events if isinstance(event, Log)]
        assert any(name in text and "made again" in text for text in said)
        assert any("going on after step" in text for text in said)
        other = make_job(settings={"steps": 3}, output={"directory": str(tmp_path / "other")})
        assert isinstance(run(engine, other)[-1], Finished)
    assert frames_of(tmp_path / "out") == frames_of(tmp_path / "other")


def test_poses_that_a_run_did_not_come_to_write_are_made_up_for(
    make_job: JobMaker, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with LocalEngine() as engine:
        run(engine, make_job())
        poses = (out / "poses.npz").read_bytes()
        # As a run leaves it that stopped after its last frame: kept poses, none for people.
        (out / "state").mkdir()
        (out / "poses.npz").rename(out / "state" / "motion.npz")
        assert isinstance(run(engine, make_job())[-1], Finished)
    assert (out / "poses.npz").read_bytes() == poses
    assert not (out / "state").exists()


def test_going_on_with_other_libraries_is_said(make_job: JobMaker, tmp_path: Path) -> None:
    record = tmp_path / "out" / "render.json"
    with LocalEngine() as engine:
        run(engine, make_job())
        data = json.loads(record.read_text(encoding="utf-8"))
        data["versions"]["torch"] = "1.0"
        record.write_text(json.dumps(data), encoding="utf-8")
        (tmp_path / "out" / "frames" / "000103.png").unlink()
        events = run(engine, make_job())
    assert isinstance(events[-1], Finished)
    said = [event.text for event in events if isinstance(event, Log) and event.level == "warning"]
    assert any("was begun with torch 1.0 (now" in text for text in said)


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes that are no text")
def test_names_that_are_no_text_go_through_a_whole_render(
    make_job: JobMaker, tmp_path: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"\xff\xfe odd")
    odd.mkdir()
    job = make_job()
    for name in ("hero.png", "hero.pose.npz", "wave.npz"):
        (tmp_path / name).rename(odd / name)
    job |= {"motion": {"path": str(odd / "wave.npz")}, "character": str(odd / "hero.png")}
    job |= {"output": {"directory": str(odd / "out"), "videos": ["mp4", "gif"]}}
    with LocalEngine() as engine:
        for _ in range(2):
            events = run(engine, job)
            assert isinstance(events[-1], Finished), events[-1]
            assert all(write_line(event).isascii() for event in events)
            assert all(Path(video).is_file() for video in events[-1].videos)
    assert json.loads((odd / "out" / "render.json").read_bytes())["job"]["character"] == str(
        odd / "hero.png"
    )
