"""Pose tracks that hold nobody, for estimates.

What a render takes depends on how many frames it has, not on who is in them.
"""

from pathlib import Path

import numpy as np

from marionext.frames import FrameRange, FrameRate
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native
from marionext.skeleton import POINT_COUNT
from marionext_desktop.model.places import cache_folder

__all__ = ["blank_track", "write_blank_track"]


def blank_track(span: FrameRange, size: tuple[int, int], rate: FrameRate) -> Path:
    """Return where the blank track of a range is, or is to be, kept."""
    name = f"{span.start}-{span.stop}-{size[0]}x{size[1]}-{str(rate).replace('/', '_')}.npz"
    return cache_folder("estimates") / name


def write_blank_track(path: Path, span: FrameRange, size: tuple[int, int], rate: FrameRate) -> Path:
    """Write the blank track of a range; called beside the window.

    Raises:
        OutputError: it cannot be written.
    """
    shape = (len(span), 1, POINT_COUNT)
    track = PoseTrack(
        points=np.zeros((*shape, 2), np.float32),
        scores=np.zeros(shape, np.float32),
        size=size,
        rate=rate,
        first=span.start,
        cleaned=True,
    )
    write_native(track, path)
    return path
