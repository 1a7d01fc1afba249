"""Stage a motion: lay it over a character, so that there is one control picture per frame.

Poses are fitted to the character and drawn on demand; ready-made pose maps are taken as they are.
What is *staged* is all that a backend sees of motion and character.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext import pose
from marionext.casting import (
    doll_pose,
    is_layered,
    open_doll,
    pose_beside,
    read_kept,
    read_picture,
    write_kept,
)
from marionext.character import Character, crop_geometry
from marionext.doll import Doll
from marionext.errors import CharacterError, ModelError, MotionError
from marionext.frames import FrameRange, FrameRate, format_frames, shown_rate
from marionext.jobs import RenderJob
from marionext.pose import PoseTrack
from marionext.pose.formats import read_native, read_track, write_native
from marionext.posemap import Drawer, PoseMapSource, SmallDrawer
from marionext.reporting import Reporter
from marionext.settings import DollSettings, SvdSettings
from marionext.sources import OpenMotion, select_frames

__all__ = ["Staged", "character_pose", "cropped_pose", "reference_of", "refuse_empty"]

Control = Callable[[int], NDArray[np.uint8]]

_BEFORE = "unedited.npz"
_LEAST_ADVISED = 256
"""Pixels; a render smaller than this is a draft, in which faces are small anyway."""


class Staged:
    """A motion laid over a character, ready for a backend.

    Numbers, rate and sound are known at once; poses are read, fitted and drawn when they are first
    wanted, since a finished render needs none of them.
    """

    def __init__(
        self,
        job: RenderJob,
        motion: OpenMotion,
        character: Character,
        report: Reporter,
        *,
        kept: Path | None = None,
    ) -> None:
        """Choose the frames.

        Args:
            job: of the render.
            motion: opened from the job's source.
            character: read from the job's picture.
            report: told what is done.
            kept: folder in which poses are kept for a run that goes on; None: nowhere.

        Raises:
            MotionError: a frame that is asked for is not in the motion, or ready-made maps are to
                be mirrored or changed by hand.
        """
        self._job = job
        self._motion = motion
        self._character = character
        self._report = report
        self._kept = kept
        self._before: PoseTrack | None = None
        self.numbers = select_frames(job.frames, motion.frames)
        """Frame numbers of the source, one for each frame of the result."""
        even = shown_rate(self.numbers, motion.rate)
        self.rate = even or motion.rate
        """Of the result."""
        self.sound = self._sound()
        """The file whose sound the result has, or None."""
        if self.sound is not None and even is None:
            report.log("the frames are not evenly spaced: the sound is left out", warning=True)
            self.sound = None
        self.sound_start: Fraction = motion.rate.seconds(self.numbers[0] - motion.frames.start)
        """Second of that file at which the first frame is shown."""
        if self.ready_made and (job.pose.mirror or job.pose.edits):
            raise MotionError(
                "ready-made pose maps can be neither mirrored nor changed: left and right have "
                "colours of their own",
                hint="Change the poses they were drawn from.",
            )

    def _sound(self) -> Path | None:
        output = self._job.output
        if not output.audio:
            return None
        if output.sound is None:
            return self._motion.sound
        given = Path(output.sound)
        if not given.is_file():
            raise MotionError(
                f"no such sound file: {given}",
                hint="Give a sound or video file, or --audio none for silence.",
            )
        return given

    @property
    def ready_made(self) -> bool:
        """Whether the motion is pose maps already."""
        return self._motion.kind == "posemaps"

    @cached_property
    def picture(self) -> NDArray[np.uint8]:
        """The character, cropped to the frame: (height, width, 3) RGB."""
        from marionext.diffusion import fit_character  # noqa: PLC0415 - torch

        return fit_character(self._character.pixels, self._job.settings.size)

    @cached_property
    def poses(self) -> PoseTrack:
        """The poses of the motion before the fit.

        Raises:
            MotionError: they cannot be read, not all frames are there, or the motion is maps.
            ModelError: a detector's model is missing.
            JobCancelled: the host wants the job to stop.
        """
        kept = None if self._kept is None else self._kept / "motion.npz"
        track = self._kept_track(kept)
        if track is None:
            span = FrameRange(self.numbers[0], self.numbers[-1] + 1)
            size = self._job.settings.size
            track = self._motion.poses(
                self._job.pose, size, self._report, frames=span, before=self._keep_before
            )
            if kept is not None:
                write_native(track, kept)
        absent = [number for number in self.numbers if number not in track.frames]
        if absent:
            raise MotionError(
                f"{self._motion.path} was said to hold the frames {self._motion.frames}, "
                f"{track.frames} were read",
                hint="Was the file changed meanwhile?",
            )
        return track

    @cached_property
    def reference(self) -> PoseTrack:
        """The pose of the character in `picture`; a track without people where it is not known."""
        kept = None if self._kept is None else self._kept / "character.npz"
        if (track := self._kept_track(kept)) is not None:
            return track
        settings = self._job.settings
        if isinstance(settings, DollSettings):
            # Its pose is that of the whole picture, which the doll is made of.
            return cropped_pose(doll_pose(self.dolls[0]), settings.size)
        character, detector = Path(self._job.character), self._job.motion.detector
        found = character_pose(character, self.picture, self._report, detector)
        if kept is not None:
            write_native(found, kept)
        return found

    @cached_property
    def dolls(self) -> tuple[Doll, ...]:
        """The character as a doll, and those of the other people that have one of their own.

        Raises:
            CharacterError: one cannot be read, or nobody whose limbs are known is in it.
            ModelError: a pose has to be detected, and the detector's networks are not there.
        """
        settings = self._job.settings
        others = settings.others if isinstance(settings, DollSettings) else ()
        return tuple(
            self._doll(Path(path), f"person-{place}.doll.npz")
            for place, path in enumerate((self._job.character, *others), start=1)
        )

    def _doll(self, character: Path, name: str) -> Doll:
        """Return a doll: the one that an earlier run drew of, so that it ends in the same bytes."""
        kept = None if self._kept is None else self._kept / name
        if kept is not None and kept.is_file():
            try:
                return read_kept(kept)
            except CharacterError as error:
                self._report.log(f"{error.message}: it is made again", warning=True)
        self._report.progress("models", 0, 1, "cutting out the character")
        doll = open_doll(character, self._report.log, detector=self._job.motion.detector)
        if kept is not None:
            write_kept(doll, kept, "")
        return doll

    @property
    def has_kept_poses(self) -> bool:
        """Whether an earlier run has kept the poses, so that they cost nothing."""
        return self._kept is not None and (self._kept / "motion.npz").is_file()

    def _kept_track(self, path: Path | None) -> PoseTrack | None:
        """Return what an earlier run has kept, or None; what is damaged is told and made again."""
        if path is None or not path.is_file():
            return None
        try:
            return read_native(path)
        except MotionError as error:
            self._report.log(f"{error.message}: it is made again", warning=True)
            return None

    @cached_property
    def control(self) -> Control:
        """Draws control picture i, (height, width, 3).

        0 is the character's own pose (the reference slot), 1 to N are the frames.
        """
        maps = self._motion.maps()
        self._motion.tell(self._report)
        return self._drawn() if maps is None else self._ready(maps)

    def _keep_before(self, track: PoseTrack) -> None:
        """Keep the poses as they are without the edits, which the fit is measured on."""
        self._before = track
        if self._kept is not None:
            write_native(track, self._kept / _BEFORE)

    def _measured(self) -> PoseTrack | None:
        """Return those poses, or None where there are no edits."""
        kept = None if self._kept is None else self._kept / _BEFORE
        if self._before is None and self._job.pose.edits and kept is not None and kept.is_file():
            self._before = read_native(kept)
        return self._before

    def _drawer(self) -> Drawer | SmallDrawer:
        """Return what draws the maps; in parity mode the reference's own way at any size."""
        settings = self._job.settings
        exact = isinstance(settings, SvdSettings) and settings.parity
        return Drawer(settings.size) if exact else SmallDrawer(settings.size)

    @cached_property
    def fitted(self) -> PoseTrack:
        """The poses laid over the character, in pixels of the frame; what deserves it is said.

        Raises:
            MotionError: as `poses`, or nobody is in the picture in any frame.
        """
        track, reference = self.poses, self.reference
        fitted = pose.fit(
            track,
            reference,
            self._job.pose.fit,
            measured=self._measured(),
            shown=self.numbers,
        )
        for warning in fitted.report.warnings:
            self._report.log(warning, warning=True)
        moved: PoseTrack = fitted.track
        if min(moved.size) >= _LEAST_ADVISED:
            for advice in pose.small_parts(pose.select(moved, self.numbers)):
                self._report.log(advice)
        refuse_empty(moved, self.numbers, self._report)
        return moved

    def _drawn(self) -> Control:
        moved, reference = self.fitted, self.reference
        drawer, numbers = self._drawer(), self.numbers
        # Without a known pose the slot shows the first frame's: the nearest thing to an empty wish.
        slot = reference if reference.people else pose.select(moved, (numbers[0],))

        def control(place: int) -> NDArray[np.uint8]:
            shown, index = (slot, 0) if place == 0 else (moved, numbers[place - 1] - moved.first)
            return drawer.draw(shown.points[index], shown.scores[index], shown.size)

        return control

    def _ready(self, maps: PoseMapSource) -> Control:
        reference, drawer, numbers = self.reference, self._drawer(), self.numbers
        size = self._job.settings.size
        # A model that is steered by another kind of picture knows no drawn poses.
        poses = reference.people > 0 and self._job.motion.palette != "any"

        def control(place: int) -> NDArray[np.uint8]:
            if place == 0 and poses:
                return drawer.draw(reference.points[0], reference.scores[0], reference.size)
            return maps.frame(numbers[max(place - 1, 0)], size)

        return control


