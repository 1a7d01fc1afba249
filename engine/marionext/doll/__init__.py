"""The paper doll: a character's own picture, cut along its skeleton and bent to each pose."""

from marionext.doll.drawing import DollDrawer
from marionext.doll.folders import read_doll, write_doll
from marionext.doll.making import MAKER, make_doll
from marionext.doll.manner import is_flat
from marionext.doll.model import PART_NAMES, VIEWS, Doll, Drawn, Layer, Shadow

__all__ = [
    "MAKER",
    "PART_NAMES",
    "VIEWS",
    "Doll",
    "DollDrawer",
    "Drawn",
    "Layer",
    "Shadow",
    "is_flat",
    "make_doll",
    "read_doll",
    "write_doll",
]
