"""What a detector hands over: keypoints of the chosen people at the times of the video's frames."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.footage import FIRST_FRAME
from marionext.frames import format_frames

__all__ = ["Detections", "no_person"]


class Detections:
    """Keypoints frame by frame; grows while a video is read.

    Args:
        size: width and height in pixels of the video.
        people: how many people are followed.
    """

    def __init__(self, size: tuple[int, int], people: int) -> None:
        """Start empty."""
        self.size = size
        self.people = people
        self.times: list[Fraction] = []
        self._points: list[NDArray[np.float32]] = []
        self._scores: list[NDArray[np.float32]] = []

    def add(self, time: Fraction, points: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        """Append a frame: seconds, (people, 134, 2) pixels, (people, 134)."""
        self.times.append(time)
        self._points.append(points)
        self._scores.append(scores)

    @property
    def points(self) -> NDArray[np.float32]:
        """(frames, people, 134, 2)."""
        return np.stack(self._points)

    @property
    def scores(self) -> NDArray[np.float32]:
        """(frames, people, 134)."""
        return np.stack(self._scores)


def no_person(path: Path, window: range, looked_at: int) -> MotionError:
    """Return the error of a video in which nobody is found."""
    first, last = FIRST_FRAME + window.start, FIRST_FRAME + window.stop - 1
    frames = format_frames(tuple(range(first, last + 1)))
    return MotionError(
        f"no person was found in {path.name}: {looked_at} frames of {frames} were looked at",
        hint="The detector needs someone in plain view, at least a fifth of the picture tall.",
    )
