"""Pictures for a video: their number, one size, each read or made on demand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.errors import OutputError
from marionext.files import is_cut_off

__all__ = ["Pictures"]


@dataclass(frozen=True, slots=True)
class Pictures:
    """A sequence of pictures that need not fit into memory."""

    count: int
    at: Callable[[int], NDArray[np.uint8]]
    """Gives picture i of 0 to count - 1: (height, width, 3) red, green, blue."""

    @classmethod
    def of_files(cls, paths: Sequence[Path]) -> Self:
        """Take picture files in the order given."""

        def read(index: int) -> NDArray[np.uint8]:
            path = paths[index]
            try:
                content = np.fromfile(path, dtype=np.uint8)
            except OSError as error:
                raise OutputError(
                    f"frame {path} cannot be read: {error.strerror or error}",
                    hint="Render it again.",
                ) from None
            whole = len(content) > 0 and not is_cut_off(content.tobytes())
            picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if whole else None
            if picture is None:
                raise OutputError(f"frame {path} is damaged", hint="Delete it and render again.")
            return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)

        return cls(len(paths), read)

    @classmethod
    def beside(cls, left: Self, right: Self) -> Self:
        """Put each picture of one sequence beside that of another of equal length and height."""
        if left.count != right.count:
            raise OutputError(
                "expected the same number of pictures on both sides, "
                f"got {left.count} and {right.count}"
            )

        def both(index: int) -> NDArray[np.uint8]:
            pair = left.at(index), right.at(index)
            if pair[0].shape[0] != pair[1].shape[0]:
                raise OutputError(
                    f"expected pictures of one height side by side, got "
                    f"{pair[0].shape[0]} and {pair[1].shape[0]} pixels"
                )
            return np.concatenate(pair, axis=1)

        return cls(left.count, both)

    def fitted(self, size: tuple[int, int]) -> "Pictures":
        """Bring each picture to a size: whole, as large as it can be, in the middle, on black."""
        return Pictures(self.count, lambda index: _on_black(self.at(index), size))


def _on_black(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture in the middle of one of another size, whole and as large as it can be."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(picture, inner, interpolation=how)
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = scaled
    return canvas
