"""Pose tracks in files: our own, OpenPose's, ComfyUI's and COCO-WholeBody's."""

from marionext.pose.formats.coco import read_coco, write_coco
from marionext.pose.formats.comfyui import read_comfyui, write_comfyui
from marionext.pose.formats.native import read_native, write_native
from marionext.pose.formats.openpose import frame_files, read_openpose, write_openpose
from marionext.pose.formats.people import Coordinates
from marionext.pose.formats.reading import check_track_name, read_track, write_track

__all__ = [
    "Coordinates",
    "check_track_name",
    "frame_files",
    "read_coco",
    "read_comfyui",
    "read_native",
    "read_openpose",
    "read_track",
    "write_coco",
    "write_comfyui",
    "write_native",
    "write_openpose",
    "write_track",
]
