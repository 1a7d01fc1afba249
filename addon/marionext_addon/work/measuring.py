# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion of a shot, recorded in small pieces while somebody works, for what is measured on it.

A render fits its motion as a whole. What shows a pose as a render will draw it measures the fit on
the same poses: they are recorded when they are first wanted, and again when settings or, after a
moment of rest, poses or animation have changed. What is drawn meanwhile goes by those before.
"""

import time
from collections.abc import Generator
from fractions import Fraction
from typing import Any

import bpy
import numpy as np

from marionext.errors import EngineError
from marionext.frames import FrameRate
from marionext.pose import PoseTrack

from ..scene import cameras, choices, filmed, recording, rig
from . import shots
from .folders import Kind

__all__ = ["Measuring", "is_same"]

_REST = 1.0
"""Seconds without a change after which the animation counts as made."""
_LOOKS = 0.1
"""Seconds between two looks at the settings, which read the presets' files."""
_PATIENCE = 0.01
"""Seconds of recording between two looks."""


class Measuring:
    """The poses of a scene's rigs, or of its file, over the range, as they were recorded last.

    Args:
        kind: of shot: its size is that of the picture.
        most: poses, evenly spread over the range; None: all of them. It may be changed later.
        rays: whether joints that meshes hide are found where the settings want it: slow.
    """

    def __init__(self, kind: Kind, *, most: int | None = None, rays: bool = False) -> None:
        """Know nothing yet."""
        self._kind: Kind = kind
        self.most = most
        self._rays = rays
        self._form: object = None
        """What the poses were recorded for."""
        self._looks_at = 0.0
        """When settings are looked at next, on the monotonic clock."""
        self._steps: Generator[recording.Progress, None, None] | None = None
        self.shot: shots.Shot | None = None
        """What the poses are of."""
        self.track: PoseTrack | None = None
        """One pose for each time, or for some of them, numbered from 0."""
        self.count = 0
        """Recordings so far."""
        self.changed = 0.0
        """When the motion was changed, on the monotonic clock; 0: not since it was recorded."""
        self.failed: EngineError | None = None
        """What stood in the way last; None: nothing."""
        self.done = recording.Progress(0, 1)
        """How far the recording under way is."""

    @property
    def busy(self) -> bool:
        """Whether poses are being recorded."""
        return self._steps is not None

    def note_change(self) -> None:
        """Have the poses recorded again after a moment of rest."""
        self.changed = time.monotonic()

    def step(self, scene: Any) -> bool:
        """Record a little, if there is something to record.

        Returns:
            Whether a recording has come to its end; the track is another one only if poses are. One
            that has failed is not tried again until something changes.
        """
        if self._steps is None:
            now = time.monotonic()
            if now < self._looks_at:
                return False
            self._looks_at = now + _LOOKS
            form = _form(scene, self._kind, most=self.most, rays=self._rays)
            rests = self.changed and now - self.changed > _REST
            if form == self._form and not (rests and not _is_playing()):
                return False
            self._form, self.changed, self.failed = form, 0.0, None
            self._steps = self._record(scene)
        due = time.perf_counter() + _PATIENCE
        try:
            while time.perf_counter() < due:
                self.done = next(self._steps)
        except StopIteration:
            self._steps = None
            return True
        except EngineError as error:
            self._steps, self.failed = None, error
            return True
        return False

    def close(self) -> None:
        """Take everything temporary away."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def _record(self, scene: Any) -> Generator[recording.Progress, None, None]:
        shot = shots.shot_of(scene, self._kind)
        times = _spread(shot.times, self.most)
        if filmed.is_filmed(scene):
            rate = _rate(times, shot)
            poses = filmed.poses_at(scene, times, shot.size, fit=shot.fit, rate=rate, first=0)
            self._keep(shot, poses)
            yield recording.Progress(len(times), len(times))
            return
        steps = recording.record_in_steps(
            scene,
            rig.people_of(scene),
            recording.Moments(times=times, rate=_rate(times, shot), first=0),
            shot.size,
            fit=shot.fit,
            frame=shot.frame,
            camera=choices.chosen_camera(scene),
            rays=choices.groups_of_rays(scene) if self._rays else frozenset(),
            may_move=False,
        )
        # Closed too when this generator is: the recording takes its temporary scene away.
        recorded = yield from steps
        self._keep(shot, recorded.track)

    def _keep(self, shot: shots.Shot, track: PoseTrack) -> None:
        self.count += 1
        if self.track is None or self.shot != shot or not is_same(self.track, track):
            self.shot, self.track = shot, track


def is_same(track: PoseTrack, other: PoseTrack) -> bool:
    """Tell whether two tracks have the same poses, to a hundredth of a pixel."""
    return (
        (track.size, track.points.shape) == (other.size, other.points.shape)
        and np.allclose(track.points, other.points, atol=0.01)
        and np.allclose(track.scores, other.scores, atol=0.01)
    )


def _spread(times: tuple[Fraction, ...], most: int | None) -> tuple[Fraction, ...]:
    """Return at most so many of the times, evenly spread, the first and the last among them."""
    if most is None or len(times) <= most:
        return times
    last = len(times) - 1
    return tuple(times[round(n * last / (most - 1))] for n in range(most))


def _rate(times: tuple[Fraction, ...], shot: shots.Shot) -> FrameRate:
    """Return how many of the times a second has."""
    if len(times) < 2:
        return shot.rate
    return FrameRate((len(times) - 1) / (times[-1] - times[0]) * shot.scene_rate.fraction)


def _form(scene: Any, kind: Kind, *, most: int | None, rays: bool) -> object:
    """Return what changes with every setting that the poses depend on."""
    settings = scene.marionext
    chosen = choices.chosen_camera(scene)
    # Where markers switch the scene's camera, it is another one from frame to frame.
    marked = tuple(
        (marker.frame, marker.camera.name)
        for marker in scene.timeline_markers
        if marker.camera is not None
    )
    looking = scene.camera.name if scene.camera is not None and not marked else None
    people = tuple(
        (person.armature.name_full, person.preset) for _, person in choices.people(scene)
    )
    return (
        scene.name,
        people,
        filmed.form_of(scene),
        most,
        choices.frame_numbers(scene),
        choices.frame_rate(scene),
        choices.scene_rate(scene),
        choices.render_size(scene, draft=kind == "DRAFT"),
        cameras.Frame.of(scene),
        settings.fit,
        None if chosen is None else chosen.name,
        marked or looking,
        choices.groups_of_rays(scene) if rays else None,
    )


def _is_playing() -> bool:
    windows = bpy.context.window_manager.windows
    return any(window.screen.is_animation_playing for window in windows)
