"""Rig animation, 3-D and in metres: read it, map its bones, project it to keypoints."""

from marionext.motion.animation import JointAnimation
from marionext.motion.archive import read_animation, write_animation
from marionext.motion.bvh import read_bvh, write_bvh
from marionext.motion.camera import Camera
from marionext.motion.figure import Figure
from marionext.motion.framing import across_of, follow_motion, frame_motion, front_of
from marionext.motion.gltf import read_gltf
from marionext.motion.loading import MOTION_SUFFIXES, clips, load, load_all, no_such_person
from marionext.motion.projection import View, facing, project, project_people, view_people
from marionext.motion.resampling import resample
from marionext.motion.rigs import (
    RigMapping,
    RigPreset,
    load_presets,
    map_bones,
    map_rig,
    read_preset,
    write_preset,
)
from marionext.motion.roles import ROLES
from marionext.motion.surface import Raster, Surface, rasterise, read_surface

__all__ = [
    "MOTION_SUFFIXES",
    "ROLES",
    "Camera",
    "Figure",
    "JointAnimation",
    "Raster",
    "RigMapping",
    "RigPreset",
    "Surface",
    "View",
    "across_of",
    "clips",
    "facing",
    "follow_motion",
    "frame_motion",
    "front_of",
    "load",
    "load_all",
    "load_presets",
    "map_bones",
    "map_rig",
    "no_such_person",
    "project",
    "project_people",
    "rasterise",
    "read_animation",
    "read_bvh",
    "read_gltf",
    "read_preset",
    "read_surface",
    "resample",
    "view_people",
    "write_animation",
    "write_bvh",
    "write_preset",
]
