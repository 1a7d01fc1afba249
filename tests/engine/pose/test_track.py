import dataclasses

import numpy as np
import pytest

from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate
from marionext.pose import Origin, PoseTrack
from marionext.pose.skeleton import (
    BODY_LIMBS,
    FACE,
    HAND_BONES,
    MIRRORED,
    POINT_COUNT,
    POINT_NAMES,
)


def fields(**changes):
    return {
        "points": np.zeros((3, 2, POINT_COUNT, 2)),
        "scores": np.ones((3, 2, POINT_COUNT)),
        "size": (64, 48),
        "rate": FrameRate.parse("24"),
    } | changes


def test_a_track_knows_its_frames_and_people():
    track = PoseTrack(**fields(first=101))
    assert (len(track), track.people) == (3, 2)
    assert track.frames == FrameRange(101, 104)
    assert track.points.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": np.zeros((3, 2, 18, 2))}, "134"),
        ({"scores": np.zeros((3, 1, POINT_COUNT))}, "expected scores of shape"),
        ({"points": np.zeros((0, 1, 134, 2)), "scores": np.zeros((0, 1, 134))}, "at least one"),
        ({"size": (0, 48)}, "at least 1"),
    ],
)
def test_what_is_no_track_is_refused(changes, message):
    with pytest.raises(MotionError, match=message):
        PoseTrack(**fields(**changes))


def test_points_that_are_not_finite_are_told_by_frame_number():
    points = np.zeros((3, 2, POINT_COUNT, 2))
    points[1, 0, 4, 1] = np.nan
    with pytest.raises(MotionError, match=r"1 frames: 102 ") as caught:
        PoseTrack(**fields(points=points, first=101))
    assert "score 0" in caught.value.hint


def test_a_changed_copy_is_checked_again():
    track = PoseTrack(**fields())
    assert track.with_(first=7).first == 7
    assert track.first == 0
    with pytest.raises(MotionError):
        track.with_(size=(-1, 4))
    with pytest.raises(dataclasses.FrozenInstanceError):
        track.first = 3


def test_the_skeleton_is_of_134_points_with_counterparts():
    assert len(POINT_NAMES) == len(set(POINT_NAMES)) == POINT_COUNT == 134
    assert [MIRRORED[MIRRORED[point]] for point in range(POINT_COUNT)] == list(range(POINT_COUNT))
    for point, other in enumerate(MIRRORED):
        assert (
            POINT_NAMES[other].replace("left", "right")
            == POINT_NAMES[point].replace("left", "right")
            or FACE.start <= point < FACE.stop
        )
    assert len(BODY_LIMBS) == 17
    assert len(HAND_BONES) == 20
    limbs = {frozenset(limb) for limb in BODY_LIMBS}
    assert {frozenset(MIRRORED[joint] for joint in limb) for limb in limbs} == limbs


def test_the_face_keeps_its_shape_when_mirrored(dancer):
    face = dancer(frames=1, strength=0).points[0, 0, FACE]
    order = [MIRRORED[point] - FACE.start for point in range(FACE.start, FACE.stop)]
    turned = face[order] * [-1, 1] + [2 * face[27, 0], 0]
    np.testing.assert_allclose(turned, face, atol=0.5)


def test_points_are_detected_unless_somebody_says_otherwise():
    track = PoseTrack(**fields())
    assert track.origins.shape == track.scores.shape
    assert not track.origins.any()
    fewer = track.with_(points=track.points[:1], scores=track.scores[:1])
    assert fewer.origins.shape == fewer.scores.shape
    by_hand = track.with_(origins=np.full_like(track.origins, Origin.BY_HAND))
    assert (by_hand.with_(first=3).origins == Origin.BY_HAND).all()
    with pytest.raises(MotionError, match="origins of shape"):
        by_hand.with_(points=track.points[:1], scores=track.scores[:1])
    with pytest.raises(MotionError, match="origins are 0 to 2"):
        track.with_(origins=np.full_like(track.origins, 3))
