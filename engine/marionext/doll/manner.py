"""How a character is painted: in flat colours, as cartoons are, or with a photograph's grain."""

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.model import Doll, Layer

__all__ = ["is_flat"]

HEIGHT = 512
"""Height in pixels at which a character's picture is looked at, if it is larger."""
EVEN = 4
"""Neighbours of one colour differ by this at most, of 255: what is left of drawings in JPEG files
differs by less, skin and cloth in photographs by more."""
SHARE = 0.45
"""Share of a character's pixels that lie among their own colour, from which on it is flat. Drawn
figures have 0.75 to 0.86, photographs 0.05 to 0.16."""


def is_flat(doll: Doll) -> bool:
    """Tell whether a character is drawn in flat colours."""
    shrink = min(1.0, HEIGHT / doll.size[1])
    even = [_even(layer, shrink) for layer in doll.layers]
    pixels = np.concatenate(even) if even else np.zeros(0, bool)
    return bool(len(pixels) and pixels.mean() >= SHARE)


def _even(layer: Layer, shrink: float) -> NDArray[np.bool_]:
    """Return for each pixel that was seen whether those around it have its colour."""
    height, width = layer.pixels.shape[:2]
    size = max(round(width * shrink), 1), max(round(height * shrink), 1)
    colours, seen = layer.pixels[..., :3], np.minimum(layer.pixels[..., 3], layer.seen)
    if size != (width, height):
        colours = cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
        seen = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
    square = np.ones((3, 3), np.uint8)
    spread = np.asarray(cv2.subtract(cv2.dilate(colours, square), cv2.erode(colours, square)))
    inside = cv2.erode(seen, np.ones((5, 5), np.uint8), borderValue=0) == 255
    return np.asarray(spread.max(axis=-1)[inside] <= EVEN)
