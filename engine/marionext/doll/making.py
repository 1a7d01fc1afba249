"""Take a character's picture apart. INTERIM: the prototype behind the final interface."""

import numpy as np
from numpy.typing import NDArray

from marionext.doll.model import Doll

__all__ = ["make_doll"]


def make_doll(
    picture: NDArray[np.uint8],
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    *,
    mask: NDArray[np.float32] | None = None,
    hint: NDArray[np.float32] | None = None,
) -> Doll:
    """Take a character apart.

    Args:
        picture: (h, w, 3) RGB.
        points: (134, 2) pixels of the picture.
        scores: (134,).
        mask: (h, w), 0 to 1: the figure, where it is known exactly (alpha, a mask file).
        hint: (h, w), 0 to 1: what a person segmenter thinks of it.

    Raises:
        CharacterError: there is nobody in the picture whose limbs are known.
    """
    from marionext.doll import prototype

    inner = prototype.Doll(picture, points, scores, mask=mask, hint=hint)
    doll = Doll(
        (picture.shape[1], picture.shape[0]),
        inner.background,
        np.asarray(points, np.float32),
        np.asarray(scores, np.float32),
        (),
    )
    _INTERIM[id(doll)] = inner, doll
    return doll


_INTERIM = {}
