"""What a file is that somebody drops on the window, told from its content.

`look_at` reads headers and, of motion files, everything: it is called in the process beside the
window (`marionext_desktop.model.side_process`).
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

from marionext.errors import EngineError, MotionError
from marionext.files import is_folder
from marionext.frames import FrameRate
from marionext.jobs import RIG_SIZE
from marionext_desktop.model.editing import new_id
from marionext_desktop.model.places import stamp_of
from marionext_desktop.model.project import Character, Source, SourceKind, Stamp

__all__ = ["PICTURES", "SOUNDS", "VIDEOS", "Found", "look_at"]

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
SOUNDS = frozenset({".wav", ".mp3", ".flac", ".m4a", ".ogg", ".opus", ".aac", ".aif", ".aiff"})
VIDEOS = frozenset(
    {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".gif"}
)
_SOUND_RATE = FrameRate(Fraction(100))
"""A sound has no frames: hundredths of a second are its own."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found."""

    source: Source | None = None
    character: Character | None = None
    notes: tuple[str, ...] = ()
    """What is worth a word: a rate that was guessed, frames that cannot be decoded."""


def look_at(path: str) -> Found:
    """Tell what a file or folder is.

    Raises:
        MotionError: it is not there, or nothing that can be brought in.
    """
    place = Path(path)
    try:
        stamp = stamp_of(place)
        if is_folder(place):
            return _folder(place, stamp)
    except OSError as error:
        raise MotionError(
            f"{place} cannot be read: {error.strerror or error}",
            hint="Is the disk that it lies on connected?",
        ) from None
    suffix = place.suffix.lower()
    if suffix in {".json", ".npz"}:
        return _poses(place, stamp)
    from marionext.motion import MOTION_SUFFIXES  # noqa: PLC0415 - numpy

    if suffix in MOTION_SUFFIXES or suffix in {".fbx", ".blend", ".vmd", ".pmx", ".pmd"}:
        return _rig(place, stamp)
    if suffix in PICTURES and not _is_animated(place):
        return _picture(place, stamp)
    if suffix in SOUNDS:
        return _sound(place, stamp)
    return _video(place, stamp)


def _source(path: Path, kind: SourceKind, stamp: Stamp, **known: object) -> Source:
    return Source(id=new_id(), path=str(path), kind=kind, name=path.name, stamp=stamp, **known)  # type: ignore[arg-type]


def _folder(path: Path, stamp: Stamp) -> Found:
    if path.suffix == ".doll":
        return Found(character=Character(id=new_id(), path=str(path), name=path.stem))
    if any(item.suffix.lower() == ".json" for item in path.iterdir()):
        return _poses(path, stamp)
    raise MotionError(
        f"expected a folder of OpenPose JSON or a doll (*.doll), {path.name} holds neither",
        hint="Drop videos, motion files, pictures and sounds one by one.",
    )


def _poses(path: Path, stamp: Stamp) -> Found:
    from marionext.pose.formats import read_track  # noqa: PLC0415 - numpy

    notes: list[str] = []
    try:
        track = read_track(path, say=notes.append)
    except EngineError:
        if path.suffix.lower() == ".npz":
            return _rig(path, stamp)  # a recording of Blender's add-on
        raise
    source = _source(path, "poses", stamp, frames=len(track), rate=track.rate, size=track.size)
    return Found(source=source, notes=tuple(notes))


def _rig(path: Path, stamp: Stamp) -> Found:
    from marionext import motion  # noqa: PLC0415 - numpy

    people = motion.load_all(path)
    animation = people[0]
    source = _source(
        path, "motion", stamp, frames=len(animation), rate=animation.rate, size=RIG_SIZE
    )
    return Found(source=source, notes=tuple(animation.notes))


def _is_animated(path: Path) -> bool:
    if path.suffix.lower() not in {".png", ".webp"}:
        return False
    from marionext.footage import is_animation  # noqa: PLC0415 - PyAV

    return is_animation(path)


def _picture(path: Path, stamp: Stamp) -> Found:
    from PIL import Image  # noqa: PLC0415 - beside the window only

    del stamp  # pictures are small: they are looked at whenever they are used
    try:
        with Image.open(path) as image:
            size = image.size
            if image.getexif().get(0x0112, 1) >= 5:  # lies on its side
                size = (size[1], size[0])
    except (OSError, ValueError) as error:
        raise MotionError(f"expected a picture, {path.name} cannot be read: {error}") from None
    return Found(character=Character(id=new_id(), path=str(path), name=path.stem, size=size))


def _sound(path: Path, stamp: Stamp) -> Found:
    import av  # noqa: PLC0415 - beside the window only

    try:
        with av.open(str(path)) as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None:
                raise MotionError(f"expected a sound, {path.name} has none")
            if stream.duration is not None and stream.time_base is not None:
                seconds = Fraction(stream.duration) * stream.time_base
            else:
                seconds = Fraction(container.duration or 0, av.time_base)
    except (av.error.FFmpegError, OSError) as error:
        raise MotionError(f"expected a sound, {path.name} cannot be read: {error}") from None
    frames = max(1, ceil(seconds * _SOUND_RATE.fraction))
    return Found(source=_source(path, "sound", stamp, frames=frames, rate=_SOUND_RATE, sound=True))


def _video(path: Path, stamp: Stamp) -> Found:
    from marionext.footage import probe  # noqa: PLC0415 - PyAV

    try:
        info = probe(path)
    except MotionError as error:
        try:
            return _sound(path, stamp)  # a container that holds sound alone
        except MotionError:
            raise error from None
    source = _source(
        path,
        "video",
        stamp,
        frames=info.frames,
        rate=info.rate,
        size=info.size,
        sound=info.has_audio,
    )
    # An even rate is what one expects: the library names it.
    notes = info.notes if info.variable_rate else ()
    return Found(source=source, notes=(*notes, *info.warnings))
