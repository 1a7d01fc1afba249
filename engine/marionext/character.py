"""The character's picture: read, made upright and opaque, checked, and where it lies in a frame."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from marionext.errors import CharacterError
from marionext.files import open_file, reading

__all__ = [
    "MOST_PIXELS",
    "SMALLEST_SIDE",
    "Character",
    "crop_geometry",
    "read_character",
    "read_mask",
]

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
    mask: NDArray[np.uint8] | None = None
    """(height, width), 255 where the picture is opaque; None: everywhere."""


def read_character(path: Path, *, what: str = "the character's picture") -> Character:
    """Read a picture in any common format.

    The camera's EXIF rotation is applied; transparency is laid over white.

    Args:
        path: of the file.
        what: it is, for messages.

    Raises:
        CharacterError: no such file, not a picture, or a side below 64 pixels.
    """
    with reading(
        path, CharacterError, "a picture that can be read", hint="Give a PNG, JPEG or WebP file."
    ):
        return _read(path, what)


def _read(path: Path, what: str) -> Character:
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
            f"{what} is at least {SMALLEST_SIDE} pixels wide and high, got {width}x{height}: {path}"
        )
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture = _in_eight_bits(picture, path)
    mask = None
    if "A" in picture.getbands() or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        opaque = np.asarray(layer.getchannel("A"))
        if opaque.min() < 255:
            notes.append(f"{what} is transparent in parts: laid over white")
            mask = opaque.copy()
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, layer)
    return Character(np.asarray(picture.convert("RGB")).copy(), tuple(notes), mask)


def read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read the picture that says which pixels of a character's picture are the figure.

    Args:
        path: of a grey picture: white is the figure, black is not; or one that is transparent
            around the figure.
        size: width and height of the character's picture.

    Returns:
        (height, width), 255 where the figure is.

    Raises:
        CharacterError: no such file, not a picture, or of another size.
    """
    with reading(path, CharacterError, "a mask that can be read", hint="Give a grey PNG."):
        picture = _read(path, "the mask")
        # Painting programs leave out what is not the figure, rather than making it black.
        mask = picture.pixels.max(axis=2) if picture.mask is None else picture.mask
    found = mask.shape[1], mask.shape[0]
    if found != size:
        raise CharacterError(
            f"expected a mask of {size[0]}x{size[1]}, as the character's picture is, got "
            f"{found[0]}x{found[1]}: {path}",
            hint="Save the mask in the picture's size: white is the figure, black is not.",
        )
    return mask


def crop_geometry(
    width: int, height: int, size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return how a picture is resized to cover a frame, and where it is cut out.

    Sizes and rounding are those of the reference implementation. Here and not with the networks'
    resizing (`marionext.diffusion.cropping`), since dolls cover frames likewise, without torch.

    Args:
        width: of the picture, in pixels.
        height: of the picture.
        size: width and height of the frame.

    Returns:
        Width and height to resize to; left and top of the crop.
    """
    frame_width, frame_height = size
    ratio = height / width
    if ratio < frame_height / frame_width:
        resized = (int(np.ceil(frame_height / ratio)), frame_height)
    else:
        resized = (frame_width, int(np.ceil(frame_width * ratio)))
    # Python's round takes halves to the even number, as the reference does.
    corner = (round((resized[0] - frame_width) / 2), round((resized[1] - frame_height) / 2))
    return resized, corner


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
