"""Programs that a host starts and looks after without ever waiting for them.

`CommandProcess` writes into files, not into pipes: nobody has to read along, and it may outlive the
host. `ProcessId` says which process is meant: a number alone may be another program's by now.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from marionext.errors import ProtocolError
from marionext.files import explain

__all__ = ["CommandProcess", "ProcessId", "born", "last_words"]

_WINDOWS_DETACHED = 0x00000008 | 0x00000200 | 0x08000000
"""DETACHED_PROCESS, CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW."""
_WINDOWS_HIDDEN = 0x08000000
_LAST_BYTES = 4000


class CommandProcess:
    """One run of a command, its output in files."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        output: Path,
        errors: Path,
        environment: Mapping[str, str],
        detached: bool = False,
    ) -> None:
        """Start the command.

        Args:
            arguments: the program and its arguments.
            output: file for its stdout, replaced.
            errors: file for its stderr, replaced.
            environment: variables laid over this process's own.
            detached: it goes on when the host ends.

        Raises:
            OutputError: the files cannot be written.
            ProtocolError: the program cannot be started.
        """
        self.errors = errors
        flags = (_WINDOWS_DETACHED if detached else _WINDOWS_HIDDEN) if os.name == "nt" else 0
        try:
            streams = contextlib.ExitStack()
            with streams:
                out = streams.enter_context(output.open("wb"))
                err = streams.enter_context(errors.open("wb"))
                try:
                    self._process = subprocess.Popen(
                        list(arguments),
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=err,
                        env={**os.environ, **environment},
                        start_new_session=detached and os.name != "nt",
                        creationflags=flags,
                    )
                except OSError as error:
                    raise ProtocolError(
                        f"the engine cannot be started with {arguments[0]!r}: {error}",
                        hint="Check the engine's path in the settings, or run 'marionext doctor'.",
                    ) from None
        except OSError as error:
            raise explain(error, Path(error.filename or output)) from None

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def status(self) -> int | None:
        """Return the exit status, or None while it runs."""
        return self._process.poll()

    def interrupt(self) -> None:
        """Ask it to stop after the work in hand."""
        if self._process.poll() is None:
            _interrupt(self._process.pid)

    def kill(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """One process for good; it can be written down and read again by a later host."""

    pid: int
    """Number, which the system gives to others once the process has ended."""
    born: str
    """When it was started, in words of the system's own; empty: nobody knows."""
    host: str
    """Name of the computer."""

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return who the process is that has this number now."""
        return cls(pid=pid, born=born(pid), host=socket.gethostname())

    @property
    def alive(self) -> bool:
        """Whether this very process runs on this computer."""
        return bool(self.born) and self.host == socket.gethostname() and born(self.pid) == self.born

    def interrupt(self) -> None:
        """Ask it to stop after the work in hand; another process of its number is left alone."""
        if self.alive:
            _interrupt(self.pid)

    def end(self) -> None:
        """End it at once; a render survives that and can be resumed."""
        if self.alive:
            with contextlib.suppress(OSError):
                os.kill(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _interrupt(pid: int) -> None:
    """Ask a process to stop, as Ctrl-C does; on Windows it is ended, which a render survives."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM if os.name == "nt" else signal.SIGINT)


if sys.platform == "win32":
    import ctypes

    def born(pid: int) -> str:
        """Return when a process was started; empty: it is not running, or nobody knows."""
        query, still_active = 0x1000, 259
        handle = ctypes.windll.kernel32.OpenProcess(query, False, pid)
        if not handle:
            return ""
        status = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(status))
        times = [ctypes.c_ulonglong() for _ in range(4)]
        told = ctypes.windll.kernel32.GetProcessTimes(handle, *map(ctypes.byref, times))
        ctypes.windll.kernel32.CloseHandle(handle)
        return str(times[0].value) if told and status.value == still_active else ""

else:

    def born(pid: int) -> str:
        """Return when a process was started; empty: it is not running, or nobody knows."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return _born_elsewhere(pid)
        try:
            # The name of the program, in brackets, may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
            state, started = fields.split()[0], fields.split()[19]
        except (OSError, IndexError):
            return ""
        # One that has ended stays listed until its parent has asked for its status.
        return "" if state in {"Z", "X"} else f"{boot} {started}"

    def _born_elsewhere(pid: int) -> str:
        """Ask the system's own list of processes where there is no /proc: some milliseconds."""
        command = ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)]
        try:
            told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=2.0)
        except (OSError, subprocess.SubprocessError):
            return ""
        state, _, started = told.stdout.strip().partition(" ")
        return "" if state.startswith("Z") else started.strip()


def last_words(log: Path) -> str:
    """Return the end of what a program wrote to its stderr: a few lines at most."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LAST_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-8:])
