# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which a job is at work: each is polled for the protocol's events and never waits.

`WorkerRender` is a job of the engine process that lives as long as Blender and keeps its models
loaded. `DetachedRender` is an engine of its own that writes its events into the job's folder, where
this Blender, or a later one, reads them. `PoseMapRun` draws the control pictures alone.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from marionext.client import EngineProcess
from marionext.errors import EngineError, OutputError, ProtocolError
from marionext.jobs import RenderJob, encode_job
from marionext.protocol import (
    Event,
    Failed,
    Finished,
    Hello,
    Progress,
    read_event,
)

from . import engine
from .engine import EngineCommand
from .processes import CommandProcess, born, interrupt, is_running, last_words
from .shots import read_shot

__all__ = ["EVENTS_FILE", "DetachedRender", "PoseMapRun", "Starting", "Work", "WorkerRender"]

logger = logging.getLogger(__name__)

EVENTS_FILE = "events.jsonl"
LOG_FILE = "engine.log"
PROCESS_FILE = "engine.json"
POSE_MAPS = "posemaps"

_SECONDS_BETWEEN_CHECKS = 1.0


class Work(Protocol):
    """A job at work."""

    def poll(self) -> list[Event]:
        """Return what has come since the last call; the last event is a closing one."""

    def cancel(self) -> None:
        """Ask to stop; the closing event still comes."""


class Starting:
    """Work that is begun on a thread of its own: starting a program can take its time.

    The thread knows nothing of Blender: it reads the job file and starts the process.
    """

    def __init__(self, begin: Callable[[], Work]) -> None:
        """Begin."""
        self._begin = begin
        self._begun: Work | Failed | None = None
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def begun(self) -> Work | None:
        """The work itself, once it is there."""
        return None if isinstance(self._begun, Failed) else self._begun

    def poll(self) -> list[Event]:
        """Return the work's events, or why it did not begin."""
        match self._begun:
            case None:
                return []
            case Failed() as failed:
                return [failed]
            case work:
                if self._cancelled:
                    self._cancelled = False
                    work.cancel()
                return work.poll()

    def cancel(self) -> None:
        """Ask the work to stop, as soon as it has begun."""
        self._cancelled = True

    def join(self, timeout: float) -> None:
        """Wait until it has begun."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._begun = self._begin()
        except EngineError as error:
            self._begun = Failed.of("", error)
        except Exception as error:
            logger.exception("a render could not begin")
            self._begun = Failed(
                job_id="", code="failed", message=f"Unexpected {type(error).__name__}: {error}"
            )


class WorkerRender:
    """A job of the shared engine process."""

    def __init__(self, process: EngineProcess, job: RenderJob, settings: Mapping[str, Any]) -> None:
        """Submit the job."""
        self._process = process
        self._id = process.submit(encode_job(job), settings)

    def poll(self) -> list[Event]:
        """Return this job's events."""
        return [
            event
            for event in self._process.poll()
            if not isinstance(event, Hello) and event.job_id == self._id
        ]

    def cancel(self) -> None:
        """Ask the engine to stop this job."""
        self._process.cancel(self._id)


