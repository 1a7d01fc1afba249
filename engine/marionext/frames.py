"""Time without rounding: exact frame rates and frame numbers.

A rate such as 29.97 is really 30000/1001; kept as a float it drifts by a frame every half hour.
Frame numbers are those of the source (a Blender scene may start at 101); an index counts from 0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Self

from marionext import limits
from marionext.errors import SettingsError

__all__ = [
    "FrameRange",
    "FrameRate",
    "check_count",
    "check_number",
    "format_frames",
    "frame_name",
    "joined_frames",
    "parse_frames",
    "shown_rate",
]

_NTSC_TOLERANCE = Fraction(1, 200)
_SLOWEST = Fraction(1, limits.SLOWEST_RATE)
_RATE = re.compile(
    rf"[+-]?\d{{0,{limits.DIGITS}}}(?:/\d{{1,{limits.DIGITS}}}|(?:\.\d{{0,{limits.DIGITS}}})?"
    rf"(?:[eE][+-]?\d{{1,{limits.EXPONENT_DIGITS}}})?)"
)
"""What `Fraction` reads quickly: it would reckon out a power of ten of any size."""


def frame_name(number: int) -> str:
    """Return the file name of a frame: ``000123.png``, ``-00005.png``."""
    return f"{number:06d}.png"


_FRAMES = re.compile(r"(-?[0-9]+)(?:-(-?[0-9]+)(?::([0-9]+))?)?")


@dataclass(frozen=True, slots=True, order=True)
class FrameRate:
    """Frames per second as an exact fraction in lowest terms."""

    fraction: Fraction
    """Frames per second, from `marionext.limits.SLOWEST_RATE` to ``FASTEST_RATE``."""

    def __post_init__(self) -> None:
        """Refuse rates that cannot be."""
        if self.fraction <= 0:
            raise SettingsError(f"a frame rate is greater than 0, got {_cut(self.fraction)}")
        if not _SLOWEST <= self.fraction <= limits.FASTEST_RATE:
            raise SettingsError(
                f"expected a frame rate from 1/{limits.SLOWEST_RATE} to "
                f"{limits.FASTEST_RATE:,} frames/s, got {_cut(self.fraction)}"
            )

    @staticmethod
    def fits(fraction: Fraction) -> bool:
        """Tell whether a rate lies within the limits."""
        return _SLOWEST <= fraction <= limits.FASTEST_RATE

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``24``, ``30000/1001`` or ``29.97``.

        A decimal within 0.005 of an NTSC rate (23.976, 29.97, 59.94 ...) means that NTSC rate.

        Raises:
            SettingsError: the text is not a rate.
        """
        try:
            value = Fraction(text.strip() if _RATE.fullmatch(text.strip()) else "")
        except (ValueError, ZeroDivisionError):
            raise SettingsError(
                f"expected a frame rate such as 24, 29.97 or 30000/1001, got {limits.quoted(text)}"
            ) from None
        if value > 0 and "/" not in text and value.denominator != 1:
            ntsc = Fraction(round(value * 1001 / 1000) * 1000, 1001)
            if abs(ntsc - value) <= _NTSC_TOLERANCE:
                value = ntsc
        return cls(value)

    def seconds(self, frames: int) -> Fraction:
        """Return how long that many frames last."""
        return frames / self.fraction

    def __float__(self) -> float:
        """Return frames per second, rounded: for display and for libraries that want it."""
        return float(self.fraction)

    def __str__(self) -> str:
        """Return ``24`` or ``30000/1001``; `parse` reads it back exactly."""
        return str(self.fraction)


@dataclass(frozen=True, slots=True, order=True)
class FrameRange:
    """Frames ``start`` to ``stop - 1`` in the source's own numbers."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        """Refuse empty and backward ranges."""
        if self.stop <= self.start:
            raise SettingsError(f"a frame range is not empty, got {self.start} up to {self.stop}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``40-60``, ``-10-5`` or ``7``, both ends included.

        Raises:
            SettingsError: the text is no such range, or the range is empty.
        """
        match = _FRAMES.fullmatch(text.strip())
        if match is None or match[3]:
            raise SettingsError(f"expected frames such as 47 or 1-30, got {limits.quoted(text)}")
        first = _number(match[1])
        last = _number(match[2]) if match[2] else first
        if last < first:
            raise SettingsError(f"frames {limits.quoted(text.strip())} select nothing")
        return cls(first, last + 1)

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.stop - self.start

    def __contains__(self, frame: int) -> bool:
        """Tell whether a frame number lies in the range."""
        return self.start <= frame < self.stop

    def __str__(self) -> str:
        """Return ``1-120``, both ends included, as `parse` and `parse_frames` read it."""
        return f"{self.start}-{self.stop - 1}"


