"""Cut a figure into parts along its skeleton.

Each part has a field: the distance of every pixel from its bones, in radii of the limb. Fields and
colours together say which part a pixel belongs to; parts overlap in discs around the joints they
share, and go on behind what lies over them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import BONES, SIDES, Anatomy
from marionext.doll.guided import GuidedFilter
from marionext.doll.masking import find_figure
from marionext.doll.shapes import capsule, places, smooth, unit

__all__ = ["Cut", "Piece", "cut"]

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Labels = NDArray[np.signedinteger[Any]]
Picture = NDArray[np.uint8]

_NOWHERE = 9.0
"""A distance at which nothing belongs to a part."""
_CLOTH = 0.3
"""Distance of what is under a skirt from the skirt; of legs under it from the legs:"""
_UNDER = 1.6
_SKIRT_TOP, _BAND = 0.05, 0.02
"""Where cloth below the hips is looked for, and the height of bands, in statures."""
_LEAST_BANDS = 4
"""What is shorter is a shirt that hangs out."""
_SEAM = 0.006
"""Half the width of the strip between the legs, in statures."""
_APART = 0.085
"""Legs whose bones are farther from each other show what is between them."""
_FLARE = 0.055
"""How far from a thigh's bone cloth is no trousers any more, in statures."""
_CORE = 0.7
"""Up to this distance from its bones a part shows its own colours."""
_COLOUR = 1.2
"""What a strange colour costs, in radii."""
_UNLIKE = 30.0
"""Distance of two colours in CIELAB that are as unlike as can be."""
_FARTHEST = 4.0
_SMOOTHED = 0.012
"""Radius in statures in which costs are smoothed."""
_SLIVER = 0.008
"""Half the width in statures of what is too thin to be a part."""
_BEYOND = 0.15
"""How far a part goes on beyond the edge of the picture, in statures."""
_OVERLAP = 0.015
"""How far parts go on under or over those beside them, in statures."""
_TUCKED = 0.06
"""How far a skirt goes on under the trunk, which is turned otherwise."""
_EDGE = 0.04
"""Width in statures of what an arm may hide of the trunk's edge."""
_JOINED = {
    "upper_arm": ("forearm",),
    "forearm": ("upper_arm", "hand"),
    "hand": ("forearm",),
    "thigh": ("shin",),
    "shin": ("thigh", "foot"),
    "foot": ("shin",),
}
"""Parts of the same limb that share a joint."""
_BESIDE = {
    "trunk": {"neck", "skirt", "right_thigh", "left_thigh"},
    "neck": {"head"},
    "head": {"neck"},
    "skirt": {"trunk"},
}
_HIDERS = (
    (("trunk",), ("arm", "hand", "neck")),
    (("skirt",), ("arm", "hand")),
    (("neck",), ("arm", "hand", "head")),
    (("head", "arm"), ("arm", "hand")),
    (("thigh", "shin", "foot"), ("arm", "hand", "skirt", "thigh", "shin", "foot")),
)


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
    reach = _BEYOND * anatomy.stature
    pieces = {}
    for name in fields.names:
        piece = _piece(name, fields, labels, figure)
        if piece is not None:
            if name in ("trunk", "skirt") or name.endswith(("thigh", "shin")):
                piece = Piece(piece.known, _beyond(piece.whole, inside, reach))
            pieces[name] = piece
    return Cut(figure, pieces, hem)


