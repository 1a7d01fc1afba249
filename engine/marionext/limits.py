"""Every limit on what comes from outside, in one place; ``docs/security.md`` lists them.

A number is compared with its limit before anything is reckoned from it, so that neither time nor
memory grows with what somebody wrote into a file. Each is far beyond what people render; who meets
one is told its value and how to do without. Standard library only.
"""

from typing import Final

__all__ = [
    "DIGITS",
    "EXPONENT_DIGITS",
    "FASTEST_RATE",
    "FRAMES",
    "FRAME_NUMBER",
    "GROWTH",
    "JOINTS",
    "JSON_BYTES",
    "LINE_CHARACTERS",
    "LIVE_PEOPLE",
    "LIVE_SIDE",
    "MEMORY",
    "NODE_DEPTH",
    "PICTURES",
    "PICTURE_CONTROLS",
    "PICTURE_SIDE",
    "QUOTED",
    "RENDER_SIDE",
    "SECONDS_TO_END",
    "SHOTS",
    "SLOWEST_RATE",
    "STILL_PIXELS",
    "TABLE_BYTES",
    "TOML_BYTES",
    "UPSCALING",
    "VIDEO_PIXELS",
    "WAITING_EVENTS",
    "WAITING_PICTURES",
    "quoted",
]

SLOWEST_RATE: Final = 1_000
"""A frame lasts at most this many seconds: the slowest rate is its reciprocal."""
FASTEST_RATE: Final = 100_000
"""Frames per second."""
DIGITS: Final = 300
"""Of each part of a frame rate as text; a rate that is computed from others has a few dozen."""
EXPONENT_DIGITS: Final = 2
"""Of a frame rate as text: 1e15 is one that can be read, and then refused for what it says."""
FRAMES: Final = 1_000_000
"""Frames of one selection, and of one render: nine hours at 30 frames/s."""
FRAME_NUMBER: Final = 999_999_999
"""The largest frame number, and with a minus the smallest."""
RENDER_SIDE: Final = 8_192
"""Pixels of a side of what is rendered or drawn."""
PICTURE_SIDE: Final = 65_536
"""Pixels of a side of a picture that keypoints are said to lie in."""
UPSCALING: Final = 8
"""How many times larger pictures are made at once, at most."""
STILL_PIXELS: Final = 200_000_000
"""Of a picture that is made larger, and of what is made of it."""
PICTURES: Final = 10_000
"""Variants of one picture job."""
PICTURE_CONTROLS: Final = 8
"""Controls of one picture."""
LIVE_SIDE: Final = 2_048
"""Pixels of a side of a live picture, which travels in a line of the worker protocol."""
LIVE_PEOPLE: Final = 16
"""People of a live pose."""
MEMORY: Final = 1 << 30
"""Bytes of memory that the numbers of one file may take, whatever its size."""
GROWTH: Final = 100
"""Beyond `MEMORY`: how many times a file's own size its numbers may take."""
JOINTS: Final = 10_000
"""Joints of a BVH, nodes of a glTF. Rigs have hundreds."""
NODE_DEPTH: Final = 500
"""Joints from the root to an end."""
SHOTS: Final = 100_000
"""Jobs of one batch."""
TABLE_BYTES: Final = 16 << 20
"""Of a table of jobs."""
VIDEO_PIXELS: Final = 36_000_000
"""Of a picture of a video, of ready-made pose maps or of an animation: 8K has 33 million."""
LINE_CHARACTERS: Final = 16 << 20
"""Of one line of the worker protocol. Jobs with edits of many frames are long; not that long."""
JSON_BYTES: Final = 256 << 20
"""Of one of our own JSON files. The record of a render of a million frames has some 130 MB."""
TOML_BYTES: Final = 4 << 20
"""Of one preset or ``marionext.toml``."""
WAITING_EVENTS: Final = 10_000
"""Events that wait for a host that does not read; beyond them no more bad lines are answered."""
WAITING_PICTURES: Final = 4
"""Events that wait for a host before live pictures are left out for want of a reader."""
SECONDS_TO_END: Final = 5.0
"""That a worker whose host is gone takes to end its work in good order before it ends without."""
QUOTED: Final = 80
"""Characters of something wrong that a message repeats."""


def quoted(value: object) -> str:
    """Return a value as a message repeats it: in Python's notation, cut to `QUOTED` characters.

    Whole numbers with more digits than Python writes out are described instead.
    """
    if isinstance(value, str):
        value = value[: QUOTED + 1]
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= QUOTED + 2 else text[:QUOTED] + "..."
