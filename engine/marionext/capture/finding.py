"""Pass 1: find everyone in a whole picture, roughly."""

import numpy as np
from numpy.typing import NDArray

from marionext.capture.boxes import overlap, seen_box
from marionext.capture.landmarkers import BodyLandmarker

__all__ = ["MOST_PEOPLE", "sight_people"]

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

MOST_PEOPLE = 4
"""More people than this are not told apart; the detector was made for few."""

_SAME_PERSON = 0.6
_SMALLEST = 0.04
"""Of the picture's shorter side: what is smaller is noise, and too small for hands and face."""
_TILED_FROM = 1.3
"""Pictures this much longer than wide (or the reverse) are searched in squares as well."""


def sight_people(picture: Picture, finder: BodyLandmarker) -> Floats:
    """Find the people in a picture.

    The network sees a picture at 224 x 224. Where it finds nobody in a wide one, it is shown
    squares of it, in which people are larger.

    Args:
        picture: (height, width, 3), RGB.
        finder: set up for `MOST_PEOPLE`.

    Returns:
        (people, 4): left, top, right, bottom in pixels.
    """
    people = finder.detect(picture)
    height, width = picture.shape[:2]
    side = min(height, width)
    if not people and max(height, width) > _TILED_FROM * side:
        count = int(np.ceil(2 * max(height, width) / side)) - 1
        for left, top in zip(
            np.linspace(0, width - side, count).astype(int),
            np.linspace(0, height - side, count).astype(int),
            strict=True,
        ):
            for body in finder.detect(picture[top : top + side, left : left + side]):
                body[:, :2] += (left, top)
                people.append(body)
    boxes: list[Floats] = []
    for body in people:
        box = seen_box(body, (width, height))
        if box is None or max(box[2:] - box[:2]) < _SMALLEST * side:
            continue
        if all(overlap(box, other) < _SAME_PERSON for other in boxes):
            boxes.append(box)
    return np.array(boxes).reshape(-1, 4)
