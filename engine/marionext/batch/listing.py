"""What a command line names as the jobs of a batch: job files, tables, matrices, or folders."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marionext.batch.matrices import read_matrix
from marionext.batch.shots import Problem, Shot, named
from marionext.batch.tables import TABLE_SUFFIXES, read_table
from marionext.errors import EngineError, SettingsError
from marionext.files import is_folder, read_json
from marionext.jobs import Job, decode_job, read_job
from marionext.paths import user_path
from marionext.record import RECORD

__all__ = ["JOB_FILE", "Listing", "job_files", "list_shots"]

JOB_FILE = "job.json"
"""Name of a job in a folder of its own, as hosts write it."""

_JOB_KEYS = frozenset({"motion", "character", "output", "pictures", "settings", "directory"})
_KINDS = frozenset({"export", "picture", "posemaps", "render", "take", "track", "upscale"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The jobs of a batch, and what could not be read."""

    shots: tuple[Shot, ...]
    problems: tuple[Problem, ...]


def list_shots(paths: Iterable[Path], *, root: Path | None = None) -> Listing:
    """Read the jobs of a batch.

    Args:
        paths: job files, tables, matrices, or folders of them.
        root: folder that results of tables and matrices lie in; None: each file's own.
    """
    shots: list[Shot] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            for file in job_files(path) if is_folder(path) else [path]:
                _read(file, root, shots, problems)
        except EngineError as error:
            problems.append(Problem(source=str(path), error=error))
        except OSError as error:
            fault = SettingsError(f"{path}: cannot be read: {error.strerror or error}")
            problems.append(Problem(source=str(path), error=fault))
    return Listing(shots=tuple(named(shots)), problems=tuple(problems))


def job_files(folder: Path) -> list[Path]:
    """Return the jobs, tables and matrices in a folder, and each ``job.json`` in one below it.

    Other JSON files, such as poses, are left out by what is in them; what cannot be read is not.

    Raises:
        SettingsError: there is none.
    """
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".") and _is_list(path)
    ]
    found += sorted(path for path in folder.glob(f"*/**/{JOB_FILE}") if path.is_file())
    if not found:
        raise SettingsError(
            f"expected job files, tables or matrices in {folder}, there are none",
            hint="A folder of motions is rendered by a small TOML: docs/batch.md shows one.",
        )
    return found


def _is_list(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES or suffix == ".toml":
        return True
    if suffix != ".json" or path.name == RECORD:
        return False
    if path.name == JOB_FILE:
        return True
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return True  # cut off, say: to be told, not passed over
    kind = data.get("kind") if isinstance(data, dict) else None
    return isinstance(data, dict) and (
        len(_JOB_KEYS & data.keys()) > 1 or (isinstance(kind, str) and kind in _KINDS)
    )


def _read(path: Path, root: Path | None, shots: list[Shot], problems: list[Problem]) -> None:
    """Read one file; what is wrong with one of its jobs does not take the others along."""
    folder = path.absolute().parent
    rows: Iterator[tuple[str, Mapping[str, Any]]]
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        rows = ((f"{path}, line {line}", data) for line, data in read_table(path))
    elif suffix == ".toml":
        rows = ((f"{path}, job {n}", data) for n, data in enumerate(read_matrix(path), start=1))
    else:
        shots.append(Shot(name="", job=read_job(path), source=str(path), root=folder))
        return
    for source, data in rows:
        try:
            job = _decoded(data, folder, root)
        except EngineError as error:
            fault = type(error)(f"{source}: {error.message}", hint=error.hint)
            problems.append(Problem(source=source, error=fault))
        else:
            shots.append(Shot(name="", job=job, source=source, root=root or folder))


def _decoded(data: Mapping[str, Any], folder: Path, root: Path | None) -> Job:
    """Read a job of a table or matrix; its result lies in the root, its files beside the list."""
    output = data.get("output")
    if root is not None and isinstance(output, dict) and isinstance(output.get("directory"), str):
        where = str(user_path(output["directory"], beside=root))
        data = {**data, "output": {**output, "directory": where}}
    return decode_job(data, beside=folder)
