"""Make a doll of a picture: find the figure, cut it, fill in what is hidden and behind it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import Anatomy, read_anatomy
from marionext.doll.cutting import Cut, cut
from marionext.doll.filling import fill_background, fill_patches, fill_smoothly
from marionext.doll.ground import find_shadow
from marionext.doll.guided import GuidedFilter
from marionext.doll.model import Doll, Layer, Shadow
from marionext.errors import CharacterError

__all__ = ["MAKER", "make_doll"]

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Picture = NDArray[np.uint8]

MAKER = 1
"""Version of how dolls are made and drawn, to be raised with either: a doll of another version is
made anew, and a render that was begun with another one does not go on with two kinds of frames."""

_LONGEST = 1280
"""Pixels of a doll's longer side; a larger picture is made smaller."""
_CUTTING = 448
"""Pixels of the longer side in which a figure is cut; outlines are found again at full size."""
_MARGIN = 0.1
"""Space around joints beyond the edge of the picture, in statures."""
_CLOTHES = ("trunk", "skirt", "thigh")
_RIM = 3
"""Pixels beside a part that lies over another one in which their colours are mixed."""
_WORKERS = 2
"""Threads that fill layers and background side by side; what they make does not depend on it."""
_LIMB_ENDS = [3, 4, 6, 7, 9, 10, 12, 13]


def make_doll(
    picture: Picture,
    points: Floats,
    scores: Floats,
    *,
    mask: Floats | None = None,
    hint: Floats | None = None,
) -> Doll:
    """Take a character's picture apart.

    Args:
        picture: (h, w, 3) RGB; of a large one, a smaller doll is made.
        points: (134, 2) pixels of the picture: the character's pose.
        scores: (134,).
        mask: (h, w), 0 to 1: the figure, where it is known exactly (alpha, a mask by hand).
        hint: (h, w), 0 to 1: what a person segmenter thinks of it.

    Returns:
        The doll; its size is the picture's, or that of the smaller one.

    Raises:
        CharacterError: too little of a body is known to cut it.
    """
    points, scores = np.asarray(points, np.float32), np.asarray(scores, np.float32)
    _refuse_bodiless(scores)
    picture, points, mask, hint = _bounded(picture, points, mask, hint)
    height, width = picture.shape[:2]
    anatomy = read_anatomy(points, scores)
    margin = _margin(anatomy, (width, height))
    if mask is not None and not _holds(mask, anatomy):
        mask = None
    wide = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    inside = np.pad(np.ones((height, width), bool), margin)
    scale = min(_CUTTING / max(wide.shape[:2]), 1.0)
    found = _cut(wide, anatomy, margin, inside, scale, mask, hint)
    figure = _at_full_size(found.figure, wide, scale, exact=mask, margin=margin) * inside
    cutout = figure[margin : margin + height, margin : margin + width]
    with ThreadPoolExecutor(_WORKERS) as pool:
        behind = pool.submit(_background, picture, cutout, anatomy)
        made = pool.map(
            lambda item: _layer(item[0], item[1].known, item[1].whole, wide, figure, margin),
            found.pieces.items(),
        )
        layers = [layer for layer in made if layer is not None]
        background, filled, shadow = behind.result()
    hem = None if found.hem is None else found.hem / scale
    return Doll(
        size=(width, height),
        background=background,
        filled=filled,
        points=points,
        scores=scores,
        layers=tuple(layers),
        hem=hem,
        shadow=shadow,
    )


def _refuse_bodiless(scores: Floats) -> None:
    shoulders = min(scores[2], scores[5]) > 0.1
    head = max(scores[[0, 14, 15, 16, 17]]) > 0.1
    hips = min(scores[8], scores[11]) > 0.05
    if not shoulders or not (head or hips):
        raise CharacterError(
            "expected a character with shoulders and a head or hips, found too little of a body",
            hint="Give a picture that shows a person from the hips up, or lay its pose beside it "
            "(hero.pose.npz for hero.png).",
        )


def _bounded(
    picture: Picture, points: Floats, mask: Floats | None, hint: Floats | None
) -> tuple[Picture, Floats, Floats | None, Floats | None]:
    """Make a picture smaller that is larger than a doll, and all that belongs to it."""
    height, width = picture.shape[:2]
    scale = _LONGEST / max(height, width)
    if scale >= 1:
        return picture, points, mask, hint
    size = (max(round(width * scale), 16), max(round(height * scale), 16))
    ratio = np.array([size[0] / width, size[1] / height], np.float32)

    def smaller(pixels: Floats) -> Floats:
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)

    return (
        np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8),
        points * ratio,
        None if mask is None else smaller(np.asarray(mask, np.float32)),
        None if hint is None else smaller(np.asarray(hint, np.float32)),
    )


def _margin(anatomy: Anatomy, size: tuple[int, int]) -> int:
    """Return the pixels to lay around a picture that cuts limbs off."""
    ends = anatomy.points[_LIMB_ENDS]
    beyond = float(max((-ends).max(), (ends - size).max()))
    if beyond <= 0:
        return 0
    return round(min(beyond + _MARGIN * anatomy.stature, 1.2 * max(size)))


def _holds(mask: Floats, anatomy: Anatomy) -> bool:
    """Tell whether a mask is one of this figure: some, but not all, and its joints are in it."""
    if not 0.005 < float((mask > 0.5).mean()) < 0.98:
        return False
    height, width = mask.shape
    joints = anatomy.points[[1, 2, 5, 8, 11]].astype(int)
    inner = ((joints >= 0) & (joints < (width, height))).all(axis=1)
    hits = [mask[y, x] > 0.3 for x, y in joints[inner]]
    return not hits or float(np.mean(hits)) >= 0.4


