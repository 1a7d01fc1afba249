"""Folders of layered dolls: a character's parts as pictures that a person can open and mend.

`marionext.doll` says what such a folder holds. Here is what the rest has to know of it: how it is
told from others, which files are its own, and that nobody else's are ever replaced.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marionext.doll import Doll, read_doll, write_doll
from marionext.errors import CharacterError, OutputError
from marionext.files import explain, is_folder, own_folder, read_bytes, read_json, write_bytes
from marionext.paths import is_inside

__all__ = ["DOLL_FILE", "is_layered", "layered_files", "read_layered", "write_layered"]

DOLL_FILE = "doll.json"
"""File of the folder that says what the others are."""


def is_layered(path: Path) -> bool:
    """Tell whether a path is the folder of a layered doll."""
    return is_folder(path) and (path / DOLL_FILE).is_file()


def layered_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a layered doll that are there: ``doll.json`` and those it lists.

    Raises:
        CharacterError: ``doll.json`` cannot be read.
    """
    try:
        told = read_json(folder / DOLL_FILE)
    except (OSError, ValueError) as error:
        raise CharacterError(
            f"{folder / DOLL_FILE} cannot be read: {error}",
            hint="Make the doll's folder anew with: marionext doll PICTURE -o FOLDER",
        ) from None
    names = dict.fromkeys(name for name in _texts(told) if name.endswith(".png"))
    listed = (folder / name for name in names if is_inside(name))
    return (folder / DOLL_FILE, *(path for path in listed if path.is_file()))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def read_layered(folder: Path) -> Doll:
    """Read the doll of a folder.

    Raises:
        CharacterError: the folder is no layered doll, or a file of it is missing or damaged.
    """
    if not is_layered(folder):
        raise CharacterError(
            f"expected a picture of the character or the folder of a layered doll, {folder} is a "
            f"folder without {DOLL_FILE}",
            hint="Give a picture, or make such a folder with: marionext doll PICTURE -o FOLDER",
        )
    return read_doll(folder)


def write_layered(doll: Doll, folder: Path, *, overwrite: bool = False) -> None:
    """Write a doll as a folder of layered pictures.

    Args:
        doll: to be written.
        folder: a new or empty one, or with ``overwrite`` that of another doll: what its
            ``doll.json`` lists is replaced, and nothing else is touched.
        overwrite: whether another doll may be replaced.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    own = _own_files(folder, overwrite=overwrite)
    with tempfile.TemporaryDirectory(prefix="marionext-") as work:
        made = Path(work) / "doll"
        write_doll(doll, made)
        files = sorted(path for path in made.rglob("*") if path.is_file())
        names = [path.relative_to(made) for path in files]
        for name in names:
            if (folder / name).exists() and folder / name not in own:
                raise OutputError(
                    f"{folder / name} is there already, and {DOLL_FILE} does not list it",
                    hint="Move it away, or choose another folder.",
                )
        for place in {folder, *((folder / name).parent for name in names)}:
            own_folder(place)
        # The list comes last: what a run that is killed leaves is a doll that lacks parts, which
        # is said when it is read, and may be overwritten.
        for path in own:
            if path.name != DOLL_FILE:
                _remove(path)
        for name in sorted(names, key=lambda name: name.name == DOLL_FILE):
            write_bytes(folder / name, read_bytes(made / name))


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise explain(error, path) from error


def _own_files(folder: Path, *, overwrite: bool) -> tuple[Path, ...]:
    """Return the files of the doll that stands in the way of another one: none in a new folder."""
    if not folder.exists():
        return ()
    if not folder.is_dir():
        raise OutputError(
            f"expected a folder to write to, {folder} is a file", hint="Choose another name."
        )
    if not is_layered(folder):
        if any(folder.iterdir()):
            raise OutputError(
                f"expected a new or empty folder to write to, {folder} holds something already",
                hint="Choose another folder, or empty this one first.",
            )
        return ()
    if not overwrite:
        raise OutputError(
            f"{folder} holds a doll already",
            hint="Choose another folder, or say --overwrite to replace it: what was mended by hand "
            "would be lost.",
        )
    try:
        return layered_files(folder)
    except CharacterError as error:
        raise OutputError(error.message, hint="Choose another folder, or empty this one.") from None
