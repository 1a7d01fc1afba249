"""Frames, manifest and videos on disk."""

from marionext.output.encode import (
    EncodedVideo,
    Quality,
    VideoKind,
    encode_video,
    video_suffix,
)
from marionext.output.files import check_space, encode_png, write_json, write_png
from marionext.output.folder import RenderFolder
from marionext.output.lock import FolderLock
from marionext.output.manifest import Manifest, Stage, hash_source, identity_of
from marionext.output.pictures import Pictures
from marionext.output.sound import Sound
from marionext.output.writer import FrameWriter, frame_name

__all__ = [
    "EncodedVideo",
    "FolderLock",
    "FrameWriter",
    "Manifest",
    "Pictures",
    "Quality",
    "RenderFolder",
    "Sound",
    "Stage",
    "VideoKind",
    "check_space",
    "encode_png",
    "encode_video",
    "frame_name",
    "hash_source",
    "identity_of",
    "video_suffix",
    "write_json",
    "write_png",
]
