"""The character's picture: read, made upright and opaque, and checked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from marionext.errors import CharacterError

__all__ = ["SMALLEST_SIDE", "Character", "read_character"]

SMALLEST_SIDE = 64
"""Pixels; a smaller picture holds no character a model could copy."""


@dataclass(frozen=True, slots=True, eq=False)
class Character:
    """A picture as the model is to see it."""

    pixels: NDArray[np.uint8]
    """(height, width, 3) RGB."""
    notes: tuple[str, ...]
    """What was done to it, for people to read."""


def read_character(path: Path) -> Character:
    """Read a picture in any common format.

    The camera's EXIF rotation is applied; transparency is laid over white.

    Raises:
        CharacterError: no such file, not a picture, or a side below 64 pixels.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            picture: Image.Image = ImageOps.exif_transpose(opened)
    except FileNotFoundError:
        raise CharacterError(f"no such picture: {path}") from None
    except UnidentifiedImageError:
        raise CharacterError(
            f"{path} is not a picture that can be read",
            hint="Give a PNG, JPEG or WebP file.",
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CharacterError(f"{path} cannot be read: {error}") from None
    notes = []
    if min(picture.size) < SMALLEST_SIDE:
        width, height = picture.size
        raise CharacterError(
            f"the character's picture is at least {SMALLEST_SIDE} pixels wide and high, "
            f"got {width}x{height}: {path}"
        )
    if picture.mode == "I;16":
        # Pillow's own conversion clips 16-bit grey to white; keep its brightness instead.
        grey = np.asarray(picture, dtype=np.uint16) >> 8
        picture = Image.fromarray(grey.astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        if np.asarray(layer.getchannel("A")).min() < 255:
            notes.append("the character's picture is transparent in parts: laid over white")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, layer)
    return Character(np.asarray(picture.convert("RGB")).copy(), tuple(notes))
