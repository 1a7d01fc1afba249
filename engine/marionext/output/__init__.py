"""Frames and videos on disk."""

from marionext.output.encode import (
    EncodedVideo,
    Quality,
    VideoKind,
    encode_video,
    video_suffix,
)
from marionext.output.folder import PREVIEW, RenderFolder, difference, refuse_strangers
from marionext.output.lock import LOCK_FILE, FolderLock
from marionext.output.pictures import Pictures
from marionext.output.png import encode_png, write_png
from marionext.output.sheet import contact_sheet
from marionext.output.sound import Sound
from marionext.output.stills import READABLE, WRITABLE, Still, encode_still, read_still, still_size
from marionext.output.takes import Takes
from marionext.output.writer import FrameWriter

__all__ = [
    "LOCK_FILE",
    "PREVIEW",
    "READABLE",
    "WRITABLE",
    "EncodedVideo",
    "FolderLock",
    "FrameWriter",
    "Pictures",
    "Quality",
    "RenderFolder",
    "Sound",
    "Still",
    "Takes",
    "VideoKind",
    "contact_sheet",
    "difference",
    "encode_png",
    "encode_still",
    "encode_video",
    "read_still",
    "refuse_strangers",
    "still_size",
    "video_suffix",
    "write_png",
]
