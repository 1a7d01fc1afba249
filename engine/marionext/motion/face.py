"""A canonical head: where the 68 face points, nose, eyes and ears are on a plausible head.

Rigs have one bone for the whole head, so the face is a fixed template carried by it. It was laid
out for this project from average adult proportions (head breadth 0.68 and eye line 0.49 of the
height from chin to crown, pupils 0.28 apart, nose tip 0.54 before the ears). Axes are the
person's own: x to their left, y up, z to the front; the origin lies between the ears at the
height of the eyes; the unit is the head's height from chin to crown. It was
checked against the 3-D landmarks of a face landmarker on seven faces: 0.013 apart on average.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EARS",
    "EYEBALL",
    "EYES",
    "EYES_APART",
    "FACE_NORMALS",
    "FACE_POINTS",
    "JAW_PATHS",
    "JAW_POINTS",
    "NOSE",
    "PIVOT",
    "PIVOT_TO_EYES",
    "PIVOT_TO_TOP",
    "morph_moves",
]

Floats = NDArray[np.float64]

# The person's left half from the chin up and outwards; the right half is its mirror image.
_JAW = (
    (0.318, -0.02, 0.10), (0.316, -0.115, 0.10), (0.305, -0.205, 0.115), (0.285, -0.287, 0.145),
    (0.252, -0.36, 0.197), (0.205, -0.42, 0.263), (0.145, -0.467, 0.325), (0.076, -0.498, 0.378),
)  # fmt: skip
_CHIN = (0.0, -0.51, 0.40)
_BROW = (
    (0.06, 0.095, 0.42), (0.125, 0.118, 0.412), (0.178, 0.12, 0.388), (0.222, 0.103, 0.36),
    (0.255, 0.07, 0.32),
)  # fmt: skip
_BRIDGE = ((0.0, 0.023, 0.422), (0.0, -0.043, 0.465), (0.0, -0.10, 0.51), (0.0, -0.15, 0.542))
_NOSTRILS = ((0.037, -0.203, 0.47), (0.07, -0.19, 0.445))
_EYE = (
    (0.075, -0.005, 0.37), (0.122, 0.024, 0.374), (0.172, 0.023, 0.364), (0.20, 0.002, 0.325),
    (0.168, -0.017, 0.362), (0.119, -0.018, 0.37),
)  # fmt: skip
_LIPS_TOP = ((0.028, -0.258, 0.455), (0.075, -0.275, 0.435))
_CORNER = (0.115, -0.302, 0.40)
_LIPS_BOTTOM = ((0.075, -0.335, 0.43), (0.032, -0.350, 0.445))
_INNER_CORNER = (0.095, -0.302, 0.405)


def _mirrored(points: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    return [(-x, y, z) for x, y, z in points]


def _face() -> Floats:
    """Put the halves together in the order of the 68 iBUG points, the person's right first."""
    right_eye = _mirrored(_EYE)
    points = [
        *_mirrored(_JAW), _CHIN, *_JAW[::-1],
        *_mirrored(_BROW)[::-1], *_BROW,
        *_BRIDGE,
        *_mirrored(_NOSTRILS)[::-1], (0.0, -0.21, 0.485), *_NOSTRILS,
        right_eye[3], right_eye[2], right_eye[1], right_eye[0], right_eye[5], right_eye[4],
        *_EYE,
        *_mirrored([_CORNER]), *_mirrored(_LIPS_TOP)[::-1],
        (0.0, -0.265, 0.46), *_LIPS_TOP, _CORNER,
        *_LIPS_BOTTOM, (0.0, -0.354, 0.45), *_mirrored(_LIPS_BOTTOM)[::-1],
        *_mirrored([_INNER_CORNER]), (-0.035, -0.293, 0.44), (0.0, -0.295, 0.445),
        (0.035, -0.293, 0.44), _INNER_CORNER,
        (0.035, -0.306, 0.437), (0.0, -0.309, 0.44), (-0.035, -0.306, 0.437),
    ]  # fmt: skip
    return np.array(points, dtype=np.float64)


