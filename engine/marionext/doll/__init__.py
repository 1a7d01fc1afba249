"""The paper doll: a character's own picture, cut along its skeleton and bent to each pose."""

from marionext.doll.drawing import DollDrawer
from marionext.doll.making import MAKER, make_doll
from marionext.doll.model import PART_NAMES, Doll, Drawn, Layer

__all__ = ["MAKER", "PART_NAMES", "Doll", "DollDrawer", "Drawn", "Layer", "make_doll"]
