"""Draw bent meshes: for each pixel of a frame, where in the picture its colour comes from."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.shapes import across, places

__all__ = ["bend", "inverse_map"]

Floats = NDArray[np.floating[Any]]
Box = tuple[int, int, int, int]

_BENT = 0.3
"""Part of a bone, on either side of a joint, along which a limb bends."""
_SHIFT = 4
"""Fractional bits of OpenCV's sub-pixel coordinates."""


def bend(
    start: Floats,
    end: Floats,
    along: Floats,
    aside: Floats,
    usual: float,
    turns: tuple[float, float] = (0.0, 0.0),
) -> Floats:
    """Return places on a bone whose cloth turns along with the bones beside it, like a hose.

    Directions turn gradually around a joint, so that cloth neither tears outside nor folds into
    spikes inside.

    Args:
        start: (2,) pixels.
        end: (2,).
        along: (m,) places along it, 0 to 1; beyond both ends the scale is the usual one.
        aside: (k,) pixels to the right of it, seen along it.
        usual: length of the bone in pixels when it is not foreshortened.
        turns: by how many radians the bones before and after it are turned against it, more than
            they are in the picture.

    Returns:
        (m, k, 2) pixels.
    """
    bone = end - start
    angle = float(np.arctan2(bone[1], bone[0]))
    before, after = turns
    angles = angle + after * _step(along, 1.0) + before * (1 - _step(along, 0.0))
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    inner = np.clip(along, 0, 1)
    centre = start + bone * inner[:, None] + ways * ((along - inner) * usual)[:, None]
    return np.asarray(centre[:, None] + across(ways)[:, None] * aside[:, None], np.float32)


def _step(along: Floats, joint: float) -> Floats:
    share = np.clip((along - joint + _BENT) / (2 * _BENT), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def inverse_map(
    mesh: Floats, source: Floats, size: tuple[int, int]
) -> tuple[Box, Floats, NDArray[np.bool_]] | None:
    """Return for each pixel under a mesh where its colour comes from.

    Triangles that are turned over, as on the inner side of a sharp bend, are left out: their
    neighbours cover them.

    Args:
        mesh: (m, k, 2) corners in the frame, pixels.
        source: (m, k, 2) the same corners in the picture.
        size: width and height of the frame.

    Returns:
        The box (left, top, right, bottom); (h, w, 2) places in the picture; (h, w) whether the
        mesh covers the pixel. None where it lies outside of the frame.
    """
    flat = mesh.reshape(-1, 2)
    low = np.maximum(np.floor(flat.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(flat.max(axis=0)), size).astype(int)
    if (high - low < 1).any():
        return None
    box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    rows, columns = mesh.shape[:2]
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    triangles = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + columns], axis=1),
            np.stack([corner + columns + 1, corner + columns, corner + 1], axis=1),
        ]
    )
    # From the first row to the last: what comes later lies over what comes before.
    triangles = triangles.reshape(2, -1, 3).swapaxes(0, 1).reshape(-1, 3)
    shapes = flat[triangles]
    sides = shapes[:, 1:] - shapes[:, :1]
    areas = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]
    upright = areas * np.sign(areas.sum()) > 1e-3
    if not upright.any():
        return None
    triangles, shapes = triangles[upright], shapes[upright]
    corners = np.concatenate([shapes, np.ones((len(shapes), 3, 1), np.float32)], axis=2)
    affine = np.linalg.solve(corners.astype(np.float64), source.reshape(-1, 2)[triangles])
    number = np.zeros((box[3] - box[1], box[2] - box[0]), np.int32)
    fixed = np.round((shapes - low - 0.5) * (1 << _SHIFT)).astype(np.int32)
    for index, triangle in enumerate(fixed, start=1):
        cv2.fillConvexPoly(number, triangle, index, cv2.LINE_8, _SHIFT)
    covered = number > 0
    where = places(box)
    taken = affine.astype(np.float32)[np.maximum(number, 1) - 1]
    found = where[..., :1] * taken[..., 0, :] + where[..., 1:] * taken[..., 1, :] + taken[..., 2, :]
    return box, found, covered
