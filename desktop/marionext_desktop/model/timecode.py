"""Frame numbers as people say them: ``00:01:02:15``, with ``;`` where numbers are left out.

At 29.97 frames a second, timecode that counts 30 falls 3.6 seconds an hour behind the clock.
Drop-frame timecode (SMPTE ST 12-1) leaves out the first two numbers of every minute but the tenth
(four at 59.94): no frame is dropped, only numbers.
"""

import re
from fractions import Fraction

from marionext.errors import SettingsError
from marionext.frames import FrameRate
from marionext.limits import FRAME_NUMBER, quoted

__all__ = ["can_drop", "format_timecode", "frames_a_second", "parse_timecode"]

_PARTS = re.compile(r"(-?)(?:(?:(\d{1,4})[:;.])?(\d{1,4})[:;.])?(\d{1,6})[:;.](\d{1,6})")
_NUMBER = re.compile(r"(-?\d{1,9})")
_SECONDS = re.compile(r"(-?\d{1,9}(?:[.,]\d{1,6})?)\s*s")


def frames_a_second(rate: FrameRate) -> int:
    """Return how many numbers a second of timecode has: the rate, rounded up."""
    return -(-rate.fraction.numerator // rate.fraction.denominator)


def can_drop(rate: FrameRate) -> bool:
    """Tell whether there is drop-frame timecode at a rate: 29.97, 59.94 and so on."""
    return rate.fraction.denominator == 1001 and rate.fraction.numerator % 30_000 == 0


def format_timecode(frame: int, rate: FrameRate, *, drop: bool = False) -> str:
    """Write a frame number as ``HH:MM:SS:FF``.

    Args:
        frame: counted from 0; may be negative.
        rate: of the sequence.
        drop: leave numbers out so that it keeps up with the clock, where the rate allows it.
    """
    base = frames_a_second(rate)
    drop = drop and can_drop(rate)
    sign, count = ("-", -frame) if frame < 0 else ("", frame)
    if drop:
        count = _with_gaps(count, base)
    seconds, frames = divmod(count, base)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    width = max(2, len(str(base - 1)))
    mark = ";" if drop else ":"
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{frames:0{width}d}"


def parse_timecode(text: str, rate: FrameRate, *, drop: bool = False) -> int:
    """Read a place in the sequence.

    Args:
        text: timecode (``1:02:15`` means minutes, seconds, frames), seconds (``12.5s``) or a frame
            number.
        rate: of the sequence.
        drop: whether the sequence counts in drop-frame timecode.

    Raises:
        SettingsError: the text is none of these, or a number that drop-frame timecode leaves out.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return int(text)
    if match := _SECONDS.fullmatch(text):
        return int(Fraction(match[1].replace(",", ".")) * rate.fraction // 1)
    match = _PARTS.fullmatch(text)
    if match is None:
        raise SettingsError(
            f"expected a frame number, seconds such as 12.5s or timecode such as 00:01:02:15, "
            f"got {quoted(text)}"
        )
    base = frames_a_second(rate)
    hours, minutes, seconds, frames = (int(part or 0) for part in match.groups()[1:])
    count = ((hours * 60 + minutes) * 60 + seconds) * base + frames
    if drop and can_drop(rate):
        left_out = base // 15
        whole_minutes = count // (60 * base)
        in_minute = count % (60 * base)
        if in_minute < left_out and whole_minutes % 10:
            raise SettingsError(
                f"{quoted(text)}: drop-frame timecode leaves the first {left_out} numbers of this "
                "minute out",
                hint=f"Write {frames + left_out:02d} for the first frame of that minute.",
            )
        count -= left_out * (whole_minutes - whole_minutes // 10)
    if count > FRAME_NUMBER:
        raise SettingsError(f"{quoted(text)} lies beyond the last frame that is counted")
    return -count if match[1] else count


def _with_gaps(count: int, base: int) -> int:
    """Return the number that drop-frame timecode gives a frame."""
    left_out = base // 15  # 2 of 30, 4 of 60
    in_ten = 600 * base - 9 * left_out
    tens, rest = divmod(count, in_ten)
    skipped = 9 * tens
    if rest >= 60 * base:
        skipped += 1 + (rest - 60 * base) // (60 * base - left_out)
    return count + left_out * skipped
