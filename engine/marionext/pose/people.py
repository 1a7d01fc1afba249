"""Who is who: the same person under the same number all along, and one person of several.

Detectors list people in an order of their own, frame by frame. People are followed by where they
are: boxes that overlap most, where each was heading, belong together; all pairs of a frame are
matched at once (the assignment problem; Kuhn 1955), so that two who pass each other do not both
claim one box.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError, SettingsError
from marionext.pose.measure import person_boxes
from marionext.pose.track import PoseTrack

__all__ = ["Who", "choose_person", "choose_track", "keep_identities", "link_boxes", "parse_who"]

Who = Literal["largest", "left", "right", "centre"] | int
"""A person: by size or place in the picture, or by number from 0, left to right."""

_FAR = 1.2
"""Pairs that cost more are different people. 0 is the same box; 1 about one that touches."""
_PATIENCE_SECONDS = 1.0
"""Somebody unseen for longer comes back as somebody else."""
_SETTLING = 0.5
"""Weight of the latest step in a person's estimated speed."""
_BRIEF = 0.05
"""Share of the clip; who is seen for less is not offered by size or place."""


@dataclass(slots=True)
class _Person:
    """Somebody being followed."""

    box: NDArray[np.float64]
    speed: NDArray[np.float64]
    frame: int

    def expected(self, frame: int) -> NDArray[np.float64]:
        """Where the box should be; a speed is trusted for some frames only."""
        return self.box + np.tile(self.speed, 2) * min(frame - self.frame, 5)


def link_boxes(
    boxes: Sequence[NDArray[np.floating]], *, patience: int = 30
) -> list[NDArray[np.int64]]:
    """Follow people through a clip by their boxes.

    Args:
        boxes: for each frame (people, 4): left, top, right, bottom; NaN where nothing is seen.
        patience: frames for which somebody may be out of sight.

    Returns:
        For each frame the number of each box's person, from 0 in order of appearance; -1 for
        boxes of NaN.
    """
    followed: list[_Person] = []
    numbers = []
    for frame, here in enumerate(boxes):
        found = np.full(len(here), -1)
        real = np.flatnonzero(np.isfinite(here).all(-1)) if len(here) else np.zeros(0, int)
        recent = [n for n, person in enumerate(followed) if frame - person.frame <= patience]
        cost = np.array(
            [[_distance(followed[n].expected(frame), here[box]) for box in real] for n in recent]
        ).reshape(len(recent), len(real))
        for row, column in _assign(cost):
            if cost[row, column] <= _FAR:
                found[real[column]] = recent[row]
        for box in real:
            place = np.asarray(here[box], np.float64)
            if found[box] < 0:
                found[box] = len(followed)
                followed.append(_Person(place, np.zeros(2), frame))
                continue
            person = followed[found[box]]
            step = (place - person.box).reshape(2, 2).mean(0) / (frame - person.frame)
            person.speed = (1 - _SETTLING) * person.speed + _SETTLING * step
            person.box, person.frame = place, frame
        numbers.append(found)
    return numbers


def keep_identities(track: PoseTrack, *, least_frames: int = 1) -> PoseTrack:
    """Give every person a place of its own in the track, the same in all frames.

    People are in order of appearance, from left to right within a frame. The track may hold more
    people than before (who left and who came later are two), and none who is never seen.

    Args:
        track: people in any order in each frame.
        least_frames: who is seen in fewer is left out, as passers-by and mistakes are.
    """
    visible: NDArray[np.bool_] = np.any(track.scores > 0, axis=-1)
    boxes = person_boxes(track.points, track.scores, seen=1e-6)
    ordered = []
    for frame in range(len(track)):
        slots = np.flatnonzero(visible[frame])
        middles = boxes[frame, slots][:, [0, 2]].mean(-1) if len(slots) else np.zeros(0)
        ordered.append(slots[np.argsort(middles, kind="stable")])
    patience = max(1, round(_PATIENCE_SECONDS * float(track.rate)))
    numbers = link_boxes(
        [boxes[frame, slots] for frame, slots in enumerate(ordered)], patience=patience
    )
    count = max((int(found.max(initial=-1)) for found in numbers), default=-1) + 1
    points = np.zeros((len(track), count, *track.points.shape[2:]), np.float32)
    scores = np.zeros(points.shape[:3], np.float32)
    origins = np.zeros(points.shape[:3], np.uint8)
    for frame, (slots, found) in enumerate(zip(ordered, numbers, strict=True)):
        points[frame, found] = track.points[frame, slots]
        scores[frame, found] = track.scores[frame, slots]
        origins[frame, found] = track.origins[frame, slots]
    kept = (scores > 0).any(-1).sum(0) >= least_frames
    return _some(track.with_(points=points, scores=scores, origins=origins), kept)


def parse_who(text: str) -> Who:
    """Read whom a job follows: ``#2`` is the second; a bare number counts from 0, as of old.

    Raises:
        SettingsError: people are counted from ``#1``.
    """
    if text.startswith("#") and text[1:].isdecimal():
        if int(text[1:]) < 1:
            raise SettingsError(f"person: people are counted from #1, got {text!r}")
        return int(text[1:]) - 1
    # What follows people refuses an impossible choice, naming those there are.
    return int(text) if text.isdecimal() else cast(Who, text)


