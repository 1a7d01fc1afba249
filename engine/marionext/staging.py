"""Make a shot ready to render: whatever the motion is, it becomes one control picture per frame.

Poses come from a video, a rig file or a pose track; they are cleaned, fitted to the character and
drawn on demand. Ready-made pose maps are taken as they are.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from marionext import motion, pose
from marionext.edits import PoseEdit, out_of_reach
from marionext.errors import CharacterError, ModelError, MotionError
from marionext.frames import FrameRange, FrameRate, format_frames, parse_frames
from marionext.jobs import CameraSettings, MotionSource, PoseSettings, RenderJob, SvdSettings
from marionext.pose import PoseTrack
from marionext.pose.formats import read_track
from marionext.pose.people import Who
from marionext.posemap import Drawer, PoseMapSource, SmallDrawer, is_pose_map, read_maps
from marionext.reporting import Reporter

__all__ = [
    "Motion",
    "Shot",
    "camera_of",
    "character_pose",
    "motion_kind",
    "read_motion",
    "read_poses",
    "select_frames",
    "stage",
]

Kind = Literal["video", "rig", "track", "posemaps"]
Motion = PoseTrack | PoseMapSource
"""Poses to draw, or maps drawn already."""

_LONG_VIDEO = 1800
"""Frames; reading that many takes about three minutes on two cores."""
_LEAST_ADVISED = 256
"""Pixels; whoever renders smaller than this wants a draft, and knows that faces are small."""
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A motion and a character, ready for the model."""

    numbers: tuple[int, ...]
    """Frame numbers of the source, one for each frame of the result."""
    rate: FrameRate
    """Of the result."""
    control: Callable[[int], NDArray[np.uint8]]
    """Draws control picture i: 0 is the character's own pose (the reference slot), 1 to N are the
    frames; (height, width, 3)."""
    sound: Path | None
    """The file whose sound belongs to the motion, or None."""
    sound_start: Fraction
    """Second of that file at which the first frame is shown."""


def motion_kind(source: MotionSource) -> Kind:
    """Tell what a motion is, by what is found at its path.

    Raises:
        MotionError: nothing is there, or nothing that could be a motion.
    """
    path = Path(source.path)
    if not path.exists():
        raise MotionError(f"no such motion: {path}")
    if source.kind != "auto":
        return source.kind
    if path.is_dir():
        suffixes = {item.suffix.lower() for item in path.iterdir()}
        if suffixes & _PICTURES:
            return "posemaps"
        if ".json" in suffixes:
            return "track"
        raise MotionError(
            f"expected pictures of pose maps or OpenPose JSON files in {path}, found neither"
        )
    suffix = path.suffix.lower()
    if suffix == ".json":
        return "track"
    if suffix == ".npz":
        return "track" if _is_pose_track(path) else "rig"
    if suffix in motion.MOTION_SUFFIXES or suffix in {".fbx", ".blend", ".pmd", ".pmx", ".vmd"}:
        return "rig"
    if suffix in _PICTURES:
        raise MotionError(
            f"{path} is a single picture", hint="Give the folder of the picture sequence."
        )
    return "posemaps" if _shows_pose_maps(path) else "video"


def _shows_pose_maps(video: Path) -> bool:
    from marionext.capture import read_frames  # noqa: PLC0415 - loads PyAV

    first = next(read_frames(video), None)
    return first is not None and is_pose_map(first.picture)


