"""Open what a job names as its motion, once: `OpenMotion` then answers everything about it.

A motion is a video, a rig file, a pose track or ready-made pose maps. Opening one tells its frames,
its rate and its files without detecting or drawing anything; poses or maps come when asked for.

**One rule for counting.** N frames at rate r that are read at rate r' are ceil(N r' / r) frames, as
`marionext.pose.resample` says why; only where a file holds curves instead of frames (glTF) they are
sampled at the rate wanted. Numbers begin with the source's own first, or with ``first`` of the job.
"""

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext import motion, pose
from marionext.edits import out_of_reach
from marionext.errors import EngineError, MotionError
from marionext.files import is_folder, open_file, reading, require_file
from marionext.frames import FrameRange, FrameRate, check_count, format_frames, parse_frames
from marionext.jobs import CameraSettings, MotionSource, PoseSettings
from marionext.pose import Finding, PoseTrack
from marionext.pose.formats import frame_files, read_track
from marionext.pose.people import parse_who
from marionext.posemap import PoseMapSource, is_pose_map, read_maps
from marionext.reporting import Reporter

__all__ = ["Kind", "OpenMotion", "camera_of", "motion_kind", "open_motion", "select_frames"]

Kind = Literal["video", "rig", "track", "posemaps", "picture"]

_LONG_VIDEO = 1800
"""Frames; reading that many takes about three minutes on two cores."""
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_BODY_POINTS = 18
_TINY = 0.15
"""Part of the picture's height; a figure smaller than that is a speck in what is rendered."""
_ANIMATED = frozenset({".apng", ".gif"})
"""Other pictures that may be animated; WebP and PNG are, now and then."""
_OTHER_RIGS = frozenset({".fbx", ".blend", ".pmd", ".pmx", ".vmd"})
"""Files that hold rigs and cannot be read here: their reader says what to do about them."""


