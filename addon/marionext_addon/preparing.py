# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill a job's folder with all that its render needs: then nobody needs the scene any more.

The folder holds the motion as keypoints, the joints they came from, the character's picture, what
of the scene it all is (``shot.json``), and the job file.
"""

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

from marionext.errors import OutputError
from marionext.jobs import RenderJob, encode_job

from . import jobs, recording, reference, shots
from .folders import JOB_FILE, write_json
from .shots import Shot

__all__ = ["Preparation", "prepare"]

Preparation = Generator[float, None, tuple[str, ...]]
"""Yields how far it is, 0 to 1; its value is what had to be left out, for people to read."""


def prepare(scene: Any, shot: Shot, folder: Path, *, patience: float | None = None) -> Preparation:
    """Make ready to fill a job's folder.

    The scene's settings are read, and a picture that is still to be made of the scene is rendered,
    before this returns: what the user changes from then on is for the next render. The motion is
    sampled by what is returned, in pieces that leave Blender free between them.

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
    return _fill(job, recording.record(scene, shot, folder, patience=patience), folder)


def _fill(job: RenderJob, motion: Preparation, folder: Path) -> Preparation:
    notes = yield from motion
    # Last, and no step after it: a folder with a job file is one that can be rendered.
    write_json(folder / JOB_FILE, encode_job(job))
    return notes


def _take_character(scene: Any, shot: Shot, folder: Path) -> str:
    """Copy the character's picture, with its pose where that is known; return its name."""
    if scene.marionext.character_source == "SCENE":
        source = reference.current_picture(scene, shot)
        if source is None:
            chosen = scene.marionext.scene_picture_frame if scene.marionext.scene_picture else None
            reference.render_reference(scene, shot, folder / "character.png", frame=chosen)
            return "character.png"
    else:
        source = jobs.character_picture(scene)
    name = f"character{source.suffix.lower()}"
    try:
        shutil.copyfile(source, folder / name)
        beside = source.with_suffix(".pose.npz")
        if beside.is_file():
            shutil.copyfile(beside, folder / "character.pose.npz")
    except OSError as error:
        raise OutputError(
            f"{source.name} cannot be copied to {folder}: {error.strerror or error}",
            hint="Is the disk full? Choose another output folder.",
        ) from None
    return name
