"""`JointAnimation`: what every joint of one skeleton does, frame by frame, in metres.

This is what Blender records and what BVH, glTF and VRM files are read into. World axes are
Blender's: z up, x to the right of someone who looks along y; a character usually faces -y.
One animation is one skeleton; a file with several gives several.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate
from marionext.motion.camera import Camera

__all__ = ["JointAnimation"]


def _no_weights() -> NDArray[np.float64]:
    return np.zeros((0, 0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointAnimation:
    """Bones of one skeleton over time, and at rest.

    A bone of BVH or glTF is a joint: its head is where the joint is, its tail where its child is
    (of several: the middle of those), or the end site, or a guess. Prefer heads: tails of leaves
    are guesses in most files. Arrays are float64 and are treated as read-only.
    """

    names: tuple[str, ...]
    """(bones,): each once, parents before their children."""
    parents: NDArray[np.int64]
    """(bones,): index of the parent, -1 for a root."""
    heads: NDArray[np.float64]
    """(frames, bones, 3) in metres."""
    tails: NDArray[np.float64]
    """(frames, bones, 3) in metres."""
    rotations: NDArray[np.float64]
    """(frames, bones, 3, 3): the bone's own axes as columns, in the world, without scale. Which
    axis points where is up to the file; ``turns`` is what has a meaning everywhere."""
    rest_heads: NDArray[np.float64]
    """(bones, 3): at rest (T- or A-pose, as the character was bound or the BVH was defined)."""
    rest_tails: NDArray[np.float64]
    """(bones, 3)."""
    rest_rotations: NDArray[np.float64]
    """(bones, 3, 3)."""
    rest_is_posed: bool = False
    """The pose at rest is some frame of a motion, for want of another: the head may be turned in
    it, and bones are as they happened to be."""
    rate: FrameRate
    """Frames per second, exact."""
    first: int = 0
    """Frame number of the first frame in its source."""
    humanoid: Mapping[str, str] | None = None
    """The file's own map (VRM) from humanoid bone names ("hips", "leftUpperArm") to ``names``."""
    camera: Camera | None = None
    """The file's own camera, if it has one: one frame long, or as long as the motion."""
    morphs: tuple[str, ...] = ()
    """Names of shapes the face is moved by (glTF morph targets, Blender shape keys)."""
    morph_weights: NDArray[np.float64] = field(default_factory=_no_weights)
    """(frames, morphs): how far each shape is blended in, usually 0 to 1."""
    source: str = ""
    """Name of the clip or of the skeleton in its file, for people to read."""
    notes: tuple[str, ...] = ()
    """What the reader assumed or had to leave out, for people to read."""
    files: tuple[Path, ...] = ()
    """Every file that was read for it, the motion's own first."""

    def __post_init__(self) -> None:
        """Check shapes and values once; everything inside trusts them.

        Raises:
            MotionError: shapes disagree, a number is not finite, or parents do not come first.
        """
        bones = len(self.names)
        frames = len(self.heads)
        if not bones:
            raise MotionError("an animation has at least one bone, got none")
        if not frames:
            raise MotionError("an animation has at least one frame, got none")
        if not self.morphs:
            object.__setattr__(self, "morph_weights", np.zeros((frames, 0)))
        shapes = {
            "heads": (frames, bones, 3),
            "tails": (frames, bones, 3),
            "rotations": (frames, bones, 3, 3),
            "rest_heads": (bones, 3),
            "rest_tails": (bones, 3),
            "rest_rotations": (bones, 3, 3),
            "morph_weights": (frames, len(self.morphs)),
        }
        for name, shape in shapes.items():
            values = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            if values.shape != shape:
                raise MotionError(f"expected {name} of shape {shape}, got {values.shape}")
            if not np.isfinite(values).all():
                raise MotionError(f"{name} of the animation are not finite (NaN or infinite)")
            object.__setattr__(self, name, values)
        parents = np.ascontiguousarray(self.parents, dtype=np.int64)
        if parents.shape != (bones,) or (parents >= np.arange(bones)).any() or parents.min() < -1:
            raise MotionError(
                f"expected parents of {bones} bones, each before its children and -1 for a root"
            )
        object.__setattr__(self, "parents", parents)
        if len(set(self.names)) != bones:
            raise MotionError("every bone of an animation has a name of its own")
        if self.camera is not None and len(self.camera) not in {1, frames}:
            raise MotionError(f"the camera has {len(self.camera)} frames, the motion {frames}")

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.heads)

    @property
    def frames(self) -> FrameRange:
        """The frame numbers of the source."""
        return FrameRange(self.first, self.first + len(self))

    @property
    def turns(self) -> NDArray[np.float64]:
        """(frames, bones, 3, 3): the rotation of the world that brings a bone from rest to now.

        A direction fixed to the bone, given at rest, points to ``turns @ direction``.
        """
        return self.rotations @ self.rest_rotations.swapaxes(-1, -2)

    @property
    def height(self) -> float:
        """Height of the skeleton at rest in metres, without what lies outside it (0 if flat)."""
        points = np.concatenate([self.rest_heads, self.rest_tails])
        return float(np.ptp(points[:, 2]))

    @property
    def is_mirrored(self) -> bool:
        """Scaled by a negative number: its left arm looks like a right one."""
        return bool(np.linalg.det(self.rest_rotations).mean() < 0)

    def index(self, name: str) -> int:
        """Return the index of the bone of that name.

        Raises:
            MotionError: there is none.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise MotionError(f"the skeleton has no bone {name!r}") from None

    def with_(self, **changes: object) -> Self:
        """Return a copy with some fields replaced, checked again."""
        return replace(self, **changes)  # type: ignore[arg-type]
