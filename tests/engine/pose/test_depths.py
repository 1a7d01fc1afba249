from fractions import Fraction

import numpy as np
import pytest

from marionext import presets
from marionext.edits import Transform
from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate
from marionext.motion import frame_motion, load, map_rig, project
from marionext.pose import PoseTrack, apply, choose_person, fit, mirror, resample, select, trim
from marionext.pose.formats import read_native, write_native

RNG = np.random.default_rng(0)


def track(frames=6, people=2):
    return PoseTrack(
        points=RNG.uniform(50, 200, (frames, people, 134, 2)).astype(np.float32),
        scores=np.ones((frames, people, 134), np.float32),
        depths=RNG.normal(0, 20, (frames, people, 134)).astype(np.float32),
        size=(256, 384),
        rate=FrameRate(Fraction(24)),
        first=10,
    )


def test_depths_are_kept_by_the_file(tmp_path):
    one = track()
    write_native(one, tmp_path / "track.npz")
    assert np.array_equal(read_native(tmp_path / "track.npz").depths, one.depths)


def test_a_track_without_depths_says_so_and_its_file_has_none(tmp_path):
    one = track().with_(depths=np.zeros(0, np.float32))
    assert not one.knows_depths
    write_native(one, tmp_path / "track.npz")
    with np.load(tmp_path / "track.npz") as arrays:
        assert "depths" not in arrays
    assert not read_native(tmp_path / "track.npz").knows_depths


def test_frames_take_their_depths_along():
    one = track()
    assert np.array_equal(select(one, (12, 10)).depths, one.depths[[2, 0]])
    assert np.array_equal(trim(one, FrameRange(11, 14)).depths, one.depths[1:4])
    slower = resample(one, FrameRate(Fraction(12)))
    assert np.array_equal(slower.depths, one.depths[::2])


def test_a_person_takes_their_depths_along():
    one = track()
    chosen = choose_person(one.with_(points=one.points + np.float32([[[[0, 0]], [[300, 0]]]])), 1)
    assert chosen.depths.shape == (6, 1, 134)


def test_mirroring_swaps_the_depths_of_left_and_right():
    one = track()
    other = mirror(one)
    assert np.array_equal(other.depths[:, :, 4], one.depths[:, :, 7])
    assert np.array_equal(other.depths[:, :, 7], one.depths[:, :, 4])
    assert np.array_equal(mirror(other).depths, one.depths)


def test_other_edits_leave_depths_alone():
    one = track()
    moved = apply(one, [Transform(scale=(1.2, 1.2), joints=("right_wrist",))])
    assert np.array_equal(moved.depths, one.depths)


def test_depths_are_scaled_with_the_figure():
    one = track(people=1)
    reference = select(one, (10,)).with_(points=one.points[:1] * 2, size=(512, 768))
    placed = fit(one, reference, "linear")
    assert np.allclose(placed.track.depths, one.depths * placed.report.scale, rtol=1e-3)


def test_depths_of_another_shape_are_refused_and_forgotten_where_points_change():
    one = track()
    with pytest.raises(MotionError, match="depths of shape"):
        one.with_(depths=np.zeros((2, 2, 134), np.float32))
    with pytest.raises(MotionError, match="finite"):
        one.with_(depths=np.full(one.scores.shape, np.nan, np.float32))
    fewer = one.with_(points=one.points[:2], scores=one.scores[:2], origins=one.origins[:2])
    assert not fewer.knows_depths


def test_a_rig_tells_what_is_nearer_to_the_camera():
    dance = load(presets.folder("motions") / "dance.bvh")
    rig = map_rig(dance)
    size = (256, 384)
    seen = project(dance, rig, frame_motion(dance, size), size)
    assert seen.knows_depths
    assert np.allclose(seen.depths[:, :, 1], 0, atol=1e-3)
    one, other = (
        project(dance, rig, frame_motion(dance, size, yaw=yaw), size).depths[0, 0]
        for yaw in (90.0, -90.0)
    )
    # From either side the other shoulder is the nearer one.
    assert one[5] > 5 > -5 > one[2]
    assert other[2] > 5 > -5 > other[5]
