"""Make presets/motions/dance.bvh: sixteen beats of dance at 120 beats a minute, key by key.

    python scripts/make_dance.py [FILE]

The choreography is a table of keys for each part of the body (`MOVES`), interpolated without
overshoot and in a loop: the last frame leads into the first. Feet are placed on the floor by
the balls of the feet, legs follow by two-bone inverse kinematics, arms are told where upper arm
and forearm point. Numpy only, no chance in it: the same file every time.
"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from marionext.frames import FrameRate
from marionext.motion import JointAnimation, write_bvh

RATE = 24
BEATS = 16
FRAMES_PER_BEAT = 12

# --- The skeleton at rest: a T-pose, metres, z up, front -y, left +x. Names as Mixamo's. ---

BODY = {
    "Hips": (None, (0, 0, 0.96)),
    "Spine": ("Hips", (0, 0.010, 1.06)),
    "Spine1": ("Spine", (0, 0.015, 1.18)),
    "Spine2": ("Spine1", (0, 0.010, 1.30)),
    "Neck": ("Spine2", (0, 0.005, 1.47)),
    "Head": ("Neck", (0, -0.010, 1.56)),
    "LeftShoulder": ("Spine2", (0.035, 0.0, 1.425)),
    "LeftArm": ("LeftShoulder", (0.17, 0.01, 1.42)),
    "LeftForeArm": ("LeftArm", (0.45, 0.01, 1.42)),
    "LeftHand": ("LeftForeArm", (0.70, 0.01, 1.42)),
    "LeftUpLeg": ("Hips", (0.095, 0, 0.92)),
    "LeftLeg": ("LeftUpLeg", (0.095, -0.005, 0.50)),
    "LeftFoot": ("LeftLeg", (0.095, 0.010, 0.085)),
    "LeftToeBase": ("LeftFoot", (0.095, -0.125, 0.020)),
}
FINGERS = {
    "Thumb": ((0.025, -0.025, -0.012), (0.055, -0.050, -0.020), (0.082, -0.070, -0.024), 0.026),
    "Index": ((0.092, -0.030, 0), (0.132, -0.033, 0), (0.158, -0.035, 0), 0.022),
    "Middle": ((0.094, -0.008, 0.002), (0.138, -0.008, 0.002), (0.167, -0.008, 0.002), 0.024),
    "Ring": ((0.089, 0.013, 0), (0.129, 0.015, 0), (0.156, 0.016, 0), 0.023),
    "Pinky": ((0.081, 0.032, -0.003), (0.112, 0.036, -0.003), (0.132, 0.039, -0.003), 0.020),
}
ENDS = {"Head": (0, -0.01, 1.745), "LeftToeBase": (0.095, -0.205, 0.015)}
ARM, FOREARM = 0.28, 0.25

# --- The dance. part: {beat: values}, in degrees and metres. ---

GROOVE = (-62, 25, 5, 80)
CLAP = (-42, 62, 22, 128)
WIDE = (-2, 42, 2, 48)
GUARD = (-42, -20, 40, 80)
PUNCH = (2, 92, 4, 96)

MOVES: dict[str, dict[float, tuple[float, ...]]] = {
    # to the left, to the front, down, turn left, lean left, lean forward
    "hips": {
        0: (0.0, 0, 0.03, 0, 0, 3),
        1: (0.13, 0, 0.05, 12, 4, 4),
        2: (0.14, 0, 0.03, 0, -2, 3),
        3: (-0.13, 0, 0.05, -12, -4, 4),
        4: (-0.14, 0, 0.03, 0, 2, 3),
        5: (-0.05, 0, 0.07, 0, 0, 2),
        6.5: (0.08, 0, 0.07, 0, 5, 2),
        8: (-0.04, 0, 0.07, 0, -4, 2),
        9: (0.07, 0.05, 0.10, 38, 0, 5),
        10: (-0.07, 0.05, 0.10, -38, 0, 5),
        10.6: (0, 0, 0.10, 0, 0, 6),
        11.3: (0, -0.10, 0.40, 0, 0, 26),
        11.6: (0, -0.09, 0.37, 0, 0, 24),
        12.1: (0, 0, 0.0, 0, 0, 2),
        12.5: (0, 0, -0.17, 0, 0, -4),
        12.9: (0, 0, 0.02, 0, 0, 2),
        13.2: (-0.05, 0, 0.13, 4, -4, 6),
        14: (0.09, 0, 0.07, -6, 6, 2),
        15: (-0.09, 0, 0.07, 6, -6, 2),
        15.5: (0, 0, -0.06, 0, 0, 2),
    },
    # bend forward, lean left, twist left; shared by the three joints of the spine
    "spine": {
        0: (4, 0, 0),
        1: (6, -8, 22),
        2: (4, 4, 0),
        3: (6, 8, -22),
        4: (4, -4, 0),
        5: (0, 0, 0),
        5.6: (0, 7, 0),
        6.5: (0, -7, 0),
        7.4: (0, 7, 0),
        8: (2, 0, 0),
        9: (6, 0, 34),
        10: (6, 0, -34),
        10.6: (6, 0, 0),
        11.3: (20, 0, 0),
        12.1: (0, 0, 0),
        12.5: (-10, 0, 0),
        13.2: (0, 14, -6),
        14: (0, -16, 6),
        15: (0, 16, -6),
        15.5: (2, 0, 0),
    },
    # nod, tilt left, turn left; shared by neck and head
    "head": {
        0: (2, 0, 0),
        1: (2, -6, 24),
        2: (2, 4, 0),
        3: (2, 6, -24),
        4: (2, -4, 0),
        5: (0, 0, -22),
        6.5: (0, 0, 28),
        8: (0, 0, -12),
        9: (2, 0, -22),
        10: (2, 0, 22),
        11.3: (-18, 0, 0),
        12.5: (-16, 0, 0),
        13.2: (-6, 10, 8),
        14: (-6, -12, -8),
        15: (-6, 12, 8),
    },
    # Upper arm: raise (-90 hangs, 0 level, 90 up) and swing (0 outwards, 90 to the front);
    # forearm: the same; all in the frame of the chest.
    "left arm": {
        0: GROOVE,
        1: (4, 20, 62, 40),
        2: CLAP,
        3: (-14, 84, 4, 148),
        4: CLAP,
        5: WIDE,
        8: WIDE,
        8.5: GUARD,
        9: (-36, -40, 52, 70),
        9.5: GUARD,
        10: PUNCH,
        10.6: GROOVE,
        11.3: (-52, 62, -34, 112),
        11.6: (-52, 62, -34, 112),
        12.1: (5, 62, 42, 66),
        12.5: (56, 12, 66, 8),
        13.2: (44, 10, 62, 10),
        14: (70, 40, 52, 150),
        15: (44, 10, 62, 10),
        15.5: (-20, 20, 50, 70),
    },
    "right arm": {
        0: GROOVE,
        1: (-14, 84, 4, 148),
        2: CLAP,
        3: (4, 20, 62, 40),
        4: CLAP,
        5: WIDE,
        8: WIDE,
        8.5: GUARD,
        9: PUNCH,
        9.5: GUARD,
        10: (-36, -40, 52, 70),
        10.6: GROOVE,
        11.3: (-52, 62, -34, 112),
        11.6: (-52, 62, -34, 112),
        12.1: (5, 62, 42, 66),
        12.5: (56, 12, 66, 8),
        13.2: (70, 40, 52, 150),
        14: (44, 10, 62, 10),
        15: (70, 40, 52, 150),
        15.5: (-20, 20, 50, 70),
    },
    # Ball of the foot: to the left, to the front, up; heel up, toes outwards.
    "left foot": {
        0: (0.13, 0.125, 0, 0, 12),
        0.15: (0.14, 0.125, 0, 12, 12),
        0.55: (0.22, 0.13, 0.07, 20, 14),
        0.95: (0.29, 0.125, 0, 0, 16),
        3.1: (0.29, 0.125, 0, 18, 12),
        3.55: (0.15, 0.14, 0.06, 30, 8),
        3.95: (-0.08, 0.15, 0, 32, 8),
        4.15: (-0.08, 0.15, 0, 32, 8),
        4.55: (0.07, 0.14, 0.07, 24, 14),
        4.95: (0.27, 0.125, 0, 0, 20),
        8.5: (0.27, 0.125, 0, 0, 20),
        9: (0.27, 0.125, 0, 0, 30),
        9.5: (0.27, 0.125, 0, 10, 10),
        10: (0.27, 0.125, 0, 38, -14),
        10.6: (0.27, 0.125, 0, 0, 26),
        12.0: (0.27, 0.125, 0, 0, 26),
        12.15: (0.27, 0.125, 0.01, 40, 24),
        12.5: (0.25, 0.10, 0.19, 55, 20),
        12.85: (0.27, 0.125, 0.01, 30, 22),
        13.0: (0.27, 0.125, 0, 0, 22),
        15.0: (0.27, 0.125, 0, 0, 22),
        15.25: (0.26, 0.125, 0.01, 34, 20),
        15.55: (0.20, 0.125, 0.09, 40, 16),
        15.85: (0.13, 0.125, 0.005, 20, 12),
    },
    "right foot": {
        0: (-0.13, 0.125, 0, 0, 12),
        1.1: (-0.13, 0.125, 0, 18, 12),
        1.55: (0.02, 0.14, 0.06, 30, 8),
        1.95: (0.08, 0.15, 0, 32, 8),
        2.15: (0.08, 0.15, 0, 32, 8),
        2.55: (-0.15, 0.14, 0.07, 20, 14),
        2.95: (-0.29, 0.125, 0, 0, 16),
        5.0: (-0.29, 0.125, 0, 8, 16),
        5.4: (-0.28, 0.13, 0.05, 14, 18),
        5.8: (-0.27, 0.125, 0, 0, 20),
        8.5: (-0.27, 0.125, 0, 10, 10),
        9: (-0.27, 0.125, 0, 38, -14),
        9.5: (-0.27, 0.125, 0, 10, 10),
        10: (-0.27, 0.125, 0, 0, 30),
        10.6: (-0.27, 0.125, 0, 0, 26),
        12.0: (-0.27, 0.125, 0, 0, 26),
        12.15: (-0.27, 0.125, 0.01, 40, 24),
        12.5: (-0.25, 0.10, 0.19, 55, 20),
        12.85: (-0.27, 0.125, 0.01, 30, 22),
        13.0: (-0.27, 0.125, 0, 0, 22),
        15.0: (-0.27, 0.125, 0, 0, 22),
        15.25: (-0.26, 0.125, 0.01, 34, 20),
        15.55: (-0.20, 0.125, 0.09, 40, 16),
        15.85: (-0.13, 0.125, 0.005, 20, 12),
    },
    # Fingers curled, fingers spread, wrist bent back.
    "left hand": {
        0: (55, 0, 0),
        1: (12, 10, 0),
        2: (8, 2, 10),
        3: (25, 0, 0),
        4: (8, 2, 10),
        5: (5, 4, 0),
        8: (5, 4, 0),
        8.6: (80, 0, 0),
        10.3: (80, 0, 0),
        11.3: (30, 4, 0),
        12.5: (4, 16, 10),
        14: (10, 10, 10),
        15: (10, 10, 10),
    },
    "right hand": {
        0: (55, 0, 0),
        1: (25, 0, 0),
        2: (8, 2, 10),
        3: (12, 10, 0),
        4: (8, 2, 10),
        5: (5, 4, 0),
        8: (5, 4, 0),
        8.6: (80, 0, 0),
        10.3: (80, 0, 0),
        11.3: (30, 4, 0),
        12.5: (4, 16, 10),
        14: (10, 10, 10),
        15: (10, 10, 10),
    },
}
WAVE = (5.2, 6.6, 8.0)
"""The wave runs from the right hand to the left and back between these beats."""
WAVE_HEIGHT = 0.17
WAVE_WIDTH = 0.24


def interpolate(keys: dict[float, tuple[float, ...]], beats: np.ndarray) -> np.ndarray:
    """Return values (frames, n) between keys, in a loop, never beyond the two keys around.

    Piecewise cubics with slopes limited as Fritsch and Carlson (1980) have it: a value that is
    the same at two keys stays still between them, as a foot on the floor must.
    """
    at = np.array(sorted(keys))
    values = np.array([keys[beat] for beat in sorted(keys)], dtype=np.float64)
    at = np.concatenate([at[-2:] - BEATS, at, at[:2] + BEATS])
    values = np.concatenate([values[-2:], values, values[:2]])
    step = np.diff(at)[:, None]
    rise = np.diff(values, axis=0) / step
    slopes = np.zeros_like(values)
    before, after = rise[:-1], rise[1:]
    weigh_before, weigh_after = step[:-1] + 2 * step[1:], 2 * step[:-1] + step[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weigh_before + weigh_after) / (weigh_before / before + weigh_after / after)
    slopes[1:-1] = np.where(before * after > 0, mean, 0.0)
    piece = np.clip(np.searchsorted(at, beats, side="right") - 1, 0, len(at) - 2)
    width = step[piece]
    u = (beats - at[piece])[:, None] / width
    low, high = values[piece], values[piece + 1]
    return np.asarray(
        (1 + 2 * u) * (1 - u) ** 2 * low
        + u * (1 - u) ** 2 * width * slopes[piece]
        + u**2 * (3 - 2 * u) * high
        + u**2 * (u - 1) * width * slopes[piece + 1]
    )


def about(axis: str, degrees: np.ndarray | float) -> np.ndarray:
    """Return rotations about a world axis: (..., 3, 3)."""
    angle = np.radians(np.asarray(degrees, dtype=np.float64))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.zeros((*angle.shape, 3, 3))
    turn[...] = np.eye(3)
    turn[..., first, first] = turn[..., second, second] = np.cos(angle)
    turn[..., second, first] = np.sin(angle)
    turn[..., first, second] = -np.sin(angle)
    return turn


def bent(forward: np.ndarray, left: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """Return the rotation of a piece of spine: twist last, in the world."""
    return np.asarray(about("z", twist) @ about("y", left) @ about("x", forward))


def swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the shortest rotation (frames, 3, 3) that turns one direction to the other."""
    axis = np.cross(start, end)
    cosine = (start * end).sum(axis=-1)[..., None, None]
    skew = np.zeros((*axis.shape[:-1], 3, 3))
    skew[..., 0, 1], skew[..., 0, 2], skew[..., 1, 2] = -axis[..., 2], axis[..., 1], -axis[..., 0]
    skew = skew - skew.swapaxes(-1, -2)
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cosine))


