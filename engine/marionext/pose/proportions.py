"""Measure a body's proportions from 2-D poses, and how the character's differ from the dancer's.

A limb that points at the camera looks short, never long, so over a clip the long end of what is
seen (the 80th percentile) is near the truth; longer still are limbs that come close to the camera,
and noise. A single picture is no such clip: there, both sides of the body, the rest of the limb and
the rest of the body are asked before a short limb is believed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from marionext.pose.skeleton import FACE, LEFT_HAND, RIGHT_HAND, SEEN_SCORE

__all__ = ["Proportions", "compare_proportions", "measure_lengths"]

_PERCENTILE = 80
_CALM = 5

_EAR_MIDDLE, _HIP_MIDDLE = -2, -1
"""Stand for the middle of the ears and of the hips, which are no keypoints."""

_SIDES: dict[str, tuple[tuple[int, int], ...]] = {
    "spine": ((1, _HIP_MIDDLE),),
    "shoulders": ((2, 5),),
    "hips": ((8, 11),),
    "upper arm": ((2, 3), (5, 6)),
    "forearm": ((3, 4), (6, 7)),
    "thigh": ((8, 9), (11, 12)),
    "shin": ((9, 10), (12, 13)),
    "neck": ((0, 1),),
    "nape": ((_EAR_MIDDLE, 1),),
    # Inside the head; the jaw and the bridge of the nose are the least changed by a turned head.
    "ears": ((16, 17),),
    "eyes": ((14, 15),),
    "face height": ((FACE.start + 8, FACE.start + 27),),
    "face width": ((FACE.start, FACE.start + 16),),
    # Across and along the palm, which bends less than the fingers.
    "palm": ((LEFT_HAND.start, LEFT_HAND.start + 9), (RIGHT_HAND.start, RIGHT_HAND.start + 9)),
    "palm width": (
        (LEFT_HAND.start + 5, LEFT_HAND.start + 17),
        (RIGHT_HAND.start + 5, RIGHT_HAND.start + 17),
    ),
}
_HEAD = ("ears", "eyes", "face height", "face width")
_HAND = ("palm", "palm width")
_BODY = ("spine", "shoulders", "hips", "upper arm", "forearm", "thigh", "shin")

_CHAIN = 1.15
"""Upper and lower part of a limb grow alike, within this factor: one that seems shorter in the
picture points at the camera."""
_SHORTEST = {"arm": 0.55, "leg": 0.5, "width": 0.6}
"""Least ratio of a part, as a share of the spine's: a chibi's legs are half as long against the
spine as an adult's."""
_LONGEST = 2.0
"""Greatest ratio of a part, as a multiple of the body's typical one."""
_HEAD_RANGE = (0.7, 3.5)
"""Ratio of the head against the body's typical one: a chibi's is three times as large."""
_NECK_RANGE = (0.7, 1.3)
_HAND_RANGE = (0.8, 1.6)
_NARROWEST = {"ears": 1.15, "face width": 1.1, "eyes": 0.45}
"""Of a head that faces us, as multiples of the face's height from chin to bridge: one that seems
narrower all the time is never turned to us."""


@dataclass(frozen=True, slots=True)
class Proportions:
    """For each part of the body, the character's length over the dancer's, in pixels."""

    ratios: dict[str, float]
    """By part: spine, shoulders, hips, upper arm, forearm, thigh, shin, neck, head, hand, leg."""
    measured: frozenset[str]
    """The parts that were seen in both; the others are concluded from these."""


