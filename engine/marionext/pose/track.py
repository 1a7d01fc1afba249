"""`PoseTrack`: where every keypoint of every person is, in every frame."""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate
from marionext.pose.skeleton import POINT_COUNT

__all__ = ["Origin", "PoseTrack"]


class Origin(IntEnum):
    """Where a point comes from."""

    DETECTED = 0
    """From a detector, a rig or a file; swapping, mirroring and smoothing leave it so."""
    FILLED = 1
    """Put into a gap by what is known around it."""
    BY_HAND = 2
    """Placed or moved by an edit."""


def _detected() -> NDArray[np.uint8]:
    """Stand for a track whose points are all detected, until its shape is known."""
    return np.zeros(0, np.uint8)


def _unknown() -> NDArray[np.float32]:
    """Stand for depths that are not known."""
    return np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoseTrack:
    """2-D keypoints over time: the truth that pose maps are drawn from.

    A point with score 0 is unknown or out of sight; its coordinates then mean nothing but are
    finite. Arrays are float32 and are treated as read-only: every change makes a new track.
    """

    points: NDArray[np.float32]
    """(frames, people, 134, 2): x to the right, y down, in pixels of ``size``; the centre of the
    top left pixel is (0.5, 0.5), so the picture spans 0 to width and 0 to height."""
    scores: NDArray[np.float32]
    """(frames, people, 134): confidence as a detector gives it, 0 (unseen) to about 1."""
    size: tuple[int, int]
    """Width and height in pixels of the picture the points lie in."""
    rate: FrameRate
    """Frames per second, exact."""
    first: int = 0
    """Frame number of the first pose in its source."""
    origins: NDArray[np.uint8] = field(default_factory=_detected)
    """(frames, people, 134): an `Origin` each; left out: all detected."""
    depths: NDArray[np.float32] = field(default_factory=_unknown)
    """(frames, people, 134): how much nearer to the viewer than the neck each point is, in pixels
    of ``size``; empty where that is not known: detectors do not tell, rigs do."""
    cleaned: bool = False
    """Whether nothing is left to mend: it was cleaned, or is a rig's. Cleaning it again would take
    noise out that is not there, and what was set by hand with it."""

    def __post_init__(self) -> None:
        """Check shapes and values once; everything inside trusts them.

        Raises:
            MotionError: shapes disagree, a point is not finite, an origin is unknown, or a size is
                not positive.
        """
        points = np.ascontiguousarray(self.points, dtype=np.float32)
        scores = np.ascontiguousarray(self.scores, dtype=np.float32)
        if points.ndim != 4 or points.shape[2:] != (POINT_COUNT, 2):
            raise MotionError(
                f"a pose track has points of shape (frames, people, {POINT_COUNT}, 2), "
                f"got {points.shape}"
            )
        if scores.shape != points.shape[:3]:
            raise MotionError(f"expected scores of shape {points.shape[:3]}, got {scores.shape}")
        origins = np.ascontiguousarray(self.origins, dtype=np.uint8)
        if not origins.size:
            origins = np.zeros(scores.shape, np.uint8)
        if origins.shape != scores.shape:
            raise MotionError(f"expected origins of shape {scores.shape}, got {origins.shape}")
        if origins.max(initial=0) > max(Origin):
            raise MotionError(f"origins are 0 to {max(Origin)}, got {origins.max()}")
        depths = np.ascontiguousarray(self.depths, dtype=np.float32)
        if depths.size and depths.shape != scores.shape:
            raise MotionError(f"expected depths of shape {scores.shape}, got {depths.shape}")
        if not np.isfinite(depths).all():
            raise MotionError("expected depths that are finite, got NaN or infinite ones")
        if not len(points):
            raise MotionError("a pose track has at least one frame, got none")
        finite = np.isfinite(points).all(axis=(1, 2, 3)) & np.isfinite(scores).all(axis=(1, 2))
        bad = ~finite
        if bad.any():
            frames = ", ".join(str(self.first + index) for index in np.flatnonzero(bad)[:5])
            raise MotionError(
                f"keypoints are not finite (NaN or infinite) in {bad.sum()} frames: {frames} ...",
                hint="Set unknown points to 0 with score 0.",
            )
        if min(self.size) < 1:
            raise MotionError(f"a picture's width and height are at least 1, got {self.size}")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "origins", origins)
        object.__setattr__(self, "depths", depths if depths.size else _unknown())

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.points)

    @property
    def knows_depths(self) -> bool:
        """Whether it is known what is nearer to the viewer."""
        return bool(self.depths.size)

    @property
    def people(self) -> int:
        """Number of people; 0 is possible."""
        return int(self.points.shape[1])

    @property
    def frames(self) -> FrameRange:
        """The frame numbers of the source that the poses belong to."""
        return FrameRange(self.first, self.first + len(self))

    def with_(self, **changes: object) -> Self:
        """Return a copy with some fields replaced, checked again.

        Origins need not be given where the shape changes, as long as all points are detected;
        depths that do not fit any more are forgotten.
        """
        if "scores" in changes and not self.origins.any():
            changes.setdefault("origins", _detected())
        scores = changes.get("scores", self.scores)
        if self.depths.size and np.asarray(scores).shape != self.depths.shape:
            changes.setdefault("depths", _unknown())
        return replace(self, **changes)  # type: ignore[arg-type]