FACE_POINTS = _face()
"""(68, 3)"""
JAW_POINTS = slice(0, 17)
NOSE: Floats = np.array([0.0, -0.15, 0.54])
EYES: Floats = np.array([[-0.14, 0.0, 0.38], [0.14, 0.0, 0.38]])
"""(2, 3): the person's right eye, then the left: the order of OpenPose's body points."""
EARS: Floats = np.array([[-0.335, -0.06, 0.0], [0.335, -0.06, 0.0]])
"""(2, 3): the right ear, then the left."""

PIVOT: Floats = np.array([0.0, -0.30, -0.01])
"""Where rigs have the head bone's head, at the base of the skull (Mixamo's X Bot: 0.26 below the
eyes, a Ready Player Me avatar: 0.34, each measured from its mesh)."""
EYEBALL: Floats = np.array([0.0, 0.0, 0.33])
"""Eye bones turn the eyeball about its centre, behind the pupil."""
PIVOT_TO_EYES = float(np.linalg.norm(EYEBALL - PIVOT))
PIVOT_TO_TOP = 0.81
EYES_APART = 0.28


def _normals(points: Floats) -> Floats:
    """Return outward directions of an egg about the head, flattened so that chins face forward."""
    normals = points / np.array([0.34, 0.75, 0.36]) ** 2
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))


FACE_NORMALS = _normals(FACE_POINTS)
"""(68, 3): which way the skin faces at each point."""


def _paths() -> Floats:
    """Lead each jaw point over the cheek towards the front of the face.

    Detectors put the contour where the picture has it: on the far side of a turned face that is
    the cheek, not the jaw behind it.
    """
    jaw = FACE_POINTS[JAW_POINTS]
    # Where the skin is at that height below the outer corner of the eye and beside the mouth.
    level = [-0.51, -0.36, -0.2, 0.0]
    depth = np.interp(jaw[:, 1], level, [0.40, 0.36, 0.345, 0.325])
    beside = np.interp(jaw[:, 1], level, [0.03, 0.14, 0.205, 0.225])
    beside = np.sign(jaw[:, 0]) * np.minimum(np.abs(jaw[:, 0]), beside)
    cheek = np.stack([beside, jaw[:, 1], depth], axis=1)
    steps = np.linspace(0.0, 1.0, 5)[:, None]
    straight = jaw[:, None] + steps * (cheek - jaw)[:, None]
    bulge = np.abs(cheek - jaw)[:, :1].sum(axis=1)
    straight[:, :, 0] += np.sign(jaw[:, 0])[:, None] * (
        0.16 * bulge[:, None] * np.sin(np.pi * steps[:, 0])[None]
    )
    return np.asarray(straight)


JAW_PATHS = _paths()
"""(17, 5, 3): five places a jaw point may slide to; the first is its own."""


