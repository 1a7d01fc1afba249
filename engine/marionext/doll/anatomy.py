"""Read a body out of keypoints: how tall it is, where trunk and head are and how they are turned.

All of it is two-dimensional but for the head, whose turn the face's points tell, and the trunk,
whose turn follows from how narrow the shoulders look.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.doll.shapes import across, length, unit
from marionext.motion.heads import head_layout
from marionext.skeleton import FACE, LEFT_HAND, RIGHT_HAND

__all__ = ["BONES", "SIDES", "Anatomy", "Bone", "Head", "Side", "Trunk", "read_anatomy"]

Floats = NDArray[np.floating[Any]]

SEEN = 0.12
"""From this score on a joint is where it is said to be: a doll's limb wants a place, and a guess
is better than none."""
_GUESSED = 0.15


@dataclass(frozen=True, slots=True)
class Bone:
    """A stretch of a limb in a standing figure; lengths are parts of the figure's height."""

    start: int
    """Number of the keypoint."""
    end: int
    radius: float
    end_radius: float
    usual: float
    """Length."""


@dataclass(frozen=True, slots=True)
class Side:
    """Numbers of one side's keypoints."""

    sign: int
    """-1 for the right side, which is on the picture's left when the figure faces the viewer."""
    arm: tuple[int, int, int]
    """Shoulder, elbow, wrist."""
    leg: tuple[int, int, int]
    """Hip, knee, ankle."""
    heel: int
    toe: int
    hand: slice


SIDES = {
    "right": Side(-1, (2, 3, 4), (8, 9, 10), 23, 21, RIGHT_HAND),
    "left": Side(1, (5, 6, 7), (11, 12, 13), 20, 18, LEFT_HAND),
}
BONES = {
    f"{name}_{part}": Bone(*ends, *sizes)
    for name, side in SIDES.items()
    for part, ends, sizes in (
        ("upper_arm", side.arm[:2], (0.028, 0.023, 0.165)),
        ("forearm", side.arm[1:], (0.023, 0.017, 0.15)),
        ("thigh", side.leg[:2], (0.041, 0.032, 0.235)),
        ("shin", side.leg[1:], (0.032, 0.021, 0.225)),
        ("foot", (side.heel, side.toe), (0.021, 0.018, 0.12)),
    )
}
"""Proportions: means of the bodies that `marionext.training.figures` draws."""
_SHOULDER = 0.105
"""Half the width of shoulders seen from the front, in statures; of hips:"""
_HIP = 0.06
_CHEST_DEPTH = 0.052
"""Half the depth of the chest, in statures; of the seat:"""
_SEAT_DEPTH = 0.056
_TRUNK = 0.295
"""From neck to hip joint."""
_HEAD = 0.08
"""Radius of a head."""
_LEAST_HEAD, _MOST_HEAD = 0.65, 1.5
"""How much smaller or larger than the body's a head may be."""
_EYES_AND_EARS = [0, 14, 15, 16, 17]
_HEAD_POINTS = np.r_[FACE, _EYES_AND_EARS]


