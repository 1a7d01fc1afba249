"""Where presets and the user's models live, and how their TOML is read."""

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

from marionext.errors import SettingsError

__all__ = ["folder", "home", "names", "read"]


def folder(name: str = "") -> Path:
    """Return the folder of the built-in presets, or one inside it such as ``rigs``.

    In a wheel the presets are packed beside this file; in a checkout they are the repository's.
    """
    here = Path(__file__).resolve()
    packed = here.parent / "_presets"
    root = packed if packed.is_dir() else here.parents[2] / "presets"
    return root / name if name else root


def home() -> Path:
    """Return the folder for models and settings of this user: ``MARIONEXT_HOME``, or the usual.

    The folder is not created here.
    """
    chosen = os.environ.get("MARIONEXT_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Application Support")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share")
    return base.expanduser() / "marionext"


def names(kind: str) -> tuple[str, ...]:
    """Return the names of the presets of a kind (``quality``, ``models``, ``rigs``), sorted."""
    return tuple(sorted(path.stem for path in folder(kind).glob("*.toml")))


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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from None
