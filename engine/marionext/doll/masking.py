"""Find the figure in its picture: its outline, where nobody has drawn one.

A cut of least cost between colours of figure and background (GrabCut: Rother et al. 2004), seeded
by the skeleton and, where there is one, by what a person segmenter thinks.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import Anatomy
from marionext.doll.shapes import capsule, places, smooth

__all__ = ["find_figure"]

Floats = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]

_NEAR, _OUTLINE, _FAR = 0.7, 1.05, 3.0
"""Distances from the skeleton in radii of the limbs: surely figure, probably, surely not."""
_HAIR = 2.3
"""How far hair may stand out, in radii of the head."""


def find_figure(
    picture: Picture, anatomy: Anatomy, near: Floats, hint: Floats | None, inside: NDArray[np.bool_]
) -> Floats:
    """Return the soft mask of the figure: (h, w), 0 to 1.

    Args:
        picture: (h, w, 3) RGB.
        anatomy: of the figure in it.
        near: (h, w) distance from the skeleton in radii: 1 on a usual outline.
        hint: (h, w), 0 to 1: a person segmenter's opinion; None: there is none.
        inside: (h, w): what is picture and not a margin around it.
    """
    height, width = near.shape
    head = anatomy.head
    hair = capsule(places((0, 0, width, height)), head.centre, head.centre, head.radius * _HAIR)
    seed = np.full(near.shape, cv2.GC_BGD, np.uint8)
    seed[(near < _FAR) | (hair < 1)] = cv2.GC_PR_BGD
    seed[near < _OUTLINE] = cv2.GC_PR_FGD
    seed[near < _NEAR] = cv2.GC_FGD
    if hint is not None:
        seed[(hint > 0.3) & ((near < _FAR) | (hair < 1))] = cv2.GC_PR_FGD
        seed[(hint > 0.9) & (near < 2)] = cv2.GC_FGD
        seed[(hint < 0.05) & (near > 0.9)] = cv2.GC_BGD
    seed[~inside] = cv2.GC_BGD
    sure = seed == cv2.GC_FGD
    if sure.sum() < 20 or not (seed == cv2.GC_BGD).any():
        return np.asarray((near < 1) & inside, np.float32)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(1)
    try:
        cv2.grabCut(
            np.ascontiguousarray(picture[..., ::-1]), seed, None, *models, 4, cv2.GC_INIT_WITH_MASK
        )
    except cv2.error:
        return np.asarray((near < 1) & inside, np.float32)
    figure = ((seed == cv2.GC_FGD) | (seed == cv2.GC_PR_FGD)) & inside
    _, pieces = cv2.connectedComponents(figure.astype(np.uint8))
    own = np.unique(pieces[sure])
    figure = np.isin(pieces, own[own > 0])
    rough = max(anatomy.stature * 0.004, 0.6)
    return smooth(cv2.GaussianBlur(figure.astype(np.float32), (0, 0), rough), 0.25, 0.75)
