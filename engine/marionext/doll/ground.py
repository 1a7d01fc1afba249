"""The shadow under the feet: found in the character's picture, drawn where the feet are."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import Anatomy
from marionext.doll.model import Shadow
from marionext.doll.shapes import places

__all__ = ["draw_shadow", "find_shadow"]

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

_TALL = 0.055
"""Half the height in statures of the floor on which a shadow is looked for."""
_DARKER = 0.97
"""A floor that is darker than so much of what is around it may be shaded."""


def _stance(anatomy: Anatomy) -> tuple[Floats, float] | None:
    """Return the middle of the stance (2,) and half a shadow's usual width, in pixels.

    None where the feet are not seen.
    """
    feet = [k for k in (10, 13, 18, 21) if anatomy.scores[k] > 0.2]
    if len(feet) < 2:
        return None
    points, stature = anatomy.points, anatomy.stature
    lowest = float(points[[*feet, 20, 23, 10, 13], 1].max())
    spread = float(np.ptp(points[feet, 0]))
    place = np.array([points[feet, 0].mean(), lowest], np.float32)
    return place, 0.12 * stature + 0.55 * spread


def find_shadow(
    light: Callable[[Bools], Floats], anatomy: Anatomy, free: Bools
) -> tuple[Shadow, Bools] | None:
    """Find the shadow under the feet.

    Args:
        light: returns for a floor (h, w) how bright it is against what is around it, (h, w).
        anatomy: of the character in its picture.
        free: (h, w): where the figure hides nothing.

    Returns:
        The shadow and where it is; None where there is none.
    """
    stance = _stance(anatomy)
    if stance is None:
        return None
    place, wide = stance
    tall = _TALL * anatomy.stature
    away = places((0, 0, free.shape[1], free.shape[0])) - place
    floor = ((away / (wide, tall)) ** 2).sum(axis=-1) < 1
    found = light(floor)
    bare = floor & free
    dark = bare & (found < _DARKER)
    if bare.sum() <= 20 or dark.sum() <= 0.25 * bare.sum():
        return None
    reach = np.percentile(np.abs(away[dark]), 97, axis=0)
    own_wide, own_tall = max(float(reach[0]), 0.4 * wide), max(float(reach[1]), 0.3 * tall)
    inside = np.clip(1 - ((away / (own_wide, own_tall)) ** 2).sum(axis=-1), 0, 1)
    # The shade that fits best: it falls off from the middle to the rim.
    depth = float(((1 - found) * inside)[bare].sum() / max((inside * inside)[bare].sum(), 1e-6))
    if depth < 0.03:
        return None
    shadow = Shadow(min(depth, 0.8), own_tall / anatomy.stature, own_wide / wide)
    return shadow, floor


def draw_shadow(picture: Floats, anatomy: Anatomy, shadow: Shadow) -> None:
    """Darken the floor under the feet, in place: (h, w, 3)."""
    stance = _stance(anatomy)
    if stance is None:
        return
    place, wide = stance
    wide, tall = wide * shadow.wide, shadow.tall * anatomy.stature
    height, width = picture.shape[:2]
    left, right = max(int(place[0] - wide), 0), min(int(place[0] + wide + 2), width)
    top, bottom = max(int(place[1] - tall), 0), min(int(place[1] + tall + 2), height)
    if left >= right or top >= bottom:
        return
    away = (places((left, top, right, bottom)) - place) / (wide, tall)
    inside = np.clip(1 - (away * away).sum(axis=-1), 0, 1)
    picture[top:bottom, left:right] *= (1 - shadow.dark * inside)[..., None]
