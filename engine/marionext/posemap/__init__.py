"""The drawn control image of a pose."""

from marionext.posemap.draw import Drawer, draw
from marionext.posemap.maps import PoseMapSource, read_maps
from marionext.posemap.normalised import NormalisedPose, normalise
from marionext.posemap.recognise import is_pose_map, recognise_palette
from marionext.posemap.small import SmallDrawer

__all__ = [
    "Drawer",
    "NormalisedPose",
    "PoseMapSource",
    "SmallDrawer",
    "draw",
    "is_pose_map",
    "normalise",
    "read_maps",
    "recognise_palette",
]
