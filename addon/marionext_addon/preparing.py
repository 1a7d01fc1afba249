# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill a job's folder with all that its render needs: then nobody needs the scene any more.

The folder holds the motion as keypoints, the joints they came from, the character's picture and the
job file.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from marionext.errors import EngineError, OutputError
from marionext.jobs import RenderJob, encode_job

from . import jobs, recording, reference
from .folders import JOB_FILE, Kind

__all__ = ["prepare"]


def prepare(
    scene: Any, folder: Path, kind: Kind, *, patience: float | None = None
) -> Iterator[float]:
    """Fill a job's folder: sample the motion, copy the character, write the job file.

    A generator, so that a long range does not stop Blender: each step yields how far it is, 0 to 1.

    Args:
        scene: to render.
        folder: of the job, empty.
        kind: of render.
        patience: seconds that a step may take; None: all in one.

    Raises:
        EngineError: the motion cannot be sampled, or the folder cannot be written.
    """
    shot = jobs.shot_of(scene, draft=kind == "DRAFT")
    character = "" if kind == "POSE_MAPS" else _take_character(scene, folder, shot.size)
    job = jobs.build_job(scene, shot, character, kind)
    yield from recording.record(scene, shot, folder, patience=patience)
    # Last: a folder with a job file is one that can be rendered.
    _write_job(job, folder)
    yield 1.0


def _take_character(scene: Any, folder: Path, size: tuple[int, int]) -> str:
    """Copy the character's picture, with its pose where that is known; return its name."""
    if scene.marionext.character_source == "SCENE" and not _has_picture(scene):
        reference.render_reference(scene, folder / "character.png", size)
        return "character.png"
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


def _has_picture(scene: Any) -> bool:
    with suppress(EngineError):
        return jobs.character_picture(scene).is_file()
    return False


def _write_job(job: RenderJob, folder: Path) -> None:
    """Write the job file; it appears whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / JOB_FILE
    part = path.with_suffix(".part")
    try:
        part.write_text(json.dumps(encode_job(job), indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="Is the disk full? Choose another output folder.",
        ) from None
