import os
import signal
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from tests.desktop.model.test_edit_stack import wandering

from marionext.edits import Hide, Smooth
from marionext.errors import EngineError
from marionext.frames import FrameRange, FrameRate
from marionext.pose import apply
from marionext.pose.formats import write_native
from marionext_desktop.model import editing, posing
from marionext_desktop.model.document import Document
from marionext_desktop.model.places import stamp_of
from marionext_desktop.model.poses import Poses, placement
from marionext_desktop.model.project import Project, Source

FRAMES = 90


@pytest.fixture
def document(tmp_path: Path) -> Document:
    media = tmp_path / "m.json"
    media.write_text("poses")
    source = Source(
        id="s", path=str(media), kind="poses", name="m", frames=FRAMES, size=(640, 480),
        rate=FrameRate(Fraction(30)), stamp=stamp_of(media),
    )  # fmt: skip
    project = editing.add_source(Project(), source)
    clip = replace(editing.whole_clip(project, "s"), id="c")
    return Document(editing.append(project, clip))


@pytest.fixture
def poses(document: Document, tmp_path: Path, qtbot: QtBot) -> Poses:
    poses = Poses(document, folder=tmp_path / "tracks")
    write_native(wandering(FRAMES), poses.file_of(document.project.sources[0]))
    with qtbot.waitSignal(poses.track_ready):
        assert poses.keypoints(document.project.clip("c")) is None
    return poses


def edit(document: Document, *edits: object) -> None:
    project = document.project
    clip = project.clip("c")
    document.do("Edit", project.with_clips({"c": replace(clip, edits=(*clip.edits, *edits))}))  # type: ignore[arg-type]


def test_a_drag_changes_its_frames_at_once(document: Document, poses: Poses) -> None:
    told: list[tuple[str, FrameRange]] = []
    poses.changed.connect(lambda name, span: told.append((name, span)))
    now = poses.keypoints(document.project.clip("c"))
    assert now is not None
    start = document.project
    for x in (10.0, 20.0, 30.0):
        document.do("Drag", posing.drag(start, "c", 0, 8, {4: (x, 5.0)}, now), merge="drag")
    document.end_gesture()
    # The first edit of a clip makes arrays of its own.
    assert told[0] == ("c", None)
    assert set(told[1:]) == {("c", FrameRange(8, 9))}
    now = poses.keypoints(document.project.clip("c"))
    assert now is not None
    assert now.points[8, 0, 4].tolist() == [30.0, 5.0]
    document.undo()
    assert now.points[8, 0, 4].tolist() == wandering(FRAMES).points[8, 0, 4].tolist()
    poses.close()


def test_a_filter_is_worked_out_beside_the_window(
    document: Document, poses: Poses, qtbot: QtBot
) -> None:
    busy: list[bool] = []
    poses.busy_changed.connect(busy.append)
    smooth = Smooth(window=9)
    hide = Hide(joints=("nose",), frames=FrameRange(3, 6))
    started = time.perf_counter()
    edit(document, smooth, hide)
    assert time.perf_counter() - started < 0.05
    clip = document.project.clip("c")
    assert poses.is_pending(clip)
    assert poses.sequence_track(FrameRange(0, FRAMES)) is None
    qtbot.waitUntil(lambda: not poses.is_pending(clip), timeout=20_000)
    now = poses.keypoints(clip)
    assert now is not None
    expected = apply(wandering(FRAMES), [smooth, hide])
    assert np.array_equal(now.points, expected.points)
    assert np.array_equal(now.scores, expected.scores)
    assert busy == [True, False]
    track = poses.sequence_track(FrameRange(0, FRAMES))
    assert track is not None
    assert track.cleaned
    document.undo()
    document.redo()  # known from before
    assert not poses.is_pending(document.project.clip("c"))
    poses.close()


def test_a_process_that_is_killed_is_said_and_started_again(
    document: Document, poses: Poses, qtbot: QtBot
) -> None:
    edit(document, Smooth(window=9))
    qtbot.waitUntil(lambda: not poses.is_pending(document.project.clip("c")), timeout=20_000)
    pid = poses._process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    edit(document, Smooth(window=11))
    errors: list[EngineError] = []
    poses.failed.connect(lambda _name, error: errors.append(error))
    os.kill(pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: len(errors) == 1, timeout=20_000)
    assert errors[0].code == "protocol"
    poses.keypoints(document.project.clip("c"))
    qtbot.waitUntil(lambda: not poses.is_pending(document.project.clip("c")), timeout=20_000)
    assert poses._process.pid != pid
    poses.close()


def test_halves_of_a_clip_go_their_own_ways(document: Document, poses: Poses) -> None:
    edit(document, Hide(joints=("nose",)))
    document.do("Cut", editing.blade(document.project, 40))
    left, right = document.project.clips
    half = Hide(joints=("neck",))
    document.do("Edit", posing.add_edits(document.project, right.id, [half]))
    left, right = document.project.clips
    a, b = poses.keypoints(left), poses.keypoints(right)
    assert a is not None
    assert b is not None
    assert (a.scores[:, 0, 0] == 0).all()
    assert (b.scores[:, 0, :2] == 0).all()
    assert (a.scores[:, 0, 1] > 0).any()
    poses.close()


def test_the_sequence_lies_on_the_canvas_at_the_projects_rate(
    document: Document, poses: Poses
) -> None:
    project = replace(document.project, size=(1280, 1920))
    project = editing.retime(project, "c", Fraction(1, 2))
    document.do("Slow", project)
    track = poses.sequence_track(FrameRange(10, 40))
    assert track is not None
    assert (track.first, len(track), track.size) == (10, 30, (1280, 1920))
    base = wandering(FRAMES)
    assert np.allclose(track.points[0, 0], base.points[5, 0] * 2 + (0, 480), atol=1e-3)
    between = (base.points[5, 0] + base.points[6, 0]) / 2 * 2 + (0, 480)
    seen = (base.scores[5, 0] > 0) & (base.scores[6, 0] > 0)
    assert np.allclose(track.points[1, 0][seen], between[seen], atol=1e-3)
    pose = poses.pose_at(10)
    assert pose is not None
    assert np.allclose(pose.points[0], track.points[0, 0], atol=1e-3)
    everybody = editing.set_person(document.project, "c", None)
    all_of_them = poses.sequence_track(FrameRange(0, 5), everybody)
    assert all_of_them is not None
    assert all_of_them.people == 2
    poses.close()


def test_a_gap_of_the_timeline_holds_nobody(document: Document, poses: Poses) -> None:
    document.do("Move", editing.move(document.project, ["c"], 10))
    track = poses.sequence_track(FrameRange(0, 20))
    assert track is not None
    assert not track.scores[:10].any()
    assert track.scores[10:].any()
    assert poses.pose_at(3) is None
    poses.close()


def test_a_damaged_track_is_told(document: Document, tmp_path: Path, qtbot: QtBot) -> None:
    poses = Poses(document, folder=tmp_path / "tracks")
    file = poses.file_of(document.project.sources[0])
    file.parent.mkdir()
    file.write_bytes(b"no track")
    with qtbot.waitSignal(poses.failed) as told:
        poses.keypoints(document.project.clip("c"))
    assert "pose track" in told.args[1].message
    poses.close()


def test_a_picture_lies_whole_in_the_middle_of_the_canvas() -> None:
    where = placement((640, 480), (1080, 1920))
    assert where.to_source(0, 555) == pytest.approx((0, 0))
    corner = where.to_canvas(np.array([[640.0, 480.0]]))[0]
    assert corner.tolist() == pytest.approx([1080, 1365])
