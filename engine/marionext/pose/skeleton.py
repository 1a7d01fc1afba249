"""Names and bones of the 134 keypoints that a pose map is drawn from.

The layout is that of DWPose with OpenPose's body order (Yang et al. 2023, arXiv:2307.15880):
body 0-17, feet 18-23, face 24-91 (the 68 iBUG points), left hand 92-112, right hand 113-133.
Left and right are the person's own.
"""

__all__ = [
    "BODY",
    "BODY_LIMBS",
    "BODY_NAMES",
    "FACE",
    "FEET",
    "HAND_BONES",
    "HAND_NAMES",
    "LEFT_HAND",
    "MIRRORED",
    "POINT_COUNT",
    "POINT_NAMES",
    "RIGHT_HAND",
    "SEEN_SCORE",
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
