"""Read animated WebP, PNG and GIF files: pictures that each say how long they are shown.

Pillow reads them, since it gives their own durations in milliseconds and knows all three;
FFmpeg's demuxers give WebP no time at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from marionext.errors import MotionError

__all__ = ["SUFFIXES", "Animation", "is_animation"]

SUFFIXES = frozenset({".webp", ".png", ".apng", ".gif"})
"""Of the files that may be animated."""

_UNSAID = 100
"""Milliseconds that a picture is shown that does not say how long, as browsers have it."""
_TICKS = {".gif": Fraction(1, 100), ".webp": Fraction(1, 1000)}
"""Seconds that a format counts in; PNG has fractions."""


def is_animation(path: str | Path) -> bool:
    """Tell whether a file is a WebP, PNG or GIF with more than one picture."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    try:
        with Image.open(path) as image:
            return _count(image) > 1
    except (OSError, SyntaxError, UnidentifiedImageError):
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


def _pictures(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            # An animated PNG may hold a picture for programs that show no animation.
            hidden = bool(image.info.get("default_image"))
            for index in range(int(hidden), int(getattr(image, "n_frames", 1))):
                image.seek(index)
                image.load()
                yield image
    except (OSError, EOFError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise MotionError(
            f"{path.name} cannot be read as an animated picture: {error}",
            hint="Copy or export it again.",
        ) from error
