"""The parts a body is made of: which part a bone moves, and which parts a keypoint belongs to.

A point is never hidden by the parts it belongs to: an elbow lies inside its own arm.
"""

from marionext.motion.roles import SIDES
from marionext.pose.skeleton import FACE, FEET, LEFT_HAND, POINT_NAMES

__all__ = ["kind_and_side", "own_parts", "part_of"]

_OWN = {
    "nose": ("head", "neck"), "eye": ("head", "neck"), "ear": ("head", "neck"),
    "face": ("head", "neck"), "neck": ("neck", "torso", "left_torso", "right_torso"),
    "shoulder": ("torso", "upper_arm", "neck"), "elbow": ("upper_arm", "forearm"),
    "wrist": ("forearm", "hand"), "hand": ("forearm", "hand"), "hip": ("torso", "thigh"),
    "knee": ("thigh", "shin"), "ankle": ("shin",), "foot": ("shin",),
}  # fmt: skip
"""Names without a side are of the point's own side, or of the middle."""

_CENTRAL_PARTS = {"neck": "neck", "head": "head", "head_end": "head", "jaw": "head"}
_LIMB_PARTS = {
    "eye": "head", "clavicle": "torso", "upper_arm": "upper_arm", "forearm": "forearm",
    "thigh": "thigh", "shin": "shin", "foot": "shin", "toe": "shin", "toe_end": "shin",
}  # fmt: skip


def kind_and_side(point: int) -> tuple[str, str]:
    """Return what a keypoint is (``elbow``, ``foot``, ``face``, ``hand``) and its side, or ''."""
    name = POINT_NAMES[point]
    side = next((side for side in SIDES if name.startswith(side)), "")
    if point < FEET.start:
        return name.rpartition("_")[2], side
    if point < FACE.start:
        return "foot", side
    return ("face", "") if point < LEFT_HAND.start else ("hand", side)


def own_parts(point: int) -> frozenset[str]:
    """Return the parts of the body that a keypoint belongs to."""
    kind, side = kind_and_side(point)
    return frozenset({f"{side}_{part}" if side else part for part in _OWN[kind]} | set(_OWN[kind]))


def part_of(role: str) -> str:
    """Return the part that a role's bone moves: ``left_forearm``, ``torso`` (both sides), ``head``.

    Feet count as part of the shin, and fingers as part of the hand: they hide and are hidden
    together.
    """
    side, _, rest = role.partition("_")
    if side not in SIDES:
        return _CENTRAL_PARTS.get(role, "torso")
    part = _LIMB_PARTS.get(rest, "hand")
    return part if part in {"head", "torso"} else f"{side}_{part}"