@dataclass(frozen=True, slots=True, eq=False)
class Trunk:
    """The trunk as a barrel from the hips up to the neck."""

    neck: Floats
    """(2,) between the shoulders; ``hips``: between the hip joints."""
    hips: Floats
    up: Floats
    """(2,) unit vector from hips to neck; ``right``: a quarter clockwise of it in the picture."""
    right: Floats
    tall: float
    """From hips to neck in pixels."""
    chest: float
    """Half the barrel's width at the top in pixels; ``seat``: at the hips."""
    seat: float
    facing: float
    """1 where the front is seen, -1 where the back is."""
    slopes: tuple[float, float]
    """How far hips and shoulders rise to the right, per pixel."""
    turn: float
    """Angle on the barrel by which its middle is turned to the picture's right, -pi to pi."""
    shoulder: float
    """Half the distance of the shoulders across, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The head as a ball."""

    centre: Floats
    """(2,) middle of the skull, pixels."""
    radius: float
    """Pixels; hair stands out of it."""
    scale: float
    """Radius that the face's points alone tell, pixels."""
    known: float
    """How well they are known, 0 to 1."""
    rotation: Floats
    """(3, 3) from the head's axes (its left, up, front) to the picture's (right, up, near)."""
    up: Floats
    """(2,) unit vector: the head's own up in the picture."""
    shows: str
    """``face``, ``back`` or ``side``: what can be told of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """A body in one picture."""

    points: Floats
    """(134, 2) pixels; unseen legs are guessed below the hips."""
    scores: Floats
    """(134,)"""
    stature: float
    """Standing height in pixels."""
    trunk: Trunk
    head: Head

    def knows(self, *joints: int) -> bool:
        """Tell whether all of some joints have a place."""
        return bool((self.scores[list(joints)] >= SEEN).all())


def read_anatomy(
    points: Floats,
    scores: Floats,
    *,
    like: Anatomy | None = None,
    depths: Floats | None = None,
) -> Anatomy:
    """Read the body out of one person's keypoints.

    Args:
        points: (134, 2) pixels.
        scores: (134,).
        like: the same body in its reference picture: gives what one pose cannot tell, the size of
            the head and how broad the shoulders are.
        depths: (134,) how near each point is, in pixels; None: not known.
    """
    points = np.array(points, np.float32)
    scores = np.array(scores, np.float32)
    if not _is_one_face(points, scores):
        scores[FACE] = 0
    stature = _stature(points, scores)
    _guess_legs(points, scores, stature)
    _guess_hips(points, scores, stature)
    head, facing_right = _read_head(points, scores, stature, like)
    trunk = _read_trunk(points, stature, facing_right, like, depths)
    if head is None:
        head = _guess_head(points, scores, stature, trunk, like)
    return Anatomy(points, scores, stature, trunk, head)


_MEASURED = [bone for name, bone in BONES.items() if "foot" not in name]
_MEASURED += [Bone(1, 8, 0, 0, _TRUNK), Bone(1, 11, 0, 0, _TRUNK)]
_ENDS = np.array([(bone.start, bone.end) for bone in _MEASURED])
_USUAL = np.array([bone.usual for bone in _MEASURED], np.float32)


def _stature(points: Floats, scores: Floats) -> float:
    """Return the standing height in pixels: what the least foreshortened bones tell."""
    spans = points[_ENDS[:, 1]] - points[_ENDS[:, 0]]
    heights = np.hypot(spans[:, 0], spans[:, 1]) / _USUAL
    heights = np.sort(heights[scores[_ENDS].min(axis=1) > 0.1])
    if len(heights):
        return max(float(heights[-3:].mean()), 8.0)
    seen = points[scores > 0.1]
    return max(float(np.ptp(seen, axis=0).max()) * 2, 8.0) if len(seen) > 1 else 100.0


def _guess_hips(points: Floats, scores: Floats, stature: float) -> None:
    """Place unseen hips below the shoulders, in place."""
    if min(scores[8], scores[11]) >= 0.05 or min(scores[2], scores[5]) < 0.05:
        return
    wide = points[5] - points[2]
    down = across(unit(wide)) * (1 if wide[0] >= 0 else -1)
    middle = (points[2] + points[5]) / 2 + down * _TRUNK * stature
    for hip, sign in ((8, -1), (11, 1)):
        if scores[hip] < 0.05:
            points[hip], scores[hip] = middle + sign * unit(wide) * _HIP * stature, _GUESSED


def _guess_legs(points: Floats, scores: Floats, stature: float) -> None:
    """Place unseen knees and ankles below the hips, in place: pictures are often cut there."""
    down = unit(points[8] + points[11] - points[2] - points[5]) * stature
    for name, side in SIDES.items():
        hip, knee, ankle = side.leg
        thigh, shin = (BONES[f"{name}_{part}"].usual for part in ("thigh", "shin"))
        if scores[hip] > 0.05 and scores[knee] < SEEN:
            points[knee], scores[knee] = points[hip] + down * thigh, _GUESSED
            points[ankle], scores[ankle] = points[knee] + down * shin, _GUESSED
        elif scores[knee] >= SEEN and scores[ankle] < SEEN:
            along = unit(points[knee] - points[hip])
            points[ankle], scores[ankle] = points[knee] + along * shin * stature, _GUESSED
        if scores[ankle] >= SEEN and min(scores[side.heel], scores[side.toe]) < SEEN:
            along = unit(points[ankle] - points[knee]) * stature
            points[side.heel], points[side.toe] = (
                points[ankle] + along * share for share in (0.015, 0.06)
            )
            scores[[side.heel, side.toe]] = _GUESSED


def _read_trunk(
    points: Floats,
    stature: float,
    facing_right: float,
    like: Anatomy | None,
    depths: Floats | None,
) -> Trunk:
    """Read the trunk; ``facing_right``: how surely the figure looks to the picture's right."""
    right_shoulder, left_shoulder, right_hip, left_hip = points[[2, 5, 8, 11]]
    neck, hips = (right_shoulder + left_shoulder) / 2, (right_hip + left_hip) / 2
    axis = neck - hips
    tall = max(length(axis), 0.05 * stature)
    up = unit(axis) if length(axis) > 0.03 * stature else np.array([0, -1], np.float32)
    right = across(up)
    wide = np.array(
        [(left_shoulder - right_shoulder) @ right, (left_hip - right_hip) @ right], np.float32
    )
    facing = 1.0 if wide.sum() >= 0 else -1.0
    shoulder, hip = (wide * facing / 2).tolist()
    full = max(_SHOULDER, abs(shoulder) / stature)
    if like is not None:
        full = max(full, abs(like.trunk.shoulder) / like.stature)
    cos = float(np.clip(shoulder / (full * stature), 0.0, 1.0)) * facing
    sin = float(np.sqrt(1 - cos * cos))
    if depths is not None:
        sin *= float(np.sign(depths[2] - depths[5]))
    else:
        sin *= facing_right
    slopes = (
        float((left_hip - right_hip) @ up) / max(abs(float(wide[1])), 0.05 * stature) * facing,
        float((left_shoulder - right_shoulder) @ up)
        / max(abs(float(wide[0])), 0.05 * stature)
        * facing,
    )
    return Trunk(
        neck=neck,
        hips=hips,
        up=up,
        right=right,
        tall=tall,
        chest=_half(shoulder, stature, _SHOULDER, _CHEST_DEPTH, 0.006),
        seat=_half(hip, stature, _HIP, _SEAT_DEPTH, 0.033),
        facing=facing,
        slopes=slopes,
        turn=float(np.arctan2(_CHEST_DEPTH * sin, _SHOULDER * cos)),
        shoulder=shoulder,
    )


