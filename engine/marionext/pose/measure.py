"""How large and where people are in a pose track: boxes, sizes, and parts too small to render."""

import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import BODY, FACE, LEFT_HAND, RIGHT_HAND, SEEN_SCORE
from marionext.pose.track import PoseTrack

__all__ = [
    "FACE_PIXELS",
    "HAND_PIXELS",
    "empty_frames",
    "number_scenes",
    "person_boxes",
    "person_sizes",
    "small_parts",
]

FACE_PIXELS = 64
"""A face less tall than this is 8 cells or fewer of the video model's latent picture, which has
one cell for 8 pixels: too few for a likeness."""
HAND_PIXELS = 32
"""A hand less large than this is 4 cells or fewer: fingers merge."""

_PART_NAMES = {"face": (FACE, FACE_PIXELS), "left hand": (LEFT_HAND, HAND_PIXELS)} | {
    "right hand": (RIGHT_HAND, HAND_PIXELS)
}
_CUT = 0.3
"""When half of the body's joints jump by more than this share of the person's size from one frame
to the next, the camera or the person has changed."""
_TINY = 8
"""Pixels; who is smaller has no cuts, but noise."""
_RARELY = 0.1
"""Share of frames below which a small part is not worth a word."""


def person_boxes(
    points: NDArray[np.floating], scores: NDArray[np.floating], *, seen: float = SEEN_SCORE
) -> NDArray[np.float64]:
    """Return left, top, right, bottom around what is seen of each person.

    Args:
        points: (..., joints, 2) pixels.
        scores: (..., joints).
        seen: least score that counts.

    Returns:
        (..., 4) pixels; NaN where nothing is seen.
    """
    known = (scores >= seen)[..., None]
    low = np.where(known, points, np.inf).min(-2, initial=np.inf)
    high = np.where(known, points, -np.inf).max(-2, initial=-np.inf)
    box = np.concatenate([low, high], -1).astype(np.float64)
    return np.where(np.isfinite(box), box, np.nan)


def person_sizes(track: PoseTrack) -> NDArray[np.float64]:
    """Return how large each person typically is: (people,), in pixels, at least 1.

    That is the median over time of the longer side of the box around the body, or around what is
    seen where no body is.
    """
    sizes = np.ones(track.people)
    for person in range(track.people):
        points, scores = track.points[:, person], track.scores[:, person]
        longer = _longer_sides(points[:, BODY], scores[:, BODY], SEEN_SCORE)
        if not len(longer):
            longer = _longer_sides(points, scores, 1e-6)
        if len(longer):
            sizes[person] = max(np.median(longer), 1)
    return sizes


def _longer_sides(
    points: NDArray[np.floating], scores: NDArray[np.floating], seen: float
) -> NDArray[np.float64]:
    """Return the longer side of the box around what is seen, of frames in which anything is."""
    boxes = person_boxes(points, scores, seen=seen)
    longer = (boxes[:, 2:] - boxes[:, :2]).max(-1)
    return np.asarray(longer[np.isfinite(longer)])


def number_scenes(
    points: NDArray[np.floating], scores: NDArray[np.floating], size: float
) -> NDArray[np.int64]:
    """Number the scenes of one person's clip: (frames,), from 0, one more after every cut.

    Args:
        points: (frames, 134, 2) pixels.
        scores: (frames, 134).
        size: of the person, pixels; see `person_sizes`.
    """
    known = scores[:, BODY] >= SEEN_SCORE
    both = known[1:] & known[:-1]
    way = np.linalg.norm(np.diff(points[:, BODY], axis=0), axis=-1) / max(size, _TINY)
    jumped = (both & (way > _CUT)).sum(1) * 2 > both.sum(1)
    return np.concatenate([[0], np.cumsum(jumped & (both.sum(1) >= 3))])


def empty_frames(track: PoseTrack) -> tuple[int, ...]:
    """Return the numbers of the frames in whose picture nothing of anybody would be drawn.

    Args:
        track: poses as they will be drawn.
    """
    size = np.array(track.size, np.float32)
    within = ((track.points >= 0) & (track.points <= size)).all(-1)
    drawn = (within & (track.scores >= SEEN_SCORE)).any(axis=(1, 2))
    return tuple((np.flatnonzero(~drawn) + track.first).tolist())


def small_parts(track: PoseTrack) -> list[str]:
    """Tell which faces and hands are too few pixels for the video model to draw well.

    Args:
        track: poses at the size they will be rendered at.

    Returns:
        Advice, a sentence each; empty when all is well.
    """
    advice = []
    for person in range(track.people):
        whose = "" if track.people == 1 else f" of person {person + 1}"
        for name, (place, least) in _PART_NAMES.items():
            boxes = person_boxes(track.points[:, person, place], track.scores[:, person, place])
            sides = boxes[:, 2:] - boxes[:, :2]
            # A hand may point anywhere; a face is measured from brow to chin.
            extent = sides[:, 1] if place is FACE else sides.max(-1)
            extent = extent[np.isfinite(extent)]
            small = extent[extent < least]
            if len(extent) and len(small) >= _RARELY * len(extent):
                remedy = (
                    "Likeness and expression will suffer" if place is FACE else "Fingers will merge"
                )
                advice.append(
                    f"The {name}{whose} is {np.median(small):.0f} px in {len(small)} of "
                    f"{len(extent)} frames, less than {least}. {remedy}: render larger, or move "
                    f"the figure closer."
                )
    return advice
