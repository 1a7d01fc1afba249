"""The drawn control image of a pose."""

from marionext.posemap.draw import Drawer, draw
from marionext.posemap.normalised import NormalisedPose, normalise

__all__ = ["Drawer", "NormalisedPose", "draw", "normalise"]
