"""Tell a pose map from other pictures, and in which of the two palettes it is drawn.

The standard palette and the trained one hold the same 18 hues: exchanging red and blue takes the
hue h to 240 - h. What differs is which limb has which, so it is the skeleton that tells: read in
the right palette, limbs that share a joint touch; read in the wrong one, the neck's limbs lie
scattered over the body. This holds for sitting, lying and upside-down figures alike. Strong
compression smears the hues of thin lines into each other; then it counts which colours, the warm
or the cool ones, are the upper half of the body.
"""

from collections.abc import Iterable
from itertools import combinations
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import BODY_LIMBS

__all__ = ["Palette", "is_pose_map", "recognise_palette"]

Palette = Literal["controlnext", "openpose"]

_HUES = 18
_HUE_STEP = 360 / _HUES
_HUE_TOLERANCE = 7.0
"""Degrees that a pixel may be off; hand bones have other hues, compressed videos shift them."""
_DARK = 32
"""Brightest channel of what counts as background."""
_BACKGROUND = 0.6
"""Part of a map that is background at least."""
_LEVELS = ((0.1, 0.66), (0.1, 1.0))
"""Brightness of limbs: dimmed to 0.6, which sets them apart from hands; or whatever there is."""
_TOUCHING = 0.025
"""Limbs that meet come this near each other, in parts of the picture's shorter side."""
_LEAST_PIXELS = 4
_LEAST_PAIRS = 4
_CLEAR = 0.2
"""Advantage in parts of all pairs that settles the question."""
_LEGS_BELOW = 0.05
"""How far the legs' colours are below the arms' at least, in parts of the figure's height."""


def is_pose_map(picture: NDArray[np.uint8]) -> bool:
    """Tell whether a picture (height, width, 3) can be a pose map: strokes on black."""
    return float((picture.max(axis=2) < _DARK).mean()) >= _BACKGROUND


def recognise_palette(pictures: Iterable[NDArray[np.uint8]]) -> Palette | None:
    """Return the palette that pose maps are drawn in, or None if they do not tell.

    Args:
        pictures: some of the maps, (height, width, 3) red, green, blue.
    """
    shown = list(pictures)
    advantage = _by_touching(shown)
    if advantage is None or abs(advantage) < _CLEAR:
        lower = _by_height(shown)
        # Both weak: only if they agree.
        if lower is None or (advantage is not None and advantage * lower < 0):
            return None
        advantage = lower
    return "openpose" if advantage > 0 else "controlnext"


def _by_touching(pictures: list[NDArray[np.uint8]]) -> float | None:
    """Return which part more of the joined limbs touch when read as standard, -1 to 1."""
    joined = [pair for pair in combinations(range(len(BODY_LIMBS)), 2) if _share_a_joint(*pair)]
    touching = {"openpose": 0, "controlnext": 0}
    pairs = {"openpose": 0, "controlnext": 0}
    for picture in pictures:
        apart = _distances(picture)
        near = _TOUCHING * min(picture.shape[:2])
        for first, second in joined:
            readings = {
                "openpose": apart[first, second],
                "controlnext": apart[(12 - first) % _HUES, (12 - second) % _HUES],
            }
            for palette, distance in readings.items():
                if np.isfinite(distance):
                    touching[palette] += int(distance <= near)
                    pairs[palette] += 1
    if max(pairs.values()) < _LEAST_PAIRS:
        return None
    standard, trained = (touching[name] / max(pairs[name], 1) for name in touching)
    return standard - trained


def _by_height(pictures: list[NDArray[np.uint8]]) -> float | None:
    """Return how far the cool colours, legs in standard maps, are below the warm ones.

    In parts of the figure's height; None where that is too little to tell.
    """
    distances = []
    for picture in pictures:
        hue, saturation, value = _hsv(picture)
        lit = (saturation > 0.5) & (value > 0.1)
        rows = np.broadcast_to(np.arange(picture.shape[0])[:, None], hue.shape)
        warm, cool = lit & (hue > 10) & (hue < 110), lit & (hue > 130) & (hue < 230)
        if min(np.count_nonzero(warm), np.count_nonzero(cool)) >= _LEAST_PIXELS:
            height = max(int(np.ptp(rows[lit])), 1)
            distances.append(float(np.median(rows[cool]) - np.median(rows[warm])) / height)
    if not distances:
        return None
    lower = float(np.median(distances))
    return lower if abs(lower) >= _LEGS_BELOW else None


def _hsv(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """Return hue in degrees, saturation and value from 0 to 1."""
    return tuple(cv2.split(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)))


def _share_a_joint(first: int, second: int) -> bool:
    return bool(set(BODY_LIMBS[first]) & set(BODY_LIMBS[second]))


def _distances(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how near strokes of two hues come to each other: (18, 18) pixels, inf if absent."""
    hue, saturation, value = _hsv(picture)
    kind = np.rint(hue / _HUE_STEP)
    pure = (saturation > 0.8) & (np.abs(hue - kind * _HUE_STEP) <= _HUE_TOLERANCE)
    kind = kind.astype(np.int64) % _HUES
    strokes: list[NDArray[np.bool_] | None] = []
    for low, high in _LEVELS:
        lit = pure & (value >= low) & (value <= high)
        strokes = [_main_strokes(lit & (kind == number)) for number in range(_HUES)]
        if sum(stroke is not None for stroke in strokes) >= _LEAST_PAIRS:
            break
    apart = np.full((_HUES, _HUES), np.inf)
    for first, stroke in enumerate(strokes):
        if stroke is None:
            continue
        away = cv2.distanceTransform((~stroke).astype(np.uint8), cv2.DIST_L2, 3)
        for second, other in enumerate(strokes):
            if other is not None and second != first:
                apart[first, second] = float(away[other].min())
    return np.asarray(np.minimum(apart, apart.T))


def _main_strokes(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the longest strokes of one hue, leaving out specks such as finger bones."""
    if np.count_nonzero(mask) < _LEAST_PIXELS:
        return None
    # Thin lines fall into dots when a map is reduced: close the gaps before counting pieces.
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(wide, connectivity=8)
    spans = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    spans[0] = 0
    kept = np.flatnonzero(spans >= 0.4 * spans.max())
    return np.asarray(mask & np.isin(labels, kept))