def open_motion(source: MotionSource) -> "OpenMotion":
    """Open a motion, whatever it is.

    Raises:
        MotionError: nothing is there, or nothing that could be a motion.
    """
    match motion_kind(source):
        case "video":
            return _Video(source)
        case "rig":
            return _Rig(source)
        case "track":
            return _Track(source)
        case "posemaps":
            return _Maps(source)
        case "picture":
            return _Picture(source)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What poses are asked for."""

    size: tuple[int, int]
    frames: FrameRange | None
    report: Reporter
    alone: bool = False
    """Whether nothing but those frames is read, though cleaning would look at others."""


class OpenMotion(ABC):
    """An opened source."""

    kind: Kind

    def __init__(
        self,
        source: MotionSource,
        count: int,
        rate: FrameRate,
        first: int,
        *,
        notes: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Keep what is known.

        Args:
            source: what was opened.
            count: its frames, at its own rate or at the one asked for.
            rate: the rate of that count.
            first: the number of its first frame, if the job does not say otherwise.
            notes: what was noticed in opening it, for people to read.
            warnings: what is wrong with it, though it can be used.

        Raises:
            MotionError: it holds no frame.
        """
        self.source = source
        self.path = Path(source.path)
        if source.rate is not None and source.rate != rate:
            count, rate = pose.resampled_count(count, rate, source.rate), source.rate
            check_count(count)  # all of them are reckoned, whichever are wanted
        if count < 1:
            raise MotionError(f"{self.path} holds no frames")
        start = first if source.first is None else source.first
        self.frames = FrameRange(start, start + count)
        """The numbers of all of its frames."""
        self.rate = rate
        """Frames per second."""
        self.notes = notes
        """What was noticed in opening it."""
        self.warnings = warnings
        """What is wrong with it, though it can be used."""
        self._told = False

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from, no more and no less: what a render of it depends on."""
        return (self.path,)

    @property
    def presets(self) -> tuple[Path, ...]:
        """Those of the files that only say how to read it: a rig preset of the user's own."""
        return ()

    @property
    def sound(self) -> Path | None:
        """The file whose sound belongs to it, or None; it begins with the first frame."""
        return None

    def tell(self, report: Reporter) -> None:
        """Say once what was noticed in opening it."""
        if self._told:
            return
        self._told = True
        for note in self.notes:
            report.log(note)
        for warning in self.warnings:
            report.log(warning, warning=True)

    def poses(
        self,
        settings: PoseSettings,
        size: tuple[int, int],
        report: Reporter,
        *,
        frames: FrameRange | None = None,
        alone: bool = False,
        found: Callable[[tuple[Finding, ...]], None] | None = None,
        before: Callable[[PoseTrack], None] | None = None,
    ) -> PoseTrack:
        """Return the poses: cleaned, changed by hand, mirrored. The fit comes later, in staging.

        Args:
            settings: what is done to them.
            size: width and height in pixels that a rig is seen in.
            report: told how far it is and what was noticed.
            frames: those that are needed; others may be left out. None: all.
            alone: read nothing but those where that saves time: for a pose, not for a motion.
            found: given what the clean-up found.
            before: given the same poses as they are without the edits, where there are any.

        Raises:
            MotionError: the motion cannot be read, holds nobody, or is ready-made pose maps.
            ModelError: a detector's model is missing.
            JobCancelled: the host wants the job to stop.
        """
        report.progress("poses", 0, 0)
        self.tell(report)
        # An edit may look at frames beyond those that are wanted.
        track = self._read(_Wanted(size, None if settings.edits else frames, report, alone))
        if self.source.first is not None:
            track = track.with_(first=self.source.first)
        if settings.clean and not track.cleaned:
            cleaned = pose.clean(track)
            track = cleaned.track
            if found is not None:
                found(cleaned.findings)
        for place in out_of_reach(settings.edits, track.frames):
            edit = settings.edits[place]
            report.log(
                f"edit {place + 1} ({edit.kind}) changes nothing: it is of frames {edit.frames}, "
                f"the motion has {track.frames}"
            )
        edited = pose.apply(track, settings.edits)
        if settings.edits and before is not None:
            before(pose.mirror(track) if settings.mirror else track)
        return pose.mirror(edited) if settings.mirror else edited

    @abstractmethod
    def _read(self, wanted: _Wanted, /) -> PoseTrack:
        """Return the poses as they are in the source, at the rate wanted."""

    def maps(self) -> PoseMapSource | None:
        """Return the ready-made pose maps, or None where the motion is poses."""
        return None

    def picture(self, number: int) -> NDArray[np.uint8]:  # noqa: ARG002
        """Return what a video shows in a frame: (height, width, 3) RGB.

        Raises:
            MotionError: the motion is no video, or the frame cannot be decoded.
        """
        raise MotionError(
            f"{self.path.name} shows nothing: expected a picture or a video",
            hint="Edges come from pictures; depth and outline also from a rig with a mesh.",
        )

    def surface(self, number: int, size: tuple[int, int]) -> motion.Raster:  # noqa: ARG002
        """Return what the camera sees of a rig's mesh in a frame.

        Args:
            number: of the frame.
            size: width and height of the picture in pixels.

        Raises:
            MotionError: the motion has no mesh, or nothing of it is in the picture.
        """
        raise MotionError(
            f"{self.path.name} has no surface: expected a rig with a mesh (glTF, GLB, VRM)",
            hint="Give its depth or outline as a picture.",
        )


