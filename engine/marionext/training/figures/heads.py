"""Draw heads from any side: skull, face, hair and hats, placed in three dimensions on the head.

A part is laid out in radii of the head, x to the person's left, y up and z to the front, and
turned with the axes that nose and ears tell. What lies on the far side of the skull is moved to
its outline, so a hair line, a fringe or a beard wraps round the head as it turns.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import FACE, POINT_COUNT
from marionext.training.figures.look import Look
from marionext.training.figures.pen import Colour, Outline, Pen, closed, darker, mixed

__all__ = ["HEAD", "Head"]

Floats = NDArray[np.float64]

HEAD = POINT_COUNT
"""Index of the centre of the head, after the keypoints."""

_SKULL = np.array([0.0, 0.1, -0.06])
_SKIN_RADIUS, _HAIR_RADIUS = 0.92, 1.02
_WHITE: Colour = (248, 248, 248)
_SPIKES = np.array(
    [-2.0, -1.72, -1.5, -1.2, -1.0, -0.62, -0.5, -0.1, 0.05, 0.4, 0.62, 0.9, 1.15, 1.4, 1.66, 2.0]
)
_REACH = np.array(
    [0.9, 1.28, 0.98, 1.36, 1.0, 1.48, 1.02, 1.42, 1.05, 1.5, 1.02, 1.4, 1.0, 1.32, 0.98, 0.9]
)
"""Tips and roots of spiky hair: angles from the head's up, distances in radii."""
FALLING = frozenset({"long", "bob"})
COVERING = frozenset({"long", "bob", "afro"})
"""Hair that hides the ears."""

_CIRCLE = np.exp(1j * np.linspace(0, 2 * np.pi, 36, endpoint=False))
_CHIN = np.array([[-0.25, -0.84, 0.66], [0.25, -0.84, 0.66]])
_TURN = np.linspace(0, 2 * np.pi, 12, endpoint=False)


def _ring(radius: float, height: float, shift: float = 0.0) -> Floats:
    """Return a level circle round the head: (12, 3)."""
    return np.stack(
        [radius * np.cos(_TURN), np.full(12, height), radius * np.sin(_TURN) + shift], axis=1
    )


_DOME = np.concatenate([_ring(1.06, 0.3, -0.06), _ring(0.9, 0.8, -0.06), _ring(0.45, 1.1, -0.06)])
_BRIM = np.concatenate([_ring(1.62, 0.34, -0.06), _ring(1.6, 0.24, -0.06)])
_BAND = np.concatenate([_ring(1.1, 0.24, -0.06), _ring(1.1, 0.5, -0.06)])
_CROWN = np.concatenate([_ring(1.02, 0.3, -0.06), _ring(0.88, 1.15, -0.06)])
_PEAK = np.array(
    [[-0.75, 0.34, 0.7], [-0.5, 0.27, 1.45], [0, 0.25, 1.62], [0.5, 0.27, 1.45], [0.75, 0.34, 0.7],
     [0.5, 0.42, 0.9], [-0.5, 0.42, 0.9]]
)  # fmt: skip
_BACK_HAIR = np.array(
    [[-0.98, 0.1, -0.05], [0.98, 0.1, -0.05], [0, 0.1, -1.06], [-0.7, 0.1, -0.8], [0.7, 0.1, -0.8]]
)
_HAIR_ENDS = np.array(
    [[-0.95, -0.5, 0.12], [0.95, -0.5, 0.12], [-0.85, -0.6, -0.6], [0.85, -0.6, -0.6],
     [0, -0.6, -0.95]]
)  # fmt: skip
_MOUSTACHE = np.array([[0.45, -0.32, 0.78], [0.0, -0.27, 0.97], [-0.45, -0.32, 0.78]])


def hull(points: Outline) -> Outline:
    """Return the convex hull of some points."""
    pairs = np.ascontiguousarray(points).view(np.float64).reshape(-1, 1, 2).astype(np.float32)
    corners = cv2.convexHull(pairs)[:, 0].astype(np.float64)
    return np.asarray(corners[:, 0] + 1j * corners[:, 1])


def _arc(chosen: NDArray[np.bool_], outer: Outline, inner: Outline) -> Outline | None:
    """Return the area between two rings where they are chosen, or None where there is none."""
    order = np.flatnonzero(chosen)
    if not len(order):
        return None
    gap = int(np.argmax(np.diff(order))) + 1 if len(order) > 1 else 0
    if order[-1] - order[0] >= len(order):  # the run goes over the ring's end
        order = np.concatenate([order[gap:], order[:gap]])
    return np.concatenate([outer[order], inner[order[::-1]]])


