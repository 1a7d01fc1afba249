# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the control pictures of a job alone."""

import time
from pathlib import Path

from marionext.hosts import CommandProcess
from marionext.hosts.processes import last_words
from marionext.jobs import RenderJob
from marionext.protocol import Event, Failed, Finished, Progress

from . import engine
from .engine import EngineCommand
from .shots import read_shot

__all__ = ["PoseMapRun"]

LOG_FILE = "engine.log"
POSE_MAPS = "posemaps"


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
