"""Cut a figure into parts along its skeleton.

Each part has a field: the distance of every pixel from its bones, in radii of the limb. Cores, where
the fields leave no doubt, grow until they meet at an edge of the picture (watershed: Meyer 1992);
parts overlap in discs around the joints they share, and go on behind what lies over them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import BONES, SIDES, Anatomy
from marionext.doll.masking import find_figure
from marionext.doll.shapes import capsule, places, smooth, unit

__all__ = ["Cut", "Piece", "cut"]

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Picture = NDArray[np.uint8]

_NOWHERE = 9.0
"""A distance at which nothing belongs to a part."""
_KIN = {
    "upper_arm": ("forearm",),
    "forearm": ("upper_arm", "hand"),
    "hand": ("forearm",),
    "thigh": ("shin",),
    "shin": ("thigh", "foot"),
    "foot": ("shin",),
}
"""Parts of the same limb that share a joint."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Where one part is."""

    known: Floats
    """(h, w), 0 to 1: where its colours are seen."""
    whole: Floats
    """(h, w), 0 to 1: its outline, hidden places included."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A figure taken apart."""

    figure: Floats
    """(h, w), 0 to 1: the figure's outline."""
    pieces: dict[str, Piece]
    hem: float | None
    """How far down a skirt goes from the hips, in pixels; None: there is none."""


def cut(
    picture: Picture,
    anatomy: Anatomy,
    inside: Bools,
    *,
    mask: Floats | None,
    hint: Floats | None,
) -> Cut:
    """Cut a figure into parts.

    Args:
        picture: (h, w, 3) RGB.
        anatomy: of the figure in it.
        inside: (h, w): what is picture and not a margin around it.
        mask: (h, w), 0 to 1: the figure, where it is known; None: it is looked for.
        hint: (h, w), 0 to 1: a person segmenter's opinion, or None.
    """
    fields = _Fields(anatomy, inside.shape)
    figure = mask
    if figure is None:
        figure = find_figure(picture, anatomy, fields.nearest_bone(), hint, inside)
    hem = fields.find_skirt(figure)
    labels = _label(picture, fields, figure)
    pieces = {name: _piece(name, fields, labels, figure) for name in fields.names}
    return Cut(figure, {name: piece for name, piece in pieces.items() if piece is not None}, hem)


