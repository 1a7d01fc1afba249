"""The shadow under the feet: found in the character's picture, drawn where the feet are."""

import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import Anatomy
from marionext.doll.model import Shadow
from marionext.doll.shapes import places

__all__ = ["draw_shadow", "shadow_place"]

Floats = NDArray[np.float32]

_TALL = 0.055
"""Half a shadow's height in statures."""


def shadow_place(anatomy: Anatomy) -> tuple[Floats, float, float] | None:
    """Return the middle (2,), half the width and half the height of a shadow, in pixels.

    None where the feet are not seen.
    """
    feet = [k for k in (10, 13, 18, 21) if anatomy.scores[k] > 0.2]
    if len(feet) < 2:
        return None
    points, stature = anatomy.points, anatomy.stature
    lowest = float(points[[*feet, 20, 23, 10, 13], 1].max())
    spread = float(np.ptp(points[feet, 0]))
    place = np.array([points[feet, 0].mean(), lowest], np.float32)
    return place, 0.12 * stature + 0.55 * spread, _TALL * stature


def draw_shadow(picture: Floats, anatomy: Anatomy, shadow: Shadow) -> None:
    """Darken the floor under the feet, in place: (h, w, 3)."""
    spot = shadow_place(anatomy)
    if spot is None:
        return
    place, wide, _ = spot
    tall = shadow.tall * anatomy.stature
    height, width = picture.shape[:2]
    left, right = max(int(place[0] - wide), 0), min(int(place[0] + wide + 2), width)
    top, bottom = max(int(place[1] - tall), 0), min(int(place[1] + tall + 2), height)
    if left >= right or top >= bottom:
        return
    away = (places((left, top, right, bottom)) - place) / (wide, tall)
    inside = np.clip(1 - (away * away).sum(axis=-1), 0, 1)
    picture[top:bottom, left:right] *= (1 - (1 - shadow.light) * inside * 1.1)[..., None]