def _half(wide: float, stature: float, full: float, deep: float, more: float) -> float:
    """Return half the width of a barrel in pixels, of which joints stand ``wide`` aside."""
    share = abs(wide) / stature
    full = max(full, share)
    return (
        float(np.hypot(share, deep * np.sqrt(max(1 - (share / full) ** 2, 0)))) + more
    ) * stature


_LAYOUT = np.c_[head_layout(0.5)[:73], np.ones(73, np.float32)]
_TRUST = np.diag([1e-2, 1e-2, 1e-2, 1e-4]).astype(np.float32)


def _read_head(
    points: Floats, scores: Floats, stature: float, like: Anatomy | None
) -> tuple[Head | None, float]:
    """Return the head and how far it looks to the picture's right, -1 to 1; None: too few points.

    The 73 points are fitted by a turned, scaled ball: a weighted least squares of an affine map,
    whose nearest rotation is the head's.
    """
    found = scores[_HEAD_POINTS]
    weight = found * (found > 0.2)
    nose, right_eye, left_eye = scores[[0, 14, 15]]
    face = weight[:68].mean() > 0.2 or min(nose, right_eye, left_eye) > 0.2
    back = not face and nose < 0.1
    if weight.sum() <= 2.5 or (weight > 0).sum() < 5:
        return None, 0.0
    radius = stature * _HEAD
    prior = np.array([[radius, 0, 0, 0], [0, -radius, 0, 0]], np.float32).T
    weighted = _LAYOUT * weight[:, None]
    fit = np.linalg.solve(
        _LAYOUT.T @ weighted + _TRUST, weighted.T @ points[_HEAD_POINTS] + _TRUST @ prior
    )
    axes = fit[:3].T * np.array([[1], [-1]])
    left, values, right = np.linalg.svd(axes, full_matrices=False)
    rows = left @ right
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])]).astype(np.float32)
    shows = "face" if face else "back" if back else "side"
    known = float(np.clip((weight[:68].mean() - 0.2) / 0.3, 0, 1))
    head = _ball(fit[3], rotation, float(values.mean()), known, stature, shows, like)
    return head, float(np.tanh(3 * rotation[0, 2]))


