"""Draw limbs, neck, trunk and skirt: each as a map from the frame back to the doll's picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import BONES, Anatomy
from marionext.doll.canvas import Canvas, Texture
from marionext.doll.costume import Costume
from marionext.doll.mesh import bend, inverse_map
from marionext.doll.shapes import capsule, length, places, smooth, unit

__all__ = ["draw_limb", "draw_neck", "draw_skirt", "draw_trunk"]

Floats = NDArray[np.floating[Any]]
Box = tuple[int, int, int, int]

_REACH = 0.09
"""How far cloth may stand off a limb, in statures."""
_ENDS = 0.35
"""How far a part reaches into the bones beside its own, in bones."""
_STATIONS = 13
_BEFORE = {"forearm": "upper_arm", "shin": "thigh"}
_AFTER = {"upper_arm": "forearm", "thigh": "shin"}
_MOST_BENT = 2.2
"""Radians by which cloth turns at a joint."""
_LEAST_WORTH = 0.25
"""A part that is seen worse, see `_worth`, is drawn in its plain colour."""


def box_around(points: Floats, margin: float, size: tuple[int, int]) -> Box | None:
    """Return the pixels around points (n, 2): left, top, right, bottom; None outside the frame."""
    low = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(points.max(axis=0) + margin), size).astype(int)
    if (high - low < 1).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def draw_limb(canvas: Canvas, costume: Costume, body: Anatomy, part: str) -> None:
    """Draw one part of an arm or leg; the mirrored one stands in where it is better seen."""
    bone = BONES[part]
    if not body.knows(bone.start, bone.end):
        return
    side, _, name = part.partition("_")
    other = f"{'left' if side == 'right' else 'right'}_{name}"
    source = other if _worth(costume, other) > 1.8 * _worth(costume, part) else part
    texture = costume.texture(source)
    if texture is None or _worth(costume, source) < _LEAST_WORTH:
        _draw_plain(canvas, costume, body, part)
        return
    sign = body.trunk.facing * costume.body.trunk.facing * (1 if source == part else -1)
    along = np.linspace(-_ENDS, 1 + _ENDS, _STATIONS).astype(np.float32)
    turns = np.array(_turns(body, part)) - sign * np.array(_turns(costume.body, source))
    turns = np.clip((turns + np.pi) % (2 * np.pi) - np.pi, -_MOST_BENT, _MOST_BENT)
    meshes = []
    own = BONES[source]
    for owner, ends, scale, bent in (
        (body, bone, sign, (float(turns[0]), float(turns[1]))),
        (costume.body, own, 1.0, (0.0, 0.0)),
    ):
        aside = np.array([-_REACH, 0, _REACH], np.float32) * owner.stature * scale
        start, end = owner.points[ends.start], owner.points[ends.end]
        meshes.append(bend(start, end, along, aside, ends.usual * owner.stature, bent))
    _lay(canvas, part, texture, *meshes)


def _turns(body: Anatomy, part: str) -> tuple[float, float]:
    """Return by how much the bones before and after a part are turned against it, in radians."""
    side, _, name = part.partition("_")
    found = []
    own = _way(body, part)
    for beside in (_BEFORE.get(name), _AFTER.get(name)):
        way = None if beside is None else _way(body, f"{side}_{beside}")
        if own is None or way is None:
            found.append(0.0)
            continue
        found.append(float(np.arctan2(own[0] * way[1] - own[1] * way[0], own @ way)))
    return found[0], found[1]


def _way(body: Anatomy, part: str) -> Floats | None:
    """Return where a bone points to; None where it is not known or points at the viewer."""
    bone = BONES[part]
    way = body.points[bone.end] - body.points[bone.start]
    seen = body.knows(bone.start, bone.end)
    clear = length(way) > 0.25 * bone.usual * body.stature
    return unit(way) if seen and clear else None


def _worth(costume: Costume, part: str) -> float:
    """Tell how well a part is seen in the doll's picture, 0 to 1."""
    texture = costume.texture(part)
    if texture is None:
        return 0.0
    bone, body = BONES[part], costume.body
    span = length(body.points[bone.end] - body.points[bone.start])
    share = span / (bone.usual * body.stature)
    return texture.share_seen * min(share / 0.6, 1.0)


