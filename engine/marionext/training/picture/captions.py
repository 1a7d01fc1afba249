"""What a drawn figure wears and stands before, in a few words.

A caption is a list of phrases in no fixed order, some of them left out: prompts will name some
things and not others, and what is not named is free.
"""

import colorsys

import numpy as np

from marionext.training.figures.look import Hair, Look
from marionext.training.figures.pen import Colour

__all__ = ["WORDS", "caption", "colour_name", "describe"]

_HUES = (
    (16, "red"), (42, "orange"), (66, "yellow"), (155, "green"), (192, "cyan"), (255, "blue"),
    (308, "purple"), (343, "pink"), (361, "red"),
)  # fmt: skip
"""Up to which hue, in degrees, a colour goes by a name."""
_HAIR: dict[Hair, str] = {
    "short": "short hair", "spiky": "spiky hair", "bob": "bobbed hair", "long": "long hair",
    "tail": "ponytail", "twin tails": "twin tails", "bun": "hair in a bun",
    "twin buns": "hair in twin buns", "afro": "afro", "bald": "bald head",
    "cap": "hair", "brimmed hat": "hair", "beanie": "hair",
}  # fmt: skip
_HATS = {"cap": "cap", "brimmed hat": "hat", "beanie": "beanie"}
_CUTS = {
    "shirt": "shirt", "jacket": "open jacket", "coat": "open coat", "crop": "crop top",
    "overalls": "shirt under overalls", "dress": "dress", "hoodie": "hoodie",
}  # fmt: skip
_PATTERNS = {
    "plain": "", "stripes": "striped", "chest stripe": "banded", "two-tone": "bicoloured",
    "dots": "dotted", "emblem": "printed",
}  # fmt: skip
_PLACES = {
    "plain": "{} background", "shapes": "{} background with shapes", "room": "in a {} room",
    "outdoors": "outdoors", "stripes": "{} striped background", "checks": "{} checked background",
    "theatre": "on a stage",
}  # fmt: skip
_FIGURE = ("figure", "person", "dancer", "character")

DROPPED = 0.2
"""Share of the phrases that are left out."""


def colour_name(colour: Colour) -> str:
    """Return what a colour is called, such as ``dark red``."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in colour))
    if value < 0.2:
        return "black"
    if saturation < 0.14:
        return "white" if value > 0.85 else "grey" if value > 0.4 else "dark grey"
    name = next(name for most, name in _HUES if 360 * hue < most)
    if name in {"red", "orange"} and saturation < 0.75 and value < 0.75:
        return "brown" if value > 0.3 else "dark brown"
    if name in {"orange", "yellow"} and saturation < 0.5:
        return "beige"
    if value < 0.5:
        return f"dark {name}"
    if saturation < 0.45:
        return "pink" if name == "red" else f"pale {name}"
    return name


def _skin(colour: Colour) -> str:
    """Return how a skin looks: natural ones go from pale to dark."""
    red, green, blue = colour
    if not (red >= green >= blue and red - blue < 110):
        return f"{colour_name(colour)} skin"
    return "pale skin" if red > 215 else "tanned skin" if red > 140 else "dark skin"


def describe(look: Look) -> list[str]:
    """Return phrases for what a figure looks like and what is behind it."""
    pattern = _PATTERNS[look.pattern]
    top = " ".join(filter(None, (colour_name(look.top), pattern, _CUTS[look.cut])))
    bottom = "skirt" if look.skirt else "shorts" if look.trousers <= 1 else "trousers"
    bald = look.hair_style == "bald"
    phrases = [
        _HAIR["bald"] if bald else f"{colour_name(look.hair)} {_HAIR[look.hair_style]}",
        top,
        f"{colour_name(look.shoes)} {'boots' if look.boots else 'shoes'}",
        _skin(look.skin),
        _PLACES[look.scene.kind].format(colour_name(look.scene.colours[0])),
    ]
    if look.cut not in {"dress", "overalls"}:
        phrases.append(f"{colour_name(look.legs)} {bottom}")
    if hat := _HATS.get(look.hair_style):
        phrases.append(f"{colour_name(look.accent)} {hat}")
    for shown, name in ((look.glasses, "glasses"), (look.beard, "beard"), (look.gloves, "gloves")):
        if shown:
            phrases.append(name)
    return phrases


def caption(look: Look, rng: np.random.Generator) -> str:
    """Return a caption: some of the phrases, in some order."""
    phrases = [phrase for phrase in describe(look) if rng.uniform() >= DROPPED]
    rng.shuffle(phrases)
    return ", ".join([f"a {rng.choice(_FIGURE)}", *phrases])


def _words() -> tuple[str, ...]:
    """Return every word that captions are made of."""
    texts = [
        *_HAIR.values(), *_HATS.values(), *_CUTS.values(), *_PATTERNS.values(), *_PLACES.values(),
        *(name for _, name in _HUES), *_FIGURE,
        "a black white grey brown beige dark pale tanned skin boots shoes skirt shorts trousers",
        "glasses beard gloves ,",
    ]  # fmt: skip
    return tuple(sorted({word for text in texts for word in text.replace("{}", "").split()}))


WORDS = _words()
"""What is one token each; other words are spelt."""
