from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.diffusion.windows import Window, plan_reference_windows, plan_windows
from marionext.errors import SettingsError

clips = st.integers(1, 400)
lengths = st.integers(2, 40)
blends = st.sampled_from(["crossfade", "uniform"])


def shares(windows: list[Window], frames: int) -> np.ndarray:
    total = np.zeros(frames + 1)
    for window in windows:
        np.add.at(total, list(window.frames), window.weights)
    return total


@given(frames=clips, length=lengths, part=st.floats(0, 0.999), blend=blends)
def test_every_frame_is_averaged_to_one_and_seams_are_long_enough(
    frames: int, length: int, part: float, blend: str
) -> None:
    overlap = int(part * length)
    windows = plan_windows(frames, length, overlap, blend)
    assert np.allclose(shares(windows, frames), 1)
    for window in windows:
        assert len(window.frames) == len(window.control) == len(window.weights)
        assert len(window.frames) == min(length, frames + 1)
        assert window.frames == window.control
        assert window.frames[0] == 0
        assert list(window.frames[1:]) == list(range(window.frames[1], window.frames[-1] + 1))
        assert min(window.weights) > 0
    for before, after in pairwise(windows):
        assert after.frames[1] > before.frames[1]
        assert len(set(before.frames) & set(after.frames)) >= overlap


@given(frames=clips, length=lengths, part=st.floats(0, 0.999), blend=blends)
def test_shifted_windows_cover_every_frame_and_have_their_seams_elsewhere(
    frames: int, length: int, part: float, blend: str
) -> None:
    overlap = int(part * length)
    still = plan_windows(frames, length, overlap, blend)
    shifted = plan_windows(frames, length, overlap, blend, shifted=True)
    assert np.allclose(shares(shifted, frames), 1)
    for window in shifted:
        assert window.frames == (0, *range(window.frames[1], window.frames[-1] + 1))
        assert len(window.frames) <= min(length, frames + 1)
        assert min(window.weights) > 0
    if len(still) == 1:
        assert shifted == still
    elif length - max(overlap, 1) >= 4:
        firsts = {window.frames[1] for window in still[1:]}
        assert firsts.isdisjoint(window.frames[1] for window in shifted[1:-1])


@given(frames=clips, length=lengths, part=st.floats(0, 0.999))
def test_ours_needs_no_more_windows_than_the_reference(
    frames: int, length: int, part: float
) -> None:
    overlap = max(1, int(part * length))
    if overlap >= length:
        return
    ours = plan_windows(frames, length, overlap)
    assert len(ours) <= len(plan_reference_windows(frames, length, overlap))


@given(frames=clips, length=lengths, part=st.floats(0, 0.999))
def test_the_reference_plan_covers_every_frame_and_shows_the_slot_first(
    frames: int, length: int, part: float
) -> None:
    overlap = max(1, int(part * length))
    if overlap >= length:
        return
    windows = plan_reference_windows(frames, length, overlap)
    assert np.allclose(shares(windows, frames), 1)
    for window in windows:
        assert window.control == (0, *window.frames[1:])
        assert (window.weights[0] == 0) == (window.frames[0] > 0)


def test_a_short_clip_is_one_window_of_its_own_length() -> None:
    (window,) = plan_windows(1, 24, 6)
    assert window == Window((0, 1), (0, 1), (1.0, 1.0))
    assert plan_reference_windows(1, 24, 6) == [window]


def test_windows_spread_their_slack_over_all_seams() -> None:
    starts = [window.frames[1] for window in plan_windows(50, 24, 6)]
    assert starts == [1, 14, 28]


def test_neighbours_fade_into_each_other() -> None:
    first, second = plan_windows(8, 6, 3)
    assert first.frames[-2:] == second.frames[1:3]
    assert first.weights[-2:] == pytest.approx((2 / 3, 1 / 3))
    assert second.weights[1:3] == pytest.approx((1 / 3, 2 / 3))


@pytest.mark.parametrize(
    ("frames", "length", "overlap"), [(0, 8, 2), (5, 1, 0), (5, 8, 8), (5, 8, -1)]
)
def test_impossible_windows_are_refused(frames: int, length: int, overlap: int) -> None:
    with pytest.raises(SettingsError):
        plan_windows(frames, length, overlap)
    with pytest.raises(SettingsError):
        plan_reference_windows(frames, length, overlap)


def test_the_reference_cannot_do_without_overlap() -> None:
    with pytest.raises(SettingsError, match="at least 1"):
        plan_reference_windows(20, 8, 0)