def _beyond(whole: Floats, inside: Bools, reach: float) -> Floats:
    """Let a part go on below the lower edge of a picture that cuts it, for a stretch."""
    if inside.all():
        return whole
    rows, columns = np.nonzero(inside)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    height, width = inside.shape
    # The last rows are softened towards the edge already.
    bottom = max(bottom - 3, top + 1)
    around = ((top, height - bottom), (left, width - right))
    wide = np.pad(whole[top:bottom, left:right], around, mode="edge")
    wide[:bottom] = 0
    far = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(np.maximum(whole, wide * smooth(far, reach, 0.9 * reach)), np.float32)


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
        self.hem = 0.0
        """How far down a skirt goes from the hips, in pixels, once it is found."""
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
                    for start, stop in pairwise(joints):
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
        """Decide whether there is a skirt (or a coat), and how far down it goes.

        A skirt is there where it can be told from trousers: between legs that stand apart, or well
        beside them.
        """
        if "skirt" not in self.names:
            return None
        index = self.names.index("skirt")
        stature = self._stature
        between, beside = self._cloth_by_depth(figure)
        cloth = between | beside
        # Trousers part, and narrow, not far below the hips.
        if len(cloth) < _LEAST_BANDS or not cloth[:_LEAST_BANDS].all():
            self.stack[index] = _NOWHERE
            return None
        gaps = np.flatnonzero(~cloth)
        bands = int(gaps[0]) if len(gaps) else len(cloth)
        hem = (_SKIRT_TOP + bands * _BAND) * stature
        cloth = (-self.up < hem) & (-self.up > 0.035 * stature) & (self.stack[index] < _NOWHERE)
        arms = [k for k, name in enumerate(self.names) if name.endswith(("hand", "forearm"))]
        if arms:
            cloth &= self.stack[arms].min(axis=0) > 1.25
        # Where exactly it ends, colours tell better.
        near_hem = np.clip((-self.up / hem - 0.85) / 0.15, 0, 1)
        self.stack[index] = np.where(cloth, _CLOTH + near_hem, _NOWHERE)
        covered = cloth & (-self.up < 0.85 * hem)
        for k, name in enumerate(self.names):
            if name.endswith(("thigh", "shin")):
                self.stack[k] = np.where(covered, np.maximum(self.stack[k], _UNDER), self.stack[k])
        self.hem = hem
        return hem

    def _cloth_by_depth(self, figure: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return for bands from the hips down whether there is cloth between legs that stand apart.

        Returns:
            (bands,) between them; (bands,) well beside them on both sides.
        """
        anatomy, trunk, stature = self.anatomy, self.anatomy.trunk, self._stature
        aside = (self.where - trunk.hips) @ trunk.right
        lines = []
        for side in SIDES.values():
            leg = anatomy.points[list(side.leg)] - trunk.hips
            low, out = -(leg @ trunk.up), leg @ trunk.right
            rising = np.argsort(low)
            lines.append(np.interp(-self.up, low[rising], out[rising]))
        left, right = np.minimum(*lines), np.maximum(*lines)
        middle = np.abs(aside - (left + right) / 2) < _SEAM * stature
        apart = right - left > _APART * stature
        limbs = [k for k, name in enumerate(self.names) if name.endswith(("hand", "arm"))]
        free = self.stack[limbs].min(axis=0) > 1.3 if limbs else np.ones_like(middle)
        solid = figure > 0.5
        wide = _FLARE * stature
        ring = 0.02 * stature
        sides = [
            ((left - aside) > wide) & ((left - aside) < wide + ring),
            ((aside - right) > wide) & ((aside - right) < wide + ring),
        ]
        count = max(int((min(1.4 * self._knees / stature, 0.45) - _SKIRT_TOP) / _BAND), 1)
        between, beside = np.zeros(count, bool), np.zeros(count, bool)
        for band in range(count):
            top = (_SKIRT_TOP + band * _BAND) * stature
            here = (-self.up >= top) & (-self.up < top + _BAND * stature)
            inner = here & middle & apart & free
            between[band] = inner.sum() > 2 and solid[inner].mean() > 0.9
            outer = [here & each & free for each in sides]
            beside[band] = all(each.sum() > 2 and solid[each].mean() > 0.7 for each in outer)
        return between, beside


def _label(picture: Picture, fields: _Fields, figure: Floats) -> Labels:
    """Return which part each pixel belongs to.

    A part costs a pixel its distance and how unlike the part's core its colour is; costs are
    smoothed along the picture's edges (cost-volume filtering: Rhemann et al. 2011), and the
    cheapest part has it.
    """
    names, stack = fields.names, fields.stack
    lab = cv2.cvtColor(np.asarray(picture, np.float32) / 255, cv2.COLOR_RGB2LAB)
    solid = figure > 0.5
    nearest = stack.argmin(axis=0)
    cores = {
        name: solid & (nearest == index) & (fields.shape_of(name) < _CORE)
        for index, name in enumerate(names)
    }
    if "skirt" in cores:
        cores["skirt"] &= -fields.up < 0.6 * fields.hem
    smoothed = GuidedFilter(picture, max(round(_SMOOTHED * fields.anatomy.stature), 1))
    costs = np.empty_like(stack)
    for index, name in enumerate(names):
        twin = name.replace("right_", "left_") if "right_" in name else name
        twin = twin if twin != name else name.replace("left_", "right_")
        core = cores[name] | cores.get(twin, cores[name])
        cost = np.minimum(stack[index], _FARTHEST) + _COLOUR * _unlike(lab, lab[core])
        costs[index] = smoothed(cost.astype(np.float32))
        costs[index][stack[index] >= _NOWHERE] = 2 * _NOWHERE
    label = costs.argmin(axis=0)
    # A piece that hangs apart from its part belongs to the next best.
    for index, name in enumerate(names):
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(
            ((label == index) & solid).astype(np.uint8), connectivity=4
        )
        if len(stats) <= 2:
            continue
        held = np.unique(pieces[cores[name]])
        held = held[held > 0] if (held > 0).any() else stats[1:, 4].argmax(keepdims=True) + 1
        costs[index][(pieces > 0) & ~np.isin(pieces, held)] = 2 * _NOWHERE
    return np.asarray(costs.argmin(axis=0), np.int32)


def _unlike(lab: Floats, core: Floats) -> Floats:
    """Return how unlike a part's colours each pixel is, 0 to 1: (h, w)."""
    if len(core) < 8:
        return np.full(lab.shape[:2], 0.5, np.float32)
    cv2.setRNGSeed(1)
    some = np.ascontiguousarray(core[:: max(len(core) // 2000, 1)], np.float32)
    count = min(5, len(some))
    rule = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 8, 1.0)
    _, which, centres = cv2.kmeans(some, count, None, rule, 1, cv2.KMEANS_PP_CENTERS)
    # A colour that is hardly in the core may be a bit of something else.
    common = np.bincount(which.ravel(), minlength=count) > 0.04 * len(some)
    best = np.full(lab.shape[:2], np.inf, np.float32)
    for centre in centres[common]:
        best = np.minimum(best, np.square(lab - centre).sum(axis=-1))
    return np.asarray(np.minimum(np.sqrt(best) / _UNLIKE, 1), np.float32)


def _beside(name: str) -> set[str]:
    """Return the parts that a part goes on a little under or over."""
    if name in _BESIDE:
        return _BESIDE[name]
    side, _, part = name.partition("_")
    return {f"{side}_{other}" for other in _JOINED[part]}


def _over(name: str) -> tuple[str, ...]:
    """Return the ends of the names of parts that may hide a part."""
    for ends, over in _HIDERS:
        if name.endswith(ends):
            return over
    return ()


def _piece(name: str, fields: _Fields, labels: Labels, figure: Floats) -> Piece | None:
    """Return where a part is, or None where there is too little of it."""
    names, anatomy = fields.names, fields.anatomy
    stature = anatomy.stature
    solid = figure > 0.5
    mine = (labels == names.index(name)) & solid
    if not mine.any():
        return None

    def among(chosen: Callable[[str], bool]) -> Bools:
        return np.isin(labels, [k for k, other in enumerate(names) if chosen(other)]) & solid

    beside = _beside(name)
    overlap = _TUCKED if name == "skirt" else _OVERLAP
    known = mine | (among(beside.__contains__) & _near(mine, overlap * stature))
    if name == "trunk":
        hips = among(lambda other: other.endswith("thigh")) & (fields.up > -0.02 * stature)
        known |= hips & (fields.barrel < 0.95)
    bone = BONES.get(name)
    hidden = np.zeros_like(mine)
    joined = among(beside.__contains__)
    if bone is not None:
        for joint, radius in ((bone.start, bone.radius), (bone.end, bone.end_radius)):
            place = anatomy.points[joint]
            disc = capsule(fields.where, place, place, radius * stature) < 1.05
            known |= disc & joined
            # At the shoulder it is the trunk's cloth that is seen.
            hidden |= disc & among(lambda other: other in ("trunk", "skirt"))
    soft = _soft(known)
    if not name.endswith(("hand", "foot")):
        soft = _without_slivers(soft, _SLIVER * stature)
    soft = _without_crumbs(soft * figure)
    shape = fields.shape_of(name) < (0.85 if name == "trunk" else 0.95)
    front = among(lambda other: other.endswith(_over(name)) and other != name)
    if not name.endswith("hand"):
        hidden |= shape & front
    if name == "trunk":
        # Where an arm lies over the trunk's edge, the edge goes on behind it.
        wide = 2 * round(_EDGE * stature) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
        closed = cv2.morphologyEx((known | hidden).astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0
        hidden |= closed & front & (fields.barrel < 1.2)
    elif name == "skirt":
        hidden |= (fields[name] < _NOWHERE) & front
    whole = np.maximum(soft, _soft(hidden))
    if bone is not None and (shape & mine).sum() < 0.65 * shape.sum():
        # Mostly hidden, or cut by the edge of the picture.
        whole = np.maximum(whole, _soft(shape))
    if (soft > 0.5).sum() < 4:
        return None
    return Piece(soft, whole)


def _near(where: Bools, reach: float) -> Bools:
    wide = 2 * max(round(reach), 1) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    return np.asarray(cv2.dilate(where.astype(np.uint8), kernel) > 0)


def _soft(where: Bools) -> Floats:
    return smooth(cv2.GaussianBlur(where.astype(np.float32), (0, 0), 0.7), 0.2, 0.8)


def _without_slivers(part: Floats, half: float) -> Floats:
    """Leave out what is thinner than a part can be, such as a rest of sleeve along the trunk."""
    wide = 2 * max(round(half), 1) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    kept = cv2.morphologyEx(part, cv2.MORPH_OPEN, kernel)
    near = cv2.dilate(kept, np.ones((3, 3), np.uint8))
    return np.asarray(np.minimum(part, near), np.float32)


def _without_crumbs(part: Floats) -> Floats:
    """Leave out pieces that are small against the whole."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((part > 0.2).astype(np.uint8))
    if count <= 2:
        return part
    small = np.flatnonzero(stats[:, 4] < 0.06 * stats[1:, 4].sum())
    return np.asarray(part * ~np.isin(pieces, small), np.float32)
