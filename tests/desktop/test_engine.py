"""The engine's process from the window: captures, questions, what happens when it dies."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot
from tests.desktop.conftest import DANCE, waving

from marionext.jobs import LivePose
from marionext.pose.formats import write_track
from marionext.protocol import Failed, Planned, Posed
from marionext_desktop.engine import Engine
from marionext_desktop.engine.capturing import Captures
from marionext_desktop.engine.characters import CharacterPoses
from marionext_desktop.engine.retargeting import Retargeting
from marionext_desktop.model import editing, rendering
from marionext_desktop.model.document import Document
from marionext_desktop.model.importing import look_at
from marionext_desktop.model.library import FoundPose, how_far, warnings_of
from marionext_desktop.model.poses import Poses
from marionext_desktop.model.project import Character, Crop, Project

Wait = Callable[[Callable[[], object]], None]


@pytest.fixture
def wait(qtbot: QtBot) -> Wait:
    return lambda until: qtbot.waitUntil(lambda: bool(until()), timeout=90_000)


@pytest.fixture
def engine(qtbot: QtBot) -> Iterator[Engine]:
    del qtbot
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
def wave(tmp_path: Path) -> Path:
    write_track(waving(24), tmp_path / "wave.npz")
    return tmp_path / "wave.npz"


def project_of(path: Path) -> Project:
    found = look_at(str(path)).source
    assert found is not None
    project = editing.add_source(Project(), found)
    return editing.append(project, editing.whole_clip(project, found.id))


@pytest.mark.slow
def test_a_rig_is_captured_and_an_engine_that_dies_costs_one_job(
    tmp_path: Path, engine: Engine, wait: Wait
) -> None:
    document = Document(project_of(DANCE))
    poses = Poses(document, folder=tmp_path / "tracks")
    captures = Captures(document, poses, engine)
    source = document.project.sources[0]
    states: list[tuple[str, str]] = []
    engine.state_changed.connect(lambda state, words: states.append((state, words)))
    captures.start(source)
    wait(lambda: captures.state(source).stage == "ready")
    wait(lambda: poses.keypoints(document.project.clips[0]))
    keypoints = poses.keypoints(document.project.clips[0])
    assert keypoints is not None
    assert len(keypoints) == source.frames

    failed: list[object] = []
    captures.failed.connect(lambda name, error: failed.append((name, error)))
    captures.start(source, anew=True)
    wait(lambda: captures.state(source).stage in {"capturing", "failed"})
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    wait(lambda: captures.state(source).stage == "failed")
    assert "unexpectedly" in captures.state(source).message
    assert any(state == "lost" for state, _ in states)
    assert len(failed) == 1
    # The poses that were there still are, and the next job starts another engine.
    assert poses.keypoints(document.project.clips[0]) is not None
    captures.start(source, anew=True)
    wait(lambda: captures.state(source).stage == "ready")
    poses.close()


@pytest.mark.slow
def test_a_capture_is_stopped_with_its_source(tmp_path: Path, engine: Engine, wait: Wait) -> None:
    document = Document(project_of(DANCE))
    poses = Poses(document, folder=tmp_path / "tracks")
    captures = Captures(document, poses, engine)
    source = document.project.sources[0]
    captures.start(source)
    document.do("Remove", editing.remove_source(document.project, source.id))
    wait(lambda: not engine.tasks)
    assert captures.state(source).stage == "none"
    poses.close()


@pytest.mark.slow
def test_estimates_and_live_pictures_are_answered(
    wave: Path, hero: Path, engine: Engine, wait: Wait
) -> None:
    character = look_at(str(hero)).character
    assert character is not None
    project = replace(project_of(wave), characters=(character,))
    span = project.span
    assert span is not None
    job = replace(rendering.plan_job(project, span, wave, draft=True), frames=None)
    answers: list[Planned | Failed] = []
    for _ in range(3):
        engine.estimate(job, answers.append)
    wait(lambda: answers)
    assert isinstance(answers[-1], Planned), answers
    assert answers[-1].outline["frames"] == 24
    assert answers[-1].outline["seconds"] > 0

    pictured: list[tuple[Posed | Failed, object]] = []
    engine.pictured.connect(lambda event, tag: pictured.append((event, tag)))
    track = waving(2)
    scale = np.array([256 / 96, 384 / 128])
    for frame in range(6):
        pose = LivePose(
            character=str(hero), width=256, height=384, fit="limbs", motion=str(wave),
            points=tuple((track.points[0] * scale).tolist()),
            scores=tuple(track.scores[0].tolist()),
        )  # fmt: skip
        engine.show_pose(pose, tag=frame)
    wait(lambda: pictured and pictured[-1][1] == 5 and isinstance(pictured[-1][0], Posed))
    event = pictured[-1][0]
    assert isinstance(event, Posed)
    assert len(event.pixels) == 256 * 384 * 3
    wait(lambda: not engine.busy)


@pytest.mark.slow
def test_the_pose_of_a_character_is_known_and_judged(
    tmp_path: Path, wave: Path, hero: Path, engine: Engine, wait: Wait
) -> None:
    character = look_at(str(hero)).character
    assert character is not None
    document = Document(replace(project_of(wave), characters=(character,)))
    poses = Poses(document, folder=tmp_path / "tracks")
    known = CharacterPoses(document, poses, engine)
    wait(lambda: known.pose(character) is not None)
    found = known.pose(character)
    assert found is not None
    assert (found.scores[:18] > 0.3).sum() > 12
    kinds = {warned.kind for warned in known.warnings(character)}
    assert "nobody" not in kinds

    moved = tuple((float(x), float(y), 1.0) for x, y in found.points)
    changed: list[str] = []
    known.changed.connect(changed.append)
    hand = replace(character, points=moved)
    document.do("Move", replace(document.project, characters=(hand,)))
    assert changed == [character.id]
    pose = known.pose(hand)
    assert pose is not None
    assert (pose.scores == 1).all()

    empty = tmp_path / "empty.png"
    Image.new("RGB", (200, 300), "white").save(empty)
    nobody = look_at(str(empty)).character
    assert nobody is not None
    document.do("Add", replace(document.project, characters=(hand, nobody)))
    wait(lambda: not known.is_looking(nobody))
    # Where the detector's networks are not there, nothing was learnt about the picture.
    told = [warned.kind for warned in known.warnings(nobody)]
    assert told in ([], ["nobody"])
    known.close()
    poses.close()


def pose(scale: float = 4.0) -> FoundPose:
    track = waving(1)
    scores = np.full(134, 0.9, np.float32)
    points = track.points[0, 0] * scale
    points[24:92] = points[0] + np.linspace(0, 10 * scale, 68)[:, None]
    points[92:113] = points[7] + np.linspace(0, 9 * scale, 21)[:, None]
    points[113:134] = points[4] + np.linspace(0, 9 * scale, 21)[:, None]
    return FoundPose(points.astype(np.float32), scores)


def character(width: int = 384, height: int = 512, crop: Crop | None = None) -> Character:
    return Character(id="c", path="/c.png", name="c", size=(width, height), crop=crop)


def kinds(*arguments: object, **known: object) -> list[str]:
    return [warned.kind for warned in warnings_of(*arguments, **known)]  # type: ignore[arg-type]


def test_warnings_in_words() -> None:
    assert kinds(character(), None, render_size=(512, 768)) == ["nobody"]
    good = pose()
    assert kinds(character(), good, render_size=(1024, 1536)) == []
    small = warnings_of(character(), good, render_size=(256, 384))
    assert [warned.kind for warned in small] == ["face", "hands"]
    assert small[0].short == "face 30 px: may blur"
    assert kinds(character(), good, render_size=(256, 384), drawn=True) == []
    legless = replace(good, scores=np.where(np.isin(np.arange(134), [10, 13]), 0, good.scores))
    assert kinds(character(), legless, render_size=(1024, 1536)) == ["cut"]
    crop = Crop(x=0, y=0, width=384, height=300)
    assert kinds(character(crop=crop), good, render_size=(1024, 1536)) == ["cut"]


def test_how_far_poses_are_from_each_other_is_told_wherever_they_stand() -> None:
    one, far = pose(4.0), pose(9.0)
    assert how_far(one, far) == pytest.approx(0, abs=1e-6)
    shifted = replace(one, points=one.points + 50)
    assert how_far(one, shifted) == pytest.approx(0, abs=1e-6)
    upside = replace(one, points=-one.points)
    apart = how_far(one, upside)
    assert apart is not None
    assert apart > 0.22
    told = kinds(character(), one, render_size=(1024, 1536), first=upside)
    assert told == ["far"]


@pytest.mark.slow
def test_the_proportions_of_a_character_are_measured_and_followed(
    tmp_path: Path, wave: Path, hero: Path, engine: Engine, wait: Wait
) -> None:
    person = look_at(str(hero)).character
    assert person is not None
    document = Document(replace(project_of(wave), characters=(person,)))
    poses = Poses(document, folder=tmp_path / "tracks")
    poses.put_track(document.project.sources[0], waving(24))
    characters = CharacterPoses(document, poses, engine)
    retargeting = Retargeting(document, poses, characters)
    wait(lambda: retargeting.now.proportions)
    limbs = {each.limb: each.ratio for each in retargeting.now.proportions}
    assert {"Torso", "Arms", "Legs"} <= limbs.keys()
    assert all(0.3 < ratio < 4 for ratio in limbs.values())
    first = retargeting.now.motion
    assert first is not None
    assert first.is_file()
    document.do("Move", editing.set_mark_out(document.project, 9))
    wait(lambda: retargeting.now.motion not in (None, first))
    document.do("Nobody", replace(document.project, characters=()))
    wait(lambda: retargeting.now.motion is None)
    retargeting.close()
    characters.close()
    poses.close()
