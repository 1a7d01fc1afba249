import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.edits import Fill, Swap
from marionext.errors import MotionError, SettingsError
from marionext.frames import FrameRange, FrameRate
from marionext.pose import CleanUp, Finding, Origin, PoseTrack, apply
from marionext.pose import clean as cleaned
from marionext.pose.skeleton import (
    LEFT_HAND,
    LIMB_GROUPS,
    MIRRORED,
    POINT_COUNT,
    RIGHT_HAND,
    point_numbers,
)

ONLY_GAPS = CleanUp(repair_swaps=False, outliers=0, median=False, window=0)


def clean(track, options=None):
    """The mended track alone."""
    return cleaned(track, options).track


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


def faulty(dancer, seed=0, first=0):
    """A dance with every kind of fault, and a second person who trembles."""
    truth = dancer(frames=100)
    rng = np.random.default_rng(seed)
    points = np.repeat(truth.points, 2, axis=1) + rng.normal(0, 2, (100, 2, POINT_COUNT, 2))
    scores = np.repeat(truth.scores, 2, axis=1)
    points[30:34, 0] = points[30:34, 0][:, list(MIRRORED)]
    points[60:62, 0, 4] += [160, -90]
    points[80:85, 0, LEFT_HAND] = scores[80:85, 0, LEFT_HAND] = 0
    points[40:60, 0, 13] = scores[40:60, 0, 13] = 0
    return truth.with_(points=points.astype(np.float32), scores=scores, first=first)


SPANS = st.builds(
    lambda start, length: FrameRange(start, start + length),
    st.integers(-5, 103),
    st.integers(1, 60),
)
SIDES = ["arms", "legs", "hands", "face", "torso", "body"]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99),
    frames=st.none() | SPANS,
    joints=st.lists(st.sampled_from(SIDES), max_size=2).map(tuple),
    person=st.none() | st.integers(0, 1),
)
def test_a_part_is_mended_as_in_the_whole_and_the_rest_left_alone(
    dancer_function, seed, frames, joints, person
):
    track = faulty(dancer_function, seed)
    whole, part = cleaned(track), cleaned(track, frames=frames, joints=joints, person=person)
    inside = np.zeros(track.scores.shape, bool)
    rows = [row for row in range(100) if frames is None or row in frames]
    people = [0, 1] if person is None else [person]
    inside[np.ix_(rows, people, point_numbers(joints))] = True
    for name in ("points", "scores", "origins"):
        old, all_of_it, some = (getattr(t, name) for t in (track, whole.track, part.track))
        assert some[inside].tobytes() == all_of_it[inside].tobytes()
        assert some[~inside].tobytes() == old[~inside].tobytes()
    for finding in part.findings:
        assert finding.frames.start >= min(rows)
        assert finding.frames.stop - 1 <= max(rows)
        assert finding.person in people


def test_one_side_alone_exchanges_nothing(dancer):
    track = faulty(dancer)
    only = cleaned(track, CleanUp(outliers=0, longest_gap=0, median=False, window=0),
                   joints=("left_arm",))  # fmt: skip
    assert only.track.points.tobytes() == track.points.tobytes()
    assert only.findings == tuple(f for f in only.findings if f.what != "swap")


def test_what_was_found_is_told(dancer):
    found = cleaned(faulty(dancer, first=101)).findings

    def those(what, person=0):
        return [f for f in found if f.what == what and f.person == person]

    (swap,) = those("swap")
    assert swap.frames == FrameRange(131, 135)
    assert set(point_numbers(swap.joints)) >= {*LIMB_GROUPS["legs"], *LIMB_GROUPS["arms"]}
    assert swap.mended
    assert 0.3 < swap.sure <= 1
    wrist = next(f for f in those("outlier") if 4 in point_numbers(f.joints))
    assert wrist.frames == FrameRange(161, 163)
    assert wrist.mended
    assert 0.3 < wrist.sure <= 1
    hand = next(f for f in those("gap") if f.joints == ("left_hand",))
    assert hand.frames == FrameRange(181, 186)
    assert hand.mended
    ankle = next(f for f in those("gap") if not f.mended)
    assert (ankle.frames, ankle.joints) == (FrameRange(141, 161), ("left_ankle",))
    assert ankle.sure is None
    assert those("swap", person=1) == []
    assert [f.frames.start for f in found] == sorted(f.frames.start for f in found)


def test_a_good_clip_has_no_findings(dancer):
    assert cleaned(dancer(frames=90, strength=0.5)).findings == ()


def test_cuts_and_jumps_are_told_but_not_mended(dancer):
    track = dancer(frames=60, strength=0.2)
    points = track.points.copy()
    points[30:] += [250, 0]
    points[45:, 0, LEFT_HAND] += [90, 0]
    found = cleaned(changed(track, points)).findings
    cut = next(f for f in found if f.what == "cut")
    assert cut == Finding(what="cut", frames=FrameRange(30, 31), joints=(), person=0, mended=False)
    (jump,) = (f for f in found if f.what == "jump")
    assert (jump.frames, jump.joints) == (FrameRange(45, 46), ("left_hand",))


def test_a_finding_names_the_edit_that_mends_it(dancer):
    track = faulty(dancer)
    found = cleaned(track).findings
    swap = next(f for f in found if f.what == "swap")
    part = {"frames": swap.frames, "joints": swap.joints, "person": swap.person}
    mended = apply(track, [Swap(**part)])
    assert not [f for f in cleaned(mended).findings if f.what == "swap"]
    gap = next(f for f in found if f.what == "gap" and not f.mended)
    filled = apply(track, [Fill(frames=gap.frames, joints=gap.joints, person=gap.person)])
    assert not [f for f in cleaned(filled).findings if f.what == "gap" and not f.mended]


