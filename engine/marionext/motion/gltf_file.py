"""The container of glTF 2.0: its JSON, its buffers, and the numbers its accessors lay out.

Reads ``.gltf`` (with files beside it or data URIs) and ``.glb``, of which ``.vrm`` and ``.vrma``
are kinds. Only what is asked for is read, so that a file whose meshes are compressed in a way
unknown here still gives its animation (glTF 2.0 specification, Khronos Group).
"""

import base64
import binascii
import json
import posixpath
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.files import check_room, read_bytes
from marionext.limits import quoted
from marionext.motion.meshopt import unpack
from marionext.paths import is_inside

__all__ = ["MALFORMED", "GltfFile", "open_gltf"]

_MAGIC = b"glTF"
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
MALFORMED = (AttributeError, KeyError, IndexError, OverflowError, TypeError, ValueError)
"""What Python says when JSON holds something else than it should."""

_WIDEST = 8
"""Bytes of a number in use."""
_SLOW = 8
"""Compressed numbers are unpacked slowly: they weigh more than their memory."""
_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")


@dataclass(slots=True)
class GltfFile:
    """An opened file; buffers are read when they are first needed."""

    path: Path
    json: dict[str, Any]
    binary: bytes | None = None
    """The binary chunk of a .glb."""
    buffers: dict[int, bytes] = field(default_factory=dict)
    views: dict[int, bytes] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    """What was read so far: the file itself, then those that it refers to."""
    size: int = 0
    """Bytes of all of those."""
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    arrays: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def list_of(self, key: str) -> list[dict[str, Any]]:
        """Return the nodes, skins, animations ... of the file; empty if it has none."""
        if key in self.lists:
            return self.lists[key]
        found = self.json.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise MotionError(f"{self.path.name}: expected {key!r} to be a list of objects")
        self.lists[key] = found
        return found

    def check_room(self, needed: int, what: str) -> None:
        """Make sure that numbers fit into memory, before there are any.

        Raises:
            MotionError: they do not.
        """
        hint = "Export it again: with its animation baked, and in shorter parts."
        check_room(self.path, self.size, needed, what, fault=MotionError, hint=hint)

    def numbers(self, accessor: int) -> NDArray[np.float64]:
        """Return what an accessor lays out: (count, width), normalised integers as floats.

        Raises:
            MotionError: the accessor cannot be read.
        """
        try:
            if accessor not in self.arrays:
                self.arrays[accessor] = self._numbers(accessor)
            return self.arrays[accessor]
        except MALFORMED as error:
            raise MotionError(
                f"{self.path.name}: accessor {accessor} is not as glTF has it "
                f"({type(error).__name__}: {error})"
            ) from error

    def _numbers(self, accessor: int) -> NDArray[np.float64]:
        layout = self.list_of("accessors")[accessor]
        count, width = int(layout["count"]), _WIDTHS[layout["type"]]
        dtype = np.dtype(_COMPONENTS[layout["componentType"]])
        if count < 0:
            raise MotionError(f"{self.path.name}: accessor {accessor} has {count} elements")
        self.check_room(3 * count * width * _WIDEST, f"accessor {accessor}, {count:,} elements,")
        if "bufferView" in layout:
            raw = self._packed(
                layout["bufferView"], layout.get("byteOffset", 0), count, width, dtype, accessor
            )
        else:
            raw = np.zeros((count, width), dtype)
        if "sparse" in layout:
            sparse = layout["sparse"]
            changed, where, values = int(sparse["count"]), sparse["indices"], sparse["values"]
            index_type = np.dtype(_COMPONENTS[where["componentType"]])
            rows = self._packed(
                where["bufferView"], where.get("byteOffset", 0), changed, 1, index_type, accessor
            )[:, 0]
            raw = raw.copy()
            raw[rows] = self._packed(
                values["bufferView"], values.get("byteOffset", 0), changed, width, dtype, accessor
            )
        floats = raw.astype(np.float64)
        if layout.get("normalized") and dtype.kind in "iu":
            # The specification's equations: -128 and -127 are both -1.
            floats = np.maximum(floats / np.iinfo(dtype).max, -1.0)
        return floats

    def _packed(
        self, view: int, offset: int, count: int, width: int, dtype: np.dtype[Any], accessor: int
    ) -> NDArray[Any]:
        """Return rows of a buffer view: (count, width)."""
        layout = self.list_of("bufferViews")[view]
        data = self._view(view, layout)
        row = width * dtype.itemsize
        stride = int(layout.get("byteStride") or row)
        start = int(offset)
        end = start + stride * (count - 1) + row if count else start
        if count < 0 or start < 0 or stride < row or end > len(data):
            raise MotionError(
                f"{self.path.name}: accessor {accessor} needs bytes {start} to {end} of a buffer "
                f"view, which ends at {len(data)}",
                hint="The file is cut off or damaged: export or download it again.",
            )
        rows = np.lib.stride_tricks.as_strided(
            np.frombuffer(data, np.uint8)[start:], (count, row), (stride, 1)
        )
        return np.ascontiguousarray(rows).view(dtype).reshape(count, width)

    def _view(self, view: int, layout: dict[str, Any]) -> bytes:
        """Return a buffer view's bytes, unpacked once if they are packed."""
        if view in self.views:
            return self.views[view]
        packed = next((name for name in _MESHOPT if name in layout.get("extensions", {})), None)
        source = layout if packed is None else layout["extensions"][packed]
        start, length = int(source.get("byteOffset", 0)), int(source["byteLength"])
        data = self._buffer(int(source["buffer"]))[start : start + length]
        if start < 0 or len(data) < length:
            raise MotionError(
                f"{self.path.name}: buffer view {view} needs {length} bytes, found {len(data)}",
                hint="The file is cut off or damaged: export or download it again.",
            )
        if packed is not None:
            data = self._unpacked(data, source, packed)
        self.views[view] = data
        return data

    def _unpacked(self, data: bytes, source: dict[str, Any], name: str) -> bytes:
        """Return the bytes of a compressed view."""
        count, mode = int(source["count"]), source["mode"]
        self.check_room(
            _SLOW * count * max(int(source["byteStride"]), 1),
            f"a compressed view of {count:,} elements",
        )
        if mode != "ATTRIBUTES":
            raise MotionError(f"{self.path.name}: numbers are packed in mode {mode!r}")
        try:
            return unpack(data, count, int(source["byteStride"]), source.get("filter", "NONE"))
        except ValueError as error:
            raise MotionError(
                f"{self.path.name}: the numbers of its animation are compressed with {name} in a "
                f"way that is not read here ({error})",
                hint="Open the file in Blender and export it again, or unpack it with "
                "'gltf-transform copy'.",
            ) from error

    def _buffer(self, index: int) -> bytes:
        """Return a buffer's bytes, read once."""
        if index in self.buffers:
            return self.buffers[index]
        layout = self.list_of("buffers")[index]
        uri = layout.get("uri")
        if uri is None:
            if index != 0 or self.binary is None:
                raise MotionError(f"{self.path.name}: buffer {index} has neither uri nor data")
            data = self.binary
        elif uri.startswith("data:"):
            try:
                data = base64.b64decode(uri.partition(",")[2])
            except binascii.Error as error:
                raise MotionError(
                    f"{self.path.name}: buffer {index} is not valid base64: {error}"
                ) from error
        else:
            part = self._beside(unquote(uri))
            data = _read(part, f"a part of {self.path.name}")
            self.size += len(data)
            if part not in self.files:
                self.files.append(part)
        self.buffers[index] = data
        return data

    def _beside(self, name: str) -> Path:
        """Return the path of a part of the file, which lies in its own folder.

        A motion of somebody else's must not read files that are none of its own.
        """
        name = posixpath.normpath(name)
        part = self.path.parent / name
        homes = (self.path.parent.resolve(), self.path.resolve().parent)
        inside = is_inside(name) and any(part.resolve().is_relative_to(home) for home in homes)
        if not inside:
            raise MotionError(
                f"{self.path.name}: expected parts in its own folder, it refers to {quoted(name)}",
                hint="Put the part beside it and change the 'uri', or export .glb.",
            )
        return part