def _cut(
    wide: Picture,
    anatomy: Anatomy,
    margin: int,
    inside: Bools,
    scale: float,
    mask: Floats | None,
    hint: Floats | None,
) -> Cut:
    """Cut the figure at the size that is enough for that."""

    def brought(pixels: Floats | None) -> Floats | None:
        if pixels is None:
            return None
        pixels = np.pad(np.asarray(pixels, np.float32), margin)
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)

    height, width = wide.shape[:2]
    size = (max(round(width * scale), 16), max(round(height * scale), 16))
    ratio = np.array([size[0] / width, size[1] / height], np.float32)
    small = read_anatomy((anatomy.points + margin) * ratio, anatomy.scores)
    picture = cv2.resize(wide, size, interpolation=cv2.INTER_AREA)
    within = cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    return cut(np.asarray(picture, np.uint8), small, within, mask=brought(mask), hint=brought(hint))


def _at_full_size(
    figure: Floats, wide: Picture, scale: float, *, exact: Floats | None, margin: int
) -> Floats:
    """Bring the outline to the picture's size, along the picture's own edges."""
    if exact is not None:
        return np.pad(np.asarray(exact, np.float32), margin)
    height, width = wide.shape[:2]
    if scale >= 1:
        return figure
    small = cv2.resize(wide, figure.shape[::-1], interpolation=cv2.INTER_AREA)
    fine = GuidedFilter(np.asarray(small, np.uint8), 2, 1e-4).enlarged(figure, wide)
    # What is inside or outside for sure stays so; only the rim follows the picture.
    square = np.ones((5, 5), np.uint8)
    sure = (cv2.erode(figure, square) > 0.5).astype(np.uint8) * 2
    sure += (cv2.dilate(figure, square) < 0.5).astype(np.uint8)
    sure = cv2.resize(sure, (width, height), interpolation=cv2.INTER_NEAREST)
    fine = np.where(sure == 2, 1.0, np.where(sure == 1, 0.0, fine))
    return np.asarray(np.clip((fine - 0.2) / 0.6, 0, 1), np.float32)


def _layer(
    name: str, known: Floats, whole: Floats, wide: Picture, figure: Floats, margin: int
) -> Layer | None:
    """Cut one part out of the picture and continue its colours into what is hidden."""
    height, width = wide.shape[:2]
    enlarged = known.shape != (height, width)
    if enlarged:
        # Where something is hidden the outline of the figure does not count; a little around it,
        # so that no seam is left between what was seen and what is filled in.
        hidden = cv2.dilate(np.maximum(whole - known, 0), np.ones((5, 5), np.uint8))
        whole, known, hidden = (
            np.clip((cv2.resize(part, (width, height)) - 0.3) / 0.4, 0, 1)
            for part in (whole, known, hidden)
        )
        known = known * figure
        whole = np.maximum(known, whole * np.maximum(figure, hidden))
    rows, columns = np.nonzero(whole > 0.02)
    if not len(rows):
        return None
    top, bottom = max(int(rows.min()) - 2, 0), int(rows.max()) + 3
    left, right = max(int(columns.min()) - 2, 0), int(columns.max()) + 3
    box = np.s_[top:bottom, left:right]
    # Colours on the rim are mixed with what is behind.
    inner = figure[box] > 0.9
    weight = ((known[box] > 0.6) & inner).astype(np.float32)
    # So are those beside what lies over it: a line of skin around a hand that is gone.
    if enlarged:
        covered = ((whole[box] - known[box] > 0.5) & (figure[box] > 0.5)).astype(np.uint8)
        beside = cv2.dilate(covered, np.ones((3, 3), np.uint8), iterations=_RIM)
        weight = weight * (beside == 0)
    if weight.sum() < 3:
        weight = (known[box] > 0.3).astype(np.float32)
    if not weight.any():
        return None
    colours = fill_smoothly(wide[box].astype(np.float32), weight)
    hidden = (whole[box] > 0.05) & (weight < 0.5)
    if name.endswith(_CLOTHES) and hidden.mean() > 0.02:
        # A hand that lay on a patterned shirt leaves pattern behind, not fog.
        fog = np.clip(colours + 0.5, 0, 255).astype(np.uint8)
        colours = fill_patches(fog, hidden, weight > 0.5).astype(np.float32)
    pixels = np.dstack([colours, whole[box] * 255])
    return Layer(
        part=name,
        pixels=np.clip(pixels + 0.5, 0, 255).astype(np.uint8),
        corner=(left - margin, top - margin),
        seen=np.clip(known[box] * 255 + 0.5, 0, 255).astype(np.uint8),
    )


def _background(
    picture: Picture, figure: Floats, anatomy: Anatomy
) -> tuple[Picture, Picture, Shadow | None]:
    """Fill in what the figure hides, and find its shadow on the floor."""
    rim = max(round(anatomy.stature * 0.008), 1)
    hole = cv2.dilate((figure > 0.05).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=rim)

    def light(floor: Bools) -> Floats:
        known = 1 - ((hole > 0) | floor).astype(np.float32)
        around = fill_smoothly(picture.astype(np.float32), known).sum(axis=-1)
        return np.asarray((picture.sum(axis=-1, dtype=np.float32) + 3) / (around + 3))

    found = find_shadow(light, anatomy, (figure < 0.5) & (hole == 0))
    shadow = None
    if found is not None:
        shadow, floor = found
        hole = ((hole > 0) | (floor & (figure < 0.5))).astype(np.uint8)
    background = fill_background(picture, hole > 0)
    return background, (hole > 0).astype(np.uint8) * 255, shadow
