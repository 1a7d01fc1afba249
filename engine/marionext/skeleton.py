"""Names, limbs and bones of the 134 keypoints that a pose map is drawn from.

The layout is that of DWPose with OpenPose's body order (Yang et al. 2023, arXiv:2307.15880):
body 0-17, feet 18-23, face 24-91 (the 68 iBUG points), left hand 92-112, right hand 113-133.
Left and right are the person's own.
"""

import difflib
from collections.abc import Iterable

from marionext.errors import SettingsError

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

BODY_NAMES = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)
"""OpenPose's 18 body joints (COCO plus the neck, the middle of the shoulders)."""

FOOT_NAMES = (
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
)

FACE_NAMES = tuple(f"face_{index}" for index in range(68))

HAND_NAMES = (
    "wrist",
    *(
        f"{finger}_{joint}"
        for finger in ("thumb", "index", "middle", "ring", "pinky")
        for joint in range(1, 5)
    ),
)
"""The 21 points of a hand: the wrist, then four per finger from the palm to the tip."""

POINT_NAMES = (
    *BODY_NAMES,
    *FOOT_NAMES,
    *FACE_NAMES,
    *(f"left_hand_{name}" for name in HAND_NAMES),
    *(f"right_hand_{name}" for name in HAND_NAMES),
)
"""A name for each point; ``left_wrist`` is the body's, ``left_hand_wrist`` the hand's."""
POINT_COUNT = len(POINT_NAMES)

SEEN_SCORE = 0.3
"""From this score on a body joint counts as seen: it is drawn, and it is measured."""

BODY = slice(0, 18)
FEET = slice(18, 24)
FACE = slice(24, 92)
LEFT_HAND = slice(92, 113)
RIGHT_HAND = slice(113, 134)

BODY_LIMBS = (
    (1, 2),
    (1, 5),
    (2, 3),
    (3, 4),
    (5, 6),
    (6, 7),
    (1, 8),
    (8, 9),
    (9, 10),
    (1, 11),
    (11, 12),
    (12, 13),
    (1, 0),
    (0, 14),
    (14, 16),
    (0, 15),
    (15, 17),
)
"""The 17 limbs that are drawn, in drawing order: pairs of body joints."""

HAND_BONES = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1)
    for finger in range(5)
    for joint in range(4)
)
"""The 20 bones of a hand, in drawing order: pairs of hand points."""

_MIRRORED_FACE = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46),
    *(39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48),
    *(59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60),
    *(67, 66, 65),
)


def _mirrored() -> tuple[int, ...]:
    """Pair each point with its counterpart on the other side of the body."""
    swap = {"left": "right", "right": "left"}
    index = {name: number for number, name in enumerate(POINT_NAMES)}
    pairs = []
    for number, name in enumerate(POINT_NAMES):
        side, _, rest = name.partition("_")
        if side == "face":
            pairs.append(FACE.start + _MIRRORED_FACE[number - FACE.start])
        else:
            pairs.append(index[f"{swap[side]}_{rest}"] if side in swap else number)
    return tuple(pairs)


MIRRORED = _mirrored()
"""For each point, the one that takes its place when left and right are exchanged."""


_NUMBERS = {name: number for number, name in enumerate(POINT_NAMES)}
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_RIGHT_FACE = (*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67)
"""Of the 68 points of a face those on the person's right; the middle is on no side."""


def _named(*names: str) -> tuple[int, ...]:
    return tuple(_NUMBERS[name] for name in names)


def _face(*indices: int) -> tuple[int, ...]:
    return tuple(FACE.start + index for index in indices)


def _limb_groups() -> dict[str, tuple[int, ...]]:
    """Group the points as people speak of them; see `LIMB_GROUPS`."""
    groups = {
        "body": tuple(range(BODY.start, BODY.stop)),
        "head": _named("nose", "right_eye", "left_eye", "right_ear", "left_ear"),
        "torso": _named("neck", "right_shoulder", "left_shoulder", "right_hip", "left_hip"),
        "face": tuple(range(FACE.start, FACE.stop)),
        "face_jaw": _face(*range(17)),
        "face_brows": _face(*range(17, 27)),
        "face_nose": _face(*range(27, 36)),
        "face_eyes": _face(*range(36, 48)),
        "face_mouth": _face(*range(48, 68)),
        "face_right_brow": _face(*range(17, 22)),
        "face_left_brow": _face(*range(22, 27)),
        "face_right_eye": _face(*range(36, 42)),
        "face_left_eye": _face(*range(42, 48)),
    }
    for side, hand in (("left", LEFT_HAND), ("right", RIGHT_HAND)):
        groups[f"{side}_arm"] = _named(*(f"{side}_{x}" for x in ("shoulder", "elbow", "wrist")))
        groups[f"{side}_leg"] = _named(*(f"{side}_{x}" for x in ("hip", "knee", "ankle")))
        groups[f"{side}_foot"] = _named(*(n for n in FOOT_NAMES if n.startswith(side)))
        groups[f"{side}_hand"] = tuple(range(hand.start, hand.stop))
        for finger in _FINGERS:
            groups[f"{side}_{finger}"] = _named(*(f"{side}_hand_{finger}_{i}" for i in range(1, 5)))
    for both, one in (("arms", "arm"), ("legs", "leg"), ("feet", "foot"), ("hands", "hand")):
        groups[both] = tuple(sorted(groups[f"left_{one}"] + groups[f"right_{one}"]))
    right = {*_face(*_RIGHT_FACE)} | {
        number for number, name in enumerate(POINT_NAMES) if name.startswith("right_")
    }
    groups["right_side"] = tuple(sorted(right))
    groups["left_side"] = tuple(sorted(MIRRORED[number] for number in right))
    return groups


LIMB_GROUPS = _limb_groups()
"""Points by the names that people give them: limbs, hands, fingers, parts of the face, sides.

An arm ends at the wrist and a leg at the ankle; ``left_hand`` and ``left_foot`` have names of their
own. No group has the name of a point: ``left_eye`` is the body's point, ``face_left_eye`` the eye's
outline in the face.
"""


def point_numbers(names: Iterable[str]) -> tuple[int, ...]:
    """Return the points that names of groups and points mean: in the order given, each once.

    Args:
        names: of `LIMB_GROUPS` or `POINT_NAMES`; none of them means all 134 points.

    Raises:
        SettingsError: a name is neither.
    """
    numbers: dict[int, None] = {}
    names = tuple(names)
    for name in names:
        if name not in LIMB_GROUPS and name not in _NUMBERS:
            near = difflib.get_close_matches(name, (*LIMB_GROUPS, *_NUMBERS), n=1)
            raise SettingsError(
                f"expected the name of a limb or a point, got {name!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Limbs: {', '.join(LIMB_GROUPS)}.",
            )
        numbers.update(dict.fromkeys(LIMB_GROUPS.get(name) or (_NUMBERS[name],)))
    return tuple(numbers) if names else tuple(range(POINT_COUNT))


def point_names(numbers: Iterable[int]) -> tuple[str, ...]:
    """Return few names that mean exactly these points; all of them have no names, ``()``.

    Args:
        numbers: points, 0 to 133, at least one.
    """
    rest = set(numbers)
    if len(rest) == POINT_COUNT:
        return ()
    names = []
    for name, group in sorted(LIMB_GROUPS.items(), key=lambda item: -len(item[1])):
        if rest.issuperset(group):
            names.append(name)
            rest.difference_update(group)
    return (*names, *(POINT_NAMES[number] for number in sorted(rest)))
