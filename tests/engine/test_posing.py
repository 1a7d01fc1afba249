"""Live poses: one pose, one picture, at once; in this thread, in an engine, in its process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext import pose as poses
from marionext.casting import open_doll, write_layered
from marionext.client import EngineProcess
from marionext.codec import encode
from marionext.errors import CharacterError, EngineError, MotionError, SettingsError
from marionext.hosts import LivePictures, SharedEngine
from marionext.jobs import LivePose, decode_job
from marionext.local import LocalEngine
from marionext.pose import PoseTrack
from marionext.pose.formats import read_track, write_native
from marionext.posing import Poser
from marionext.protocol import Event, Failed, Finished, FrameWritten, Posed, Referenced, Reply
from marionext.reporting import Reporter
from marionext.staging import cropped_pose

JobMaker = Callable[..., dict[str, Any]]
CALM = {"OMP_NUM_THREADS": "1"}


def quiet() -> Reporter:
    return Reporter("q", lambda _event: None, lambda: False)


def live(character: Path, track: PoseTrack, frame: int = 0, **changes: Any) -> LivePose:
    return LivePose(
        **{
            "character": str(character),
            "width": track.size[0],
            "height": track.size[1],
            "points": tuple(track.points[frame].tolist()),
            "scores": tuple(track.scores[frame].tolist()),
            **changes,
        }
    )


def ending(poll: Callable[[], list[Event]], name: str, seconds: float = 60) -> Reply | Failed:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in poll():
            if isinstance(event, Reply | Failed) and event.job_id == name:
                return event
        time.sleep(0.005)
    raise AssertionError(f"{name} is not answered within {seconds} s")


@pytest.fixture
def dance(track_file: Path) -> PoseTrack:
    return read_track(track_file)


def test_the_character_is_seen_in_the_pose(character_file: Path, dance: PoseTrack) -> None:
    poser = Poser()
    first, second, again = (
        poser.draw(live(character_file, dance, frame), quiet()) for frame in (0, 2, 0)
    )
    assert first.shape == (128, 96, 3)
    assert np.array_equal(first, again)
    changed = np.abs(first.astype(int) - second).max(-1) > 20
    assert 10 < changed.sum() < changed.size / 2, "the arm has moved, the room has not"


def test_a_picture_that_was_changed_is_seen_at_once(character_file: Path, dance: PoseTrack) -> None:
    poser = Poser()
    before = poser.draw(live(character_file, dance), quiet())
    pixels = np.array(Image.open(character_file))
    Image.fromarray(pixels[..., ::-1].copy()).save(character_file)
    after = poser.draw(live(character_file, dance), quiet())
    assert np.abs(before.astype(int) - after).max() > 50


def test_a_layered_doll_is_a_character_and_says_which_layer_it_lacks(
    character_file: Path, dance: PoseTrack, tmp_path: Path
) -> None:
    folder = tmp_path / "hero.doll"
    write_layered(open_doll(character_file, lambda _text: None), folder)
    poser = Poser()
    asked = live(folder, dance, 2)
    layered, flat = (
        poser.draw(asked, quiet()),
        poser.draw(live(character_file, dance, 2), quiet()),
    )
    assert np.abs(layered.astype(int) - flat).mean() < 2
    gone = max(folder.glob("*.png"))
    gone.unlink()
    with pytest.raises(CharacterError, match=gone.stem):
        poser.draw(asked, quiet())


def test_another_size_is_the_same_picture_larger(character_file: Path, dance: PoseTrack) -> None:
    poser = Poser()
    small = poser.draw(live(character_file, dance), quiet())
    points = tuple((2 * dance.points[0]).tolist())
    twice = live(character_file, dance, width=192, height=256, points=points)
    large = poser.draw(twice, quiet())
    assert large.shape == (256, 192, 3)
    shrunk = large.reshape(128, 2, 96, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 8


@pytest.mark.parametrize("mode", ["none", "linear", "limbs", "inside"])
def test_the_fit_is_that_of_a_render_of_the_motion(
    mode: Any, character_file: Path, dance: PoseTrack, tmp_path: Path
) -> None:
    # A motion of another place, size and picture than the character's.
    motion = dance.with_(points=dance.points * 1.4 + np.float32(9.0), size=(192, 256))
    write_native(motion, tmp_path / "clip.npz")
    reference = read_track(character_file.with_suffix(".pose.npz"))
    rendered = poses.fit(motion, reference, mode).track
    poser = Poser()
    halved = tuple((motion.points[3] / 2).tolist())
    asked = live(
        character_file, dance, 3, points=halved, fit=mode, motion=str(tmp_path / "clip.npz")
    )
    seen = poser.draw(asked, quiet())
    wanted = poser.draw(live(character_file, rendered, 3), quiet())
    assert np.abs(seen.astype(int) - wanted).mean() < 0.5


def _changed(**changes: Any) -> Callable[[LivePose], LivePose]:
    return lambda asked: replace(asked, **changes)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (_changed(character="/nowhere/hero.png"), CharacterError, "no such character"),
        (_changed(motion="/nowhere/a.npz", fit="linear"), MotionError, "no such motion"),
        (_changed(scores=((1.0,) * 133,)), SettingsError, "expected numbers of shape"),
        (_changed(points=(((0.0, float("nan")),) * 134,)), SettingsError, "expected numbers from"),
        (_changed(points=(((0.0, 1e9),) * 134,)), SettingsError, "expected numbers from"),
        (_changed(points=((("left", 0.0),) * 134,)), SettingsError, "expected numbers of shape"),
        (_changed(points=(10**400,)), SettingsError, "expected numbers of shape"),
        (_changed(depths=((0.0,) * 3,)), SettingsError, "expected numbers of shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(
    change: Callable[[LivePose], LivePose],
    kind: type[EngineError],
    words: str,
    character_file: Path,
    dance: PoseTrack,
) -> None:
    with pytest.raises(kind, match=words):
        Poser().draw(change(live(character_file, dance)), quiet())


@pytest.mark.parametrize(
    "changes", [{"width": 0}, {"height": 100_000}, {"points": ()}, {"points": ((),) * 17}]
)
def test_sizes_and_crowds_are_bounded_before_anything_is_made(changes: dict[str, Any]) -> None:
    good: dict[str, Any] = {"width": 64, "height": 64, "points": ((),), "scores": ()}
    with pytest.raises(SettingsError, match="expected a number from"):
        LivePose(**{"character": "hero.png", **good, **changes})


def test_a_picture_with_nobody_in_it_is_refused_in_words(
    character_file: Path, dance: PoseTrack, tmp_path: Path
) -> None:
    nobody = tmp_path / "room.png"
    shutil.copy(character_file, nobody)
    empty = dance.with_(
        points=dance.points[:1, :0], scores=dance.scores[:1, :0], origins=dance.origins[:1, :0]
    )
    write_native(empty, tmp_path / "room.pose.npz")
    with pytest.raises(CharacterError, match="nobody is in it"):
        Poser().draw(live(nobody, dance), quiet())


def test_of_poses_that_wait_the_newest_is_drawn(character_file: Path, dance: PoseTrack) -> None:
    with LocalEngine() as engine:
        asked = [engine.ask_pose(encode(live(character_file, dance, n % 7))) for n in range(30)]
        ends: dict[str, Event] = {}
        while len(ends) < len(asked):
            event = engine.next_event()
            if isinstance(event, Posed | Failed):
                assert event.job_id not in ends
                ends[event.job_id] = event
    assert isinstance(ends[asked[-1]], Posed)
    overtaken = [event for event in ends.values() if isinstance(event, Failed)]
    assert {event.code for event in overtaken} == {"cancelled"}
    # Whatever had begun is told as well; the first may have been too quick to be overtaken.
    assert len(overtaken) >= 20


def test_a_question_that_is_none_fails_and_the_next_is_answered(
    character_file: Path, dance: PoseTrack
) -> None:
    with LocalEngine() as engine:
        for wrong in ({}, {"character": "a\0b"}, {"character": 1}, {"width": "wide"}):
            failed = ending(engine.poll, engine.ask_pose(wrong))
            assert isinstance(failed, Failed)
            assert failed.code == "settings"
        assert isinstance(ending(engine.poll, engine.ask_pose(live(character_file, dance))), Posed)


@pytest.mark.parametrize("model", ["doll", "puppet"])
def test_the_pose_that_a_render_lays_its_motion_over_is_told(
    model: str, make_job: JobMaker, character_file: Path
) -> None:
    job = make_job(model=model, motion={"path": "not-yet.npz"})
    job["settings"] = {"width": 64, "height": 128}
    size = decode_job(job).settings.size  # type: ignore[union-attr]
    with LocalEngine() as engine:
        told = ending(engine.poll, engine.ask_reference(job))
        assert isinstance(told, Referenced)
        assert (told.width, told.height) == size
        wanted = cropped_pose(read_track(character_file.with_suffix(".pose.npz")), size)
        assert np.allclose(told.points, wanted.points[0], atol=0.01)
        assert np.allclose(told.scores, wanted.scores[0])
        gone = ending(engine.poll, engine.ask_reference({**job, "character": "nobody.png"}))
        assert isinstance(gone, Failed)
        assert gone.code == "character"


@pytest.mark.slow
def test_poses_are_drawn_in_the_process_while_a_job_runs(
    make_job: JobMaker, character_file: Path, dance: PoseTrack
) -> None:
    with EngineProcess(environment=CALM) as engine:
        events: list[Event] = []

        def poll() -> list[Event]:
            new = engine.poll()
            events.extend(new)
            return new

        job_id = engine.submit(make_job(settings={"steps": 20}))
        for frame in (0, 3):
            asked = live(character_file, dance, frame)
            posed = ending(poll, engine.ask_pose(asked))
            assert isinstance(posed, Posed)
            assert (posed.width, posed.height) == (96, 128)
            picture = np.frombuffer(posed.pixels, np.uint8).reshape(128, 96, 3)
            assert np.array_equal(picture, Poser().draw(asked, quiet()))
        assert not any(isinstance(event, Finished) for event in events)
        assert isinstance(engine.wait(job_id, timeout=300)[-1], Finished)


@pytest.mark.slow
def test_a_dead_engine_fails_the_question_and_a_new_one_is_started(
    character_file: Path, dance: PoseTrack
) -> None:
    shared = SharedEngine()
    pictures = LivePictures(shared)

    def answer(seconds: float = 60) -> Posed | Failed:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (found := pictures.poll()) is not None:
                return found
            time.sleep(0.005)
        raise AssertionError("no answer")

    try:
        pictures.ask(live(character_file, dance), environment=CALM)
        assert isinstance(answer(), Posed)
        first = shared.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)  # it takes the question, and never answers
        pictures.ask(live(character_file, dance, 1), environment=CALM)
        assert [pictures.poll() for _ in range(3)] == [None] * 3
        os.kill(first, signal.SIGKILL)
        failed = answer()
        assert isinstance(failed, Failed)
        assert "ended unexpectedly" in failed.message
        pictures.ask(live(character_file, dance), environment=CALM)
        assert isinstance(answer(), Posed)
        assert shared.pid != first
        gone = [str(character_file.with_name("no-engine"))]
        pictures.ask(live(character_file, dance), command=gone)
        failed = answer()
        assert isinstance(failed, Failed)
        assert "cannot be started" in failed.message
        assert not pictures.waiting
    finally:
        shared.close()


@pytest.mark.slow
def test_jobs_and_live_pictures_share_an_engine(
    make_job: JobMaker, character_file: Path, dance: PoseTrack
) -> None:
    shared = SharedEngine()
    try:
        work = shared.begin(make_job(), {}, environment=CALM)
        pictures = LivePictures(shared)
        events: list[Event] = []
        answers: list[Posed | Failed] = []
        deadline = time.monotonic() + 300
        while not any(isinstance(event, Finished | Failed) for event in events):
            assert time.monotonic() < deadline
            if not pictures.waiting:
                pictures.ask(live(character_file, dance, len(answers) % 7), environment=CALM)
            if (found := pictures.poll()) is not None:
                answers.append(found)
            events += work.poll()
            time.sleep(0.005)
        assert isinstance(events[-1], Finished)
        assert sum(isinstance(event, FrameWritten) for event in events) == 7
        assert len(answers) > 3
        assert all(isinstance(answer, Posed) for answer in answers)
    finally:
        shared.close()


@pytest.mark.slow
def test_a_host_that_does_not_read_gets_no_heap_of_pictures(
    character_file: Path, dance: PoseTrack
) -> None:
    """Six megabytes a picture; none of them is read before the last is asked."""
    asked = live(character_file, dance, width=1600, height=1300)
    line = json.dumps({"type": "pose", "job_id": "@", "pose": encode(asked)}) + "\n"
    worker = subprocess.Popen(
        [sys.executable, "-m", "marionext", "worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **CALM},
        text=True,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    for number in range(12):
        worker.stdin.write(line.replace("@", str(number)))
        worker.stdin.flush()
        time.sleep(0.5)
    kinds: dict[str, str] = {}
    while len(kinds) < 12:
        event = json.loads(worker.stdout.readline())
        if event["type"] in {"posed", "failed"}:
            kinds[event["job_id"]] = event["type"]
    worker.stdin.close()
    worker.stdout.close()
    assert worker.wait(60) == 0
    assert sum(kind == "posed" for kind in kinds.values()) <= 6
