"""A doll made ready to be drawn at one scale: textures, and colours for what no layer shows."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import SIDES, Anatomy, read_anatomy
from marionext.doll.canvas import Texture
from marionext.doll.filling import fill_smoothly
from marionext.doll.model import VIEWS, Doll
from marionext.doll.shapes import places

__all__ = ["BALL", "Costume"]

Floats = NDArray[np.floating[Any]]

BALL = 1.12
"""Radius of the ball that a head turns as, in the head's."""
_SKIN = np.array([200, 160, 140], np.float32)
"""Where no skin is seen at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Costume:
    """Textures of one doll."""

    body: Anatomy
    """The doll in its own picture."""
    textures: dict[tuple[str, str], Texture]
    """By part and view."""
    nape: Floats | None
    """(h, w, 3): the head's texture without its face, on the texture's own grid."""
    skin: dict[str, Floats]
    """(3,) colour of each side's hand."""
    rim: float
    """Light of outlines as a part of what is inside: below 1 where a character is drawn with dark
    lines."""
    hem: float | None

    @classmethod
    def of(cls, doll: Doll, scale: float) -> "Costume":
        """Make a doll's textures.

        Args:
            doll: the doll.
            scale: texels a pixel of its picture.
        """
        body = read_anatomy(doll.points, doll.scores)
        textures = {(layer.part, layer.view): Texture.of(layer, scale) for layer in doll.layers}
        head = _chosen(textures, "head", "")
        nape, cheek = (None, None) if head is None else _head_colours(head, body)
        return cls(
            body=body,
            textures=textures,
            nape=nape,
            skin=_skin(textures, body, cheek),
            rim=_rim(textures),
            hem=doll.hem,
        )

    def texture(self, part: str, view: str = "") -> Texture | None:
        """Return the texture of a part in a view, or in the one that there is."""
        return _chosen(self.textures, part, view)

    def has(self, part: str, view: str) -> bool:
        """Tell whether a part has a view of its own."""
        return (part, view) in self.textures


def _chosen(textures: dict[tuple[str, str], Texture], part: str, view: str) -> Texture | None:
    """Return the texture of a part in a view; where there is none, the picture's or the next."""
    for wanted in (view, "", *VIEWS.get(part, ())):
        if (found := textures.get((part, wanted))) is not None:
            return found
    return None


def _grid(texture: Texture) -> Floats:
    """Return the places of the texture's texels in the doll's picture: (h, w, 2)."""
    height, width = texture.seen.shape
    return np.asarray(places((0, 0, width, height)) / texture.scale + texture.corner, np.float32)


def _head_colours(texture: Texture, body: Anatomy) -> tuple[Floats, Floats | None]:
    """Return the head without a face, and the colour of its cheeks."""
    head = body.head
    flat = (_grid(texture) - head.centre) / (head.radius * BALL)
    near = np.sqrt(np.clip(1 - (flat * flat).sum(axis=-1), 0, 1))
    own = np.stack([flat[..., 0], -flat[..., 1], near], axis=-1) @ head.rotation
    alpha = texture.pixels[..., 3]
    face = (own[..., 2] > 0.1) & (own[..., 1] < 0.45) & (near > 0)
    chin = own[..., 1] < -0.55
    weight = ((alpha > 0.9) & ~face & ~chin).astype(np.float32)
    if weight.sum() < 8:
        weight = (alpha > 0.9).astype(np.float32)
    nape = fill_smoothly(texture.colours, weight) if weight.any() else texture.colours
    cheek = (own[..., 2] > 0.55) & (own[..., 1] < 0.05) & (own[..., 1] > -0.35) & (alpha > 0.9)
    if head.shows != "face" or cheek.sum() <= 3:
        return nape, None
    return nape, np.median(texture.colours[cheek], axis=0).astype(np.float32)


def _skin(
    textures: dict[tuple[str, str], Texture], body: Anatomy, cheek: Floats | None
) -> dict[str, Floats]:
    """Return the colour of each hand: its own, the other's, the face's."""
    found: dict[str, Floats] = {}
    for side, numbers in SIDES.items():
        for view in ("", "open", "closed"):
            texture = textures.get((f"{side}_hand", view))
            sure = body.scores[numbers.arm[2]] > 0.5 and body.scores[numbers.hand].mean() > 0.4
            if texture is None or side in found or not (sure or view):
                continue
            inner = texture.pixels[..., 3] > 0.95
            if inner.sum() > 6:
                found[side] = np.median(texture.colours[inner], axis=0).astype(np.float32)
    for side, other in (("right", "left"), ("left", "right")):
        if side not in found:
            found[side] = found.get(other, cheek if cheek is not None else _SKIN)
    return found


def _rim(textures: dict[tuple[str, str], Texture]) -> float:
    """Measure how dark the outlines of limbs are against what is inside."""
    ratios = []
    for (part, _), texture in textures.items():
        if not part.endswith(("arm", "thigh", "shin")):
            continue
        solid = ((texture.pixels[..., 3] > 0.9) & (texture.seen > 0.5)).astype(np.uint8)
        inner = cv2.erode(solid, np.ones((3, 3), np.uint8), iterations=2) > 0
        rim = (solid > 0) & ~(cv2.erode(solid, np.ones((3, 3), np.uint8)) > 0)
        if inner.sum() > 20 and rim.sum() > 20:
            light = texture.colours.mean(axis=-1)
            ratios.append((np.median(light[rim]) + 5) / (np.median(light[inner]) + 5))
    return float(np.clip(np.median(ratios), 0.4, 1.0)) if ratios else 1.0
