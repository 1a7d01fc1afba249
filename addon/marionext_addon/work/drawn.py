# SPDX-License-Identifier: GPL-3.0-or-later
"""The keypoints of the moment as a render draws them: edited, laid over the character's picture.

A render lays its whole motion over the pose of the character. Here the same is done inside Blender:
the motion is recorded in the background (`measuring`), the engine is asked once for the
character's pose, and the two are fitted by the engine's own function. A frame that was recorded is
shown exactly as it will be drawn; one that was moved since is laid over the picture on its own,
until it has been recorded again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext import pose
from marionext.edits import PoseEdit
from marionext.errors import EngineError
from marionext.frames import FrameRate
from marionext.hosts.queue import Starting, Work
from marionext.jobs import encode_job
from marionext.pose import PoseTrack
from marionext.pose.skeleton import POINT_COUNT
from marionext.protocol import Failed, Referenced

from ..scene import choices, filmed, reach
from ..scene.edits import edits_of
from ..state.messages import without_commands
from ..state.translations import say
from . import engine, jobs, shots
from .edited import edited_pose, thinned
from .measuring import Measuring
from .reference import character_of
from .runner import runner

__all__ = ["Drawn"]

Keypoints = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Points (people, 134, 2) in pixels of the render's picture and scores (people, 134)."""

_SAME = 0.25
"""Pixels: a pose this near to the recorded one is that one."""
_FEW = 48
"""Poses that a fit which rebuilds a figure is measured on while the figure is being moved."""
_PATIENCE = 180.0
"""Seconds that an engine may take to start and to find a pose."""
_ONE = FrameRate(Fraction(1))


