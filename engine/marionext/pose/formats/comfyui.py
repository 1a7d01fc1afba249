"""ComfyUI's POSE_KEYPOINT: one JSON list with a frame per entry, each as OpenPose has it."""

from pathlib import Path

from marionext.errors import MotionError
from marionext.files import reading
from marionext.frames import FrameRate
from marionext.limits import FRAME_NUMBER
from marionext.pose.formats.files import check_poses, read_json, write_json
from marionext.pose.formats.people import (
    Coordinates,
    assemble,
    count_people,
    frame_object,
    parse_frame,
)
from marionext.pose.formats.remarks import Remarks
from marionext.pose.track import PoseTrack

__all__ = ["read_comfyui", "write_comfyui"]


def read_comfyui(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    rate: FrameRate | None = None,
    first: int | None = None,
    coordinates: Coordinates | None = None,
    remarks: Remarks | None = None,
) -> PoseTrack:
    """Read a POSE_KEYPOINT list; the first frame is number 0 unless told or written by us.

    Raises:
        MotionError: the file is something else, or the size of the picture is not known.
    """
    remarks = remarks or Remarks()
    with reading(path, MotionError, "POSE_KEYPOINT JSON"):
        value = read_json(path)
        if not isinstance(value, list) or not value:
            raise MotionError(f"expected a list with one pose per frame in {path}, found none")
        bytes_read = path.stat().st_size
        check_poses(path, bytes_read, 1, sum(map(count_people, value)))
        frames = {
            index: parse_frame(entry, f"{path}, entry {index}", remarks)
            for index, entry in enumerate(value)
        }
        number = value[0].get("frame") if isinstance(value[0], dict) else None
        if first is None:
            first = 0
            if isinstance(number, int) and abs(number) <= FRAME_NUMBER:
                first = number
        return assemble(
            frames, path, remarks, bytes_read=bytes_read,
            size=size, rate=rate, first=first, coordinates=coordinates,
        )  # fmt: skip


def write_comfyui(track: PoseTrack, path: Path) -> None:
    """Write a POSE_KEYPOINT list, in pixels.

    ComfyUI's nodes take a score below 1 as unseen, so points that are seen get 1; the true scores
    and the feet stand beside, under keys that those nodes pass over.

    Raises:
        OutputError: it cannot be written.
    """
    write_json(
        path,
        [
            frame_object(track, index, comfy=True) | {"frame": track.first + index}
            for index in range(len(track))
        ],
    )
