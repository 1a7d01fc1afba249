import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.errors import SettingsError
from marionext.frames import FrameRate
from marionext.pose import CleanUp, PoseTrack, clean
from marionext.pose.skeleton import LEFT_HAND, MIRRORED, POINT_COUNT, RIGHT_HAND

ONLY_GAPS = CleanUp(repair_swaps=False, outliers=0, median=False, window=0)


def changed(track, points=None, scores=None):
    """A copy with some arrays replaced."""
    new = {"points": points, "scores": scores}
    return track.with_(**{name: value for name, value in new.items() if value is not None})


def hidden(track, frames, joints):
    """A copy in which joints are lost in some frames."""
    points, scores = track.points.copy(), track.scores.copy()
    points[frames, :, joints] = 0
    scores[frames, :, joints] = 0
    return changed(track, points, scores)


def distance(track, other):
    """Greatest distance between points, in pixels."""
    return np.linalg.norm(track.points - other.points, axis=-1).max()


def test_a_detectors_faults_are_mended(dancer):
    truth = dancer(frames=120)
    rng = np.random.default_rng(0)
    points, scores = truth.points + rng.normal(0, 2, truth.points.shape), truth.scores.copy()
    points[30:34] = points[30:34][:, :, list(MIRRORED)]
    points[60:62, 0, 4] += [160, -90]
    points[80:85, 0, LEFT_HAND] = scores[80:85, 0, LEFT_HAND] = 0
    mended = clean(changed(truth, points, scores))
    error = np.linalg.norm(mended.points - truth.points, axis=-1)
    assert error.mean() < 2.2
    assert np.percentile(error, 99.9) < 20
    assert (mended.scores > 0).all()


def test_trembling_is_at_least_halved_without_delay(dancer):
    truth = dancer(frames=120, strength=0.5)
    noise = np.random.default_rng(1).normal(0, 3, truth.points.shape)
    noisy = changed(truth, truth.points + noise)
    mended = clean(noisy)

    def trembling(track):
        return np.linalg.norm(np.diff(track.points - truth.points, 2, axis=0), axis=-1).mean()

    assert trembling(mended) < 0.3 * trembling(noisy)
    wrist = mended.points[:, 0, 4, 0]
    errors = [
        np.abs(wrist[5:-5] - truth.points[5 + lag : 115 + lag, 0, 4, 0]).mean()
        for lag in (-1, 0, 1)
    ]
    assert np.argmin(errors) == 1


def test_what_is_good_is_hardly_changed(dancer):
    truth = dancer(frames=120, strength=0.5)
    assert np.linalg.norm(clean(truth).points - truth.points, axis=-1).mean() < 0.5
    assert (clean(truth).scores == truth.scores).all()


def test_short_gaps_are_filled_with_lower_scores(dancer):
    truth = dancer(frames=60)
    filled = clean(hidden(truth, slice(20, 26), 4), ONLY_GAPS)
    assert distance(filled, truth) < 30
    inside = filled.scores[20:26, 0, 4]
    assert (inside > 0.3).all()
    assert (inside < 0.8).all()
    assert inside.argmin() in (2, 3)
    others = np.delete(filled.scores, 4, axis=2)
    assert (others == 0.8).all()


def test_long_gaps_stay(dancer):
    track = hidden(dancer(frames=60), slice(20, 29), 4)
    assert (clean(track).scores == track.scores).all()
    longer = clean(track, CleanUp(longest_gap=9))
    assert (longer.scores > 0).all()
    assert (clean(track, CleanUp(longest_gap=0)).scores == track.scores).all()


def test_gaps_last_as_long_at_any_rate(dancer):
    track = hidden(dancer(frames=60), slice(20, 29), 4)
    assert (clean(track.with_(rate=FrameRate.parse("60"))).scores > 0).all()


def test_gaps_at_the_ends_stay(dancer):
    track = hidden(hidden(dancer(frames=60), slice(0, 2), 4), slice(58, 60), 4)
    assert (clean(track).scores == track.scores).all()


