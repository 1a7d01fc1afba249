"""Dolls that were made before, kept in files: in the user's own folder, and beside a render.

A file is a zip of a doll's arrays and of a list of what they are, under a name that says what the
doll was made of. It is written whole, looked at before it is believed, and one too many is removed:
losing all of them costs nothing but the seconds of making them again.
"""

import contextlib
import dataclasses
import io
import json
import os
import re
import types
import typing
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np

from marionext import presets
from marionext.arrays import read_arrays
from marionext.doll import Doll
from marionext.errors import CharacterError, OutputError
from marionext.files import own_folder, reading, replacing

__all__ = ["dolls_folder", "find_doll", "keep_doll", "read_kept", "write_kept"]

_SUFFIX = ".doll.npz"
_NAME = re.compile(r"[0-9a-f]{64}\.doll\.npz")
_MOST = 16
"""Dolls that are kept; the one that was used the longest ago goes first."""
_TEXT = "doll"
_EARLIEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def dolls_folder() -> Path:
    """Return the folder of the dolls of this user; it need not exist."""
    return presets.home() / "dolls"


def find_doll(key: str, say: Callable[[str], None]) -> Doll | None:
    """Return the doll that is kept under a key, or None.

    Args:
        key: sha256 of all that the doll is made of.
        say: told where a file is there that cannot be used.
    """
    path = dolls_folder() / f"{key}{_SUFFIX}"
    if not path.is_file():
        return None
    try:
        doll = read_kept(path, key)
    except CharacterError as error:
        say(f"{error.message}: the doll is made again")
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now: it is the last one to go
    return doll


def keep_doll(key: str, doll: Doll, say: Callable[[str], None]) -> None:
    """Keep a doll for the next time, and let go of the oldest ones."""
    try:
        folder = own_folder(dolls_folder())
        write_kept(doll, folder / f"{key}{_SUFFIX}", key)
    except OutputError as error:
        say(f"the doll is not kept for the next time: {error.message}")
        return
    with contextlib.suppress(OSError):
        own = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
        own.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in own[_MOST:]:
            path.unlink()


def write_kept(doll: Doll, path: Path, key: str) -> None:
    """Write a doll to a file; see `read_kept`.

    Raises:
        OutputError: it cannot be written.
    """
    arrays: list[Any] = []
    tree = {"key": key, "doll": _packed(doll, arrays)}
    text = json.dumps(tree, ensure_ascii=True, allow_nan=False).encode()
    named = {f"{place}": array for place, array in enumerate(arrays)}
    named[_TEXT] = np.frombuffer(text, np.uint8)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in named.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EARLIEST_ZIP_DATE)
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=1)


def read_kept(path: Path, key: str | None = None) -> Doll:
    """Read a doll that `write_kept` wrote: the same values to the bit.

    Args:
        path: of the file.
        key: what the doll has to be made of; None: of anything.

    Raises:
        CharacterError: it is damaged, or holds the doll of something else.
    """
    with reading(path, CharacterError, "a doll that was kept"):
        arrays = read_arrays(path, CharacterError)
        tree = json.loads(bytes(arrays.pop(_TEXT)))
        if key is not None and tree["key"] != key:
            raise CharacterError(f"{path} holds the doll of something else")
        doll = _unpacked(Doll, tree["doll"], arrays)
    assert isinstance(doll, Doll)
    return doll


def _packed(value: object, arrays: list[Any]) -> Any:
    """Return a value as JSON, its arrays by their places in a list that takes them."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return len(arrays) - 1
    if dataclasses.is_dataclass(value):
        return {
            field.name: _packed(getattr(value, field.name), arrays)
            for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple):
        return [_packed(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(hint: Any, value: Any, arrays: dict[str, Any]) -> Any:
    """Return the value of a type that `_packed` put into JSON."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (hint,) = (kind for kind in inner if kind is not type(None))
        return _unpacked(hint, value, arrays)
    if origin is np.ndarray:
        return arrays[f"{value}"]
    if origin is tuple:
        kinds = [inner[0]] * len(value) if inner[1:] == (Ellipsis,) else inner
        return tuple(_unpacked(k, item, arrays) for k, item in zip(kinds, value, strict=True))
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        fields = {name: _unpacked(hints[name], item, arrays) for name, item in value.items()}
        return typing.cast(type, hint)(**fields)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise TypeError(f"{value!r} is no {hint}")
    return value