def _is_pose_track(path: Path) -> bool:
    """Tell a pose track from an animation that Blender has sampled."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "heads.npy" not in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return True  # the reader of tracks says what is wrong with it


def read_motion(
    source: MotionSource,
    settings: PoseSettings,
    size: tuple[int, int],
    report: Reporter,
    *,
    frames: FrameRange | None = None,
) -> Motion:
    """Read a motion, whatever it is.

    Args:
        source: where it is and how to read it.
        settings: cleaning, edits and mirroring; the fit comes later, in `stage`.
        size: width and height in pixels that a rig is seen in.
        report: told how far it is.
        frames: those that are needed; others may be left out. None: all.

    Raises:
        MotionError: the motion cannot be read or holds nobody.
        ModelError: a detector's model is missing.
    """
    if motion_kind(source) == "posemaps":
        maps = read_maps(
            Path(source.path), palette=source.palette, rate=source.rate, first=source.first
        )
        if settings.mirror:
            raise MotionError(
                "ready-made pose maps cannot be mirrored: left and right have their own colours",
                hint="Mirror the poses they were drawn from.",
            )
        if settings.edits:
            raise MotionError(
                "ready-made pose maps cannot be edited: their keypoints are not known",
                hint="Edit the poses they were drawn from.",
            )
        return maps
    return read_poses(source, settings, size, report, frames=frames)


def read_poses(
    source: MotionSource,
    settings: PoseSettings,
    size: tuple[int, int],
    report: Reporter,
    *,
    frames: FrameRange | None = None,
) -> PoseTrack:
    """Read a motion as a pose track; see `read_motion`.

    Raises:
        MotionError: as `read_motion`, or the motion is ready-made pose maps.
    """
    kind = motion_kind(source)
    path = Path(source.path)
    report.progress("poses", 0, 0)
    match kind:
        case "video":
            track = _from_video(source, report, frames)
        case "rig":
            track = _from_rig(source, size, report)
        case "track":
            track = read_track(path)
            if source.person != "all" and track.people > 1:
                track = pose.choose_person(track, _who(source.person))
            if source.rate is not None and source.rate != track.rate:
                track = pose.resample(track, source.rate)
        case "posemaps":
            raise MotionError(
                f"{path} holds pose maps; keypoints cannot be read back from pictures",
                hint="Give the video, rig file or pose track they came from.",
            )
    if source.first is not None:
        track = track.with_(first=source.first)
    if settings.clean and kind != "rig":
        track = pose.clean(track).track
    if settings.edits:
        track = _edited(track, settings.edits, report)
    if settings.mirror:
        track = pose.mirror(track)
    return track


def _edited(track: PoseTrack, edits: tuple[PoseEdit, ...], report: Reporter) -> PoseTrack:
    for place in out_of_reach(edits, track.frames):
        report.log(
            f"edit {place + 1} ({edits[place].kind}) changes nothing: it is of frames "
            f"{edits[place].frames}, the motion has {track.frames}"
        )
    return pose.apply(track, edits)


def _who(person: str) -> Who:
    # Whoever is asked refuses what is no choice, naming those there are.
    return int(person) if person.isdigit() else cast(Who, person)


def _from_video(source: MotionSource, report: Reporter, frames: FrameRange | None) -> PoseTrack:
    from marionext import capture  # noqa: PLC0415 - loads a detector

    if frames is not None:
        frames = _worth_reading(source, frames, report)

    track = capture.extract_track(
        source.path,
        detector=source.detector,
        person=_who(source.person),
        frames=frames,
        on_progress=lambda done, total: report.progress("poses", done, total),
        cancelled=report.cancelled,
    )
    if source.rate is not None and source.rate != track.rate:
        track = pose.resample(track, source.rate)
    return track


def _worth_reading(source: MotionSource, frames: FrameRange, report: Reporter) -> FrameRange | None:
    """Return the part of a video to read, None for all of it.

    Cleaning and fitting look at the whole clip, so a part of it rendered alone should lie where it
    lies in the whole; only of a long video is this given up, for hours of waiting.
    """
    from marionext.capture import probe  # noqa: PLC0415 - loads PyAV

    if source.rate is not None or source.first is not None:
        return None  # the wanted frames are not numbered as the video's own
    total = probe(source.path).frames
    if total <= _LONG_VIDEO or len(frames) > total / 2:
        return None
    report.log(
        f"only frames {frames} of {total} are read; the fit is that of this part. For the fit of "
        "the whole, make its poses first (marionext track) and render those."
    )
    return frames


def _from_rig(source: MotionSource, size: tuple[int, int], report: Reporter) -> PoseTrack:
    animation = motion.load(Path(source.path), clip=source.clip, rate=source.rate)
    for note in animation.notes:
        report.log(note)
    mapping = motion.map_rig(animation, source.rig)
    report.log(f"rig: {mapping.title}, {mapping.coverage}")
    if mapping.guessed:
        report.log(f"guessed by name or place: {', '.join(sorted(mapping.guessed))}")
    camera = camera_of(animation, mapping, source.camera, size)
    return motion.project(animation, mapping, camera, size, occlusion=source.occlusion)


def camera_of(
    animation: motion.JointAnimation,
    mapping: motion.RigMapping,
    settings: CameraSettings,
    size: tuple[int, int],
) -> motion.Camera:
    """Return the file's own camera, or one that frames the whole motion.

    Raises:
        MotionError: the file's camera is wanted and there is none.
    """
    if settings.source != "frame" and animation.camera is not None:
        return animation.camera
    if settings.source == "file":
        raise MotionError(
            "the motion file holds no camera", hint="Use --camera frame, or export one with it."
        )
    return motion.frame_motion(
        animation,
        size,
        yaw=settings.yaw,
        pitch=settings.pitch,
        focal_mm=settings.focal,
        margin=settings.margin,
        joints=sorted(animation.index(bone) for bone in mapping.bones.values()),
    )


def select_frames(selection: str | None, frames: FrameRange) -> tuple[int, ...]:
    """Return the frame numbers that a selection means in a motion; None means all.

    Raises:
        MotionError: some of them are not in the motion.
    """
    if selection is None:
        return tuple(range(frames.start, frames.stop))
    numbers = parse_frames(selection)
    absent = tuple(number for number in numbers if number not in frames)
    if absent:
        raise MotionError(
            f"expected frames within {frames}, which the motion has, got {format_frames(absent)}"
        )
    return numbers


def character_pose(
    character: Path, picture: NDArray[np.uint8], report: Reporter, detector: str = "mediapipe"
) -> PoseTrack:
    """Return the pose of the character in its picture, or a track without people.

    A pose track beside the picture (``hero.png`` and ``hero.pose.npz``) goes before detection: it
    is how a pose that no detector finds, or finds wrongly, is given by hand.

    Args:
        character: the picture's file.
        picture: (height, width, 3) as the model sees it: already cropped.
        report: told what was not found.
        detector: as in `MotionSource`.
    """
    height, width = picture.shape[:2]
    beside = character.with_suffix(".pose.npz")
    if beside.is_file():
        return _cropped_pose(read_track(beside), (width, height))
    from marionext import capture  # noqa: PLC0415 - loads a detector

    try:
        return capture.detect_picture(picture, detector=detector)
    except (CharacterError, ModelError, MotionError) as error:
        report.log(
            f"the pose of the character's picture is not known ({error.message}); "
            "the motion is placed without it",
            warning=True,
        )
        nobody = np.zeros((1, 0, 134, 2), np.float32), np.zeros((1, 0, 134), np.float32)
        return PoseTrack(
            points=nobody[0], scores=nobody[1], size=(width, height), rate=FrameRate(Fraction(1))
        )


def _cropped_pose(track: PoseTrack, size: tuple[int, int]) -> PoseTrack:
    """Bring the pose of a whole picture to the part that covers a frame, as the picture was."""
    from marionext.diffusion.cropping import crop_geometry  # noqa: PLC0415 - torch

    resized, corner = crop_geometry(*track.size, size)
    scale = np.array(resized, np.float32) / np.array(track.size, np.float32)
    return track.with_(points=track.points * scale - np.array(corner, np.float32), size=size)


def stage(
    job: RenderJob,
    moving: Motion,
    reference: PoseTrack,
    frames: FrameRange,
    report: Reporter,
) -> Shot:
    """Lay the motion over the character and choose the frames.

    Args:
        job: of the render.
        moving: the motion, as `read_motion` gave it.
        reference: the character's pose at the render's size, as `character_pose` gave it.
        frames: all that the source has, of which ``moving`` may hold a part.
        report: told what was done.

    Raises:
        MotionError: a frame that is asked for is not in the motion.
    """
    numbers = select_frames(job.frames, moving.frames)
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    even = all(after - before == step for before, after in pairwise(numbers))
    rate = FrameRate(moving.rate.fraction / step) if even else moving.rate
    sound: Path | None = Path(job.motion.path)
    if not job.output.audio or motion_kind(job.motion) != "video":
        sound = None
    elif not even:
        report.log("the frames are not evenly spaced: the sound is left out", warning=True)
        sound = None
    control = (
        _drawn(moving, reference, numbers, job, report)
        if isinstance(moving, PoseTrack)
        else _ready(moving, reference, numbers, job)
    )
    return Shot(
        numbers=numbers,
        rate=rate,
        control=control,
        sound=sound,
        sound_start=moving.rate.seconds(numbers[0] - frames.start),
    )


def _drawer(settings: SvdSettings) -> Drawer | SmallDrawer:
    """Return what draws the maps; in parity mode the reference's own way at any size."""
    return Drawer(settings.size) if settings.parity else SmallDrawer(settings.size)