class Drawn:
    """Knows how a render of a scene draws its poses; what is slow is done in `step`."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._measuring = Measuring("RENDER", rays=True)
        self._character = _CharacterPose()
        self._empty = _pose_of((1, 1), (), ())
        """Stands for the character where its pose does not matter."""
        self._numbered: tuple[object, shots.Shot, PoseTrack] | None = None
        """The motion with each pose at its number, of which shot, and what it was made of."""
        self._placed: _Placed | None = None
        self._looked: tuple[float, bytes] = (0.0, b"")
        """Frame and pose that were asked about last."""
        self._as_it_stands: tuple[int, str] = (0, "")
        """For which recording it was found out why it may not show what the scene does."""
        self.message, self.hint = "", ""
        """What there is to know, for people to read: what is still missing, or what is doubtful."""

    def close(self) -> None:
        """Leave nothing behind; the engine goes when it has been idle for a while."""
        self._measuring.close()
        runner.wake()

    @property
    def busy(self) -> bool:
        """Whether there is more to be recorded at once."""
        return self._measuring.busy

    def note_change(self) -> None:
        """Have the motion recorded again after a moment of rest: it may have been changed."""
        if not self._measuring.busy:
            self._measuring.note_change()

    def step(self, scene: Any) -> bool:
        """Do a little of what there is to do; call it from a timer while nothing plays.

        Returns:
            Whether there is something new to be seen.
        """
        before = self.message, self.hint, self._placed
        try:
            self._step(scene)
        except EngineError as error:
            self.message, self.hint = error.message, error.hint or ""
            self._placed = None
        return before != (self.message, self.hint, self._placed)

    def _step(self, scene: Any) -> None:
        if self._measuring.busy and not self._measuring.step(scene):
            # What was placed before is shown meanwhile.
            if self._placed is None:
                self.message, self.hint = self._recording(), ""
            return
        shot = shots.shot_of(scene, "RENDER")
        motion = self._recorded(scene)
        edits, mode = edits_of(scene, shot.size), scene.marionext.pose_fit
        reference = self._nobody(shot.size) if mode == "none" else self._character.of(scene, shot)
        if motion is None or self._numbered is None:
            self.message, self.hint = self._recording(), ""
        elif reference is None:
            self.message, self.hint = "Asking the engine for the character's pose", ""
        else:
            asked = (scene.name, self._numbered[1], motion, edits, reference, mode)
            if self._placed is None or self._placed.asked != asked:
                self._placed = _Placed.of(*asked)
            self.message, self.hint = self._doubt(scene, mode, edits), ""

    def _recording(self) -> str:
        done = self._measuring.done
        return f"Recording the motion {done.done}/{done.total}"

    def _nobody(self, size: tuple[int, int]) -> PoseTrack:
        """Return a reference that says nothing but the size."""
        if self._empty.size != size:
            self._empty = self._empty.with_(size=size)
        return self._empty

    def _recorded(self, scene: Any) -> PoseTrack | None:
        """Return the motion on its own numbers; None: it is still to be recorded."""
        self._measuring.step(scene)
        if self._measuring.failed is not None:
            raise self._measuring.failed
        track, shot = self._measuring.track, self._measuring.shot
        if track is None or shot is None:
            return None
        if self._numbered is None or self._numbered[0] is not track:
            numbered = shots.on_its_own_numbers(track.with_(first=shot.first), shot)
            self._numbered = track, shot, numbered
        return self._numbered[2]

    def _doubt(self, scene: Any, mode: str, edits: tuple[PoseEdit, ...]) -> str:
        """Say why a render may show another motion than the one recorded in the background."""
        if filmed.is_filmed(scene):
            return ""
        if self._as_it_stands[0] != self._measuring.count:
            camera = choices.camera_of(scene)
            eyes = [] if camera is None else [camera]
            found = reach.reasons(scene, (*choices.armatures(scene), *eyes))
            self._as_it_stands = self._measuring.count, "; ".join(found[:2])
        why = self._as_it_stands[1]
        if not why or (mode == "none" and not edits):
            return ""
        return say("Placed without playing the scene, which a render does: {why}", why=why)

    # ------------------------------------------------------------------------------ what is drawn

    def at(self, scene: Any, now: Keypoints, size: tuple[int, int]) -> Keypoints | None:
        """Return the keypoints of the current frame as a render draws them, or None.

        Args:
            scene: which is shown.
            now: what the camera sees at this moment, before edits and fit.
            size: of the render's picture.
        """
        placed = self._placed
        if placed is None or placed.scene != scene.name:
            return None
        points, scores = now
        if placed.motion.size != size or len(points) != placed.motion.people:
            return None
        number = placed.number_at(scene.frame_current + Fraction(float(scene.frame_subframe)))
        row = int(number // 1) - placed.motion.first
        whole = number.denominator == 1 and int(number) in placed.shot.numbers
        recorded = whole and _is_near(points, placed.motion.points[row], scores)
        self._watch(float(number), points, recorded=recorded)
        try:
            return placed.row(row) if recorded else placed.moved(points, scores, row)
        except EngineError:
            return None  # the next step says why

    def _watch(self, frame: float, points: NDArray[np.float32], *, recorded: bool) -> None:
        """Notice a pose that has changed while the timeline has not."""
        looked = frame, np.round(points, 1).tobytes()
        if not recorded and looked[0] == self._looked[0] and looked[1] != self._looked[1]:
            self.note_change()
        self._looked = looked


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A motion as a render draws it."""

    scene: str
    shot: shots.Shot
    motion: PoseTrack
    """As recorded, each pose at its number."""
    edits: tuple[PoseEdit, ...]
    reference: PoseTrack
    mode: pose.FitMode
    track: PoseTrack
    """The same, edited and laid over the reference."""

    @classmethod
    def of(
        cls,
        scene: str,
        shot: shots.Shot,
        motion: PoseTrack,
        edits: tuple[PoseEdit, ...],
        reference: PoseTrack,
        mode: pose.FitMode,
    ) -> "_Placed":
        edited = pose.apply(motion, edits)
        track = pose.fit(edited, reference, mode, measured=motion).track
        return cls(scene, shot, motion, edits, reference, mode, track)

    @property
    def asked(self) -> tuple[object, ...]:
        """What it was made of, as `of` takes it."""
        return self.scene, self.shot, self.motion, self.edits, self.reference, self.mode

    def number_at(self, frame: Fraction) -> Fraction:
        """Return the number, maybe between two, of a frame of the scene."""
        return self.shot.first + (frame - self.shot.first) * self.shot.per_frame

    def row(self, row: int) -> Keypoints:
        """Return the pose of a number as it was recorded."""
        return self.track.points[row], self.track.scores[row]

    def moved(
        self, points: NDArray[np.float32], scores: NDArray[np.float32], row: int
    ) -> Keypoints:
        """Return a pose that was moved since, in the place of the one that was recorded."""
        motion = self.motion
        now = PoseTrack(
            points=points[None],
            scores=scores[None],
            size=motion.size,
            rate=motion.rate,
            first=motion.first + row,
        )
        edited = edited_pose(now, self.edits, motion)
        points, scores = edited.points[0], edited.scores[0]
        few = motion if self.mode == "linear" else thinned(motion, _FEW)
        return pose.fit_pose(points, scores, self.reference, self.mode, few), scores


