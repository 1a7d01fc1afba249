"""A pose map drawn step by step, as it is defined: the yardstick that `draw` is held against.

Nothing here is quick: a canvas of 25 MB is made, dimmed as a whole and resized as a whole for
every frame. Use `marionext.posemap.draw`; tests and the benchmark compare the two pixel by pixel.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.pose.palette import (
    BODY_COLOURS,
    DIM,
    FACE_COLOUR,
    HAND_COLOURS,
    HAND_POINT_COLOUR,
    LIMB_COLOURS,
    scale_colour,
)
from marionext.pose.skeleton import BODY_LIMBS, HAND_BONES
from marionext.posemap.normalised import (
    FACE_RADIUS,
    JOINT_RADIUS,
    LIMB_HALF_WIDTH,
    VISIBLE,
    NormalisedPose,
    canvas_size,
)

__all__ = ["draw_plain"]


def draw_plain(pose: NormalisedPose, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw a pose map of ``size`` (width, height) as (height, width, 3) red, green, blue."""
    width, height = canvas_size(size)
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    scale = np.array([width, height], dtype=np.float64)
    _draw_limbs(canvas, pose, scale)
    canvas = (canvas * DIM).astype(np.uint8)
    _draw_joints(canvas, pose, scale)
    _draw_hands(canvas, pose, scale)
    _draw_faces(canvas, pose, scale)
    return np.asarray(cv2.resize(canvas, size), dtype=np.uint8)


def _draw_limbs(
    canvas: NDArray[np.uint8], pose: NormalisedPose, scale: NDArray[np.float64]
) -> None:
    for colour, limb in zip(LIMB_COLOURS, BODY_LIMBS, strict=True):
        for rows, scores in zip(pose.subset, pose.body_scores, strict=True):
            first, second = (float(scores[joint]) for joint in limb)
            if first < VISIBLE or second < VISIBLE:
                continue
            (x0, y0), (x1, y1) = pose.candidate[[int(rows[joint]) for joint in limb]] * scale
            outline = cv2.ellipse2Poly(
                (int((x0 + x1) / 2), int((y0 + y1) / 2)),
                (int(math.sqrt((x0 - x1) ** 2 + (y0 - y1) ** 2) / 2), LIMB_HALF_WIDTH),
                int(math.degrees(math.atan2(y0 - y1, x0 - x1))),
                0,
                360,
                1,
            )
            cv2.fillConvexPoly(canvas, outline, scale_colour(colour, first * second))


def _draw_joints(
    canvas: NDArray[np.uint8], pose: NormalisedPose, scale: NDArray[np.float64]
) -> None:
    for joint, colour in enumerate(BODY_COLOURS):
        for rows, scores in zip(pose.subset, pose.body_scores, strict=True):
            if int(rows[joint]) < 0:
                continue
            x, y = pose.candidate[int(rows[joint])] * scale
            shade = scale_colour(colour, float(scores[joint]))
            cv2.circle(canvas, (int(x), int(y)), JOINT_RADIUS, shade, thickness=-1)


def _draw_hands(
    canvas: NDArray[np.uint8], pose: NormalisedPose, scale: NDArray[np.float64]
) -> None:
    for hand, scores in zip(pose.hands, pose.hand_scores, strict=True):
        places = [(int(x), int(y)) for x, y in hand * scale]
        for (start, end), hue in zip(HAND_BONES, HAND_COLOURS, strict=True):
            if min(*places[start], *places[end]) >= 1:
                score = float(scores[start] * scores[end])
                shade = tuple(channel * int(score * 255) for channel in hue)
                cv2.line(canvas, places[start], places[end], shade, thickness=2)
        for place, score in zip(places, scores.tolist(), strict=True):
            if min(place) >= 1:
                shade = scale_colour(HAND_POINT_COLOUR, score)
                cv2.circle(canvas, place, JOINT_RADIUS, shade, thickness=-1)


def _draw_faces(
    canvas: NDArray[np.uint8], pose: NormalisedPose, scale: NDArray[np.float64]
) -> None:
    for face, scores in zip(pose.faces, pose.face_scores, strict=True):
        for (x, y), score in zip(face * scale, scores.tolist(), strict=True):
            if int(x) >= 1 and int(y) >= 1:
                grey = scale_colour(FACE_COLOUR, score)
                cv2.circle(canvas, (int(x), int(y)), FACE_RADIUS, grey, thickness=-1)
