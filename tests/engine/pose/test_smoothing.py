import numpy as np
import pytest

from marionext.pose.smoothing import median_of_three, savitzky_golay

ONE_SCENE = np.zeros((30, 1), int)


def path(function):
    """One joint that moves along a function of the frame: (30, 1, 2)."""
    time = np.arange(30.0)
    return np.stack([function(time), 2 * time], -1)[:, None]


def test_with_equal_weights_it_is_the_filter_of_savitzky_and_golay():
    points = np.random.default_rng(0).normal(size=(30, 3, 2))
    smooth = savitzky_golay(points, np.full((30, 3), 0.7), np.zeros((30, 3), int), window=7)
    weights = np.array([-2, 3, 6, 7, 6, 3, -2]) / 21  # table I of the paper
    expected = sum(weight * points[i : 24 + i] for i, weight in enumerate(weights))
    np.testing.assert_allclose(smooth[3:-3], expected, atol=1e-6)


@pytest.mark.parametrize("known", [None, (0, 5, 6, 12, 13, 14, 15, 29)])
def test_parabolas_pass_unchanged_also_with_gaps_and_at_the_ends(known):
    points = path(lambda t: 0.3 * t**2 - 4 * t)
    weights = np.ones((30, 1))
    weights[list(known or ())] = 0
    points[weights == 0] = 1e4
    smooth = savitzky_golay(points, weights, ONE_SCENE, window=7)
    np.testing.assert_allclose(smooth, points, atol=1e-4)


def test_doubtful_frames_count_less():
    points, weights = path(lambda t: 0 * t), np.ones((30, 1))
    points[15, 0, 0] = 30
    trusted = savitzky_golay(points, weights, ONE_SCENE, window=7)
    weights[15] = 0.05
    doubted = savitzky_golay(points, weights, ONE_SCENE, window=7)
    assert abs(doubted[14, 0, 0]) < 0.2 * abs(trusted[14, 0, 0])


def test_nothing_reaches_across_a_cut():
    points = path(lambda t: np.where(t < 15, 0, 500))
    scene = (np.arange(30) >= 15).astype(int)[:, None]
    smooth = savitzky_golay(points, np.ones((30, 1)), scene, window=7)
    np.testing.assert_allclose(smooth, points, atol=1e-6)
    noisy = points + np.eye(30)[14][:, None, None] * 40
    assert median_of_three(noisy, np.ones((30, 1), bool), scene)[14, 0, 0] == 40
    assert median_of_three(noisy, np.ones((30, 1), bool), ONE_SCENE)[14, 0, 0] == 40
    assert median_of_three(noisy + 0, np.ones((30, 1), bool), ONE_SCENE)[13, 0, 0] == 0


def test_the_median_takes_out_one_frame_and_leaves_unknown_neighbours_alone():
    points, known = path(lambda t: t), np.ones((30, 1), bool)
    points[10, 0, 0] = 900
    points[20, 0, 0] = 900
    known[21] = False
    result = median_of_three(points, known, ONE_SCENE)
    assert result[10, 0, 0] == 11
    assert result[20, 0, 0] == 900


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_short_clips_pass(frames):
    points = np.arange(frames * 2.0).reshape(frames, 1, 2)
    scene = np.zeros((frames, 1), int)
    np.testing.assert_allclose(
        savitzky_golay(points, np.ones((frames, 1)), scene, window=7), points, atol=1e-6
    )
    assert median_of_three(points, np.ones((frames, 1), bool), scene).shape == points.shape
