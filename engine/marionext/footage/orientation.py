"""Show a frame as players do: turned, mirrored, with square pixels, as large as the first one.

A file says by a *display matrix* how its pictures are to be shown. FFmpeg tells an angle of it,
which is not enough: a mirrored picture has the angle of one that stands on its head.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["UPRIGHT", "Look", "Orientation", "Screen", "orientation_of"]

Picture = NDArray[np.uint8]

_SAME_SHAPE = 0.02
"""Coders round sizes to even numbers: shapes that differ less are one."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to lay a picture: exchange rows and columns first, then mirror."""

    transposed: bool = False
    mirrored: bool = False
    """Left and right exchanged."""
    upside_down: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of a picture as it is shown."""
        return (height, width) if self.transposed else (width, height)

    def applied(self, picture: Picture) -> Picture:
        """Return a picture (height, width, 3) as it is shown."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        if self.mirrored:
            picture = picture[:, ::-1]
        if self.upside_down:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)


UPRIGHT = Orientation()
"""A picture that is shown as it is."""


def orientation_of(frame: Any) -> Orientation | None:
    """Return how a decoded frame of PyAV is to be shown, None where it does not say.

    The matrix takes the column x and the row y of the picture to a x + c y and b x + d y on the
    screen; angles between quarter turns, which nobody writes, go to the nearest.
    """
    # Not ``frame.side_data``: frame and container would hold each other, and every decoded picture
    # of a video would stay until Python looks for such circles.
    for data in av.sidedata.sidedata.SideDataContainer(frame):
        if data.type == av.sidedata.sidedata.Type.DISPLAYMATRIX:
            a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32)[:9].tolist()
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return Orientation(mirrored=a < 0, upside_down=d < 0)
            return Orientation(transposed=True, mirrored=c < 0, upside_down=b < 0)
    return None


@dataclass(frozen=True, slots=True)
class Look:
    """How one frame is stored."""

    width: int
    height: int
    orientation: Orientation
    ratio: Fraction
    """Width of a pixel by its height."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it is shown, with square pixels."""
        return self.orientation.size(max(1, round(self.width * self.ratio)), self.height)


class Screen:
    """What the frames of a file are shown on: as large as the first of them, all along.

    Args:
        ratio: width of a pixel by its height, as the container has it; None: square.
        codec: PyAV's codec context, which notices when the pixels change their shape.
        size: width and height, where the file's first frame is known; None: as the first met.
    """

    def __init__(
        self, ratio: Fraction | None, codec: Any, size: tuple[int, int] | None = None
    ) -> None:
        """Start before the first frame."""
        self._ratio, self._codec = ratio or Fraction(1), codec
        self._coded: Fraction | None = None
        self._orientation = UPRIGHT
        self._first: Look | None = None
        self.size = size or (0, 0)
        """Width and height that every frame is shown at, once the first has been met."""

    def meet(self, frame: Any) -> Look:
        """Look at the next frame; the first one decides the size."""
        coded = getattr(self._codec, "sample_aspect_ratio", None) or None
        if self._first is None:
            self._coded = coded
        elif frame.key_frame and coded != self._coded:
            # The decoder reads ahead, and pixels change their shape at key frames only. What the
            # container says goes before the decoder's word, as long as that stays the same.
            self._coded, self._ratio = coded, Fraction(coded or 1)
        said = orientation_of(frame)
        if said is not None or frame.key_frame:
            # Streams say it at key frames, and it holds for those that follow.
            self._orientation = said or UPRIGHT
        look = Look(frame.width, frame.height, self._orientation, self._ratio)
        if self._first is None:
            self._first = look
            self.size = self.size if all(self.size) else look.size
        return look

    def change(self, look: Look) -> str | None:
        """Return in words what has changed since the first frame; None: nothing."""
        if look == self._first:
            return None
        if look.size != self.size:
            return f"are {look.size[0]}x{look.size[1]} instead of {self.size[0]}x{self.size[1]}"
        return "are turned or scaled in another way"

    def show(self, frame: Any, look: Look, longest: int | None) -> Picture:
        """Return a frame as a picture (height, width, 3) RGB, upright.

        Args:
            frame: decoded by PyAV.
            look: what `meet` said of it.
            longest: reduce it (averaging areas) until the longer side has this many pixels.
        """
        target = _fitted(self.size, longest)
        share = min(target[0] / look.size[0], target[1] / look.size[1])
        # A frame of another shape keeps it: its figure must not grow fat.
        inner = (
            target
            if _alike(look.size, self.size)
            else (max(1, round(look.size[0] * share)), max(1, round(look.size[1] * share)))
        )
        width, height = look.orientation.size(*inner)
        if (width, height) != (frame.width, frame.height):
            frame = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
        picture: Picture = look.orientation.applied(frame.to_ndarray(format="rgb24"))
        return picture if inner == target else _centred(picture, target)


def _fitted(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    if longest is None or max(size) <= longest:
        return size
    scale = longest / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two sizes have one shape, but for rounding."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= _SAME_SHAPE


def _centred(picture: Picture, size: tuple[int, int]) -> Picture:
    """Lay a picture into the middle of a black one."""
    height, width = picture.shape[:2]
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    centred = np.zeros((size[1], size[0], 3), np.uint8)
    centred[top : top + height, left : left + width] = picture
    return centred
