"""Draw the figures that the puppet model learns from, from the same keypoints as a pose map.

A figure is drawn with polygons and discs from its 134 keypoints: clothes, skin, hair, a face and
fingers, over a simple background. Everything follows from a seed, so a clip of any number is
drawn again identically on any machine and nothing has to be stored. Sizes are free: the same
figure can be a training picture of 128 x 192 or a character sheet of 512 x 768.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import FACE, LEFT_HAND, POINT_COUNT, RIGHT_HAND
from marionext.training.choreography import (
    Build,
    Stage,
    Steps,
    pose_figure,
    random_build,
    random_stage,
    random_steps,
)

__all__ = [
    "Clip",
    "Figure",
    "Look",
    "draw_background",
    "draw_figure",
    "make_clip",
    "on_picture",
    "random_look",
]

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

SHIFT = 4
"""Fractional bits of OpenCV's sub-pixel coordinates."""

HEAD = POINT_COUNT
"""Index of the centre of the head, after the keypoints."""


@dataclass(frozen=True, slots=True)
class Look:
    """Colours (RGB) and clothes of a figure, and what is behind it."""

    skin: Colour
    hair: Colour
    top: Colour
    sleeve: Colour
    legs: Colour
    shoes: Colour
    eyes: Colour
    sleeves: float
    """Covered part of the arm: 0 bare, 1 to the elbow, 2 to the wrist."""
    trousers: float
    """Covered part of the leg: 0.6 shorts, 2 to the ankle."""
    skirt: float
    """Length of a skirt in thighs; 0 for none."""
    hair_style: int
    """0 short, 1 long, 2 bun, 3 hat, 4 bald."""
    belt: bool
    stripe: bool
    """A stripe across the chest in the colour of the sleeves."""
    thickness: float
    """Width of the upper arm in heights."""
    backdrop: tuple[Colour, Colour, Colour]
    """Top and bottom of the wall, floor."""
    horizon: float
    """Where the floor begins, in heights of the picture; above 1 there is none."""
    shapes: int
    """Seed of the shapes on the wall; 0 for a plain wall."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A character: proportions and look."""

    build: Build
    look: Look


@dataclass(frozen=True, slots=True)
class Clip:
    """One figure, one dance: a reference picture and frames, with their keypoints."""

    frames: Picture
    """(frames, h, w, 3) RGB; the first is the reference, in a pose of its own."""
    points: Floats
    """(frames, 1, 134, 2) pixels."""
    scores: Floats
    """(frames, 1, 134)."""
    size: tuple[int, int]
    """Width and height."""
    parts: Picture
    """(frames, h, w, 3) RGB; the same poses in fixed colours on black; empty unless asked for."""


PARTS = Look(
    skin=(255, 200, 120),
    hair=(120, 60, 255),
    top=(230, 40, 40),
    sleeve=(60, 230, 60),
    legs=(40, 90, 255),
    shoes=(255, 255, 255),
    eyes=(0, 0, 0),
    sleeves=2.0,
    trousers=2.0,
    skirt=0.0,
    hair_style=0,
    belt=False,
    stripe=False,
    thickness=0.053,
    backdrop=((0, 0, 0), (0, 0, 0), (0, 0, 0)),
    horizon=2.0,
    shapes=0,
)
"""One colour for each part of the body."""


def _colour(rng: np.random.Generator) -> Colour:
    """Draw a colour, saturated ones as often as pale ones."""
    hue, saturation, value = rng.uniform(0, 180), rng.beta(1.2, 1.0), rng.uniform(0.2, 1.0)
    pixel = np.array([[[hue, 255 * saturation, 255 * value]]], np.float32).astype(np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return int(red), int(green), int(blue)


def _mixed(one: Colour, two: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, two, strict=True))
    return red, green, blue


