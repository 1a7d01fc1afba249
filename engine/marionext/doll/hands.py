"""Draw hands: shapes from their 21 points, skin from the doll's picture."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import SIDES, Anatomy
from marionext.doll.canvas import Canvas, Texture
from marionext.doll.costume import Costume
from marionext.doll.limbs import box_around
from marionext.doll.shapes import length, places, unit

__all__ = ["draw_hand"]

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

_PALM = [0, 1, 5, 9, 13, 17]
_MATCHED = [0, 1, 5, 9, 13, 17, 6, 10, 14, 8, 12, 16]
"""Points by which the texture is laid on the hand."""
_FINGER = 0.0155
"""Width of a finger in statures; of the outline beside it:"""
_RIM = 0.0035
_LONG = 0.075
"""A hand of which nothing is known, in statures."""
_SHIFT = 4


def draw_hand(canvas: Canvas, costume: Costume, body: Anatomy, side: str) -> None:
    """Draw one hand."""
    numbers = SIDES[side]
    _, elbow, wrist = numbers.arm
    if not body.knows(elbow, wrist):
        return
    detailed = float(body.scores[numbers.hand].mean()) >= 0.1
    joints = np.where(
        body.scores[numbers.hand, None] > 0.05, body.points[numbers.hand], body.points[wrist]
    )
    if not detailed:
        way = unit(body.points[wrist] - body.points[elbow])
        joints = body.points[wrist] + way * np.linspace(0, _LONG, 21)[:, None] * body.stature
    joints = np.asarray(joints, np.float32)
    box = box_around(joints, 0.03 * body.stature, canvas.size)
    if box is None:
        return
    line, edge = _shapes(joints, box, body.stature)
    part = f"{side}_hand"
    colours = np.broadcast_to(costume.skin[side], (*line.shape, 3))
    valid = np.zeros_like(line)
    view = _view(joints, detailed)
    texture = costume.texture(part, view)
    if texture is not None and detailed and _worthy(texture):
        own = costume.body.points[numbers.hand]
        where = _laid(joints, own, box, body.stature)
        valid = texture.take(texture.seen, where)
        # Beyond the hand that is in the picture there is nothing but skin.
        skin = costume.skin[side]
        colours = skin + (texture.take(texture.colours, where) - skin) * valid[..., None]
    canvas.lay(part, box, colours * (costume.rim * edge)[..., None], edge, valid)
    canvas.lay(part, box, colours * line[..., None], line, valid)


def _shapes(
    joints: Floats, box: tuple[int, int, int, int], stature: float
) -> tuple[Floats, Floats]:
    """Return how much of each pixel the hand covers, and the hand with its outline: (h, w)."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    # Small hands are drawn larger and averaged down: a finger may be a pixel wide.
    factor = 4 if stature < 400 else 2
    fixed = np.round((joints - (left, top)) * factor * (1 << _SHIFT)).astype(np.int32)
    wide = max(_FINGER * stature, 1.0)
    found = []
    for thickness in (wide, wide + 2 * max(_RIM * stature, 0.4)):
        shape = np.zeros((height * factor, width * factor), np.uint8)
        pen = max(round(thickness * factor), 1)
        for finger in range(5):
            bones = [fixed[4 * finger + 1 : 4 * finger + 5]]
            cv2.polylines(shape, bones, isClosed=False, color=255, thickness=pen, shift=_SHIFT)
        palm = [cv2.convexHull(fixed[_PALM])]
        cv2.fillPoly(shape, palm, 255, cv2.LINE_8, _SHIFT)
        cv2.polylines(shape, palm, isClosed=True, color=255, thickness=pen, shift=_SHIFT)
        shape = cv2.resize(shape, (width, height), interpolation=cv2.INTER_AREA)
        found.append(np.asarray(shape, np.float32) / 255)
    return found[0], found[1]


def _view(joints: Floats, detailed: bool) -> str:
    """Tell an open hand from a closed one by how far the fingertips are from the palm."""
    if not detailed:
        return "closed"
    palm = length(joints[9] - joints[0])
    reach = float(np.mean([length(joints[tip] - joints[0]) for tip in (8, 12, 16, 20)]))
    return "open" if reach > 1.45 * palm else "closed"


def _worthy(texture: Texture) -> bool:
    """Tell whether there is enough of a hand in the picture to lay it on another."""
    return bool((texture.pixels[..., 3] > 0.95).sum() > 60)


def _laid(joints: Floats, own: Floats, box: tuple[int, int, int, int], stature: float) -> Floats:
    """Return where the colours of a box come from, by the affine map that fits the joints best."""
    middle = joints.mean(axis=0)
    known = np.c_[joints[_MATCHED] - middle, np.ones(len(_MATCHED))]
    trust = np.diag([1, 1, 1e-3]) * (0.01 * stature) ** 2
    affine = np.linalg.solve(known.T @ known + trust, known.T @ own[_MATCHED])
    where = places(box) - middle
    return np.asarray(where @ affine[:2] + affine[2], np.float32)
