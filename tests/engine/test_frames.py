"""Frame numbers and rates."""

import argparse
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.errors import SettingsError
from marionext.frames import FrameRange, FrameRate, format_frames, joined_frames, parse_frames


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("24", Fraction(24)),
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("12.5", Fraction(25, 2)),
    ],
)
def test_rates_are_read_exactly(text: str, exact: Fraction) -> None:
    assert FrameRate.parse(text).fraction == exact


@pytest.mark.parametrize("text", ["", "fast", "0", "-3", "1/0", "30/", "nan", "inf"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"frame rate"):
        FrameRate.parse(text)


@given(st.fractions(min_value=Fraction(1, 100), max_value=1000).filter(lambda f: f > 0))
def test_a_rate_survives_being_written(fraction: Fraction) -> None:
    rate = FrameRate(fraction)
    assert FrameRate.parse(str(rate)) == rate


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("47", (47,)),
        ("1-4", (1, 2, 3, 4)),
        ("3,5-7", (3, 5, 6, 7)),
        ("1-10:4", (1, 5, 9)),
        ("-3--1", (-3, -2, -1)),
        ("5,1-3,2", (1, 2, 3, 5)),
    ],
)
def test_selections_are_read_as_renderers_write_them(text: str, frames: tuple[int, ...]) -> None:
    assert parse_frames(text) == frames


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-5:0", "1..5", "1-", ",", "1-99999999999"])
def test_what_selects_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_frames(text)


@given(st.sets(st.integers(-200, 500), min_size=1))
def test_a_selection_survives_being_written(frames: set[int]) -> None:
    numbers = tuple(sorted(frames))
    assert parse_frames(format_frames(numbers)) == numbers


def test_a_range_includes_its_start_and_not_its_stop() -> None:
    frames = FrameRange(101, 111)
    assert len(frames) == 10
    assert 101 in frames
    assert 111 not in frames
    assert str(frames) == "101-110"


@pytest.mark.parametrize("frames", ["-10-5", "-10", "1-5", "-3,5-10"])
def test_frames_before_zero_may_follow_their_option(frames: str) -> None:
    arguments = ["render", "--frames", frames, "--out", "-"]
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("--frames")
    parser.add_argument("--out")
    read = parser.parse_args(joined_frames(arguments))
    assert (read.frames, read.out) == (frames, "-")


@pytest.mark.parametrize("up", ["-y", "-x", "-z", "y"])
def test_an_axis_may_begin_with_a_minus(up: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--up")
    parser.add_argument("-y", action="store_true")
    assert parser.parse_args(joined_frames(["--up", up])).up == up


def test_what_follows_is_not_taken_for_frames() -> None:
    assert joined_frames(["--up", "-o"]) == ["--up", "-o"]
    assert joined_frames(["--frames", "--out", "x"]) == ["--frames", "--out", "x"]
    assert joined_frames(["--frames"]) == ["--frames"]


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [("40-60", 40, 61), ("-10-5", -10, 6), ("-10--5", -10, -4), ("7", 7, 8), (" -3 ", -3, -2)],
)
def test_a_range_is_read_with_both_ends(text: str, start: int, stop: int) -> None:
    assert FrameRange.parse(text) == FrameRange(start, stop)


@pytest.mark.parametrize("text", ["", "a", "9-1", "1-9:2", "1,2", "1-"])
def test_what_is_no_single_range_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        FrameRange.parse(text)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**4))
def test_a_range_survives_being_written(start: int, length: int) -> None:
    frames = FrameRange(start, start + length)
    assert FrameRange.parse(str(frames)) == frames
