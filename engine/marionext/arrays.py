"""The arrays of a ``.npz``, looked at before they are read: what a header says is only a claim.

numpy takes the memory that a header asks for before it finds that the data is not there, and zip
unpacks a thousandfold. Here shapes and types are read first, and weighed.
"""

import io
import math
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from marionext.errors import EngineError
from marionext.files import check_room, open_file

__all__ = ["read_arrays"]

_WIDEST = 8
"""Bytes that a number of any kind takes in use."""
_COPIES = 2
"""How often the numbers are in memory at once while they are read and checked."""
_HINT = "Cut it into shorter parts, or leave out who is not needed."


@dataclass(frozen=True, slots=True)
class _Header:
    """What an array says of itself."""

    count: int
    item: int
    start: int
    """Where its numbers begin in its entry."""

    @property
    def stored(self) -> int:
        return self.count * max(self.item, 1)


def read_arrays(path: Path, fault: type[EngineError]) -> dict[str, NDArray[Any]]:
    """Read all arrays of a ``.npz``, by name; no pickles.

    Raises:
        EngineError: of the kind ``fault``: the arrays take more memory than `marionext.limits` has.
        Exception: of many kinds, where it is damaged: see `marionext.files.reading`.
    """
    with open_file(path) as file, zipfile.ZipFile(file) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
        headers = []
        for entry in entries:
            with archive.open(entry) as content:
                headers.append(_header(content))
        needed = sum(header.count * max(header.item, _WIDEST) for header in headers)
        size = file.seek(0, io.SEEK_END)
        check_room(path, size, _COPIES * needed, "its arrays", fault=fault, hint=_HINT)
        arrays = {}
        for entry, header in zip(entries, headers, strict=True):
            name = entry.filename.removesuffix(".npy")
            with archive.open(entry) as content:
                data = content.read(header.start + header.stored)
            if len(data) < header.start + header.count * header.item:
                raise ValueError(f"the array {name!r} is cut off")
            array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
            if array.dtype.kind == "U" and array.dtype.itemsize:
                letters = np.ascontiguousarray(array).reshape(-1).view(array.dtype.byteorder + "u4")
                if letters.max(initial=0) > sys.maxunicode:
                    raise ValueError(f"the text {name!r} has letters that there are not")
            arrays[name] = array
    return arrays


def _header(content: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(content)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(content)
    else:
        raise ValueError(f"an array of version {version[0]}.{version[1]}")
    if dtype.hasobject:
        raise ValueError("an array of pickled objects, which may run code")
    if min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape}")
    return _Header(math.prod(shape), dtype.itemsize, content.tell())
