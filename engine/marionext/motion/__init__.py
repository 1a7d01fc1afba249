"""Rig animation, 3-D and in metres: read it, map its bones, project it to keypoints."""

from marionext.motion.animation import JointAnimation
from marionext.motion.camera import Camera

__all__ = ["Camera", "JointAnimation"]
