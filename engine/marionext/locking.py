"""Files that one process holds at a time: a lock that the system lifts when its holder dies."""

import contextlib
import errno
import json
import os
import socket
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from marionext.errors import OutputError
from marionext.files import explain

__all__ = ["BusyError", "FileLock"]

_LOCKED_BYTE = 1 << 30
"""Windows locks ranges of bytes against reading too: one far behind the text is taken."""
_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class BusyError(OutputError):
    """Another process holds the lock; the message ends with who it is, where that is known."""


class FileLock:
    """Holds what a file stands for; a context manager.

    The lock is one of the system's on an open file, not the file itself: a process killed in any
    way leaves a file but no lock. The file says who holds it.
    """

    def __init__(self, path: Path, what: str, hint: str) -> None:
        """Take the lock, making the folder if need be.

        Args:
            path: of the lock's file.
            what: is in use, for the message.
            hint: what to do when it is.

        Raises:
            BusyError: another process holds it.
            OutputError: the folder cannot be written to.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] | None = _opened(path)
        except OSError as error:
            raise explain(error, path) from error
        try:
            _lock(self._file)
        except OSError as error:
            if error.errno in _BUSY:
                holder = _holder(self._file)
                self._close()
                raise BusyError(f"{what} is in use by another run{holder}", hint=hint) from None
            if error.errno not in _UNSUPPORTED:
                self._close()
                raise explain(error, path) from error
            # Some network file systems have no locks; refusing them altogether would be worse.
        self._sign()

    def _sign(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(0)
                who = {"pid": os.getpid(), "host": socket.gethostname()}
                self._file.write(json.dumps(who).encode())
                self._file.flush()

    def release(self) -> None:
        """Give it free; the file stays, for removing it could free another one's lock."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(0)
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        """Return the lock, which is already held."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it free."""
        self.release()


def _opened(path: Path) -> IO[bytes]:
    """Open the file of the lock; the holder's name goes into it, so it must be ours.

    Raises:
        OSError: it cannot be opened.
        OutputError: something of somebody else has its name.
    """
    stranger = OutputError(
        f"expected a lock file of Marionext's own, {path} is a link or no regular file",
        hint="Remove it, or choose another place.",
    )
    if path.is_symlink():
        raise stranger
    # Append mode neither empties the file of a run that holds it nor needs it to exist. A link is
    # not followed, nor a pipe waited for, even if it has come this moment.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
        flags |= getattr(os, name, 0)
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise stranger from None
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise stranger
    return os.fdopen(handle, "a+b")


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(file: IO[bytes]) -> str:
    try:
        file.seek(0)
        who = json.loads(file.read(1000))
        return f" (process {who['pid']} on {who['host']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