class _Video(OpenMotion):
    kind = "video"

    def __init__(self, source: MotionSource) -> None:
        from marionext.footage import FIRST_FRAME, probe  # noqa: PLC0415 - loads PyAV

        self._info = probe(source.path, declared=source.source_rate)
        super().__init__(
            source,
            self._info.frames,
            self._info.rate,
            FIRST_FRAME,
            notes=self._info.notes,
            warnings=self._info.warnings,
        )

    @property
    def sound(self) -> Path | None:
        return self.path

    def _read(self, wanted: _Wanted, /) -> PoseTrack:
        from marionext import capture  # noqa: PLC0415 - loads a detector

        track = capture.extract_track(
            self.path,
            info=self._info,
            detector=self.source.detector,
            person=parse_who(self.source.person),
            frames=self._worth_reading(wanted),
            on_progress=lambda done, total: wanted.report.progress("poses", done, total),
            cancelled=wanted.report.cancelled,
            say=partial(wanted.report.log, warning=True),
        )
        return pose.resample(track, self.rate)

    def picture(self, number: int) -> NDArray[np.uint8]:
        from marionext.footage import read_frames  # noqa: PLC0415 - loads PyAV

        place = Fraction(number - self.frames.start) / self.rate.fraction
        index = min(int(place * self._info.rate.fraction), self._info.frames - 1)
        frame = next(read_frames(self.path, only=range(index, index + 1)), None)
        if frame is None:
            raise MotionError(f"{self.path}: frame {number} cannot be decoded")
        return frame.picture

    def _worth_reading(self, wanted: _Wanted) -> FrameRange | None:
        """Return the part of the video to read, None for all of it.

        Cleaning and fitting look at the whole clip, so a part of it rendered alone should lie where
        it lies in the whole; only of a long video is this given up, for hours of waiting.
        """
        frames, report = wanted.frames, wanted.report
        if frames is None or self.source.rate is not None or self.source.first is not None:
            return None  # then the frames wanted are not numbered as the video's own
        total = self._info.frames
        if wanted.alone:
            return frames
        if total <= _LONG_VIDEO or len(frames) > total / 2:
            return None
        report.log(
            f"only frames {frames} of {total} are read; the fit is that of this part. For the fit "
            "of the whole, make its poses first (marionext track) and render those."
        )
        return frames


class _Rig(OpenMotion):
    kind = "rig"

    def __init__(self, source: MotionSource) -> None:
        path = Path(source.path)
        people = motion.load_all(
            path,
            clip=source.clip,
            rate=source.rate,
            source_rate=source.source_rate,
            up=source.up,
        )
        number = _rig_of(source, people)
        self._animation = animation = people[number]
        notes = animation.notes
        if len(people) > 1:
            others = ", ".join(
                f"{other} ({person.source!r})"
                for other, person in enumerate(people, 1)
                if other != number + 1
            )
            notes = (*notes, f"person {number + 1} of {len(people)}; --person has also {others}")
        super().__init__(source, len(animation), animation.rate, animation.first, notes=notes)

    @cached_property
    def _mapping(self) -> motion.RigMapping:
        return motion.map_rig(self._animation, self.source.rig)

    @property
    def files(self) -> tuple[Path, ...]:
        return (*self._animation.files, *self.presets)

    @property
    def presets(self) -> tuple[Path, ...]:
        try:
            preset = self._mapping.file
        except EngineError:  # said when the poses are read
            return ()
        return () if preset is None else (preset,)

    def _read(self, wanted: _Wanted, /) -> PoseTrack:
        mapping, animation = self._mapping, self._animation
        report, size = wanted.report, wanted.size
        report.log(f"rig: {mapping.title}, {mapping.coverage}")
        if mapping.guessed:
            report.log(f"guessed by name or place: {', '.join(sorted(mapping.guessed))}")
        if lacking := mapping.lacking:
            report.log(
                f"the rig has no bone for {', '.join(lacking)}: left out, or guessed from others "
                "(--rig names a preset)",
                warning=True,
            )
        camera = camera_of(animation, mapping, self.source.camera, size)
        track = motion.project(animation, mapping, camera, size, occlusion=self.source.occlusion)
        self._check_view(track, wanted, of_file=camera is animation.camera)
        return track.with_(cleaned=True)  # bones do not tremble

    def surface(self, number: int, size: tuple[int, int]) -> motion.Raster:
        animation = self._animation
        index = number - self.frames.start
        camera = camera_of(animation, self._mapping, self.source.camera, size)
        surface = motion.read_surface(self.path, animation, index, clip=self.source.clip)
        return motion.rasterise(surface, camera, index, size)

    def _check_view(self, track: PoseTrack, wanted: _Wanted, *, of_file: bool) -> None:
        """Refuse a camera of the file's that sees nobody, and warn where somebody is tiny."""
        start = track.first if self.source.first is None else self.source.first
        span = slice(None)
        if wanted.frames is not None:
            span = slice(max(wanted.frames.start - start, 0), max(wanted.frames.stop - start, 0))
        body = track.scores[span, 0, :_BODY_POINTS] > 0
        seen = np.asarray(body.any(axis=1))
        if not seen.any():
            whose = "the file's camera" if of_file else "the camera"
            raise MotionError(
                f"expected somebody in the picture of {whose}, nobody is in any of "
                f"{len(seen)} frames",
                hint="It looks away or is far off: --camera frame places one that sees the whole "
                "motion, --camera follow one that goes along.",
            )
        heights = track.points[span, 0, :_BODY_POINTS, 1][seen]
        heights = np.ptp(np.where(body[seen], heights, heights[body[seen]].mean()), axis=1)
        share = float(np.median(heights)) / wanted.size[1]
        if share < _TINY and self.source.camera.source != "follow":
            remedy = "--camera frame comes nearer" if of_file else "--camera follow goes along"
            wanted.report.log(
                f"the figure is {share:.0%} of the picture's height: {remedy}", warning=True
            )


