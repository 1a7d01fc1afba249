# SPDX-License-Identifier: GPL-3.0-or-later
"""Record evaluated armatures and the camera: from a scene to keypoints, frame by frame.

`record_in_steps` is a generator that does a little at a time, so that a timer can spread a long
shot over many ticks while the animator goes on working; `record` does all at once (background mode,
scripts). Both leave scene, frame, selection and undo as they were. Usually a temporary scene is
played; where that would not show the same (`reach`), the user's own.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.frames import FrameRate
from marionext.motion import (
    Camera,
    Figure,
    JointAnimation,
    RigMapping,
    project_people,
    write_animation,
)
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native

from . import cameras, own, reach, visibility
from .instances import chain_to
from .played import Cast, Played
from .rig import Person
from .skeletons import Snapshot, animation_of, skeleton_of
from .temporary import TemporaryScene

__all__ = [
    "NOTED_OWN",
    "Moments",
    "Progress",
    "Recording",
    "record",
    "record_in_steps",
]

NOTED_OWN = "recorded in the scene itself, since another would not show the same"
"""Begins the note that tells of it."""
_CHUNK = 16
"""Frames projected at a time: about two milliseconds together, hardly more than one alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """When to look."""

    times: tuple[Fraction, ...]
    """Frames of the scene, in order, with fractions for sub-frames."""
    rate: FrameRate
    """Of the result."""
    first: int
    """Number of the first frame of the result; the others follow one by one."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the recording is."""

    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """What was recorded."""

    animations: tuple[JointAnimation, ...]
    """One for each person, each with the camera."""
    mappings: tuple[RigMapping, ...]
    camera: Camera
    track: PoseTrack
    """Everybody's keypoints in pixels, with scores."""
    moments: Moments
    notes: tuple[str, ...]
    """What the recording had to leave out, for people to read."""

    def write(self, folder: Path) -> Path:
        """Write the keypoints, and each rig beside them.

        Returns:
            The pose track, which a job's motion points to: an animation holds one person only,
            and neither bones chosen by hand nor what rays have found.

        Raises:
            OutputError: the folder cannot be written to.
        """
        for number, animation in enumerate(self.animations, 1):
            write_animation(animation, folder / f"rig_{number}.npz")
        path = folder / "motion.npz"
        write_native(self.track, path)
        return path


def record(
    scene: Any,
    people: Sequence[Person],
    moments: Moments,
    size: tuple[int, int],
    *,
    fit: str = "CROP",
    frame: cameras.Frame | None = None,
    camera: Any = None,
    rays: frozenset[str] = frozenset(),
    may_move: bool = True,
) -> Recording:
    """Record a shot at once; see `record_in_steps`."""
    steps = record_in_steps(
        scene,
        people,
        moments,
        size,
        fit=fit,
        frame=frame,
        camera=camera,
        rays=rays,
        may_move=may_move,
    )
    while True:
        try:
            next(steps)
        except StopIteration as done:
            recording: Recording = done.value
            return recording


def record_in_steps(
    scene: Any,
    people: Sequence[Person],
    moments: Moments,
    size: tuple[int, int],
    *,
    fit: str = "CROP",
    frame: cameras.Frame | None = None,
    camera: Any = None,
    rays: frozenset[str] = frozenset(),
    may_move: bool = True,
) -> Generator[Progress, None, Recording]:
    """Make ready to record a shot a little at a time.

    Rigs, cameras, markers and the scene's frame are looked at before this returns. Closing the
    generator, or an error, takes everything temporary away.

    Args:
        scene: the user's scene.
        people: the armatures, mapped.
        moments: when to look.
        size: width and height of the picture in pixels.
        fit: what becomes of the scene's frame in it: ``CROP`` or ``LETTERBOX``.
        frame: the scene's, or None to take it as it is now.
        camera: a camera's object, or None for the scene's, with its markers.
        rays: groups of points whose visibility is found by rays through the scene's meshes:
            ``body``, ``hands``, ``face``. Slow: all meshes are evaluated in every frame.
        may_move: whether the user's own scene may be played where no other shows the same. If
            not, what depends on it is recorded as it stands.

    Returns:
        The generator; the recording is its value.

    Raises:
        MotionError: there is nobody or no camera, or something was deleted meanwhile.
    """
    if not people:
        raise MotionError("nobody to record: no armature is given", hint="Pick an armature.")
    seen_by = [cameras.current_camera(scene, float(time), camera) for time in moments.times]
    recorder = _Recorder(scene, people, moments, size)
    eyes = visibility.Eyes.of(scene, people, rays) if rays else None
    looking = list(dict.fromkeys(seen_by))
    armatures = [person.armature for person in people]
    cast = Cast.of(
        scene,
        armatures,
        looking,
        keys=recorder.keys,
        others=() if eyes is None else eyes.objects,
    )
    why = reach.reasons(scene, (*armatures, *looking), recorder.keys) if may_move else None
    numbers = [looking.index(each) for each in seen_by]
    notes = (*_notes(scene, people), *(() if eyes is None else visibility.notes(scene)))
    shown = frame or cameras.Frame.of(scene)

    def seen(eye: Any) -> cameras.Look:
        return cameras.look_of(shown, eye, size, fit)

    return _run(recorder, cast, why, eyes, numbers, seen, notes)


