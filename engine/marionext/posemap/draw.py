"""Draw pose maps quickly, pixel by pixel those of `marionext.posemap.plain`.

The map is drawn on a canvas whose shorter side has 2160 pixels and resized to the size of the
video. Almost all of that canvas is black and stays black, so here

* the canvas is kept, and only the rectangle that was drawn in is resized and cleared;
* that rectangle is widened to whole periods of the resizing (2160 / 576 = 15 / 4: every 4 pixels
  of the map come from 15 of the canvas in the same way), so its pixels come out as they would
  from the whole canvas;
* limbs are drawn in the dimmed colour, instead of dimming 25 MB afterwards;
* the colours have red and blue in their final places from the start.
"""

import math
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import BODY_LIMBS, HAND_BONES
from marionext.posemap.normalised import (
    FACE_RADIUS,
    JOINT_RADIUS,
    LIMB_HALF_WIDTH,
    VISIBLE,
    NormalisedPose,
    canvas_size,
    normalise,
)
from marionext.posemap.palette import (
    BODY_COLOURS,
    DIM,
    FACE_COLOUR,
    HAND_COLOURS,
    HAND_POINT_COLOUR,
    LIMB_COLOURS,
    scale_colour,
)

__all__ = ["Drawer", "draw"]

_ANGLE_ERROR = math.sin(math.radians(1))
"""A limb is drawn at a whole number of degrees: how far its end may stray, per half length."""
_MARGIN = 8
"""Pixels of the canvas that the strokes reach beyond their points, rounding included."""