def _rig_of(source: MotionSource, people: Sequence[motion.JointAnimation]) -> int:
    """Return the number, from 0, of the skeleton that is meant.

    Raises:
        MotionError: there is none with that number, or all of several are meant.
        SettingsError: the choice is unknown.
    """
    who = parse_who(source.person)
    if isinstance(who, int):
        if who >= len(people):
            raise motion.no_such_person(Path(source.path), people, who + 1)
        return who
    if who == "largest" or len(people) == 1:
        return 0
    if who not in {"left", "centre", "right"}:
        raise MotionError(
            f"expected one of the {len(people)} people of {Path(source.path).name}, got {who!r}",
            hint="--person takes largest, left, centre, right or a number from 1.",
        )
    # As the picture shows them, from the side that the camera is on.
    camera = people[0].camera if source.camera.source in {"auto", "file"} else None
    if camera is not None:
        across = camera.views[0, 0, :3]
    else:
        across = motion.across_of(people[0], source.camera.yaw)
    middles = np.array([float((person.heads @ across).mean()) for person in people])
    order = np.argsort(middles, kind="stable")
    return int(order[{"left": 0, "centre": (len(people) - 1) // 2, "right": -1}[who]])


class _Track(OpenMotion):
    kind = "track"

    def __init__(self, source: MotionSource) -> None:
        notes: list[str] = []
        self._track = read_track(
            source.path, size=source.source_size, rate=source.source_rate, say=notes.append
        )
        super().__init__(
            source, len(self._track), self._track.rate, self._track.first, notes=tuple(notes)
        )

    @property
    def files(self) -> tuple[Path, ...]:
        return frame_files(self.path) if self.path.is_dir() else (self.path,)

    def _read(self, _wanted: _Wanted, /) -> PoseTrack:
        track = self._track
        if self.source.person != "all" and track.people > 1:
            track = pose.choose_person(track, parse_who(self.source.person))
        return pose.resample(track, self.rate)


class _Maps(OpenMotion):
    kind = "posemaps"

    def __init__(self, source: MotionSource) -> None:
        self._maps = read_maps(
            source.path,
            palette=source.palette,
            rate=source.rate,
            source_rate=source.source_rate,
            first=source.first,
        )
        super().__init__(
            source,
            len(self._maps),
            self._maps.rate,
            self._maps.frames.start,
            notes=self._maps.notes,
            warnings=self._maps.warnings,
        )

    @property
    def sound(self) -> Path | None:
        return None if self.path.is_dir() else self.path

    @property
    def files(self) -> tuple[Path, ...]:
        return self._maps.files

    def maps(self) -> PoseMapSource | None:
        return self._maps

    def _read(self, _wanted: _Wanted, /) -> PoseTrack:
        raise MotionError(
            f"{self.path} holds pose maps; keypoints cannot be read back from pictures",
            hint="Give the video, rig file or pose track they came from.",
        )


class _Picture(OpenMotion):
    kind = "picture"

    def __init__(self, source: MotionSource) -> None:
        rate = source.source_rate or FrameRate(Fraction(1))
        super().__init__(source, 1, rate, 1)

    def _read(self, wanted: _Wanted, /) -> PoseTrack:
        from marionext import capture  # noqa: PLC0415 - loads a detector

        wanted.report.progress("poses", 0, 1)
        track = capture.detect_picture(self.path, detector=self.source.detector)
        # One picture has no time in which anything could tremble.
        return track.with_(rate=self.rate, cleaned=True)


def motion_kind(source: MotionSource) -> Kind:
    """Tell what a motion is, by what is found at its path.

    Raises:
        MotionError: nothing is there, or nothing that could be a motion.
    """
    path = Path(source.path)
    try:
        if not is_folder(path):
            require_file(path)
    except FileNotFoundError:
        raise MotionError(f"no such motion: {path}") from None
    except OSError as error:
        raise MotionError(f"{path} cannot be read: {error.strerror or error}") from None
    if source.kind != "auto":
        return source.kind
    if path.is_dir():
        names = [item.name.lower() for item in path.iterdir() if not item.name.startswith(".")]
        suffixes = {Path(name).suffix for name in names}
        # Detectors leave the pictures that they drew beside their keypoints.
        if any(name.endswith("_keypoints.json") for name in names):
            return "track"
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
    if suffix in motion.MOTION_SUFFIXES or suffix in _OTHER_RIGS:
        return "rig"
    if suffix in _PICTURES | _ANIMATED and not _is_animation(path):
        raise MotionError(
            f"{path} is a single picture", hint="Give the folder of the picture sequence."
        )
    return "posemaps" if _shows_pose_maps(path) else "video"


def _is_animation(path: Path) -> bool:
    from marionext.footage import is_animation  # noqa: PLC0415 - loads PyAV

    return is_animation(path)


def _shows_pose_maps(video: Path) -> bool:
    from marionext.footage import read_frames  # noqa: PLC0415 - loads PyAV

    first = next(read_frames(video), None)
    return first is not None and is_pose_map(first.picture)


def _is_pose_track(path: Path) -> bool:
    """Tell a pose track from an animation that Blender has recorded."""
    try:
        with (
            reading(path, MotionError, "a .npz"),
            open_file(path) as file,
            zipfile.ZipFile(file) as archive,
        ):
            return "heads.npy" not in archive.namelist()
    except MotionError:
        return True  # the reader of tracks says what is wrong with it


def camera_of(
    animation: motion.JointAnimation,
    mapping: motion.RigMapping,
    settings: CameraSettings,
    size: tuple[int, int],
) -> motion.Camera:
    """Return the file's own camera, one that frames the whole motion, or one that goes along.

    Raises:
        MotionError: the file's camera is wanted and there is none.
    """
    if settings.source in {"auto", "file"} and animation.camera is not None:
        return animation.camera
    if settings.source == "file":
        raise MotionError(
            "the motion file holds no camera", hint="Use --camera frame, or export one with it."
        )
    bones = mapping.bones
    on_neck = "head" in bones and bones["head"] == bones.get("neck")
    place = motion.follow_motion if settings.source == "follow" else motion.frame_motion
    return place(
        animation,
        size,
        yaw=settings.yaw,
        pitch=settings.pitch,
        focal_mm=settings.focal,
        margin=settings.margin,
        joints=sorted({animation.index(bone) for bone in bones.values()}),
        head=animation.index(bones["head"]) if on_neck else None,
    )


def select_frames(selection: str | None, frames: FrameRange) -> tuple[int, ...]:
    """Return the frame numbers that a selection means in a motion; None means all.

    Raises:
        MotionError: some of them are not in the motion.
        SettingsError: they are more than fit into one render.
    """
    if selection is None:
        check_count(len(frames))
        return tuple(range(frames.start, frames.stop))
    numbers = parse_frames(selection)
    absent = tuple(number for number in numbers if number not in frames)
    if absent:
        raise MotionError(
            f"expected frames within {frames}, which the motion has, got {format_frames(absent)}"
        )
    return numbers
