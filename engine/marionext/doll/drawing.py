"""Draw dolls in poses. INTERIM: the prototype behind the final interface."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.doll.model import Doll, Drawn

__all__ = ["DollDrawer"]


class DollDrawer:
    """Draws people of one track as dolls.

    Args:
        dolls: one for each person in order; with fewer than people the last is used again. The
            first one's background is everybody's.
        size: width and height of the frames; the dolls' pictures cover it as `fit_character` does:
            resized, the middle cut out. Points of poses are pixels of the frame.
    """

    def __init__(self, dolls: Sequence[Doll], size: tuple[int, int]) -> None:
        """Bring the background to the frame's size."""
        self._dolls, self._size = dolls, size

    def draw(
        self,
        points: NDArray[np.float32],
        scores: NDArray[np.float32],
        depths: NDArray[np.float32] | None = None,
    ) -> Drawn:
        """Draw one frame.

        Args:
            points: (people, 134, 2) pixels of the frame.
            scores: (people, 134).
            depths: (people, 134): how near to the viewer each point is, in pixels, larger is
                nearer; None: not known, rules decide.
        """
        from marionext.doll.making import _INTERIM

        inner = _INTERIM[id(self._dolls[0])][0]
        w, h = self._dolls[0].size
        scale = np.array([w / self._size[0], h / self._size[1]], np.float32)
        picture, cover = inner.render(points[0] * scale, scores[0])
        picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        cover = cv2.resize(cover, self._size, interpolation=cv2.INTER_AREA)
        return Drawn(picture, cover, np.ones_like(cover), (cover > 0.5).astype(np.uint8))
