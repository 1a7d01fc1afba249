# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a part of a finished render again, and choose which of its takes is shown."""

from dataclasses import dataclass, replace
from pathlib import Path

from marionext.errors import EngineError, SettingsError
from marionext.files import write_json
from marionext.frames import format_frames
from marionext.jobs import RenderJob, TakeJob, encode_job, read_job
from marionext.record import RECORD, Record
from marionext.settings import SvdSettings

from .folders import JOB_FILE

__all__ = ["AGAIN_FILE", "Take", "has_seeds", "takes_of", "write_again", "write_shown"]

AGAIN_FILE = "again.json"
"""Of the job that is to be done with a finished render; its own job file stays as it is."""


@dataclass(frozen=True, slots=True)
class Take:
    """Frames of a render that were made again; number 0 is the render itself."""

    number: int
    frames: str
    """As a job names them."""
    shown: bool
    """Whether any of its frames is the one that is shown."""


def takes_of(folder: Path) -> tuple[Take, ...]:
    """Return the takes of a render, the render itself first; empty where there are none."""
    try:
        record = Record.read(folder / RECORD)
    except (EngineError, OSError):
        return ()
    if not record.takes:
        return ()
    shown = {record.take_of(number) for number in record.numbers}
    first = Take(0, format_frames(record.numbers), 0 in shown)
    others = (
        Take(take.number, format_frames(take.numbers), take.number in shown)
        for take in record.takes
    )
    return (first, *others)


def has_seeds(folder: Path) -> bool:
    """Tell whether another seed gives another picture."""
    job = _render_job(folder)
    return isinstance(job.settings, SvdSettings)


def write_again(folder: Path, first: int, last: int, seed: int | None) -> None:
    """Write the job that makes a part of a render again.

    Args:
        folder: of the render.
        first: frame of the part.
        last: frame of the part, included.
        seed: None: the next that no take has had.

    Raises:
        EngineError: the render cannot be read, or has none of those frames.
    """
    job, record = _render_job(folder), Record.read(folder / RECORD)
    numbers = tuple(number for number in record.numbers if first <= number <= last)
    if not numbers:
        raise SettingsError(
            f"the render has no frames from {first} to {last}",
            hint=f"It has {format_frames(record.numbers)}.",
        )
    settings = job.settings
    if isinstance(settings, SvdSettings):
        next_one = settings.seed + len(record.takes) + 1
        settings = replace(settings, seed=next_one if seed is None else seed)
    again = replace(job, again=format_frames(numbers), settings=settings)
    write_json(folder / AGAIN_FILE, encode_job(again))


def write_shown(folder: Path, number: int) -> None:
    """Write the job that shows another take of a render.

    Raises:
        OutputError: it cannot be written.
    """
    write_json(folder / AGAIN_FILE, encode_job(TakeJob(directory=str(folder), take=number)))


def _render_job(folder: Path) -> RenderJob:
    job = read_job(folder / JOB_FILE)
    if not isinstance(job, RenderJob):
        raise SettingsError(f"{folder.name} is no render: it has no takes")
    return job