def refuse_empty(track: PoseTrack, numbers: Sequence[int], report: Reporter) -> None:
    """Warn where pose maps would be black, since nobody is in the picture.

    Args:
        track: poses as they will be drawn.
        numbers: of the frames that are wanted.
        report: told in which of them nobody is.

    Raises:
        MotionError: nobody is in any of them.
    """
    wanted = set(numbers)
    empty = tuple(number for number in pose.empty_frames(track) if number in wanted)
    if not empty:
        return
    hint = (
        "Does the camera look away (--camera frame), is somebody else meant (--person), or does "
        "the motion leave the picture (--fit inside)?"
    )
    if len(empty) == len(wanted):
        raise MotionError(
            f"expected somebody in the picture, nobody is in any of the {len(empty)} frames",
            hint=hint,
        )
    report.log(
        f"nobody is in the picture in {len(empty)} of {len(wanted)} frames "
        f"({format_frames(empty)}): they will be empty. {hint}",
        warning=True,
    )


def reference_of(job: RenderJob, report: Reporter) -> PoseTrack:
    """Return the pose that a render lays its motion over; nothing of the motion is read.

    Args:
        job: of the render.
        report: told what was not found.

    Returns:
        What `Staged.reference` has: one frame in the render's size, or a track without people.

    Raises:
        CharacterError: the picture cannot be read, or is no doll though the model wants one.
        ModelError: a pose has to be detected, and the detector's networks are not there.
    """
    character, settings, detector = Path(job.character), job.settings, job.motion.detector
    if isinstance(settings, DollSettings):
        doll = open_doll(character, report.log, detector=detector)
        return cropped_pose(doll_pose(doll), settings.size)
    from marionext.diffusion import fit_character  # noqa: PLC0415 - torch

    picture = fit_character(read_picture(character).pixels, settings.size)
    return character_pose(character, picture, report, detector)