def choose_person(track: PoseTrack, who: Who = "largest") -> PoseTrack:
    """Keep one person, followed through the whole clip.

    Raises:
        MotionError: nobody is seen in the clip, or fewer people than the number asked for.
        SettingsError: the choice is unknown.
    """
    followed = keep_identities(track)
    boxes = person_boxes(followed.points, followed.scores, seen=1e-6)
    chosen = choose_track(boxes, track.size, who)
    return _some(followed, np.array([chosen]))


def _some(track: PoseTrack, people: NDArray[np.bool_] | NDArray[np.int64]) -> PoseTrack:
    """Return a track of some of the people."""
    return track.with_(
        points=track.points[:, people],
        scores=track.scores[:, people],
        origins=track.origins[:, people],
        depths=track.depths[:, people] if track.knows_depths else track.depths,
    )


def choose_track(boxes: NDArray[np.floating], size: tuple[int, int], who: Who) -> int:
    """Choose among people who have been followed.

    Somebody seen in less than a twentieth of the frames that the most seen person is in does not
    count: a passer-by, or a detector's mistake.

    Args:
        boxes: (frames, people, 4): left, top, right, bottom; NaN where unseen.
        size: width and height of the picture.
        who: ``largest`` is the one with most of the picture over the whole clip; places are those
            of the middle of the box; a number counts from the left.

    Returns:
        The number of the person.

    Raises:
        MotionError: there is nobody, or fewer people than the number asked for.
        SettingsError: the choice is unknown.
    """
    seen = np.isfinite(boxes).all(-1).sum(0)
    people = np.flatnonzero(seen > _BRIEF * seen.max(initial=0))
    if not len(people):
        raise MotionError(
            f"expected somebody in the motion, nobody is seen in any of its {len(boxes)} frames"
        )
    sides = boxes[:, people, 2:] - boxes[:, people, :2]
    area = np.nansum(sides[..., 0] * sides[..., 1], axis=0)
    middle = np.nanmedian(boxes[:, people][..., [0, 2]].mean(-1), axis=0)
    from_left = np.argsort(middle, kind="stable")
    if isinstance(who, int):
        if not 0 <= who < len(people):
            raise MotionError(
                f"the motion shows {'1 person' if len(people) == 1 else f'{len(people)} people'}, "
                f"none with the number {who + 1}",
                hint="They are counted from 1, from left to right: --person 1 is the leftmost.",
            )
        return int(people[from_left[who]])
    picks = {
        "largest": area.argmax(),
        "left": from_left[0],
        "right": from_left[-1],
        "centre": np.abs(middle - size[0] / 2).argmin(),
    }
    if who not in picks:
        raise SettingsError(
            f"expected a person: {', '.join(picks)}, or a number from the left, got {who!r}"
        )
    return int(people[picks[who]])


def _distance(expected: NDArray[np.float64], box: NDArray[np.floating]) -> float:
    """Compare two boxes: 0 for the same, rising as they part and as their sizes differ."""
    corner = np.maximum(expected[:2], box[:2])
    overlap = float(np.prod(np.maximum(np.minimum(expected[2:], box[2:]) - corner, 0)))
    sides, others = expected[2:] - expected[:2], box[2:] - box[:2]
    union = float(np.prod(sides) + np.prod(others)) - overlap
    apart = (expected[:2] + expected[2:] - box[:2] - box[2:]) / 2
    reach = float(np.maximum(sides, others).max())
    distance = float(np.linalg.norm(apart)) / max(reach, 1.0)
    return (1 - overlap / union if union > 0 else 1) * 0.5 + distance


def _assign(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Match rows and columns one to one at the least total cost (Hungarian method, O(n^3)).

    Costs above what makes different people are all alike: one hopeless pair must not force the
    others.
    """
    cost = np.minimum(cost, _FAR * 1.01)
    rows, columns = cost.shape
    if rows > columns:
        return [(row, column) for column, row in _assign(cost.T)]
    # Potentials of rows and columns; owner[c] is the row matched to column c, 0 for none.
    of_row, of_column = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, int)
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        slack, used = np.full(columns + 1, np.inf), np.zeros(columns + 1, bool)
        came_from = np.zeros(columns + 1, int)
        while owner[column]:
            used[column] = True
            here = owner[column]
            reduced = cost[here - 1] - of_row[here] - of_column[1:]
            better = ~used[1:] & (reduced < slack[1:])
            slack[1:][better] = reduced[better]
            came_from[1:][better] = column
            free = np.where(used, np.inf, slack)
            free[0] = np.inf
            nearest = int(free.argmin())
            step = slack[nearest]
            of_row[owner[used]] += step
            of_column[used] -= step
            slack[~used] -= step
            column = nearest
        while column:
            owner[column] = owner[came_from[column]]
            column = int(came_from[column])
    return [(int(owner[c]) - 1, c - 1) for c in range(1, columns + 1) if owner[c]]
