from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate
from marionext.pose import Origin, PoseTrack, resample, resampled_count, select, trim
from marionext.pose.skeleton import POINT_COUNT

rates = (
    st.builds(Fraction, st.integers(1, 120_000), st.sampled_from([1, 2, 1001]))
    .filter(lambda rate: 1 <= rate <= 240)
    .map(FrameRate)
)


def ramp(frames, rate="24", first=0):
    """A track whose x is the frame's number and whose y is constant."""
    points = np.zeros((frames, 1, POINT_COUNT, 2), np.float32)
    points[..., 0] = np.arange(frames)[:, None, None]
    return PoseTrack(
        points=points,
        scores=np.ones((frames, 1, POINT_COUNT)),
        size=(64, 64),
        rate=FrameRate.parse(rate),
        first=first,
    )


@given(st.integers(1, 400), rates, rates)
def test_the_new_frames_are_those_whose_time_lies_in_the_clip(frames, rate, new_rate):
    count = resampled_count(frames, rate, new_rate)
    duration = rate.seconds(frames)
    assert new_rate.seconds(count - 1) < duration <= new_rate.seconds(count)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), rates, rates)
def test_each_new_frame_shows_its_own_time(frames, rate, new_rate):
    track = ramp(frames).with_(rate=rate)
    new = resample(track, new_rate)
    assert len(new) == resampled_count(frames, rate, new_rate)
    assert new.rate == new_rate
    times = [float(min(new_rate.seconds(i) * rate.fraction, frames - 1)) for i in range(len(new))]
    np.testing.assert_allclose(new.points[:, 0, 0, 0], times, rtol=1e-5, atol=1e-4)
    assert (new.points[..., 1] == 0).all()


def test_a_round_trip_over_a_multiple_of_the_rate_is_exact():
    track = ramp(25)
    there = resample(track, FrameRate.parse("48"))
    assert (resample(there, track.rate).points == track.points).all()


def test_ntsc_does_not_drift_in_half_an_hour():
    count = 54_000
    new = resampled_count(count, FrameRate.parse("30000/1001"), FrameRate.parse("30"))
    assert new == 54_054


def test_nearest_repeats_and_drops_whole_frames():
    new = resample(ramp(4, "24"), FrameRate.parse("60"), method="nearest")
    assert new.points[:, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_gap_stays_a_gap():
    track = ramp(4, "10")
    scores = track.scores.copy()
    scores[2] = 0
    new = resample(track.with_(scores=scores), FrameRate.parse("40"))
    known = new.scores[:, 0, 0] > 0
    assert known.tolist() == [*[True] * 7, *[False] * 4, *[True] * 5]
    assert new.points[6, 0, 0, 0] == 1  # nothing is mixed with the unknown


def test_a_cut_stays_a_cut(dancer):
    here, there = dancer(frames=10, strength=0.1), dancer(frames=10, strength=0.1, centre=2000)
    track = here.with_(
        points=np.concatenate([here.points, there.points]),
        scores=np.concatenate([here.scores, there.scores]),
    )
    new = resample(track, FrameRate.parse("80"))
    between = (new.points[:, 0, 1, 0] > 400) & (new.points[:, 0, 1, 0] < 1900)
    assert not between.any()
    assert (new.scores > 0).all()


def test_trimming_keeps_the_numbers_of_the_source():
    part = trim(ramp(10, first=101), FrameRange(104, 107))
    assert part.frames == FrameRange(104, 107)
    assert part.points[:, 0, 0, 0].tolist() == [3, 4, 5]


@pytest.mark.parametrize("frames", [FrameRange(100, 105), FrameRange(105, 112)])
def test_frames_that_are_not_there_are_an_error(frames):
    with pytest.raises(MotionError, match="101-110"):
        trim(ramp(10, first=101), frames)
    with pytest.raises(MotionError, match="101-110"):
        select(ramp(10, first=101), tuple(range(frames.start, frames.stop)))


def test_selected_frames_stand_side_by_side():
    part = select(ramp(10, first=101), (103, 105, 110))
    assert part.points[:, 0, 0, 0].tolist() == [2, 4, 9]
    assert part.first == 103
    with pytest.raises(MotionError, match="at least one"):
        select(ramp(3), ())


def test_where_points_come_from_is_kept_at_every_rate():
    track = ramp(8)
    origins = track.origins.copy()
    origins[3:] = Origin.FILLED
    marked = track.with_(origins=origins)
    slower = resample(marked, FrameRate(track.rate.fraction / 2))
    assert slower.origins[:, 0, 0].tolist() == [0, 0, 1, 1]
    faster = resample(marked, FrameRate(track.rate.fraction * 2))
    assert faster.origins[:, 0, 0].tolist() == [0] * 6 + [1] * 10
    assert trim(marked, FrameRange(track.first + 2, track.first + 5)).origins[:, 0, 0].tolist() == [
        0, 1, 1
    ]  # fmt: skip
