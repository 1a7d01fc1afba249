"""What the mouse does to the sheet, as values that the window carries out."""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "CutClip",
    "Gesture",
    "MoveClip",
    "MoveFlag",
    "MoveKeys",
    "MoveMark",
    "Retime",
    "Slip",
    "Trim",
]


@dataclass(frozen=True, slots=True)
class Trim:
    """An edge of a clip is dragged to a frame."""

    clip: str
    edge: Literal["start", "stop"]
    frame: int
    ripple: bool = False


@dataclass(frozen=True, slots=True)
class MoveClip:
    """A clip is dragged so that it begins at a frame."""

    clip: str
    frame: int


@dataclass(frozen=True, slots=True)
class Slip:
    """What a clip shows is dragged by some frames, the clip stays."""

    clip: str
    by: int


@dataclass(frozen=True, slots=True)
class Retime:
    """The end of a clip is dragged to a frame, and what it shows is stretched to fit."""

    clip: str
    stop: int


@dataclass(frozen=True, slots=True)
class CutClip:
    """A clip is cut before a frame."""

    clip: str
    frame: int


@dataclass(frozen=True, slots=True)
class MoveKeys:
    """The chosen keys are dragged by some frames."""

    by: int


@dataclass(frozen=True, slots=True)
class MoveMark:
    """The start or end of the range is dragged; the end is its last frame."""

    which: Literal["in", "out"]
    frame: int


@dataclass(frozen=True, slots=True)
class MoveFlag:
    """A marker is dragged."""

    flag: str
    frame: int


Gesture = Trim | MoveClip | Slip | Retime | CutClip | MoveKeys | MoveMark | MoveFlag
