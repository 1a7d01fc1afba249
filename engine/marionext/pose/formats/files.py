"""Reading and writing the files of pose formats: whole or not at all, and with clear errors."""

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from marionext.errors import MotionError, OutputError

__all__ = ["frame_number_or_none", "read_json", "replacing", "replacing_folder", "write_json"]

_DIGITS = re.compile(r"\d+")
_LONGEST_NUMBER = 12


def read_json(path: Path) -> object:
    """Read a JSON file.

    Raises:
        MotionError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise MotionError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise MotionError(
            f"expected JSON in {path}, found something else: {error}",
            hint="The file may have been cut off while it was written or copied.",
        ) from None


def write_json(path: Path, value: object) -> None:
    """Write a JSON file; a reader sees the old file or the whole new one.

    Raises:
        OutputError: it cannot be written.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put what was written there in place of ``path``.

    Raises:
        OutputError: it cannot be written.
    """
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        # What could not be written may not be removable either; the first error is the one to tell.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to write to, and put it in place of ``path``.

    Raises:
        OutputError: it cannot be written, or ``path`` exists and is not an empty folder.
    """
    temporary = _beside(path)
    try:
        if path.exists():
            if not path.is_dir() or any(path.iterdir()):
                raise OutputError(
                    f"expected a new or empty folder to write to, {path} holds something already",
                    hint="Choose another folder, or empty this one first.",
                )
            # Windows does not rename a folder over an empty one.
            path.rmdir()
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(path: Path) -> Path:
    """Return a path on the same disk that nothing else uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")


def frame_number_or_none(name: str) -> int | None:
    """Find the frame number in a file name: its last run of digits, ``dance_000123`` -> 123.

    Args:
        name: without folder and extension, and without a suffix that the format adds.
    """
    runs = _DIGITS.findall(name)
    return int(runs[-1]) if runs and len(runs[-1]) <= _LONGEST_NUMBER else None