def character_pose(
    character: Path, picture: NDArray[np.uint8], report: Reporter, detector: str = "mediapipe"
) -> PoseTrack:
    """Return the pose of the character in its picture, or a track without people.

    A pose track beside the picture goes before detection: it is how a pose that no detector finds,
    or finds wrongly, is given by hand.

    Args:
        character: the picture's file, or the folder of a layered doll, which knows its pose.
        picture: (height, width, 3) as the model sees it: already cropped.
        report: told what was not found.
        detector: as in `MotionSource`.
    """
    height, width = picture.shape[:2]
    if is_layered(character):
        return cropped_pose(doll_pose(open_doll(character, report.log)), (width, height))
    beside = pose_beside(character)
    if beside is not None:
        return cropped_pose(read_track(beside), (width, height))
    from marionext import capture  # noqa: PLC0415 - loads a detector

    try:
        return capture.detect_picture(picture, detector=detector)
    except (CharacterError, ModelError, MotionError) as error:
        report.log(
            f"the pose of the character's picture is not known ({error.message}); "
            "the motion is placed without it",
            warning=True,
        )
        return PoseTrack(
            points=np.zeros((1, 0, 134, 2), np.float32),
            scores=np.zeros((1, 0, 134), np.float32),
            size=(width, height),
            rate=FrameRate(Fraction(1)),
        )


def cropped_pose(track: PoseTrack, size: tuple[int, int]) -> PoseTrack:
    """Bring the pose of a whole picture to the part that covers a frame, as the picture was."""
    resized, corner = crop_geometry(*track.size, size)
    scale = np.array(resized, np.float32) / np.array(track.size, np.float32)
    return track.with_(points=track.points * scale - np.array(corner, np.float32), size=size)
