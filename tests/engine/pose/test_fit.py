from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.edits import Offset
from marionext.errors import SettingsError
from marionext.frames import FrameRange, FrameRate
from marionext.pose import PoseTrack, apply, fit, fit_limbs, fit_linear
from marionext.pose.skeleton import BODY, FACE, LEFT_HAND, POINT_COUNT, RIGHT_HAND

BODIES = ["child", "tall"]


@pytest.fixture
def standing(dancer, bodies):
    """The character's picture: a body that stands, in another size and place than the dancer."""

    def picture(name, **options):
        return dancer(bodies[name], 1, strength=0, metre=400, **options)

    return picture


@pytest.fixture
def motion(dancer, bodies):
    """An adult's dance in a larger picture."""
    return dancer(bodies["adult"], 120, size=(1080, 1920))


def bone(track, start, end):
    """A bone over time: (frames, 2)."""
    return track.points[:, 0, end].astype(float) - track.points[:, 0, start]


def test_without_a_fit_the_picture_is_only_scaled(motion, standing):
    fitted = fit(motion, standing("child"), "none")
    assert fitted.track.size == (576, 1024)
    np.testing.assert_allclose(fitted.track.points, motion.points * (576 / 1080), atol=1e-2)


@pytest.mark.parametrize("name", BODIES)
def test_limbs_get_the_characters_lengths_and_keep_their_directions(motion, standing, bodies, name):
    fitted = fit(motion, standing(name), "limbs")
    body = bodies[name]
    assert fitted.report.mode == "limbs"
    assert all("outside of the picture" in text for text in fitted.report.warnings)
    for start, end, length in ((5, 6, body.upper_arm), (9, 10, body.shin), (8, 9, body.thigh)):
        new, old = bone(fitted.track, start, end), bone(motion, start, end)
        longest = np.linalg.norm(new, axis=1).max()
        assert longest == pytest.approx(400 * length, rel=0.06)
        across = new[:, 0] * old[:, 1] - new[:, 1] * old[:, 0]
        np.testing.assert_allclose(
            across / np.linalg.norm(new, axis=1) / np.linalg.norm(old, axis=1), 0, atol=1e-3
        )


@pytest.mark.parametrize("name", BODIES)
def test_limbs_come_closer_to_the_characters_own_dance_than_a_linear_fit(
    motion, standing, dancer, bodies, name
):
    own = dancer(bodies[name], 120, metre=400)

    def pose_error(track):
        """Against the character's own dance, from the neck on: a path may be shorter or longer."""
        difference = track.points - track.points[:, :, 1:2] - own.points + own.points[:, :, 1:2]
        return np.linalg.norm(difference, axis=-1).mean()

    reference = standing(name)
    assert pose_error(fit_limbs(motion, reference)) < 0.5 * pose_error(
        fit_linear(motion, reference)
    )


@pytest.mark.parametrize("name", ["adult", *BODIES])
def test_feet_stand_on_the_characters_floor(motion, standing, name):
    reference = standing(name)
    fitted = fit_limbs(motion, reference)
    floor = reference.points[0, 0, [10, 13], 1].max()
    lowest = fitted.points[:, 0, [10, 13], 1].max(1)
    assert np.abs(lowest - floor).max() < 8


@pytest.mark.parametrize("name", BODIES)
def test_a_foot_that_stands_still_goes_on_standing_still(dancer, bodies, standing, name):
    """The dancer's left foot is pinned; the body sways over it, the other foot is in the air."""
    track = dancer(bodies["adult"], 90, size=(1080, 1920))
    points = track.points - track.points[:, :, 13:14] + track.points[:1, :, 13:14]
    points[:, :, [9, 10]] -= [0, 200]
    fitted = fit_limbs(track.with_(points=points), standing(name))
    slide = np.linalg.norm(np.diff(fitted.points[:, 0, 13], axis=0), axis=-1)
    body = np.linalg.norm(np.diff(fitted.points[:, 0, 1], axis=0), axis=-1)
    assert slide.max() < 2
    assert slide.mean() < 0.25 * body.mean()


@pytest.mark.parametrize("name", BODIES)
def test_the_result_moves_as_smoothly_as_the_motion(motion, standing, name):
    fitted = fit(motion, standing(name), "limbs")
    largest = max(fitted.report.ratios.values())

    def jumps(track):
        return np.linalg.norm(np.diff(track.points[:, 0], 2, axis=0), axis=-1).max()

    assert jumps(fitted.track) < 1.3 * largest * jumps(motion)


