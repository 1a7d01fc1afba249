import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.errors import SettingsError
from marionext.frames import FrameRate
from marionext_desktop.model.timecode import format_timecode, parse_timecode

RATES = [
    FrameRate.parse(text)
    for text in ("24", "25", "29.97", "30", "59.94", "60", "23.976", "12.5", "120")
]
NTSC = FrameRate.parse("29.97")


@given(st.integers(-(10**6), 10**7), st.sampled_from(RATES), st.booleans())
def test_timecode_is_read_back(frame: int, rate: FrameRate, drop: bool) -> None:
    assert parse_timecode(format_timecode(frame, rate, drop=drop), rate, drop=drop) == frame


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (1799, "00:00:59;29"),
        (1800, "00:01:00;02"),
        (17981, "00:09:59;29"),
        (17982, "00:10:00;00"),
        (107892, "01:00:00;00"),
    ],
)
def test_drop_frame_numbers_are_those_of_the_standard(frame: int, text: str) -> None:
    assert format_timecode(frame, NTSC, drop=True) == text


def test_a_minute_at_59_94_leaves_four_numbers_out() -> None:
    rate = FrameRate.parse("59.94")
    assert format_timecode(3600, rate, drop=True) == "00:01:00;04"


def test_other_rates_have_no_drop_frame_timecode() -> None:
    assert format_timecode(1800, FrameRate.parse("30"), drop=True) == "00:01:00:00"


@pytest.mark.parametrize(
    ("text", "frame"), [("132", 132), ("1:02", 32), ("1:00:00", 1800), ("12.5s", 375), ("-5", -5)]
)
def test_short_forms_are_understood(text: str, frame: int) -> None:
    assert parse_timecode(text, FrameRate.parse("30")) == frame


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4:5", "1::2", "99999999999999"])
def test_what_is_no_timecode_is_refused_in_words(text: str) -> None:
    with pytest.raises(SettingsError, match="timecode"):
        parse_timecode(text, NTSC)


def test_a_number_that_is_left_out_is_refused() -> None:
    with pytest.raises(SettingsError, match="leaves the first 2 numbers"):
        parse_timecode("00:01:00;01", NTSC, drop=True)
