"""Draw a whole figure from its keypoints, back to front.

Everything is placed by the keypoints of the one frame and by how near the viewer they are: no
cloth or hair swings on by itself, so a picture is told completely by its pose map.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import LEFT_HAND, RIGHT_HAND
from marionext.training.figures.bodies import Build
from marionext.training.figures.heads import HEAD, Head
from marionext.training.figures.look import Look
from marionext.training.figures.pen import Colour, Limb, Outline, Pen, Picture, closed, darker
from marionext.training.figures.trunks import Trunk

__all__ = ["Figure", "draw_figure", "draw_shadow"]

Floats = NDArray[np.float32]

_PALM = [0, 1, 5, 9, 13, 17]
_FINGERS = [np.array([4 * finger + joint for joint in range(1, 5)]) for finger in range(5)]


@dataclass(frozen=True, slots=True)
class Figure:
    """A character: proportions and look."""

    build: Build
    look: Look


@dataclass(frozen=True, slots=True)
class _Arm:
    shoulder: int
    hand: slice
    near: float
    """How far before the trunk's middle, in heights."""


@dataclass(frozen=True, slots=True)
class _Leg:
    hip: int
    heel: int
    toe: int


_LEGS = (_Leg(8, 23, 21), _Leg(11, 20, 18))


def draw_shadow(picture: Picture, place: Floats, height: float, spread: float, tall: float) -> None:
    """Darken the floor under the feet, in place.

    Args:
        picture: (h, w, 3) RGB.
        place: (2,) in pixels, below the middle between the feet.
        height: of the lower foot above the floor, in statures.
        spread: half the shadow's width in pixels.
        tall: half its height in pixels.
    """
    middle, floor = (float(value) for value in place)
    wide = spread * (1 - min(height, 0.6) * 0.5)
    x0, x1 = int(max(middle - wide, 0)), int(min(middle + wide + 1, picture.shape[1]))
    y0, y1 = int(max(floor - tall, 0)), int(min(floor + tall + 1, picture.shape[0]))
    if x0 >= x1 or y0 >= y1:
        return
    across = (np.arange(x0, x1, dtype=np.float32) - middle) / wide
    down = (np.arange(y0, y1, dtype=np.float32) - floor) / tall
    inside = np.clip(1 - across[None] ** 2 - down[:, None] ** 2, 0, 1)
    dark = 1 - inside * (0.5 * (1 - min(height * 3, 0.7)))
    region = picture[y0:y1, x0:x1]
    np.multiply(region, dark[..., None], out=region, casting="unsafe")


def draw_figure(
    picture: Picture,
    figure: Figure,
    body: Floats,
    depth: Floats,
    scale: float,
    *,
    rough: bool = False,
) -> None:
    """Draw the figure over a picture, in place.

    Args:
        picture: (h, w, 3) RGB.
        figure: the character.
        body: (135, 2) keypoints and the centre of the head, in pixels.
        depth: (135,) distance towards the viewer, in heights.
        scale: standing height in pixels.
        rough: the picture will be averaged down.
    """
    look = figure.look
    light = complex(0.8 * look.light, -0.6)
    pen = Pen(picture, light, 0.0045 * scale, rough=rough)
    points = np.ascontiguousarray(body, np.float64).view(np.complex128)[:, 0]
    _Drawing(pen, figure, points, depth, scale).draw()


