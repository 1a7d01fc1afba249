"""Bring a picture to a frame's size: resized to cover it, the middle cut out.

Sizes and rounding follow the reference implementation to the bit.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from marionext.character import crop_geometry
from marionext.errors import CharacterError

__all__ = ["fit_character"]


def fit_character(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a picture so that it covers the frame, and cut out the middle.

    Args:
        picture: (h, w, 3) RGB, already turned as its camera meant it.
        size: width and height of the frame.

    Returns:
        (height, width, 3) RGB.

    Raises:
        CharacterError: the picture is not (h, w, 3) of 8 bits.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise CharacterError(
            f"expected a picture of shape (h, w, 3) and 8 bits, got {picture.shape} {picture.dtype}"
        )
    height, width = picture.shape[:2]
    (to_width, to_height), (left, top) = crop_geometry(width, height, size)
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
    resized = F.interpolate(
        pixels, size=(to_height, to_width), mode="bilinear", align_corners=False, antialias=False
    )
    cut = resized[0, :, top : top + size[1], left : left + size[0]].round()
    return np.ascontiguousarray(cut.clamp(0, 255).byte().permute(1, 2, 0).numpy())