def random_look(rng: np.random.Generator) -> Look:
    """Dress a figure and choose what is behind it."""
    if rng.uniform() < 0.85:
        skin = _mixed((250, 220, 195), (88, 54, 38), rng.beta(1.0, 1.3))
    else:
        skin = _colour(rng)
    top, legs = _colour(rng), _colour(rng)
    sleeve = top if rng.uniform() < 0.65 else _colour(rng)
    wall = _colour(rng)
    plain = rng.uniform()
    return Look(
        skin=skin,
        hair=_colour(rng)
        if rng.uniform() < 0.5
        else _mixed((30, 22, 20), (225, 180, 95), rng.beta(0.8, 1.2)),
        top=top,
        sleeve=sleeve,
        legs=legs,
        shoes=_colour(rng),
        eyes=(25, 25, 30),
        sleeves=float(rng.choice([0.0, 0.6, 1.0, 2.0, 2.0])),
        trousers=float(rng.choice([0.6, 1.0, 2.0, 2.0, 2.0])),
        skirt=float(rng.uniform(0.6, 1.2)) if rng.uniform() < 0.2 else 0.0,
        hair_style=int(rng.choice(5, p=[0.4, 0.28, 0.12, 0.12, 0.08])),
        belt=bool(rng.uniform() < 0.4),
        stripe=bool(rng.uniform() < 0.2),
        thickness=float(rng.uniform(0.045, 0.06)),
        backdrop=(
            wall,
            wall if plain < 0.3 else _mixed(wall, _colour(rng), rng.uniform(0.2, 1.0)),
            _colour(rng),
        ),
        horizon=float(rng.uniform(0.7, 0.9)) if rng.uniform() < 0.6 else 2.0,
        shapes=int(rng.integers(1, 1 << 30)) if rng.uniform() < 0.45 else 0,
    )


def draw_background(look: Look, size: tuple[int, int]) -> Picture:
    """Draw wall, floor and shapes: (h, w, 3) RGB."""
    width, height = size
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    top, bottom, floor = (np.array(colour, np.float32) for colour in look.backdrop)
    picture = np.repeat(top * (1 - share) + bottom * share, width, axis=1).astype(np.uint8)
    if look.shapes:
        rng = np.random.default_rng(look.shapes)
        for _ in range(int(rng.integers(1, 5))):
            colour = _mixed(look.backdrop[0], _colour(rng), 0.45)
            x, y = rng.uniform(0, width), rng.uniform(0, height * 0.8)
            across, down = rng.uniform(0.06, 0.3, 2) * width
            if rng.uniform() < 0.5:
                corner = (int(x + across), int(y + down * 1.5))
                cv2.rectangle(picture, (int(x), int(y)), corner, colour, -1)
            else:
                cv2.circle(picture, (int(x), int(y)), int(across * 0.6), colour, -1, cv2.LINE_AA)
    line = int(look.horizon * height)
    if line < height:
        picture[line:] = (floor * (1.0 - 0.25 * share[line:])).astype(np.uint8)
    return picture


