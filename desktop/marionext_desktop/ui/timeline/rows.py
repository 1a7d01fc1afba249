"""Which rows the poses have: limbs, opened to their parts on demand, each with the points it shows.

A row is named like the joints of an edit (`marionext.skeleton.LIMB_GROUPS` or a point), so that
what is chosen in the timeline is what an edit is about.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.skeleton import LIMB_GROUPS, POINT_NAMES, point_numbers
from marionext_desktop.model.words import say

__all__ = ["LIMBS", "Row", "point_title", "pose_rows", "row_scores", "row_title", "side_of"]

Side = Literal["left", "right", "centre"]

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
LIMBS: dict[str, tuple[str, ...]] = {
    "head": ("nose", "right_eye", "left_eye", "right_ear", "left_ear"),
    "face": ("face_jaw", "face_brows", "face_eyes", "face_nose", "face_mouth"),
    "torso": ("neck", "right_shoulder", "left_shoulder", "right_hip", "left_hip"),
    "right_arm": ("right_shoulder", "right_elbow", "right_wrist"),
    "right_hand": ("right_hand_wrist", *(f"right_{finger}" for finger in _FINGERS)),
    "left_arm": ("left_shoulder", "left_elbow", "left_wrist"),
    "left_hand": ("left_hand_wrist", *(f"left_{finger}" for finger in _FINGERS)),
    "right_leg": ("right_hip", "right_knee", "right_ankle"),
    "left_leg": ("left_hip", "left_knee", "left_ankle"),
    "feet": ("right_foot", "left_foot"),
}
"""The rows of the sheet in their order, each with the parts it opens to."""

_MEANT = {"face", "right_hand", "left_hand"}
"""Limbs of many points, shown by the mean; a body's limb is as good as its worst joint."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the sheet."""

    name: str
    title: str
    side: Side
    points: tuple[int, ...]
    """Numbers of the points that it shows."""
    parent: str | None = None
    """The limb that it is a part of."""
    open: bool = False
    """Whether its parts are shown below it."""


def side_of(name: str) -> Side:
    """Tell whose side of the body a point or limb is on."""
    if name.startswith("left_"):
        return "left"
    return "right" if name.startswith("right_") else "centre"


def row_title(name: str) -> str:
    """Return how a point or limb is called in the window."""
    words = name.replace("_", " ").capitalize()
    # Points of hands and faces are numbered: their names are said once.
    said = words.rstrip("0123456789").rstrip()
    return say(said) + words[len(said) :]


def pose_rows(opened: Collection[str]) -> tuple[Row, ...]:
    """Return the rows of the poses.

    Args:
        opened: limbs whose parts are shown; ``all`` opens each.
    """
    rows = []
    for limb, parts in LIMBS.items():
        is_open = limb in opened or "all" in opened
        rows.append(_row(limb, None, is_open))
        rows += [_row(part, limb, is_open=False) for part in parts if is_open]
    return tuple(rows)


def _row(name: str, parent: str | None, is_open: bool) -> Row:
    points = LIMB_GROUPS.get(name) or point_numbers((name,))
    return Row(name, row_title(name), side_of(name), tuple(points), parent, is_open)


def row_scores(scores: NDArray[np.float32], rows: tuple[Row, ...]) -> NDArray[np.float32]:
    """Return what each row's strip shows.

    Args:
        scores: (frames, 134).
        rows: of the sheet.

    Returns:
        (rows, frames).
    """
    strips = np.empty((len(rows), len(scores)), np.float32)
    for place, line in enumerate(rows):
        part = scores[:, line.points]
        many = line.name in _MEANT or len(line.points) > 5
        strips[place] = part.mean(axis=1) if many else part.min(axis=1)
    return strips


def point_title(number: int) -> str:
    """Return how a point is called in the window."""
    return row_title(POINT_NAMES[number])
