"""Which size each picture is learned at, and what that cuts off."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.backends.pictures.families import nearest_bucket, rounded
from marionext.character import crop_geometry
from marionext.errors import CharacterError

__all__ = ["Frame", "frame_of"]

MOST_ENLARGED = 2.0
"""Times; a smaller picture would teach how enlarged pictures look."""
WORTH_A_WORD = 1.05
"""Times that a picture is enlarged from which on it is said."""


@dataclass(frozen=True, slots=True)
class Frame:
    """How a picture is brought to the size it is learned at."""

    original: tuple[int, int]
    """Width and height of the picture."""
    resized: tuple[int, int]
    corner: tuple[int, int]
    """Left and top of what is cut out of it then."""
    size: tuple[int, int]
    """Width and height of that."""

    @property
    def enlarged(self) -> float:
        """How many times as large the picture becomes."""
        return self.resized[0] / self.original[0]

    @property
    def lost(self) -> float:
        """Share of the picture that is cut off."""
        return 1 - self.size[0] * self.size[1] / (self.resized[0] * self.resized[1])

    @property
    def conditions(self) -> tuple[int, ...]:
        """What Stable Diffusion XL is told: original height, width; top, left; height, width."""
        return (*self.original[::-1], *self.corner[::-1], *self.size[::-1])

    def cut(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the part that is learned from: (height, width, 3)."""
        method = cv2.INTER_AREA if self.enlarged < 1 else cv2.INTER_CUBIC
        resized = pixels
        if self.resized != self.original:
            resized = np.asarray(cv2.resize(pixels, self.resized, interpolation=method), np.uint8)
        (left, top), (width, height) = self.corner, self.size
        return np.ascontiguousarray(resized[top : top + height, left : left + width])


def frame_of(
    original: tuple[int, int], size: tuple[int, int], step: int, *, buckets: bool
) -> Frame:
    """Choose a size for a picture: of as many pixels as wanted, in the shape nearest to its own.

    Args:
        original: width and height of the picture.
        size: width and height that are wanted.
        step: what the base's sizes are multiples of.
        buckets: whether other shapes than the wanted one are allowed.

    Raises:
        CharacterError: the picture is too small.
    """
    side = math.ceil(math.sqrt(size[0] * size[1]))
    wanted = rounded(nearest_bucket(side, original) if buckets else size, step)
    resized, corner = crop_geometry(*original, wanted)
    frame = Frame(original, resized, corner, wanted)
    if frame.enlarged > MOST_ENLARGED:
        raise CharacterError(
            f"{original[0]}x{original[1]} pixels would be enlarged {frame.enlarged:.1f} times to "
            f"{wanted[0]}x{wanted[1]}, at most {MOST_ENLARGED:g} times is learned from",
            hint="Take a larger picture, or a smaller --size.",
        )
    return frame
