"""How alike two pictures are, as a number: what a wipe shows to the eye."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

__all__ = ["peak_signal_to_noise"]

_SIDE = 256
"""Pixels of the longer side that are compared: every so manieth one, which is quick and enough."""


def peak_signal_to_noise(one: QImage, other: QImage) -> float | None:
    """Return the peak signal-to-noise ratio in decibels, infinite for equal pictures.

    Returns:
        None where the pictures are of different sizes: they cannot be compared.
    """
    if one.size() != other.size() or one.isNull():
        return None
    first, second = _pixels(one), _pixels(other)
    error = float(np.square(first - second).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255.0**2 / error))


def _pixels(image: QImage) -> NDArray[np.float32]:
    """Return red, green and blue at a small size: (height, width, 3)."""
    way = Qt.TransformationMode.FastTransformation
    if max(image.width(), image.height()) > _SIDE:
        image = image.scaled(_SIDE, _SIDE, Qt.AspectRatioMode.KeepAspectRatio, way)
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    pixels = rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3)
    return pixels.astype(np.float32)
