"""Draw the head as a ball that turns, with its face drawn to the face's points."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import Anatomy
from marionext.doll.canvas import Canvas
from marionext.doll.costume import BALL, Costume
from marionext.doll.limbs import box_around
from marionext.doll.shapes import places, smooth
from marionext.skeleton import FACE

__all__ = ["draw_head"]

Floats = NDArray[np.floating[Any]]

_FACE = np.r_[FACE, 0, 14:16]
_SIDEWAYS = 0.6
"""From this sine on a head looks aside, and a view of its own is taken where there is one."""


def draw_head(canvas: Canvas, costume: Costume, body: Anatomy) -> None:
    """Draw the head: colours from the ball's surface, the outline with the hair flat."""
    view = _view(costume, body)
    texture = costume.texture("head", view)
    if texture is None:
        return
    there = body.head
    box = box_around(there.centre[None], there.radius * 2.2, canvas.size)
    if box is None:
        return
    ball = _Ball(costume, body)
    where = places(box)
    surface = ball.look(where)
    flat = surface.flat
    pixels = texture.take(texture.pixels, flat)
    alpha = pixels[..., 3]
    if view or costume.nape is None:  # a head drawn for this view is not turned
        canvas.lay("head", box, pixels[..., :3], alpha, texture.take(texture.seen, flat))
        return
    source = surface.source + ball.correction(where, surface)
    colours = texture.take(texture.colours, source, beyond=True)
    seen = texture.take(texture.seen, source, beyond=True)
    hidden = smooth(surface.near, 0.22, 0.0)
    # What lies behind the ears, or was out of sight in the picture, is hair.
    hair = hidden
    if costume.body.head.shows != "back":
        hair = np.maximum(hair, smooth(surface.own[..., 2], -0.05, -0.25))
    hair = hair * surface.inside
    if there.shows == "back" and costume.body.head.shows != "back":
        hair = np.maximum(hair, surface.far >= 1)
    if hair.max() > 0:
        nape = texture.take(costume.nape, flat, beyond=True)
        colours = colours + (nape - colours) * hair[..., None]
    if costume.body.head.shows == "back" and there.shows != "back":
        skin = smooth(surface.own[..., 2], 0.25, 0.4) * smooth(surface.own[..., 1], 0.5, 0.35)
        skin = skin * (surface.far < 1) * smooth(surface.near, 0.2, -0.1)
        colours = colours + (costume.skin["right"] - colours) * skin[..., None]
        seen = seen * (1 - skin)
    canvas.lay("head", box, colours * alpha[..., None], alpha, seen * (1 - hair))


def _view(costume: Costume, body: Anatomy) -> str:
    """Return the view of the head to draw: one that the doll has of its own, or none."""
    right, near = float(body.head.rotation[0, 2]), float(body.head.rotation[2, 2])
    if (body.head.shows == "back" or near < -0.3) and costume.has("head", "back"):
        return "back"
    for view, amount in (("right", right), ("left", -right)):
        if amount > _SIDEWAYS and costume.has("head", view):
            return view
    return ""


class _Surface:
    """What of the head lies at some places of the frame."""

    def __init__(
        self, source: Floats, flat: Floats, own: Floats, near: Floats, far: Floats
    ) -> None:
        self.source = source
        """(..., 2) where the ball's surface is in the doll's picture."""
        self.flat = flat
        """(..., 2) where the place would be if the head were flat: for outline and hair."""
        self.own = own
        """(..., 3) on the ball, in the head's axes (left, up, front)."""
        self.near = near
        """(...,) how near the viewer it is in the doll's picture; below 0 it is out of sight."""
        self.far = far
        """(...,) squared distance from the middle; 1 on the ball's outline."""
        self.inside = smooth(far, 1.0, 0.75)


