"""Reading and writing the JSON of pose formats, with clear errors."""

import json
import re
from pathlib import Path

from marionext.errors import MotionError
from marionext.files import check_room, read_bytes, write_text
from marionext.pose.skeleton import POINT_COUNT

__all__ = ["check_poses", "frame_number_or_none", "read_json", "write_json"]

_DIGITS = re.compile(r"\d+")
_LONGEST_NUMBER = 12
_POSE_BYTES = POINT_COUNT * 3 * 8 * 3
"""Of one person in one frame while a file is read: places and scores, and copies of them."""


def read_json(path: Path) -> object:
    """Read a JSON file.

    Raises:
        MotionError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except OSError as error:
        raise MotionError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise MotionError(
            f"expected JSON in {path}, found something else: {error}",
            hint="The file may have been cut off while it was written or copied.",
        ) from None


def check_poses(path: Path, size: int, frames: int, people: int) -> None:
    """Refuse poses that take far more memory than their file is large, before there are any.

    Args:
        path: the file or folder.
        size: bytes of what was read.
        frames: of the track, those without anybody too.
        people: in each of them.

    Raises:
        MotionError: naming the limit, and how to do without.
    """
    check_room(
        path, size, frames * max(people, 1) * _POSE_BYTES,
        f"{frames:,} frames of {people:,} people", fault=MotionError,
        hint="Cut it into shorter parts, leave out who is not needed, or number its frames "
        "without long gaps.",
    )  # fmt: skip


def write_json(path: Path, value: object) -> None:
    """Write a JSON file; a reader sees the old file or the whole new one.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, json.dumps(value, separators=(",", ":"), allow_nan=False))


def frame_number_or_none(name: str) -> int | None:
    """Find the frame number in a file name: its last run of digits, ``dance_000123`` -> 123.

    Args:
        name: without folder and extension, and without a suffix that the format adds.
    """
    runs = _DIGITS.findall(name)
    return int(runs[-1]) if runs and len(runs[-1]) <= _LONGEST_NUMBER else None
