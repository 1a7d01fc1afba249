"""The clips to learn from: a folder of videos, with or without a list of them.

Without ``manifest.json`` every video below the folder is a clip; ``dance.pose.npz`` or
``dance.npz`` beside ``dance.mp4`` holds its poses, and ``dance.control.mp4`` (or a folder
``dance.control``) ready-made control pictures in place of poses.
"""

from dataclasses import dataclass
from pathlib import Path

from marionext.codec import decode
from marionext.errors import MotionError, SettingsError
from marionext.files import read_json

__all__ = ["CLIP_LIST", "ClipEntry", "ClipList", "find_clips", "pose_file"]

CLIP_LIST = "manifest.json"

VIDEOS = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts"})
POSES = (".pose.npz", ".npz")
CONTROL = ".control"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipEntry:
    """One clip; paths start from the list's folder."""

    video: str
    poses: str | None = None
    """Pose track in any form that is read; None: beside the video, or detected."""
    control: str | None = None
    """Video or folder of ready-made control pictures, one for each frame, taken as they are."""
    frames: str | None = None
    """The part to use, as ``1-120``; the first frame of a video is number 1."""
    person: str = "largest"
    """Whom to follow where poses are detected."""
    held_out: bool = False
    """Kept apart to measure with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipList:
    """The list of clips of a folder."""

    clips: tuple[ClipEntry, ...]
    version: int = 1


def find_clips(folder: Path) -> tuple[ClipEntry, ...]:
    """List a folder's clips, by its ``manifest.json`` or by what is found in it.

    Raises:
        MotionError: there is no such folder, or no video in it.
        SettingsError: ``manifest.json`` cannot be read.
    """
    if not folder.is_dir():
        raise MotionError(
            f"expected a folder of videos, {folder} is "
            f"{'a file' if folder.exists() else 'not there'}",
            hint="Give --data a folder, or 'figures' for drawn ones.",
        )
    listed = folder / CLIP_LIST
    clips = _listed(listed) if listed.is_file() else _found(folder)
    if not clips:
        where = listed if listed.is_file() else folder
        raise MotionError(
            f"expected videos to learn from, found none in {where}",
            hint=f"Videos end in {', '.join(sorted(VIDEOS))}; --data figures needs none. A LoRA "
            "is trained on pictures with --base.",
        )
    return clips


def pose_file(video: Path) -> Path:
    """Return where the poses of a video lie, or would lie."""
    places = [video.with_name(video.stem + suffix) for suffix in POSES]
    return next((place for place in places if place.is_file()), places[0])


def _listed(path: Path) -> tuple[ClipEntry, ...]:
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as JSON: {error}") from None
    try:
        return decode(ClipList, data).clips
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=error.hint) from None


def _found(folder: Path) -> tuple[ClipEntry, ...]:
    clips = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        ready_made = any(Path(part).stem.endswith(CONTROL) for part in name.parts)
        ready_made = ready_made or any(part.endswith(CONTROL) for part in name.parts)
        if path.suffix.lower() not in VIDEOS or hidden or ready_made or not path.is_file():
            continue
        clips.append(ClipEntry(video=name.as_posix(), control=_control_beside(folder, name)))
    return tuple(clips)


def _control_beside(folder: Path, video: Path) -> str | None:
    pictures = video.with_name(video.stem + CONTROL)
    places = [pictures, *(video.with_name(pictures.name + suffix) for suffix in sorted(VIDEOS))]
    return next((place.as_posix() for place in places if (folder / place).exists()), None)
