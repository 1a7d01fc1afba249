"""Frames, manifest and videos on disk."""

from marionext.output.files import check_space, encode_png, sha256_of, write_json, write_png
from marionext.output.folder import RenderFolder
from marionext.output.lock import FolderLock
from marionext.output.manifest import Manifest, Stage, hash_source, identity_of
from marionext.output.writer import FrameWriter, frame_name

__all__ = [
    "FolderLock",
    "FrameWriter",
    "Manifest",
    "RenderFolder",
    "Stage",
    "check_space",
    "encode_png",
    "frame_name",
    "hash_source",
    "identity_of",
    "sha256_of",
    "write_json",
    "write_png",
]