def test_face_and_hands_stay_attached_and_whole(motion, standing):
    fitted = fit(motion, standing("child"), "limbs")
    ratios = fitted.report.ratios
    for part, anchor, name in ((FACE, 0, "head"), (LEFT_HAND, 7, "hand"), (RIGHT_HAND, 4, "hand")):
        new = fitted.track.points[:, 0, part] - fitted.track.points[:, 0, [anchor]]
        old = motion.points[:, 0, part] - motion.points[:, 0, [anchor]]
        np.testing.assert_allclose(new, ratios[name] * old, atol=0.01)


def test_the_same_body_comes_back_as_with_a_linear_fit(motion, standing):
    limbs, linear = fit_limbs(motion, standing("adult")), fit_linear(motion, standing("adult"))
    own = limbs.points - limbs.points[:, :, 1:2]
    other = linear.points - linear.points[:, :, 1:2]
    # The linear fit is drawn to the mean by the joints that move.
    assert (
        np.linalg.norm(own - other * (own[..., 10, 1] / other[..., 10, 1]).mean(), axis=-1).max()
        < 20
    )


def test_unknown_points_stay_unknown_and_do_not_tear_the_figure(motion, standing):
    points, scores = motion.points.copy(), motion.scores.copy()
    points[40:60, 0, [3, 9]] = 0
    scores[40:60, 0, [3, 9]] = 0
    whole = fit_limbs(motion, standing("child"))
    fitted = fit_limbs(motion.with_(points=points, scores=scores), standing("child"))
    assert (fitted.scores == scores).all()
    assert (fitted.points[40:60, 0, [3, 9]] == 0).all()
    known = scores > 0
    difference = np.linalg.norm(fitted.points - whole.points, axis=-1)[known]
    assert difference.mean() < 2
    assert difference.max() < 60


@pytest.mark.parametrize("seen", [0.0, 0.2])
def test_the_head_of_somebody_seen_from_behind_stays_on_the_neck(motion, dancer, bodies, seen):
    large_head = replace(bodies["adult"], head=2 * bodies["adult"].head)
    reference = dancer(large_head, 1, strength=0, metre=400)
    scores = motion.scores.copy()
    face = [0, 14, 15, *range(FACE.start, FACE.stop)]
    scores[int(seen * len(scores)) :, :, face] = 0
    fitted = fit_limbs(motion.with_(scores=scores), reference)
    whole = fit_limbs(motion, reference)

    def napes(track):
        return track.points[:, 0, [16, 17]].mean(1) - track.points[:, 0, 1]

    longest = np.linalg.norm(napes(whole), axis=1).max()
    apart = np.linalg.norm(napes(fitted) - napes(whole), axis=1)
    assert apart.max() < 0.2 * longest


def test_a_bust_is_placed_by_its_neck(motion, standing):
    reference = standing("child")
    scores = reference.scores.copy()
    scores[..., [8, 9, 10, 11, 12, 13]] = 0
    fitted = fit(motion, reference.with_(scores=scores), "limbs")
    assert fitted.report.mode == "limbs"
    neck = np.median(fitted.track.points[:, 0, 1], 0)
    np.testing.assert_allclose(neck, reference.points[0, 0, 1], atol=15)


def test_a_clip_from_the_thighs_up_is_placed_by_its_trunk(motion, standing):
    scores = motion.scores.copy()
    scores[..., [9, 10, 12, 13]] = 0
    scores[..., 18:24] = 0
    reference = standing("tall")
    fitted = fit_limbs(motion.with_(scores=scores), reference)
    trunk = np.median(fitted.points[:, 0, [1, 8, 11]], 0).mean(0)
    np.testing.assert_allclose(trunk, reference.points[0, 0, [1, 8, 11]].mean(0), atol=25)


def test_what_could_not_be_done_is_said(motion, standing):
    reference = standing("child")
    nobody = reference.with_(scores=reference.scores * 0)
    report = fit(motion, nobody, "limbs").report
    assert (report.mode, report.method) == ("linear", "picture")
    assert any("No pose was found" in text for text in report.warnings)
    two = motion.with_(
        points=np.concatenate([motion.points, motion.points + 9], 1),
        scores=np.concatenate([motion.scores, motion.scores], 1),
    )
    fitted = fit(two, reference, "limbs")
    assert "person 2 was only placed" in fitted.report.warnings[0]
    assert fitted.track.people == 2
    close = standing("child", centre=20)
    assert any("outside" in text for text in fit(motion, close, "linear").report.warnings)
    with pytest.raises(SettingsError, match="bones"):
        fit(motion, reference, "bones")


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_clips_of_a_few_frames_can_be_fitted(dancer, standing, frames):
    for mode in ("none", "linear", "limbs", "inside"):
        fitted = fit(dancer(frames=frames), standing("child"), mode)
        assert len(fitted.track) == frames


