"""The character's picture: read, made upright and opaque, and checked."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from marionext.errors import CharacterError
from marionext.files import open_file, reading

__all__ = ["MOST_PIXELS", "SMALLEST_SIDE", "Character", "read_character"]

SMALLEST_SIDE = 64
"""Pixels; a smaller picture holds no character a model could copy."""
MOST_PIXELS = 100_000_000
"""A larger picture would take gigabytes to read."""
_LARGEST_GREY = 65535


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
    with reading(
        path, CharacterError, "a picture that can be read", hint="Give a PNG, JPEG or WebP file."
    ):
        return _read(path)


def _read(path: Path) -> Character:
    try:
        with warnings.catch_warnings():
            # Pillow warns of what it takes for an attack from 89 megapixels on; ours is the limit.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_file(path) as file, Image.open(file) as opened:
                _refuse_gigantic(path, opened.size)
                opened.load()
                picture: Image.Image = ImageOps.exif_transpose(opened)
    except FileNotFoundError:
        raise CharacterError(f"no such picture: {path}") from None
    except UnidentifiedImageError:  # Pillow's own words would name the file as Python sees it
        raise CharacterError(
            f"{path} is not a picture that can be read", hint="Give a PNG, JPEG or WebP file."
        ) from None
    except Image.DecompressionBombError:
        raise _gigantic(path, "far more pixels") from None
    notes = []
    if min(picture.size) < SMALLEST_SIDE:
        width, height = picture.size
        raise CharacterError(
            f"the character's picture is at least {SMALLEST_SIDE} pixels wide and high, "
            f"got {width}x{height}: {path}"
        )
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture = _in_eight_bits(picture, path)
    if "A" in picture.getbands() or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        if np.asarray(layer.getchannel("A")).min() < 255:
            notes.append("the character's picture is transparent in parts: laid over white")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, layer)
    return Character(np.asarray(picture.convert("RGB")).copy(), tuple(notes))


def _in_eight_bits(picture: Image.Image, path: Path) -> Image.Image:
    """Return a grey picture of more bits at its own brightness; Pillow would clip it to white.

    Raises:
        CharacterError: its numbers are none that stand for a brightness.
    """
    grey = np.asarray(picture, dtype=np.float64)
    finite = grey[np.isfinite(grey)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    if finite.size < grey.size or low < 0 or high > _LARGEST_GREY:
        raise CharacterError(
            f"expected grey values from 0 to {_LARGEST_GREY} in {path}, found {low:g} to {high:g}",
            hint="Save it as a PNG of 8 or 16 bits.",
        )
    # Floating point from 0 to 1, or whole numbers of 16 bits; a PNG of 8 bits is none of these.
    full = 1.0 if picture.mode == "F" and high <= 1 else float(_LARGEST_GREY)
    return Image.fromarray((grey / full * 255).round().astype(np.uint8))


def _refuse_gigantic(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise _gigantic(path, f"{size[0]}x{size[1]}")


def _gigantic(path: Path, found: str) -> CharacterError:
    return CharacterError(
        f"expected a picture of at most {MOST_PIXELS // 1_000_000} megapixels, {path} has {found}",
        hint="Make it smaller: a render takes a few megapixels at most.",
    )