class _Fields:
    """The distance of every pixel from each part."""

    def __init__(self, anatomy: Anatomy, shape: tuple[int, ...]) -> None:
        self.anatomy = anatomy
        height, width = shape
        self.where = places((0, 0, width, height))
        self._stature = anatomy.stature
        trunk = anatomy.trunk
        self.up = (self.where - trunk.hips) @ trunk.up
        """(h, w) pixels above the hips."""
        self._by_name: dict[str, Floats] = {}
        self._limbs()
        self.barrel = capsule(
            self.where,
            trunk.neck + (trunk.hips - trunk.neck) * 0.12,
            trunk.hips - trunk.up * 0.01 * self._stature,
            trunk.chest,
            trunk.seat,
        )
        self._by_name["trunk"] = np.maximum(self.barrel, 0.97)
        self._head()
        self._skirt()
        self.names = tuple(self._by_name)
        self.stack = np.stack(list(self._by_name.values()))
        """(parts, h, w)"""

    def _limbs(self) -> None:
        anatomy, stature = self.anatomy, self._stature
        points = anatomy.points
        for name, bone in BONES.items():
            if min(anatomy.scores[[bone.start, bone.end]]) > 0.1:
                self._by_name[name] = capsule(
                    self.where,
                    points[bone.start],
                    points[bone.end],
                    bone.radius * stature,
                    bone.end_radius * stature,
                )
        for name, side in SIDES.items():
            _, elbow, wrist = side.arm
            if min(anatomy.scores[[elbow, wrist]]) <= 0.1:
                continue
            detailed = anatomy.scores[side.hand].mean() > 0.15
            hand = points[side.hand]
            way = unit(points[wrist] - points[elbow])
            end = hand[[5, 9, 13, 17]].mean(axis=0) if detailed else None
            end = points[wrist] + way * 0.06 * stature if end is None else end
            field = capsule(self.where, points[wrist], end, 0.02 * stature, 0.03 * stature)
            if detailed:
                for finger in range(5):
                    joints = hand[4 * finger + 1 : 4 * finger + 5]
                    for start, stop in zip(joints[:-1], joints[1:], strict=True):
                        bone_field = capsule(self.where, start, stop, 0.012 * stature)
                        field = np.minimum(field, bone_field)
            self._by_name[f"{name}_hand"] = field

    def _head(self) -> None:
        head, neck = self.anatomy.head, self.anatomy.trunk.neck
        self.skull = capsule(self.where, head.centre, head.centre, head.radius * 1.25)
        start = neck + (head.centre - neck) * 0.1
        throat = capsule(self.where, start, head.centre, 0.03 * self._stature)
        self._by_name["neck"] = throat + 0.3 + _NOWHERE * (self.skull < 0.8)
        self._by_name["head"] = np.maximum(self.skull, 0.8)

    def _skirt(self) -> None:
        """Lay out what is below the hips, beside the thighs: a skirt or coat, or nothing much."""
        anatomy, trunk, stature = self.anatomy, self.anatomy.trunk, self._stature
        knees = [anatomy.points[k] for k in (9, 12) if anatomy.scores[k] > 0.05]
        self._knees = 0.0
        if not knees:
            return
        self._knees = max(
            float(np.mean([(trunk.hips - knee) @ trunk.up for knee in knees])), 0.05 * stature
        )
        spread = max(abs(float((knee - trunk.hips) @ trunk.right)) for knee in knees)
        spread = max(spread + 0.035 * stature, trunk.seat)
        share = np.clip(-self.up / self._knees, 0, 1.6)
        aside = np.abs((self.where - trunk.hips) @ trunk.right)
        wide = trunk.seat + (spread - trunk.seat) * share
        low = self.up < -0.05 * stature
        field = np.where(low & (share < 1.5), np.maximum(aside / wide * 0.9, 1.12), _NOWHERE)
        self._by_name["skirt"] = field.astype(np.float32)
        below = (-self.up - 0.05 * stature) / (0.02 * stature)
        self.barrel = np.where(low, self.barrel + below, self.barrel).astype(np.float32)
        own = self._by_name["trunk"]
        own = np.where(low, np.maximum(own, 1.3 + below), own)
        self._by_name["trunk"] = own.astype(np.float32)

    def __getitem__(self, name: str) -> Floats:
        return np.asarray(self.stack[self.names.index(name)])

    def shape_of(self, name: str) -> Floats:
        """Return the distance from a part in its own usual shape."""
        if name == "trunk":
            return self.barrel
        return self.skull * 1.2 if name == "head" else self[name]

    def nearest_bone(self) -> Floats:
        """Return the distance from the body as such: (h, w)."""
        fields = [
            self.barrel if name == "trunk" else self.skull if name == "head" else self[name]
            for name in self.names
            if name != "skirt"
        ]
        return np.asarray(np.minimum(np.min(fields, axis=0), _NOWHERE), np.float32)

    def find_skirt(self, figure: Floats) -> float | None:
        """Decide whether what is beside the thighs is a skirt, and how far down it goes.

        A skirt fills its place from the hips down without a gap; the ragged edges of trousers do
        not, and are left to the thighs.
        """
        if "skirt" not in self.names:
            return None
        stature, index = self._stature, self.names.index("skirt")
        nearest = self.stack.argmin(axis=0)
        solid = figure > 0.5
        own = (nearest == index) & solid
        thighs = np.isin(nearest, [k for k, name in enumerate(self.names) if "thigh" in name])
        steps = np.arange(0.04, min(1.5 * self._knees / stature, 0.5), 0.02)
        shares = []
        for low in steps:
            band = (-self.up > low * stature) & (-self.up < (low + 0.02) * stature)
            mine = int((own & band).sum())
            shares.append(mine / max(int((thighs & solid & band).sum()) + mine, 1))
        filled = np.array(shares) > 0.22
        if filled[:3].sum() < 2 or filled.sum() < 3:
            self.stack[index] = _NOWHERE
            return None
        gaps = np.flatnonzero(~filled)
        gaps = gaps[gaps > 2]
        hem = float(steps[gaps[0]] if len(gaps) else steps[-1] + 0.02) * stature
        limbs = [
            k
            for k, name in enumerate(self.names)
            if name.endswith(("hand", "forearm", "shin", "foot"))
        ]
        cloth = (-self.up < hem) & (-self.up > 0.035 * stature) & (self.stack[index] < _NOWHERE)
        if limbs:
            cloth &= self.stack[limbs].min(axis=0) > 1.25
        self.stack[index] = np.where(cloth, np.minimum(self.stack[index], 0.3), _NOWHERE)
        return hem


