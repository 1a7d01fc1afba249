"""Write files that are there whole or not at all, and say clearly why one cannot be written."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.errors import OutputError

__all__ = [
    "PART",
    "check_space",
    "encode_png",
    "explain",
    "write_bytes",
    "write_json",
    "write_png",
    "writing",
]

PART = ".part"
"""Suffix of files being written; one found later was left by a run that was killed."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_PNG_HEADER = 33
"""Bytes of a PNG's signature and first chunk, after which other chunks may come."""
_PNG_COMPRESSION = 3


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write that takes its place under ``path`` when the block ends well.

    The folder is made if need be. What is written reaches the disk before the name does, so that
    not even a power cut leaves half a file under it.

    Raises:
        OutputError: the disk is full, the folder is read-only, or the like.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PART}")
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


def write_json(path: Path, data: object) -> None:
    """Write JSON as people read it; see `writing`."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8"))


def write_png(
    path: Path, picture: NDArray[np.uint8], *, text: Mapping[str, str] | None = None
) -> str:
    """Write a picture (height, width, 3 or 4) as PNG and return the file's sha256.

    Args:
        path: of the file.
        picture: red, green, blue, and alpha where there are four.
        text: kept in the file under its keys (1 to 79 Latin letters each).

    Raises:
        OutputError: it cannot be written.
    """
    content = encode_png(picture, text=text)
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def encode_png(picture: NDArray[np.uint8], *, text: Mapping[str, str] | None = None) -> bytes:
    """Return a PNG file of a picture, marked as sRGB; equal pictures give equal bytes."""
    swap = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    done, encoded = cv2.imencode(
        ".png", cv2.cvtColor(picture, swap), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION]
    )
    if not done:
        raise OutputError(f"a picture of shape {picture.shape} cannot be written as PNG")
    content = encoded.tobytes()
    chunks = [_png_chunk(b"sRGB", b"\0")]
    for key, value in (text or {}).items():
        # Keyword, not compressed, no language, no translated keyword, then UTF-8.
        body = key.encode("latin-1") + b"\0\0\0\0\0" + value.encode("utf-8")
        chunks.append(_png_chunk(b"iTXt", body))
    return content[:_PNG_HEADER] + b"".join(chunks) + content[_PNG_HEADER:]


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


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
    """Return the free bytes of a folder's disk, or None where nobody knows."""
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
