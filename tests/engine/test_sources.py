"""A motion is opened once, and says then what it will turn out to be."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from marionext import motion, presets
from marionext.edits import Offset
from marionext.errors import MotionError, SettingsError
from marionext.frames import FrameRange, FrameRate
from marionext.jobs import CameraSettings, MotionSource, PoseMapJob, PoseSettings, read_job
from marionext.motion import JointAnimation
from marionext.motion import resample as resample_animation
from marionext.output import Pictures, encode_video
from marionext.pose import PoseTrack, resample, resampled_count
from marionext.posemap import draw
from marionext.reporting import Reporter
from marionext.sources import open_motion

JobMaker = Callable[..., dict[str, Any]]
DANCE = presets.folder("motions") / "dance.bvh"
RATES = (None, "12", "24", "30000/1001", "60")


def quiet() -> Reporter:
    return Reporter("", lambda _event: None, lambda: False)


def still_animation(frames: int, rate: FrameRate) -> JointAnimation:
    """Return one bone that stands still."""
    turns = np.tile(np.eye(3), (frames, 1, 1, 1))
    heads, tails = np.zeros((frames, 1, 3)), np.ones((frames, 1, 3))
    return JointAnimation(
        names=("post",),
        parents=np.array([-1]),
        heads=heads,
        tails=tails,
        rotations=turns,
        rest_heads=heads[0],
        rest_tails=tails[0],
        rest_rotations=turns[0],
        rate=rate,
    )


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("first", [None, -3])
@pytest.mark.parametrize("kind", ["rig", "track"])
def test_what_is_said_beforehand_is_what_is_read(
    track_file: Path, kind: str, rate: str | None, first: int | None
) -> None:
    source = MotionSource(
        path=str(DANCE if kind == "rig" else track_file),
        rate=None if rate is None else FrameRate.parse(rate),
        first=first,
    )
    motion = open_motion(source)
    assert motion.kind == kind
    assert motion.files == (Path(source.path),)
    track = motion.poses(PoseSettings(fit="none"), (96, 128), quiet())
    assert (track.frames, track.rate) == (motion.frames, motion.rate)
    if first is not None:
        assert motion.frames.start == first


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 40),
    rate=st.fractions(1, 120, max_denominator=1001),
    other=st.fractions(1, 120, max_denominator=1001),
)
def test_tracks_animations_and_maps_are_counted_alike(
    count: int, rate: Fraction, other: Fraction
) -> None:
    old, new = FrameRate(rate), FrameRate(other)
    track = PoseTrack(
        points=np.zeros((count, 1, 134, 2), np.float32),
        scores=np.zeros((count, 1, 134), np.float32),
        size=(8, 8),
        rate=old,
    )
    expected = -(-count * other // rate)
    assert resampled_count(count, old, new) == expected
    assert len(resample(track, new)) == expected
    assert len(resample_animation(still_animation(count, old), new)) == expected


def test_ready_made_maps_are_opened_once_and_have_no_keypoints(
    tmp_path: Path, track_file: Path
) -> None:
    from marionext.pose.formats import read_track

    track = read_track(track_file)
    pictures = [
        draw(track.points[index], track.scores[index], track.size, (64, 64))
        for index in range(len(track))
    ]
    folder = tmp_path / "maps"
    folder.mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{40 + index:04d}.png")
    motion = open_motion(MotionSource(path=str(folder)))
    assert (motion.kind, motion.frames) == ("posemaps", FrameRange(40, 47))
    assert len(motion.files) == 7
    maps = motion.maps()
    assert maps is not None
    assert maps.frame(41).any()
    with pytest.raises(MotionError, match="keypoints cannot be read back"):
        motion.poses(PoseSettings(), (64, 64), quiet())
    shown = Pictures(len(pictures), lambda index: pictures[index])
    encode_video(shown, FrameRate(Fraction(25)), tmp_path / "maps.mp4")
    film = open_motion(
        MotionSource(
            path=str(tmp_path / "maps.mp4"), palette="controlnext", rate=FrameRate(Fraction(20))
        )
    )
    assert (film.kind, len(film.frames)) == ("posemaps", 6)  # 7 at 25 last as long as 5.6 at 20


def test_what_is_hashed_is_what_is_read(
    make_job: JobMaker, tmp_path: Path, track_file: Path
) -> None:
    from marionext.local import LocalEngine
    from marionext.pose.formats import read_track, write_track
    from marionext.protocol import Failed, Finished, FrameWritten

    folder = tmp_path / "poses"
    write_track(read_track(track_file), folder)
    job = make_job(motion={"path": str(folder), "first": 101}, frames="101-102")
    with LocalEngine() as engine:

        def run() -> tuple[object, int]:
            events = engine.wait(engine.submit(job), timeout=300)
            return events[-1], sum(isinstance(event, FrameWritten) for event in events)

        assert run()[1] == 2
        (folder / "rendered.png").write_bytes(b"a picture beside")
        (folder / "out").mkdir()
        (folder / "out" / "other.json").write_text("{}")
        ended, written = run()
        assert isinstance(ended, Finished), "nothing that is read has changed"
        assert written == 0
        one = next(folder.glob("*_keypoints.json"))
        one.write_text(one.read_text().replace("48.0", "49.0"))
        ended, _ = run()
    assert isinstance(ended, Failed)
    assert "file of the motion differs" in ended.message


def test_edits_come_after_the_clean_up_and_before_the_mirror(track_file: Path) -> None:
    wrist, other = 4, 7
    source = MotionSource(path=str(track_file))
    plain = open_motion(source).poses(PoseSettings(clean=True), (96, 128), quiet())
    raw = open_motion(source).poses(PoseSettings(clean=False), (96, 128), quiet())
    assert not np.array_equal(plain.points, raw.points), "the clean-up smooths this motion"
    edit = Offset(frames=FrameRange(103, 105), joints=("right_wrist",), by=(5.0, -3.0))
    pose_settings = PoseSettings(clean=True, edits=(edit,), mirror=True)
    edited = open_motion(source).poses(pose_settings, (96, 128), quiet())
    expected = plain.points[:, 0, wrist].copy()
    expected[2:4] += (5.0, -3.0)
    expected[:, 0] = 96 - expected[:, 0]
    np.testing.assert_allclose(edited.points[:, 0, other], expected, atol=1e-4)


def test_an_edit_of_frames_that_are_not_there_is_said(track_file: Path) -> None:
    said: list[str] = []
    report = Reporter("", lambda event: said.append(getattr(event, "text", "")), lambda: False)
    edit = Offset(frames=FrameRange(500, 505), by=(5.0, 0.0))
    source = MotionSource(path=str(track_file))
    open_motion(source).poses(PoseSettings(edits=(edit,)), (96, 128), report)
    assert any("edit 1 (offset) changes nothing" in text for text in said)


COUNTING = """
import collections, json, sys
from marionext import motion, sources
calls = collections.Counter()
for module, name in ((sources, "open_motion"), (sources, "read_track"), (motion, "load_all")):
    def counted(*given, _real=getattr(module, name), _name=name, **named):
        calls[_name] += 1
        return _real(*given, **named)
    setattr(module, name, counted)
