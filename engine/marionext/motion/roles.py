"""The roles that bones play in a figure, whatever a rig calls them.

A role is named by what its bone moves: ``left_forearm`` starts at the elbow. Left and right are
the character's own.
"""

__all__ = [
    "BODY_PARTS",
    "CORE",
    "ESSENTIAL",
    "FINGERS",
    "ROLES",
    "SIDED",
    "SIDES",
    "finger_roles",
]

SIDES = ("left", "right")
FINGERS = ("thumb", "index", "middle", "ring", "pinky")

CENTRAL = ("hips", "spine", "chest", "neck", "head", "head_end", "jaw")
BODY_PARTS = (
    "eye",
    "clavicle",
    "upper_arm",
    "forearm",
    "hand",
    "thigh",
    "shin",
    "foot",
    "toe",
    "toe_end",
)
"""Roles that exist once on each side, without the fingers."""

FINGER_JOINTS = ("1", "2", "3", "tip")
"""Of a finger: its knuckle, the two joints after it, its tip; of the thumb, ``thumb_1`` is the
joint at the wrist. Metacarpals of the other fingers have no role: no keypoint starts there."""

SIDED = (*BODY_PARTS, *(f"{finger}_{joint}" for finger in FINGERS for joint in FINGER_JOINTS))

ROLES = (*CENTRAL, *(f"{side}_{part}" for side in SIDES for part in SIDED))
"""Every role, in the order a list shows them."""

ESSENTIAL = ("left_upper_arm", "right_upper_arm")
"""Without the shoulders no body can be drawn: the neck is their middle."""

CORE = (
    "hips",
    "head",
    *(
        f"{side}_{part}"
        for side in SIDES
        for part in ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
    ),
)
"""What tells one naming convention from another."""


def finger_roles(side: str, finger: str) -> tuple[str, str, str, str]:
    """Return the four roles of a finger from the palm to the tip."""
    first, second, third, tip = (f"{side}_{finger}_{joint}" for joint in FINGER_JOINTS)
    return first, second, third, tip