class Head:
    """One head in one frame.

    Args:
        pen: draws on the picture.
        look: what the figure looks like.
        points: (135,) complex, the keypoints and the head's centre in pixels.
        depth: (135,) towards the viewer, in pixels.
        radius: of the head in pixels.
    """

    def __init__(self, pen: Pen, look: Look, points: Outline, depth: Floats, radius: float) -> None:
        self.pen, self.look, self.radius = pen, look, radius
        self.centre, self.points = complex(points[HEAD]), points
        self.depth = depth

        def direction(start: int, end: int) -> Floats:
            move = complex(points[end] - points[start])
            arrow = np.array([move.real, move.imag, float(depth[end] - depth[start])])
            return arrow / max(float(np.sqrt(arrow @ arrow)), 1e-6)

        left, front = direction(16, 17), direction(HEAD, 0)
        front = front - left * (front @ left)
        front = front / max(float(np.sqrt(front @ front)), 1e-6)
        # y runs down in pictures, so the axes are left-handed: up is left x front.
        up = np.array(
            [
                left[1] * front[2] - left[2] * front[1],
                left[2] * front[0] - left[0] * front[2],
                left[0] * front[1] - left[1] * front[0],
            ]
        )
        self.axes = np.stack([left, up, front], axis=1)
        self.facing = float(front[2])
        """1 faces the viewer, -1 faces away."""

    def place(self, layout: Floats) -> Outline:
        """Return where some points of the head lie in the picture."""
        turned = layout @ self.axes.T
        return np.asarray(self.centre + self.radius * (turned[:, 0] + 1j * turned[:, 1]))

    def wrapped(self, layout: Floats, radius: float) -> Outline:
        """Return where points on the skull lie, those of its far side moved to its outline."""
        off = layout - _SKULL
        off = off * (radius / np.sqrt((off * off).sum(axis=1)))[:, None]
        turned = off @ self.axes.T
        flat = turned[:, 0] + 1j * turned[:, 1]
        far = turned[:, 2] < 0
        flat[far] *= radius / np.maximum(np.abs(flat[far]), 1e-6)
        return np.asarray(self.skull + self.radius * flat)

    @property
    def skull(self) -> complex:
        """The skull's middle in the picture."""
        return complex(self.place(_SKULL[None])[0])

    @property
    def upwards(self) -> complex:
        """The head's up in the picture, at most 1 long."""
        return complex(self.axes[0, 1], self.axes[1, 1])

    def hanging(self, length: float) -> complex:
        """Return how far hair of a length, in radii, hangs down."""
        # Mostly along the trunk's line of gravity, a little with the head.
        return self.radius * length * (0.85j - 0.15 * self.upwards)

    def draw_hanging(self) -> None:
        """Draw the hair that hangs down: behind the body, or over it if it faces away."""
        style = self.look.hair_style
        if style in FALLING:
            drop = self.hanging(2.1 if style == "long" else 0.35)
            ends = self.place(_HAIR_ENDS)
            low = ends * 0.96 + ends.mean() * 0.04 + drop
            outline = hull(np.concatenate([self.place(_BACK_HAIR), ends, low]))
            shade = 0.12 if self.facing > 0 else 0.0
            self.pen.shape(outline, darker(self.look.hair, shade))
        elif style == "tail":
            self._tail(np.array([0.0, 0.55, -0.95]), np.array([0.0, 0.35, -1.6]), 2.0)
        elif style == "twin tails":
            self._tail(np.array([0.85, 0.45, -0.3]), np.array([1.45, 0.3, -0.45]), 1.9)
            self._tail(np.array([-0.85, 0.45, -0.3]), np.array([-1.45, 0.3, -0.45]), 1.9)

    def _tail(self, base: Floats, bow: Floats, length: float) -> None:
        root, bend = self.place(np.stack([base, bow]))
        radius, hair = self.radius, self.look.hair
        end = complex(bend + self.hanging(length))
        self.pen.limb(bend, end, (radius * 0.34, radius * 0.12), hair)
        self.pen.limb(root, bend, (radius * 0.24, radius * 0.34), hair)
        self.pen.disc(root, radius * 0.26, self.look.accent)

    def draw(self) -> None:
        """Draw the head, without the hair that hangs behind it."""
        look, pen = self.look, self.pen
        bald, away, behind = look.hair_style == "bald", self.facing < -0.35, self.facing <= 0
        face = hull(np.concatenate([self.points[FACE], self.place(_CHIN)]))
        if not away:
            self._buns()
        pen.edges([face], look.skin)
        if away:
            pen.fill(face, darker(look.skin, 0.1))
        if behind and look.hair_style in FALLING:
            self.draw_hanging()
        self._scalp(bald=bald)
        if not away:
            pen.fill(face, look.skin)
            if not bald:
                pen.fill(self._opening(), look.skin)
            self._face_shade(face)
        if look.hair_style not in COVERING:
            self._ears()
        if not away:
            self._features()
        if look.beard and self.facing > -0.2:
            jaw = self.points[FACE][2:15]
            upper = self.place(_MOUSTACHE)
            pen.fill(np.concatenate([jaw, upper]), darker(look.hair, 0.15))
            self._mouth()
        if away:
            self._buns()
        if behind and look.hair_style not in FALLING:
            self.draw_hanging()
        self._hat()

    def _scalp(self, *, bald: bool) -> None:
        """Draw the skull with the hair that lies close to it."""
        look, radius, skull = self.look, self.radius, self.skull
        up = self.upwards or -1j
        across = 1j * up / max(abs(up), 1e-6)
        if look.hair_style == "afro":
            self.pen.shape(self._round(skull - 1j * across * radius * 0.2, 1.5, across), look.hair)
        elif look.hair_style == "spiky":
            angles = _SPIKES - np.pi / 2 + 0.12 * look.parting
            tips = skull + radius * _REACH * np.exp(1j * angles) * across
            self.pen.shape(tips, look.hair)
        reach = _SKIN_RADIUS if bald else _HAIR_RADIUS
        colour = look.skin if bald else look.hair
        # Short hair ends at the nape: the skull's lower half is flatter.
        low = 0.98 if look.hair_style in COVERING else 0.78 - 0.1 * self.facing
        cap = self._round(skull, reach, across, low)
        if look.hair_style not in {"afro", "spiky"} and (
            self.facing > 0 or look.hair_style not in FALLING
        ):
            self.pen.edges([cap], colour)
        self.pen.fill(cap, colour)
        off = (np.conj(self.pen.light) * (cap - skull)).real < radius * -0.12
        inner = self._round(skull + self.pen.light * radius * 0.35, reach, across, low)
        strip = _arc(off, cap, inner)
        if strip is not None:
            self.pen.fill(strip, darker(colour, 0.25))
        if not bald and self.facing > -0.9:
            spot = skull + self.pen.light * radius * 0.5 - 1j * across * radius * 0.25
            gloss = mixed(look.hair, (255, 255, 255), 0.2)
            self.pen.oval(spot, (radius * 0.3, radius * 0.1), across, gloss)

    def _round(self, middle: complex, reach: float, across: complex, low: float = 1.0) -> Outline:
        """Return the skull's outline, its lower half flattened to ``low``."""
        oval = 0.95 * _CIRCLE.real + 1j * np.where(_CIRCLE.imag > 0, low, 1.0) * _CIRCLE.imag
        return np.asarray(middle + self.radius * reach * across * oval)

    def _opening(self) -> Outline:
        """Return the part of the face that hair leaves free above the cheeks."""
        look = self.look
        line = look.fringe
        across = np.array([0.66, 0.45, 0.22, 0.0, -0.22, -0.45, -0.66])
        if look.hair_style == "afro":
            line = max(line, 0.55)
        height = line + 0.22 * look.parting * across
        if look.hair_style in {"spiky", "short"}:
            height = height + np.where(np.arange(7) % 2, 0.1, -0.06)
        depth = np.sqrt(np.maximum(1 - across**2 - height**2 * 0.7, 0.1))
        top = np.stack([across, height, depth], axis=1)
        left = [[0.72, -0.5, 0.6], [0.84, -0.1, 0.5], [0.8, 0.22, 0.52]]
        right = [[-x, y, z] for x, y, z in reversed(left)]
        return self.wrapped(np.concatenate([left, top, right]), 0.95)

    def _face_shade(self, face: Outline) -> None:
        """Shade the cheek that is turned off the light."""
        off = (np.conj(self.pen.light) * (face - face.mean())).real < 0
        strip = _arc(off, face, face + self.pen.light.real * self.radius * 0.22)
        if strip is not None:
            self.pen.fill(strip, darker(self.look.skin, 0.16))

    def _ears(self) -> None:
        for ear in (16, 17):
            if self.depth[ear] > self.depth[HEAD] - 0.35 * self.radius and self.facing > -0.8:
                place = complex(self.points[ear])
                up = self.upwards or -1j
                across = 1j * up / max(abs(up), 1e-6)
                wide = 0.12 + 0.1 * (1 - abs(self.facing))
                self.pen.oval(
                    place,
                    (self.radius * wide, self.radius * 0.22),
                    across,
                    darker(self.look.skin, 0.1),
                )

    def _features(self) -> None:
        look, pen, radius = self.look, self.pen, self.radius
        points = self.points[FACE]
        depth = self.depth[FACE] - self.depth[HEAD]
        if look.blush:
            for cheek in self.place(np.array([[0.45, -0.2, 0.75], [-0.45, -0.2, 0.75]])):
                pen.disc(complex(cheek), radius * 0.16, mixed(look.skin, (240, 110, 110), 0.35))
        seen = []
        for eye, brow in ((slice(36, 42), slice(17, 22)), (slice(42, 48), slice(22, 27))):
            if depth[eye].mean() > radius * 0.12:
                self._eye(points[eye])
                pen.lines([points[brow]], max(radius * 0.065, 1.0), darker(look.hair, 0.35))
                seen.append(complex(points[eye].mean()))
        if depth[30] > 0.2 * radius:
            shade = darker(look.skin, 0.3)
            pen.fill(points[[28, 31, 33, 35]], darker(look.skin, 0.1))
            pen.lines([points[31:36]], max(radius * 0.06, 1.0), shade)
        self._mouth()
        if look.glasses and seen:
            for middle in seen:
                ring = middle + radius * 0.27 * np.exp(1j * _TURN)
                pen.lines([np.append(ring, ring[0])], max(radius * 0.06, 1.0), (40, 40, 46))

    def _eye(self, eye: Outline) -> None:
        pen, radius, look = self.pen, self.radius, self.look
        middle = complex(eye.mean())
        across = complex(eye[3] - eye[0])
        wide = abs(across) / 2 * 1.15
        unit = across / abs(across) if abs(across) > 1e-6 else 1.0 + 0j
        tall = float(np.abs(((eye - middle) / unit).imag).max()) * 1.9 * look.eye_size
        if tall < radius * 0.035:  # shut
            pen.lines([np.array([middle - unit * wide, middle + unit * wide])], 1, (40, 30, 34))
            return
        pen.oval(middle, (wide, tall), unit, _WHITE)
        iris = min(tall * 1.0, wide * 0.85)
        pen.disc(middle, max(iris, 0.6), look.eyes)
        pen.disc(middle, max(iris * 0.5, 0.5), (16, 14, 18))
        if radius > 14:
            pen.disc(middle + self.pen.light * iris * 0.4, iris * 0.22, _WHITE)
        lid = np.array([-1.1, -0.6 - 0.75j, -0.95j, 0.6 - 0.75j, 1.1])
        lid = middle + unit * (lid.real * wide + 1j * lid.imag * tall)
        pen.lines([lid], max(radius * 0.045, 1.0), (44, 30, 34))

    def _mouth(self) -> None:
        points, radius = self.points[FACE], self.radius
        if self.depth[FACE][48:60].mean() - self.depth[HEAD] < radius * 0.2:
            return
        lips, inner = points[48:60], points[60:68]
        self.pen.fill(lips, mixed(self.look.skin, (176, 28, 48), self.look.lips))
        opened = abs(complex(inner[2] - inner[6]))
        if opened > radius * 0.07:
            self.pen.fill(inner, (74, 14, 24))
            if opened > radius * 0.14:
                teeth = np.concatenate([inner[:5], (inner[3:0:-1] * 0.65 + inner[5:8] * 0.35)])
                self.pen.fill(teeth, _WHITE)

    def _buns(self) -> None:
        hair = self.look.hair
        places = {
            "bun": [[0.0, 0.95, -0.55]],
            "twin buns": [[0.68, 0.85, -0.15], [-0.68, 0.85, -0.15]],
        }.get(self.look.hair_style)
        if places:
            for place in self.place(np.array(places)):
                size = 0.44 if len(places) == 1 else 0.38
                self.pen.shape(self._round(complex(place), size, 1.0 + 0j), hair)

    def _hat(self) -> None:
        style, look, pen = self.look.hair_style, self.look, self.pen
        if style == "cap":
            pen.shape(hull(self.place(_DOME)), look.accent)
            if self.facing > -0.3:
                pen.shape(closed(self.place(_PEAK)), darker(look.accent, 0.25))
        elif style == "brimmed hat":
            pen.shape(hull(self.place(_CROWN)), look.accent)
            pen.shape(hull(self.place(_BRIM)), darker(look.accent, 0.15))
        elif style == "beanie":
            pen.shape(hull(self.place(_DOME)), look.accent)
            pen.shape(hull(self.place(_BAND)), darker(look.accent, 0.2))
