"""Files that are there whole or not at all, their hashes, and words for what cannot be written.

The one place that writes: all that Marionext keeps goes through `writing`, `replacing` or one of
the functions on them. And the one that opens what is read (`open_file` and those on it): only
regular files, since a pipe or a device would be waited for without end. Standard library only,
since Blender and the desktop's window read and write, too.
"""

import codecs
import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import struct
import tempfile
import tomllib
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from marionext.errors import EngineError, OutputError
from marionext.limits import GROWTH, JSON_BYTES, MEMORY, TOML_BYTES, quoted

__all__ = [
    "PART",
    "check_room",
    "check_space",
    "clear_parts",
    "explain",
    "hash_files",
    "in_words",
    "is_cut_off",
    "is_folder",
    "json_bytes",
    "open_file",
    "own_folder",
    "read_bytes",
    "read_json",
    "read_text",
    "read_toml",
    "reading",
    "refuse_link",
    "replacing",
    "replacing_folder",
    "require_file",
    "sha256_of",
    "sync_folder",
    "temporary_folder",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]

_log = logging.getLogger(__name__)

PART = ".part"
"""Suffix of files being written; one found later was left by a run that was killed."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_BLOCK = 1 << 22
_PNG = b"\x89PNG\r\n\x1a\n"


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
            sync_folder(path.parent)
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


def json_bytes(data: object) -> bytes:
    """Return JSON as people read it, in UTF-8.

    Names of files that are no text in UTF-8 keep their bytes as JSON's escapes of surrogates.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        text = json.dumps(data, indent=2, allow_nan=False)
    return (text + "\n").encode("utf-8")


