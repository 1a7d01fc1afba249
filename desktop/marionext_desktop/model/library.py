"""What is worth a word about a character before it is rendered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marionext.pose.measure import FACE_PIXELS, HAND_PIXELS, person_boxes
from marionext.skeleton import BODY, FACE, LEFT_HAND, RIGHT_HAND, SEEN_SCORE
from marionext_desktop.model.project import Character
from marionext_desktop.model.words import say

__all__ = ["FoundPose", "Warned", "how_far", "warnings_of"]

_FAR = 0.22
"""Share of the figure's size that its joints lie apart on average, to be another pose."""
_EDGE = 0.015
_ENDS = {"feet": (10, 13), "hands": (4, 7), "head": (0,)}


@dataclass(frozen=True, slots=True, eq=False)
class FoundPose:
    """The pose in a character's picture."""

    points: NDArray[np.float32]
    """(134, 2) pixels of the whole picture."""
    scores: NDArray[np.float32]
    """(134,), 0 is unseen."""


@dataclass(frozen=True, slots=True)
class Warned:
    """One thing that is not as it should be."""

    kind: str
    """``nobody``, ``face``, ``hands``, ``cut`` or ``far``."""
    short: str
    """In few words, for a list."""
    long: str
    """With what to do about it."""


def warnings_of(
    character: Character,
    found: FoundPose | None,
    *,
    render_size: tuple[int, int],
    first: FoundPose | None = None,
    drawn: bool = False,
) -> tuple[Warned, ...]:
    """Return what is worth a word about a character.

    Args:
        character: with its size and crop.
        found: its pose, as found or as changed by hand; None: nobody was found.
        render_size: width and height of what is rendered.
        first: the pose of the sequence's first frame, on any canvas; None: not known.
        drawn: whether frames are drawn of the picture itself (a paper doll), not denoised: nothing
            of it blurs, and any pose may come first.
    """
    if found is None or not (found.scores[BODY] >= SEEN_SCORE).any():
        return (
            Warned(
                "nobody",
                say("nobody found in the picture"),
                say(
                    "Nobody was found in the picture. Take one that shows the whole figure, or put "
                    "the joints where they belong."
                ),
            ),
        )
    left, top, width, height = 0.0, 0.0, *map(float, character.size)
    if character.crop is not None:
        crop = character.crop
        left, top, width, height = crop.x, crop.y, crop.width, crop.height
    points = found.points - np.array([left, top], np.float32)
    scores = found.scores
    told: list[Warned] = []
    if width > 0 and height > 0:
        # The picture covers the frame, as the engine lays it.
        scale = max(render_size[0] / width, render_size[1] / height)
        if not drawn:
            told += _small(points, scores, scale)
        told += _cut(points, scores, (width, height))
    apart = None if first is None or drawn else how_far(found, first)
    if apart is not None and apart > _FAR:
        told.append(
            Warned(
                "far",
                say("pose far from the first frame"),
                say(
                    "The character stands far from the pose of the first frame: models that "
                    "denoise take some frames to get there. Begin nearer to it, or take another "
                    "picture."
                ),
            )
        )
    return tuple(told)


def _small(points: NDArray[np.float32], scores: NDArray[np.float32], scale: float) -> list[Warned]:
    told: list[Warned] = []
    parts = (
        ("face", FACE, FACE_PIXELS), ("hands", LEFT_HAND, HAND_PIXELS),
        ("hands", RIGHT_HAND, HAND_PIXELS),
    )  # fmt: skip
    for kind, part, least in parts:
        box = person_boxes(points[part], scores[part], seen=1e-6)
        sides = box[2:] - box[:2]
        extent = float(sides[1] if part is FACE else sides.max()) * scale
        if not np.isfinite(extent) or extent >= least or any(each.kind == kind for each in told):
            continue
        if kind == "face":
            words = Warned(
                kind,
                say("face {pixels} px: may blur", pixels=round(extent)),
                say(
                    "The face is {pixels} pixels tall where {least} are needed for a likeness. "
                    "Crop closer, or render larger.",
                    pixels=round(extent), least=least,
                ),
            )  # fmt: skip
        else:
            words = Warned(
                kind,
                say("hands {pixels} px: fingers merge", pixels=round(extent)),
                say(
                    "A hand is {pixels} pixels large where {least} are needed for fingers. Crop "
                    "closer, or render larger.",
                    pixels=round(extent), least=least,
                ),
            )  # fmt: skip
        told.append(words)
    return told


def _cut(
    points: NDArray[np.float32], scores: NDArray[np.float32], size: tuple[float, float]
) -> list[Warned]:
    """Tell limbs that the edge of the picture cuts off."""
    edge = _EDGE * max(size)
    missing = []
    for name, joints in _ENDS.items():
        for joint in joints:
            x, y = points[joint]
            outside = x < -edge or y < -edge or x > size[0] + edge or y > size[1] + edge
            if scores[joint] < SEEN_SCORE or outside:
                missing.append(name)
                break
    if not missing:
        return []
    named = ", ".join(say(name) for name in missing)
    return [
        Warned(
            "cut",
            say("figure cut: {parts}", parts=named),
            say(
                "The picture does not show all of the figure ({parts}): what is not there is "
                "made up. Take one that shows it from head to feet.",
                parts=named,
            ),
        )
    ]


def how_far(one: FoundPose, other: FoundPose) -> float | None:
    """Return how far two poses are from each other, wherever and however large they are.

    Returns:
        The mean distance of the body's joints as a share of the figure's size, once one lies on the
        other as well as can be without turning it; None where too few joints are seen in both.
    """
    seen = (one.scores[BODY] >= SEEN_SCORE) & (other.scores[BODY] >= SEEN_SCORE)
    if seen.sum() < 5:
        return None
    a = one.points[BODY][seen].astype(np.float64)
    b = other.points[BODY][seen].astype(np.float64)
    a, b = a - a.mean(0), b - b.mean(0)
    spread = np.sqrt((a**2).sum()), np.sqrt((b**2).sum())
    if min(spread) < 1e-6:
        return None
    a, b = a / spread[0], b / spread[1]
    size = float(np.ptp(b, axis=0).max())
    return float(np.linalg.norm(a - b, axis=1).mean() / size)
