"""Moving pictures, read: every frame once, upright, with its exact time.

One clock for everything that is made of a file: poses, ready-made pose maps and sound all count
from its first frame, whether that frame can be decoded or not.
"""

from marionext.footage.animation import is_animation
from marionext.footage.container import open_media, scan
from marionext.footage.video import (
    FIRST_FRAME,
    Shown,
    VideoFrame,
    VideoInfo,
    probe,
    read_frames,
)

__all__ = [
    "FIRST_FRAME",
    "Shown",
    "VideoFrame",
    "VideoInfo",
    "is_animation",
    "open_media",
    "probe",
    "read_frames",
    "scan",
]
