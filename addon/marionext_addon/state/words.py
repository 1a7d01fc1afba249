# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles of bones and parts of a body are called; and texts in lines, as dialogs need them."""

import re
import textwrap
from pathlib import PurePath
from typing import Any

from .edits import KINDS, LIMBS
from .translations import say

__all__ = ["coverage_words", "edit_words", "role_words", "wrapped"]

_WORDS = {
    "left": "Left",
    "right": "Right",
    "hips": "Hips",
    "spine": "Spine",
    "chest": "Chest",
    "neck": "Neck",
    "head": "Head",
    "head_end": "Top of the head",
    "jaw": "Jaw",
    "eye": "eye",
    "clavicle": "collar bone",
    "upper_arm": "upper arm",
    "forearm": "forearm",
    "hand": "hand",
    "thigh": "thigh",
    "shin": "shin",
    "foot": "foot",
    "toe": "toes",
    "toe_end": "tip of the toes",
    "thumb": "thumb",
    "index": "index finger",
    "middle": "middle finger",
    "ring": "ring finger",
    "pinky": "little finger",
    "tip": "tip",
}


def role_words(role: str, *, short: bool = False) -> str:
    """Return a role for people to read: ``left_index_2`` is "Left index finger 2".

    Args:
        role: as the engine calls it.
        short: "L" for left, where there is little room.
    """
    if role in _WORDS:
        return say(_WORDS[role])
    side, _, part = role.partition("_")
    side_words = say(("L" if side == "left" else "R") if short else _WORDS[side])
    if part in _WORDS:
        return f"{side_words} {say(_WORDS[part])}"
    finger, _, joint = part.partition("_")
    number = say(_WORDS[joint]) if joint in _WORDS else joint
    return f"{side_words} {say(_WORDS[finger])} {number}"


_FACES = {
    "no face (no head bone)": "No face",
    "face from the head bone": "Face: head",
    "face from the head bone with eyes": "Face: head, eyes",
    "face from the head bone with jaw": "Face: head, jaw",
    "face from the head bone with eyes and jaw": "Face: head, eyes, jaw",
}


def coverage_words(person: Any) -> list[str]:
    """Return what of the body comes from bones, in three short lines."""
    return [
        say("Body {found}/{all}", found=person.body_points, all=18),
        say("Hands {found}/{all}", found=person.hand_points, all=42),
        _face_words(person.face_source),
    ]


def _face_words(source: str) -> str:
    """Return where the face comes from, in short: what shapes it most, else the head."""
    bones, shapes = (re.search(rf"(\d+) {kind}", source) for kind in ("face bones", "shape keys"))
    if bones and shapes:
        return say("Face: {bones} bones, {shapes} shapes", bones=bones[1], shapes=shapes[1])
    if bones:
        return say("Face: {count} bones", count=bones[1])
    if shapes:
        return say("Face: {count} shapes", count=shapes[1])
    return say(_FACES.get(source, source))


_KIND_NAMES = {kind: name for kind, name, _ in KINDS}
_LIMB_NAMES = {limb: name for limb, name, _ in LIMBS}


def edit_words(edit: Any) -> str:
    """Return an edit for people to read: "Hide: left hand, 101-120"."""
    kind = say(_KIND_NAMES[edit.kind])
    if edit.kind == "FILE":
        return f"{kind}: {PurePath(edit.path).name}"
    limbs = [say(name) for limb, name in _LIMB_NAMES.items() if limb in edit.limbs]
    parts = limbs if len(limbs) <= 2 else [say("{count} limbs", count=len(limbs))]
    if edit.limited:
        parts.append(f"{edit.start}-{edit.end}")
    return f"{kind}: {', '.join(parts)}" if parts else kind


def wrapped(text: str, letters: int = 72) -> list[str]:
    """Return a text in lines, for dialogs and notices: Blender cuts labels off."""
    return [line for part in text.splitlines() for line in textwrap.wrap(part, letters)]
