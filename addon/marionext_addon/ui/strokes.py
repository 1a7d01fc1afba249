# SPDX-License-Identifier: GPL-3.0-or-later
"""Keypoints as triangles: what the overlay draws, as plain arrays.

Lines and discs are made of triangles here, because the graphics drivers under Blender differ in
how wide a line may be. Numpy only: tested without a window.

What the model will be shown is drawn solid, in the colours of the pose map. What is hidden from
the camera is drawn faint: limbs dashed, joints as rings.
"""

import numpy as np
from numpy.typing import NDArray

from marionext.pose.palette import BODY_COLOURS, LIMB_COLOURS
from marionext.pose.skeleton import (
    BODY,
    BODY_LIMBS,
    FACE,
    HAND_BONES,
    LEFT_HAND,
    RIGHT_HAND,
    SEEN_SCORE,
)

__all__ = ["Strokes", "figure_strokes", "frame_strokes", "to_region", "together"]

Floats = NDArray[np.float64]
Strokes = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Corners of triangles (3 n, 2) in pixels and their colours (3 n, 4), 0 to 1."""

_LIMB, _BONE, _FRAME = 3.5, 1.5, 1.5
"""Widths in pixels at Blender's usual resolution scale."""
_JOINT, _HAND_POINT, _FACE_POINT = 4.5, 2.0, 1.6
"""Radii."""
_FAINT = 0.45
_DASH, _GAP = 6.0, 5.0
_SIDES = 12

