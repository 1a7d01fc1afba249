"""The names and bones of `marionext.skeleton`, for those who work with poses anyway."""

from marionext.skeleton import (
    BODY,
    BODY_LIMBS,
    BODY_NAMES,
    FACE,
    FEET,
    HAND_BONES,
    HAND_NAMES,
    LEFT_HAND,
    LIMB_GROUPS,
    MIRRORED,
    POINT_COUNT,
    POINT_NAMES,
    RIGHT_HAND,
    SEEN_SCORE,
    point_names,
    point_numbers,
)

__all__ = [
    "BODY",
    "BODY_LIMBS",
    "BODY_NAMES",
    "FACE",
    "FEET",
    "HAND_BONES",
    "HAND_NAMES",
    "LEFT_HAND",
    "LIMB_GROUPS",
    "MIRRORED",
    "POINT_COUNT",
    "POINT_NAMES",
    "RIGHT_HAND",
    "SEEN_SCORE",
    "point_names",
    "point_numbers",
]
