"""Show another take of frames in the folder of a finished render."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from marionext.backends import Renderers
from marionext.casting import read_picture
from marionext.errors import OutputError, SettingsError
from marionext.frames import format_frames, parse_frames
from marionext.jobs import EngineSettings, RenderJob, TakeJob, decode_job
from marionext.output import RenderFolder
from marionext.reporting import Reporter
from marionext.runs.result import Result
from marionext.runs.videos import make_videos, result_files
from marionext.sources import open_motion
from marionext.staging import Staged

__all__ = ["show_take"]


def show_take(
    job: TakeJob, _engine: EngineSettings, report: Reporter, _renderers: Renderers
) -> Result:
    """Show the frames of a take, and make the videos again of what is shown then.

    Raises:
        OutputError: the folder is no render, or the take lacks some of the frames.
        MotionError: the motion that the videos are made for is gone.
    """
    warn = partial(report.log, warning=True)
    with RenderFolder(Path(job.directory), None, warn=warn) as folder:
        own = sorted(map(int, folder.record.take_frames(job.take)))
        numbers = parse_frames(job.frames) if job.frames is not None else tuple(own)
        if not numbers:
            begun = any(take.number == job.take for take in folder.record.takes)
            raise OutputError(
                f"take {job.take} of {folder.path} is not finished"
                if begun
                else f"{folder.path} has no take {job.take}",
                hint="Give the command that it was begun with again." if begun else None,
            )
        try:
            made = decode_job(folder.record.job)
        except SettingsError as error:
            raise OutputError(
                f"the job in {folder.path} cannot be read: {error.message}", hint=error.hint
            ) from None
        assert isinstance(made, RenderJob)
        # The folder may have been moved since.
        made = replace(made, output=replace(made.output, directory=str(folder.path)))
        folder.claim(result_files(made, folder.record.numbers))
        # All that the videos need is opened before a frame is switched.
        staged = Staged(made, open_motion(made.motion), read_picture(Path(made.character)), report)
        unfinished = folder.record.stage.name != "finished"
        changed = folder.show(job.take, numbers)
        if not changed:
            report.log(f"frames {format_frames(numbers)} are of take {job.take} already")
        videos = make_videos(made, staged, folder, report, changed=bool(changed) or unfinished)
        folder.finish(folder.record.job, report.said)
    return Result(folder.path, len(folder.record.numbers), videos)
