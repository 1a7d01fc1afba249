"""What the numbers of a motion weigh in memory, to be reckoned before there are any."""

from pathlib import Path
from typing import Final

from marionext.errors import MotionError
from marionext.files import check_room
from marionext.limits import JOINTS

__all__ = ["JOINT_BYTES", "check_joints", "check_motion"]

JOINT_BYTES: Final = 500
"""Bytes of a joint in a frame while a file is read: matrices, places, and copies of both."""


def check_joints(path: Path, joints: int) -> None:
    """Refuse a file with more joints than any rig has.

    Raises:
        MotionError: naming the limit.
    """
    if joints > JOINTS:
        raise MotionError(
            f"{path.name}: expected at most {JOINTS:,} joints, found {joints:,}",
            hint="Export the skeleton without the rest of the scene.",
        )


def check_motion(path: Path, size: int, frames: int, joints: int, more: int = 0) -> None:
    """Refuse a motion whose numbers take far more memory than its file is large.

    Args:
        path: of the file.
        size: bytes that were read of it.
        frames: of the motion.
        joints: of all its skeletons.
        more: bytes of what else there is.

    Raises:
        MotionError: naming the limit, and how to do without.
    """
    check_room(
        path, size, frames * max(joints, 1) * JOINT_BYTES + more,
        f"{frames:,} frames of {joints:,} joints", fault=MotionError,
        hint="Cut it into shorter parts, or export it with a lower frame rate.",
    )  # fmt: skip
