"""Draw dolls in poses, frame by frame."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import Anatomy, read_anatomy
from marionext.doll.canvas import Canvas
from marionext.doll.costume import Costume
from marionext.doll.ground import draw_shadow
from marionext.doll.hands import draw_hand
from marionext.doll.heads import draw_head
from marionext.doll.limbs import draw_limb, draw_neck, draw_skirt, draw_trunk
from marionext.doll.model import Doll, Drawn
from marionext.doll.order import Order, decide

__all__ = ["DollDrawer", "cover"]

Floats = NDArray[np.floating[Any]]

_COARSER = 1.6
"""A figure that is so many times smaller than its doll is drawn from textures of half the size."""
_LEVELS = 5
_LARGEST_SCALE = 2.0


def cover(picture: tuple[int, int], frame: tuple[int, int]) -> tuple[float, tuple[float, float]]:
    """Return how a picture covers a frame, as `fit_character` does: its scale, left and top."""
    scale = max(frame[0] / picture[0], frame[1] / picture[1])
    return scale, ((picture[0] * scale - frame[0]) / 2, (picture[1] * scale - frame[1]) / 2)


class DollDrawer:
    """Draws people of one track as dolls.

    Args:
        dolls: one for each person in order; with fewer than people the last is used again. The
            first one's background is everybody's.
        size: width and height of the frames; the first doll's picture covers it as `fit_character`
            does: resized, the middle cut out. Points of poses are pixels of the frame.
    """

    def __init__(self, dolls: Sequence[Doll], size: tuple[int, int]) -> None:
        """Bring the background to the frame's size; textures are made when they are wanted."""
        self._dolls = tuple(dolls)
        self._size = size
        self._background, self._filled = _cropped(self._dolls[0], size)
        self._costumes: dict[tuple[int, int], Costume] = {}

    @property
    def background(self) -> NDArray[np.uint8]:
        """(h, w, 3): a frame in which nobody is."""
        return np.asarray(np.clip(self._background + 0.5, 0, 255), np.uint8)

    def plan(
        self, points: Floats, scores: Floats, depths: Floats | None = None
    ) -> list[tuple[Order, ...]]:
        """Decide for a whole track what lies over what, so that nothing flickers.

        Args:
            points: (frames, people, 134, 2) pixels of the frame.
            scores: (frames, people, 134).
            depths: (frames, people, 134) or None, as in `draw`.

        Returns:
            For each frame what `draw` takes as ``orders``.
        """
        last: list[Order | None] = [None] * points.shape[1]
        found = []
        for frame in range(len(points)):
            for person in range(points.shape[1]):
                near = None if depths is None else depths[frame, person]
                body = self._read(points[frame, person], scores[frame, person], person, near)
                if body is not None:
                    last[person] = decide(body, near, last[person])
            found.append(tuple(order or _ANY for order in last))
        return found

    def draw(
        self,
        points: Floats,
        scores: Floats,
        depths: Floats | None = None,
        orders: Sequence[Order] | None = None,
    ) -> Drawn:
        """Draw one frame.

        Args:
            points: (people, 134, 2) pixels of the frame.
            scores: (people, 134).
            depths: (people, 134): how near to the viewer each point is, in pixels, larger is
                nearer; None: not known, rules decide.
            orders: what lies over what, as `plan` says; None: decided by this frame alone.
        """
        canvas = Canvas(self._background, self._filled)
        people = []
        for person in range(len(points)):
            near = None if depths is None else depths[person]
            body = self._read(points[person], scores[person], person, near)
            if body is not None:
                people.append((_standing(body, near), person, body, near))
        for _, person, body, near in sorted(people, key=lambda each: each[:2]):
            order = decide(body, near) if orders is None else orders[person]
            doll = self._dolls[min(person, len(self._dolls) - 1)]
            if doll.shadow is not None:
                draw_shadow(canvas.picture, body, doll.shadow)
            _draw_body(canvas, self._costume(person, body), body, order)
        return canvas.drawn()

    def _read(
        self, points: Floats, scores: Floats, person: int, depths: Floats | None
    ) -> Anatomy | None:
        """Read a pose; None where nobody is to be drawn."""
        if (scores[[2, 5]] < 0.05).all():
            return None
        like = self._costume(person, None).body
        return read_anatomy(points, scores, like=like, depths=depths)

    def _costume(self, person: int, body: Anatomy | None) -> Costume:
        """Return a doll's textures at the scale that a body wants."""
        number = min(person, len(self._dolls) - 1)
        doll = self._dolls[number]
        scale = min(cover(doll.size, self._size)[0], _LARGEST_SCALE)
        level = 0
        if body is not None:
            own = self._costume(person, None).body.stature * scale
            smaller = own / body.stature
            while smaller > _COARSER and level < _LEVELS:
                smaller /= 2
                level += 1
        key = (number, level)
        if key not in self._costumes:
            self._costumes[key] = Costume.of(doll, scale / 2**level)
        return self._costumes[key]


_ANY = Order((), ("right", "left"), ("right", "left"), ("right", "left"), ())


def _standing(body: Anatomy, depths: Floats | None) -> float:
    """Return how near somebody stands: by depth, else by how low in the picture."""
    if depths is not None:
        return float(depths[[1, 8, 11]].mean())
    return float(body.points[[10, 13], 1].max())


def _draw_body(canvas: Canvas, costume: Costume, body: Anatomy, order: Order) -> None:
    """Draw one doll, back to front."""

    def arm(side: str) -> None:
        upper, lower = f"{side}_upper_arm", f"{side}_forearm"
        if side in order.folded:
            draw_limb(canvas, costume, body, upper)
            draw_limb(canvas, costume, body, lower)
            draw_hand(canvas, costume, body, side)
            return
        draw_hand(canvas, costume, body, side)
        draw_limb(canvas, costume, body, lower)
        draw_limb(canvas, costume, body, upper)

    for side in order.behind:
        arm(side)
    for side in order.legs:
        for part in ("foot", "shin", "thigh"):
            draw_limb(canvas, costume, body, f"{side}_{part}")
    draw_skirt(canvas, costume, body)
    draw_trunk(canvas, costume, body)
    draw_neck(canvas, costume, body)
    for side in order.before:
        if side not in order.over_head:
            arm(side)
    draw_head(canvas, costume, body)
    for side in order.before:
        if side in order.over_head:
            arm(side)


def _cropped(doll: Doll, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return the doll's background and where it was filled in, at the frame's size."""
    scale, (left, top) = cover(doll.size, size)
    whole = (max(round(doll.size[0] * scale), size[0]), max(round(doll.size[1] * scale), size[1]))
    at = (min(round(left), whole[0] - size[0]), min(round(top), whole[1] - size[1]))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    found = []
    for pixels in (doll.background, doll.filled):
        resized = pixels
        if whole != doll.size:
            resized = cv2.resize(pixels, whole, interpolation=way)
        cut = resized[at[1] : at[1] + size[1], at[0] : at[0] + size[0]]
        found.append(np.ascontiguousarray(cut, dtype=np.float32))
    return found[0], found[1] / 255
