"""Invent dances: random three-dimensional motion of a figure, as the 134 keypoints.

A puppet's body is a handful of smooth random signals (joint angles, a turn, sways and steps).
Each signal mixes slow sinusoids with poses that are held and changed on a beat, as dancers do.
The body is posed in three dimensions and seen from the front by a parallel projection, so that
turning, foreshortening and limbs in front of or behind the trunk come out right.

Axes: x to the picture's right, y up, z towards the viewer; a figure that faces the viewer has
its own right hand at smaller x, as in OpenPose.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import FACE, FEET, LEFT_HAND, POINT_COUNT, RIGHT_HAND
from marionext.training.bodies import Build, feet_points, hand_points, head_layout, unit

__all__ = [
    "Steps",
    "at_ease",
    "pose_figure",
    "random_steps",
]

Floats = NDArray[np.float32]

RIGHT, LEFT = -1.0, 1.0
"""Which way a side of the body lies along x when the figure faces the viewer."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Joint angles and displacements over time, each of shape (frames,) or (frames, sides)."""

    turn: Floats
    """Rotation about the vertical in radians; 0 faces the viewer, positive to its own right."""
    lean: Floats
    bend: Floats
    head_turn: Floats
    head_tilt: Floats
    raise_: Floats
    """(frames, 2) upper arms away from hanging down, right then left, 0 to pi."""
    swing: Floats
    """(frames, 2) upper arms to the front, about -0.5 to 1.5."""
    elbow: Floats
    """(frames, 2) elbow flexion, 0 to 2.5."""
    elbow_turn: Floats
    """(frames, 2) where the elbow bends to: 0 to the front, positive upwards."""
    spread: Floats
    """(frames, 2) legs sideways."""
    kick: Floats
    """(frames, 2) thighs to the front."""
    knee: Floats
    """(frames, 2) knee flexion, 0 to 2."""
    twist: Floats
    """(frames, 2) how far the hands turn about the forearms; 0 shows the viewer their backs."""
    fingers: Floats
    """(frames, 2, 5) each finger: 0 is bent into the fist, 1 is stretched out."""
    mouth: Floats
    """Opening of the mouth, 0 to 1."""
    smile: Floats
    """Corners of the mouth, -1 down to 1 up."""
    blink: Floats
    """Eyes: 0 open, 1 shut."""
    shift: Floats
    """(frames, 2) displacement of the hips to the right and upwards, in heights."""

    def without(self, *, hands: bool, face: bool) -> "Steps":
        """Return a copy whose fingers, or face, keep still: a map without them tells nothing."""
        still = self
        if hands:
            still = replace(
                still,
                fingers=np.full_like(self.fingers, 0.75),
                twist=np.full_like(self.twist, 0.5),
            )
        if face:
            still = replace(
                still,
                mouth=np.full_like(self.mouth, 0.2),
                smile=np.zeros_like(self.smile),
                blink=np.zeros_like(self.blink),
            )
        return still


def _signal(
    rng: np.random.Generator,
    seconds: NDArray[np.float64],
    low: float,
    high: float,
    *,
    beat: float,
    sides: int = 0,
) -> Floats:
    """Draw a smooth random signal between two values.

    Args:
        rng: the source of chance.
        seconds: (frames,) points in time, in any order and distance.
        low: least value.
        high: greatest value.
        beat: length of a beat in seconds.
        sides: 0 for one signal, else the number of independent ones.

    Returns:
        (frames,) or (frames, sides).
    """
    columns = max(sides, 1)
    period = rng.uniform(1.2, 4.0, (columns, 3)) * beat
    waves = np.sin(
        2 * np.pi * (seconds[:, None, None] / period + rng.uniform(0, 1, (columns, 3)))
    ).mean(axis=2)
    # Key poses on the beat. One draw covers a span far longer than a clip: frame times wrap.
    keys = rng.beta(0.7, 0.7, (64, columns))
    place = seconds / beat + rng.uniform(0, 1)
    index = np.floor(place).astype(int)
    ease = np.clip((place - index) / rng.uniform(0.45, 1.0), 0, 1)
    ease = (ease * ease * (3 - 2 * ease))[:, None]
    held = keys[index % 64] * (1 - ease) + keys[(index + 1) % 64] * ease
    share = rng.uniform(0.0, 1.0, columns) ** 0.7
    value = (1 - share) * (0.5 + 0.75 * waves) + share * held
    result: Floats = (low + (high - low) * np.clip(value, 0, 1)).astype(np.float32)
    return result if sides else result[:, 0]


