"""What a frame is drawn on, and the textures it is drawn with."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.model import PART_NAMES, Drawn, Layer

__all__ = ["Canvas", "Texture"]

Floats = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]
Box = tuple[int, int, int, int]

_INDEX = {name: index for index, name in enumerate(PART_NAMES)}


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """A layer made ready to be drawn at some scale."""

    pixels: Floats
    """(h, w, 4) RGB times alpha and alpha, colours of 255."""
    colours: Floats
    """(h, w, 3) RGB, continued beyond the outline."""
    seen: Floats
    """(h, w) 0 to 1: whether a colour was seen in the picture."""
    corner: tuple[float, float]
    scale: tuple[float, float]
    """Texels a pixel of the doll's picture."""
    share_seen: float
    """How much of it was seen in the picture, 0 to 1."""

    @classmethod
    def of(cls, layer: Layer, scale: float) -> "Texture":
        """Bring a layer to a scale; straight colours are kept for maps that outlines do not follow.

        Args:
            layer: of a doll.
            scale: texels a pixel of the doll's picture.
        """
        height, width = layer.pixels.shape[:2]
        alpha = layer.pixels[..., 3:].astype(np.float32) / 255
        colours: Floats = layer.pixels[..., :3].astype(np.float32)
        pixels: Floats = np.dstack([colours * alpha, alpha])
        seen: Floats = layer.seen.astype(np.float32) / 255
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        if size != (width, height):
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            pixels, colours, seen = (
                np.asarray(cv2.resize(array, size, interpolation=way), np.float32)
                for array in (pixels, colours, seen)
            )
            pixels[..., 3] = np.clip(pixels[..., 3], 0, 1)
            pixels[..., :3] = np.clip(pixels[..., :3], 0, 255 * pixels[..., 3:])
        return cls(
            np.ascontiguousarray(pixels),
            np.ascontiguousarray(colours),
            np.ascontiguousarray(np.clip(seen, 0, 1)),
            (float(layer.corner[0]), float(layer.corner[1])),
            (size[0] / width, size[1] / height),
            float((seen * pixels[..., 3]).sum() / max(float(pixels[..., 3].sum()), 1e-6)),
        )

    def texels(self, where: Floats) -> tuple[Floats, Floats]:
        """Return places in the doll's picture (h, w, 2) as OpenCV's coordinates of the texture."""
        return (
            np.asarray((where[..., 0] - self.corner[0]) * self.scale[0] - 0.5, np.float32),
            np.asarray((where[..., 1] - self.corner[1]) * self.scale[1] - 0.5, np.float32),
        )

    def take(self, array: Floats, where: Floats, *, beyond: bool = False) -> Floats:
        """Look up one of the texture's arrays; beyond its edge there is nothing, or the edge."""
        edge = cv2.BORDER_REPLICATE if beyond else cv2.BORDER_CONSTANT
        x, y = self.texels(where)
        return np.asarray(cv2.remap(array, x, y, cv2.INTER_LINEAR, borderMode=edge), np.float32)


class Canvas:
    """A frame that is being drawn, back to front."""

    def __init__(self, background: Floats, filled: Floats) -> None:
        """Begin with a background.

        Args:
            background: (h, w, 3) RGB of 255.
            filled: (h, w) 0 to 1: where it was filled in.
        """
        self.picture = background.copy()
        self._coverage = np.zeros(filled.shape, np.float32)
        self._validity = 1 - filled
        self._parts = np.zeros(filled.shape, np.uint8)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.picture.shape[:2]
        return int(width), int(height)

    def lay(self, part: str, box: Box, colours: Floats, alpha: Floats, valid: Floats) -> None:
        """Lay a piece over what is there.

        Args:
            part: of `PART_NAMES`.
            box: left, top, right, bottom.
            colours: (h, w, 3) already times alpha.
            alpha: (h, w).
            valid: (h, w) 0 to 1: whether colours were seen.
        """
        at = np.s_[box[1] : box[3], box[0] : box[2]]
        rest = 1 - alpha
        self.picture[at] *= rest[..., None]
        self.picture[at] += colours
        self._coverage[at] = 1 - (1 - self._coverage[at]) * rest
        self._validity[at] = self._validity[at] * rest + valid * alpha
        self._parts[at][alpha > 0.5] = _INDEX[part]

    def drawn(self) -> Drawn:
        """Return what is there."""
        return Drawn(
            np.clip(self.picture + 0.5, 0, 255).astype(np.uint8),
            self._coverage,
            self._validity,
            self._parts,
        )
