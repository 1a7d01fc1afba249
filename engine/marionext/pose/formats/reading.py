"""Read and write pose tracks of any format, told by name and content."""

from collections.abc import Callable
from pathlib import Path

from marionext.errors import MotionError, OutputError
from marionext.files import reading
from marionext.frames import FrameRate
from marionext.pose.formats.coco import read_coco, write_coco
from marionext.pose.formats.comfyui import read_comfyui, write_comfyui
from marionext.pose.formats.files import read_json
from marionext.pose.formats.native import read_native, write_native
from marionext.pose.formats.openpose import read_openpose, write_openpose
from marionext.pose.formats.people import Coordinates
from marionext.pose.formats.remarks import Remarks
from marionext.pose.track import PoseTrack

__all__ = ["check_track_name", "read_track", "write_track"]


def read_track(
    path: Path | str,
    *,
    size: tuple[int, int] | None = None,
    rate: FrameRate | None = None,
    first: int | None = None,
    coordinates: Coordinates | None = None,
    say: Callable[[str], None] | None = None,
) -> PoseTrack:
    """Read a pose track: native ``.npz``, OpenPose folder, POSE_KEYPOINT or COCO-WholeBody JSON.

    Args:
        path: a ``.npz`` or ``.json`` file, or a folder of OpenPose files.
        size: width and height of the picture the keypoints lie in, None for the file's own;
            needed where the file does not say.
        rate: frames per second, None for the file's own; 30 where it has none.
        first: number of the first frame, None for the file's own.
        coordinates: what the coordinates of a JSON file are, None to find out. OpenPose's say
            nowhere; see `to_pixels`.
        say: takes what was left out or concluded, a sentence each.

    Raises:
        MotionError: the file is missing, truncated or something else, or the size is not known.
    """
    path = Path(path)
    if not path.exists():
        raise MotionError(f"expected a pose track, {path} does not exist")
    remarks = Remarks()
    with reading(path, MotionError, "a pose track"):
        track = _read(path, size, rate, first, coordinates, remarks)
    if say is not None:
        remarks.tell(say)
    return track


def _read(
    path: Path,
    size: tuple[int, int] | None,
    rate: FrameRate | None,
    first: int | None,
    coordinates: Coordinates | None,
    remarks: Remarks,
) -> PoseTrack:
    if not path.is_dir() and path.suffix.lower() == ".npz":
        track = read_native(path)
        changes = {"size": size, "rate": rate, "first": first}
        return track.with_(**{k: v for k, v in changes.items() if v is not None})
    reader = read_openpose if path.is_dir() else _json_reader(path)
    return reader(path, size=size, rate=rate, first=first, coordinates=coordinates, remarks=remarks)


def _json_reader(path: Path) -> Callable[..., PoseTrack]:
    """Return what reads a JSON file, by what is in it.

    Raises:
        MotionError: it is none of the forms that are known.
    """
    if path.suffix.lower() != ".json":
        raise MotionError(
            f"expected a pose track (.npz, .json, or a folder of OpenPose files), got {path}"
        )
    value = read_json(path)
    entry = next((item for item in value if item), None) if isinstance(value, list) else value
    if isinstance(entry, dict) and {"people", "keypoints"} & set(entry) and "image_id" not in entry:
        return read_comfyui if isinstance(value, list) else read_openpose
    if isinstance(entry, dict) and ("annotations" in entry or "image_id" in entry):
        return read_coco
    found = ", ".join(map(repr, entry))[:200] if isinstance(entry, dict) else "neither"
    raise MotionError(
        f"expected 'people' (OpenPose, POSE_KEYPOINT) or 'annotations' (COCO-WholeBody) in {path}, "
        f"found {found or 'nothing'}"
    )


def write_track(track: PoseTrack, path: Path | str) -> None:
    """Write a pose track; the name's ending chooses the format.

    ``.npz`` is the native one, the only one that keeps everything. ``.coco.json`` is
    COCO-WholeBody, any other ``.json`` ComfyUI's POSE_KEYPOINT, a name without an ending a folder
    of OpenPose files.

    Raises:
        OutputError: the ending is another, or nothing can be written there.
    """
    path = Path(path)
    check_track_name(path)
    suffix = path.suffix.lower()
    if path.name.lower().endswith(".coco.json"):
        write_coco(track, path)
    elif suffix == ".json":
        write_comfyui(track, path)
    elif suffix == ".npz":
        write_native(track, path)
    else:
        write_openpose(track, path)


def check_track_name(path: Path) -> None:
    """Make sure that a name says which form a track is to be written in, before hours of work.

    Raises:
        OutputError: it does not.
    """
    if path.suffix.lower() not in {"", ".json", ".npz"} and not path.is_dir():
        raise OutputError(
            f"expected a name ending in .npz, .json or .coco.json, or a folder, got {path}"
        )
