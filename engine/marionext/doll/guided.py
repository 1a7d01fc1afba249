"""Smooth a map along the edges of a picture (guided filter: He, Sun and Tang 2010)."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["GuidedFilter"]

Floats = NDArray[np.floating[Any]]


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
        pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
        a, b, c, d, e, f = (
            self._box(self._guide[..., i] * self._guide[..., j])
            - self._mean[..., i] * self._mean[..., j]
            + (sharp if i == j else 0.0)
            for i, j in pairs
        )
        # The inverse of the symmetric matrix ((a, b, c), (b, d, e), (c, e, f)).
        inverse = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e)
        self._inverse = (*inverse, a * d - b * b)
        self._whole = a * inverse[0] + b * inverse[1] + c * inverse[2]

    def _box(self, values: Floats) -> Floats:
        return np.asarray(
            cv2.boxFilter(values, cv2.CV_32F, self._window, borderType=cv2.BORDER_REFLECT)
        )

    def __call__(self, values: Floats) -> Floats:
        """Smooth a map (h, w)."""
        slope, rest = self._line(values)
        return np.asarray((slope * self._guide).sum(axis=-1) + rest, np.float32)

    def enlarged(self, values: Floats, picture: NDArray[np.uint8]) -> Floats:
        """Smooth a map along the edges of the same picture at a larger size: (H, W).

        The linear functions are found at the small size (He and Sun 2015).
        """
        size = (picture.shape[1], picture.shape[0])
        slope, rest = (
            cv2.resize(part, size, interpolation=cv2.INTER_LINEAR) for part in self._line(values)
        )
        guide = picture.astype(np.float32) / 255
        return np.asarray((slope * guide).sum(axis=-1) + rest, np.float32)

    def _line(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the linear function of colours around each pixel: (h, w, 3) and (h, w)."""
        mean = self._box(values)
        together = self._box(self._guide * values[..., None]) - self._mean * mean[..., None]
        p, q, r, s, t, u = self._inverse
        x, y, z = together[..., 0], together[..., 1], together[..., 2]
        slope = np.stack(
            [p * x + q * y + r * z, q * x + s * y + t * z, r * x + t * y + u * z], axis=-1
        )
        slope /= self._whole[..., None]
        rest = mean - (slope * self._mean).sum(axis=-1)
        return self._box(slope.astype(np.float32)), self._box(rest.astype(np.float32))