def _read(path: Path, what: str) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise MotionError(
            f"cannot read {path.name}, {what}: {error.strerror or error}",
            hint="A .gltf refers to files beside it; keep them together, or export .glb.",
        ) from error


def open_gltf(path: Path) -> GltfFile:
    """Open a .gltf, .glb or .vrm file and check that it is glTF 2.

    Raises:
        MotionError: it is not, or cannot be read.
    """
    data = _read(path, "the motion")
    binary = None
    text = data
    if data[:4] == _MAGIC:
        text, binary = _chunks(path, data)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MotionError(f"{path.name} is not a glTF file: its JSON {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("asset"), dict):
        raise MotionError(f"{path.name} is not a glTF file: it has no 'asset'")
    version = str(content["asset"].get("version", ""))
    if not version.startswith("2"):
        raise MotionError(
            f"{path.name}: expected glTF version 2, found {version or 'none'}",
            hint="Convert it, for example by opening it in Blender and exporting glTF 2.0.",
        )
    return GltfFile(path, content, binary, files=[path], size=len(data))


def _chunks(path: Path, data: bytes) -> tuple[bytes, bytes | None]:
    """Return the JSON and the binary chunk of a .glb."""
    text: bytes | None = None
    binary: bytes | None = None
    version, length = struct.unpack_from("<II", data.ljust(12, b"\0"), 4)
    if version != 2:
        raise MotionError(f"{path.name}: expected binary glTF version 2, found {version}")
    if len(data) < length:
        raise MotionError(
            f"{path.name}: expected {length} bytes, found {len(data)}",
            hint="The file is cut off: download or export it again.",
        )
    position = 12
    while position + 8 <= length:
        size, kind = struct.unpack_from("<II", data, position)
        chunk = data[position + 8 : position + 8 + size]
        if kind == _JSON_CHUNK and text is None:
            text = chunk
        elif kind == _BINARY_CHUNK and binary is None:
            binary = chunk
        position += 8 + size
    if text is None:
        raise MotionError(f"{path.name}: expected a chunk of JSON, found none")
    return text, binary
