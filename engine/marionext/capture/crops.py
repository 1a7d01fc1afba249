"""Square cut-outs of a picture, and the way back from their pixels to the picture's."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Crop", "cut_square"]

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

_SMALLEST = 32


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """A square cut out of a picture, black where it reaches beyond, perhaps reduced."""

    picture: Picture
    """(side, side, 3)."""
    left: int
    top: int
    scale: float
    """Pixels of the picture per pixel of the crop."""

    def to_picture(self, points: Floats) -> Floats:
        """Bring points from the crop's pixels to the picture's; further columns stay."""
        moved = points.copy()
        moved[:, :2] = points[:, :2] * self.scale + (self.left, self.top)
        return moved


def cut_square(picture: Picture, centre: Floats, side: float, most: int) -> Crop:
    """Cut out a square.

    Args:
        picture: (height, width, 3).
        centre: (2,): x, y in pixels; may lie outside.
        side: of the square in pixels.
        most: larger squares are reduced to this side, averaging areas.
    """
    height, width = picture.shape[:2]
    whole = int(max(side, _SMALLEST))
    left, top = int(centre[0] - whole / 2), int(centre[1] - whole / 2)
    right, bottom = min(left + whole, width), min(top + whole, height)
    inner_left, inner_top = max(left, 0), max(top, 0)
    square = np.zeros((whole, whole, 3), np.uint8)
    if right > inner_left and bottom > inner_top:
        square[inner_top - top : bottom - top, inner_left - left : right - left] = picture[
            inner_top:bottom, inner_left:right
        ]
    if whole > most:
        square = np.asarray(cv2.resize(square, (most, most), interpolation=cv2.INTER_AREA))
    return Crop(square, left, top, whole / len(square))