def parse_frames(text: str) -> tuple[int, ...]:
    """Read a frame selection: ``47``, ``1-30``, ``3,5-10``, ``1-100:2``.

    Both ends of a span are included, as renderers and farms have it.

    Returns:
        The frame numbers, ascending, each once.

    Raises:
        SettingsError: the text is not such a selection, or selects nothing, or more than
            `marionext.limits.FRAMES`.
    """
    frames: set[int] = set()
    total = 0
    for part in text.split(","):
        match = _FRAMES.fullmatch(part.strip())
        if match is None:
            raise SettingsError(
                "expected frames such as 47, 1-30, 3,5-10 or 1-100:2, "
                f"got {limits.quoted(part.strip())}"
            )
        first = _number(match[1])
        last = _number(match[2]) if match[2] else first
        step = _number(match[3]) if match[3] else 1
        if last < first or step < 1:
            raise SettingsError(f"frames {limits.quoted(part.strip())} select nothing")
        total += (last - first) // step + 1
        check_count(total)
        frames.update(range(first, last + 1, step))
    return tuple(sorted(frames))


def shown_rate(numbers: Sequence[int], rate: FrameRate) -> FrameRate | None:
    """Return the rate at which a selection of frames lasts as long as it does in its source.

    Args:
        numbers: of the frames, ascending.
        rate: of the source.

    Returns:
        None where they are not evenly spaced, or so far apart that no rate is as low.
    """
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    even = all(after - before == step for before, after in pairwise(numbers))
    slower = rate.fraction / step
    return FrameRate(slower) if even and FrameRate.fits(slower) else None


def check_count(frames: int) -> None:
    """Refuse more frames than fit into one render, before a list of them fills the memory.

    Raises:
        SettingsError: naming the limit, and how to do without.
    """
    if frames > limits.FRAMES:
        raise SettingsError(
            f"expected at most {limits.FRAMES:,} frames at once, got {frames:,}",
            hint="Select a part with --frames FIRST-LAST (or 'frames' in the job), and the next "
            "part into another folder.",
        )


def check_number(name: str, number: int) -> None:
    """Refuse a frame number outside of the range they have.

    Raises:
        SettingsError: naming it and the range.
    """
    if abs(number) > limits.FRAME_NUMBER:
        raise SettingsError(
            f"{name}: expected a frame number from -{limits.FRAME_NUMBER:,} to "
            f"{limits.FRAME_NUMBER:,}, got {limits.quoted(number)}"
        )


def _number(digits: str) -> int:
    """Read a frame number; thousands of digits are a mistake, and slow to read."""
    number = int(digits) if len(digits) < 30 else limits.FRAME_NUMBER + 1
    if abs(number) > limits.FRAME_NUMBER:
        raise SettingsError(
            f"expected frame numbers from -{limits.FRAME_NUMBER:,} to {limits.FRAME_NUMBER:,}, "
            f"got {limits.quoted(digits)}"
        )
    return number


def _cut(fraction: Fraction) -> str:
    return limits.quoted(str(fraction)).strip("'")


def format_frames(frames: tuple[int, ...]) -> str:
    """Write a selection in the shortest form that `parse_frames` reads back.

    Args:
        frames: frame numbers, ascending, each once, at least one.
    """
    parts: list[str] = []
    index = 0
    while index < len(frames):
        step = frames[index + 1] - frames[index] if index + 1 < len(frames) else 1
        end = index
        while end + 1 < len(frames) and frames[end + 1] - frames[end] == step:
            end += 1
        if end - index < (1 if step == 1 else 2):
            parts.append(str(frames[index]))
            index += 1
            continue
        suffix = f":{step}" if step > 1 else ""
        parts.append(f"{frames[index]}-{frames[end]}{suffix}")
        index = end + 1
    return ",".join(parts)


_MAY_BE_NEGATIVE = {"--frames": r"-\d", "--up": r"-[xyz]$"}


def joined_frames(arguments: Sequence[str]) -> list[str]:
    """Return a command line with values that begin with a minus: ``--frames -10-5``, ``--up -y``.

    `argparse` takes what begins with a minus for another option, unless it is joined by ``=``.
    """
    joined: list[str] = []
    for argument in arguments:
        option = joined[-1] if joined else ""
        if option in _MAY_BE_NEGATIVE and re.match(_MAY_BE_NEGATIVE[option], argument):
            joined[-1] = f"{option}={argument}"
        else:
            joined.append(argument)
    return joined
