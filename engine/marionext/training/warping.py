"""What the doll's warp makes of a drawn clip: its reference, bent to each pose of its dance."""

import numpy as np
from numpy.typing import NDArray

from marionext.doll import DollDrawer, Drawn, make_doll

__all__ = ["warp"]


def warp(
    pictures: NDArray[np.uint8],
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    mask: NDArray[np.float32] | None = None,
) -> tuple[list[Drawn], NDArray[np.uint8]]:
    """Make a doll of a clip's first picture and draw it in the poses of the others.

    Args:
        pictures: (frames, h, w, 3) RGB.
        points: (frames, 1, 134, 2) pixels.
        scores: (frames, 1, 134).
        mask: (h, w), 0 to 1: the figure of the first picture; None: it is found.

    Returns:
        What was drawn of the frames after the first, and what is behind the figure: (h, w, 3).

    Raises:
        CharacterError: the first picture shows too little of the figure.
    """
    doll = make_doll(pictures[0], points[0, 0], scores[0, 0], mask=mask)
    drawer = DollDrawer([doll], (pictures.shape[2], pictures.shape[1]))
    background = drawer.draw(points[0, :0], scores[0, :0]).picture
    orders = drawer.plan(points[1:], scores[1:])
    drawn = [
        drawer.draw(pose, score, orders=order)
        for pose, score, order in zip(points[1:], scores[1:], orders, strict=True)
    ]
    return drawn, background
