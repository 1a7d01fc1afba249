# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that Blender starts and looks after without ever waiting for them.

`CommandProcess` writes into files, not into pipes: nobody has to read along, and it may outlive
Blender. `is_running` and `born` tell of a process that an earlier Blender has started.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from marionext.errors import OutputError, ProtocolError

__all__ = ["CommandProcess", "born", "interrupt", "is_running", "last_words"]

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
            environment: variables laid over Blender's own.
            detached: it goes on when Blender ends.

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
                        hint="Check the engine in the add-on's preferences.",
                    ) from None
        except OSError as error:
            raise OutputError(
                f"{error.filename} cannot be written: {error.strerror or error}",
                hint="Is the disk full? Choose another output folder.",
            ) from None

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
            interrupt(self._process.pid)

    def kill(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def interrupt(pid: int) -> None:
    """Ask a process to stop, as Ctrl-C does; on Windows it is ended, which a render survives."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM if os.name == "nt" else signal.SIGINT)


if sys.platform == "win32":
    import ctypes

    def is_running(pid: int) -> bool:
        """Tell whether a process of this number runs on this computer."""
        query, still_active = 0x1000, 259
        handle = ctypes.windll.kernel32.OpenProcess(query, False, pid)
        if not handle:
            return False
        status = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(status))
        ctypes.windll.kernel32.CloseHandle(handle)
        return status.value == still_active

    def born(pid: int) -> str:
        """Return when a process was started, in words of the system's own; empty: not known."""
        query = 0x1000
        handle = ctypes.windll.kernel32.OpenProcess(query, False, pid)
        if not handle:
            return ""
        times = [ctypes.c_ulonglong() for _ in range(4)]
        told = ctypes.windll.kernel32.GetProcessTimes(handle, *map(ctypes.byref, times))
        ctypes.windll.kernel32.CloseHandle(handle)
        return str(times[0].value) if told else ""

else:

    def is_running(pid: int) -> bool:
        """Tell whether a process of this number runs on this computer."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def born(pid: int) -> str:
        """Return when a process was started, in words of the system's own; empty: not known."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            # The name of the program, in brackets, may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
            return f"{boot} {fields.split()[19]}"
        except (OSError, IndexError):
            pass
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            # Not Linux: the system's own list of processes, which takes some milliseconds.
            command = ["ps", "-o", "lstart=", "-p", str(pid)]
            told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=2.0)
            return told.stdout.strip()
        return ""


def last_words(log: Path) -> str:
    """Return the end of what a program wrote to its stderr."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LAST_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-8:])
