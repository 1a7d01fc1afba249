import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.frames import FrameRate
from marionext.pose import PoseTrack
from marionext.pose.linear import FIT_JOINTS, apply_linear, solve_linear
from marionext.pose.skeleton import FACE, POINT_COUNT, RIGHT_HAND


def seen_only(track, joints):
    """A copy in which nothing but some points is seen."""
    scores = np.zeros_like(track.scores)
    scores[:, :, joints] = track.scores[:, :, joints]
    return track.with_(scores=scores)


def moved(track, scale, shift, size):
    """The first frame of a track elsewhere, larger or smaller: a reference whose fit is known."""
    points = track.points[:1] * scale + np.array(shift, np.float32)
    return track.with_(points=points, scores=track.scores[:1], size=size)


def test_a_still_figure_is_found_exactly(dancer):
    track = dancer(frames=5, strength=0, size=(1080, 1920))
    fit = solve_linear(track, moved(track, 0.4, (30, 90), (576, 1024)))
    assert fit.method == "regression"
    assert fit.joints == FIT_JOINTS
    assert fit.frames == 5
    assert (fit.scale, *fit.shift) == pytest.approx((0.4, 30, 90), abs=1e-2)


def test_unseen_joints_of_the_motion_do_not_pull(dancer):
    track = dancer(frames=5, strength=0)
    reference = moved(track, 0.5, (0, 0), (288, 512))
    points, scores = track.points.copy(), track.scores.copy()
    points[2:, :, [9, 10]] = -4000
    scores[2:, :, [9, 10]] = 0.1
    broken = track.with_(points=points, scores=scores)
    assert solve_linear(broken, reference).scale == pytest.approx(0.5, abs=1e-4)
    assert solve_linear(broken, reference, use_scores=False).scale != pytest.approx(0.5, abs=0.1)


def test_crowds_are_left_out_where_somebody_is_alone(dancer):
    alone, crowd = dancer(frames=6, strength=0), dancer(frames=6, strength=0, centre=100)
    scores = np.concatenate([alone.scores, crowd.scores], 1)
    scores[:2, 1] = 0
    both = alone.with_(points=np.concatenate([alone.points, crowd.points], 1), scores=scores)
    reference = moved(alone, 0.5, (7, 0), (288, 512))
    fit = solve_linear(both, reference)
    assert fit.frames == 2
    assert (fit.scale, fit.shift[0]) == pytest.approx((0.5, 7), abs=1e-3)
    always = both.with_(scores=np.concatenate([alone.scores, crowd.scores], 1))
    assert solve_linear(always, reference).scale == pytest.approx(0.5, abs=1e-3)


def test_the_best_seen_person_of_the_picture_stands_in_for_one_who_is_not(dancer):
    track = dancer(frames=2, strength=0)
    reference = moved(track, 0.5, (7, 0), (288, 512))
    nobody = np.zeros_like(reference.scores)
    two = reference.with_(
        points=np.concatenate([reference.points * 0, reference.points], 1),
        scores=np.concatenate([nobody, reference.scores], 1),
    )
    assert solve_linear(track, two).shift[0] == pytest.approx(7, abs=1e-3)


def test_a_handstand_is_fitted_by_its_size(dancer):
    track = dancer(frames=2, strength=0)
    reference = moved(track, 0.5, (0, 0), (288, 512))
    upside_down = track.points * [1, -1] + [0, 1024]
    fit = solve_linear(track.with_(points=upside_down.astype(np.float32)), reference)
    assert fit.method == "joints"
    assert fit.scale == pytest.approx(0.5, abs=1e-3)


def test_two_shoulders_are_enough(dancer):
    track = dancer(frames=3, strength=0)
    reference = seen_only(moved(track, 0.5, (11, 5), (288, 512)), [2, 5])
    fit = solve_linear(track, reference)
    assert fit.method == "joints"
    assert (fit.scale, *fit.shift) == pytest.approx((0.5, 11, 5), abs=1e-2)
    assert fit.joints == (2, 5)


def test_face_and_hands_are_compared_where_no_body_is_seen(dancer):
    track = dancer(frames=3, strength=0)
    reference = seen_only(moved(track, 0.5, (11, 5), (288, 512)), FACE)
    fit = solve_linear(track, reference)
    assert fit.method == "joints"
    assert (fit.scale, *fit.shift) == pytest.approx((0.5, 11, 5), abs=1e-2)


def test_figures_without_a_common_point_are_laid_box_on_box(dancer):
    track = dancer(frames=3, strength=0)
    fit = solve_linear(
        seen_only(track, FACE), seen_only(moved(track, 1, (0, 0), (576, 1024)), RIGHT_HAND)
    )
    assert fit.method == "boxes"
    hand = track.points[0, 0, RIGHT_HAND]
    middle = (hand.min(0) + hand.max(0)) / 2
    face = apply_linear(seen_only(track, FACE), fit, track.size).points[0, 0, FACE]
    np.testing.assert_allclose((face.min(0) + face.max(0)) / 2, middle, atol=0.1)


@pytest.mark.parametrize("people", [0, 1])
def test_without_any_pose_the_picture_is_kept_whole(dancer, people):
    track = dancer(frames=3, size=(400, 300))
    nobody = track.with_(
        points=track.points[:1, :people], scores=track.scores[:1, :people] * 0, size=(200, 200)
    )
    fit = solve_linear(track, nobody)
    assert (fit.method, fit.scale, fit.shift) == ("picture", 0.5, (0, 25))
    empty = track.with_(points=track.points[:, :people], scores=track.scores[:, :people] * 0)
    assert solve_linear(empty, moved(track, 1, (0, 0), (200, 200))).method == "picture"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(0, 3), st.integers(0, 2))
def test_any_clip_and_any_picture_give_a_sound_place(seed, gaps, people, others):
    rng = np.random.default_rng(seed)

    def random(frames, count):
        points = rng.normal(200, rng.choice([0, 1, 100]), (frames, count, POINT_COUNT, 2))
        scores = rng.uniform(0, 1, points.shape[:3]) * (rng.uniform(size=points.shape[:3]) >= gaps)
        rate = FrameRate.parse("30")
        return PoseTrack(points=points, scores=scores, size=(640, 480), rate=rate)

    track, reference = random(3, people), random(1, others)
    fit = solve_linear(track, reference)
    assert 0 < fit.scale < 1e5
    assert np.isfinite(fit.shift).all()
    assert apply_linear(track, fit, (64, 64)).size == (64, 64)
