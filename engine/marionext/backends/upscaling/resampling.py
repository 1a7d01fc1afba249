"""Interpolation: nothing is invented, and nothing has to be loaded."""

from collections.abc import Mapping

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from marionext.backends.upscaling.base import OnPart, Upscaler

__all__ = ["Resampler"]

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Cubic convolution with a = -0.5, the yardstick of the literature, and Lanczos with 3 lobes."""


class Resampler(Upscaler):
    """One of `marionext.settings.INTERPOLATIONS`."""

    def __init__(self, name: str, by: int) -> None:
        self.by = by
        self._filter = _FILTERS[name]

    @property
    def computed(self) -> Mapping[str, str]:
        """See `Upscaler`."""
        return {}

    @property
    def versions(self) -> Mapping[str, str]:
        """See `Upscaler`."""
        return {"pillow": PIL.__version__}

    def enlarge(self, picture: NDArray[np.uint8], on_part: OnPart) -> NDArray[np.uint8]:
        """Return a larger picture; see `Upscaler`. A channel alone, (height, width), will do."""
        height, width = picture.shape[:2]
        size = (width * self.by, height * self.by)
        made = Image.fromarray(picture).resize(size, self._filter)
        on_part(1, 1)
        return np.asarray(made)
