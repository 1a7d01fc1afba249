"""Draw trunks and what is worn on them: an elliptic barrel that turns, with clothes on its front.

Shoulders and hips tell how wide the barrel is from where it is seen; seen from the side they fall
together, but a body keeps its depth. A place on it is a height, 0 at the hips and 1 at the
shoulders, and an angle from the middle of the front.
"""

import numpy as np
from numpy.typing import NDArray

from marionext.training.figures.look import Look
from marionext.training.figures.pen import Colour, Outline, Pen, closed, darker, mixed

__all__ = ["Trunk"]

Floats = NDArray[np.float64]

_DEEP_CHEST, _DEEP_HIPS = 0.052, 0.056
"""Half the depth of a body, in heights."""


class Trunk:
    """One trunk in one frame.

    Args:
        pen: draws on the picture.
        look: what the figure wears.
        points: (135,) complex, in pixels.
        depth: (135,) towards the viewer, in pixels.
        scale: standing height in pixels.
    """

    def __init__(self, pen: Pen, look: Look, points: Outline, depth: Floats, scale: float) -> None:
        self.pen, self.look, self.points, self.depth = pen, look, points, depth
        self.scale, self.thick = scale, look.thickness * scale
        right, left, right_hip, left_hip = (complex(points[joint]) for joint in (2, 5, 8, 11))
        self.chest, self.hips = (right + left) / 2, (right_hip + left_hip) / 2
        up = self.chest - self.hips
        self.length = max(abs(up), 1e-3)
        self.up = up / self.length if self.length > 0.02 * scale else -1j
        self.across = 1j * self.up
        """To the picture's right."""
        wide, away = left - right, float(depth[5] - depth[2])
        span = max(np.hypot(abs(wide), away), 1e-3)
        self.front = -away / span
        """How far the front looks to the picture's right, -1 to 1."""
        self.facing = (self.across.conjugate() * wide).real / span
        """1 faces the viewer, -1 faces away."""
        self.span = span / 2
        hip_wide, hip_away = left_hip - right_hip, float(depth[11] - depth[8])
        hip_span = max(np.hypot(abs(hip_wide), hip_away), 1e-3)
        self.half_chest = float(
            np.hypot(abs(wide) / 2, _DEEP_CHEST * scale * away / span) + self.thick * 0.12
        )
        self.half_hips = float(
            np.hypot(abs(hip_wide) / 2, _DEEP_HIPS * scale * hip_away / hip_span)
            + self.thick * 0.62
        )
        self.tilt = (self.up.conjugate() * wide).real / 2 * np.clip(self.facing / 0.4, -1, 1)
        self.hip_tilt = (
            (self.up.conjugate() * hip_wide).real
            / 2
            * np.clip((self.across.conjugate() * hip_wide).real / hip_span / 0.4, -1, 1)
        )

    def half(self, height: float) -> float:
        """Return half the width at a height, in pixels."""
        waist = self.half_hips * 0.5 + self.half_chest * 0.5
        waist *= self.look.waist
        if height < 0.42:
            share = max(height, 0.0) / 0.42
            share = share * share * (3 - 2 * share)
            return self.half_hips + (waist - self.half_hips) * share
        share = (height - 0.42) / 0.5
        share = min(share, 1.0)
        return waist + (self.half_chest - waist) * share

    def spot(self, height: float, angle: float) -> complex:
        """Return a place in the picture; an angle that is out of sight is at the outline."""
        half = self.half(height)
        deep = half * 0.55 + self.thick * 0.2
        across = half * np.sin(angle) * self.facing + deep * np.cos(angle) * self.front
        towards = -half * np.sin(angle) * self.front + deep * np.cos(angle) * self.facing
        if towards < 0:
            across = half if across > 0 else -half
        across = min(max(across, -half), half)
        tilt = self.hip_tilt + (self.tilt - self.hip_tilt) * height
        rise = self.up * tilt * across / max(half, 1e-6)
        return complex(self.hips + self.up * self.length * height + self.across * across + rise)

    def edge(self, height: float, side: float) -> complex:
        """Return a place on the outline: side -1 is the picture's left."""
        half = self.half(height) * side
        tilt = (self.hip_tilt + (self.tilt - self.hip_tilt) * height) * side
        return complex(self.hips + self.up * (self.length * height + tilt) + self.across * half)

    def _outline(self, low: float) -> Outline:
        """Return the outline from the shoulders down to a height."""
        sides: list[list[complex]] = []
        thick = self.thick
        for side in (1.0, -1.0):
            shoulder = self.edge(1.0, side)
            heights = [h for h in (0.72, 0.42, 0.2) if h > low + 0.08] + [low]
            sides.append(
                [
                    self.chest
                    + self.across * side * self.half_chest * 0.3
                    + self.up * thick * 0.58,
                    shoulder + self.up * thick * 0.3 + self.across * side * thick * 0.12,
                    shoulder - self.up * thick * 0.3 + self.across * side * thick * 0.18,
                    *(self.edge(h, side) for h in heights),
                ]
            )
        return closed(sides[0] + sides[1][::-1])

    def draw_pelvis(self) -> None:
        """Draw the seat of trousers, or of what is worn under a skirt."""
        thick, up = self.thick, self.up
        colour = self.look.legs
        sides = [
            [self.edge(0.16, side), self.edge(0.0, side) + self.across * side * thick * 0.04,
             self.hips + self.across * side * self.half_hips * 0.8 - up * thick * 0.75]
            for side in (1.0, -1.0)
        ]  # fmt: skip
        bottom = self.hips - up * thick * 0.95
        self.pen.fill(closed([*sides[0], bottom, *sides[1][::-1]]), colour)

    def draw_tails(self) -> None:
        """Draw the part of a long coat that hangs behind the legs."""
        if self.look.cut == "coat":
            self.pen.shape(self._skirt(1.15, 0.35), darker(self.look.top, 0.3))

    def draw_skirt(self) -> None:
        """Draw the skirt, or the fronts of a coat."""
        look = self.look
        if look.skirt and look.cut != "coat":
            colour = look.top if look.cut == "dress" else look.legs
            outline = self._skirt(look.skirt, look.flare)
            self.pen.shape(outline, colour)
            self._folds(colour, look.skirt, look.flare)
        elif look.cut == "coat":
            middle, half = self._hem(1.1, 0.35)
            # The opening is on the front: it goes to one side as the body turns.
            gap, place = 0.32 * max(self.facing, 0.0), 0.92 * self.front
            if self.facing < 0:
                place = float(np.sign(self.front)) if self.facing > -0.3 else 0.0
            waist = self.hips + self.up * self.length * 0.1
            for side in (1.0, -1.0):
                inner = place + gap * side
                flap = [self.edge(0.1, side), middle + half * side, middle + half * inner]
                flap.append(waist + self.across * self.half_hips * (place + gap * side * 0.5))
                self.pen.shape(np.array(flap), look.top)

    def _hem(self, length: float, flare: float) -> tuple[complex, complex]:
        """Return middle and half of the hem: a complex step to the picture's right."""
        points = self.points
        right = points[8] + (points[9] - points[8]) * length
        left = points[11] + (points[12] - points[11]) * length
        middle = complex(right + left) / 2
        out = abs((self.across.conjugate() * complex(left - right)).real) / 2
        half = max(out, self.half_hips * 0.55) + self.thick * (0.5 + 1.1 * flare * length)
        tilt = (self.up.conjugate() * complex(left - right)).real / 2
        lean = (self.across.conjugate() * complex(left - right)).real
        tilt *= np.clip(lean / (0.08 * self.scale), -1, 1)
        return middle, self.across * half + self.up * tilt

    def _skirt(self, length: float, flare: float) -> Outline:
        middle, half = self._hem(length, flare)
        down = (middle - self.hips) / max(abs(middle - self.hips), 1e-6)
        return closed(
            [
                self.edge(0.2, -1.0),
                self.edge(0.2, 1.0),
                self.edge(0.0, 1.0) + self.across * self.thick * 0.1,
                middle + half,
                middle + half * 0.5 + down * self.thick * 0.22,
                middle - half * 0.5 + down * self.thick * 0.22,
                middle - half,
                self.edge(0.0, -1.0) - self.across * self.thick * 0.1,
            ]
        )

    def _folds(self, colour: Colour, length: float, flare: float) -> None:
        middle, half = self._hem(length, flare)
        shade = darker(colour)
        dark = -1.0 if self.pen.light.real > 0 else 1.0
        top, hem = self.edge(0.05, dark), middle + half * dark
        self.pen.fill(
            np.array([top, hem, middle + half * dark * 0.45, self.hips + (top - self.hips) * 0.6]),
            shade,
        )
        for share in (-0.45, 0.1):
            fold = middle + half * share
            start = self.hips + (fold - self.hips) * 0.35
            self.pen.fill(np.array([start, fold + half * 0.1, fold - half * 0.02]), shade)

    def draw(self) -> None:
        """Draw the upper part of the body, clothed."""
        look, pen = self.look, self.pen
        low = 0.44 if look.cut == "crop" else 0.04
        if look.cut == "crop":
            pen.shape(self._outline(0.12), look.skin)
        outline = self._outline(low)
        pen.shape(outline, look.top)
        self._pattern(low)
        if look.cut in {"jacket", "coat"}:
            self._panel(low, 0.42, look.inner)
        elif look.cut == "overalls":
            self._bib()
        elif look.cut == "hoodie":
            self._patch(0.1, 0.34, 0.55, darker(look.top, 0.16))
        self._shade(low)
        if look.belt:
            self._band(0.02, 0.1, darker(look.legs, 0.6))
            self._patch(0.015, 0.105, 0.14, look.accent)

    def _shade(self, low: float) -> None:
        """Darken the side off the light; stripes are lost in it, as in a drawing."""
        side = -1.0 if self.pen.light.real > 0 else 1.0
        heights = (1.0, 0.72, 0.42, 0.2, low)
        outer = [self.edge(h, side) for h in heights if h >= low]
        inner = [
            self.edge(h, side) - self.across * side * self.half(h) * 0.42
            for h in heights
            if h >= low
        ]
        self.pen.shade(np.array(outer + inner[::-1]))

    def _band(self, low: float, high: float, colour: Colour) -> None:
        self.pen.fill(
            np.array(
                [self.edge(low, -1), self.edge(high, -1), self.edge(high, 1), self.edge(low, 1)]
            ),
            colour,
        )

    def _patch(self, low: float, high: float, angle: float, colour: Colour) -> None:
        """Fill a part of the front that reaches so far to both sides."""
        if self.facing > -0.5:
            self.pen.fill(
                np.array(
                    [
                        self.spot(low, -angle),
                        self.spot(high, -angle),
                        self.spot(high, angle),
                        self.spot(low, angle),
                    ]
                ),
                colour,
            )

    def _panel(self, low: float, angle: float, colour: Colour) -> None:
        """Draw the shirt that shows between the fronts of a jacket."""
        if self.facing < -0.5:
            return
        left = [self.spot(h, -angle * (0.6 + 0.5 * h)) for h in (low, 0.4, 0.75, 1.0)]
        right = [self.spot(h, angle * (0.6 + 0.5 * h)) for h in (1.0, 0.75, 0.4, low)]
        self.pen.fill(np.array(left + right), colour)
        line = max(self.pen.edge * 1.5, 1.0)
        if self.pen.edge > 0.4:
            self.pen.lines([np.array(left), np.array(right)], line, darker(self.look.top, 0.45))

    def _bib(self) -> None:
        look = self.look
        self._band(0.0, 0.3, look.legs)
        self._patch(0.28, 0.66, 0.62, look.legs)
        width = max(self.thick * 0.28, 1.0)
        for angle in (-0.5, 0.5):
            if self.facing > -0.5:
                low = self.spot(0.64, angle)
                high = self.chest + (self.spot(0.9, angle) - self.spot(0.9, 0)) * 1.1
                high += self.up * self.thick * 0.35
                self.pen.lines([np.array([low, high])], width, look.legs)

    def _pattern(self, low: float) -> None:
        look = self.look
        if look.pattern == "stripes":
            for number in range(5):
                start = low + 0.06 + number * 0.2
                if start + 0.08 < 1:
                    self._band(start, start + 0.085, look.accent)
        elif look.pattern == "chest stripe":
            self._band(0.55, 0.7, look.accent)
        elif look.pattern == "two-tone":
            self._band(low, low + 0.4, look.accent)
        elif look.pattern == "dots":
            for row in range(4):
                for column in range(-2, 3):
                    height = low + 0.12 + row * 0.24
                    angle = (column + 0.5 * (row % 2)) * 0.62 + (0 if self.facing > 0 else np.pi)
                    if height < 0.98 and abs(column + 0.5 * (row % 2)) < 2.4:
                        spot = self.spot(height, angle)
                        self.pen.disc(spot, self.thick * 0.13, look.accent)
        elif look.pattern == "emblem" and self.facing > 0.1:
            middle = self.spot(0.62, 0.0)
            size = min(self.thick * 0.5, self.half(0.62) * 0.5)
            points = np.exp(1j * (np.arange(10) * np.pi / 5 - np.pi / 2))
            points[1::2] *= 0.45
            self.pen.fill(
                middle + self.across * size * (points.real * self.facing + 1j * points.imag),
                look.accent,
            )

    def draw_neckline(self) -> None:
        """Draw the skin that a collar leaves free."""
        if self.facing < 0.05 or self.look.cut == "hoodie":
            return
        thick, look = self.thick, self.look
        middle = self.spot(1.0, 0.0) + self.up * thick * 0.3
        wide = thick * 0.55 * max(self.facing, 0.35)
        deep = thick * (0.85 if look.cut in {"jacket", "coat", "dress"} else 0.55)
        self.pen.fill(
            closed(
                [
                    middle - self.across * wide,
                    middle + self.across * wide,
                    middle + self.across * wide * 0.5 - self.up * deep * 0.7,
                    middle - self.up * deep,
                    middle - self.across * wide * 0.5 - self.up * deep * 0.7,
                ]
            ),
            mixed(look.skin, darker(look.skin, 0.14), 0.5),
        )
