"""Smooth a map along the edges of a picture (guided filter: He, Sun and Tang 2010)."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["GuidedFilter"]

Floats = NDArray[np.float32]


class GuidedFilter:
    """Smooths maps so that their edges are where a picture's are.

    Around each pixel the map is taken for a linear function of the picture's colours.
    """

    def __init__(self, picture: NDArray[np.uint8], radius: int, sharp: float = 1e-3) -> None:
        """Reckon what depends on the picture alone.

        Args:
            picture: (h, w, 3) RGB.
            radius: of the neighbourhood in pixels.
            sharp: variance of colours (of 1) that counts as an edge.
        """
        self._window = (2 * radius + 1, 2 * radius + 1)
        self._guide = picture.astype(np.float32) / 255
        self._mean = self._box(self._guide)
        products = self._guide[..., :, None] * self._guide[..., None, :]
        height, width = picture.shape[:2]
        products = self._box(products.reshape(height, width, 9)).reshape(height, width, 3, 3)
        spread = products - self._mean[..., :, None] * self._mean[..., None, :]
        self._inverse = np.linalg.inv(spread + sharp * np.eye(3, dtype=np.float32))

    def _box(self, values: Floats) -> Floats:
        if values.ndim == 3 and values.shape[2] > 4:
            layers = [self._box(values[..., k]) for k in range(values.shape[2])]
            return np.stack(layers, axis=-1)
        return np.asarray(
            cv2.boxFilter(values, cv2.CV_32F, self._window, borderType=cv2.BORDER_REFLECT)
        )

    def __call__(self, values: Floats) -> Floats:
        """Smooth a map (h, w)."""
        mean = self._box(values)
        together = self._box(self._guide * values[..., None]) - self._mean * mean[..., None]
        slope = np.einsum("hwij,hwj->hwi", self._inverse, together).astype(np.float32)
        rest = mean - (slope * self._mean).sum(axis=-1)
        return np.asarray(
            (self._box(slope) * self._guide).sum(axis=-1) + self._box(rest), np.float32
        )