def random_steps(rng: np.random.Generator, seconds: NDArray[np.float64]) -> Steps:
    """Invent a dance and sample it at the given times.

    Args:
        rng: the source of chance; the number of draws does not depend on ``seconds``.
        seconds: (frames,) points in time.
    """
    beat = rng.uniform(0.35, 0.8)
    energy = rng.uniform(0.35, 1.0)

    def signal(low: float, high: float, sides: int = 0) -> Floats:
        return _signal(rng, seconds, low, high, beat=beat, sides=sides)

    kind = rng.uniform()
    widest = 0.35 if kind < 0.5 else 1.3
    # Most dance for the viewer; some to the side, some with their back to us.
    aside = rng.uniform(-np.pi, np.pi) if 0.4 < kind < 0.5 or 0.8 < kind < 0.9 else 0.0
    turn = signal(-widest, widest) + np.float32(rng.uniform(-0.25, 0.25) + aside)
    if kind > 0.9:  # a full turn now and then
        turn = turn + (rng.choice([-1, 1]) * seconds / rng.uniform(1, 3) * 2).astype(np.float32)
    else:
        rng.choice([-1, 1]), rng.uniform(1, 3)
    top = rng.choice([1.0, 1.9, 2.9], p=[0.25, 0.35, 0.4])
    mirrored = rng.uniform() < 0.35
    raise_, swing = signal(0.08, top, 2), signal(-0.5, 0.9, 2) * np.float32(energy)
    elbow, elbow_turn = signal(0.0, 2.2, 2), signal(-0.6, 1.4, 2)
    if mirrored:
        raise_[:, 1], swing[:, 1] = raise_[:, 0], swing[:, 0]
        elbow[:, 1], elbow_turn[:, 1] = elbow[:, 0], elbow_turn[:, 0]
    kick = signal(-0.25, 0.3 + 0.6 * energy, 2)
    legs = np.float32(energy)
    crouch = signal(0, 0.8) * legs
    return Steps(
        turn=turn.astype(np.float32),
        lean=signal(-0.35, 0.35) * legs,
        bend=signal(-0.1, 0.3) * legs,
        head_turn=signal(-0.6, 0.6),
        head_tilt=signal(-0.3, 0.3),
        raise_=raise_,
        swing=swing,
        elbow=elbow,
        elbow_turn=elbow_turn,
        spread=signal(0.02, 0.12 + 0.4 * energy, 2),
        kick=kick * legs + crouch[:, None] * 0.5,
        knee=signal(0.0, 0.9, 2) * legs * np.clip(kick + 0.4, 0, 1) + crouch[:, None],
        twist=signal(-0.6, 2.2, 2),
        fingers=_gestures(rng, signal(-0.3, 1.3, 2).clip(0, 1)),
        mouth=signal(0, 1),
        smile=signal(-0.6, 1.0),
        blink=np.clip(signal(-4.0, 1.4), 0, 1),
        shift=np.stack([signal(-0.09, 0.09), signal(-0.01, 0.03) + _jumps(rng, seconds, beat)], 1)
        * legs,
    )


def _jumps(rng: np.random.Generator, seconds: NDArray[np.float64], beat: float) -> Floats:
    """Return the height of jumps on every second or fourth beat, in a few dances: (frames,)."""
    high, every = rng.uniform(0.05, 0.16) * (rng.uniform() < 0.15), rng.choice([2, 4])
    place = (seconds / beat + rng.uniform(0, 4)) % every
    flight = np.clip(1 - np.square(2 * place - 1), 0, None)
    return np.asarray(high * flight, np.float32)


_GESTURES = np.array(
    [[1, 1, 1, 1, 1], [0.3, 1, 0, 0, 0], [0.2, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 1],
     [0, 0, 0, 0, 0], [0.6, 0.9, 0.8, 0.7, 0.6]], np.float32
)  # fmt: skip
"""Which fingers are stretched: open, pointing, victory, thumb up, horns, fist, relaxed."""


def _gestures(rng: np.random.Generator, openness: Floats) -> Floats:
    """Let each hand change between two gestures: (frames, 2, 5) from (frames, 2)."""
    weights = [0.46, 0.1, 0.1, 0.06, 0.04, 0.08, 0.16]
    one = _GESTURES[rng.choice(len(_GESTURES), 2, p=weights)]
    other = _GESTURES[rng.choice(len(_GESTURES), 2, p=[0.2, 0.1, 0.1, 0.05, 0.05, 0.4, 0.1])]
    share = openness[..., None]
    return np.asarray(one * share + other * (1 - share), np.float32)


def at_ease(rng: np.random.Generator) -> Steps:
    """Return the steps of one frame: someone who stands facing the viewer, arms a little away."""
    steps = random_steps(rng, np.zeros(1))
    calm = {field.name: getattr(steps, field.name) * np.float32(0.15) for field in fields(steps)}
    calm["raise_"] = rng.uniform(0.15, 0.6, (1, 2)).astype(np.float32)
    calm["elbow"] = rng.uniform(0.0, 0.4, (1, 2)).astype(np.float32)
    calm["spread"] = rng.uniform(0.05, 0.2, (1, 2)).astype(np.float32)
    calm["fingers"] = rng.uniform(0.5, 1.0, (1, 2, 1)).astype(np.float32) * np.ones(5, np.float32)
    calm["turn"] = np.clip(steps.turn, -2, 2) * np.float32(0.15)
    calm["knee"] = np.zeros((1, 2), np.float32)
    calm["kick"] = np.zeros((1, 2), np.float32)
    return Steps(**calm)


