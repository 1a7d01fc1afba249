"""Pose maps of small pictures: drafts, and the built-in model's.

A pose map's strokes are 1/270 of the short side wide, half a pixel at 128: resized directly from
the drawing canvas, limbs would break into dots. Small maps are therefore drawn at the least
multiple of their size with a short side of 512 or more, and averaged down. From 512 on the map is
the drawer's own. The built-in model is trained on maps from here.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.posemap.draw import Drawer

__all__ = ["SmallDrawer"]

LEAST_SIDE = 512


class SmallDrawer:
    """Draws pose maps of one size; not for two threads at once."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Prepare to draw maps of ``size`` (width, height)."""
        self.size = size
        factor = max(1, -(-LEAST_SIDE // min(size)))
        self._drawer = Drawer((size[0] * factor, size[1] * factor))

    def draw(
        self,
        points: NDArray[np.floating],
        scores: NDArray[np.floating],
        source_size: tuple[int, int],
    ) -> NDArray[np.uint8]:
        """Draw the map of one frame.

        Args:
            points: (people, 134, 2) in pixels of a picture of ``source_size``.
            scores: (people, 134).
            source_size: width and height of the picture the points lie in.

        Returns:
            (height, width, 3) red, green, blue.
        """
        large = self._drawer.draw(points, scores, source_size)
        if self._drawer.size == self.size:
            return large
        return np.asarray(cv2.resize(large, self.size, interpolation=cv2.INTER_AREA), np.uint8)
