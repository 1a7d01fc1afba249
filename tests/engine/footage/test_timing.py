from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.footage.timing import Timing, nearest_frames, plan_timing, resample
from marionext.frames import FrameRate

NTSC = [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)]
WHOLE = [Fraction(rate) for rate in (12, 15, 24, 25, 30, 48, 50, 60)]


@given(
    rate=st.sampled_from(NTSC + WHOLE),
    count=st.integers(2, 3000),
    start=st.fractions(0, 100),
    unit=st.sampled_from([1000, 15360, 90000]),
)
def test_a_constant_rate_is_found_exactly_whatever_the_container_rounds_times_to(
    rate: Fraction, count: int, start: Fraction, unit: int
) -> None:
    times = [Fraction(round((start + index / rate) * unit), unit) for index in range(count)]
    timing = plan_timing(times, declared=[rate], tick=Fraction(1, unit))
    assert timing == Timing(FrameRate(rate), count, variable=False)


def test_a_constant_rate_is_found_when_the_file_claims_another() -> None:
    times = [Fraction(round(index * 1001 / 30), 1000) for index in range(600)]
    timing = plan_timing(times, declared=[Fraction(90)])
    assert timing == Timing(FrameRate(Fraction(30000, 1001)), 600, variable=False)


def test_a_single_frame_has_the_rate_the_file_claims() -> None:
    assert plan_timing([Fraction(3)], declared=[Fraction(24)]).rate == FrameRate(Fraction(24))
    assert plan_timing([Fraction(3)]).count == 1


def test_a_dropped_frame_makes_a_video_variable_but_keeps_its_length() -> None:
    times = [Fraction(index, 30) for index in range(90) if index not in (40, 41, 60)]
    timing = plan_timing(times, declared=[Fraction(29)], last_duration=Fraction(1, 30))
    assert timing == Timing(FrameRate(Fraction(30)), 90, variable=True)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=200))
def test_every_video_gets_a_grid_that_lasts_as_long_as_it_does(steps: list[int]) -> None:
    times = [Fraction(0)]
    for step in steps:
        times.append(times[-1] + Fraction(step, 1000))
    timing = plan_timing(times)
    assert timing.count >= 1
    if timing.variable:
        assert abs(timing.rate.seconds(timing.count) - times[-1]) <= Fraction(401, 1000) + (
            1 / timing.rate.fraction
        )
    nearest = nearest_frames(times, timing)
    assert len(nearest) == timing.count
    assert (np.diff(nearest) >= 0).all()
    assert nearest[0] == 0


@given(st.lists(st.integers(5, 200), min_size=4, max_size=60), st.sampled_from(WHOLE))
def test_steady_motion_is_exact_between_frames(steps: list[int], rate: Fraction) -> None:
    seconds = np.concatenate(([0], np.cumsum(steps))) / 1000
    times = [Fraction(round(second * 1000), 1000) for second in seconds]
    count = int(times[-1] * rate) + 1
    timing = Timing(FrameRate(rate), count, variable=True)
    points = np.zeros((len(times), 1, 134, 2), np.float32)
    points[..., 0] = 100 * seconds[:, None, None]
    scores = np.full((len(times), 1, 134), 0.8, np.float32)
    moved, kept = resample(points, scores, times, timing)
    expected = 100 * np.arange(count) / float(rate)
    np.testing.assert_allclose(moved[:, 0, 0, 0], expected, atol=2e-3)
    np.testing.assert_allclose(kept, 0.8, atol=1e-6)


def test_a_still_is_held_and_what_is_unseen_is_not_made_up() -> None:
    times = [Fraction(0), Fraction(1), Fraction(11, 10)]
    timing = Timing(FrameRate(Fraction(10)), 12, variable=True)
    points = np.zeros((3, 1, 134, 2), np.float32)
    points[:, 0, :, 0] = np.array((10, 50, 60))[:, None]
    scores = np.ones((3, 1, 134), np.float32)
    scores[2, 0, 5] = 0
    moved, kept = resample(points, scores, times, timing)
    assert moved[:5, 0, 0, 0].tolist() == [10] * 5
    assert moved[6:, 0, 0, 0].tolist() == [50, 50, 50, 50, 50, 60]
    assert kept[-1, 0, 5] == 0
    assert kept[-1, 0, 4] == pytest.approx(1)


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(30000, 1001), Fraction(60)])
def test_a_long_variable_video_keeps_the_rate_its_frames_come_at(rate: Fraction) -> None:
    times = [Fraction(round(1000 * index / rate), 1000) for index in range(3000) if index % 7]
    timing = plan_timing(times)
    assert timing.variable
    assert timing.rate.fraction == rate


def test_irregular_frames_get_a_common_rate_that_loses_none() -> None:
    rng = np.random.default_rng(0)
    times = [Fraction(int(stamp), 1000) for stamp in np.cumsum(rng.choice([33, 34, 50, 66], 60))]
    timing = plan_timing(times)
    assert timing.rate.fraction == 24
    assert timing.count >= 60
