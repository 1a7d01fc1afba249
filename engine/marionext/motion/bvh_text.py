"""The text of a BVH file: its hierarchy and its rows of numbers.

Such files are written by hand, by spreadsheets and by programs of many countries. What is not as it
should be is either plain (decimal commas, UTF-16, rows that are wrapped) and read, or named with
its line. A row is a frame: numbers that are missing or left over never shift into the next one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.files import check_room, read_bytes
from marionext.frames import FrameRate
from marionext.limits import FASTEST_RATE, NODE_DEPTH, SLOWEST_RATE
from marionext.motion.rates import nearest_rate
from marionext.motion.weights import check_joints, check_motion

__all__ = ["BvhText", "Joint", "parse_bvh", "wide_encoding"]

Floats = NDArray[np.float64]

_FARTHEST = 1e9
"""No sound file holds a number as large as this; beyond it sums overflow."""
_SHORTEST, _LONGEST = Decimal(1) / FASTEST_RATE, Decimal(SLOWEST_RATE)
"""Seconds that a frame may last."""
_USUAL_RATES = (10, 300)
"""Frames per second that motions are recorded at; others are worth a word."""
_ROW_BYTES = 300
"""Of a line of numbers while it is read, however short."""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_DECIMAL_COMMA = re.compile(r"(?<![^\s:])([+-]?\d+),(\d+(?:[eE][+-]?\d+)?)(?!\S)")
_DECIMAL_POINT = re.compile(r"(?<!\S)[+-]?\d*\.\d")
_END_SITES = frozenset({"END", "ENDSITE", "END_SITE", "END-SITE"})
_POINTS = "Write numbers with decimal points and spaces between them: 0.5 -12.25"


@dataclass(slots=True)
class Joint:
    """A ROOT or JOINT as it is written."""

    name: str
    parent: int
    line: int
    offset: tuple[float, ...] | None = None
    channels: list[str] = field(default_factory=list)
    column: int = 0
    """Where its channels start in a frame's numbers."""
    end: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class BvhText:
    """What a file says, in its own axes and units."""

    joints: list[Joint]
    """Parents before their children; one without a parent is a ROOT."""
    values: Floats
    """(frames, channels)"""
    rate: FrameRate
    notes: tuple[str, ...]
    """What was taken for granted or left out."""


def parse_bvh(path: Path, *, source_rate: FrameRate | None = None) -> BvhText:
    """Read the text of a file.

    Args:
        path: the file.
        source_rate: its frames per second, whatever it says; None: as it says.

    Raises:
        MotionError: the file cannot be read, or is not well formed; the line is named.
    """
    lines, notes = _read_lines(path)
    joints, motion_line = _parse_hierarchy(path, lines)
    values, rate, more = _parse_motion(path, lines, motion_line, joints, source_rate)
    return BvhText(joints, values, rate, (*notes, *more))


def wide_encoding(data: bytes) -> str | None:
    """Tell the form of UTF-16 that a BVH's text is written in, by its start; None: in neither."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} and data[2:4] != b"\0\0":
        return "utf-16"
    start = data.lstrip(b" \t\r\n\0")[:9]
    if start.replace(b"\0", b"").upper() != b"HIERA"[: (len(start) + 1) // 2]:
        return None
    return "utf-16-be" if data[:1] == b"\0" else "utf-16-le" if start[1:2] == b"\0" else None


def _decoded(path: Path, data: bytes) -> str:
    wide = wide_encoding(data)
    for encoding in (wide,) if wide else ("utf-8-sig", "cp932", "latin-1"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise MotionError(
        f"{path.name} is text in UTF-16 that is damaged or cut off",
        hint="Save or export it again, in UTF-8.",
    )


def _read_lines(path: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the lines, with decimal points, and what was noticed."""
    try:
        data = read_bytes(path)
    except OSError as error:
        raise MotionError(f"cannot read {path.name}: {error.strerror or error}") from error
    lines = _decoded(path, data).splitlines()
    first = next((n for n, line in enumerate(lines) if _DECIMAL_COMMA.search(line)), None)
    if first is None:
        return lines, ()
    # "1,5" is one number or two: it is one if no number of the file has a point. The frame time
    # does not count: programs write it apart from the rest.
    points = (n for n, line in enumerate(lines) if _DECIMAL_POINT.search(line))
    mixed = next((n for n in points if not re.match(r"\s*frame\s*time", lines[n], re.I)), None)
    if mixed is not None:
        raise MotionError(
            f"{path.name}: line {first + 1} has numbers with commas, line {mixed + 1} with points: "
            "whether 1,5 is one number or two cannot be told",
            hint=_POINTS,
        )
    lines = [_DECIMAL_COMMA.sub(r"\1.\2", line) for line in lines]
    return lines, (f"numbers with decimal commas (from line {first + 1} on) read as with points",)


