# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill a job's folder with all that its render needs: then nobody needs the scene any more.

The folder holds the motion as keypoints, the joints they came from, the character's picture, what
of the scene it all is (``shot.json``), and the job file.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from marionext.errors import CharacterError
from marionext.files import write_bytes, write_json
from marionext.frames import FrameRange
from marionext.jobs import Job, encode_job
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native

from ..scene import filmed, preflight, recording, rig
from ..scene.choices import armatures, chosen_camera, groups_of_rays
from ..state.paths import absolute
from ..state.translations import say
from . import jobs, reference, shots
from .folders import JOB_FILE, MOTION_FILE
from .shots import Shot, on_its_own_numbers

__all__ = [
    "Preparation",
    "edits_that_idle",
    "file_that_ends",
    "filmed_names",
    "prepare",
    "prepared",
]

Preparation = Generator[recording.Progress, None, tuple[str, ...]]
"""Yields how far it is; its value is what there is to know about the shot, for people to read."""


def prepare(scene: Any, shot: Shot, folder: Path, *, patience: float | None = None) -> Preparation:
    """Make ready to fill a job's folder.

    The scene's settings are read, and a picture that is still to be made of the scene is rendered,
    before this returns: what the user changes from then on is for the next render. The motion is
    recorded by what is returned, in pieces that leave Blender free between them.

    Args:
        scene: to render.
        shot: what of it.
        folder: of the job.
        patience: seconds that a piece may take; None: all in one.

    Raises:
        EngineError: something is missing, or the folder cannot be written.
    """
    shots.write_shot(shot, folder)
    character = "" if shot.kind == "POSE_MAPS" else _take_character(scene, shot, folder)
    job = jobs.build_job(scene, shot, character)
    known = list(edits_that_idle(scene, shot))
    if filmed.is_filmed(scene):
        known += file_that_ends(scene, shot)
    told = tuple(finding.text for finding in known)
    return _fill(job, _record_motion(scene, shot, folder, patience=patience), folder, told)


def edits_that_idle(scene: Any, shot: Shot) -> Iterator[preflight.Finding]:
    """Yield which edits of a scene change nothing of a shot.

    Raises:
        EngineError: an edit cannot be made.
    """
    frames = FrameRange(shot.first, shot.numbers[-1] + 1)
    return preflight.of_edits(scene, shot.size, frames, shot.first, shot.last_frame)


def prepared() -> Preparation:
    """Return what has nothing left to do."""
    yield from ()
    return ()


def _fill(job: Job, motion: Preparation, folder: Path, more: tuple[str, ...]) -> Preparation:
    notes = yield from motion
    # Last, and no step after it: a folder with a job file is one that can be rendered.
    write_json(folder / JOB_FILE, encode_job(job))
    return (*more, *notes)


def _take_character(scene: Any, shot: Shot, folder: Path) -> str:
    """Copy the character's picture, with what lies beside it; return its name."""
    if scene.marionext.character_source == "SCENE":
        source = reference.current_picture(scene, shot)
        if source is None:
            chosen = scene.marionext.scene_picture_frame if scene.marionext.scene_picture else None
            reference.render_reference(scene, shot, folder / "character.png", frame=chosen)
            return "character.png"
    else:
        source = jobs.character_picture(scene)
    if source.is_dir():
        for file in (*source.rglob("*.png"), source / jobs.DOLL_FILE):
            _copy(file, folder / "character.doll" / file.relative_to(source))
        return "character.doll"
    name = f"character{source.suffix.lower()}"
    _copy(source, folder / name)
    for ending in (".pose.npz", ".mask.png"):
        beside = source.with_suffix(ending)
        if beside.is_file():
            _copy(beside, folder / f"character{ending}")
    return name


def _copy(source: Path, target: Path) -> None:
    try:
        content = source.read_bytes()
    except OSError as error:
        raise CharacterError(
            f"{source} cannot be read: {error.strerror or error}",
            hint="Choose another image in the sidebar's Character panel.",
        ) from None
    write_bytes(target, content)


def _record_motion(scene: Any, shot: Shot, folder: Path, *, patience: float | None) -> Preparation:
    """Make ready to record everybody in the shot; all of the scene's settings are read here.

    Raises:
        EngineError: a rig cannot be recorded; while it is done, also: a file cannot be written.
    """
    if filmed.is_filmed(scene):
        track = filmed.poses_at(
            scene, shot.times, shot.size, fit=shot.fit, rate=shot.rendered_rate, first=shot.first
        )
        return _filmed(track, shot, folder, as_it_is=scene.marionext.pose_fit == "none")
    steps = recording.record_in_steps(
        scene,
        rig.people_of(scene),
        recording.Moments(times=shot.times, rate=shot.rendered_rate, first=shot.first),
        shot.size,
        fit=shot.fit,
        frame=shot.frame,
        camera=chosen_camera(scene),
        rays=groups_of_rays(scene),
    )
    names = [armature.name for armature in armatures(scene)]
    as_it_is = scene.marionext.pose_fit == "none"
    return _pieces(steps, shot, folder, patience, names, as_it_is=as_it_is)


def _filmed(track: PoseTrack, shot: Shot, folder: Path, *, as_it_is: bool) -> Preparation:
    """Write the poses of a file; there is nothing to wait for."""
    yield recording.Progress(len(shot.times), len(shot.times))
    numbered = on_its_own_numbers(track, shot) if shot.step > 1 else track
    write_native(numbered, folder / MOTION_FILE)
    found = preflight.of_track(track, shot.times, filmed_names(track), as_it_is=as_it_is)
    return tuple(finding.text for finding in found)


def file_that_ends(scene: Any, shot: Shot) -> Iterator[preflight.Finding]:
    """Yield that the motion of a scene's file does not fill the range, where it does not.

    Raises:
        MotionError: its poses were not read yet.
    """
    end = filmed.last_frame(scene, filmed.track_of(scene))
    span = (float(scene.marionext.motion_start), float(end))
    name = absolute(scene.marionext.motion_file).name
    return preflight.of_span(name, span, shot.first, shot.last_frame)


def filmed_names(track: PoseTrack) -> list[str]:
    """Return what the people of a file are called."""
    if track.people == 1:
        return [say("The dancer")]
    return [say("Dancer {number}", number=number + 1) for number in range(track.people)]


def _pieces(
    steps: Generator[recording.Progress, None, recording.Recording],
    shot: Shot,
    folder: Path,
    patience: float | None,
    names: Sequence[str],
    *,
    as_it_is: bool,
) -> Preparation:
    due = time.perf_counter() + (patience or 0.0)
    try:
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                recorded: recording.Recording = end.value
                break
            if patience is not None and time.perf_counter() >= due:
                yield progress
                due = time.perf_counter() + patience
    finally:
        # Closed too when this generator is: the recording takes its temporary scene away.
        steps.close()
    with ThreadPoolExecutor(1) as writer:
        # A thread of numbers and files, which knows nothing of Blender.
        written = writer.submit(_write, recorded, shot, folder)
        while patience is not None and not written.done():
            yield recording.Progress(len(shot.times), len(shot.times))
        written.result()
    found = preflight.of_track(recorded.track, shot.times, names, as_it_is=as_it_is)
    return (*(finding.text for finding in found), *recorded.notes)


def _write(recorded: recording.Recording, shot: Shot, folder: Path) -> None:
    recorded.write(folder)
    if shot.step > 1:
        write_native(on_its_own_numbers(recorded.track, shot), folder / MOTION_FILE)