def _is_one_face(points: Floats, scores: Floats) -> bool:
    """Tell whether the face's points and the body's eyes are of the same face.

    On masks and patterned hats detectors see faces where there is none.
    """
    if min(scores[_RIGHT_EYE].min(), scores[_LEFT_EYE].min(), scores[14], scores[15]) < 0.2:
        return True
    by_face = np.stack([points[_RIGHT_EYE].mean(axis=0), points[_LEFT_EYE].mean(axis=0)])
    wide = max(length(by_face[1] - by_face[0]), length(points[15] - points[14]))
    away = np.hypot(*(by_face - points[[14, 15]]).T)
    return bool(away.max() < _ONE_FACE * wide)


_RIGHT_EYE, _LEFT_EYE = slice(24 + 36, 24 + 42), slice(24 + 42, 24 + 48)
_ONE_FACE = 0.6
"""How far eyes may be from themselves, in parts of the distance between them."""


def _guess_head(
    points: Floats, scores: Floats, stature: float, trunk: Trunk, like: Anatomy | None
) -> Head:
    """Return the head that a few points, or only the trunk, tell of."""
    ears, nose = min(scores[16], scores[17]) > 0.1, scores[0] > 0.2
    eyes = min(scores[14], scores[15]) > 0.2
    shows = "face" if nose and eyes else "back" if scores[0] < 0.1 else "side"
    facing = -1.0 if shows == "back" else 1.0
    aside = unit(points[17] - points[16]) if ears else trunk.right * trunk.facing
    if ears:
        centre = (points[16] + points[17]) / 2
    elif nose:
        centre = points[0] + (points[1] - points[0]) * 0.05
    else:
        centre = trunk.neck + trunk.up * 0.13 * stature
    up = np.array([aside[1], -aside[0]]) * facing
    if up @ (centre - trunk.neck) < 0:
        up = -up
    rows = np.array([[aside[0], up[0], 0], [-aside[1], -up[1], 0]])
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])]).astype(np.float32)
    return _ball(centre, rotation, _HEAD * stature, 0.0, stature, shows, like)


def _ball(
    centre: Floats,
    rotation: Floats,
    scale: float,
    known: float,
    stature: float,
    shows: str,
    like: Anatomy | None,
) -> Head:
    """Put a head together; the skull's middle is a little above and behind the face's.

    The size of a head that is seen before follows the face where it shows, else the body.
    """
    if like is None:
        radius = float(np.clip(scale, 0.06 * stature, 0.16 * stature))
    else:
        radius = like.head.radius / like.stature * stature
        if like.head.known:
            by_face = like.head.radius / like.head.scale * scale
            by_face = float(np.clip(by_face, _LEAST_HEAD * radius, _MOST_HEAD * radius))
            radius += (by_face - radius) * min(known, like.head.known)
    skull = rotation @ np.array([0, 0.12, -0.06], np.float32) * radius
    up = rotation @ np.array([0, 1, 0], np.float32)
    return Head(
        centre=np.array([centre[0] + skull[0], centre[1] - skull[1]], np.float32),
        radius=radius,
        scale=max(scale, 1e-3),
        known=known,
        rotation=rotation,
        up=unit(np.array([up[0], -up[1]], np.float32)),
        shows=shows,
    )