def _label(picture: Picture, fields: _Fields, figure: Floats) -> NDArray[np.int32]:
    """Return which part each pixel belongs to: cores grow until they meet at an edge."""
    names, stack = fields.names, fields.stack
    nearest, best = stack.argmin(axis=0), stack.min(axis=0)
    markers = np.zeros(nearest.shape, np.int32)
    for index, name in enumerate(names):
        others = np.delete(stack, index, axis=0).min(axis=0)
        if name == "trunk":
            core = (fields.barrel < 0.75) & (others > 1.25)
        elif name == "head":
            core = (fields.skull < 0.75) & (others > 1.0)
        elif name == "skirt":
            core = stack[index] < 0.5
        else:
            core = stack[index] < (0.8 if name.endswith("hand") else 0.55)
        markers[core & (nearest == index)] = index + 1
    solid = figure > 0.5
    nobody, outside = len(names) + 1, len(names) + 2
    markers[(best > 3.0) & solid & (markers == 0)] = nobody
    markers[~solid] = outside
    flooded = cv2.watershed(np.ascontiguousarray(picture[..., ::-1]), markers.copy())
    grown = np.where(flooded > len(names), 0, flooded).clip(0).astype(np.float32)
    grown = cv2.dilate(grown, np.ones((3, 3), np.uint8)).astype(np.int32)
    flooded = np.where(flooded == -1, grown, flooded)
    lost = (flooded < 1) | (flooded > nobody)
    label = np.where(lost, nearest, flooded - 1)
    # An edge far from the bones is not believed.
    own = np.take_along_axis(stack, np.minimum(label, len(names) - 1)[None], axis=0)[0]
    wrong = (own > best + 0.9) & (label < len(names))
    return np.where(wrong, nearest, label).astype(np.int32)


def _kin(name: str) -> set[str]:
    """Return the parts that hang together with a part."""
    if name == "trunk":
        limbs = {f"{side}_{part}" for side in SIDES for part in ("upper_arm", "thigh")}
        return {*limbs, "neck", "skirt"}
    if name in ("neck", "head", "skirt"):
        return {"trunk", "neck", "head"} - {name} if name != "skirt" else {"trunk"}
    side, _, part = name.partition("_")
    kin = {f"{side}_{other}" for other in _KIN[part]}
    return kin | ({"trunk"} if part in ("upper_arm", "thigh") else set())


def _piece(name: str, fields: _Fields, labels: NDArray[np.int32], figure: Floats) -> Piece | None:
    """Return where a part is, or None where there is too little of it."""
    names, anatomy = fields.names, fields.anatomy
    index, stature = names.index(name), anatomy.stature
    kin, own = _kin(name), fields[name]
    mine = labels == index
    if name == "skirt" and not mine.any():
        return None
    part = smooth(cv2.GaussianBlur(mine.astype(np.float32), (0, 0), 0.7), 0.2, 0.8)
    strange = [k for k, other in enumerate(names) if other != name and other not in kin]
    strangers = fields.stack[strange].min(axis=0) if strange else np.full_like(own, _NOWHERE)
    free = strangers > own
    bone = BONES.get(name)
    if bone is not None:
        for joint, radius in ((bone.start, bone.radius), (bone.end, bone.end_radius)):
            place = anatomy.points[joint]
            disc = smooth(capsule(fields.where, place, place, radius * stature), 1.15, 0.95)
            part = np.maximum(part, disc * free)
        part = part * (own < 2.6)
    elif not name.endswith("hand") and kin & set(names):
        kinsmen = fields.stack[[k for k, other in enumerate(names) if other in kin]].min(axis=0)
        part = np.maximum(part, smooth(kinsmen - own, -0.2, -0.1) * free)
    if name == "head":
        high = (fields.where - anatomy.trunk.neck) @ anatomy.trunk.up > 0.02 * stature
        part = part * np.maximum(high, mine)
    part = _without_crumbs(part * figure)
    shape = smooth(fields.shape_of(name), *((0.9, 0.75) if name == "trunk" else (1.0, 0.85)))
    whole = part if name.endswith("hand") else np.maximum(part, shape * figure)
    known = part
    if bone is not None and (shape * mine).sum() < 0.65 * shape.sum():
        whole = np.maximum(part, shape)  # mostly hidden, or cut by the edge of the picture
    if name in ("trunk", "neck", "head"):
        front = [
            k
            for k, other in enumerate(names)
            if other.endswith(("arm", "hand")) or (other == "head" and name == "neck")
        ]
        clear = cv2.erode(figure, np.ones((3, 3), np.uint8)) > 0.7
        known = np.maximum(part, whole * ~np.isin(labels, front) * clear)
    elif name == "skirt":
        front = [k for k, other in enumerate(names) if other.endswith(("forearm", "hand"))]
        behind = (own < _NOWHERE) & np.isin(labels, front) & (figure > 0.5)
        behind &= -fields.up > 0.03 * stature
        whole = np.maximum(part, cv2.GaussianBlur(behind.astype(np.float32), (0, 0), 1))
    if whole.max() < 0.3 or (known > 0.5).sum() < 4:
        return None
    return Piece(np.asarray(known, np.float32), np.asarray(whole, np.float32))


def _without_crumbs(part: Floats) -> Floats:
    """Leave out pieces that are small against the whole."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((part > 0.2).astype(np.uint8))
    if count <= 2:
        return part
    small = np.flatnonzero(stats[:, 4] < 0.06 * stats[1:, 4].sum())
    return np.asarray(part * ~np.isin(pieces, small), np.float32)
