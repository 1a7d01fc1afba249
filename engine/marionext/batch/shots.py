"""A job of a batch, by the name that people, reports and farms know it by."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from marionext.errors import EngineError, OutputError
from marionext.job_files import model_of, refuse_missing, refuse_outside, results_of
from marionext.jobs import Job, RenderJob, TakeJob
from marionext.settings import SvdSettings

__all__ = ["Problem", "Shot", "named", "ordered", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One job of a batch."""

    name: str
    """No other shot of the batch has it; it is told by where the results lie."""
    job: Job
    source: str
    """Where it was read, for people: ``night.csv, line 7``."""
    root: Path
    """The folder that its results lie in, unless more is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something is not rendered."""

    source: str
    error: EngineError


def named(shots: Iterable[Shot]) -> list[Shot]:
    """Give each shot its name; those with the results of one folder are counted."""
    counts: dict[str, int] = {}
    found = []
    for shot in shots:
        result = results_of(shot.job)[0]
        try:
            name = result.relative_to(shot.root).as_posix()
        except ValueError:
            name = "/".join(result.parts[-2:])
        name = result.name if name == "." else name
        # It is shown on terminals, which obey some letters, and written into templates.
        name = "".join(letter if letter.isprintable() else "?" for letter in name)
        counts[name] = counts.get(name, 0) + 1
        found.append(replace(shot, name=name if counts[name] == 1 else f"{name}#{counts[name]}"))
    return found


def refused(
    shots: Iterable[Shot], *, root: Path | None = None, allow_outside: bool = False
) -> list[Problem]:
    """Return what keeps shots from being rendered, told before anything is opened.

    Args:
        shots: of one batch.
        root: a folder that results may lie in besides each shot's own.
        allow_outside: they may lie anywhere.
    """
    problems = []
    owners: dict[str, Shot] = {}
    for shot in shots:
        try:
            refuse_missing(shot.job)
            if not allow_outside:
                refuse_outside(shot.job, (shot.root,) if root is None else (root, shot.root))
        except EngineError as error:
            fault: EngineError = type(error)(f"{shot.source}: {error.message}", hint=error.hint)
            problems.append(Problem(source=shot.source, error=fault))
            continue
        if isinstance(shot.job, TakeJob) or getattr(shot.job, "again", None) is not None:
            continue  # these go into the folder of a render, after it
        for result in results_of(shot.job):
            place = os.path.normcase(os.path.realpath(result))
            owner = owners.setdefault(place, shot)
            if owner is not shot:
                fault = OutputError(
                    f"{shot.source}: expected a place of its own for each result, {result} is "
                    f"also that of {owner.source}",
                    hint="Put what sets them apart into the name, such as {shot}, {character} or "
                    "{seed}.",
                )
                problems.append(Problem(source=shot.source, error=fault))
    return problems


def ordered(shots: Iterable[Shot]) -> list[Shot]:
    """Return shots in an order in which each model is loaded once; else as they are.

    A part made again and a change of takes follow the render whose folder they are of.
    """
    groups: dict[object, list[Shot]] = {}
    at: dict[Path, object] = {}
    for shot in shots:
        place = results_of(shot.job)[0]
        model = at.get(place) or _model(shot.job)
        at[place] = model
        groups.setdefault(model, []).append(shot)
    return [shot for group in groups.values() for shot in group]


def _model(job: Job) -> tuple[str, bool]:
    """Return what has to be loaded: parity wants another number format."""
    settings = job.settings if isinstance(job, RenderJob) else None
    return model_of(job), isinstance(settings, SvdSettings) and settings.parity