class _Pen:
    """Draw on a picture in sub-pixel coordinates, thickness in pixels."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture

    def polygon(self, corners: Floats, colour: Colour) -> None:
        fixed = np.round(corners * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(self.picture, [fixed], colour, cv2.LINE_AA, SHIFT)

    def disc(self, centre: Floats, radius: float, colour: Colour) -> None:
        x, y = (round(float(value) * (1 << SHIFT)) for value in centre)
        cv2.circle(
            self.picture, (x, y), round(radius * (1 << SHIFT)), colour, -1, cv2.LINE_AA, SHIFT
        )

    def ellipse(
        self, centre: Floats, radii: tuple[float, float], degrees: float, colour: Colour
    ) -> None:
        fixed = tuple(round(float(value) * (1 << SHIFT)) for value in centre)
        axes = tuple(round(value * (1 << SHIFT)) for value in radii)
        cv2.ellipse(self.picture, fixed, axes, degrees, 0, 360, colour, -1, cv2.LINE_AA, SHIFT)

    def limb(self, start: Floats, end: Floats, widths: tuple[float, float], colour: Colour) -> None:
        """Draw a tapered limb with round ends and a lighter upper side."""
        along = end - start
        length = float(np.hypot(*along))
        self.disc(start, widths[0] / 2, colour)
        self.disc(end, widths[1] / 2, colour)
        if length < 0.2:
            return
        across = np.array([-along[1], along[0]], np.float32) / length
        one, two = across * widths[0] / 2, across * widths[1] / 2
        self.polygon(np.stack([start + one, end + two, end - two, start - one]), colour)


def _sleeved(
    pen: _Pen,
    joints: tuple[Floats, Floats, Floats],
    widths: tuple[float, float, float],
    covered: float,
    cloth: Colour,
    skin: Colour,
) -> None:
    """Draw an arm or a leg of two parts, covered from its root as far as ``covered`` tells."""
    for part in (1, 0):
        start, end = joints[part], joints[part + 1]
        width = widths[part], widths[part + 1]
        share = min(max(covered - part, 0.0), 1.0)
        if share < 1:
            pen.limb(start, end, width, skin)
        if share > 0:
            middle = start + (end - start) * share
            pen.limb(
                start, middle, (width[0] * 1.08, width[0] + (width[1] - width[0]) * share), cloth
            )


def _shaded(colour: Colour, share: float = 0.16) -> Colour:
    return _mixed(colour, (0, 0, 0), share)


def _draw_hand(pen: _Pen, hand: Floats, scale: float, skin: Colour) -> None:
    palm = hand[[5, 9, 13, 17]].mean(axis=0)
    pen.limb(hand[0], palm, (0.032 * scale, 0.042 * scale), skin)
    for finger in range(5):
        start, end = hand[4 * finger + 1], hand[4 * finger + 4]
        pen.limb(start, end, (0.016 * scale, 0.013 * scale), skin)


def _draw_head(pen: _Pen, figure: Figure, body: Floats, depth: Floats, scale: float) -> None:
    look, radius = figure.look, figure.build.head * scale
    centre, nose = body[HEAD], body[0]
    facing = float(depth[0] - depth[HEAD]) / figure.build.head
    up = centre - body[1]
    up = up / max(float(np.hypot(*up)), 1e-3)
    degrees = float(np.degrees(np.arctan2(up[0], -up[1])))
    side = (nose - centre) / max(radius, 1e-3)
    pen.limb(body[1], centre, (0.055 * scale, 0.05 * scale), _shaded(look.skin))
    front = facing > 0
    if look.hair_style == 1 and front:
        pen.ellipse(
            centre - up * radius * 0.35,
            (radius * 1.05, radius * 1.35),
            degrees,
            look.hair,
        )
    if look.hair_style == 2:
        pen.disc(centre + up * radius * 1.12 - side * radius * 0.3, radius * 0.42, look.hair)
    if look.hair_style != 4:
        pen.ellipse(
            centre + up * radius * 0.12 - side * radius * 0.12,
            (radius * 0.98, radius * 1.05),
            degrees,
            look.hair,
        )
    if not front:
        bald = look.hair_style == 4
        pen.ellipse(centre, (radius * 0.9, radius), degrees, look.skin if bald else look.hair)
        if look.hair_style == 1:
            pen.ellipse(
                centre - up * radius * 0.45, (radius * 1.0, radius * 1.3), degrees, look.hair
            )
    face = centre + side * radius * 0.22 - up * radius * (0.0 if look.hair_style == 4 else 0.14)
    if facing > -0.25:
        narrow = 0.84 * (0.72 + 0.28 * min(max(facing, 0.0), 1.0))
        pen.ellipse(face, (radius * narrow, radius * 0.86), degrees, look.skin)
    if facing > 0.15:
        _draw_face(pen, look, body, radius)
    if look.hair_style == 3:
        brim = centre + up * radius * 0.42
        right = np.array([-up[1], up[0]], np.float32)
        pen.limb(
            brim - right * radius * 1.1,
            brim + right * radius * 1.1,
            (radius * 0.28,) * 2,
            look.hair,
        )
        pen.polygon(
            np.stack(
                [
                    brim - right * radius * 0.8,
                    brim + right * radius * 0.8,
                    brim + right * radius * 0.68 + up * radius * 0.8,
                    brim - right * radius * 0.68 + up * radius * 0.8,
                ]
            ),
            look.hair,
        )


def _draw_face(pen: _Pen, look: Look, body: Floats, radius: float) -> None:
    points = body[FACE]
    for eye in (points[36:42], points[42:48]):
        across = float(np.hypot(*(eye[3] - eye[0]))) / 2
        if across > radius * 0.05:
            middle = eye.mean(axis=0)
            pen.disc(middle, max(radius * 0.16, 0.5), (245, 245, 245))
            pen.disc(middle, max(radius * 0.1, 0.6), look.eyes)
    lips = points[48:60]
    red = _mixed(look.skin, (170, 20, 40), 0.75)
    pen.polygon(lips, red)
    if float(np.ptp(lips[:, 1])) > radius * 0.2:
        pen.polygon(points[60:68], (70, 10, 20))
    pen.disc(body[0], max(radius * 0.09, 0.4), _shaded(look.skin, 0.22))


def draw_figure(
    picture: Picture, figure: Figure, body: Floats, depth: Floats, scale: float
) -> None:
    """Draw the figure over a picture, in place.

    Args:
        picture: (h, w, 3) RGB.
        figure: the character.
        body: (135, 2) keypoints and the centre of the head, in pixels.
        depth: (135,) distance towards the viewer, in heights.
        scale: standing height in pixels.
    """
    look = figure.look
    pen = _Pen(picture)
    thick = look.thickness * scale
    arms = {}
    legs = {}
    for name, shoulder, hip, hand in (("right", 2, 8, RIGHT_HAND), ("left", 5, 11, LEFT_HAND)):
        arms[name] = (shoulder, hand, float(depth[shoulder : shoulder + 3].mean() - depth[1]))
        legs[name] = (hip, float(depth[hip : hip + 3].mean()))

    def draw_arm(shoulder: int, hand: slice) -> None:
        joints = body[shoulder], body[shoulder + 1], body[shoulder + 2]
        _draw_hand(pen, body[hand], scale, look.skin)
        _sleeved(
            pen, joints, (thick, thick * 0.85, thick * 0.62), look.sleeves, look.sleeve, look.skin
        )

    order = sorted(arms.values(), key=lambda arm: arm[2])
    behind = [arm for arm in order if arm[2] < -0.03]
    for shoulder, hand, _ in behind:
        draw_arm(shoulder, hand)
    for index, (hip, _) in enumerate(sorted(legs.values(), key=lambda leg: leg[1])):
        colour = _shaded(look.legs) if index == 0 else look.legs
        heel, toe = (23, 21) if hip == 8 else (20, 18)
        pen.limb(body[heel], body[toe], (thick * 0.75, thick * 0.7), look.shoes)
        joints = body[hip], body[hip + 1], body[hip + 2]
        _sleeved(
            pen, joints, (thick * 1.45, thick * 1.15, thick * 0.8), look.trousers, colour, look.skin
        )
    _draw_trunk(pen, figure, body, scale)
    for shoulder, hand, _ in order:
        if (
            not any(shoulder == hidden[0] for hidden in behind)
            and depth[HEAD] >= depth[shoulder + 2]
        ):
            draw_arm(shoulder, hand)
    _draw_head(pen, figure, body, depth, scale)
    for shoulder, hand, _ in order:
        if (
            not any(shoulder == hidden[0] for hidden in behind)
            and depth[HEAD] < depth[shoulder + 2]
        ):
            draw_arm(shoulder, hand)


def _draw_trunk(pen: _Pen, figure: Figure, body: Floats, scale: float) -> None:
    look = figure.look
    thick = look.thickness * scale
    right, left, right_hip, left_hip = body[2], body[5], body[8], body[11]
    # Seen from the side shoulders and hips fall together, but a body keeps its depth.
    least = thick * 1.1

    def widened(one: Floats, two: Floats) -> tuple[Floats, Floats]:
        span: Floats = two - one
        length = float(np.hypot(*span))
        if length >= least:
            return one, two
        middle = (one + two) / 2
        aside = np.array([least / 2 if span[0] >= 0 else -least / 2, 0], np.float32)
        return (middle - aside).astype(np.float32), (middle + aside).astype(np.float32)

    right, left = widened(right, left)
    right_hip, left_hip = widened(right_hip, left_hip)
    if look.skirt:
        down = ((body[9] - body[8]) + (body[12] - body[11])) / 2 * look.skirt
        flare = (left_hip - right_hip) * 0.45
        corners = [right_hip - flare * 0.3, left_hip + flare * 0.3]
        corners += [
            body[11] + (body[12] - body[11]) * look.skirt + flare,
            (body[8] + body[11]) / 2 + down * 1.05,
            body[8] + (body[9] - body[8]) * look.skirt - flare,
        ]
        pen.polygon(np.stack(corners), look.legs)
    sides = ((right, right_hip), (left, left_hip))
    for one, two in sides:
        pen.limb(one, two, (thick * 0.95, thick * 1.25), look.top)
    pen.limb(right, left, (thick * 0.95,) * 2, look.top)
    pen.limb(right_hip, left_hip, (thick * 1.25,) * 2, look.legs)
    waist = 0.93
    pen.polygon(
        np.stack(
            [right, left, left + (left_hip - left) * waist, right + (right_hip - right) * waist]
        ),
        look.top,
    )
    if look.stripe:
        ends = [one + (two - one) * 0.4 for one, two in sides]
        pen.limb(ends[0], ends[1], (thick * 0.55,) * 2, look.sleeve)
    if look.belt:
        ends = [one + (two - one) * 0.95 for one, two in sides]
        pen.limb(ends[0], ends[1], (thick * 0.35,) * 2, _shaded(look.legs, 0.6))


def on_picture(points: Floats, stage: Stage, size: tuple[int, int]) -> tuple[Floats, float]:
    """Return (frames, n, 2) pixels, and the standing height in pixels."""
    width, height = size
    scale = stage.height * height
    pixels = np.empty((*points.shape[:2], 2), np.float32)
    pixels[..., 0] = stage.centre[0] * width + points[..., 0] * scale
    pixels[..., 1] = stage.centre[1] * height - points[..., 1] * scale
    return pixels, scale


def _scores(rng: np.random.Generator, points: Floats, build: Build) -> Floats:
    """Give each keypoint the confidence a detector might have: (frames, 1, 134)."""
    frames = len(points)
    scores = np.ones((frames, POINT_COUNT), np.float32)
    base = rng.uniform(0.75, 1.0, POINT_COUNT).astype(np.float32) if rng.uniform() < 0.6 else 1.0
    scores *= base
    facing = (points[:, 0, 2] - points[:, HEAD, 2]) / build.head
    turned = facing < -0.1
    scores[turned, 0] = 0
    scores[turned, FACE] = 0
    for eye, ear in ((14, 16), (15, 17)):
        scores[turned, eye] = 0
        away = points[:, ear, 2] < points[:, HEAD, 2] - 0.5 * build.head
        scores[away, ear] *= 0.35
    # Some sources know no fingers or no face: a rig without them, a detector far away.
    missing = rng.uniform()
    if missing < 0.12:
        scores[:, LEFT_HAND] = 0
        scores[:, RIGHT_HAND] = 0
    if missing < 0.06 or missing > 0.94:
        scores[:, FACE] = 0
    return scores[:, None]


def make_clip(
    seed: int,
    frames: int,
    size: tuple[int, int],
    *,
    moving_stage: float = 0.35,
    parts: bool = False,
) -> Clip:
    """Draw a clip: a reference picture first, then ``frames`` consecutive frames of a dance.

    The reference shows the same character before the same background, at another moment of
    another dance; in ``moving_stage`` of the clips also at another place and scale.

    Args:
        seed: number of the clip.
        frames: frames after the reference.
        size: width and height in pixels.
        moving_stage: probability that reference and dance are framed differently.
        parts: also draw the poses in the colours of the body's parts.
    """
    rng = np.random.default_rng(seed)
    figure = Figure(random_build(rng), random_look(rng))
    stages = [random_stage(rng)]
    stages.append(random_stage(rng) if rng.uniform() < moving_stage else stages[0])
    interval = float(np.exp(rng.uniform(np.log(0.03), np.log(0.35))))
    start = rng.uniform(0, 20)
    dance = random_steps(rng, start + interval * np.arange(frames, dtype=np.float64))
    still = random_steps(rng, np.array([rng.uniform(0, 20)]))
    bodies = [pose_figure(figure.build, steps) for steps in (still, dance)]
    if rng.uniform() < 0.5:  # a reference is often someone standing at ease
        bodies[0] = pose_figure(figure.build, _at_ease(rng))
    pixels, pictures, scores, marked = [], [], [], []
    background = draw_background(figure.look, size)
    for body, stage in zip(bodies, stages, strict=True):
        points, scale = on_picture(body, stage, size)
        for frame, depth in zip(points, body[..., 2], strict=True):
            picture = background.copy()
            draw_figure(picture, figure, frame, depth, scale)
            pictures.append(picture)
            if parts:
                picture = np.zeros_like(background)
                draw_figure(picture, Figure(figure.build, PARTS), frame, depth, scale)
                marked.append(picture)
        pixels.append(points[:, None, :POINT_COUNT])
        scores.append(_scores(rng, body, figure.build))
    drawn = np.stack(pictures)
    return Clip(
        drawn,
        np.concatenate(pixels),
        np.concatenate(scores),
        size,
        np.stack(marked) if parts else drawn[:0],
    )


def _at_ease(rng: np.random.Generator) -> Steps:
    """Return the steps of a figure that stands facing the viewer, arms a little away."""
    steps = random_steps(rng, np.zeros(1))
    calm = {}
    for name in steps.__dataclass_fields__:
        calm[name] = getattr(steps, name) * np.float32(0.15)
    calm["raise_"] = rng.uniform(0.15, 0.6, (1, 2)).astype(np.float32)
    calm["elbow"] = rng.uniform(0.0, 0.4, (1, 2)).astype(np.float32)
    calm["spread"] = rng.uniform(0.05, 0.2, (1, 2)).astype(np.float32)
    calm["knee"] = np.zeros((1, 2), np.float32)
    calm["kick"] = np.zeros((1, 2), np.float32)
    return type(steps)(**calm)