from marionext.local import LocalEngine
from marionext.runs import render
render.open_motion = sources.open_motion
with LocalEngine() as engine:
    ended = engine.wait(engine.submit(json.loads(sys.argv[1])))[-1]
assert type(ended).__name__ == "Finished", ended
print(json.dumps(calls))
"""


@pytest.mark.parametrize("motion", ["track", "rig"])
def test_a_render_opens_its_motion_once_whether_it_is_finished_or_not(
    make_job: JobMaker, motion: str
) -> None:
    job = make_job(frames="101-103" if motion == "track" else "1-3")
    if motion == "rig":
        job["motion"] = {"path": str(DANCE)}
    reader = "read_track" if motion == "track" else "load_all"
    for _ in ("fresh", "finished"):
        done = subprocess.run(
            [sys.executable, "-c", COUNTING, json.dumps(job)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        calls = json.loads(done.stdout)
        assert calls == {"open_motion": 1, reader: 1}


def seen(source: MotionSource, size: tuple[int, int] = (240, 320)) -> tuple[PoseTrack, list[str]]:
    """Return the poses of a motion, and what was said about them."""
    said: list[str] = []
    report = Reporter("", lambda event: said.append(getattr(event, "text", "")), lambda: False)
    return open_motion(source).poses(PoseSettings(fit="none"), size, report), said


def two_dancers(path: Path) -> Path:
    """Write a BVH of the bundled dancer and a second one, who stands 2 m to the left."""
    head, moves = DANCE.read_text().split("MOTION\n")
    rows = moves.splitlines()
    both = []
    for row in rows[2:]:
        words = row.split()
        both.append(" ".join([*words, str(float(rows[2].split()[0]) + 200), *rows[2].split()[1:]]))
    second = head.removeprefix("HIERARCHY\n").replace("ROOT Hips", "ROOT Second")
    path.write_text(head + second + "MOTION\n" + "\n".join([*rows[:2], *both]) + "\n")
    return path


@pytest.mark.parametrize(
    ("person", "number"),
    [("largest", 1), ("#1", 1), ("#2", 2), ("0", 1), ("1", 2), ("left", 1), ("right", 2)],
)
def test_one_of_the_people_of_a_rig_is_chosen_and_the_others_named(
    tmp_path: Path, person: str, number: int
) -> None:
    path = two_dancers(tmp_path / "two.bvh")
    track, said = seen(MotionSource(path=str(path), person=person))
    names = {1: "Hips", 2: "Second"}
    assert f"person {number} of 2; --person has also {3 - number} ({names[3 - number]!r})" in said
    moving = float(np.ptp(track.points[:, 0, 4], axis=0).max())
    assert (moving > 20) == (number == 1), "the second stands still"


def test_sides_are_those_of_the_picture(tmp_path: Path) -> None:
    path = str(two_dancers(tmp_path / "two.bvh"))
    behind = CameraSettings(yaw=180)
    for person, number in (("left", 2), ("right", 1)):
        _, said = seen(MotionSource(path=path, person=person, camera=behind))
        assert any(text.startswith(f"person {number} of 2") for text in said)


def test_somebody_who_is_not_there_is_said(tmp_path: Path) -> None:
    path = str(two_dancers(tmp_path / "two.bvh"))
    with pytest.raises(MotionError, match="has 2 skeletons, none with the number 3") as error:
        open_motion(MotionSource(path=path, person="#3"))
    assert error.value.hint == (
        "People are counted from 1, the most joints first: 1 is 'Hips', 2 is 'Second'."
    )
    with pytest.raises(MotionError, match="expected one of the 2 people"):
        open_motion(MotionSource(path=path, person="all"))
    assert open_motion(MotionSource(path=str(DANCE), person="all")).frames


def test_a_rigs_files_are_those_that_its_poses_depend_on(tmp_path: Path) -> None:
    rig = motion.map_rig(motion.load(DANCE))
    preset = tmp_path / "mine.toml"
    motion.write_preset(preset, rig.as_preset("mine"))
    assert open_motion(MotionSource(path=str(DANCE))).files == (DANCE,)
    assert open_motion(MotionSource(path=str(DANCE), rig="mixamo")).files == (DANCE,)
    assert open_motion(MotionSource(path=str(DANCE), rig=str(preset))).files == (DANCE, preset)
    broken = tmp_path / "broken.toml"
    broken.write_text("bones = 3")
    opened = open_motion(MotionSource(path=str(DANCE), rig=str(broken)))
    assert opened.files == (DANCE,)
    with pytest.raises(SettingsError, match="has a table 'bones'"):
        opened.poses(PoseSettings(), (64, 64), quiet())


def recorded_with(tmp_path: Path, camera: motion.Camera) -> MotionSource:
    path = tmp_path / "recorded.npz"
    motion.write_animation(motion.load(DANCE).with_(camera=camera), path)
    return MotionSource(path=str(path))


def camera_at(distance: float, *, away: bool = False) -> motion.Camera:
    """Return a still camera before the dancer, at the height of the hips."""
    pose_of_camera = np.eye(4)
    ahead = -1.0 if away else 1.0
    # Columns: the camera's right, up and back.
    pose_of_camera[:3, :3] = np.array([[ahead, 0, 0], [0, 0, 1], [0, -ahead, 0]]).T
    pose_of_camera[:3, 3] = [0, -distance, 0.9]
    return motion.Camera.still(pose_of_camera, focal=1.5)


def test_a_camera_that_sees_nobody_is_refused_with_a_remedy(tmp_path: Path) -> None:
    source = recorded_with(tmp_path, camera_at(5, away=True))
    with pytest.raises(
        MotionError, match=r"file's camera, nobody is in any of 192 frames"
    ) as error:
        seen(source)
    assert "--camera frame" in str(error.value.hint)
    framed = replace(source, camera=CameraSettings(source="frame"))
    assert (seen(framed)[0].scores[:, 0, 1] > 0).all()


def test_only_the_frames_that_are_wanted_have_to_show_somebody(tmp_path: Path) -> None:
    near, away = camera_at(5), camera_at(5, away=True)
    views = np.concatenate([np.repeat(near.views, 92, axis=0), np.repeat(away.views, 100, axis=0)])
    source = recorded_with(tmp_path, motion.Camera(views=views, focal=np.full(192, 1.5)))
    opened = open_motion(source)
    start = opened.frames.start
    opened.poses(PoseSettings(), (64, 64), quiet(), frames=FrameRange(start, start + 93))
    with pytest.raises(MotionError, match="nobody is in any of 100 frames"):
        opened.poses(PoseSettings(), (64, 64), quiet(), frames=FrameRange(start + 92, start + 192))


def test_a_figure_that_is_a_speck_is_said(tmp_path: Path) -> None:
    _, said = seen(recorded_with(tmp_path, camera_at(60)))
    assert any("of the picture's height: --camera frame comes nearer" in text for text in said)
    _, said = seen(recorded_with(tmp_path, camera_at(5)))
    assert not any("of the picture's height" in text for text in said)


def walking_dance(path: Path) -> Path:
    """Write the bundled dance as if it were danced on a walk of 30 m."""
    dance = motion.load(DANCE)
    way = np.linspace([0, 0, 0], [4, -30, 0], len(dance))[:, None]
    motion.write_bvh(dance.with_(heads=dance.heads + way, tails=dance.tails + way), path)
    return path


def test_a_camera_goes_along_with_a_walk(tmp_path: Path) -> None:
    path = str(walking_dance(tmp_path / "walk.bvh"))
    _, said = seen(MotionSource(path=path))
    assert any("--camera follow goes along" in text for text in said)
    follow = CameraSettings(source="follow")
    along, said = seen(MotionSource(path=path, camera=follow))
    spot, _ = seen(MotionSource(path=str(DANCE), camera=follow))
    assert not any("--camera" in text for text in said)
    trunk = [1, 8, 11]
    assert np.abs(along.points[:, 0, trunk, 0] - 120).max() < 40

    def height(track: PoseTrack) -> NDArray[np.float32]:
        return np.ptp(track.points[:, 0, :14, 1], axis=1)

    # As large as the same dance on the spot, frame by frame, within 3 %.
    ratio = height(along) / height(spot)
    assert np.ptp(ratio) < 0.03 * ratio.mean()


@pytest.mark.parametrize("rate", ["12", "60"])
def test_a_declared_rate_changes_no_frame(rate: str) -> None:
    declared = FrameRate.parse(rate)
    opened = open_motion(MotionSource(path=str(DANCE), source_rate=declared))
    assert (len(opened.frames), opened.rate) == (192, declared)


def test_core_joints_without_a_bone_are_said(tmp_path: Path) -> None:
    dance = motion.load(DANCE)
    names = tuple(
        name.replace("RightHand", "Sword").replace("RightFoot", "Prop") for name in dance.names
    )
    path = tmp_path / "lacking.bvh"
    motion.write_bvh(dance.with_(names=names), path)
    _, said = seen(MotionSource(path=str(path)))
    assert any(text.startswith("the rig has no bone for right_hand, right_foot") for text in said)


def test_a_preset_beside_a_job_file_is_found_there(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(
        json.dumps(
            {
                "kind": "posemaps",
                "motion": {"path": str(DANCE), "rig": "mine.toml", "up": "-z"},
                "output": "maps",
            }
        )
    )
    job = read_job(tmp_path / "job.json")
    assert isinstance(job, PoseMapJob)
    assert job.motion.rig == str(tmp_path / "mine.toml")
    assert job.motion.up == "-z"


@pytest.fixture
def drawn(track_file: Path) -> list[np.ndarray[Any, Any]]:
    """Seven pose maps of the waving figure."""
    from marionext.pose.formats import read_track

    track = read_track(track_file)
    return [draw(*pose, track.size, (64, 96)) for pose in zip(track.points, track.scores)]  # noqa: B905


def test_pictures_have_the_rate_that_is_declared_and_are_resampled_to_another(
    tmp_path: Path, drawn: list[np.ndarray[Any, Any]]
) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    for index, picture in enumerate(drawn):
        Image.fromarray(picture).save(folder / f"{index:04d}.png")
    twelve, twenty_four = FrameRate(Fraction(12)), FrameRate(Fraction(24))

    def opened(**rates: FrameRate) -> tuple[int, FrameRate, str]:
        motion = open_motion(MotionSource(path=str(folder), palette="controlnext", **rates))
        (note,) = motion.notes
        return len(motion.frames), motion.rate, note

    assert opened(source_rate=twelve)[:2] == (7, twelve)
    assert "12 frames/s, as declared" in opened(source_rate=twelve)[2]
    assert opened(source_rate=twelve, rate=twenty_four)[:2] == (14, twenty_four)
    assert opened(rate=twelve)[:2] == (7, twelve)
    assert opened() == (
        7,
        FrameRate(Fraction(30)),
        "maps: 7 pictures, 30 frames/s, as nothing says another (--source-rate declares it)",
    )


def test_a_video_has_the_rate_that_is_declared(tmp_path: Path, clips: Any) -> None:
    path = clips.write(tmp_path / "dance.mp4", clips.numbered(10), rate=Fraction(25))
    source = {"path": str(path), "kind": "video", "source_rate": FrameRate(Fraction(20))}
    motion = open_motion(MotionSource(**source))
    assert (len(motion.frames), motion.rate.fraction) == (10, 20)
    motion = open_motion(MotionSource(**source, rate=FrameRate(Fraction(10))))
    assert (len(motion.frames), motion.rate.fraction) == (5, 10)
    assert motion.notes == (
        "dance.mp4: 20 frames/s, as declared; its own time stamps say 25 frames/s",
    )


def test_uneven_pose_maps_are_shown_at_their_time_and_so_are_their_notes(
    tmp_path: Path, clips: Any, drawn: list[np.ndarray[Any, Any]]
) -> None:
    path = tmp_path / "maps.mkv"
    clips.write(
        path, drawn, stamps=[0, 100, 200, 500, 600, 700, 800], time_base=Fraction(1, 1000),
        options={"crf": "1"},
    )  # fmt: skip
    motion = open_motion(MotionSource(path=str(path), palette="controlnext"))
    maps = motion.maps()
    assert maps is not None
    assert (motion.kind, len(maps), maps.rate.fraction) == ("posemaps", 9, 10)
    for number, shown in enumerate((0, 1, 2, 2, 3, 3, 4, 5, 6), start=1):
        apart = [np.abs(maps.frame(number).astype(int) - each).mean() for each in drawn]
        if number != 4:
            assert int(np.argmin(apart)) == shown or apart[shown] <= min(apart) + 0.2
    said: list[str] = []
    report = Reporter("", lambda event: said.append(getattr(event, "text", "")), lambda: False)
    motion.tell(report)
    motion.tell(report)
    assert len(said) == 1
    assert "not evenly spaced" in said[0]


def test_what_is_wrong_with_a_video_is_a_warning(tmp_path: Path, clips: Any) -> None:
    path = clips.write(tmp_path / "damaged.mp4", clips.numbered(12), options={"g": "4", "bf": "0"})
    content = bytearray(path.read_bytes())
    at = content.index(b"mdat") + 4
    content[at : at + 300] = bytes(300)
    path.write_bytes(content)
    motion = open_motion(MotionSource(path=str(path), kind="video"))
    events: list[Any] = []
    motion.tell(Reporter("", events.append, lambda: False))
    assert [event.level for event in events] == ["info", "warning"]
    assert "cannot be decoded" in events[1].text


def test_a_track_that_was_cleaned_is_not_cleaned_again(track_file: Path, tmp_path: Path) -> None:
    from marionext.pose.formats import read_track, write_track

    settings = PoseSettings(clean=True)
    raw = read_track(track_file)
    rng = np.random.default_rng(0)
    noisy = raw.with_(points=raw.points + rng.normal(0, 1.5, raw.points.shape))
    write_track(noisy, tmp_path / "noisy.npz")
    first = open_motion(MotionSource(path=str(tmp_path / "noisy.npz"))).poses(
        settings, (96, 128), quiet()
    )
    edited = replace_point(first)
    write_track(edited, tmp_path / "kept.npz")
    again = open_motion(MotionSource(path=str(tmp_path / "kept.npz"))).poses(
        settings, (96, 128), quiet()
    )
    assert not np.array_equal(first.points, noisy.points), "there was something to clean"
    assert again.points.tobytes() == edited.points.tobytes()
    assert again.scores.tobytes() == edited.scores.tobytes()


def replace_point(track: PoseTrack) -> PoseTrack:
    """Set the right wrist of one frame by hand, far from where it was."""
    from marionext.edits import SetPoints
    from marionext.pose import apply

    frames = FrameRange(track.first + 3, track.first + 4)
    there = (((20.0, 20.0),),)
    return apply(track, (SetPoints(frames=frames, joints=("right_wrist",), points=there),))


def test_poses_of_a_rig_are_as_its_bones_have_them_from_a_file_too(tmp_path: Path) -> None:
    from marionext.pose.formats import write_track

    poses = PoseSettings(clean=True)
    first = open_motion(MotionSource(path=str(DANCE))).poses(poses, (96, 128), quiet())
    write_track(first, tmp_path / "dance.npz")
    again = open_motion(MotionSource(path=str(tmp_path / "dance.npz"))).poses(
        poses, (96, 128), quiet()
    )
    assert again.points.tobytes() == first.points.tobytes()
