"""A body's joint angles over time, and the keypoints they make.

The body is posed in three dimensions, so that turning, foreshortening and limbs in front of or
behind the trunk come out right. Axes: x to the picture's right, y up, z towards the viewer; a
figure that faces the viewer has its own right hand at smaller x, as in OpenPose.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import FACE, FEET, LEFT_HAND, POINT_COUNT, RIGHT_HAND
from marionext.training.figures.bodies import Build, feet_points, hand_points, head_layout, unit

__all__ = ["Steps", "pose_figure"]

Floats = NDArray[np.float32]

RIGHT, LEFT = -1.0, 1.0
"""Which way a side of the body lies along x when the figure faces the viewer."""

_UPPER = [*range(8), 14, 15, 16, 17, *range(FACE.start, POINT_COUNT + 1)]
"""Points above the waist."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Joint angles and displacements over time, each of shape (frames,) or (frames, sides)."""

    turn: Floats
    """Rotation about the vertical in radians; 0 faces the viewer, positive to its own right."""
    wring: Floats
    """How far the shoulders turn against the hips, positive to their own right."""
    lean: Floats
    """Of the trunk to its own right."""
    bend: Floats
    """Of the trunk to the front."""
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
        """Return a copy whose fingers, or face, keep still, for a map that does not show them."""
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
    points[:, _UPPER] = _rotated(points[:, _UPPER], -steps.wring, 1)
    # Keep the lower foot on the floor, then jump or sink by what the steps say.
    feet = points[:, [10, 13], 1].min(axis=1)
    points[..., 1] -= (feet + build.thigh + build.shin)[:, None]
    points[..., :2] += steps.shift[:, None]
    return _rotated(points, -steps.turn, 1)
