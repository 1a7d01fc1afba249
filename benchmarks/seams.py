"""Whether a rendered clip shows where its windows join: used by the benchmarks of the puppet.

At a join a frame is followed by one that other windows had a part in. Two measures, each the mean
at joins divided by the mean elsewhere, pooled over clips; 1 means that nothing shows:

* the difference between neighbouring frames, which is what an eye sees;
* the same of the error against the true figure, where there is one: the dance's own fast and slow
  moments are not in it, so it tells sooner.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from marionext.diffusion import plan_windows

__all__ = ["Seams", "joins"]


def joins(frames: int, window: int, overlap: int) -> list[int]:
    """Return each frame, from 0, that is followed by one of other windows than its own."""
    windows = plan_windows(frames, window, overlap)
    parts = [
        frozenset(index for index, each in enumerate(windows) if frame + 1 in each.frames)
        for frame in range(frames)
    ]
    return [frame for frame in range(frames - 1) if parts[frame] != parts[frame + 1]]


@dataclass(slots=True)
class Seams:
    """Differences between neighbouring frames, at joins and elsewhere, over many clips."""

    at: list[float] = field(default_factory=list)
    elsewhere: list[float] = field(default_factory=list)
    error_at: list[float] = field(default_factory=list)
    error_elsewhere: list[float] = field(default_factory=list)

    def add(
        self, made: NDArray[np.uint8], truth: NDArray[np.uint8], window: int, overlap: int
    ) -> None:
        """Take a rendered clip and its truth, both (frames, h, w, 3)."""
        shown = made.astype(np.float32)
        seen = np.abs(np.diff(shown, axis=0)).mean(axis=(1, 2, 3))
        error = np.abs(np.diff(shown - truth, axis=0)).mean(axis=(1, 2, 3))
        at = np.zeros(len(seen), np.bool_)
        at[joins(len(made), window, overlap)] = True
        self.at += seen[at].tolist()
        self.elsewhere += seen[~at].tolist()
        self.error_at += error[at].tolist()
        self.error_elsewhere += error[~at].tolist()

    def extend(self, other: "Seams") -> None:
        """Take what another one has gathered."""
        self.at += other.at
        self.elsewhere += other.elsewhere
        self.error_at += other.error_at
        self.error_elsewhere += other.error_elsewhere

    @property
    def seen(self) -> float:
        """Difference between frames at joins, in those elsewhere."""
        return float(np.mean(self.at) / np.mean(self.elsewhere))

    @property
    def error(self) -> float:
        """The same of the error."""
        return float(np.mean(self.error_at) / np.mean(self.error_elsewhere))
