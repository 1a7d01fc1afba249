"""Rig animation, 3-D and in metres: read it, map its bones, project it to keypoints."""

from marionext.motion.animation import JointAnimation
from marionext.motion.bvh import read_bvh, write_bvh
from marionext.motion.camera import Camera
from marionext.motion.framing import frame_motion, front_of

__all__ = ["Camera", "JointAnimation", "frame_motion", "front_of", "read_bvh", "write_bvh"]
