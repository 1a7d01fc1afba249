"""Look at job files before they are queued: all get in, or none."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from marionext.errors import EngineError
from marionext.job_files import model_of, refuse_missing, refuse_outside, results_of
from marionext.jobs import encode_job, read_job
from marionext.queueing.entries import NewJob

__all__ = ["Admission", "admit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What came of looking at job files."""

    jobs: tuple[NewJob, ...]
    refused: tuple[EngineError, ...]
    """One for each file that cannot be queued, and what to do about it."""


def admit(
    files: Iterable[Path], *, roots: Sequence[Path] | None, priority: int = 0, retries: int = 2
) -> Admission:
    """Read job files and look at what they read and write; nothing is opened but they.

    Args:
        files: of the jobs.
        roots: a job writes in the folder of its own file or in one of these; None: anywhere.
        priority: of the jobs, larger is sooner.
        retries: how often each is tried again when it fails by no fault of its own.
    """
    jobs, refused = [], []
    for file in files:
        try:
            job = read_job(file)
            if roots is not None:
                refuse_outside(job, (file.absolute().parent, *roots))
            refuse_missing(job)
        except EngineError as error:
            told = error.message if str(file) in error.message else f"{file}: {error.message}"
            refused.append(type(error)(told, hint=error.hint))
            continue
        jobs.append(
            NewJob(
                job=encode_job(job),
                results=results_of(job),
                model=model_of(job),
                priority=priority,
                retries=retries,
            )
        )
    return Admission(jobs=tuple(jobs), refused=tuple(refused))