def _pose_of(size: tuple[int, int], points: Sequence[Any], scores: Sequence[Any]) -> PoseTrack:
    return PoseTrack(
        points=np.array(points, np.float32).reshape(1, -1, POINT_COUNT, 2),
        scores=np.array(scores, np.float32).reshape(1, -1, POINT_COUNT),
        size=size,
        rate=_ONE,
    )


def _is_near(
    points: NDArray[np.float32], recorded: NDArray[np.float32], scores: NDArray[np.float32]
) -> bool:
    seen = scores > 0
    return bool(np.abs(points - recorded)[seen].max(initial=0.0) < _SAME)


class _CharacterPose:
    """The pose that a render lays its motion over; the engine is asked once for each picture."""

    def __init__(self) -> None:
        self._form: object = None
        """What was asked about."""
        self._work: Work | None = None
        self._asked_at = 0.0
        self._track: PoseTrack | None = None
        self._failed: EngineError | None = None

    def of(self, scene: Any, shot: shots.Shot) -> PoseTrack | None:
        """Return the pose; None: the engine is still to answer.

        Raises:
            EngineError: there is no picture, no engine, or nobody in the picture.
        """
        picture = character_of(scene, "RENDER")
        form = (picture, _stamp(picture), choices.model_of(scene), shot.size)
        if form != self._form:
            self._form, self._work, self._track, self._failed = form, None, None, None
        if self._work is not None:
            self._read(self._work, shot.size)
        elif self._track is None and self._failed is None:
            self._asked_at = time.monotonic()
            self._work = Starting(
                partial(
                    runner.engine.ask_reference,
                    encode_job(jobs.build_job(scene, shot, str(picture))),
                    command=engine.find().call("worker"),
                    environment=engine.environment(),
                )
            )
        if self._failed is not None:
            raise self._failed
        return self._track

    def _read(self, work: Work, size: tuple[int, int]) -> None:
        for event in work.poll():
            if isinstance(event, Referenced):
                self._track = _pose_of((event.width, event.height), event.points, event.scores)
                if self._track.size != size:
                    self._track = None
                    self._failed = EngineError("the engine renders another size than was asked for")
            elif isinstance(event, Failed):
                self._failed = EngineError(
                    without_commands(event.message), hint=without_commands(event.hint or "") or None
                )
            else:
                continue
            self._work = None
            runner.wake()  # so that an engine which is idle is let go again
            return
        if time.monotonic() - self._asked_at > _PATIENCE:
            self._work = None
            self._failed = EngineError(
                "the engine gives no answer about the character's pose",
                hint="Is it older than this add-on? Update it, then switch this off and on again.",
            )


def _stamp(picture: Path) -> tuple[float, ...]:
    """Return what changes when the picture does, or what lies beside it."""
    beside = (picture.with_suffix(ending) for ending in (".pose.npz", ".mask.png"))
    files = (picture, picture / jobs.DOLL_FILE, *beside)
    return tuple(file.stat().st_mtime if file.exists() else 0.0 for file in files)
