# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a shot before it is rendered: a few of its poses are looked at, and the engine is asked.

What the poses tell is there at once; what a render takes is told by the engine, which may have to
be started first: a timer waits for it.
"""

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from marionext.files import temporary_folder
from marionext.jobs import RenderJob, encode_job
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native
from marionext.protocol import Failed, Planned

from ..scene import filmed, preflight, reach, recording, rig
from ..scene.choices import armatures, camera_of, chosen_camera, groups_of_rays
from ..scene.edits import edits_of
from ..state import changes
from ..state.messages import without_commands
from ..state.translations import say
from . import engine, folders, jobs, preparing, shots
from .edited import edited_poses
from .runner import runner
from .shots import Shot

__all__ = ["check", "closely", "is_current", "register", "unregister"]

_POSES = 12
"""Looked at when a render is started: a tenth of a second of a Rigify rig."""
_CLOSE_POSES = 48
"""Looked at when somebody asks."""
_INTERVAL = 0.2

_asked: list[tuple[Any, tempfile.TemporaryDirectory[str], str]] = []
"""The question under way, the folder of its files, and what it is about."""


def check(scene: Any, shot: Shot, *, poses: int = _POSES) -> list[preflight.Finding]:
    """Look at a few poses of a shot, and keep what they tell for the panel.

    Raises:
        EngineError: a rig cannot be recorded.
    """
    found = list(preparing.edits_that_idle(scene, shot))
    if filmed.is_filmed(scene):
        found += _looked_at_file(scene, shot)
        _keep(scene, found)
        return found
    people = armatures(scene)
    found += preflight.of_actions(people, shot.first, shot.last_frame)
    eyes = [] if camera_of(scene) is None else [camera_of(scene)]
    asked = poses == _CLOSE_POSES
    if asked or not reach.reasons(scene, (*people, *eyes)):
        # What is played in the user's scene moves the timeline: only where it was asked for.
        found += _looked_at(scene, shot, poses, may_move=asked)
    _keep(scene, found)
    return found


def _keep(scene: Any, found: list[preflight.Finding]) -> None:
    """Bring what was found to the panel."""
    session = bpy.context.window_manager.marionext
    session.findings.clear()
    for finding in found:
        item = session.findings.add()
        item.text, item.pointless = finding.text, finding.pointless
    session.checked, session.estimate = _form(scene), ""


def _looked_at_file(scene: Any, shot: Shot) -> list[preflight.Finding]:
    track = filmed.poses_at(
        scene, shot.times, shot.size, fit=shot.fit, rate=shot.rendered_rate, first=shot.first
    )
    track = edited_poses(track, shot.numbers, edits_of(scene, shot.size))
    as_it_is = scene.marionext.pose_fit == "none"
    names = preparing.filmed_names(track)
    return [
        *preparing.file_that_ends(scene, shot),
        *preflight.of_track(track, shot.times, names, as_it_is=as_it_is),
    ]


def _looked_at(scene: Any, shot: Shot, poses: int, *, may_move: bool) -> list[preflight.Finding]:
    places = np.unique(np.linspace(0, len(shot.times) - 1, poses).round().astype(int))
    times = tuple(shot.times[place] for place in places)
    recorded = recording.record(
        scene,
        rig.people_of(scene),
        recording.Moments(times=times, rate=shot.rendered_rate, first=shot.first),
        shot.size,
        fit=shot.fit,
        frame=shot.frame,
        camera=chosen_camera(scene),
        rays=groups_of_rays(scene),
        may_move=may_move,
    )
    names = [armature.name for armature in armatures(scene)]
    numbers = [shot.numbers[place] for place in places]
    track = edited_poses(recorded.track, numbers, edits_of(scene, shot.size))
    as_it_is = scene.marionext.pose_fit == "none"
    found = preflight.of_track(track, times, names, as_it_is=as_it_is)
    if len(times) == len(shot.times):
        return list(found)
    # Counts are of the poses that were looked at, and say so.
    return [
        replace(each, text=say("Of {count} poses: {what}", count=len(times), what=each.text))
        for each in found
    ]


def closely(scene: Any) -> list[preflight.Finding]:
    """Look at many poses, and ask the engine what a render takes.

    Raises:
        EngineError: something that a render needs is missing; the message says what.
    """
    jobs.check(scene, "RENDER")
    shot = shots.shot_of(scene, "RENDER")
    found = check(scene, shot, poses=_CLOSE_POSES)
    _ask(scene, shot)
    return found


def is_current(scene: Any) -> bool:
    """Tell whether what was checked last is the shot as its settings are now."""
    session = bpy.context.window_manager.marionext
    return bool(session.checked) and session.checked == _form(scene)


def _form(scene: Any) -> str:
    """Return in a word what a check depends on, as far as settings tell."""
    shot = shots.shot_of(scene, "RENDER")
    camera = camera_of(scene)
    parts = (
        *(scene.name, shot.first, shot.last_frame, shot.step, shot.rate, shot.size, shot.fit),
        *(shot.frame, camera.name if camera else "", scene.marionext.pose_fit),
        *(scene.marionext.model, scene.marionext.quality, scene.marionext.steps),
        *(armature.name for armature in armatures(scene)),
        *(scene.marionext.motion_source, scene.marionext.motion_track),
        scene.marionext.motion_start,
        *((edit.enabled, edit.kind, edit.path) for edit in scene.marionext.edits),
        *((edit.limited, edit.start, edit.end) for edit in scene.marionext.edits),
        *(
            (sorted(edit.limbs), edit.person, *edit.by, *edit.scale)
            for edit in scene.marionext.edits
        ),
    )
    return repr(parts)


# --------------------------------------------------------------------------- what a render takes


def _ask(scene: Any, shot: Shot) -> None:
    """Ask the engine for the figures of a render; they come to the session when they are there."""
    _forget()
    files = temporary_folder("marionext-check-")
    path = Path(files.name) / folders.MOTION_FILE
    # Of the motion only its frames and rate count.
    count = shot.numbers[-1] - shot.first + 1
    write_native(
        PoseTrack(
            points=np.zeros((count, 1, 134, 2), dtype=np.float32),
            scores=np.zeros((count, 1, 134), dtype=np.float32),
            size=shot.size,
            rate=shot.rate,
            first=shot.first,
        ),
        path,
    )
    root = str(folders.output_root(scene))
    job = jobs.build_job(scene, shot, "character.png")
    assert isinstance(job, RenderJob)
    job = replace(
        job,
        motion=replace(job.motion, path=str(path)),
        output=replace(job.output, directory=root),
    )
    work = runner.engine.ask_plan(
        encode_job(job),
        engine.engine_settings(),
        command=engine.find().call("worker"),
        environment=engine.environment(),
    )
    _asked.append((work, files, _form(scene)))
    bpy.context.window_manager.marionext.estimate = say("Asking the engine what it takes ...")
    if not bpy.app.timers.is_registered(_follow):
        bpy.app.timers.register(_follow, first_interval=_INTERVAL, persistent=True)


def _follow() -> float | None:
    if not _asked:
        return None
    work, _, form = _asked[0]
    session = bpy.context.window_manager.marionext
    for event in work.poll():
        if isinstance(event, Planned):
            told = _estimate(event.outline)
        elif isinstance(event, Failed):
            told = without_commands(event.message)
        else:
            continue
        _forget()
        runner.wake()  # so that an engine which is idle is let go again
        if session.checked == form:
            session.estimate = told
            changes.jobs_changed.tell()
        return None
    return _INTERVAL


def _estimate(outline: dict[str, Any]) -> str:
    memory = min(outline["device_gib"].values(), default=outline["host_gib"])
    lines = [
        say(
            "{frames} frames: about {time} ({source}).",
            frames=outline["frames"], time=_duration(outline["seconds"]),
            source=say(outline["seconds_from"]),
        ),
        say(
            "Memory from {memory} GiB, disk {disk} MiB of {free} MiB free.",
            memory=f"{memory:.1f}", disk=round(outline["disk_mib"]),
            free=round(outline["free_disk_mib"]),
        ),
    ]  # fmt: skip
    if outline["disk_mib"] > outline["free_disk_mib"]:
        lines.append(say("The disk has not enough room: choose another Output."))
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _forget() -> None:
    while _asked:
        _, files, _ = _asked.pop()
        with contextlib.suppress(OSError):
            files.cleanup()


def register() -> None:
    """Begin with nothing asked."""


def unregister() -> None:
    """Leave nothing behind."""
    if bpy.app.timers.is_registered(_follow):
        bpy.app.timers.unregister(_follow)
    _forget()