def test_a_lost_hand_goes_along_with_its_wrist(dancer):
    truth = dancer(frames=60)
    hand = np.arange(RIGHT_HAND.start, RIGHT_HAND.stop)
    filled = clean(hidden(truth, slice(20, 27), hand[:, None]), ONLY_GAPS)
    own = filled.points - filled.points[:, :, 4:5]
    true = truth.points - truth.points[:, :, 4:5]
    assert np.abs(own - true)[:, :, RIGHT_HAND].max() < 30


def test_points_of_low_score_give_way_only_where_a_gap_can_be_filled(dancer):
    truth = dancer(frames=60)
    points, scores = truth.points.copy(), truth.scores.copy()
    points[20:23, 0, 4] = points[40:55, 0, 4] = 3
    scores[20:23, 0, 4] = scores[40:55, 0, 4] = 0.1
    mended = clean(changed(truth, points, scores), ONLY_GAPS)
    assert (mended.scores[20:23, 0, 4] > 0.3).all()
    assert (mended.scores[40:55, 0, 4] == np.float32(0.1)).all()
    assert (mended.points[40:55, 0, 4] == 3).all()


def test_nothing_is_filled_or_smoothed_across_a_cut(dancer):
    before, after = dancer(frames=30, strength=0.3), dancer(frames=30, strength=0.3, centre=5000)
    track = before.with_(
        points=np.concatenate([before.points, after.points]),
        scores=np.concatenate([before.scores, after.scores]),
    )
    track = hidden(track, slice(28, 33), 4)
    mended = clean(track)
    assert (mended.scores == track.scores).all()
    known = mended.scores > 0
    assert np.linalg.norm(mended.points - track.points, axis=-1)[known].max() < 5


def test_a_limb_that_jumps_is_not_drawn_along(dancer):
    truth = dancer(frames=40, strength=0.2)
    points = truth.points.copy()
    points[20:, 0, 4] += [0, -200]
    mended = clean(truth.with_(points=points))
    assert np.linalg.norm(mended.points - points, axis=-1).max() < 5


def test_a_hand_is_kept_or_dropped_as_a_whole(dancer):
    truth = dancer(frames=40, strength=0.2)
    points = truth.points.copy()
    points[10, 0, RIGHT_HAND] += [150, 80]
    points[20, 0, RIGHT_HAND.start + 4] += [150, 80]
    options = CleanUp(repair_swaps=False, longest_gap=0, median=False, window=0)
    gone = clean(truth.with_(points=points), options).scores == 0
    assert gone[10, 0, RIGHT_HAND].all()
    assert gone.sum() == 21


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_clips_of_a_few_frames_pass(dancer, frames):
    track = dancer(frames=frames)
    assert distance(clean(track), track) < 10
    assert clean(track.with_(points=track.points[:, :0], scores=track.scores[:, :0])).people == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 2), st.booleans())
def test_any_track_stays_finite_and_invents_no_one(seed, frames, people, wild):
    rng = np.random.default_rng(seed)
    shape = (frames, people, POINT_COUNT)
    points = rng.normal(300, 1e7 if wild else 100, (*shape, 2))
    scores = rng.uniform(-0.2, 1.1, shape) * (rng.uniform(size=shape) > rng.uniform())
    track = PoseTrack(points=points, scores=scores, size=(576, 1024), rate=FrameRate.parse("24"))
    mended = clean(track)
    assert mended.points.shape == track.points.shape
    never = ~(track.scores > 0).any(0)
    assert not (mended.scores > 0)[:, never & never[:, list(MIRRORED)]].any()
    assert mended.scores.max(initial=0) <= max(track.scores.max(initial=0), 0)


@pytest.mark.parametrize(
    "wrong",
    [{"window": 4}, {"window": 1}, {"outliers": -1}, {"longest_gap": -2}, {"trusted": np.nan}],
)
def test_options_are_checked(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        CleanUp(**wrong)
