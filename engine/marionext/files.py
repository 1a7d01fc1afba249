"""Files that are there whole or not at all, their hashes, and words for what cannot be written.

The one place that writes: all that Marionext keeps goes through `writing`, `replacing` or one of
the functions on them. Standard library only, since Blender and the desktop's window write, too.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from marionext.errors import OutputError

__all__ = [
    "PART",
    "check_space",
    "clear_parts",
    "explain",
    "hash_files",
    "replacing",
    "replacing_folder",
    "sha256_of",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]

PART = ".part"
"""Suffix of files being written; one found later was left by a run that was killed."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_BLOCK = 1 << 22


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write that takes its place under ``path`` when the block ends well.

    The folder is made if need be. What is written reaches the disk before the name does, so that
    not even a power cut leaves half a file under it.

    Raises:
        OutputError: the disk is full, the folder is read-only, or the like.
    """
    temporary = _beside(path)
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                try:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                finally:
                    with contextlib.suppress(OSError, ValueError):
                        written = file.tell()
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise explain(error, path, written) from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a whole file; see `writing` for how and for what it raises."""
    try:
        with writing(path) as file:
            file.write(content)
    except OutputError as error:
        cause = error.__cause__
        if isinstance(cause, OSError):
            raise explain(cause, path, len(content)) from cause
        raise


def write_text(path: Path, text: str) -> None:
    """Write a whole text file in UTF-8; see `writing`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, data: object) -> None:
    """Write JSON as people read it; see `writing`."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, for libraries that want one, and put the file in place of ``path``.

    Raises:
        OutputError: it cannot be written.
    """
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        # What could not be written may not be removable either; the first error is the one to tell.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
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
        raise explain(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def clear_parts(folder: Path) -> None:
    """Remove what a killed run left half written in a folder that only one run writes to.

    Raises:
        OutputError: something cannot be removed.
    """
    try:
        for left in folder.glob(f".*{PART}"):
            left.unlink()
    except OSError as error:
        raise explain(error, folder) from error


def _beside(path: Path) -> Path:
    """Return a path on the same disk that nothing else uses."""
    # Without the file's own name: with it, a long one would be too long.
    return path.with_name(f".{uuid.uuid4().hex[:12]}{PART}")


def sha256_of(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Return the SHA-256 of a file as hexadecimal digits.

    Args:
        path: of the file.
        on_bytes: told after each block how many bytes are done.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if on_bytes is not None:
                on_bytes(done)
    return digest.hexdigest()


def hash_files(files: Sequence[Path], root: Path | None = None) -> str:
    """Return the sha256 of a file, or of the names and contents of several.

    Args:
        files: at least one.
        root: folder that their names count from, also where there is one only; None: the one that
            holds them all.

    Raises:
        OSError: one cannot be read.
    """
    if len(files) == 1 and root is None:
        return sha256_of(files[0])
    start = root or Path(os.path.commonpath([file.parent for file in files]))
    whole = hashlib.sha256()
    for name, file in sorted((file.relative_to(start), file) for file in files):
        whole.update(f"{name.as_posix()}\0{sha256_of(file)}\0".encode())
    return whole.hexdigest()


def check_space(folder: Path, needed: int) -> None:
    """Make sure that a folder's disk has room before hours are spent on filling it.

    Args:
        folder: need not exist yet.
        needed: bytes.

    Raises:
        OutputError: it has not; the message says how much is missing.
    """
    free = _free(folder)
    if free is not None and free < needed:
        raise OutputError(
            f"{folder}: expected {_bytes(needed)} of free disk space, found {_bytes(free)}: "
            f"{_bytes(needed - free)} are missing",
            hint="Free some space, choose another output folder, or render fewer frames.",
        )


def explain(error: OSError, path: Path, needed: int = 0) -> OutputError:
    """Say in words why a file could not be written.

    Args:
        error: what the system said.
        path: the file.
        needed: bytes that were to be written, 0 if unknown.
    """
    if error.errno in _FULL:
        free = _free(path.parent)
        found = "" if free is None else f", {_bytes(free)} are free"
        missing = (
            f" ({_bytes(needed - free)} are missing)" if free is not None and needed > free else ""
        )
        wanted = f"{path} needs {_bytes(needed)}" if needed else f"{path} does not fit"
        limit = " or a limit on file sizes is reached" if error.errno == errno.EFBIG else ""
        return OutputError(
            f"the disk is full{limit}: {wanted}{found}{missing}",
            hint="Free some space and start again: the render goes on where it was.",
        )
    if error.errno in _CLOSED:
        return OutputError(
            f"{path} cannot be written: {error.strerror}",
            hint="Choose an output folder that you may write to.",
        )
    if isinstance(error, NotADirectoryError | FileExistsError):
        return OutputError(
            f"{path} cannot be written: there is a file where a folder should be",
            hint="Choose another output folder, or move that file away.",
        )
    return OutputError(f"{path} cannot be written: {error.strerror or error}")


def _free(folder: Path) -> int | None:
    """Return the free bytes of a folder's disk, or None if unknown."""
    for place in (folder, *folder.absolute().parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free
    return None


def _bytes(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
