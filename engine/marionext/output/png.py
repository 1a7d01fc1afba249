"""Pictures as PNG files: marked as sRGB, equal pictures in equal bytes."""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.errors import OutputError
from marionext.files import write_bytes

__all__ = ["encode_png", "write_png"]

_PNG_HEADER = 33
"""Bytes of a PNG's signature and first chunk, after which other chunks may come."""
_PNG_COMPRESSION = 3


def write_png(
    path: Path, picture: NDArray[np.uint8], *, text: Mapping[str, str] | None = None
) -> str:
    """Write a picture (height, width, 3 or 4) as PNG and return the file's sha256.

    Args:
        path: of the file.
        picture: red, green, blue, and alpha where there are four.
        text: kept in the file under its keys (1 to 79 Latin letters each).

    Raises:
        OutputError: it cannot be written.
    """
    content = encode_png(picture, text=text)
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def encode_png(picture: NDArray[np.uint8], *, text: Mapping[str, str] | None = None) -> bytes:
    """Return a PNG file of a picture, marked as sRGB; equal pictures give equal bytes."""
    swap = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    done, encoded = cv2.imencode(
        ".png", cv2.cvtColor(picture, swap), [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION]
    )
    if not done:
        raise OutputError(f"a picture of shape {picture.shape} cannot be written as PNG")
    content = encoded.tobytes()
    chunks = [_png_chunk(b"sRGB", b"\0")]
    for key, value in (text or {}).items():
        # Keyword, not compressed, no language, no translated keyword, then UTF-8.
        body = key.encode("latin-1") + b"\0\0\0\0\0" + value.encode("utf-8")
        chunks.append(_png_chunk(b"iTXt", body))
    return content[:_PNG_HEADER] + b"".join(chunks) + content[_PNG_HEADER:]


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