class _Ball:
    """The head in the frame and in the doll's picture."""

    def __init__(self, costume: Costume, body: Anatomy) -> None:
        self._body = body
        self._doll = costume.body

    def look(self, where: Floats) -> _Surface:
        """Return what lies at places (..., 2) of the frame."""
        there, here = self._body.head, self._doll.head
        away = (where - there.centre) / there.radius
        right = np.array([-there.up[1], there.up[0]], np.float32)
        own_right = np.array([-here.up[1], here.up[0]], np.float32)
        # Hair that stands out moves in the picture's plane; it is mirrored with the head.
        same = (
            there.rotation[0, 0] * here.rotation[0, 0] + there.rotation[0, 2] * here.rotation[0, 2]
        )
        flip = 1.0 if same >= 0 else -1.0
        flat = (
            here.centre
            + ((away @ right) * (flip * here.radius))[..., None] * own_right
            + ((away @ there.up) * here.radius)[..., None] * here.up
        )
        on_ball = away / BALL
        far = (on_ball * on_ball).sum(axis=-1)
        front = np.sqrt(np.clip(1 - far, 0, 1))
        own = np.stack([on_ball[..., 0], -on_ball[..., 1], front], axis=-1) @ there.rotation
        seen = own @ here.rotation.T
        # The far half of a face is like the near one.
        mirrored = (own * np.array([-1, 1, 1], np.float32)) @ here.rotation.T
        other = (seen[..., 2] < 0.15) & (mirrored[..., 2] > seen[..., 2])
        seen = np.where(other[..., None], mirrored, seen)
        ball = here.centre + np.stack([seen[..., 0], -seen[..., 1]], axis=-1) * (BALL * here.radius)
        surface = _Surface(ball, flat, own, seen[..., 2], far)
        # Between a place and its mirrored one lies the middle of the face: there is no half-way.
        share = np.where(other, surface.inside > 0.5, surface.inside)[..., None]
        surface.source = np.asarray(flat + (ball - flat) * share, np.float32)
        surface.flat = np.asarray(flat, np.float32)
        return surface

    def correction(self, where: Floats, surface: _Surface) -> Floats:
        """Return what the ball gets wrong of the face, by the face's own points: (..., 2).

        A linear map takes up how the whole face is shifted and drawn; what is left of single
        points, a mouth that opens or a brow that rises, fades out around them.
        """
        there, here = self._body.head, self._doll.head
        if there.shows != "face" or here.shows != "face":
            return np.zeros(2, np.float32)
        weight = np.minimum(self._body.scores[_FACE], self._doll.scores[_FACE])
        weight = weight * (weight > 0.2)
        if weight.sum() <= 3:
            return np.zeros(2, np.float32)
        at = self._body.points[_FACE]
        wrong = self._doll.points[_FACE] - self.look(at).source
        known = np.c_[(at - there.centre) / there.radius, np.ones(len(at))]
        trust = np.diag([0.5, 0.5, 0.02]) * weight.sum() * 0.1
        affine = np.linalg.solve(
            known.T @ (known * weight[:, None]) + trust, known.T @ (wrong * weight[:, None])
        )
        relative = (where - there.centre) / there.radius
        move = relative @ affine[:2] + affine[2]
        limit = here.radius * 0.5
        move = np.clip(move, -limit, limit)
        rest = wrong - np.clip(known @ affine, -limit, limit)
        used = weight > 0
        move = move + _faded(known[used, :2], rest[used], weight[used], relative)
        share = smooth(surface.far, 1.0, 0.4) * smooth(surface.own[..., 2], 0.0, 0.5)
        return np.asarray(move * share[..., None], np.float32)


_REACH = 0.22
"""How far a single point of the face moves what is around it, in radii of the head."""
_NOISE = 0.4
"""How little a single point is believed: 0 makes every point go exactly where it belongs."""


def _faded(places: Floats, moves: Floats, weight: Floats, where: Floats) -> Floats:
    """Continue the moves (n, 2) of points (n, 2) smoothly to other places (h, w, 2)."""

    def kernel(one: Floats, two: Floats) -> Floats:
        away = np.square(one[:, None] - two[None]).sum(axis=-1)
        return np.asarray(np.exp(-away / (2 * _REACH**2)), np.float64)

    among = kernel(places, places)
    solved = np.linalg.solve(among + np.diag(_NOISE / np.maximum(weight, 0.05)), moves)
    flat = where.reshape(-1, 2)
    return np.asarray((kernel(flat, places) @ solved).reshape(*where.shape[:-1], 2), np.float32)
