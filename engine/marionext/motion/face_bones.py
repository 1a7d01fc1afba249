"""Face rigs made of bones: which bone carries which of the 68 face points.

Rigs with bones for lips, eyelids and brows (Rigify, Auto-Rig Pro, Daz, Character Creator,
MetaHuman) move the face by them. Names tell what a bone moves, its place at rest which points: the
nearest. Of that only the motion is taken over; where the points are is the template's business.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["carriers", "named_face_bones"]

Floats = NDArray[np.float64]

_WORDS: Mapping[str, frozenset[str]] = {
    "brow": frozenset({"brow", "brows", "eyebrow"}),
    "lid": frozenset({"lid", "lids", "eyelid", "eyelids"}),
    "mouth": frozenset({"lip", "lips", "mouth"}),
}
_HIGH = frozenset({"t", "top", "up", "upper", "uppr"})
_LOW = frozenset({"b", "bot", "bottom", "low", "lower", "lwr"})
_CONTROLS = frozenset({"org", "mch", "wgt", "c", "ctrl", "control", "vis", "drv", "ik", "master"})
"""Words of bones that steer others and move no skin themselves."""

_POINTS: Mapping[tuple[str, str], tuple[int, ...]] = {
    ("brow", ""): tuple(range(17, 27)),
    ("lid", "high"): (37, 38, 43, 44),
    ("lid", "low"): (40, 41, 46, 47),
    ("mouth", "high"): (48, 49, 50, 51, 52, 53, 54, 60, 61, 62, 63, 64),
    ("mouth", "low"): (55, 56, 57, 58, 59, 65, 66, 67),
}
_LEAST = {"brow": 2, "lid": 4, "mouth": 4}
"""Fewer bones of a kind than this tell nothing of its shape."""
_NEAR = 0.16
"""In heads: how far a bone may be from a point that it carries."""


def _words(name: str) -> frozenset[str]:
    """Split ``DEF-lip.T.L.001``, ``lLipUpperOuter`` or ``FACIAL_L_LipUpper`` into words."""
    humps = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return frozenset(re.findall(r"[a-z]+", humps.lower()))


def _kind(words: frozenset[str]) -> tuple[str, str] | None:
    kind = next((kind for kind, known in _WORDS.items() if words & known), None)
    if kind is None:
        return None
    if kind == "brow":
        return kind, ""
    half = "high" if words & _HIGH else "low" if words & _LOW else ""
    return kind, half


def named_face_bones(names: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Return what the bones of a face rig move, by their names alone.

    Returns:
        For each such bone its kind (``brow``, ``lid``, ``mouth``) and its half (``high``, ``low``
        or empty).
    """
    words = [_words(name) for name in names]
    # Where deforming bones are marked as such (Rigify's DEF-), no other bone moves skin.
    marked = any("def" in own and _kind(own) for own in words)
    found = {}
    for number, own in enumerate(words):
        kind = _kind(own)
        if kind is not None and ("def" in own if marked else not own & _CONTROLS):
            found[number] = kind
    return found


def carriers(
    names: Sequence[str], heads: Floats, tails: Floats, places: Floats, height: float
) -> tuple[NDArray[np.int64], Floats]:
    """Find the bone that each face point follows, and how far along it.

    Args:
        names: (bones,).
        heads: (bones, 3) at rest.
        tails: (bones, 3) at rest.
        places: (68, 3), where the face points are at rest.
        height: of the head.

    Returns:
        Bones (68,), -1 where there is none, and shares (68,) from 0 at its head to 1 at its tail.
    """
    bones, shares = np.full(len(places), -1), np.zeros(len(places))
    middle = places.mean(axis=0)
    found = {
        bone: kind
        for bone, kind in named_face_bones(names).items()
        if np.linalg.norm(heads[bone] - middle) < height
    }
    for (kind, half), points in _POINTS.items():
        own = [bone for bone, (its, _) in found.items() if its == kind]
        if len(own) < _LEAST[kind]:
            continue
        own = [bone for bone in own if not half or found[bone][1] in {half, ""}]
        for point in points:
            near = [(*_nearest(places[point], heads[bone], tails[bone]), bone) for bone in own]
            distance, share, bone = min(near, default=(np.inf, 0.0, -1))
            if distance < _NEAR * height:
                bones[point], shares[point] = bone, share
    return bones, shares


def _nearest(point: Floats, head: Floats, tail: Floats) -> tuple[float, float]:
    """Return the distance of a point from a bone, and where along the bone that is."""
    along = tail - head
    share = float((point - head) @ along) / max(float(along @ along), 1e-12)
    share = min(max(share, 0.0), 1.0)
    return float(np.linalg.norm(point - head - share * along)), share
