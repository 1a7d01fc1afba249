"""Unpack what gltfpack packs: ``EXT_meshopt_compression``, mode ATTRIBUTES.

Animations, skins and vertices are packed in this mode; triangles are not needed here. Elements
are split into their bytes; each byte is stored as a difference to the one of the element before,
sixteen to a group, with 0, 2, 4 or 8 bits each as a group needs (the extension's specification,
Khronos Group, version 0 of the bitstream).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["PACKINGS", "unpack"]

_VERSION_0 = 0xA0
_GROUP = 16
_BLOCK_BYTES, _BLOCK_ELEMENTS = 8192, 256
_TAIL = 32
_ESCAPES = {1: 3, 2: 15}
"""For groups of 2 and of 4 bits: the value that stands for a whole byte further on."""
_PAIRS: dict[int, list[tuple[int, ...]]] = {
    1: [tuple(byte >> shift & 3 for shift in (6, 4, 2, 0)) for byte in range(256)],
    2: [(byte >> 4, byte & 15) for byte in range(256)],
}


def unpack(packed: bytes, count: int, stride: int, packing: str) -> bytes:
    """Return ``count`` elements of ``stride`` bytes, as an uncompressed buffer view holds them.

    Args:
        packed: the bytes of the compressed view.
        count: number of elements.
        stride: bytes of an element, a multiple of 4.
        packing: the extension's filter, one of ``PACKINGS``.

    Raises:
        ValueError: the bytes are not packed in this way, or end too early.
    """
    if packing not in PACKINGS:
        raise ValueError(f"expected a filter of {', '.join(sorted(PACKINGS))}, found {packing}")
    if not packed or packed[0] != _VERSION_0:
        version = f"0x{packed[0]:02x}" if packed else "nothing"
        raise ValueError(f"expected packed attributes of version 0 (0xa0), found {version}")
    if not 0 < stride <= 256 or stride % 4 or count < 0:
        raise ValueError(f"packed attributes have a stride of 4 to 256, found {stride}")
    per_block = min(_BLOCK_BYTES // stride // _GROUP * _GROUP, _BLOCK_ELEMENTS)
    if len(packed) < 1 + max(stride, _TAIL):
        raise ValueError("packed attributes end too early")
    before = np.frombuffer(packed[-stride:], np.uint8)
    reader = _Reader(packed[: -max(stride, _TAIL)])
    blocks = []
    for start in range(0, count, per_block):
        length = min(per_block, count - start)
        differences = np.array([reader.column(length) for _ in range(stride)], np.uint8)
        # The lowest bit is the sign.
        signed = (differences >> 1) ^ (0 - (differences & 1)).astype(np.uint8)
        columns = np.cumsum(signed, axis=1, dtype=np.uint8) + before[:, None]
        before = columns[:, -1]
        blocks.append(columns.T)
    elements = np.concatenate(blocks) if blocks else np.zeros((0, stride), np.uint8)
    return _FILTERS[packing](np.ascontiguousarray(elements)).tobytes()


class _Reader:
    """Reads columns of bytes, one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 1

    def column(self, length: int) -> bytearray:
        """Return the next ``length`` differences."""
        groups = -(-length // _GROUP)
        header = self._take(-(-groups // 4))
        column = bytearray()
        for group in range(groups):
            kind = header[group // 4] >> (group % 4 * 2) & 3
            column += self._group(kind)
        return column[:length]

    def _group(self, kind: int) -> bytes:
        if kind == 0:
            return bytes(_GROUP)
        if kind == 3:
            return self._take(_GROUP)
        escape, pairs = _ESCAPES[kind], _PAIRS[kind]
        small = [value for byte in self._take(4 * kind) for value in pairs[byte]]
        whole = iter(self._take(small.count(escape)))
        return bytes(next(whole) if value == escape else value for value in small)

    def _take(self, size: int) -> bytes:
        data = self._data[self._position : self._position + size]
        if len(data) < size:
            raise ValueError("packed attributes end too early")
        self._position += size
        return data


def _plain(elements: NDArray[np.uint8]) -> NDArray[np.generic]:
    return elements


def _quaternions(elements: NDArray[np.uint8]) -> NDArray[np.generic]:
    """Restore the largest part of each unit quaternion from the other three; 16 bits each."""
    if elements.shape[1] != 8:
        raise ValueError(f"packed quaternions have a stride of 8, found {elements.shape[1]}")
    stored = elements.view("<i2").astype(np.float64)
    largest = stored[:, 3].astype(np.int64) & 3
    one = (stored[:, 3].astype(np.int64) | 3).astype(np.float64)
    if (one <= 0).any():
        raise ValueError("packed quaternions have no scale")
    parts = stored[:, :3] / one[:, None] * np.sqrt(0.5)
    rest = np.sqrt(np.maximum(0, 1 - (parts**2).sum(axis=1)))
    result = np.empty((len(stored), 4))
    rows = np.arange(len(stored))
    for offset in range(3):
        result[rows, (largest + 1 + offset) % 4] = parts[:, offset]
    result[rows, largest] = rest
    return np.rint(result * 32767).astype("<i2")


def _floats(elements: NDArray[np.uint8]) -> NDArray[np.generic]:
    """Restore floats from 24 bits of mantissa and 8 of exponent."""
    stored = elements.view("<i4")
    mantissa, exponent = stored << 8 >> 8, stored >> 24
    return np.asarray(np.ldexp(mantissa.astype(np.float64), exponent), dtype="<f4")


_FILTERS = {"NONE": _plain, "QUATERNION": _quaternions, "EXPONENTIAL": _floats}

PACKINGS = frozenset(_FILTERS)
"""The filters understood here; OCTAHEDRAL is for normals, which have no part in motion."""
