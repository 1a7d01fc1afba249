"""Weights made from their names: the same numbers on every machine and with every library.

A golden case does not store the weights of its networks but a ``*.keys.json`` with a seed, the
names and shapes, and a sha256. For a tensor of n numbers:

    s   = the first 16 bytes of sha256("<seed>:<name>"), little-endian
    raw = n draws of numpy's PCG64(s) as 64-bit integers
    w   = (raw >> 40) / 2**24 * 2 - 1, exact in float32, in [-1, 1)

and the value is w, shifted and scaled by what the name's last part and the shape say it is.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]


def rebuild(path: Path) -> dict[str, Weights]:
    """Return the tensors a ``*.keys.json`` describes; its checksum must agree."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    tensors = {
        name: _tensor(manifest["seed"], name, tuple(shape))
        for name, shape in manifest["shapes"].items()
    }
    assert _checksum(tensors) == manifest["digest"], f"{path}: the recipe gives other weights"
    return tensors


def _tensor(seed: int, name: str, shape: tuple[int, ...]) -> Weights:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = np.random.PCG64(int.from_bytes(digest[:16], "little"))
    raw = np.atleast_1d(generator.random_raw(math.prod(shape)))
    unit = ((raw >> np.uint64(40)).astype(np.float64) / 2**24 * 2 - 1).astype(np.float32)
    offset, scale = _rule(name.rsplit(".", 1)[-1], shape)
    values = np.float32(offset) + np.float32(scale) * unit.reshape(shape)
    return np.asarray(values, np.float32)


def _rule(last: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return what a tensor's numbers are centred on, and how far they spread."""
    if last == "mix_factor":
        return 0, 1
    if shape == () or last == "running_var" or (len(shape) == 1 and last == "weight"):
        return 1, 0.3
    if last == "running_mean" or (len(shape) == 1 and last == "bias"):
        return 0, 0.1
    if len(shape) == 1:
        return 0, 0.5
    return 0, math.sqrt(3 / math.prod(shape[1:]))


def _checksum(tensors: dict[str, Weights]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = np.asarray(tensors[name], dtype="<f4")
        digest.update(name.encode())
        digest.update(str(tuple(int(side) for side in value.shape)).encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