def _plain(name: str) -> str:
    """Reduce a shape's name to what files agree on: ``Face.M_F00_Fcl_EYE_Close_L``."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


_LEFT_EYE_LIDS = {43: -0.026, 44: -0.026}
_RIGHT_EYE_LIDS = {37: -0.026, 38: -0.026}
_LOWER = (*range(55, 60), 65, 66, 67)
_LOWER_JAW = {4: 0.25, 5: 0.5, 6: 0.75, 7: 1.0, 8: 1.0, 9: 1.0, 10: 0.75, 11: 0.5, 12: 0.25}


def _moves(**shift: dict[int, float]) -> Floats:
    moves = np.zeros((68, 3))
    for axis, values in shift.items():
        for point, value in values.items():
            moves[point, "xyz".index(axis)] += value
    return moves


def _open_mouth(amount: float, width: float = 0.0) -> Floats:
    lips = dict.fromkeys(_LOWER, -amount)
    jaw = {point: -amount * share for point, share in _LOWER_JAW.items()}
    sides = {48: -1, 49: -0.6, 59: -0.6, 60: -1, 54: 1, 53: 0.6, 55: 0.6, 64: 1}
    return _moves(y={**lips, **jaw}, x={point: width * side for point, side in sides.items()})


_BLINK_LEFT, _BLINK_RIGHT = _moves(y=_LEFT_EYE_LIDS), _moves(y=_RIGHT_EYE_LIDS)
_SMILE_LEFT = _moves(y={54: 0.03, 53: 0.012, 55: 0.012, 64: 0.025}, x={54: 0.03, 64: 0.025})
_SMILE_RIGHT = _moves(y={48: 0.03, 49: 0.012, 59: 0.012, 60: 0.025}, x={48: -0.03, 60: -0.025})
_BROWS_UP = _moves(y=dict.fromkeys(range(17, 27), 0.035))
_BROWS_DOWN = _moves(y=dict.fromkeys(range(17, 27), -0.03))
_SHAPES: tuple[tuple[Floats, tuple[str, ...]], ...] = (
    (_BLINK_LEFT, ("eyeBlinkLeft", "blinkLeft", "blink_l", "eye_close_l", "winkLeft", "ウィンク")),
    (
        _BLINK_RIGHT,
        ("eyeBlinkRight", "blinkRight", "blink_r", "eye_close_r", "winkRight", "ウィンク右"),
    ),
    (_BLINK_LEFT + _BLINK_RIGHT, ("blink", "eyesClosed", "eye_close", "まばたき", "笑い")),
    (_open_mouth(0.15), ("jawOpen",)),
    (_open_mouth(0.12), ("mouthOpen", "mouth_open", "aa", "viseme_aa", "mth_a", "あ", "a")),
    (_open_mouth(0.04, 0.025), ("ih", "viseme_I", "mth_i", "い", "i")),
    (_open_mouth(0.04, -0.045), ("ou", "viseme_U", "mth_u", "mouthPucker", "う", "u")),
    (_open_mouth(0.06, 0.02), ("ee", "viseme_E", "mth_e", "え", "e")),
    (_open_mouth(0.10, -0.03), ("oh", "viseme_O", "mth_o", "mouthFunnel", "お", "o")),
    (_SMILE_LEFT, ("mouthSmileLeft", "mouthSmile_L")),
    (_SMILE_RIGHT, ("mouthSmileRight", "mouthSmile_R")),
    (_SMILE_LEFT + _SMILE_RIGHT, ("mouthSmile", "smile", "mouthup", "にこり", "にやり")),
    (_BROWS_UP, ("browInnerUp", "browUp", "surprised", "brw_surprised", "びっくり")),
    (_BROWS_DOWN, ("browDown", "angry", "brw_angry", "怒り")),
)  # fmt: skip
_BY_NAME = {_plain(name): moves for moves, names in _SHAPES for name in names}


def morph_moves(names: Sequence[str]) -> tuple[tuple[int, ...], Floats]:
    """Return which of a file's shapes are understood, and how each moves the face when full.

    ARKit, VRM 0 and 1, VRoid, Ready Player Me and MMD names of blinks, mouth shapes, smiles and
    brows are known, behind any prefix of two letters or more (``Fcl_MTH_A``).

    Returns:
        Indices into ``names``, and moves (shapes, 68, 3) in heads.
    """
    found: list[int] = []
    moves: list[Floats] = []
    for index, name in enumerate(names):
        plain = _plain(name)
        known = _BY_NAME.get(plain)
        if known is None:
            tail = max(
                (key for key in _BY_NAME if len(key) > 3 and plain.endswith(key)),
                key=len,
                default="",
            )
            known = _BY_NAME.get(tail)
        if known is not None:
            found.append(index)
            moves.append(known)
    return tuple(found), np.array(moves).reshape(-1, 68, 3)
