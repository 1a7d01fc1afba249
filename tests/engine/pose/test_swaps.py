import numpy as np
import pytest

from marionext.pose.skeleton import MIRRORED
from marionext.pose.swaps import SWAP_GROUPS, repair_swaps

SIZE = 800


def arrays(track):
    return track.points[:, 0].astype(np.float64), track.scores[:, 0].astype(np.float64)


def exchange(points, scores, frames, group):
    """Exchange a group's sides in some frames."""
    points, scores = points.copy(), scores.copy()
    order = np.arange(len(MIRRORED))
    moving = list(SWAP_GROUPS[group][1])
    order[moving] = np.array(MIRRORED)[moving]
    points[frames], scores[frames] = points[frames][:, order], scores[frames][:, order]
    return points, scores


@pytest.mark.parametrize("group", SWAP_GROUPS)
@pytest.mark.parametrize("frames", [slice(20, 21), slice(40, 52), slice(0, 3), slice(85, 90)])
def test_an_exchange_of_sides_is_undone(dancer, group, frames):
    points, scores = arrays(dancer(frames=90))
    wrong, wrong_scores = exchange(points, scores, frames, group)
    mended, mended_scores, exchanges = repair_swaps(
        wrong, wrong_scores, np.zeros(90, int), SIZE, seen=0.3
    )
    np.testing.assert_allclose(mended, points)
    np.testing.assert_allclose(mended_scores, scores)
    assert exchanges


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_dance_that_crosses_arms_legs_and_turns_is_left_alone(dancer, strength, step):
    points, scores = arrays(dancer(frames=300, strength=strength))
    _, _, exchanges = repair_swaps(
        points[::step],
        scores[::step],
        np.zeros(len(points[::step]), int),
        SIZE,
        seen=0.3,
        pace=step,
    )
    assert exchanges == []


def test_one_cut_does_not_turn_the_rest_round(dancer):
    points, scores = arrays(dancer(frames=90))
    points[45:] = points[45:][:, list(MIRRORED)] * [-1, 1] + [576, 0]
    scene = (np.arange(90) >= 45).astype(int)
    _, _, exchanges = repair_swaps(points, scores, scene, SIZE, seen=0.3)
    assert exchanges == []


def test_joints_out_of_sight_have_no_say(dancer):
    points, scores = arrays(dancer(frames=60))
    scores[10:30, [4, 7]] = 0
    points[10:30, [4, 7]] = 0
    mended, _, exchanges = repair_swaps(points, scores, np.zeros(60, int), SIZE, seen=0.3)
    assert exchanges == []
    assert (mended == points).all()
