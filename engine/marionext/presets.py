"""Where presets and the user's models live, and how their TOML is read."""

import copy
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from marionext.errors import SettingsError
from marionext.files import read_toml
from marionext.paths import user_path

__all__ = ["folder", "home", "names", "read"]


def folder(name: str = "") -> Path:
    """Return the folder of the built-in presets, or one inside it such as ``rigs``.

    In a wheel the presets are packed beside this file; in a checkout they are the repository's.
    """
    return _root() / name if name else _root()


@lru_cache
def _root() -> Path:
    here = Path(__file__).resolve()
    packed = here.parent / "_presets"
    return packed if packed.is_dir() else here.parents[2] / "presets"


def home() -> Path:
    """Return the folder for models and settings of this user: ``MARIONEXT_HOME``, or the usual.

    The folder is not created here.

    Raises:
        SettingsError: the home of somebody is meant who has none on this machine.
    """
    chosen = os.environ.get("MARIONEXT_HOME")
    if chosen:
        return user_path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Application Support")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
    return user_path(base) / "marionext"


def names(kind: str) -> tuple[str, ...]:
    """Return the names of the presets of a kind (``quality``, ``models``, ``rigs``), sorted."""
    place = folder(kind)
    return _names(place, place.stat().st_mtime_ns)


@lru_cache
def _names(place: Path, _changed: int) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in place.glob("*.toml")))


def read(kind: str, name: str) -> dict[str, Any]:
    """Read one preset.

    Raises:
        SettingsError: there is no such preset, or its file is no TOML.
    """
    known = names(kind)
    if name not in known:
        raise SettingsError(
            f"no {kind} preset is called {name!r}", hint=f"There are: {', '.join(known)}."
        )
    path = folder(kind) / f"{name}.toml"
    try:
        # Lists of jobs ask for the same few presets thousands of times.
        found = path.stat()
        return copy.deepcopy(_parsed(path, (found.st_mtime_ns, found.st_size)))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from None


@lru_cache
def _parsed(path: Path, _form: tuple[int, int]) -> dict[str, Any]:
    return read_toml(path)
