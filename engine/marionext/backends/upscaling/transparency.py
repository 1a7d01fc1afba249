"""Pictures that are transparent in parts, made larger without a fringe of what nobody saw."""

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.backends.upscaling.base import OnPart, Upscaler
from marionext.backends.upscaling.resampling import Resampler

__all__ = ["enlarge"]

_REACH = 4.0
"""Pixels over which colours spread into what is transparent."""


def enlarge(
    upscaler: Upscaler,
    pixels: NDArray[np.uint8],
    alpha: NDArray[np.uint8] | None,
    on_part: OnPart,
) -> NDArray[np.uint8]:
    """Return a larger picture, with alpha where there was some.

    Alpha is interpolated: no network was made for it. The colours of what is wholly transparent
    are those of its neighbours meanwhile, since whatever a program left there, black mostly, would
    show along the figure's outline.

    Args:
        upscaler: makes the colours larger.
        pixels: (height, width, 3) RGB.
        alpha: (height, width); None: all of it is opaque.
        on_part: told how far it is.

    Returns:
        (by * height, by * width, 3 or 4).
    """
    if alpha is None:
        return upscaler.enlarge(pixels, on_part)
    made = upscaler.enlarge(_filled(pixels, alpha), on_part)
    mask = Resampler("bicubic", upscaler.by).enlarge(alpha, lambda *_: None)
    return np.dstack([made, mask])


def _filled(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    seen = (alpha > 0).astype(np.float32)
    near = cv2.GaussianBlur(seen, (0, 0), _REACH)
    colours = cv2.GaussianBlur(pixels * seen[..., None], (0, 0), _REACH)
    spread = colours / np.maximum(near, 1e-6)[..., None]
    taken = (alpha == 0) & (near > 1e-3)
    return np.where(taken[..., None], np.rint(spread), pixels).astype(np.uint8)