def _lay(canvas: Canvas, part: str, texture: Texture, mesh: Floats, source: Floats) -> None:
    """Lay a texture as a mesh says."""
    mapped = inverse_map(mesh, source, canvas.size)
    if mapped is None:
        return
    box, where, covered = mapped
    pixels = texture.take(texture.pixels, where) * covered[..., None]
    seen = texture.take(texture.seen, where, beyond=True)
    canvas.lay(part, box, pixels[..., :3], pixels[..., 3], seen)


_NEIGHBOURS = {
    "forearm": ("upper_arm", "trunk"),
    "upper_arm": ("forearm", "trunk"),
    "shin": ("thigh", "skirt", "trunk"),
    "thigh": ("shin", "skirt", "trunk"),
    "foot": ("shin", "thigh"),
}


def _draw_plain(canvas: Canvas, costume: Costume, body: Anatomy, part: str) -> None:
    """Draw a limb that the picture does not show, in the colour of what it hangs on."""
    side, _, name = part.partition("_")
    other = "left" if side == "right" else "right"
    colour: Floats | None = None
    for near in (name, *_NEIGHBOURS[name]):
        for key in (f"{side}_{near}", f"{other}_{near}", near):
            texture = costume.texture(key)
            if texture is None or colour is not None:
                continue
            inner = texture.colours[texture.pixels[..., 3] > 0.9]
            if len(inner) > 3:
                colour = np.median(inner[-max(len(inner) // 3, 1) :], axis=0)
    if colour is None:
        return
    bone = BONES[part]
    start, end = body.points[bone.start], body.points[bone.end]
    radius, end_radius = bone.radius * body.stature, bone.end_radius * body.stature
    box = box_around(np.stack([start, end]), radius + 2, canvas.size)
    if box is None:
        return
    away = capsule(places(box), start, end, radius, end_radius)
    alpha = np.clip((1 - away) * end_radius + 0.5, 0, 1)
    colour = colour * (0.75 if name == "foot" else 1.0)
    canvas.lay(part, box, colour * alpha[..., None], alpha, np.zeros_like(alpha))


def draw_neck(canvas: Canvas, costume: Costume, body: Anatomy) -> None:
    """Draw the neck, from the shoulders' middle to the skull's."""
    texture = costume.texture("neck")
    if texture is None:
        return
    along = np.linspace(-0.5, 1.3, 6).astype(np.float32)
    sign = body.trunk.facing * costume.body.trunk.facing
    meshes = []
    for owner, scale in ((body, sign), (costume.body, 1.0)):
        aside = np.array([-0.06, 0, 0.06], np.float32) * owner.stature * scale
        start, end = owner.trunk.neck, owner.head.centre
        meshes.append(bend(start, end, along, aside, 0.12 * owner.stature))
    _lay(canvas, "neck", texture, *meshes)


def draw_trunk(canvas: Canvas, costume: Costume, body: Anatomy) -> None:
    """Draw the trunk as a barrel: its colours turn about its axis, its outline does not."""
    there, here = body.trunk, costume.body.trunk
    back = there.facing < 0 and costume.has("trunk", "back")
    texture = costume.texture("trunk", "back" if back else "front")
    if texture is None:
        return
    margin = max(there.chest, there.seat) * 1.5 + 0.09 * body.stature
    box = box_around(np.stack([there.hips, there.neck]), margin, canvas.size)
    if box is None:
        return
    scale = costume.body.stature / body.stature
    away = places(box) - there.hips
    high, aside = away @ there.up, away @ there.right
    share = np.clip(high / there.tall, 0, 1)
    low_slope, top_slope = there.slopes
    high = high - aside * (low_slope + (top_slope - low_slope) * share) * _TILT
    share = np.clip(high / there.tall, 0, 1)
    around = aside / (there.seat + (there.chest - there.seat) * share)
    up = np.where(
        high < 0,
        high * scale,
        np.where(
            high > there.tall,
            here.tall + (high - there.tall) * scale,
            high * (here.tall / there.tall),
        ),
    )
    share = np.clip(up / here.tall, 0, 1)
    half = here.seat + (here.chest - here.seat) * share
    low_slope, top_slope = here.slopes
    slope = (low_slope + (top_slope - low_slope) * share) * _TILT

    def source(aside: Floats) -> Floats:
        out = aside * half
        where = here.hips + (up + out * slope)[..., None] * here.up + out[..., None] * here.right
        return np.asarray(where, np.float32)

    flip = 1.0 if back else there.facing * here.facing
    outline = source(around * flip)
    alpha = texture.take(texture.pixels, outline)
    seen = texture.take(texture.seen, outline, beyond=True)
    colours = alpha[..., :3]
    # Where the front is seen from aside, the barrel's surface has turned under its outline.
    turned = 0.0 if back else _between(here.turn, there.turn, flip)
    if abs(turned) > 0.05:
        angle = np.arcsin(np.clip(around * flip, -1, 1)) + turned
        inside = smooth(np.abs(around), 1.0, 0.8)
        moved = around * flip + (np.sin(angle) - around * flip) * inside
        turned_colours = texture.take(texture.colours, source(moved), beyond=True)
        colours = turned_colours * alpha[..., 3:]
        seen = seen * (1 - inside * smooth(np.abs(angle), 1.35, 1.75))
    canvas.lay("trunk", box, colours, alpha[..., 3], seen if flip > 0 or back else seen * 0.5)


_TILT = 0.8
"""How far the trunk's cloth follows tilted shoulders and hips."""


def _between(here: float, there: float, flip: float) -> float:
    """Return by which angle to look farther round the barrel, seen in the doll's picture."""
    if flip < 0:
        there = np.pi - there
        there = there if there <= np.pi else there - 2 * np.pi
    return float(np.clip((here - there) * _TURNED, -1.2, 1.2))


_TURNED = 0.7
"""How far a turn that is told by narrow shoulders is believed."""


def draw_skirt(canvas: Canvas, costume: Costume, body: Anatomy) -> None:
    """Draw what hangs from the hips: as wide as the knees are apart, as long as they are low."""
    texture = costume.texture("skirt")
    if texture is None or costume.hem is None:
        return
    here, there = _Skirt.of(costume.body), _Skirt.of(body)
    trunk = body.trunk
    margin = float(np.hypot(max(there.right, -there.left), there.down * 1.3))
    box = box_around(trunk.hips[None], margin, canvas.size)
    if box is None:
        return
    away = places(box) - trunk.hips
    low, aside = -(away @ trunk.up), away @ trunk.right
    left, right = there.edges(low, trunk.seat)
    across = (aside - left) / (right - left)
    if body.trunk.facing * costume.body.trunk.facing < 0:
        across = 1 - across
    scale = costume.body.stature / body.stature
    down = np.where(low < 0, low * scale, low * here.down / there.down)
    own = costume.body.trunk
    left, right = here.edges(down, own.seat)
    out = left + across * (right - left)
    where = own.hips - down[..., None] * own.up + out[..., None] * own.right
    where = np.asarray(where, np.float32)
    pixels = texture.take(texture.pixels, where)
    seen = texture.take(texture.seen, where, beyond=True)
    canvas.lay("skirt", box, pixels[..., :3], pixels[..., 3], seen)


class _Skirt:
    """Where the legs hold a skirt, from the hips' middle."""

    def __init__(self, down: float, left: float, right: float) -> None:
        self.down = down
        self.left = left
        self.right = right

    @classmethod
    def of(cls, body: Anatomy) -> "_Skirt":
        trunk, stature = body.trunk, body.stature
        knees = body.points[[9, 12]] - trunk.hips
        aside = np.sort(knees @ trunk.right)
        return cls(
            max(float((knees @ -trunk.up).max()), 0.08 * stature),
            min(float(aside[0]) - 0.035 * stature, -trunk.seat * 0.8),
            max(float(aside[1]) + 0.035 * stature, trunk.seat * 0.8),
        )

    def edges(self, low: Floats, seat: float) -> tuple[Floats, Floats]:
        """Return left and right edge at some depths below the hips, in pixels."""
        share = np.clip(low / self.down, 0, 1.3)
        return -seat + (self.left + seat) * share, seat + (self.right - seat) * share