def _drawn(
    track: PoseTrack,
    reference: PoseTrack,
    numbers: tuple[int, ...],
    job: RenderJob,
    report: Reporter,
) -> Callable[[int], NDArray[np.uint8]]:
    fitted = pose.fit(track, reference, job.pose.fit)
    for warning in fitted.report.warnings:
        report.log(warning, warning=True)
    moved = fitted.track
    if min(moved.size) >= _LEAST_ADVISED:
        for advice in pose.small_parts(moved):
            report.log(advice)
    drawer = _drawer(job.settings)
    # Without a known pose the slot shows the first frame's: the nearest thing to an empty wish.
    slot = reference if reference.people else pose.select(moved, (numbers[0],))

    def control(place: int) -> NDArray[np.uint8]:
        shown, index = (slot, 0) if place == 0 else (moved, numbers[place - 1] - moved.first)
        return drawer.draw(shown.points[index], shown.scores[index], shown.size)

    return control


def _ready(
    maps: PoseMapSource, reference: PoseTrack, numbers: tuple[int, ...], job: RenderJob
) -> Callable[[int], NDArray[np.uint8]]:
    settings = job.settings
    drawer = _drawer(settings)
    # A model that is steered by another kind of picture knows no drawn poses.
    poses = reference.people > 0 and job.motion.palette != "any"

    def control(place: int) -> NDArray[np.uint8]:
        if place == 0 and poses:
            return drawer.draw(reference.points[0], reference.scores[0], reference.size)
        number = numbers[max(place - 1, 0)]
        return maps.frame(number, settings.size)

    return control