def write_json(path: Path, data: object) -> None:
    """Write JSON as people read it; see `writing`."""
    write_bytes(path, json_bytes(data))


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
        sync_folder(path.parent)
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
        sync_folder(path.parent)
    except OSError as error:
        raise explain(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder reach the disk, where the system can: Windows cannot."""
    if os.name == "nt":
        return
    # Some network file systems refuse it; the file itself is on the disk all the same.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def own_folder(folder: Path) -> Path:
    """Make a folder that only we write to, and return it.

    Raises:
        OutputError: it cannot be made, or is a link: what is removed and replaced in such a folder
            must not be somebody's elsewhere.
    """
    refuse_link(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, folder) from error
    return folder


def refuse_link(folder: Path) -> None:
    """Make sure that a folder of ours, which need not be there, is no link.

    Raises:
        OutputError: it is one.
    """
    try:
        is_junction = getattr(folder, "is_junction", None)  # from Python 3.12 on
        if folder.is_symlink() or (is_junction is not None and is_junction()):
            raise OutputError(
                f"expected a folder, {folder} is a link to {folder.readlink()}",
                hint="Make the whole output folder a link, or name the other place with --out.",
            )
    except OSError as error:
        raise explain(error, folder) from error


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


def require_file(path: Path) -> None:
    """Make sure that a path is a regular file, for a library that opens it itself.

    Raises:
        OSError: it is not there, or a folder, a pipe, a device or a socket.
    """
    try:
        mode = path.stat().st_mode
    except ValueError as error:
        raise OSError(errno.EINVAL, f"no file has such a name ({error})", str(path)) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
        raise OSError(errno.EINVAL, f"expected a regular file, it is {kind}", str(path))


def open_file(path: Path) -> IO[bytes]:
    """Open a regular file to read it.

    Raises:
        OSError: as `require_file`, or it cannot be read.
    """
    # Looked at first: opening may already wait, or do something, where it is a device. Looked at
    # again when it is open, since it may have been exchanged.
    require_file(path)
    return open(path, "rb", opener=_open_regular)


def _open_regular(path: str, flags: int) -> int:
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "expected a regular file", path)
    return handle


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder; one that we may not look at counts as none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a folder above is closed


@contextlib.contextmanager
def reading(
    path: Path, fault: type[EngineError], what: str, *, hint: str | None = None
) -> Iterator[None]:
    """Read a file from outside in the block: whatever goes wrong is said in our words.

    The one boundary of every reader. Errors of ours pass as they are, and so do those that end the
    program; all others, of whatever library and kind, mean that the file is not as it should be.

    Args:
        path: the file or folder.
        fault: the error to raise.
        what: what was expected, such as "a BVH file".
        hint: what to do about a file that is something else.
    """
    try:
        yield
    except EngineError:
        raise
    except FileNotFoundError as error:
        missing = Path(error.filename) if isinstance(error.filename, str) else path
        raise fault(f"expected {what}, there is no {missing}") from error
    except MemoryError as error:
        _log.debug("reading %s", path, exc_info=True)
        raise fault(
            f"{path.name} takes more memory than there is",
            hint="Close other programs, or cut it into shorter or smaller parts.",
        ) from error
    except Exception as error:  # what a damaged file makes of a library has no end of kinds
        _log.debug("reading %s", path, exc_info=True)
        raise fault(
            f"expected {what}, {path.name} cannot be read as one: {_kind_of(error)}",
            hint=hint or "The file may be cut off or damaged: copy or export it again.",
        ) from error


def _kind_of(error: Exception) -> str:
    """Say an error of a library in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    # A stream in memory says nothing of the file that it holds.
    told = re.sub(r"\s*<_io\.[^>]*>", "", str(error).strip().partition("\n")[0])
    said = quoted(told)[1:-1]
    return f"{said} ({type(error).__name__})" if said else type(error).__name__


def check_room(
    path: Path, size: int, needed: int, what: str, *, fault: type[EngineError], hint: str
) -> None:
    """Make sure that what a file makes of itself fits, before any memory is taken for it.

    Args:
        path: of the file or folder.
        size: bytes that were read of it.
        needed: bytes that its numbers are going to take.
        what: what takes them, such as "2,000,000 frames".
        fault: the error to raise.
        hint: how to do without.
    """
    most = max(MEMORY, GROWTH * size)
    if needed > most:
        raise fault(
            f"{path.name}: {what} would take {_bytes(needed)} of memory, expected at most "
            f"{_bytes(most)} for a file of {_bytes(size)}",
            hint=hint,
        )


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: as `open_file`.
    """
    with open_file(path) as file:
        return file.read()


def is_cut_off(content: bytes) -> bool:
    """Tell whether a PNG promises more than there is of it; other files are not judged.

    Libraries take the memory that a part of the file is said to need before they look for it.
    """
    at = len(_PNG)
    if not content.startswith(_PNG):
        return False
    while at < len(content):
        if at + 8 > len(content):
            return True
        length, kind = struct.unpack_from(">I4s", content, at)
        at += 12 + length
        if kind == b"IEND":
            break
    return at > len(content)


def read_json(path: Path, *, longest: int = JSON_BYTES) -> Any:
    """Read a JSON file, in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Args:
        path: of the file.
        longest: bytes it may have.

    Raises:
        OSError: as `open_file`.
        ValueError: whatever is wrong with its content, said in words for people.
    """
    try:
        return json.loads(_read_up_to(path, longest))
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_text(path: Path, *, longest: int) -> str:
    """Read a text file, in UTF-8 or, with a byte order mark, UTF-16.

    Args:
        path: of the file.
        longest: bytes it may have.

    Raises:
        OSError: as `open_file`.
        ValueError: it is longer, or in another encoding.
    """
    content = _read_up_to(path, longest)
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected text in UTF-8, byte {error.start} is none") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; editors on Windows begin it with a byte order mark.

    Raises:
        OSError: as `open_file`.
        ValueError: whatever is wrong with its content, said in words for people.
    """
    try:
        return tomllib.loads(_read_up_to(path, TOML_BYTES).decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _read_up_to(path: Path, longest: int) -> bytes:
    with open_file(path) as file:
        content = file.read(longest + 1)
    if len(content) > longest:
        raise ValueError(f"expected at most {_bytes(longest)}, it is larger")
    return content


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
    with open_file(path) as file:
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
        whole.update(f"{name.as_posix()}\0{sha256_of(file)}\0".encode(errors="surrogatepass"))
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


def temporary_folder(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """Make a folder for files that nobody keeps; it goes with what is returned.

    Args:
        prefix: of its name.

    Raises:
        OutputError: the system's folder for temporary files is not there, or cannot be written to.
    """
    try:
        return tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise OutputError(
            f"no temporary folder can be made: {error.strerror or error}",
            hint="Free some space, or let the variable TMPDIR name a folder that can be written "
            "to, and start the program again.",
        ) from None


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


def in_words(error: OSError) -> str:
    """Say an error of the system that nobody who knew more has explained."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename} cannot be used: {reason}" if error.filename else reason


def _free(folder: Path) -> int | None:
    """Return the free bytes of a folder's disk, or None if unknown."""
    for place in (folder, *folder.absolute().parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free
    return None


def _bytes(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
