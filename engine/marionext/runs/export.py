"""A video, or a sequence of pictures, of frames that several renders have left."""

from fractions import Fraction
from functools import partial
from pathlib import Path

from marionext.backends import Renderers
from marionext.errors import OutputError
from marionext.files import replacing_folder
from marionext.frames import frame_name, parse_frames
from marionext.jobs import EngineSettings, ExportJob
from marionext.output import Pictures, Sound, encode_video, write_png
from marionext.paths import check_name, refuse_overlap
from marionext.reporting import Reporter
from marionext.runs.result import Result

__all__ = ["export"]

_MOST_NAMED = 5


def export(
    job: ExportJob, engine: EngineSettings, report: Reporter, _renderers: Renderers
) -> Result:
    """Write pictures that are there as a video or a sequence: as many frames as pictures.

    Raises:
        OutputError: a picture is missing, or the result is there already or cannot be written.
        JobCancelled: the host wants the job to stop; nothing is left behind.
    """
    output = Path(job.output)
    paths = _files(job)
    reads = {"the frames": [*paths]}
    if job.sound is not None:
        reads["the sound"] = [Path(job.sound)]
    refuse_overlap(reads, (output,) if job.form != "png" else (), (output,) * (job.form == "png"))
    check_name(output)
    pictures = _fitted(job, Pictures.of_files(paths))
    if job.form == "png":
        _write_sequence(job, pictures, report)
        return Result(output, pictures.count)
    if output.exists() and not engine.overwrite:
        raise OutputError(
            f"{output} is there already",
            hint="Choose another name, or say --overwrite to replace it.",
        )
    sound = None if job.sound is None else Sound(Path(job.sound), Fraction(job.sound_start))
    video = encode_video(
        pictures,
        job.rate,
        output,
        kind=job.form,
        quality=job.quality,
        sound=sound,
        on_progress=partial(report.progress, "export"),
        cancelled=report.cancelled,
    )
    for note in video.notes:
        report.log(note, warning=sound is not None and video.sound == "none")
    for warning in video.warnings:
        report.log(warning, warning=True)
    return Result(output, pictures.count, (output,))


def _files(job: ExportJob) -> list[Path]:
    """Return the picture of each frame, all of which are there."""
    paths = [
        Path(each.folder) / frame_name(number)
        for each in job.pictures
        for number in parse_frames(each.frames)
    ]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        named = ", ".join(str(path) for path in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise OutputError(
            f"expected {len(paths)} frames, {len(missing)} are not there: {named}{more}",
            hint="Render them first, or export a shorter range.",
        )
    return paths


def _fitted(job: ExportJob, pictures: Pictures) -> Pictures:
    """Bring all pictures to one size: drafts and finals may follow each other."""
    if job.width is not None and job.height is not None:
        size = (job.width, job.height)
    else:
        height, width = pictures.at(0).shape[:2]
        size = (width, height)
    return pictures.fitted(size)


def _write_sequence(job: ExportJob, pictures: Pictures, report: Reporter) -> None:
    with replacing_folder(Path(job.output)) as folder:
        for index in range(pictures.count):
            write_png(folder / frame_name(job.first + index), pictures.at(index))
            report.progress("export", index + 1, pictures.count)
