# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a job that has been recorded to the queue of this computer: ``marionext queue add``.

The engine's own command does it, in its own Python, while Blender stays free; what it refuses, it
says in its own words.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from marionext.errors import OutputError
from marionext.hosts import Answer, CommandRun

from ..scene.recording import Progress
from .folders import JOB_FILE
from .preparing import Preparation

__all__ = ["queued"]

_PAUSE = 0.005
"""Seconds between two looks: short enough for Blender to stay fluid, long enough to do nothing."""


def queued(
    preparation: Preparation, folder: Path, command: Sequence[str], environment: Mapping[str, str]
) -> Preparation:
    """Fill a job's folder, then queue the job.

    Args:
        preparation: what fills the folder.
        folder: of the job.
        command: the program and what makes it Marionext.
        environment: variables laid over Blender's own.

    Raises:
        EngineError: the folder cannot be filled, or the queue does not take the job.
    """
    notes = yield from preparation
    run = CommandRun([*command, "queue", "add", str(folder / JOB_FILE), "--json"], environment)
    answer: Answer | None = None
    try:
        while (answer := run.poll()) is None:
            yield Progress(1, 1)
            time.sleep(_PAUSE)
    finally:
        if answer is None:
            run.stop()
    if answer.status != 0:
        raise _refusal(answer)
    return notes


def _refusal(answer: Answer) -> OutputError:
    """Say why the queue did not take a job, in the words of the command."""
    lines = [line.strip() for line in answer.errors.splitlines() if line.strip()]
    message = lines[0].removeprefix("error: ") if lines else f"status {answer.status}"
    return OutputError(
        f"The queue has not taken the job: {message}", hint=" ".join(lines[1:]) or None
    )