def draw(
    points: NDArray[np.floating],
    scores: NDArray[np.floating],
    source_size: tuple[int, int],
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Draw the pose map of one frame; for many frames of one size keep a `Drawer`.

    Args:
        points: (people, 134, 2) in pixels of a picture of ``source_size``.
        scores: (people, 134); points with score 0 or less are not drawn.
        source_size: width and height of the picture the points lie in.
        size: width and height of the map.

    Returns:
        (height, width, 3) red, green, blue, in the palette the network was trained on.

    Raises:
        MotionError: the shapes are not these, or a number is not finite.
        SettingsError: a side of ``size`` is less than 1.
    """
    return Drawer(size).draw(points, scores, source_size)


class Drawer:
    """Draws pose maps of one size on a canvas that is kept; not for two threads at once."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Prepare to draw maps of ``size`` (width, height).

        Raises:
            SettingsError: a side is less than 1.
        """
        self.size = size
        width, height = canvas_size(size)
        self._canvas = np.zeros((height, width, 3), dtype=np.uint8)
        self._columns = _Axis(size[0], width)
        self._rows = _Axis(size[1], height)
        self._scale = np.array([width, height], dtype=np.float64)

    def draw(
        self,
        points: NDArray[np.floating],
        scores: NDArray[np.floating],
        source_size: tuple[int, int],
    ) -> NDArray[np.uint8]:
        """Draw the map of one frame as `draw` does; the array is a new one every time."""
        return self.draw_normalised(normalise(points, scores, source_size))

    def draw_normalised(self, pose: NormalisedPose) -> NDArray[np.uint8]:
        """Draw the map of one frame from a pose in fractions of the picture."""
        width, height = self.size
        drawn = np.zeros((height, width, 3), dtype=np.uint8)
        reach = _Reach()
        self._draw_body(pose, reach)
        self._draw_hands(pose, reach)
        self._draw_faces(pose, reach)
        if reach.empty:
            return drawn
        left, right, source_left, source_right = self._columns.widen(reach.left, reach.right)
        top, bottom, source_top, source_bottom = self._rows.widen(reach.top, reach.bottom)
        if left < right and top < bottom:
            dirty = self._canvas[source_top:source_bottom, source_left:source_right]
            drawn[top:bottom, left:right] = cv2.resize(dirty, (right - left, bottom - top))
            dirty[...] = 0
        return drawn

    def _draw_body(self, pose: NormalisedPose, reach: "_Reach") -> None:
        """Draw limbs, then joints, each through all people before the next one."""
        canvas = self._canvas
        candidate = (pose.candidate * self._scale).tolist()
        rows = pose.subset.astype(np.int64).tolist()
        people = list(zip(rows, pose.body_scores.tolist(), strict=True))
        for colour, (start, end) in zip(LIMB_COLOURS, BODY_LIMBS, strict=True):
            for places, scores in people:
                if scores[start] < VISIBLE or scores[end] < VISIBLE:
                    continue
                x0, y0 = candidate[places[start]]
                x1, y1 = candidate[places[end]]
                across, down = x0 - x1, y0 - y1
                half_length = int(math.sqrt(across**2 + down**2) / 2)
                x, y = int((x0 + x1) / 2), int((y0 + y1) / 2)
                angle = int(math.degrees(math.atan2(down, across)))
                outline = cv2.ellipse2Poly((x, y), (half_length, LIMB_HALF_WIDTH), angle, 0, 360, 1)
                shade = scale_colour(colour, scores[start] * scores[end])
                shade = tuple(int(channel * DIM) for channel in shade)  # type: ignore[assignment]
                cv2.fillConvexPoly(canvas, outline, shade)
                stray = half_length * _ANGLE_ERROR
                half_width, half_height = abs(across) / 2 + stray, abs(down) / 2 + stray
                reach.add(x - half_width, y - half_height)
                reach.add(x + half_width, y + half_height)
        for joint, colour in enumerate(BODY_COLOURS):
            for places, scores in people:
                if places[joint] >= 0:
                    x, y = candidate[places[joint]]
                    shade = scale_colour(colour, scores[joint])
                    cv2.circle(canvas, (int(x), int(y)), JOINT_RADIUS, shade, thickness=-1)
                    reach.add(x, y)

    def _draw_hands(self, pose: NormalisedPose, reach: "_Reach") -> None:
        canvas = self._canvas
        hands = (pose.hands * self._scale).astype(np.int64)
        reach.add_all(hands)
        for places, scores in zip(hands.tolist(), pose.hand_scores.tolist(), strict=True):
            seen = [x >= 1 and y >= 1 for x, y in places]
            for (start, end), (red, green, blue) in zip(HAND_BONES, HAND_COLOURS, strict=True):
                if seen[start] and seen[end]:
                    level = int(scores[start] * scores[end] * 255)
                    shade = (red * level, green * level, blue * level)
                    cv2.line(canvas, places[start], places[end], shade, thickness=2)
            for place, score, visible in zip(places, scores, seen, strict=True):
                if visible:
                    shade = scale_colour(HAND_POINT_COLOUR, score)
                    cv2.circle(canvas, place, JOINT_RADIUS, shade, thickness=-1)

    def _draw_faces(self, pose: NormalisedPose, reach: "_Reach") -> None:
        canvas = self._canvas
        faces = (pose.faces * self._scale).astype(np.int64)
        reach.add_all(faces)
        for places, scores in zip(faces.tolist(), pose.face_scores.tolist(), strict=True):
            for (x, y), score in zip(places, scores, strict=True):
                if x >= 1 and y >= 1:
                    shade = scale_colour(FACE_COLOUR, score)
                    cv2.circle(canvas, (x, y), FACE_RADIUS, shade, thickness=-1)


class _Reach:
    """The part of the canvas that points have been drawn to."""

    __slots__ = ("bottom", "left", "right", "top")

    def __init__(self) -> None:
        self.left = self.top = math.inf
        self.right = self.bottom = -math.inf

    @property
    def empty(self) -> bool:
        """Tell whether nothing has been drawn."""
        return self.left > self.right

    def add(self, x: float, y: float) -> None:
        """Take in one point."""
        self.left, self.right = min(self.left, x), max(self.right, x)
        self.top, self.bottom = min(self.top, y), max(self.bottom, y)

    def add_all(self, places: NDArray[np.int64]) -> None:
        """Take in the points (..., 2) that are drawn: those right of and below the first pixel."""
        seen = places[(places >= 1).all(axis=-1)]
        if len(seen):
            self.add(*seen.min(axis=0).tolist())
            self.add(*seen.max(axis=0).tolist())


class _Axis:
    """How one axis of the canvas is resized, and where it may be cut without a trace.

    OpenCV computes where an output pixel samples its input in single precision. That is exact,
    and so the same in every period, when the ratio is a dyadic fraction; where it is not, the
    axis is resized as a whole. Below a ratio of 2 samples would reach across a cut.
    """

    def __init__(self, target: int, source: int) -> None:
        """Take the lengths of the axis in pixels of the map and of the canvas."""
        ratio = Fraction(source, target)
        periodic = ratio >= 2 and ratio.denominator & (ratio.denominator - 1) == 0
        self._target, self._source = target, source
        self._period = ratio.denominator if periodic else target
        self._source_period = ratio.numerator if periodic else source

    def widen(self, low: float, high: float) -> tuple[int, int, int, int]:
        """Return start and stop in the map, and in the canvas, of whole periods around a span."""
        first = int(max(low - _MARGIN, 0)) // self._source_period
        last = int(min(max(high + _MARGIN, -1), self._source - 1)) // self._source_period
        return (
            first * self._period,
            min((last + 1) * self._period, self._target),
            first * self._source_period,
            min((last + 1) * self._source_period, self._source),
        )
