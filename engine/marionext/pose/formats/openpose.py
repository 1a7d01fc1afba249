"""OpenPose JSON: a folder with one file a frame, numbered by their names."""

from pathlib import Path

from marionext.errors import MotionError
from marionext.files import reading, replacing_folder
from marionext.frames import FrameRate
from marionext.limits import FRAMES
from marionext.pose.formats.files import check_poses, frame_number_or_none, read_json, write_json
from marionext.pose.formats.people import (
    Coordinates,
    assemble,
    count_people,
    frame_object,
    parse_frame,
)
from marionext.pose.formats.remarks import Remarks
from marionext.pose.track import PoseTrack

__all__ = ["frame_files", "read_openpose", "write_openpose"]

_SUFFIX = "_keypoints"
_MOST_HOLES_PER_FILE = 100


def read_openpose(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    rate: FrameRate | None = None,
    first: int | None = None,
    coordinates: Coordinates | None = None,
    remarks: Remarks | None = None,
) -> PoseTrack:
    """Read a folder of OpenPose files, or one file as a track of one frame.

    Frame numbers are the last digits of the file names, whatever stands before them
    (``dance_000000000042_keypoints.json`` is frame 42). A number left out is a frame in which
    nobody is seen. Who is person 0 may change from frame to frame: see `keep_identities`.

    Raises:
        MotionError: there are no such files, one is not OpenPose JSON, frame numbers repeat or are
            implausibly far apart, or the size of the picture is not known.
    """
    remarks = remarks or Remarks()
    with reading(path, MotionError, "OpenPose JSON"):
        files = [path] if path.is_file() else list(frame_files(path))
        bytes_read = people = 0
        frames = {}
        for number, file in _by_number(files, path).items():
            bytes_read += file.stat().st_size
            value = read_json(file)
            people += count_people(value)
            check_poses(path, bytes_read, 1, people)
            frames[number] = parse_frame(value, str(file), remarks)
        return assemble(
            frames, path, remarks, bytes_read=bytes_read,
            size=size, rate=rate, first=first, coordinates=coordinates,
        )  # fmt: skip


def frame_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder that `read_openpose` reads: JSON, a frame each.

    Only the ``*_keypoints`` ones where there are such.

    Raises:
        MotionError: there are none, or the folder cannot be read.
    """
    try:
        # Hidden files, such as the "._" ones that macOS leaves, are no frames.
        files = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() == ".json" and not path.name.startswith(".")
        )
    except OSError as error:
        raise MotionError(f"cannot read {folder}: {error.strerror}") from None
    named = [path for path in files if path.stem.endswith(_SUFFIX)]
    if not files:
        raise MotionError(f"expected OpenPose JSON files (one a frame) in {folder}, found none")
    return tuple(named or files)


def _by_number(files: list[Path], where: Path) -> dict[int, Path]:
    """Number the files by their names; by their order if no name has a number."""
    numbers = [frame_number_or_none(file.stem.removesuffix(_SUFFIX)) for file in files]
    if all(number is None for number in numbers):
        return dict(enumerate(files))
    frames: dict[int, Path] = {}
    for number, file in zip(numbers, files, strict=True):
        if number is None:
            raise MotionError(
                f"{where}: expected a frame number in every file name, {file.name} has none"
            )
        if number in frames:
            raise MotionError(
                f"{where}: expected each frame once, {frames[number].name} and {file.name} are "
                f"both frame {number}",
                hint="Put each clip into a folder of its own.",
            )
        frames[number] = file
    span = max(frames) - min(frames) + 1
    if span > min(FRAMES, _MOST_HOLES_PER_FILE * (len(frames) + 1)):
        raise MotionError(
            f"{where}: expected consecutive frame numbers, {len(frames)} files span "
            f"{min(frames)} to {max(frames)}"
        )
    return frames


def write_openpose(track: PoseTrack, folder: Path) -> None:
    """Write a folder of OpenPose files (BODY_25, faces of 70, hands), in pixels.

    The mid hip and the pupils, which a track does not hold, lie in the middle of their neighbours.
    Size and rate are written too, under keys that other readers pass over.

    Raises:
        OutputError: the folder exists and is not empty, or cannot be written.
    """
    with replacing_folder(folder) as temporary:
        for index, number in enumerate(range(track.first, track.first + len(track))):
            name = f"{folder.name}_{number:012d}{_SUFFIX}.json"
            write_json(temporary / name, frame_object(track, index, comfy=False))
