"""A render that outlives the window it was started from.

It is an engine of its own (``marionext batch JOB --json``) that writes its events into the job's
folder. A note beside them says which process it is, so that a later host finds and follows it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from marionext.codec import decode, encode
from marionext.errors import EngineError, JobCancelled, SettingsError
from marionext.files import write_json
from marionext.hosts.following import EVENTS_FILE, EventFile
from marionext.hosts.processes import CommandProcess, ProcessId, last_words
from marionext.protocol import Event, Failed, Finished

__all__ = ["LOG_FILE", "PROCESS_FILE", "DetachedRender"]

LOG_FILE = "engine.log"
PROCESS_FILE = "engine.json"

_SECONDS_BETWEEN_CHECKS = 1.0


class DetachedRender:
    """An engine of its own, followed by the files of its job's folder."""

    def __init__(
        self, folder: Path, process_id: ProcessId, process: CommandProcess | None = None
    ) -> None:
        """Follow the render of a folder.

        Args:
            folder: of the job.
            process_id: the engine's.
            process: the process itself, where this host has started it.
        """
        self.process_id = process_id
        self._folder = folder
        self._process = process
        self._events = EventFile(folder / EVENTS_FILE)
        self._ended = False
        self._next_check = 0.0
        self._cancelled = False

    @classmethod
    def start(
        cls,
        folder: Path,
        job_file: Path,
        *,
        command: Sequence[str],
        device: str = "auto",
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start an engine for a job.

        Args:
            folder: of the job, for the events.
            job_file: of the job.
            command: the program and what makes it Marionext, such as ``python -m marionext``.
            device: as in `marionext.jobs.EngineSettings`.
            environment: variables laid over this process's own.

        Raises:
            ProtocolError: it cannot be started.
            OutputError: the folder cannot be written.
        """
        process = CommandProcess(
            [*command, "batch", str(job_file), "--json", "--device", device],
            output=folder / EVENTS_FILE,
            errors=folder / LOG_FILE,
            environment=environment or {},
            detached=True,
        )
        process_id = ProcessId.of(process.pid)
        try:
            write_json(folder / PROCESS_FILE, encode(process_id))
        except EngineError:
            process.kill()
            raise
        return cls(folder, process_id, process)

    @classmethod
    def find(cls, folder: Path) -> Self | None:
        """Return the render that an earlier host left running in a folder, or None."""
        try:
            text = (folder / PROCESS_FILE).read_text(encoding="utf-8")
            process_id = decode(ProcessId, json.loads(text))
        except (OSError, ValueError, SettingsError):
            return None
        # After a restart, or long after, the number may be another program's.
        if not process_id.alive or _has_ended(folder):
            return None
        return cls(folder, process_id)

    def poll(self) -> list[Event]:
        """Return the events that were written since the last call."""
        if self._ended:
            if self._process is not None:
                self._process.status()  # asked for, or the system keeps its number
            return []
        # Whether it runs is asked before reading: what it wrote last is then read for certain.
        gone = self._is_gone()
        events = self._events.poll()
        if any(isinstance(event, Finished | Failed) for event in events):
            self._ended = True
        elif gone:
            self._ended = True
            events.append(self._obituary())
        if self._ended:
            with suppress(OSError):
                (self._folder / PROCESS_FILE).unlink()
        return events

    def cancel(self) -> None:
        """Ask the engine to stop after the work in hand."""
        self._cancelled = True
        self._next_check = 0.0
        if self._process is not None:
            self._process.interrupt()
        else:
            self.process_id.interrupt()

    def _is_gone(self) -> bool:
        if self._process is not None:
            return self._process.status() is not None
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + _SECONDS_BETWEEN_CHECKS
        return not self.process_id.alive

    def _obituary(self) -> Failed:
        if self._cancelled:
            return Failed.of("", JobCancelled("Cancelled; what is finished is kept."))
        words = last_words(self._folder / LOG_FILE)
        return Failed(
            job_id="",
            code="protocol",
            message="The engine ended unexpectedly." + (f"\n{words}" if words else ""),
            hint="Start it again to resume.",
        )


def _has_ended(folder: Path) -> bool:
    """Tell whether the last event of a folder is a closing one."""
    return any(
        isinstance(event, Finished | Failed) for event in EventFile(folder / EVENTS_FILE).poll()
    )
