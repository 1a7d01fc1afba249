"""What the engine needs of a way to make pictures larger."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["OnPart", "Upscaler"]

OnPart = Callable[[int, int], None]
"""Told the parts of a picture that are done and all of them; may raise to stop."""


class Upscaler(ABC):
    """Makes pictures larger, each by itself: equal pictures give equal results."""

    by: int
    """Factor of both sides."""

    @property
    @abstractmethod
    def computed(self) -> Mapping[str, str]:
        """How, as far as that changes bits: ``device``, ``dtype``, ``tile``; none: nothing does."""

    @property
    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """The versions of the libraries that compute it."""

    @abstractmethod
    def enlarge(self, picture: NDArray[np.uint8], on_part: OnPart) -> NDArray[np.uint8]:
        """Return a larger picture.

        Args:
            picture: (height, width, 3) RGB.
            on_part: told how far it is.

        Returns:
            (by * height, by * width, 3) RGB.

        Raises:
            DeviceError: the device ran out of memory.
            ModelError: what the network made is no picture.
        """
