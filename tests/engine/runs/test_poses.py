"""Capture, clean-up and pose maps as jobs of the engine, and what a host may ask it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext.client import EngineProcess
from marionext.codec import decode
from marionext.local import LocalEngine
from marionext.planning import Outline
from marionext.pose import Finding, PoseTrack
from marionext.pose.formats import read_track, write_track
from marionext.protocol import Event, Failed, Finished, FrameWritten, Log, Planned, Progress

JobMaker = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    """One engine for all jobs of this module, as a host keeps it."""
    with LocalEngine() as engine:
        yield engine


def run(engine: LocalEngine, job: dict[str, Any], **settings: Any) -> list[Event]:
    return engine.wait(engine.submit(job, settings), timeout=300)


def spoilt(track: PoseTrack) -> PoseTrack:
    """Return a track with a wild right wrist in one frame."""
    points = track.points.copy()
    points[12, 0, 4] += (30, -30)
    return track.with_(points=points)


@pytest.fixture
def long_track(track_file: Path, tmp_path: Path) -> Path:
    """Thirty poses; in number 113 the right wrist is far away."""
    track = read_track(track_file)
    points = np.concatenate([track.points] * 5)[:30]
    scores = np.concatenate([track.scores] * 5)[:30]
    path = tmp_path / "long.npz"
    write_track(spoilt(track.with_(points=points * 0 + points[:1], scores=scores)), path)
    return path


def test_cleaning_is_a_job_that_tells_what_it_found(
    engine: LocalEngine, long_track: Path, tmp_path: Path
) -> None:
    job = {
        "kind": "track",
        "motion": {"path": str(long_track)},
        "output": str(tmp_path / "clean.npz"),
        "findings": str(tmp_path / "findings.json"),
        "frames": "105-120",
    }
    events = run(engine, job)
    finished = events[-1]
    assert isinstance(finished, Finished), finished
    assert (finished.directory, finished.frames) == (str(tmp_path / "clean.npz"), 16)
    track = read_track(tmp_path / "clean.npz")
    assert (track.first, len(track)) == (105, 16)
    assert np.abs(track.points[8, 0, 4] - track.points[0, 0, 4]).max() < 1
    found = [decode(Finding, item) for item in json.loads((tmp_path / "findings.json").read_text())]
    assert [(one.what, str(one.frames), one.mended) for one in found] == [
        ("outlier", "113-113", True)
    ]
    assert any("clean-up found: 1 outlier" in e.text for e in events if isinstance(e, Log))


def test_edits_of_a_job_file_reach_the_track(
    engine: LocalEngine, track_file: Path, tmp_path: Path
) -> None:
    edits = [
        {"kind": "offset", "frames": "102-103", "joints": ["nose"], "by": [7, 0]},
        {"kind": "hide", "joints": ["left_arm"]},
    ]
    job = {
        "kind": "track",
        "motion": {"path": str(track_file)},
        "output": str(tmp_path / "edited.npz"),
        "pose": {"fit": "none", "clean": False, "edits": edits},
    }
    assert isinstance(run(engine, job)[-1], Finished)
    before, after = read_track(track_file), read_track(tmp_path / "edited.npz")
    np.testing.assert_array_equal(
        after.points[:, 0, 0, 0] - before.points[:, 0, 0, 0], [0, 7, 7, 0, 0, 0, 0]
    )
    assert (after.scores[:, 0, 6] == 0).all()
    assert (after.scores[:, 0, 3] == before.scores[:, 0, 3]).all()


def test_pose_maps_are_a_job_that_keeps_what_is_there(
    engine: LocalEngine, track_file: Path, tmp_path: Path
) -> None:
    job = {
        "kind": "posemaps",
        "motion": {"path": str(track_file)},
        "output": str(tmp_path / "maps"),
        "frames": "103-104",
        "width": 64,
        "height": 128,
    }
    events = run(engine, job)
    assert isinstance(events[-1], Finished)
    assert [event.frame for event in events if isinstance(event, FrameWritten)] == [103, 104]
    assert isinstance(run(engine, {**job, "frames": "103-105"})[-1], Finished)
    (tmp_path / "maps" / "000103.png").write_bytes(b"mine")
    assert isinstance(run(engine, job)[-1], Failed)
    assert (tmp_path / "maps" / "000103.png").read_bytes() == b"mine"
    with Image.open(tmp_path / "maps" / "000105.png") as drawn:
        assert drawn.size == (64, 128)
    run(engine, job, overwrite=True)
    assert (tmp_path / "maps" / "000103.png").read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "dance"}, "expected one of"),
        ({"kind": "track", "settings": {}}, "unknown key 'settings'"),
        ({"kind": "track", "width": 3}, "width"),
        ({"kind": "posemaps", "width": 64}, "both a width and a height"),
        ({"kind": "track", "frames": "101,103"}, "consecutive frames"),
    ],
)
def test_a_wrong_job_is_refused_with_its_key(
    engine: LocalEngine, track_file: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    job = {"motion": {"path": str(track_file)}, "output": str(tmp_path / "o.npz"), **changes}
    failed = run(engine, job)[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "settings"
    assert words in failed.message, failed.message
    assert not (tmp_path / "o.npz").exists()


@pytest.mark.slow
def test_a_worker_answers_plans_while_it_renders_the_newest_first(
    make_job: JobMaker, track_file: Path, tmp_path: Path
) -> None:
    long = make_job(settings={"steps": 30})
    with EngineProcess(environment={"OMP_NUM_THREADS": "1"}) as process:
        rendering = process.submit(long)
        events: list[Event] = []
        while not any(isinstance(e, Progress) and e.stage == "denoise" for e in events):
            events = process.poll()
        # The first is at work when the others come, or waits with them: it may be answered.
        asked = [process.ask_plan(make_job(frames=f"101-{stop}")) for stop in (102, 103, 104)]
        wrong = process.ask_plan(make_job(motion={"path": str(tmp_path / "no.mp4")}))
        answers: dict[str, Event] = {}
        while len(answers) < 4:
            for event in process.poll():
                if isinstance(event, Planned | Failed):
                    answers[event.job_id] = event
                assert not isinstance(event, Finished), "the render went on meanwhile"
        failed = answers[wrong]
        assert isinstance(failed, Failed)
        assert "no such motion" in failed.message
        for question in asked:
            answer = answers[question]
            assert isinstance(answer, Planned) or answer.code == "cancelled"
        last = process.ask_plan(make_job(frames="101-103"))
        while not isinstance(answer := next(iter(process.poll()), None), Planned):
            pass
        assert answer.job_id == last
        outline = decode(Outline, answer.outline)
        assert (outline.frames, outline.selection) == (3, "101-103")
        process.cancel(rendering)
        assert isinstance(process.wait(rendering, timeout=60)[-1], Failed)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_a_track_that_its_own_job_has_left_counts_as_done_and_any_other_file_is_refused(
    engine: LocalEngine, long_track: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    job = {
        "kind": "track",
        "motion": {"path": str(long_track)},
        "output": str(tmp_path / "clean.npz"),
        "findings": str(tmp_path / "findings.json"),
    }

    def done() -> Finished | Failed:
        ended = engine.wait(engine.submit(job))[-1]
        assert isinstance(ended, Finished | Failed)
        return ended

    assert isinstance(done(), Finished)
    whole = (tmp_path / "clean.npz").read_bytes()
    written = (tmp_path / "clean.npz").stat().st_mtime_ns
    again = done()
    assert isinstance(again, Finished)
    assert again.frames == 30
    assert (tmp_path / "clean.npz").stat().st_mtime_ns == written, "it is left alone"
    # The worker died between the two files.
    (tmp_path / "findings.json").unlink()
    assert isinstance(done(), Finished)
    assert (tmp_path / "findings.json").is_file()
    assert (tmp_path / "clean.npz").read_bytes() == whole
    (tmp_path / "clean.npz").write_bytes(b"mine")
    refused = done()
    assert isinstance(refused, Failed)
    assert "clean.npz is there already" in refused.message
    assert (tmp_path / "clean.npz").read_bytes() == b"mine"
