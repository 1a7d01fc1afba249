"""Single pictures as files: read with all that a painter may have left in them, and written."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

from marionext.errors import JobError, SettingsError
from marionext.files import is_cut_off, open_file, read_bytes, reading
from marionext.limits import STILL_PIXELS
from marionext.output.png import encode_png

__all__ = ["READABLE", "WRITABLE", "Still", "encode_still", "read_still", "still_size"]

READABLE = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Endings of the names of pictures."""
WRITABLE = frozenset({".jpeg", ".jpg", ".png", ".webp"})

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24
"""Where a PNG says how many bits a channel has."""
_DEEP = 65535
_LYING = frozenset({5, 6, 7, 8})
"""Orientations in which a camera was held on its side."""


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A picture of 8 bits, upright, its colours sRGB."""

    pixels: NDArray[np.uint8]
    """(height, width, 3) RGB."""
    alpha: NDArray[np.uint8] | None = None
    """(height, width), 255 where it is opaque; None: everywhere."""
    notes: tuple[str, ...] = ()
    """What of the file is not in it, for people to read."""


def read_still(path: Path) -> Still:
    """Read a picture.

    Raises:
        JobError: no such file, not a picture, cut off, or too large.
    """
    with reading(path, JobError, "a picture", hint="Give a PNG, JPEG, WebP, TIFF or BMP file."):
        return _read(path)


def still_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture as it is shown, by its header.

    Raises:
        JobError: no such file, or not a picture.
    """
    with (
        reading(path, JobError, "a picture", hint="Give a PNG, JPEG, WebP, TIFF or BMP file."),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with open_file(path) as file, Image.open(file) as opened:
            width, height = opened.size
            lies = opened.getexif().get(ExifTags.Base.Orientation, 1) in _LYING
    return (height, width) if lies else (width, height)


def _read(path: Path) -> Still:
    content = read_bytes(path)
    if is_cut_off(content):
        raise JobError(f"{path} is cut off", hint="Make it again, or copy it again.")
    notes = []
    with warnings.catch_warnings():
        # Pillow warns of what it takes for an attack; the limit here is ours.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content)) as opened:
            width, height = opened.size
            if width * height > STILL_PIXELS:
                raise JobError(
                    f"expected a picture of at most {STILL_PIXELS // 1_000_000} megapixels, "
                    f"{path} has {width}x{height}"
                )
            opened.load()
            picture: Image.Image = ImageOps.exif_transpose(opened)
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture, deep = _in_eight_bits(picture, path), True
    else:
        deep = content.startswith(_PNG) and content[_PNG_DEPTH] > 8
    if deep:
        notes.append(f"{path.name} has more than 8 bits a channel: what is made of it has 8")
    alpha = None
    if "A" in picture.getbands() or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        alpha = np.asarray(layer.getchannel("A")).copy()
        if alpha.min() == 255:
            alpha = None
    profile = picture.info.get("icc_profile")
    colours = picture.convert("RGB") if picture.mode != "CMYK" or not profile else picture
    if profile and (converted := _in_srgb(colours, profile)) is not None:
        colours, name = converted
        if name:
            notes.append(f"{path.name}: its colours, {name}, are converted to sRGB")
    return Still(np.asarray(colours.convert("RGB")).copy(), alpha, tuple(notes))


def _in_eight_bits(picture: Image.Image, path: Path) -> Image.Image:
    """Return a grey picture of more bits at its own brightness; Pillow would clip it to white."""
    grey = np.asarray(picture, dtype=np.float64)
    full = 1.0 if picture.mode == "F" and grey.max(initial=0) <= 1 else float(_DEEP)
    if not np.isfinite(grey).all() or grey.min(initial=0) < 0 or grey.max(initial=0) > full:
        raise JobError(
            f"expected grey values from 0 to {_DEEP} in {path}",
            hint="Save it as a PNG of 8 or 16 bits.",
        )
    return Image.fromarray((grey / full * 255).round().astype(np.uint8))


def _in_srgb(picture: Image.Image, profile: bytes) -> tuple[Image.Image, str] | None:
    """Return a picture in sRGB, and the name of its profile if that was another.

    None: the profile cannot be used, and is left out as most programs do.
    """
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(own).strip()
        if "srgb" in name.lower():
            return picture, ""
        made = ImageCms.profileToProfile(
            picture, own, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if made is None else (made, name)


def encode_still(pixels: NDArray[np.uint8], suffix: str) -> bytes:
    """Return a picture as a file.

    Args:
        pixels: (height, width, 3), or 4 with alpha, which JPEG has not: it is laid over white.
        suffix: one of `WRITABLE`. WebP is without loss, JPEG nearly.

    Raises:
        SettingsError: no other form of pictures is written.
    """
    suffix = suffix.lower()
    if suffix == ".png":
        return encode_png(pixels)
    if suffix not in WRITABLE:
        raise SettingsError(
            f"expected the name of a picture with {', '.join(sorted(WRITABLE))}, got {suffix!r}"
        )
    picture = Image.fromarray(pixels)
    content = io.BytesIO()
    if suffix == ".webp":
        picture.save(content, "WEBP", lossless=True, quality=25, method=2)
    else:
        if pixels.shape[2] == 4:
            white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
            picture = Image.alpha_composite(white, picture).convert("RGB")
        picture.save(content, "JPEG", quality=95, subsampling=0)
    return content.getvalue()