def _rotated(points: Floats, angle: Floats, axis: int) -> Floats:
    """Rotate (frames, ..., 3) about axis 0, 1 or 2 by (frames,) angles."""
    one, two = [(1, 2), (2, 0), (0, 1)][axis]
    shape = (-1,) + (1,) * (points.ndim - 2)
    cos, sin = np.cos(angle).reshape(shape), np.sin(angle).reshape(shape)
    result = points.copy()
    result[..., one] = cos * points[..., one] - sin * points[..., two]
    result[..., two] = sin * points[..., one] + cos * points[..., two]
    return result


def _arm(build: Build, steps: Steps, side: int, sign: float) -> tuple[Floats, Floats, Floats]:
    """Return elbow, wrist (from the shoulder) and the direction of the forearm."""
    up, forward = steps.raise_[:, side], steps.swing[:, side]
    hanging = np.stack([sign * np.sin(up) * np.cos(forward), -np.cos(up), np.sin(forward)], -1)
    upper = unit(hanging.astype(np.float32)).astype(np.float32)
    turn = steps.elbow_turn[:, side]
    # The forearm folds to the front and inwards, more or less upwards.
    aim = np.stack([-0.35 * sign * np.cos(turn), np.sin(turn), np.cos(turn)], -1)
    across = unit(aim - (aim * upper).sum(-1, keepdims=True) * upper)
    bend = steps.elbow[:, side, None]
    lower = (np.cos(bend) * upper + np.sin(bend) * across).astype(np.float32)
    elbow: Floats = build.upper_arm * upper
    return elbow, elbow + build.forearm * lower, lower


def pose_figure(build: Build, steps: Steps) -> Floats:
    """Pose the body.

    Returns:
        (frames, 135, 3) in heights around the standing hip centre, y up. Points 0 to 133 are the
        keypoints, the last is the centre of the head.
    """
    frames = len(steps.turn)
    points = np.zeros((frames, POINT_COUNT + 1, 3), np.float32)
    spine = np.zeros((frames, 3), np.float32)
    spine[:, 1] = build.trunk
    spine = _rotated(_rotated(spine, steps.bend, 0), -steps.lean, 2)
    points[:, 1] = spine
    for side, (sign, shoulder, hip, hand) in enumerate(
        ((RIGHT, 2, 8, RIGHT_HAND), (LEFT, 5, 11, LEFT_HAND))
    ):
        line = np.zeros((frames, 3), np.float32)
        line[:, 0] = sign * build.shoulder
        joint = spine + _rotated(line, -steps.lean, 2)
        elbow, wrist, lower = _arm(build, steps, side, sign)
        points[:, shoulder], points[:, shoulder + 1] = joint, joint + elbow
        points[:, shoulder + 2] = joint + wrist
        points[:, hand] = (joint + wrist)[:, None] + hand_points(
            build, lower, steps.twist[:, side], steps.fingers[:, side], sign
        )
        points[:, hip, 0] = sign * build.hip
        out, kick, knee = steps.spread[:, side], steps.kick[:, side], steps.knee[:, side]
        for index, (length, flexion) in enumerate(((build.thigh, kick), (build.shin, kick - knee))):
            step = np.stack(
                [
                    sign * np.sin(out) * np.cos(flexion),
                    -np.cos(out) * np.cos(flexion),
                    np.sin(flexion),
                ],
                -1,
            )
            points[:, hip + index + 1] = points[:, hip + index] + length * step
    hips = points[:, 11] - points[:, 8]
    for sign, hip, foot in ((RIGHT, 8, FEET.start + 3), (LEFT, 11, FEET.start)):
        points[:, foot : foot + 3] = feet_points(
            build, hips, points[:, hip + 1], points[:, hip + 2], sign
        )
    head = np.repeat(head_layout(build.likeness)[None], frames, 0)
    lower_lip = [55, 56, 57, 58, 59, 65, 66, 67]
    head[:, lower_lip, 1] -= 0.14 * steps.mouth[:, None]
    head[:, [48, 54, 60, 64], 1] += 0.05 * steps.smile[:, None]
    lids, low = [37, 38, 43, 44], [41, 40, 47, 46]
    head[:, lids, 1] += (head[:, low, 1] - head[:, lids, 1]) * steps.blink[:, None]
    head = _rotated(_rotated(head, steps.head_turn, 1), steps.head_tilt, 2) * build.head
    middle = np.zeros((frames, 3), np.float32)
    middle[:, 1] = build.neck
    middle = spine + _rotated(middle, -steps.lean + steps.head_tilt * 0.4, 2)
    head += middle[:, None]
    points[:, FACE] = head[:, :68]
    points[:, [0, 14, 15, 16, 17, POINT_COUNT]] = head[:, 68:]
    # Keep the lower foot on the floor, then jump or sink by what the steps say.
    feet = points[:, [10, 13], 1].min(axis=1)
    points[..., 1] -= (feet + build.thigh + build.shin)[:, None]
    points[..., :2] += steps.shift[:, None]
    return _rotated(points, -steps.turn, 1)
