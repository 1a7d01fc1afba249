"""Matrices of jobs: every motion with every character, seed or whatever else, by a small TOML.

::

    out = "renders/{shot}/{character}_{seed}"

    [matrix]
    motion = "poses"               # a folder of motions, or names with * and ?
    character = ["heroes/*.png", "knight.doll"]
    seed = [1, 2, 3]

    [job]                          # what all of them share, as in a job file
    model = "puppet"
    quality = "draft"
"""

import copy
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marionext import limits
from marionext.batch.fields import fill, place_of, put, stem_of
from marionext.codec import decode
from marionext.errors import SettingsError
from marionext.files import is_folder, read_toml
from marionext.limits import quoted
from marionext.paths import user_path
from marionext.settings import DEFAULT_MODEL

__all__ = ["Matrix", "read_matrix"]

_MOTIONS = frozenset({
    ".bvh", ".glb", ".gltf", ".vrm", ".npz", ".json", ".mp4", ".mov", ".m4v", ".webm", ".mkv",
    ".avi", ".gif", ".apng", ".webp",
})  # fmt: skip
_PICTURES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"])
_LONGEST_PATTERN = 1000
_AXES = ("motion", "character")
"""Axes that are files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The file, as it is written."""

    out: str
    """Folder of each result, with ``{name}`` places for what an axis has."""
    matrix: dict[str, Any]
    """The axes: a name of a part of a job, and a value or a list of them."""
    job: dict[str, Any] = field(default_factory=dict)
    """What all jobs share, as in a job file."""
    version: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be a matrix."""
        if self.version != 1:
            raise SettingsError(
                f"version: expected 1, got {limits.quoted(self.version)}", hint="Update Marionext."
            )
        for name in _AXES:
            if name not in self.matrix and name not in self.job:
                raise SettingsError(f"matrix: missing key {name!r}")


def read_matrix(path: Path) -> list[dict[str, Any]]:
    """Read a matrix and return the content of a job file for each of its jobs, in order.

    Raises:
        SettingsError: the file is missing or no matrix, or a name in it finds nothing.
    """
    try:
        data = read_toml(path)
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such matrix") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from None
    try:
        return _jobs(decode(Matrix, data), path.absolute().parent)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=error.hint) from None


def _jobs(matrix: Matrix, folder: Path) -> list[dict[str, Any]]:
    axes = {name: _values(name, given, folder) for name, given in matrix.matrix.items()}
    count = math.prod(map(len, axes.values()))
    if count > limits.SHOTS:
        raise SettingsError(f"expected at most {limits.SHOTS:,} jobs, these axes make {count:,}")
    jobs = []
    for chosen in itertools.product(*axes.values()):
        job = {"model": DEFAULT_MODEL, **copy.deepcopy(matrix.job)}
        for name, value in zip(axes, chosen, strict=True):
            put(job, place_of(name), value)
        values = _constants(matrix.job) | {
            name.rpartition(".")[2]: value for name, value in zip(axes, chosen, strict=True)
        }
        motion, character = _at(job, "motion", "path"), _at(job, "character")
        if isinstance(motion, str) and isinstance(character, str):
            values |= {"shot": stem_of(motion), "character": stem_of(character)}
        put(job, place_of("out"), fill(matrix.out, values))
        jobs.append(job)
    return jobs


def _values(name: str, given: object, folder: Path) -> list[Any]:
    """Return what an axis goes through."""
    values = given if isinstance(given, list) else [given]
    if name in _AXES:
        values = [path for pattern in values for path in _found(name, pattern, folder)]
    if not values:
        raise SettingsError(f"matrix.{name}: expected a value or a list of them, got none")
    return values


def _found(name: str, pattern: object, folder: Path) -> list[str]:
    """Return the motions or characters that a name with ``*`` and ``?``, or a folder, means."""
    if not isinstance(pattern, str):
        raise SettingsError(f"matrix.{name}: expected the names of files, got {quoted(pattern)}")
    if not re.search(r"[*?\[]", pattern):
        start = user_path(pattern, beside=folder)
        inside = _entries(name, start) if is_folder(start) else []
        return [str(path) for path in inside] or [str(start)]
    if "**" in pattern or len(pattern) > _LONGEST_PATTERN:
        # A file of somebody else's must not have the whole disk searched, nor take minutes to be
        # understood.
        raise SettingsError(
            f"matrix.{name}: expected names with * and ?, at most {_LONGEST_PATTERN} characters, "
            f"got {quoted(pattern)}",
            hint="Folders of any depth cannot be searched: write */* for two of them.",
        )
    written = Path(pattern).expanduser()
    where = Path(written.anchor) if written.is_absolute() else folder
    try:
        paths = where.glob(str(written.relative_to(written.anchor)))
        fitting = (path for path in paths if _fits(name, path))
        found = sorted({*itertools.islice(fitting, limits.SHOTS + 1)}, key=_natural)
    except ValueError as error:
        raise SettingsError(f"matrix.{name}: {quoted(pattern)}: {error}") from None
    if not found:
        raise SettingsError(
            f"matrix.{name}: {quoted(pattern)} finds nothing",
            hint="Names start at the folder of the file that they stand in.",
        )
    return [str(path) for path in found]


def _entries(name: str, folder: Path) -> list[Path]:
    """Return what is in a folder of motions or characters; nothing if it is a single one itself."""
    entries = sorted(folder.iterdir(), key=_natural)
    one = any(entry.name.endswith("_keypoints.json") for entry in entries)
    pictures = [entry for entry in entries if entry.suffix.lower() in _PICTURES]
    if name == "motion" and (one or (pictures and not any(_fits(name, e) for e in entries))):
        return []
    if name == "character" and folder.suffix == ".doll":
        return []
    return [entry for entry in entries if _fits(name, entry)]


def _fits(name: str, path: Path) -> bool:
    """Tell by its name whether something is a motion or a character."""
    lower = path.name.lower()
    if lower.startswith("."):
        return False
    if path.is_dir():
        return lower.endswith(".doll") if name == "character" else not lower.endswith(".doll")
    if name == "character":
        return path.suffix.lower() in _PICTURES and not lower.endswith(".mask.png")
    return path.suffix.lower() in _MOTIONS and not lower.endswith(".pose.npz")


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key by which 9 comes before 10."""
    return [
        (int(part), "") if part.isdecimal() and len(part) < 30 else (-1, part.lower())
        for part in re.split(r"(\d+)", str(path))
    ]


def _constants(job: Mapping[str, Any]) -> dict[str, object]:
    """Return what ``{name}`` places may take from what all jobs share."""
    parts = (job, *(part for part in job.values() if isinstance(part, Mapping)))
    return {
        name: value
        for part in reversed(parts)
        for name, value in part.items()
        if isinstance(value, str | int | float)
    }


def _at(job: Mapping[str, Any], *place: str) -> object:
    found: object = job
    for key in place:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
