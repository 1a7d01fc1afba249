"""Read animated WebP, PNG and GIF files: pictures that each say how long they are shown.

Pillow reads them, since it gives their own durations in milliseconds and knows all three;
FFmpeg's demuxers give WebP no time at all.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from marionext.errors import MotionError
from marionext.files import open_file, reading
from marionext.limits import FRAMES, VIDEO_PIXELS

__all__ = ["SUFFIXES", "Animation", "is_animation"]

SUFFIXES = frozenset({".webp", ".png", ".apng", ".gif"})
"""Of the files that may be animated."""

_UNSAID = 100
"""Milliseconds that a picture is shown that does not say how long, as browsers have it."""
_ALL_PIXELS, _PER_BYTE = 1_000_000_000, 100
"""Of all pictures together: so many, or so many for each byte of a larger file."""
_TICKS = {".gif": Fraction(1, 100), ".webp": Fraction(1, 1000)}
"""Seconds that a format counts in; PNG has fractions."""


def is_animation(path: str | Path) -> bool:
    """Tell whether a file is a WebP, PNG or GIF with more than one picture."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    try:
        with reading(path, MotionError, "a picture"), _opened(path) as image:
            return _count(image) > 1
    except MotionError:
        return False


@dataclass(frozen=True, slots=True)
class Animation:
    """An animated picture file."""

    path: Path
    size: tuple[int, int]
    times: tuple[Fraction, ...]
    """Seconds from the first picture at which each is shown."""
    last: Fraction
    """Seconds that the last one is shown."""

    @property
    def tick(self) -> Fraction:
        """Seconds that its times are rounded to."""
        return _TICKS.get(self.path.suffix.lower(), Fraction(1, 1_000_000))

    @classmethod
    def open(cls, path: str | Path) -> "Animation":
        """Read through an animation.

        Raises:
            MotionError: it cannot be read.
        """
        path = Path(path)
        times, now, shown = [], Fraction(0), Fraction(0)
        size = (0, 0)
        for image in _pictures(path):
            size = image.size
            milliseconds = image.info.get("duration", 0) or _UNSAID
            shown = Fraction(milliseconds).limit_denominator(1000) / 1000
            times.append(now)
            now += shown
        return cls(path, size, tuple(times), shown)

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """Decode one picture after the other: (height, width, 3) RGB, laid over black.

        Raises:
            MotionError: one cannot be read.
        """
        for image in _pictures(self.path):
            shown = image.convert("RGBA")
            ground = Image.new("RGBA", shown.size, "black")
            yield np.asarray(Image.alpha_composite(ground, shown).convert("RGB"))


def _count(image: Image.Image) -> int:
    hidden = bool(image.info.get("default_image"))
    return int(getattr(image, "n_frames", 1)) - hidden


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        # Pillow warns of what it takes for an attack; `VIDEO_PIXELS` is the limit here.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with open_file(path) as file, Image.open(file) as image:
            yield image


def _pictures(path: Path) -> Iterator[Image.Image]:
    with reading(path, MotionError, "an animated picture"), _opened(path) as image:
        width, height = image.size
        if width * height > VIDEO_PIXELS:
            raise MotionError(
                f"expected an animation of at most {VIDEO_PIXELS // 1_000_000} megapixels a "
                f"picture, {path.name} has {width}x{height}",
                hint="Make it smaller.",
            )
        count = int(getattr(image, "n_frames", 1))
        if count > FRAMES or count * width * height > max(_ALL_PIXELS, _PER_BYTE * _size(path)):
            raise MotionError(
                f"expected an animation of at most {FRAMES:,} pictures and "
                f"{_ALL_PIXELS // 1_000_000:,} megapixels in all, {path.name} has {count:,} "
                f"of {width}x{height}",
                hint="Make it smaller, or a video of it.",
            )
        # An animated PNG may hold a picture for programs that show no animation.
        hidden = bool(image.info.get("default_image"))
        for index in range(int(hidden), count):
            image.seek(index)
            image.load()
            yield image


def _size(path: Path) -> int:
    return path.stat().st_size
