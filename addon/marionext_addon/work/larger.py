# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the pictures of a finished render larger: a job of its own, in a folder beside it."""

import contextlib
from dataclasses import replace
from pathlib import Path

from marionext.errors import EngineError, SettingsError
from marionext.files import write_json
from marionext.jobs import UpscaleJob, encode_job, read_job
from marionext.settings import DEFAULT_INTERPOLATION, DEFAULT_UPSCALER

from . import shots
from .folders import FRAMES, JOB_FILE, larger_folder

__all__ = ["video_of", "wants_video", "write_larger"]

_UPSCALERS_FACTOR = 2


def write_larger(folder: Path, by: int, method: str, *, video: bool) -> Path:
    """Write the job that makes a render's pictures larger, and return its folder.

    The pictures lie there as a render's do, under the same numbers: what shows those shows these.

    Args:
        folder: of the render.
        by: how many times larger.
        method: as `UpscaleJob` has it; empty: what is best at that factor.
        video: whether one is made, too.

    Raises:
        EngineError: the render's shot cannot be read, the method has another factor, or nothing
            can be written.
    """
    if method == DEFAULT_UPSCALER and by != _UPSCALERS_FACTOR:
        raise SettingsError(
            f"expected {_UPSCALERS_FACTOR} times for the model Upscaler, got {by}",
            hint="Take Lanczos for that, or make what it made larger once more.",
        )
    shot = shots.read_shot(folder)
    width, height = shot.size
    if not method:
        method = DEFAULT_UPSCALER if by == _UPSCALERS_FACTOR else DEFAULT_INTERPOLATION
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


def wants_video(folder: Path) -> bool:
    """Tell whether such a folder is to hold a video, too.

    Raises:
        SettingsError: its job file cannot be read.
    """
    job = read_job(folder / JOB_FILE)
    return isinstance(job, UpscaleJob) and bool(job.videos)


def video_of(folder: Path) -> str:
    """Return the video in such a folder; empty: there is none."""
    return next((str(path) for path in sorted((folder / FRAMES).glob("*.mp4"))), "")
