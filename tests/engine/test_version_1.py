"""What version 0.1.0 wrote still works: job files, render folders, protocol lines."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext import bundles
from marionext.jobs import RenderJob, encode_job, read_job
from marionext.local import LocalEngine
from marionext.protocol import (
    Cancel,
    Failed,
    Finished,
    FrameWritten,
    Progress,
    Shutdown,
    Submit,
    read_command,
    read_event,
)
from marionext.record import Record, identity_of

OLD = Path(__file__).parents[1] / "data" / "version-1"
ROUNDING = 2
"""Levels of 255 that another processor may round differently."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the old files; skipped once the puppet that made them is no longer shipped."""
    theirs = Record.read(OLD / "finished" / "render.json").models
    if theirs != bundles.fingerprint(bundles.find("puppet")):
        pytest.skip("the built-in model was trained anew since: its old renders are another's")
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


def job_in(old: Path, folder: str) -> dict[str, Any]:
    job = json.loads((old / "job.json").read_text())
    job["motion"]["path"] = str(old / "wave.npz")
    job["character"] = str(old / "hero.png")
    job["output"]["directory"] = str(old / folder)
    return dict(job)


def frames_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "frames").glob("*.png"))}


def pixels_in(folder: Path) -> np.ndarray[Any, Any]:
    paths = sorted((folder / "frames").glob("*.png"))
    return np.stack([np.asarray(Image.open(path), np.int16) for path in paths])


def test_a_job_file_means_what_it_meant() -> None:
    job = read_job(OLD / "job.json")
    assert isinstance(job, RenderJob)
    assert job.kind == "render"
    assert job.again is None
    assert job.pose.edits == ()
    assert (job.settings.kind, job.settings.steps, job.settings.window) == ("svd", 2, 4)


def test_a_render_is_the_same_render_though_jobs_have_more_keys_now() -> None:
    record = Record.read(OLD / "finished" / "render.json")
    theirs = json.loads((OLD / "finished" / "render.json").read_text())["job"]
    assert not {"source_rate", "up"} & set(theirs["motion"])
    job = read_job(OLD / "job.json")
    now = encode_job(job) | {"settings": record.job["settings"]}
    assert {"source_rate", "up"} <= set(now["motion"])
    before = {k: v for k, v in now["motion"].items() if k not in {"source_rate", "up"}}
    then = {**now, "motion": before}
    assert identity_of(now, {}, {}, {}) == identity_of(then, {}, {}, {})
    declared = {**now, "motion": {**now["motion"], "source_rate": "16"}}
    assert identity_of(declared, {}, {}, {}) != identity_of(now, {}, {}, {})
    stood = {**now, "motion": {**now["motion"], "up": "z"}}
    assert identity_of(stood, {}, {}, {}) != identity_of(now, {}, {}, {})


@pytest.mark.parametrize("folder", ["killed", "decoding"])
def test_an_interrupted_render_ends_as_it_would_have(old: Path, folder: str) -> None:
    before = frames_in(old / folder)
    with LocalEngine() as engine:
        events = engine.wait(engine.submit(job_in(old, folder)), timeout=300)
    assert isinstance(events[-1], Finished), events[-1]
    after = frames_in(old / folder)
    assert len(after) == 7
    assert {name: after[name] for name in before} == before
    difference = np.abs(pixels_in(old / folder) - pixels_in(old / "finished"))
    assert difference.max() <= ROUNDING


def test_a_finished_render_is_left_alone_and_a_lost_frame_comes_back(old: Path) -> None:
    before, pixels = frames_in(old / "finished"), pixels_in(old / "finished")
    with LocalEngine() as engine:
        events = engine.wait(engine.submit(job_in(old, "finished")), timeout=300)
        assert isinstance(events[-1], Finished), events[-1]
        assert not any(isinstance(event, FrameWritten) for event in events)
        assert frames_in(old / "finished") == before
        (old / "finished" / "frames" / "000104.png").unlink()
        events = engine.wait(engine.submit(job_in(old, "finished")), timeout=300)
        written = [event.frame for event in events if isinstance(event, FrameWritten)]
    assert written == [104]
    assert np.abs(pixels_in(old / "finished") - pixels).max() <= ROUNDING
    after = frames_in(old / "finished")
    assert all(after[name] == before[name] for name in before if name != "000104.png")


def test_a_part_of_it_cannot_be_made_again_and_it_is_said_why(old: Path) -> None:
    before = frames_in(old / "finished")
    with LocalEngine() as engine:
        job = {**job_in(old, "finished"), "again": "103-104"}
        failed = engine.wait(engine.submit(job), timeout=300)[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "output"
    assert "latents of this render were not kept" in failed.message
    assert frames_in(old / "finished") == before
    assert Record.read(old / "finished" / "render.json").takes == ()


def test_protocol_lines_of_an_older_host_and_engine_are_read() -> None:
    job = {"motion": {"path": "wave.npz"}, "character": "hero.png", "output": {"directory": "out"}}
    submit = json.dumps({"type": "submit", "job_id": "1", "job": job, "engine": {}})
    assert read_command(submit) == Submit(job_id="1", job=job, engine={})
    assert read_command('{"type": "cancel", "job_id": "1"}') == Cancel(job_id="1")
    assert read_command('{"type": "shutdown"}') == Shutdown()
    events = [read_event(line) for line in (OLD / "events.txt").read_text().splitlines()]
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(event, FrameWritten) for event in events) == 7
    assert {event.stage for event in events if isinstance(event, Progress)} >= {"poses", "denoise"}
