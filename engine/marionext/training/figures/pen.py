"""Flat shapes with a light side and a dark one: what figures are drawn with.

Points of the picture are complex numbers, x + iy with y down: turning, stretching and moving an
outline is then one multiplication and one addition, and an outline is an array of them.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Colour",
    "Limb",
    "Outline",
    "Pen",
    "Picture",
    "closed",
    "darker",
    "ellipse",
    "mixed",
]

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Outline = NDArray[np.complex128]

SHIFT = 4
"""Fractional bits of OpenCV's sub-pixel coordinates."""

HALF = 9
"""Points round each end of a limb."""

_ARC = np.exp(1j * np.linspace(np.pi / 2, 3 * np.pi / 2, HALF))
_ONES, _NONE = np.ones(HALF), np.zeros(HALF)
_CAPSULE = np.stack(
    [
        np.concatenate([_ONES, _NONE]),
        np.concatenate([_NONE, _ONES]),
        np.concatenate([_ARC, _NONE]),
        np.concatenate([_NONE, -_ARC]),
    ],
    axis=1,
)
"""Points round the start of a limb, then round its end: from the two places, and from steps along
the limb as long as it is thick there."""
_QUARTER = HALF // 2 + 1
_CIRCLE = np.exp(1j * np.linspace(0, 2 * np.pi, 28, endpoint=False))
_SAMPLES = 4


def mixed(one: Colour, two: Colour, share: float) -> Colour:
    """Return ``one`` with a share of ``two``."""
    rest = 1.0 - share
    return (
        round(one[0] * rest + two[0] * share),
        round(one[1] * rest + two[1] * share),
        round(one[2] * rest + two[2] * share),
    )


@cache
def darker(colour: Colour, share: float = 0.22) -> Colour:
    """Return a colour in shadow: darker, and a little bluer."""
    return mixed(colour, (12, 8, 40), share)


@cache
def _spline(count: int) -> NDArray[np.float64]:
    """Return the matrix that makes a closed Catmull-Rom curve of ``count`` points."""
    share = np.arange(_SAMPLES) / _SAMPLES
    powers = np.stack([np.ones_like(share), share, share**2, share**3], axis=1)
    basis = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    weights = powers @ basis
    matrix = np.zeros((count, _SAMPLES, count))
    for start in range(count):
        for offset in range(4):
            matrix[start, :, (start + offset - 1) % count] += weights[:, offset]
    return matrix.reshape(-1, count)


def closed(corners: list[complex] | Outline) -> Outline:
    """Return the smooth closed curve through some points."""
    points = np.asarray(corners, np.complex128)
    return np.asarray(_spline(len(points)) @ points)


def _fixed(outline: Outline) -> NDArray[np.int32]:
    """Return points as OpenCV takes them: (n, 1, 2)."""
    flat = np.ascontiguousarray(outline).view(np.float64) * (1 << SHIFT)
    return flat.astype(np.int32).reshape(-1, 1, 2)


