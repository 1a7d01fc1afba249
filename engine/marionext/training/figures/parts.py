"""Draw the layout of a pose: one plain figure, a fixed colour for each part of the body.

The puppet's control network first learns to paint these, so they stay as they are when the
characters' clothes change.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from marionext.training.figures.bodies import Build
from marionext.training.figures.heads import HEAD
from marionext.training.figures.look import PARTS
from marionext.training.figures.pen import Colour, Picture, mixed

__all__ = ["draw_parts"]

Floats = NDArray[np.float32]

SHIFT = 4
"""Fractional bits of OpenCV's sub-pixel coordinates."""


class _Pen:
    """Draw on a picture in sub-pixel coordinates, thickness in pixels."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    def polygon(self, corners: Floats, colour: Colour) -> None:
        fixed = np.round(corners * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(self.picture, [fixed], colour, cv2.LINE_AA, SHIFT)

    def disc(self, centre: Floats, radius: float, colour: Colour) -> None:
        x, y = (round(float(value) * (1 << SHIFT)) for value in centre)
        cv2.circle(
            self.picture, (x, y), round(radius * (1 << SHIFT)), colour, -1, cv2.LINE_AA, SHIFT
        )

    def ellipse(
        self, centre: Floats, radii: tuple[float, float], degrees: float, colour: Colour
    ) -> None:
        fixed = tuple(round(float(value) * (1 << SHIFT)) for value in centre)
        axes = tuple(round(value * (1 << SHIFT)) for value in radii)
        cv2.ellipse(self.picture, fixed, axes, degrees, 0, 360, colour, -1, cv2.LINE_AA, SHIFT)

    def limb(self, start: Floats, end: Floats, widths: tuple[float, float], colour: Colour) -> None:
        """Draw a tapered limb with round ends and a lighter upper side."""
        along = end - start
        length = float(np.hypot(*along))
        self.disc(start, widths[0] / 2, colour)
        self.disc(end, widths[1] / 2, colour)
        if length < 0.2:
            return
        across = np.array([-along[1], along[0]], np.float32) / length
        one, two = across * widths[0] / 2, across * widths[1] / 2
        self.polygon(np.stack([start + one, end + two, end - two, start - one]), colour)


def _shaded(colour: Colour, share: float = 0.16) -> Colour:
    return mixed(colour, (0, 0, 0), share)


THICK = PARTS.thickness
"""Width of the upper arm in heights."""
ARM = (1.0, 0.85, 0.62)
LEG = (1.45, 1.15, 0.8)
"""Widths at the joints, in widths of the upper arm."""


def draw_parts(picture: Picture, build: Build, body: Floats, depth: Floats, scale: float) -> None:
    """Draw the layout of a pose over a picture, in place.

    Args:
        picture: (h, w, 3) RGB.
        build: proportions; only the head's size is asked for.
        body: (135, 2) keypoints and the centre of the head, in pixels.
        depth: (135,) distance towards the viewer, in heights.
        scale: standing height in pixels.
    """
    pen = _Pen(picture)
    sides = [
        (float(depth[shoulder : shoulder + 3].mean() - depth[1]), shoulder, hand)
        for shoulder, hand in ((2, RIGHT_HAND), (5, LEFT_HAND))
    ]
    sides.sort(key=lambda side: side[0])
    behind = [side for side in sides if side[0] < -0.03]
    before = [side for side in sides if side[0] >= -0.03]
    for _, shoulder, hand in behind:
        _draw_arm(pen, body, shoulder, hand, scale)
    hips = sorted((8, 11), key=lambda hip: float(depth[hip : hip + 3].mean()))
    for index, hip in enumerate(hips):
        heel, toe = (23, 21) if hip == 8 else (20, 18)
        thick = THICK * scale
        pen.limb(body[heel], body[toe], (thick * 0.75, thick * 0.7), PARTS.shoes)
        _draw_limb(pen, body, hip, LEG, scale, PARTS.legs if index else _shaded(PARTS.legs))
    _draw_trunk(pen, body, scale)
    for _, shoulder, hand in before:
        if depth[HEAD] >= depth[shoulder + 2]:
            _draw_arm(pen, body, shoulder, hand, scale)
    _draw_head(pen, build, body, depth, scale)
    for _, shoulder, hand in before:
        if depth[HEAD] < depth[shoulder + 2]:
            _draw_arm(pen, body, shoulder, hand, scale)


def _draw_limb(
    pen: _Pen,
    body: Floats,
    root: int,
    widths: tuple[float, float, float],
    scale: float,
    colour: Colour,
) -> None:
    for part in (1, 0):
        one, two = (width * THICK * scale for width in widths[part : part + 2])
        pen.limb(body[root + part], body[root + part + 1], (one * 1.08, two), colour)


def _draw_arm(pen: _Pen, body: Floats, shoulder: int, hand: slice, scale: float) -> None:
    points = body[hand]
    palm = points[[5, 9, 13, 17]].mean(axis=0)
    pen.limb(points[0], palm, (0.032 * scale, 0.042 * scale), PARTS.skin)
    for finger in range(5):
        start, end = points[4 * finger + 1], points[4 * finger + 4]
        pen.limb(start, end, (0.016 * scale, 0.013 * scale), PARTS.skin)
    _draw_limb(pen, body, shoulder, ARM, scale, PARTS.sleeve)


def _draw_head(pen: _Pen, build: Build, body: Floats, depth: Floats, scale: float) -> None:
    radius = build.head * scale
    centre = body[HEAD]
    facing = float(depth[0] - depth[HEAD]) / build.head
    up = centre - body[1]
    up = up / max(float(np.hypot(*up)), 1e-3)
    degrees = float(np.degrees(np.arctan2(up[0], -up[1])))
    side = (body[0] - centre) / max(radius, 1e-3)
    pen.limb(body[1], centre, (0.055 * scale, 0.05 * scale), _shaded(PARTS.skin))
    crown = centre + up * radius * 0.12 - side * radius * 0.12
    pen.ellipse(crown, (radius * 0.98, radius * 1.05), degrees, PARTS.hair)
    if facing <= 0:
        pen.ellipse(centre, (radius * 0.9, radius), degrees, PARTS.hair)
    face = centre + side * radius * 0.22 - up * radius * 0.14
    if facing > -0.25:
        narrow = 0.84 * (0.72 + 0.28 * min(max(facing, 0.0), 1.0))
        pen.ellipse(face, (radius * narrow, radius * 0.86), degrees, PARTS.skin)
    if facing > 0.15:
        _draw_face(pen, body, radius)


def _draw_face(pen: _Pen, body: Floats, radius: float) -> None:
    points = body[FACE]
    for eye in (points[36:42], points[42:48]):
        across = float(np.hypot(*(eye[3] - eye[0]))) / 2
        if across > radius * 0.05:
            middle = eye.mean(axis=0)
            pen.disc(middle, max(radius * 0.16, 0.5), (245, 245, 245))
            pen.disc(middle, max(radius * 0.1, 0.6), PARTS.eyes)
    lips = points[48:60]
    pen.polygon(lips, mixed(PARTS.skin, (170, 20, 40), 0.75))
    if float(np.ptp(lips[:, 1])) > radius * 0.2:
        pen.polygon(points[60:68], (70, 10, 20))
    pen.disc(body[0], max(radius * 0.09, 0.4), _shaded(PARTS.skin, 0.22))


def _draw_trunk(pen: _Pen, body: Floats, scale: float) -> None:
    thick = THICK * scale
    # Seen from the side shoulders and hips fall together, but a body keeps its depth.
    least = thick * 1.1

    def widened(one: Floats, two: Floats) -> tuple[Floats, Floats]:
        span: Floats = two - one
        if float(np.hypot(*span)) >= least:
            return one, two
        middle = (one + two) / 2
        aside = np.array([least / 2 if span[0] >= 0 else -least / 2, 0], np.float32)
        return (middle - aside).astype(np.float32), (middle + aside).astype(np.float32)

    right, left = widened(body[2], body[5])
    right_hip, left_hip = widened(body[8], body[11])
    for one, two in ((right, right_hip), (left, left_hip)):
        pen.limb(one, two, (thick * 0.95, thick * 1.25), PARTS.top)
    pen.limb(right, left, (thick * 0.95,) * 2, PARTS.top)
    pen.limb(right_hip, left_hip, (thick * 1.25,) * 2, PARTS.legs)
    waist = 0.93
    corners = [right, left, left + (left_hip - left) * waist, right + (right_hip - right) * waist]
    pen.polygon(np.stack(corners), PARTS.top)