def test_a_motion_fitted_inside_stays_in_the_picture_and_keeps_its_shape(motion, standing):
    close = standing("child", centre=20)
    limbs, inside = fit(motion, close, "limbs"), fit(motion, close, "inside")
    seen = motion.scores > 0.3
    assert (limbs.track.points[seen] < 0).any()
    points = inside.track.points[seen]
    assert points.min() >= 0
    assert (points <= np.array(close.size)).all()
    assert inside.report.warnings == ()
    # One scale and one shift for the whole clip: nothing is bent.
    before, after = limbs.track.points[seen].T, points.T
    for one, other in zip(before, after, strict=True):
        slope, offset = np.polyfit(one, other, 1)
        assert 0 < slope <= 1.0001
        np.testing.assert_allclose(other, slope * one + offset, atol=0.01)


def test_a_motion_that_fits_is_not_touched_by_fitting_it_inside(dancer, standing):
    motion, roomy = dancer(frames=3), standing("child")
    limbs, inside = fit(motion, roomy, "limbs").track, fit(motion, roomy, "inside").track
    seen = motion.scores > 0.3
    assert limbs.points[seen].min() > 0.02 * min(roomy.size), "the clip has room"
    assert (limbs.points[seen] < 0.98 * np.array(roomy.size)).all()
    np.testing.assert_allclose(inside.points, limbs.points, atol=1e-3)


@pytest.mark.parametrize("mode", ["none", "linear", "limbs", "inside"])
def test_an_edit_moves_no_frame_but_its_own(motion, standing, mode):
    reference = standing("child", centre=60)
    edit = Offset(frames=FrameRange(motion.first + 10, motion.first + 13), by=(0.0, -300.0))
    edited = apply(motion, (edit,))
    plain = fit(motion, reference, mode).track
    moved = fit(edited, reference, mode, measured=motion).track
    others = [index for index in range(len(motion)) if not 10 <= index < 13]
    assert moved.points[others].tobytes() == plain.points[others].tobytes()
    lifted = plain.points[11, 0, :18] - moved.points[11, 0, :18]
    assert (lifted[motion.scores[11, 0, :18] > 0.3, 1] > 10).all()


def test_only_the_frames_that_are_rendered_are_spoken_of(motion, standing):
    points = motion.points.copy()
    points[: len(motion) // 2, 0, [7, *range(92, 113)], 0] -= 5000
    late = range(motion.first + len(motion) // 2, motion.first + len(motion))
    said = fit(motion.with_(points=points), standing("child"), "none", shown=late).report.warnings
    assert not any("left hand" in text for text in said)


def test_limbs_that_leave_the_picture_are_named_with_their_frames(motion, standing):
    reference = standing("child")
    points = motion.points.copy()
    points[: len(motion) // 2, 0, [7, *range(92, 113)], 0] -= 5000
    said = fit(motion.with_(points=points), reference, "linear").report.warnings
    assert any(
        f"left hand in {len(motion) // 2} of {len(motion)} frames" in text for text in said
    ), said


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.floats(0, 1),
    st.integers(0, 2),
    st.sampled_from([0, 1, 100]),
)
def test_no_clip_and_no_picture_makes_the_fit_fail(seed, frames, gaps, people, spread):
    rng = np.random.default_rng(seed)

    def random(frames, count):
        points = rng.normal(200, spread, (frames, count, POINT_COUNT, 2))
        scores = rng.uniform(0, 1, points.shape[:3]) * (rng.uniform(size=points.shape[:3]) >= gaps)
        rate = FrameRate.parse("30")
        return PoseTrack(points=points, scores=scores, size=(640, 480), rate=rate)

    track, reference = random(frames, people), random(1, int(rng.integers(0, 3)))
    fitted = fit(track, reference, "limbs").track
    assert fitted.points.shape == track.points.shape
    assert (fitted.scores == track.scores).all()
    assert (fitted.points[track.scores == 0] == 0).all()


def test_body_points_of_low_score_move_with_their_limb(motion, standing):
    scores = motion.scores.copy()
    scores[60, 0, 4] = 0.1
    fitted = fit_limbs(motion.with_(scores=scores), standing("child"))
    whole = fit_limbs(motion, standing("child"))
    np.testing.assert_allclose(fitted.points[60, 0, BODY], whole.points[60, 0, BODY], atol=2)
