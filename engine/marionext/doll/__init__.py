"""The paper doll: a character's own picture, cut along its skeleton and bent to each pose."""

from marionext.doll.drawing import DollDrawer
from marionext.doll.model import PART_NAMES, Doll, Drawn, Layer
from marionext.doll.making import make_doll

__all__ = ["PART_NAMES", "Doll", "DollDrawer", "Drawn", "Layer", "make_doll"]