class DetachedRender:
    """An engine of its own, which outlives Blender; its events are in the job's folder."""

    def __init__(
        self, folder: Path, pid: int, process: CommandProcess | None = None, *, birth: str = ""
    ) -> None:
        """Follow the render of a folder.

        Args:
            folder: of the job.
            pid: number of the engine's process.
            process: the process, where this Blender has started it.
            birth: when it was started, as `processes.born` says it, where another Blender has.
        """
        self._folder = folder
        self._pid = pid
        self._process = process
        self._birth = birth
        self._read = 0
        self._ended = False
        self._next_check = 0.0
        self._cancelled = False

    @classmethod
    def start(
        cls, folder: Path, job_file: Path, command: EngineCommand, settings: Mapping[str, Any]
    ) -> "DetachedRender":
        """Start an engine for a job.

        Raises:
            ProtocolError: it cannot be started.
            OutputError: the folder cannot be written.
        """
        process = CommandProcess(
            command.call(
                "batch", str(job_file), "--json", "--device", str(settings.get("device", "auto"))
            ),
            output=folder / EVENTS_FILE,
            errors=folder / LOG_FILE,
            environment=engine.environment(),
            detached=True,
        )
        about = {"pid": process.pid, "born": born(process.pid), "host": socket.gethostname()}
        try:
            (folder / PROCESS_FILE).write_text(json.dumps(about), encoding="utf-8")
        except OSError as error:
            process.kill()
            raise OutputError(
                f"{folder / PROCESS_FILE} cannot be written: {error.strerror or error}"
            ) from None
        return cls(folder, process.pid, process)

    @classmethod
    def find(cls, folder: Path) -> "DetachedRender | None":
        """Return the render that an earlier Blender left running in a folder, or None."""
        try:
            about = json.loads((folder / PROCESS_FILE).read_text(encoding="utf-8"))
            pid, birth, host = int(about["pid"]), str(about["born"]), str(about["host"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # After a reboot, or long after, the number may be another program's.
        if host != socket.gethostname() or not birth or born(pid) != birth or _has_ended(folder):
            return None
        return cls(folder, pid, birth=birth)

    def poll(self) -> list[Event]:
        """Return the events that were written since the last call."""
        if self._ended:
            return []
        # Whether it runs is asked before reading: what it wrote last is then read for certain.
        gone = self._is_gone()
        events = self._new_events()
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
        """Ask the engine to stop."""
        self._cancelled = True
        self._next_check = 0.0
        if self._process is not None or born(self._pid) == self._birth:
            interrupt(self._pid)

    def _is_gone(self) -> bool:
        if self._process is not None:
            return self._process.status() is not None
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + _SECONDS_BETWEEN_CHECKS
        return not is_running(self._pid)

    def _new_events(self) -> list[Event]:
        try:
            with (self._folder / EVENTS_FILE).open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:
            return []
        whole, _, _ = new.rpartition(b"\n")
        if not whole:
            return []
        self._read += len(whole) + 1
        events = []
        for line in whole.splitlines():
            # A line of another age is passed over: the closing line decides.
            with suppress(ProtocolError):
                events.append(read_event(line.decode("utf-8", errors="replace")))
        return events

    def _obituary(self) -> Failed:
        if self._cancelled:
            return Failed(
                job_id="", code="cancelled", message="Cancelled; what is finished is kept."
            )
        words = last_words(self._folder / LOG_FILE)
        return Failed(
            job_id="",
            code="protocol",
            message="The engine ended unexpectedly." + (f"\n{words}" if words else ""),
            hint="Press Retry to go on from here.",
        )


def _has_ended(folder: Path) -> bool:
    """Tell whether the last event of a folder is a closing one."""
    try:
        lines = (folder / EVENTS_FILE).read_bytes().splitlines()
    except OSError:
        return False
    with suppress(ProtocolError):
        if lines:
            event = read_event(lines[-1].decode("utf-8", errors="replace"))
            return isinstance(event, Finished | Failed)
    return False


class PoseMapRun:
    """Draws the pose maps of a job, and nothing else."""

    def __init__(self, folder: Path, job: RenderJob, command: EngineCommand) -> None:
        """Start the engine's ``posemap``.

        Raises:
            SettingsError: the folder does not say which frames it is of.
            ProtocolError: the engine cannot be started.
            OutputError: the folder cannot be written.
        """
        width, height = job.settings.size
        self._maps = folder / POSE_MAPS
        self._folder = folder
        self._numbers = tuple(read_shot(folder).numbers)
        arguments = [
            *("posemap", job.motion.path, "-o", str(self._maps), "--size", f"{width}x{height}"),
            *("--kind", "track", "--person", "all", "--no-clean"),
        ]
        if job.frames:
            arguments.append(f"--frames={job.frames}")
        self._started = time.monotonic()
        self._done = 0
        self._cancelled = False
        self._process = CommandProcess(
            command.call(*arguments),
            output=folder / "posemap.out",
            errors=folder / LOG_FILE,
            environment=engine.environment(),
        )

    def poll(self) -> list[Event]:
        """Return how far it is, by the pictures that are there."""
        status = self._process.status()
        before = self._done
        while (
            self._done < len(self._numbers)
            and (self._maps / f"{self._numbers[self._done]:06d}.png").is_file()
        ):
            self._done += 1
        total = len(self._numbers)
        if status is not None:
            return [self._closing(status)]
        if self._done == before:
            return []
        seconds = time.monotonic() - self._started
        return [
            Progress(
                job_id="",
                stage="encode",
                done=self._done,
                total=total,
                fraction=self._done / total,
                seconds_left=seconds / self._done * (total - self._done),
                text=f"drawing {self._done}/{total}",
            )
        ]

    def cancel(self) -> None:
        """Stop drawing."""
        self._cancelled = True
        self._process.interrupt()

    def _closing(self, status: int) -> Finished | Failed:
        if self._cancelled:
            return Failed(
                job_id="", code="cancelled", message="Cancelled; what is finished is kept."
            )
        if status == 0 and self._done == len(self._numbers):
            return Finished(
                job_id="",
                directory=str(self._folder),
                frames=self._done,
                videos=(),
                seconds=time.monotonic() - self._started,
            )
        words = last_words(self._folder / LOG_FILE).removeprefix("error: ")
        return Failed(
            job_id="",
            code="failed",
            message=words or f"The engine ended unexpectedly (status {status}).",
            hint="Press Retry to try again.",
        )