_LIMB_ENDS = np.array(BODY_LIMBS)
_BONE_ENDS = np.concatenate([np.array(HAND_BONES) + part.start for part in (LEFT_HAND, RIGHT_HAND)])
_LIMB_COLOURS = np.array(LIMB_COLOURS) / 255
_JOINT_COLOURS = np.array(BODY_COLOURS) / 255
_turn = np.arange(2 * len(HAND_BONES))[:, None] / len(HAND_BONES) * 2 * np.pi
_BONE_COLOURS = 0.6 + 0.4 * np.cos(_turn + np.array([0.0, 2.1, 4.2]))
"""The map's own colours for fingers are close to black: these are for people."""
_WHITE = np.ones(3)
_ANGLES = np.linspace(0, 2 * np.pi, _SIDES + 1)
_ROUND = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def to_region(
    places: Floats, matrix: Floats, size: tuple[int, int]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return where points of the world are in a region, and which are before the viewer.

    Args:
        places: (points, 3).
        matrix: (4, 4), the region's ``perspective_matrix``.
        size: width and height of the region in pixels.

    Returns:
        Pixels (points, 2) from the lower left corner, and (points,).
    """
    seen = places @ matrix[:, :3].T + matrix[:, 3]
    before = seen[:, 3] > 1e-6
    plane = seen[:, :2] / np.where(before, seen[:, 3], 1)[:, None]
    return (plane + 1) * (np.array(size) / 2), before


def figure_strokes(
    points: Floats, scores: NDArray[np.floating], drawable: NDArray[np.bool_], *, scale: float = 1.0
) -> Strokes:
    """Return one person's limbs and points.

    Args:
        points: (134, 2) in pixels of the region.
        scores: (134,), as the camera of the shot sees them.
        drawable: (134,): which points exist and lie before the viewer.
        scale: of the user interface.
    """
    seen = scores >= SEEN_SCORE
    parts: list[Strokes] = []
    for ends, colours, width in (
        (_BONE_ENDS, _BONE_COLOURS, _BONE),
        (_LIMB_ENDS, _LIMB_COLOURS, _LIMB),
    ):
        there = drawable[ends].all(axis=1)
        open_ = seen[ends].all(axis=1)
        parts += [
            _lines(points[ends[there & open_]], colours[there & open_], 0.9, width * scale),
            _dashes(points[ends[there & ~open_]], colours[there & ~open_], width * scale, scale),
        ]
    hands = np.r_[LEFT_HAND.start : RIGHT_HAND.stop]
    face = np.r_[FACE.start : FACE.stop]
    for indices, radius in ((hands, _HAND_POINT), (face, _FACE_POINT)):
        chosen = indices[drawable[indices]]
        opacity = np.where(seen[chosen], 0.95, _FAINT)
        white = np.broadcast_to(_WHITE, (len(chosen), 3))
        parts.append(_discs(points[chosen], white, opacity, radius * scale, sides=4))
    body = np.arange(BODY.start, BODY.stop)
    chosen = body[drawable[body] & seen[body]]
    parts.append(
        _discs(points[chosen], _JOINT_COLOURS[chosen], np.ones(len(chosen)), _JOINT * scale)
    )
    chosen = body[drawable[body] & ~seen[body]]
    parts.append(_rings(points[chosen], _JOINT_COLOURS[chosen], _JOINT * scale, scale))
    return together(parts)


def frame_strokes(corners: Floats, *, scale: float = 1.0) -> Strokes:
    """Return the outline of the picture that will be rendered, dashed.

    Args:
        corners: (4, 2) in pixels of the region, in order.
        scale: of the user interface.
    """
    sides = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    colours = np.broadcast_to(np.array([1.0, 0.85, 0.3]), (4, 3))
    return _dashes(sides, colours, _FRAME * scale, scale, opacity=0.9)


def together(parts: list[Strokes]) -> Strokes:
    """Join strokes; later ones are drawn over earlier ones."""
    return (
        np.concatenate([corners for corners, _ in parts]).astype(np.float32),
        np.concatenate([colours for _, colours in parts]).astype(np.float32),
    )


def _coloured(colours: Floats, opacity: Floats | float, corners: int) -> Floats:
    """Return (shapes * corners, 4)."""
    alpha = np.broadcast_to(np.asarray(opacity, dtype=np.float64), len(colours))
    return np.repeat(np.concatenate([colours, alpha[:, None]], axis=1), corners, axis=0)


def _lines(ends: Floats, colours: Floats, opacity: float, width: float) -> Strokes:
    """Return each line as two triangles; ``ends`` is (lines, 2, 2)."""
    along = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    across = along[:, ::-1] * [-1, 1] / np.maximum(length, 1e-6) * (width / 2)
    corners = np.stack(
        [ends[:, 0] + across, ends[:, 0] - across, ends[:, 1] + across,
         ends[:, 1] + across, ends[:, 0] - across, ends[:, 1] - across], axis=1,
    )  # fmt: skip
    return corners.reshape(-1, 2), _coloured(colours, opacity, 6)


def _dashes(
    ends: Floats, colours: Floats, width: float, scale: float, *, opacity: float = _FAINT
) -> Strokes:
    step = (_DASH + _GAP) * scale
    pieces, tints = [], []
    for (start, end), colour in zip(ends, colours, strict=True):
        length = float(np.linalg.norm(end - start))
        # A limb that runs past the viewer is thousands of pixels long.
        count = int(min(max(length / step, 1), 200))
        begin = np.arange(count) / count
        stop = begin + _DASH * scale / max(length, _DASH * scale)
        span = (end - start)[None]
        pieces.append(
            np.stack(
                [start + begin[:, None] * span, start + np.minimum(stop, 1)[:, None] * span], axis=1
            )
        )
        tints.append(np.broadcast_to(colour, (count, 3)))
    if not pieces:
        return np.zeros((0, 2)), np.zeros((0, 4))
    return _lines(np.concatenate(pieces), np.concatenate(tints), opacity, width)


def _discs(
    centres: Floats, colours: Floats, opacity: Floats, radius: float, *, sides: int = _SIDES
) -> Strokes:
    rim = _ROUND[:: _SIDES // sides] * radius
    fan = np.stack([np.zeros((sides, 2)), rim[:-1], rim[1:]], axis=1).reshape(-1, 2)
    corners = centres[:, None] + fan
    return corners.reshape(-1, 2), _coloured(colours, opacity, 3 * sides)


def _rings(centres: Floats, colours: Floats, radius: float, scale: float) -> Strokes:
    rim = centres[:, None] + _ROUND * (radius - 0.75 * scale)
    sides = np.stack([rim[:, :-1], rim[:, 1:]], axis=2).reshape(-1, 2, 2)
    return _lines(sides, np.repeat(colours, _SIDES, axis=0), 0.8, 1.5 * scale)
