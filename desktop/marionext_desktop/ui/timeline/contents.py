"""What the sheet shows, as plain values: whoever reads the document makes them, the sheet paints.

Frames are those of the sequence, counted from 0; a stretch ends before its ``stop``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.frames import FrameRate

__all__ = [
    "Badge",
    "ClipBar",
    "Contents",
    "Curve",
    "Flag",
    "Link",
    "RowKeys",
    "SoundBar",
    "TakeBar",
]


_USUAL_RATE = FrameRate(Fraction(30))


@dataclass(frozen=True, slots=True)
class ClipBar:
    """A clip of motion."""

    id: str
    title: str
    start: int
    stop: int
    kind: Literal["video", "motion", "poses"] = "video"
    note: str = ""
    """Such as ``50 %``, ``reversed``, ``hold``."""
    missing: bool = False
    """Whether its file is not there."""
    waiting: str = ""
    """What is done about its poses, such as ``finding poses 40 %``; empty: they are there."""
    spare: tuple[int, int] = (0, 0)
    """Frames that its source has before and after it, on the timeline."""


@dataclass(frozen=True, slots=True)
class SoundBar:
    """A clip of sound, or the sound of a video."""

    id: str
    title: str
    start: int
    stop: int
    peaks: NDArray[np.float32] | None = None
    """(bins,) from 0 to 1, evenly over the clip; None: not read yet."""
    own: bool = True
    """False: the sound of a clip of motion, that goes where that goes."""


@dataclass(frozen=True, slots=True)
class TakeBar:
    """Frames that one take shows."""

    id: str
    start: int
    stop: int
    title: str
    words: str
    state: Literal["done", "running", "waiting", "stale", "failed"]
    progress: float = 0.0


@dataclass(frozen=True, slots=True)
class Flag:
    """A marker."""

    id: str
    frame: int
    name: str
    colour: str
    """As `Colours` has it."""


@dataclass(frozen=True, slots=True)
class Badge:
    """Something that looks wrong, on the rows it is about."""

    key: str
    rows: tuple[str, ...]
    start: int
    stop: int
    icon: str
    words: str
    serious: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """Keys that belong together, or a stretch that is held."""

    start: int
    stop: int
    held: bool = False


@dataclass(frozen=True, slots=True)
class RowKeys:
    """What was done by hand on a row."""

    frames: NDArray[np.int64]
    """Ascending."""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """How a point goes over time, in the rows' place when curves are shown."""

    title: str
    colour: str
    values: NDArray[np.float32]
    """(frames,); not a number where the point is unseen."""
    before: NDArray[np.float32] | None = None
    """The same without the edits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything on the sheet but the heat strips."""

    frames: int = 0
    rate: FrameRate = _USUAL_RATE
    drop_frame: bool = False
    clips: tuple[ClipBar, ...] = ()
    person: str = ""
    keys: Mapping[str, RowKeys] = field(default_factory=dict)
    """By the name of the row; ``""`` has those of all rows."""
    badges: tuple[Badge, ...] = ()
    curves: tuple[Curve, ...] = ()
    sounds: tuple[SoundBar, ...] = ()
    beats: tuple[int, ...] = ()
    """Frames of the beats; every fourth is the first of a bar."""
    takes: tuple[TakeBar, ...] = ()
    flags: tuple[Flag, ...] = ()
    mark_in: int | None = None
    mark_out: int | None = None
    """The last frame of the range."""