def measure_lengths(points: NDArray[np.floating], scores: NDArray[np.floating]) -> dict[str, float]:
    """Measure a person's parts over a clip.

    Args:
        points: (frames, 134, 2) pixels.
        scores: (frames, 134).

    Returns:
        Pixels by part, of the longer side of the body; parts never seen are left out.
    """
    pairs = ([16, 17], [8, 11])
    middles = [points[:, pair].mean(1, keepdims=True) for pair in pairs]
    seen_by = [scores[:, pair].min(1, keepdims=True) for pair in pairs]
    points, scores = np.concatenate([points, *middles], 1), np.concatenate([scores, *seen_by], 1)
    lengths = {}
    for name, sides in _SIDES.items():
        found = []
        for start, end in sides:
            seen = np.minimum(scores[:, start], scores[:, end]) > SEEN_SCORE
            if seen.any():
                extent = np.linalg.norm(points[seen, start] - points[seen, end], axis=1)
                found.append(float(np.percentile(_calm(extent), _PERCENTILE)))
        if found and max(found) > 1e-3:
            lengths[name] = max(found)
    return lengths


def _calm(extent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return medians over some neighbouring frames, lest noise alone makes the longest."""
    window = min(_CALM, len(extent) - 1 | 1)
    return np.asarray(np.median(sliding_window_view(extent, window), axis=-1))


def compare_proportions(
    dancer: dict[str, float], character: dict[str, float]
) -> Proportions | None:
    """Compare the lengths of two figures, part by part.

    Returns:
        The ratios, or None if they share no part of the body.
    """
    height = dancer.get("face height")
    if height is not None:
        facing = {name: max(dancer.get(name, 0), k * height) for name, k in _NARROWEST.items()}
        dancer = {**dancer, **facing}
    raw = {name: character[name] / dancer[name] for name in dancer if name in character}
    body = [name for name in _BODY if name in raw]
    if not body:
        return None
    weights = np.array([dancer[name] for name in body])
    typical = _weighted_median(np.array([raw[name] for name in body]), weights)
    ratios = {name: min(raw.get(name, typical), _LONGEST * typical) for name in _BODY}
    spine = ratios["spine"]
    for name in ("shoulders", "hips"):
        ratios[name] = max(ratios[name], _SHORTEST["width"] * spine)
    for limb, upper, lower in (("arm", "upper arm", "forearm"), ("leg", "thigh", "shin")):
        known = [raw[name] for name in (upper, lower) if name in raw]
        if len(known) == 1:  # the unseen part is taken to be like the seen one
            ratios[upper] = ratios[lower] = min(known[0], _LONGEST * typical)
        least = max(max(ratios[upper], ratios[lower]) / _CHAIN, _SHORTEST[limb] * spine)
        ratios[upper], ratios[lower] = max(ratios[upper], least), max(ratios[lower], least)
    ratios["head"] = _group(raw, _HEAD, typical, typical, _HEAD_RANGE)
    low, high = (bound * ratios["head"] for bound in _NECK_RANGE)
    # Of somebody who is seen from behind, the nape.
    neck = raw.get("neck", raw.get("nape", ratios["head"]))
    ratios["neck"] = float(np.clip(neck, low, high))
    ratios["hand"] = _group(raw, _HAND, ratios["forearm"], ratios["forearm"], _HAND_RANGE)
    legs = [(dancer[name], ratios[name]) for name in ("thigh", "shin") if name in dancer]
    ratios["leg"] = (
        sum(length * ratio for length, ratio in legs) / sum(length for length, _ in legs)
        if legs
        else spine
    )
    measured = set(body)
    measured |= {"neck"} if "neck" in raw or "nape" in raw else set()
    measured |= {"head"} if any(name in raw for name in _HEAD) else set()
    measured |= {"hand"} if any(name in raw for name in _HAND) else set()
    return Proportions(ratios, frozenset(measured))


def _group(
    raw: dict[str, float],
    names: tuple[str, ...],
    otherwise: float,
    centre: float,
    bounds: tuple[float, float],
) -> float:
    """Return one ratio for several measures: the mean of the two greatest, within bounds.

    A turned head or hand makes measures of the picture too short, none too long.
    """
    found = sorted((raw[name] for name in names if name in raw), reverse=True)[:2]
    ratio = sum(found) / len(found) if found else otherwise
    return float(np.clip(ratio, bounds[0] * centre, bounds[1] * centre))


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the value below and above which lies half of the weight."""
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, 0.5)])
