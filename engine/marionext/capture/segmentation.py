"""Which pixels of a picture are a person, as MediaPipe's body network sees it: no outline."""

import numpy as np
from numpy.typing import NDArray

from marionext.capture.landmarkers import BodySegmenter

__all__ = ["segment_person"]

_LARGEST_SIDE = 1024
"""Pixels of a picture that the network is shown; it looks at 256 of them in the end."""


def segment_person(picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Return how surely each pixel is the person that is seen best.

    Args:
        picture: (height, width, 3) RGB.

    Returns:
        (height, width) from 0 to 1, or None where nobody is found.

    Raises:
        ModelError: the detector's networks are missing or damaged.
        DeviceError: the detector cannot be loaded on this machine.
    """
    import cv2  # noqa: PLC0415 - reading videos needs no OpenCV

    from marionext.capture.models import locate_models  # noqa: PLC0415 - it is a program, too

    height, width = picture.shape[:2]
    scale = min(1.0, _LARGEST_SIDE / max(height, width))
    shown = picture
    if scale < 1:
        small = max(1, round(width * scale)), max(1, round(height * scale))
        shown = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
    with BodySegmenter(locate_models().body) as segmenter:
        mask = segmenter.segment(shown)
    if mask is None or scale == 1:
        return mask
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR))