def _run(
    recorder: "_Recorder",
    cast: Cast,
    why: tuple[str, ...] | None,
    eyes: visibility.Eyes | None,
    numbers: Sequence[int],
    seen: Callable[[Any], cameras.Look],
    notes: tuple[str, ...],
) -> Generator[Progress, None, Recording]:
    """Read frame after frame; ``numbers`` says through which of the cameras.

    ``why`` tells why the user's own scene is played: None: it must not be.
    """
    times = recorder.moments.times
    total = len(times)
    if why == ():
        with TemporaryScene(cast) as tried:
            if own.differs(tried):
                why = ("a scene of the rig alone shows another pose",)
    if why:
        notes = (*notes, f"{NOTED_OWN}: {'; '.join(why[:3])}")
    with own.OwnScene(cast) if why else TemporaryScene(cast) as played:
        yield Progress(0, total)
        for time in played.before(times[0]):
            played.go(time)
            yield Progress(0, total)
        for done, (time, number) in enumerate(zip(times, numbers, strict=True), 1):
            graph = played.go(time)
            look = seen(played.camera(number).evaluated_get(graph))
            recorder.add(played, graph, look)
            if eyes is not None:
                rays_cast = eyes.look(played, recorder.now(), look)
                while True:
                    try:
                        next(rays_cast)
                    except StopIteration as end:
                        recorder.seen.append(end.value)
                        break
                    yield Progress(done - 1, total)
            yield Progress(done, total)
    return (yield from recorder.finished(notes))


class _Recorder:
    """What has been read so far."""

    def __init__(
        self, scene: Any, people: Sequence[Person], moments: Moments, size: tuple[int, int]
    ) -> None:
        self.mappings = tuple(person.mapping for person in people)
        self.sources = [str(person.armature.name) for person in people]
        self.skeletons = [skeleton_of(person, scene) for person in people]
        self.keys = [one.shape_key for one in self.skeletons if one.shape_key is not None]
        self.moments, self.size = moments, size
        self.frames: list[list[Snapshot]] = [[] for _ in people]
        self.looks: list[cameras.Look] = []
        self.seen: list[list[NDArray[np.float64]]] = []
        """For each frame, for each person: (134,)."""
        self._figures: list[Figure] = []

    def add(self, played: Played, graph: Any, look: cameras.Look) -> None:
        """Read one evaluated frame."""
        key = 0
        for number, skeleton in enumerate(self.skeletons):
            shapes = None
            if skeleton.shape_key is not None:
                shapes = played.key(key).evaluated_get(graph)
                key += 1
            evaluated = played.armature(number).evaluated_get(graph)
            self.frames[number].append(skeleton.read(evaluated, graph, shapes))
        self.looks.append(look)

    def _animations(self, frames: list[list[Snapshot]], **more: Any) -> list[JointAnimation]:
        return [
            animation_of(skeleton, part, rate=self.moments.rate, source=source, **more)
            for skeleton, part, source in zip(self.skeletons, frames, self.sources, strict=True)
        ]

    def now(self) -> list[tuple[JointAnimation, Figure]]:
        """Return everybody in the last frame."""
        latest = self._animations([part[-1:] for part in self.frames], first=0, camera=None)
        if not self._figures:
            self._figures = self._prepared(latest)
        return list(zip(latest, self._figures, strict=True))

    def _prepared(self, animations: Sequence[JointAnimation]) -> list[Figure]:
        pairs = zip(animations, self.mappings, strict=True)
        return [Figure.prepare(animation, mapping) for animation, mapping in pairs]

    def finished(self, notes: tuple[str, ...]) -> Generator[Progress, None, Recording]:
        """Project everything, a few frames at a time."""
        total = len(self.looks)
        camera = cameras.joined(self.looks)
        animations = self._animations(
            self.frames, first=self.moments.first, camera=camera, notes=notes
        )
        yield Progress(total, total)
        figures = self._prepared(animations)
        tracks = []
        for start in range(0, total, _CHUNK):
            part = slice(start, start + _CHUNK)
            cut = self._animations([frames[part] for frames in self.frames], first=0, camera=None)
            seen = (
                [
                    np.stack([shares[number] for shares in self.seen[part]])
                    for number in range(len(figures))
                ]
                if self.seen
                else []
            )
            tracks.append(
                project_people(
                    list(zip(cut, figures, strict=True)),
                    cameras.joined(self.looks[part]),
                    self.size,
                    seen=seen,
                )
            )
            yield Progress(total, total)
        track = PoseTrack(
            points=np.concatenate([part.points for part in tracks]),
            scores=np.concatenate([part.scores for part in tracks]),
            depths=np.concatenate([part.depths for part in tracks]),
            size=self.size,
            rate=self.moments.rate,
            first=self.moments.first,
        )
        return Recording(
            animations=tuple(animations),
            mappings=self.mappings,
            camera=camera,
            track=track,
            moments=self.moments,
            notes=notes,
        )


def _notes(scene: Any, people: Sequence[Person]) -> Iterator[str]:
    """Yield what will not be recorded as the animator sees it."""
    for person in people:
        armature = person.armature
        if scene not in armature.users_scene and not chain_to(scene, armature):
            yield f"{armature.name}: it is not in the scene {scene.name!r}"
        if armature.data.pose_position == "REST":
            yield f"{armature.name}: its pose position is Rest, so it stands still"