def _wrong(path: Path, line: int, expected: str, found: str) -> MotionError:
    """Return the error for a file that is not well formed."""
    found = found if len(found) < 60 else found[:57] + "..."
    return MotionError(f"{path.name}, line {line}: expected {expected}, found {found}")


def _numbers(path: Path, line: int, words: list[str], count: int, what: str) -> tuple[float, ...]:
    """Return that many finite numbers."""
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(abs(number) < _FARTHEST for number in numbers):
        error = _wrong(path, line, f"{what} of {count} numbers", repr(" ".join(words)))
        error.hint = _POINTS if any("," in word for word in words) else None
        raise error
    return numbers


def _statements(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield line number and statement; braces stand alone wherever they are written."""
    for number, line in enumerate(lines, 1):
        for part in re.findall(r"[{}]|[^{}]+", line):
            if part.strip():
                yield number, part.strip()


def _parse_hierarchy(path: Path, lines: list[str]) -> tuple[list[Joint], int]:
    """Return the joints, parents first, and the number of the line that says MOTION."""
    joints: list[Joint] = []
    stack: list[int | None] = []  # a joint's index, or None for an end site
    opening: int | str | None = ""  # what the next brace opens; "" for nothing
    columns = 0
    started = False
    for line, statement in _statements(lines):
        words = statement.split()
        keyword = words[0].upper()
        if not started:
            if keyword != "HIERARCHY":
                raise _wrong(path, line, "HIERARCHY, with which every BVH starts", repr(statement))
            started = True
            continue
        if (opening != "") != (keyword == "{"):
            expected = "'{'" if opening != "" else "ROOT, JOINT, OFFSET, CHANNELS or '}'"
            raise _wrong(path, line, expected, repr(statement))
        current = joints[stack[-1]] if stack and stack[-1] is not None else None
        if keyword == "{" and not isinstance(opening, str):
            stack.append(opening)
            if len(stack) > NODE_DEPTH:
                raise _wrong(path, line, f"joints at most {NODE_DEPTH} deep", "more")
            opening = ""
        elif keyword == "}":
            if not stack:
                raise _wrong(path, line, "MOTION or ROOT", "a '}' that closes nothing")
            stack.pop()
        elif keyword == "MOTION":
            if stack:
                raise _wrong(path, line, f"{len(stack)} more '}}'", "MOTION")
            break
        elif keyword == "ROOT" or (keyword == "JOINT" and current is not None):
            if keyword == "ROOT" and stack:
                raise _wrong(path, line, "JOINT or '}'", repr(statement))
            name = statement[len(words[0]) :].strip()
            if not name:
                raise _wrong(path, line, "a name", "none")
            parent = stack[-1] if stack and stack[-1] is not None else -1
            joints.append(Joint(name, parent, line, column=columns))
            opening = len(joints) - 1
        elif keyword in _END_SITES and current is not None:
            opening = None
        elif keyword == "OFFSET" and stack:
            offset = _numbers(path, line, words[1:], 3, "an offset")
            if current is not None and current.offset is not None:
                raise _wrong(path, line, f"one OFFSET in {current.name!r}", "another")
            if current is not None:
                current.offset = offset
            elif len(stack) > 1 and stack[-2] is not None:
                joints[stack[-2]].end = offset
        elif keyword == "CHANNELS" and current is not None:
            if current.channels:
                raise _wrong(path, line, f"CHANNELS of {current.name!r} once", "more")
            current.channels = _parse_channels(path, line, words[1:])
            current.column = columns
            columns += len(current.channels)
        else:
            raise _wrong(path, line, "ROOT, JOINT, OFFSET, CHANNELS or '}'", repr(statement))
    else:
        raise _wrong(path, len(lines), "MOTION", "the end of the file")
    if not joints:
        raise _wrong(path, line, "at least one ROOT", "MOTION")
    for joint in joints:
        if joint.offset is None:
            raise _wrong(path, joint.line, f"an OFFSET in {joint.name!r}", "none")
    check_joints(path, len(joints))
    return joints, line


def _parse_channels(path: Path, line: int, words: list[str]) -> list[str]:
    """Return channels as ``Xp`` (position) or ``Xr`` (rotation)."""
    expected = "CHANNELS, their number, and as many of Xposition ... Zrotation"
    if not words or words[0].lstrip("0") != str(len(words) - 1).lstrip("0"):
        raise _wrong(path, line, expected, repr(" ".join(words)))
    channels = []
    for word in words[1:]:
        if not re.fullmatch("[XYZ](position|rotation)", word, re.IGNORECASE):
            raise _wrong(path, line, expected, repr(word))
        channels.append(word[0].upper() + word[1].lower())
    if len(set(channels)) != len(channels):
        raise _wrong(path, line, "every channel once", repr(" ".join(words)))
    return channels


def _parse_motion(
    path: Path,
    lines: list[str],
    motion_line: int,
    joints: list[Joint],
    source_rate: FrameRate | None,
) -> tuple[Floats, FrameRate, tuple[str, ...]]:
    """Return the numbers (frames, channels), the rate, and what was assumed."""
    rest = enumerate(lines[motion_line:], motion_line + 1)
    heading = [(number, line) for number, line in rest if line.strip()][:2]
    heading += [(len(lines), "the end of the file")] * (2 - len(heading))
    found = re.fullmatch(r"\s*frames\s*:\s*([0-9]{1,9})\s*", heading[0][1], re.IGNORECASE)
    if not found:
        raise _wrong(path, heading[0][0], "'Frames:' and their number", repr(heading[0][1]))
    frames = int(found[1])
    if frames < 1:
        raise _wrong(path, heading[0][0], "at least one frame", "none")
    rate, rate_note = _parse_rate(path, *heading[1], source_rate)
    start = heading[1][0]
    check_room(
        path, path.stat().st_size, (len(lines) - start) * _ROW_BYTES,
        f"{len(lines) - start:,} lines", fault=MotionError,
        hint="Write each frame on a line of its own.",
    )  # fmt: skip
    rows = [
        (number, words)
        for number, line in enumerate(lines[start:], start + 1)
        if (words := line.split())
    ]
    channels = sum(len(joint.channels) for joint in joints)
    if frames * channels <= sum(len(words) for _, words in rows):  # else: cut off, said below
        check_motion(path, path.stat().st_size, frames, len(joints))
    if not channels:
        return np.zeros((frames, 0)), rate, (rate_note,)
    taken, notes = _take_rows(path, rows, frames, channels, heading[0][0], len(lines))
    try:
        values = np.array([words for _, words in taken], dtype=np.float64)
    except ValueError:
        values = np.full((frames, channels), np.nan)
    if not (np.abs(values) < _FARTHEST).all():  # NaN too
        raise _wrong_number(path, taken, joints)
    return values, rate, (rate_note, *notes)


_Rows = list[tuple[int, list[str]]]
"""Lines with their numbers."""


def _take_rows(
    path: Path, rows: _Rows, frames: int, channels: int, frames_line: int, last_line: int
) -> tuple[_Rows, tuple[str, ...]]:
    """Return one row of words for each frame, with its first line, and what was left out.

    Some programs break long rows, some write several frames on a line; both add up. What does not
    is an error: a number too few or too many anywhere would shift all that follow.
    """
    lengths = {len(words) for _, words in rows[:frames]}
    if len(rows) >= frames and len(lengths) == 1 and min(lengths) > channels:
        length = lengths.pop()
        note = (
            f"line {rows[0][0]}: each row has {length} numbers, the joints have {channels} "
            f"channels: the last {length - channels} of each row are left out"
        )
        cut = [(line, words[:channels]) for line, words in rows[:frames]]
        return cut, (note, *_left_over(rows[frames:], frames))
    taken: _Rows = []
    part: list[str] = []
    begun = (0, part)
    wrapped = False
    rest = iter(rows)
    while len(taken) < frames:
        line, words = next(rest, (0, []))
        if not words:
            if wrapped and len(rows) == frames:  # rows of half the numbers are no wrapped frames
                line, words = next(row for row in rows if len(row[1]) != channels)
                raise _wrong_row(path, line, words, channels)
            broken = begun[0] if part else None
            raise _cut_off(path, len(taken), broken, frames, channels, frames_line, last_line)
        begun = begun if part else (line, words)
        part = [*part, *words]
        if len(part) % channels == 0 and (len(part) == channels or begun[0] == line):
            taken += [(begun[0], part[i : i + channels]) for i in range(0, len(part), channels)]
            wrapped = wrapped or begun[0] != line
            part = []
        elif len(part) > channels:
            raise _wrong_row(path, *begun, channels)
    extra = len(taken) - frames
    more = (f"{extra} frames after the last of {frames} left out",) if extra else ()
    return taken[:frames], (*more, *_left_over(list(rest), frames))


def _left_over(rows: _Rows, frames: int) -> tuple[str, ...]:
    if not rows:
        return ()
    which = f"{len(rows)} rows" if len(rows) > 1 else "1 row"
    return (f"{which} after the last of {frames} frames left out (line {rows[0][0]})",)


def _wrong_row(path: Path, line: int, words: Sequence[str], channels: int) -> MotionError:
    found = f"{len(words)}"
    glued = next((word for word in words if _count_glued(word) > 1), None)
    if glued is not None:
        found += f"; {glued!r} is {_count_glued(glued)} numbers without a space between them"
    return MotionError(
        f"{path.name}, line {line}: expected a row of {channels} numbers, one for each channel, "
        f"found {found}",
        hint="Put this row right, or export the file again.",
    )


def _cut_off(
    path: Path,
    whole: int,
    broken: int | None,
    frames: int,
    channels: int,
    frames_line: int,
    last_line: int,
) -> MotionError:
    """Return the error for a file that ends too soon, perhaps within a row (its line)."""
    hint = "The file is cut off before the first frame is complete."
    if whole:
        hint = "The file is cut off. To use what is there, "
        hint += "" if broken is None else f"take out line {broken} and what follows, and "
        hint += f"change line {frames_line} to 'Frames: {whole}'."
    end = "the end of the file" if broken is None else "the end of the file within a row,"
    return MotionError(
        f"{path.name}, line {last_line}: expected {frames} frames of {channels} numbers, "
        f"found {end} after {whole} frames",
        hint=hint,
    )


def _count_glued(word: str) -> int:
    """Return how many numbers a word is that were written without a space between them."""
    if _sound(word):
        return 1
    numbers = re.findall(_NUMBER, word)
    return len(numbers) if "".join(numbers) == word else 0


def _sound(word: str) -> bool:
    try:
        return abs(float(word)) < _FARTHEST
    except ValueError:
        return False


def _wrong_number(path: Path, rows: _Rows, joints: list[Joint]) -> MotionError:
    """Return the error for the first number that is none, with the joint that it belongs to."""
    line, column, word = next(
        (line, column, word)
        for line, words in rows
        for column, word in enumerate(words)
        if not _sound(word)
    )
    owners = [joint.name for joint in joints if joint.channels and joint.column <= column]
    return _wrong(path, line, f"a number for {owners[-1]!r}", repr(word))


def _parse_rate(
    path: Path, line: int, text: str, source_rate: FrameRate | None
) -> tuple[FrameRate, str]:
    """Return the rate, and how it was concluded."""
    found = re.fullmatch(r"\s*frame\s*time\s*:\s*(\S*)\s*", text, re.IGNORECASE)
    if found and source_rate is not None:
        return (
            source_rate,
            f"{source_rate} frames per second, as declared; the file's frame time is "
            f"{found[1][:20]} s",
        )
    rate = _rate_of(found[1]) if found else None
    if found is None or rate is None:
        raise MotionError(
            f"{path.name}, line {line}: expected 'Frame Time:' and seconds above 0, "
            f"found {text[:60]!r}",
            hint="Say how many frames a second it has: --source-rate 30." if found else None,
        )
    note = f"frame time {found[1][:20]} s taken for {rate} frames per second"
    if not _USUAL_RATES[0] <= rate.fraction <= _USUAL_RATES[1]:
        note += ", which is unusual: if it is wrong, say the true one with --source-rate"
    return rate, note


def _rate_of(text: str) -> FrameRate | None:
    """Return the roundest rate whose frame time this decimal may be; None: not a time.

    ``.03333`` is 30, ``0.0417083`` is 24000/1001: the last digit written may be off by one,
    because some programs round it and some cut it.
    """
    try:
        decimal = Decimal(text)
    except InvalidOperation:
        return None
    if not decimal.is_finite() or not _SHORTEST <= decimal <= _LONGEST:
        return None
    time = Fraction(decimal)
    exponent = decimal.as_tuple().exponent
    last_digit = Fraction(10) ** (exponent if isinstance(exponent, int) else 0)
    exact = 1 / time
    if exact.denominator == 1:
        return FrameRate(exact)
    tolerance = min(last_digit, time / 40)
    usual = nearest_rate(time, tolerance)
    if usual is not None:
        return usual
    whole = Fraction(max(round(exact), 1))
    if abs(1 / whole - time) <= min(tolerance, time / 1000):
        return FrameRate(whole)
    return FrameRate(exact.limit_denominator(100_000))
