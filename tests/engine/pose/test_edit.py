import numpy as np
import pytest

from marionext.errors import MotionError, SettingsError
from marionext.frames import FrameRange
from marionext.pose import hide, hold, mirror, offset, set_points
from marionext.pose.skeleton import LEFT_HAND, RIGHT_HAND


def test_mirroring_twice_changes_nothing(dancer):
    track = dancer(frames=5)
    np.testing.assert_allclose(mirror(mirror(track)).points, track.points, atol=1e-3)


def test_a_raised_left_hand_becomes_a_raised_right_hand(dancer):
    track = dancer(frames=3)
    turned = mirror(track)
    np.testing.assert_allclose(
        turned.points[:, :, RIGHT_HAND, 0], track.size[0] - track.points[:, :, LEFT_HAND, 0]
    )
    assert (turned.points[:, :, 4, 1] == track.points[:, :, 7, 1]).all()


def test_points_are_set_where_asked_and_nowhere_else(dancer):
    track = dancer(frames=6).with_(first=11)
    new = set_points(track, FrameRange(13, 15), (4, 7), [[1, 2], [3, 4]])
    changed = (new.points != track.points).any(-1)[:, 0]
    assert np.argwhere(changed).tolist() == [[2, 4], [2, 7], [3, 4], [3, 7]]
    assert new.points[2, 0, 7].tolist() == [3, 4]
    assert new.scores[2, 0, 7] == 1


def test_a_move_grows_and_fades(dancer):
    track = dancer(frames=7)
    moved = offset(track, track.frames, (4,), (30, 0), ease=2)
    way = (moved.points - track.points)[:, 0, 4, 0]
    np.testing.assert_allclose(way, [10, 20, 30, 30, 30, 20, 10], atol=1e-3)


def test_holding_and_hiding(dancer):
    track = dancer(frames=6)
    held = hold(track, FrameRange(2, 5), (4,))
    assert (held.points[2:5, 0, 4] == track.points[2, 0, 4]).all()
    hidden = hide(track, FrameRange(0, 2), (4, 5))
    assert hidden.scores[:, 0, 4].astype(bool).tolist() == [False, False, True, True, True, True]


def test_edits_of_what_is_not_there_are_refused(dancer):
    track = dancer(frames=3)
    with pytest.raises(MotionError, match="frames"):
        hide(track, FrameRange(0, 4), (1,))
    with pytest.raises(MotionError, match="person"):
        hide(track, track.frames, (1,), person=1)
    with pytest.raises(MotionError, match="133"):
        hide(track, track.frames, (134,))
    with pytest.raises(SettingsError, match="shape"):
        set_points(track, track.frames, (1, 2), [[0, 0]] * 3)