class Pen:
    """Draws on one picture, in place.

    Args:
        picture: (h, w, 3) RGB.
        light: unit vector towards the light.
        edge: width in pixels of the dark line round a shape; 0 for none.
        rough: draw lines without smoothing, a fourth of the time; for pictures that are averaged
            down later.
    """

    def __init__(self, picture: Picture, light: complex, edge: float, *, rough: bool) -> None:
        self.picture, self.light, self.edge = picture, light, edge
        self._line_type = cv2.LINE_8 if rough else cv2.LINE_AA

    def fill(self, outline: Outline, colour: Colour) -> None:
        """Fill an outline."""
        cv2.fillPoly(self.picture, [_fixed(outline)], colour, cv2.LINE_AA, SHIFT)

    def edges(self, outlines: list[Outline], colour: Colour) -> None:
        """Draw a line round some outlines, in the shadow of their colour."""
        if self.edge >= 0.5:
            cv2.polylines(
                self.picture,
                [_fixed(outline) for outline in outlines],
                isClosed=True,
                color=darker(colour, 0.4),
                thickness=max(round(self.edge * 2), 1),
                lineType=self._line_type,
                shift=SHIFT,
            )

    def shape(self, outline: Outline, colour: Colour) -> None:
        """Fill an outline and draw a line round it."""
        self.edges([outline], colour)
        self.fill(outline, colour)

    def shade(self, outline: Outline, share: float = 0.2) -> None:
        """Darken what is drawn inside an outline."""
        height, width = self.picture.shape[:2]
        x, y = outline.real, outline.imag
        left, right = max(int(x.min()), 0), min(int(x.max()) + 2, width)
        top, bottom = max(int(y.min()), 0), min(int(y.max()) + 2, height)
        if left >= right or top >= bottom:
            return
        region = self.picture[top:bottom, left:right]
        mask = np.zeros(region.shape[:2], np.uint8)
        cv2.fillPoly(mask, [_fixed(outline - complex(left, top))], 1, cv2.LINE_8, SHIFT)
        cv2.copyTo(cv2.convertScaleAbs(region, alpha=1 - share), mask, region)

    def lines(self, paths: list[Outline], width: float, colour: Colour) -> None:
        """Draw open lines of one width."""
        cv2.polylines(
            self.picture,
            [_fixed(path) for path in paths],
            isClosed=False,
            color=colour,
            thickness=max(round(width), 1),
            lineType=self._line_type,
            shift=SHIFT,
        )

    def disc(self, centre: complex, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        place = round(centre.real * (1 << SHIFT)), round(centre.imag * (1 << SHIFT))
        reach = max(round(radius * (1 << SHIFT)), 1)
        cv2.circle(self.picture, place, reach, colour, -1, cv2.LINE_AA, SHIFT)

    def oval(
        self, centre: complex, radii: tuple[float, float], across: complex, colour: Colour
    ) -> None:
        """Fill an ellipse, its first radius along the unit vector ``across``."""
        self.fill(ellipse(centre, radii, across), colour)

    def limbs(self, limbs: list["Limb"]) -> None:
        """Draw limbs that hang together: their edges first, so that no line crosses a joint."""
        if self.edge >= 0.5:
            for limb in limbs:
                self.fill(limb.grown(self.edge), darker(limb.colour, 0.4))
        for limb in limbs:
            self.fill(limb.outline, limb.colour)
            self.fill(limb.strip(self.light), darker(limb.colour))

    def limb(
        self, start: complex, end: complex, radii: tuple[float, float], colour: Colour
    ) -> None:
        """Draw one tapered limb with round ends, an edge, and shade on the side off the light."""
        self.limbs([Limb(start, end, radii, colour)])


class Limb:
    """A tapered limb with round ends."""

    __slots__ = ("colour", "end", "outline", "radii", "start", "unit")

    def __init__(
        self, start: complex, end: complex, radii: tuple[float, float], colour: Colour
    ) -> None:
        self.start, self.end, self.radii, self.colour = start, end, radii, colour
        along = end - start
        length = abs(along)
        self.unit = along / length if length > 1e-6 else 1.0 + 0j
        self.outline = self.grown(0.0)

    def grown(self, width: float) -> Outline:
        """Return the outline grown by a width."""
        one, two = self.radii
        steps = self.unit * (one + width), self.unit * (two + width)
        return np.asarray(_CAPSULE @ np.array([self.start, self.end, *steps]))

    def strip(self, light: complex) -> Outline:
        """Return the side off the light.

        How far the shade comes round depends on how far the limb lies across the light, so that
        it glides as the limb turns.
        """
        turned = (self.unit.conjugate() * light).imag
        reach = 0.85 - 0.85 * abs(turned)
        away = self.unit * (-1j if turned > 0 else 1j) * reach
        end, start = self.end + away * self.radii[1], self.start + away * self.radii[0]
        if turned < 0:
            return np.concatenate([self.outline[-_QUARTER:], self.outline[:_QUARTER], [start, end]])
        return np.concatenate([self.outline[_QUARTER - 1 : HALF + _QUARTER], [end, start]])


def ellipse(centre: complex, radii: tuple[float, float], across: complex) -> Outline:
    """Return an ellipse, its first radius along the unit vector ``across``."""
    return np.asarray(centre + across * (_CIRCLE.real * radii[0] + 1j * _CIRCLE.imag * radii[1]))