def direction(raised: np.ndarray, swung: np.ndarray, side: int) -> np.ndarray:
    """Return where an arm points, in the frame of the chest: (frames, 3)."""
    raised, swung = np.radians(raised), np.radians(swung)
    level = np.cos(raised)
    return np.stack([side * level * np.cos(swung), -level * np.sin(swung), np.sin(raised)], axis=1)


def skeleton() -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Return names, parents, heads and tails at rest, parents first."""
    bones: dict[str, tuple[str | None, tuple[float, ...]]] = dict(BODY)
    ends = dict(ENDS)

    def mirrored(name: str) -> str:
        return name.replace("Left", "Right")

    wrist = np.array(BODY["LeftHand"][1])
    for finger, (*joints, tip) in FINGERS.items():
        parent = "LeftHand"
        for number, joint in enumerate(joints, 1):
            name = f"LeftHand{finger}{number}"
            bones[name] = (parent, tuple(wrist + joint))
            parent = name
        along = np.subtract(joints[2], joints[1])
        ends[parent] = tuple(wrist + joints[2] + tip * along / np.linalg.norm(along))
    for name, (above, (x, y, z)) in list(bones.items()):
        if name.startswith("Left"):
            bones[mirrored(name)] = (mirrored(above or ""), (-x, y, z))
    for name, (x, y, z) in list(ends.items()):
        ends[mirrored(name)] = (-x if name.startswith("Left") else x, y, z)
    names = list(bones)
    parents = np.array([names.index(p) if p else -1 for p, _ in bones.values()])
    heads = np.array([head for _, head in bones.values()], dtype=np.float64)
    tails = np.empty_like(heads)
    for bone, name in enumerate(names):
        children = heads[parents == bone]
        tails[bone] = ends.get(name, children.mean(axis=0) if len(children) else heads[bone])
    return names, parents, heads, tails


def dance() -> JointAnimation:
    """Solve the whole dance."""
    names, parents, rest, rest_tails = skeleton()
    beats = np.arange(BEATS * FRAMES_PER_BEAT) / FRAMES_PER_BEAT
    frames = len(beats)
    key = {part: interpolate(keys, beats) for part, keys in MOVES.items()}
    # Every beat is in the knees and in the neck, whatever else goes on; not in the air.
    pulse = 0.5 + 0.5 * np.cos(2 * np.pi * beats)
    key["hips"][:, 2] += 0.030 * pulse * (key["hips"][:, 2] > 0)
    key["head"][:, 0] += 5 * pulse

    turns = np.zeros((frames, len(names), 3, 3))
    index = {name: bone for bone, name in enumerate(names)}
    hips = key["hips"]
    pelvis = about("z", hips[:, 3]) @ about("y", hips[:, 4]) @ about("x", hips[:, 5])
    turns[:, index["Hips"]] = pelvis
    turn = pelvis
    for name in ("Spine", "Spine1", "Spine2"):
        turn = turn @ bent(*key["spine"].T / 3)
        turns[:, index[name]] = turn
    chest = turn
    for name, share in (("Neck", 0.4), ("Head", 0.6)):
        turn = turn @ bent(*key["head"].T * share)
        turns[:, index[name]] = turn
    for side in ("Left", "Right"):
        pose_arm(side, key, beats, chest, turns, index)

    place = np.stack([hips[:, 0], -hips[:, 1], 0.96 - hips[:, 2]], axis=1)
    place[:, 2] = np.minimum(place[:, 2], highest_hips(place, pelvis, key, rest, index))
    for side in ("Left", "Right"):
        pose_leg(side, key, place, pelvis, turns, rest, index)

    heads, tails = np.empty((2, frames, len(names), 3))
    for bone, parent in enumerate(parents):
        if parent < 0:
            heads[:, bone] = place
        else:
            heads[:, bone] = heads[:, parent] + turns[:, parent] @ (rest[bone] - rest[parent])
        tails[:, bone] = heads[:, bone] + turns[:, bone] @ (rest_tails[bone] - rest[bone])
    return JointAnimation(
        names=tuple(names),
        parents=parents,
        heads=heads,
        tails=tails,
        rotations=turns,
        rest_heads=rest,
        rest_tails=rest_tails,
        rest_rotations=np.broadcast_to(np.eye(3), turns.shape[1:]),
        rate=FrameRate(Fraction(RATE)),
    )


def wave_slopes(beats: np.ndarray, side: int) -> tuple[np.ndarray, ...]:
    """Return how far upper arm, forearm and hand are raised by the wave, in degrees."""
    start, middle, end = WAVE
    there = np.where(
        beats < middle, (beats - start) / (middle - start), (end - beats) / (end - middle)
    )
    crest = -0.35 + 1.7 * there  # 0: tips of the right hand; 1: tips of the left hand

    def height(along: float) -> np.ndarray:
        along = 0.5 + 0.5 * side * along
        inside = (beats > start) & (beats < end)
        return WAVE_HEIGHT * inside * np.exp(-(((along - crest) / WAVE_WIDTH) ** 2))

    joints = [height(along) for along in (0.16, 0.52, 0.84, 1.0)]
    return tuple(
        np.degrees(np.arctan2(far - near, length))
        for near, far, length in zip(
            joints, joints[1:], (ARM * 0.7, FOREARM * 0.7, 0.13), strict=False
        )
    )


def pose_arm(
    side: str,
    key: dict[str, np.ndarray],
    beats: np.ndarray,
    chest: np.ndarray,
    turns: np.ndarray,
    index: dict[str, int],
) -> None:
    """Turn collar bone, arm, hand and fingers of one side."""
    sign = 1 if side == "Left" else -1
    arm = key[f"{side.lower()} arm"]
    curl, spread, back = key[f"{side.lower()} hand"].T
    waves = wave_slopes(beats, sign)
    upper = direction(arm[:, 0] + waves[0], arm[:, 1], sign)
    fore = direction(arm[:, 2] + waves[1], arm[:, 3], sign)
    shrug = about("y", -sign * (0.22 * np.maximum(arm[:, 0] + 20, 0) + 0.3 * waves[0]))
    turns[:, index[f"{side}Shoulder"]] = chest @ shrug
    out = np.broadcast_to([sign, 0.0, 0.0], upper.shape)
    upper_turn = swing(out, upper)
    fore_turn = swing(upper, fore) @ upper_turn
    turns[:, index[f"{side}Arm"]] = chest @ upper_turn
    turns[:, index[f"{side}ForeArm"]] = chest @ fore_turn
    hand = chest @ fore_turn @ about("y", -sign * (back + waves[2] - waves[1]))
    turns[:, index[f"{side}Hand"]] = hand
    for number, finger in enumerate(FINGERS):
        fan = about("z", -sign * (number - 2) * spread)
        turn = hand
        for joint, share in enumerate((0.9, 1.1, 0.8), 1):
            if finger == "Thumb":
                bend = about("z", sign * 0.35 * share * curl) @ about("y", sign * 0.3 * curl)
            else:
                bend = about("y", sign * share * curl)
            turn = turn @ (fan @ bend if joint == 1 else bend)
            turns[:, index[f"{side}Hand{finger}{joint}"]] = turn


def ankle(
    side: str, key: dict[str, np.ndarray], rest: np.ndarray, index: dict[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ankle (frames, 3), and the turns of foot and toes."""
    sign = 1 if side == "Left" else -1
    left, front, lift, heel, outwards = key[f"{side.lower()} foot"].T
    level = about("z", sign * outwards)
    foot = level @ about("x", heel)
    in_air = np.clip(lift / 0.05, 0, 1)
    toes = level @ about("x", heel * in_air)
    toe_base, joint = rest[index[f"{side}ToeBase"]], rest[index[f"{side}Foot"]]
    ball = np.stack([left, -front, toe_base[2] + lift], axis=1)
    return ball + foot @ (joint - toe_base), foot, toes


