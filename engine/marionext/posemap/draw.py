"""Draw pose maps quickly, pixel by pixel those of `marionext.posemap.plain`.

The map is drawn on a canvas whose shorter side has 2160 pixels and resized to the size of the
video. Almost all of that canvas is black and stays black, so here

* the canvas is kept, and only the tiles that strokes touch are resized and cleared, all at once
  (`marionext.posemap.tiles`);
* limbs are drawn in the dimmed colour, instead of dimming 25 MB afterwards;
* the colours have red and blue in their final places from the start.
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
)
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
from marionext.posemap.tiles import TiledCanvas

__all__ = ["Drawer", "draw"]

_LIMBS = np.array(LIMB_COLOURS, dtype=np.float64)
_JOINTS = np.array(BODY_COLOURS, dtype=np.float64)
_BONES = np.array(HAND_COLOURS, dtype=np.float64)
_HAND_POINT = np.array([HAND_POINT_COLOUR], dtype=np.float64)
_FACE_POINT = np.array([FACE_COLOUR], dtype=np.float64)
_LIMB_STARTS, _LIMB_ENDS = np.array(BODY_LIMBS).T
_BONE_STARTS, _BONE_ENDS = np.array(HAND_BONES).T

_REACH = max(LIMB_HALF_WIDTH, JOINT_RADIUS, FACE_RADIUS) + 2
"""Pixels of the canvas that strokes cover beside their axis or point, rounding included."""


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
        self._tiles = TiledCanvas(size, (width, height))
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
        self._draw_body(pose)
        self._draw_hands(pose)
        self._draw_faces(pose)
        return self._tiles.take()

    def _draw_body(self, pose: NormalisedPose) -> None:
        """Draw limbs, then joints, each through all people before the next one."""
        canvas = self._tiles.canvas
        candidate = (pose.candidate * self._scale).tolist()
        rows = pose.subset.astype(np.int64).tolist()
        scores = pose.body_scores
        starts, ends = scores[:, _LIMB_STARTS], scores[:, _LIMB_ENDS]
        lit = ((starts >= VISIBLE) & (ends >= VISIBLE)).tolist()
        shades = np.trunc(_shades(_LIMBS, starts * ends) * DIM).tolist()
        centres: list[tuple[float, float]] = []
        halves: list[tuple[float, float]] = []
        for limb, (start, end) in enumerate(BODY_LIMBS):
            for person, places in enumerate(rows):
                if not lit[person][limb]:
                    continue
                x0, y0 = candidate[places[start]]
                x1, y1 = candidate[places[end]]
                across, down = x0 - x1, y0 - y1
                half_length = int(math.sqrt(across**2 + down**2) / 2)
                centre = (int((x0 + x1) / 2), int((y0 + y1) / 2))
                angle = int(math.degrees(math.atan2(down, across)))
                outline = cv2.ellipse2Poly(centre, (half_length, LIMB_HALF_WIDTH), angle, 0, 360, 1)
                cv2.fillConvexPoly(canvas, outline, shades[person][limb])
                centres.append(centre)
                # Not towards the joint: a limb is drawn at a whole number of degrees.
                turn = math.radians(angle)
                halves.append((half_length * math.cos(turn), half_length * math.sin(turn)))
        shades = _shades(_JOINTS, scores).tolist()
        for joint in range(len(_JOINTS)):
            for person, places in enumerate(rows):
                if places[joint] >= 0:
                    x, y = candidate[places[joint]]
                    shade = shades[person][joint]
                    cv2.circle(canvas, (int(x), int(y)), JOINT_RADIUS, shade, thickness=-1)
                    centres.append((x, y))
                    halves.append((0.0, 0.0))

        if centres:
            self._tiles.mark_segments(np.array(centres), np.array(halves), _REACH)

    def _draw_hands(self, pose: NormalisedPose) -> None:
        canvas = self._tiles.canvas
        hands = (pose.hands * self._scale).astype(np.int64).tolist()
        scores = pose.hand_scores
        levels = np.trunc(scores[:, _BONE_STARTS] * scores[:, _BONE_ENDS] * 255)
        bone_shades = (_BONES * levels[..., None]).tolist()
        point_shades = _shades(_HAND_POINT, scores).tolist()
        for places, bones, shades in zip(hands, bone_shades, point_shades, strict=True):
            seen = [x >= 1 and y >= 1 for x, y in places]
            for (start, end), shade in zip(HAND_BONES, bones, strict=True):
                if seen[start] and seen[end]:
                    cv2.line(canvas, places[start], places[end], shade, thickness=2)
            for place, shade, visible in zip(places, shades, seen, strict=True):
                if visible:
                    cv2.circle(canvas, place, JOINT_RADIUS, shade, thickness=-1)
            self._touch(places)

    def _draw_faces(self, pose: NormalisedPose) -> None:
        canvas = self._tiles.canvas
        faces = (pose.faces * self._scale).astype(np.int64).tolist()
        face_shades = _shades(_FACE_POINT, pose.face_scores).tolist()
        for places, shades in zip(faces, face_shades, strict=True):
            for place, shade in zip(places, shades, strict=True):
                if place[0] >= 1 and place[1] >= 1:
                    cv2.circle(canvas, place, FACE_RADIUS, shade, thickness=-1)
            self._touch(places)

    def _touch(self, places: list[list[int]]) -> None:
        """Mark the box around the points that are drawn: those right of and below pixel 0."""
        seen = [place for place in places if place[0] >= 1 and place[1] >= 1]
        if seen:
            xs, ys = zip(*seen, strict=True)
            low, high = (min(xs) - _REACH, min(ys) - _REACH), (max(xs) + _REACH, max(ys) + _REACH)
            self._tiles.mark_box(*low, *high)


def _shades(colours: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return colours (n, 3) times confidences (people, n) as `scale_colour` does, all at once."""
    return np.clip(np.trunc(colours * scores[..., None]), 0, 255)
