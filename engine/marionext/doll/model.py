"""What a doll is: a character's picture taken apart, ready to be posed.

A doll is made once of a character's picture and its 134 keypoints. It is a value: arrays and names,
no files (`marionext.doll.folders` keeps it as layered pictures that a person can open and mend).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PART_NAMES", "VIEWS", "Doll", "Drawn", "Layer", "Shadow"]

Picture = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

PART_NAMES = (
    "background",
    "trunk",
    "neck",
    "head",
    "skirt",
    *(
        f"{side}_{part}"
        for side in ("right", "left")
        for part in ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
    ),
)
"""What a pixel of a drawn frame can show; its index is the number in `Drawn.parts`."""

VIEWS = {
    "head": ("front", "left", "right", "back"),
    "trunk": ("front", "back"),
    "right_hand": ("open", "closed"),
    "left_hand": ("open", "closed"),
}
"""The views of a part that a doll may have; left and right are the picture's: where it looks to."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One part of the character, cut out and filled in where the picture hides it."""

    part: str
    """Of `PART_NAMES`."""
    pixels: Picture
    """(h, w, 4) RGB and alpha, not premultiplied."""
    corner: tuple[int, int]
    """Left and top in the character's picture, in pixels; may be negative."""
    seen: Picture
    """(h, w): 255 where the colour was seen in the picture, 0 where it was filled in."""
    view: str = ""
    """Of the part's `VIEWS`, where there are several; empty: the one that the picture shows."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """The shadow under the feet."""

    dark: float
    """How much of the floor's light it takes in its middle, 0 to 1."""
    tall: float
    """Half its height in statures."""
    wide: float
    """Half its width, in widths that are usual for the feet's stance."""


@dataclass(frozen=True, slots=True, eq=False)
class Doll:
    """A character that can be posed."""

    size: tuple[int, int]
    """Width and height of the character's picture in pixels."""
    background: Picture
    """(h, w, 3) RGB: the picture without the character."""
    filled: Picture
    """(h, w): 255 where the background was filled in, since the character stood before it."""
    points: Floats
    """(134, 2) pixels: the pose of the character in its picture."""
    scores: Floats
    """(134,)"""
    layers: tuple[Layer, ...]
    hem: float | None = None
    """How far a skirt goes down from the hips, in pixels; None: there is none."""
    shadow: Shadow | None = None
    notes: tuple[str, ...] = field(default=())
    """What was assumed or not found, for people to read."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One frame drawn from dolls, and what is known about each of its pixels."""

    picture: Picture
    """(h, w, 3) RGB."""
    coverage: Floats
    """(h, w): 0 background to 1 a doll."""
    validity: Floats
    """(h, w): 1 where the colour was seen in the character's picture from about this side, 0 where
    it was made up; 1 in the background unless it was filled."""
    parts: Picture
    """(h, w): the index in `PART_NAMES` of what is on top."""
