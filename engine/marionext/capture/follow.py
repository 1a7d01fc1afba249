"""Whom to look at closely: the boxes around the chosen people, one for every frame.

Pass 1 sees people now and then, in no particular order. `marionext.pose` tells who is who and
chooses; here the choice becomes a box that moves smoothly, covers frames between two looks, and
goes on after a cut of the video, where everybody seems to be somebody else.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from marionext.capture.boxes import overlap
from marionext.errors import SettingsError
from marionext.pose import choose_track, link_boxes
from marionext.pose.people import Who

__all__ = ["PATIENCE_SECONDS", "Choice", "follow", "identify", "nearby_boxes", "parse_choice"]

Choice = Who | str
"""``largest``, ``left``, ``centre``, ``right``, a number from 0, left to right, or ``all``."""

Floats = NDArray[np.float64]

PATIENCE_SECONDS = 2.0
"""Somebody unseen for longer comes back as somebody else."""
_SMOOTHED_SECONDS = 0.5
_FARTHEST = 0.5
"""A box that moves by more of its own size from one look to the next has been cut to."""
_MOST_GROWTH = 6.0
_MEETING = 0.3
"""Boxes that overlap less lie on the two sides of a cut."""
_BRIEF = 0.05
"""Share of the clip; who is seen for less does not count as one of ``all``."""


def parse_choice(person: Choice) -> Who | None:
    """Read whom to follow, as `marionext.pose` has it; None means everybody.

    Raises:
        SettingsError: the choice is unknown.
    """
    if person == "all":
        return None
    if isinstance(person, int) or person in ("largest", "left", "right", "centre"):
        return person  # type: ignore[return-value]
    if person.isdecimal():
        return int(person)
    raise SettingsError(
        f"expected a person: largest, left, centre, right, all or a number, got {person!r}"
    )


def identify(
    looks: Sequence[Floats], *, person: Choice, size: tuple[int, int], patience: int
) -> NDArray[np.int64]:
    """Tell which of the people seen at each look are the chosen ones.

    Args:
        looks: the boxes seen at each look: (people, 4), left, top, right, bottom in pixels.
        person: whom to follow.
        size: width and height of the picture.
        patience: looks for which somebody may be out of sight.

    Returns:
        (chosen people, looks): index into the boxes of that look, -1 where the person is not
        seen. No people when nobody was seen at all; ``all`` are sorted by size.

    Raises:
        MotionError: there are fewer people than the number asked for.
        SettingsError: the choice is unknown.
    """
    who = parse_choice(person)
    numbers = link_boxes(looks, patience=patience)
    people = max((int(found.max(initial=-1)) for found in numbers), default=-1) + 1
    slots = np.full((people, len(looks)), -1)
    seen = np.full((len(looks), people, 4), np.nan)
    for look, (boxes, found) in enumerate(zip(looks, numbers, strict=True)):
        slots[found, look] = np.arange(len(found))
        seen[look, found] = boxes
    if not people:
        return slots
    if who is not None:
        return _joined(slots, seen, who, size)[None]
    counts = (slots >= 0).sum(1)
    largest = np.argsort(-np.nansum(_areas(seen), axis=0), kind="stable")
    return slots[[number for number in largest if counts[number] > _BRIEF * counts.max()]]


def follow(
    looks: Sequence[Floats],
    looked_at: Sequence[int],
    *,
    person: Choice,
    size: tuple[int, int],
    frames: int,
    rate: float,
) -> Floats:
    """Give the boxes of the chosen people in every frame.

    Args:
        looks: as in `identify`.
        looked_at: frame index of each look, ascending.
        person: whom to follow.
        size: width and height of the picture.
        frames: number of frames.
        rate: frames per second.

    Returns:
        (people, frames, 4); no people when nobody was seen at all.

    Raises:
        MotionError, SettingsError: as in `identify`.
    """
    step = looked_at[1] - looked_at[0] if len(looked_at) > 1 else 1
    patience = max(1, round(PATIENCE_SECONDS * rate / step))
    slots = identify(looks, person=person, size=size, patience=patience)
    result = np.zeros((len(slots), frames, 4))
    for number, places in enumerate(slots):
        there = np.flatnonzero(places >= 0)
        boxes = np.array([looks[int(look)][places[look]] for look in there])
        result[number] = _dense(boxes, np.asarray(looked_at)[there], frames, rate)
    return result


def nearby_boxes(path: Floats, frame: int, step: int) -> list[Floats]:
    """Return a person's box in a frame, and beside a cut the one on its other side as well.

    Between two looks nobody knows in which frame the video was cut.

    Args:
        path: (frames, 4), from `follow`.
        frame: its index; beyond the end the last box holds.
        step: frames between two looks.
    """
    last = len(path) - 1
    boxes = [path[min(frame, last)]]
    for other in (max(min(frame, last) - step, 0), min(frame + step, last)):
        if overlap(path[other], boxes[0]) < _MEETING:
            boxes.append(path[other])
    return boxes


def _joined(
    slots: NDArray[np.int64], seen: Floats, who: Who, size: tuple[int, int]
) -> NDArray[np.int64]:
    """Choose somebody, and somebody again for every stretch in which that person is not there.

    Args:
        slots: (people, looks), -1 where unseen.
        seen: (looks, people, 4), NaN where unseen.
        who: whom to follow.
        size: width and height of the picture.

    Returns:
        (looks,), -1 where nobody is seen.
    """
    result = np.full(slots.shape[1], -1)
    left = np.arange(len(slots))
    while len(left):
        picked = left[choose_track(seen[:, left], size, who)]
        here = np.flatnonzero(slots[picked] >= 0)
        result[here] = slots[picked, here]
        # A number names one person; after a cut the largest stands for it.
        who = "largest" if isinstance(who, int) else who
        during = slots[left, here[0] : here[-1] + 1]
        left = left[(during < 0).all(1)]
    return result


def _dense(boxes: Floats, places: NDArray[np.int64], frames: int, rate: float) -> Floats:
    """Fill the frames between looks, hold the ends and smooth.

    Args:
        boxes: (looks, 4), at least one.
        places: (looks,) frame indices.
        frames: number of frames.
        rate: frames per second.

    Returns:
        (frames, 4).
    """
    radius = round(_SMOOTHED_SECONDS * rate / 2)
    width = 2 * radius + 1
    result = np.zeros((frames, 4))
    for start, stop, first, last in _scenes(places, boxes, frames):
        inside = np.arange(start, stop)
        dense = np.stack(
            [np.interp(inside, places[first:last], boxes[first:last, side]) for side in range(4)],
            axis=1,
        )
        padded = np.pad(dense, ((radius, radius), (0, 0)), mode="edge")
        sums = np.cumsum(np.concatenate((np.zeros((1, 4)), padded)), axis=0)
        mean = (sums[width:] - sums[:-width]) / width
        # Averaging must not cut off a limb that is stretched out for a moment.
        result[start:stop, :2] = np.minimum(mean[:, :2], (mean[:, :2] + dense[:, :2]) / 2)
        result[start:stop, 2:] = np.maximum(mean[:, 2:], (mean[:, 2:] + dense[:, 2:]) / 2)
    return result


def _scenes(
    places: NDArray[np.int64], boxes: Floats, frames: int
) -> list[tuple[int, int, int, int]]:
    """Split where the box jumps: averaging over a cut would point at nobody.

    Returns:
        For each scene its first frame, the one after its last, and likewise of its looks.
    """
    cuts, looks = [0], [0]
    areas = np.maximum(_areas(boxes), 1.0)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    for before, after in pairwise(range(len(places))):
        shift = np.abs(centres[after] - centres[before]).max()
        larger, smaller = max(areas[before], areas[after]), min(areas[before], areas[after])
        if shift > _FARTHEST * np.sqrt(larger) or larger > _MOST_GROWTH * smaller:
            cuts.append(int(places[before] + places[after] + 1) // 2)
            looks.append(after)
    return list(zip(cuts, [*cuts[1:], frames], looks, [*looks[1:], len(places)], strict=True))


def _areas(boxes: Floats) -> Floats:
    sides: Floats = boxes[..., 2:] - boxes[..., :2]
    return sides[..., 0] * sides[..., 1]