def highest_hips(
    place: np.ndarray,
    pelvis: np.ndarray,
    key: dict[str, np.ndarray],
    rest: np.ndarray,
    index: dict[str, int],
) -> np.ndarray:
    """Return how high the hips may be so that both legs reach the floor: (frames,)."""
    highest = np.full(len(place), np.inf)
    for side in ("Left", "Right"):
        hip, knee, joint = (rest[index[side + name]] for name in ("UpLeg", "Leg", "Foot"))
        length = 0.997 * (np.linalg.norm(knee - hip) + np.linalg.norm(joint - knee))
        goal = ankle(side, key, rest, index)[0]
        offset = pelvis @ (hip - rest[index["Hips"]])
        apart = np.linalg.norm((place + offset - goal)[:, :2], axis=1)
        reach = np.sqrt(np.maximum(length**2 - apart**2, 0))
        highest = np.minimum(highest, goal[:, 2] + reach - offset[:, 2])
    return highest


def pose_leg(
    side: str,
    key: dict[str, np.ndarray],
    place: np.ndarray,
    pelvis: np.ndarray,
    turns: np.ndarray,
    rest: np.ndarray,
    index: dict[str, int],
) -> None:
    """Turn thigh, shin, foot and toes of one side so that the foot is where it is keyed."""
    goal, foot, toes = ankle(side, key, rest, index)
    hip, knee, joint = (rest[index[side + name]] for name in ("UpLeg", "Leg", "Foot"))
    thigh, shin = knee - hip, joint - knee
    start = place + pelvis @ (hip - rest[index["Hips"]])
    way = goal - start
    distance = np.linalg.norm(way, axis=1, keepdims=True)
    way = way / distance
    # The knee points between the toes and the front of the pelvis.
    pole = 2 * foot[:, :, 1] * [1, 1, 0] + pelvis[:, :, 1]
    pole = -pole
    pole = pole - (pole * way).sum(axis=1, keepdims=True) * way
    pole = pole / np.linalg.norm(pole, axis=1, keepdims=True)
    upper, lower = np.linalg.norm(thigh), np.linalg.norm(shin)
    cosine = np.clip((upper**2 + distance**2 - lower**2) / (2 * upper * distance), -1, 1)
    bend = start + upper * (cosine * way + np.sqrt(1 - cosine**2) * pole)
    for name, along, at_rest in (("UpLeg", bend - start, thigh), ("Leg", goal - bend, shin)):
        turns[:, index[side + name]] = frame_of(along, pole) @ frame_of(
            at_rest[None], np.array([[0.0, -1.0, 0.0]])
        ).swapaxes(1, 2)
    turns[:, index[f"{side}Foot"]] = foot
    turns[:, index[f"{side}ToeBase"]] = toes


def frame_of(along: np.ndarray, front: np.ndarray) -> np.ndarray:
    """Return axes (frames, 3, 3) along a leg, to its front, and across."""
    down = along / np.linalg.norm(along, axis=1, keepdims=True)
    front = front - (front * down).sum(axis=1, keepdims=True) * down
    front = front / np.linalg.norm(front, axis=1, keepdims=True)
    return np.stack([down, front, np.cross(down, front)], axis=2)


if __name__ == "__main__":
    default = Path(__file__).parent.parent / "presets" / "motions" / "dance.bvh"
    write_bvh(dance(), Path(sys.argv[1]) if len(sys.argv) > 1 else default, digits=4)
