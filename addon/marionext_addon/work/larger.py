# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the pictures of a finished render larger: a job of its own, in a folder beside it."""

import contextlib
from dataclasses import replace
from pathlib import Path

from marionext.errors import EngineError
from marionext.files import write_json
from marionext.jobs import UpscaleJob, encode_job, read_job
from marionext.settings import DEFAULT_INTERPOLATION, DEFAULT_UPSCALER

from . import shots
from .folders import FRAMES, JOB_FILE, larger_folder

__all__ = ["is_whole", "video_of", "write_larger"]


def write_larger(folder: Path, by: int, method: str, *, video: bool) -> Path:
    """Write the job that makes a render's pictures larger, and return its folder.

    The pictures lie there as a render's do, under the same numbers: what shows those shows these.

    Args:
        folder: of the render.
        by: how many times larger.
        method: as `UpscaleJob` has it; empty: what is best at that factor.
        video: whether one is made, too.

    Raises:
        EngineError: the render's shot cannot be read, or nothing can be written.
    """
    shot = shots.read_shot(folder)
    width, height = shot.size
    if not method:
        method = DEFAULT_UPSCALER if by == 2 else DEFAULT_INTERPOLATION
    # Relative, so that both may be moved together.
    job = UpscaleJob(
        source=f"../{folder.name}",
        output=FRAMES,
        by=by,
        method=method,
        videos=("mp4",) if video else (),
    )
    title = f"{shot.title or folder.name} \u00d7 {by}"
    larger = replace(shot, kind="LARGER", size=(by * width, by * height), title=title)
    target = larger_folder(folder)
    try:
        write_json(target / JOB_FILE, encode_job(job))
        shots.write_shot(larger, target)
    except EngineError:
        with contextlib.suppress(OSError):
            (target / JOB_FILE).unlink(missing_ok=True)
            target.rmdir()
        raise
    return target


def is_whole(folder: Path) -> bool:
    """Tell whether all pictures of such a folder are there, and its video.

    Raises:
        SettingsError: its job file or its shot cannot be read.
    """
    job, shot = read_job(folder / JOB_FILE), shots.read_shot(folder)
    wants_video = isinstance(job, UpscaleJob) and bool(job.videos)
    there = all((folder / FRAMES / f"{number:06d}.png").is_file() for number in shot.numbers)
    return there and (bool(video_of(folder)) or not wants_video)


def video_of(folder: Path) -> str:
    """Return the video in such a folder; empty: there is none."""
    return next((str(path) for path in sorted((folder / FRAMES).glob("*.mp4"))), "")