def test_filled_points_say_so(dancer):
    mended = clean(faulty(dancer))
    assert (mended.origins[80:85, 0, LEFT_HAND] == Origin.FILLED).all()
    assert (mended.origins[60:62, 0, 4] == Origin.FILLED).all()
    assert not mended.origins[:20].any()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), share=st.sampled_from([0.02, 0.3]))
def test_points_that_were_set_by_hand_never_move(dancer_function, seed, share):
    track = faulty(dancer_function, seed)
    rng = np.random.default_rng(seed)
    by_hand = rng.uniform(size=track.scores.shape) < share
    by_hand[30:34, 0, 4] = by_hand[60:62, 0, 4] = True  # exchanged; wild
    origins = np.where(by_hand, Origin.BY_HAND, 0).astype(np.uint8)
    mended = clean(track.with_(origins=origins))
    assert (mended.points[by_hand] == track.points[by_hand]).all()
    assert (mended.scores[by_hand] == track.scores[by_hand]).all()
    assert (mended.origins[by_hand] == Origin.BY_HAND).all()


def test_a_whole_clean_up_leaves_nothing_to_mend_and_one_of_a_part_does(dancer):
    track = faulty(dancer)
    assert not track.cleaned
    assert clean(track).cleaned
    assert not cleaned(track, frames=FrameRange(3, 9)).track.cleaned


def test_mending_somebody_who_is_not_there_is_refused(dancer):
    with pytest.raises(MotionError, match="person below 1"):
        cleaned(dancer(frames=3), person=1)
    with pytest.raises(SettingsError, match="left_arn"):
        cleaned(dancer(frames=3), joints=("left_arn",))


def turning(dancer, noise=1.0):
    """A dance in which the right hand turns over and back within seven frames, and a noisy copy."""
    truth = dancer(frames=60, strength=0.2, centre=288)
    points = truth.points.astype(np.float64)
    wrist = points[:, 0, 4]
    for frame, angle in zip(range(27, 34), (0.5, 1.6, 2.8, 3.1, 2.2, 1.0, 0.2), strict=True):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        hand = points[frame, 0, RIGHT_HAND] - wrist[frame]
        points[frame, 0, RIGHT_HAND] = hand @ turn.T + wrist[frame]
    truth = changed(truth, points.astype(np.float32))
    seen = points + np.random.default_rng(3).normal(0, noise, points.shape)
    return truth, changed(truth, seen.astype(np.float32))


def test_a_fast_hand_stays_where_it_was_seen_and_keeps_its_size(dancer):
    truth, seen = turning(dancer)
    mended = clean(seen)
    assert (mended.scores == seen.scores).all()
    hand = slice(27, 34), 0, RIGHT_HAND
    error = np.linalg.norm(mended.points[hand] - truth.points[hand], axis=-1)
    assert error.max() < 8, "what is wrong of it trembles by one pixel"

    def reach(track):
        hand = track.points[27:34, 0, RIGHT_HAND]
        return np.linalg.norm(hand[:, 12] - hand[:, 0], axis=-1)

    np.testing.assert_allclose(reach(mended), reach(truth), rtol=0.08)


def test_a_filter_moves_no_confident_point_further_than_it_trembles(dancer):
    _, seen = turning(dancer, noise=2)
    mended = clean(seen, CleanUp(repair_swaps=False, outliers=0, longest_gap=0))
    way = np.linalg.norm(mended.points - seen.points, axis=-1)[:, 0]
    limbs = [joint for joint in range(POINT_COUNT) if joint not in {1, 2, 5, 8, 11}]
    usual = np.median(way, axis=0)
    assert (way[:, limbs] <= np.maximum(3.01 * usual, 0.0041 * 1024)[limbs]).all()


def test_a_hand_off_its_wrist_is_an_outlier_and_one_on_it_never(dancer):
    _, seen = turning(dancer)
    points = seen.points.copy()
    points[15, 0, RIGHT_HAND] += (150, 80)
    found = cleaned(changed(seen, points)).findings
    assert [f.frames for f in found if f.what == "outlier"] == [FrameRange(15, 16)]


def in_picture(track):
    """What a detector that is bound to its picture sees of a dance."""
    outside = ((track.points < 0) | (track.points >= track.size)).any(-1)
    points = np.where(outside[..., None], 0, track.points).astype(np.float32)
    return changed(track, points, np.where(outside, 0, track.scores).astype(np.float32))


def test_hands_leave_the_picture_with_their_wrists(dancer):
    truth = dancer(frames=40, strength=0)
    way = 30 * np.clip(5 - np.abs(np.arange(40) - 20), 0, 5)  # out, and back
    points = truth.points - (truth.points[0, 0, 4, 0] - 75, 0)
    points[..., 0] -= way[:, None, None]
    seen = in_picture(changed(truth, points.astype(np.float32)))
    assert 0 < (seen.scores[:, 0, 4] == 0).sum() <= 8
    mended = clean(seen)
    gone = seen.scores[:, 0, 4] == 0
    assert (mended.scores[gone][:, 0, 4] == 0).all()
    assert (mended.scores[gone][:, 0, RIGHT_HAND] == 0).all()
    assert not (mended.scores[:, 0, RIGHT_HAND] > seen.scores[:, 0, RIGHT_HAND]).any()


def test_a_hand_without_a_wrist_is_not_made_up(dancer):
    track = in_picture(dancer(frames=40, strength=0.2))
    hand = np.arange(RIGHT_HAND.start, RIGHT_HAND.stop)
    track = hidden(hidden(track, slice(18, 22), hand[:, None]), slice(16, 30), 4)
    assert (clean(track).scores[18:22, 0, RIGHT_HAND] == 0).all()