class _Drawing:
    """One figure in one frame."""

    def __init__(
        self, pen: Pen, figure: Figure, points: Outline, depth: Floats, scale: float
    ) -> None:
        self.pen, self.look, self.points, self.depth = pen, figure.look, points, depth
        self.scale, self.thick = scale, figure.look.thickness * scale
        away = depth.astype(np.float64) * scale
        self.head = Head(pen, figure.look, points, away, figure.build.head * scale)
        self.trunk = Trunk(pen, figure.look, points, away, scale)

    def draw(self) -> None:
        depth, head = self.depth, self.head
        arms = [
            _Arm(shoulder, hand, float(depth[shoulder : shoulder + 3].mean() - depth[1]))
            for shoulder, hand in ((2, RIGHT_HAND), (5, LEFT_HAND))
        ]
        arms.sort(key=lambda arm: arm.near)
        behind = [arm for arm in arms if arm.near < -0.03]
        before = [arm for arm in arms if arm.near >= -0.03]
        legs = sorted(_LEGS, key=lambda leg: float(depth[leg.hip : leg.hip + 3].mean()))
        raised = [
            leg for leg in legs if depth[leg.hip + 1] > depth[leg.hip] + 0.1 and not self.look.skirt
        ]
        if head.facing > 0:
            head.draw_hanging()
        for arm in behind:
            self._arm(arm)
        self.trunk.draw_tails()
        for leg in legs:
            if leg not in raised:
                self._leg(leg, far=leg is legs[0])
        self.trunk.draw_pelvis()
        for leg in raised:
            self._leg(leg, far=leg is legs[0])
        self.trunk.draw_skirt()
        self.trunk.draw()
        over = [arm for arm in before if depth[HEAD] < depth[arm.shoulder + 2]]
        for arm in before:
            if arm not in over:
                self._arm(arm)
        self._neck()
        head.draw()
        for arm in over:
            self._arm(arm)

    def _neck(self) -> None:
        neck, head = complex(self.points[1]), self.head.centre
        skin = darker(self.look.skin, 0.14)
        if self.head.facing > 0:
            self.trunk.draw_neckline()
        if self.look.cut == "hoodie":
            across = 1j * (head - neck) / max(abs(head - neck), 1e-6)
            self.pen.shape(
                neck + across * self.thick * np.exp(1j * np.linspace(0, 6, 12)) * 0.9,
                darker(self.look.top, 0.15),
            )
        wide = min(0.026 * self.scale, self.head.radius * 0.45)
        self.pen.limb(neck + (head - neck) * 0.12, head, (wide, wide), skin)

    def _arm(self, arm: _Arm) -> None:
        look, thick, pen = self.look, self.thick, self.pen
        shoulder, elbow, wrist = (complex(self.points[arm.shoulder + part]) for part in range(3))
        self._hand(self.points[arm.hand])
        self._covered(
            (shoulder, elbow, wrist),
            (thick * 0.5, thick * 0.41, thick * 0.3),
            look.sleeves,
            look.sleeve,
        )
        if look.gloves:
            pen.limb(wrist + (elbow - wrist) * 0.3, wrist, (thick * 0.4, thick * 0.34), look.accent)

    def _hand(self, hand: Outline) -> None:
        pen, scale = self.pen, self.scale
        colour: Colour = self.look.accent if self.look.gloves else self.look.skin
        width = 0.0155 * scale
        edge = darker(colour, 0.38)
        line = max(0.007 * scale, 1.6)
        wide = width + line
        middle = complex(hand[_PALM].mean())
        palm = hand[_PALM]
        palm = palm + (palm - middle) / np.maximum(np.abs(palm - middle), 1e-6) * width * 0.5
        # The thumb is nearest: the hand is drawn from the little finger on.
        for finger in reversed(_FINGERS[1:]):
            pen.lines([hand[finger]], wide, edge)
            pen.lines([hand[finger]], width, colour)
        pen.shape(hull_of(palm), colour)
        pen.lines([hand[_FINGERS[0]]], wide, edge)
        pen.lines([hand[[1, 5]], hand[[1, 0]], hand[_FINGERS[0]]], width, colour)

    def _leg(self, leg: _Leg, *, far: bool) -> None:
        look, thick, pen = self.look, self.thick, self.pen
        hip, knee, ankle = (complex(self.points[leg.hip + part]) for part in range(3))
        self._shoe(leg, ankle)
        radii = thick * 0.74, thick * 0.57, thick * 0.38
        cloth = darker(look.legs, 0.12) if far else look.legs
        self._covered((hip, knee, ankle), radii, look.trousers, cloth)
        for share, colour in ((look.socks, look.inner), (look.boots, look.shoes)):
            if share > 0:
                top = ankle + (knee - ankle) * min(share, 1.0)
                wide = radii[2] + (radii[1] - radii[2]) * min(share, 1.0)
                grown = 1.06 if colour is look.inner else 1.18
                parts = [Limb(top, ankle, (wide * grown, radii[2] * grown), colour)]
                if share > 1:
                    thigh = knee + (hip - knee) * (share - 1)
                    parts.append(Limb(thigh, knee, (radii[1] * 1.14, wide * grown), colour))
                pen.limbs(parts)

    def _shoe(self, leg: _Leg, ankle: complex) -> None:
        heel, toe = complex(self.points[leg.heel]), complex(self.points[leg.toe])
        small = complex(self.points[leg.toe + 1])
        thick = self.thick
        front = (toe + small) / 2
        shoes = self.look.shoes
        self.pen.limbs(
            [
                Limb(ankle, heel, (thick * 0.34, thick * 0.32), shoes),
                Limb(heel, front, (thick * 0.36, thick * 0.36), shoes),
            ]
        )

    def _covered(
        self,
        joints: tuple[complex, complex, complex],
        radii: tuple[float, float, float],
        covered: float,
        cloth: Colour,
    ) -> None:
        """Draw an arm or a leg, covered from its root as far as ``covered`` tells."""
        skin: list[Limb] = []
        sleeve: list[Limb] = []
        for part in (1, 0):
            start, end = joints[part], joints[part + 1]
            one, two = radii[part], radii[part + 1]
            share = min(max(covered - part, 0.0), 1.0)
            if share < 1:
                skin.append(Limb(start, end, (one, two), self.look.skin))
            if share > 0:
                middle = start + (end - start) * share
                cuff = (one + (two - one) * share) * (1.12 if share < 1 or covered == 1 else 1.06)
                sleeve.append(Limb(start, middle, (one * 1.06, cuff), cloth))
        self.pen.limbs(skin)
        self.pen.limbs(sleeve)


def hull_of(points: Outline) -> Outline:
    """Return the smooth convex outline round some points."""
    pairs = np.ascontiguousarray(points).view(np.float64).reshape(-1, 1, 2).astype(np.float32)
    corners = cv2.convexHull(pairs)[:, 0].astype(np.float64)
    ring = corners[:, 0] + 1j * corners[:, 1]
    return closed(ring) if len(ring) > 2 else ring
