"""What a figure looks like: colours, hair and clothes, chosen at random."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import cv2
import numpy as np

from marionext.training.figures.pen import Colour, mixed
from marionext.training.figures.scenery import Scene, random_scene

__all__ = ["PARTS", "Cut", "Hair", "Look", "Pattern", "random_colour", "random_look"]

Hair = Literal[
    "short", "spiky", "bob", "long", "tail", "twin tails", "bun", "twin buns", "afro", "cap",
    "brimmed hat", "beanie", "bald",
]  # fmt: skip
Kind = TypeVar("Kind", bound=str)

Cut = Literal["shirt", "jacket", "coat", "crop", "overalls", "dress", "hoodie"]
Pattern = Literal["plain", "stripes", "chest stripe", "two-tone", "dots", "emblem"]

_HAIR: dict[Hair, float] = {
    "short": 0.2, "spiky": 0.1, "bob": 0.11, "long": 0.16, "tail": 0.09, "twin tails": 0.08,
    "bun": 0.05, "twin buns": 0.04, "afro": 0.04, "cap": 0.04, "brimmed hat": 0.03,
    "beanie": 0.03, "bald": 0.03,
}  # fmt: skip
_BEARDED = frozenset({"short", "spiky", "afro", "cap", "beanie", "bald", "bun"})
_CUTS: dict[Cut, float] = {
    "shirt": 0.42, "jacket": 0.16, "coat": 0.06, "crop": 0.08, "overalls": 0.07, "dress": 0.12,
    "hoodie": 0.09,
}  # fmt: skip
_PATTERNS: dict[Pattern, float] = {
    "plain": 0.5, "stripes": 0.14, "chest stripe": 0.1, "two-tone": 0.08, "dots": 0.08,
    "emblem": 0.1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """Colours (RGB) and clothes of a figure, and what is behind it."""

    skin: Colour
    hair: Colour
    top: Colour
    sleeve: Colour
    legs: Colour
    """Of trousers and skirts."""
    shoes: Colour
    eyes: Colour
    """Of the irises."""
    sleeves: float
    """Covered part of the arm: 0 bare, 1 to the elbow, 2 to the wrist."""
    trousers: float
    """Covered part of the leg: 0.6 shorts, 2 to the ankle."""
    skirt: float
    """Length of a skirt in thighs; 0 for none."""
    hair_style: Hair
    belt: bool
    thickness: float
    """Width of the upper arm in heights."""
    scene: Scene
    cut: Cut = "shirt"
    pattern: Pattern = "plain"
    inner: Colour = (240, 240, 235)
    """Of what shows under an open jacket, and of socks."""
    accent: Colour = (240, 200, 60)
    """Of patterns, ribbons, emblems and bands."""
    flare: float = 0.5
    """How much wider a skirt is at its hem than at the hips."""
    waist: float = 0.85
    """Width of the waist, as a part of the hips'."""
    socks: float = 0.0
    """Covered part of the shin, from the ankle up; above 1 they cover the knee."""
    boots: float = 0.0
    """Height of boots, as a part of the shin."""
    gloves: bool = False
    fringe: float = 0.4
    """Where the hair line is on the forehead, in radii of the head above its centre."""
    parting: float = 0.0
    """Which way the fringe falls, -1 to 1."""
    eye_size: float = 1.4
    lips: float = 0.5
    """How red the lips are, 0 to 1."""
    glasses: bool = False
    beard: bool = False
    blush: bool = False
    light: float = -1.0
    """Where the light comes from: -1 the left, 1 the right."""


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
    hair_style="short",
    belt=False,
    thickness=0.053,
    scene=Scene("plain", ((0, 0, 0), (0, 0, 0), (0, 0, 0)), 2.0, 0),
)
"""One colour for each part of the body."""


def random_colour(rng: np.random.Generator) -> Colour:
    """Draw a colour, saturated ones as often as pale ones."""
    hue, saturation, value = rng.uniform(0, 180), rng.beta(1.2, 1.0), rng.uniform(0.2, 1.0)
    pixel = np.array([[[hue, 255 * saturation, 255 * value]]], np.float32).astype(np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return int(red), int(green), int(blue)


def _one_of(rng: np.random.Generator, shares: dict[Kind, float]) -> Kind:
    kinds, weights = list(shares), np.array(list(shares.values()))
    return kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]


def _distinct(rng: np.random.Generator, other: Colour) -> Colour:
    """Draw a colour that can be told from another."""
    for _ in range(4):
        colour = random_colour(rng)
        if sum(abs(a - b) for a, b in zip(colour, other, strict=True)) > 140:
            return colour
    return colour


def random_look(rng: np.random.Generator) -> Look:
    """Dress a figure and choose what is behind it."""
    if rng.uniform() < 0.88:
        skin = mixed((252, 222, 198), (88, 54, 38), rng.beta(1.0, 1.3))
    else:
        skin = random_colour(rng)
    top, legs = random_colour(rng), random_colour(rng)
    cut = _one_of(rng, _CUTS)
    hair_style = _one_of(rng, _HAIR)
    natural = mixed((30, 22, 20), (225, 180, 95), rng.beta(0.8, 1.2))
    skirt = float(rng.uniform(0.45, 1.3)) if rng.uniform() < 0.2 or cut == "dress" else 0.0
    bare = skirt > 0 and rng.uniform() < 0.7
    trousers = 0.3 if bare else float(rng.choice([0.6, 1.0, 2.0, 2.0, 2.0]))
    return Look(
        skin=skin,
        hair=random_colour(rng) if rng.uniform() < 0.5 else natural,
        top=top,
        sleeve=top if rng.uniform() < 0.65 else random_colour(rng),
        legs=legs,
        shoes=random_colour(rng),
        eyes=random_colour(rng) if rng.uniform() < 0.5 else (52, 34, 26),
        sleeves=float(rng.choice([0.0, 0.55, 1.0, 2.0, 2.0])),
        trousers=trousers,
        skirt=skirt,
        hair_style=hair_style,
        belt=bool(rng.uniform() < 0.35),
        thickness=float(rng.uniform(0.045, 0.06)),
        scene=random_scene(rng, random_colour),
        cut=cut,
        pattern=_one_of(rng, _PATTERNS),
        inner=(242, 242, 238) if rng.uniform() < 0.4 else _distinct(rng, top),
        accent=_distinct(rng, top),
        flare=float(rng.uniform(0.15, 1.0)),
        waist=float(rng.uniform(0.72, 0.98)),
        socks=float(rng.choice([0.0, 0.25, 0.75, 1.3])) if trousers < 1.5 else 0.0,
        boots=float(rng.choice([0.35, 0.55, 0.8])) if rng.uniform() < 0.22 else 0.0,
        gloves=bool(rng.uniform() < 0.08),
        fringe=float(rng.uniform(0.3, 0.62)),
        parting=float(rng.uniform(-1, 1)) if rng.uniform() < 0.6 else 0.0,
        eye_size=float(rng.uniform(1.15, 1.8)),
        lips=float(rng.uniform(0.3, 0.8)),
        glasses=bool(rng.uniform() < 0.1),
        beard=bool(rng.uniform() < 0.14) and hair_style in _BEARDED,
        blush=bool(rng.uniform() < 0.2),
        light=float(rng.choice([-1.0, 1.0])),
    )
