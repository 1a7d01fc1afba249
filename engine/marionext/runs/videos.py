"""The videos of a render, and its pose maps as pictures: made of the frames that are shown."""

from functools import partial
from pathlib import Path

from marionext.files import sha256_of
from marionext.jobs import RenderJob
from marionext.output import (
    Pictures,
    RenderFolder,
    Sound,
    encode_video,
    frame_name,
    video_suffix,
    write_png,
)
from marionext.reporting import Reporter
from marionext.staging import Staged

__all__ = ["make_videos"]


def make_videos(
    job: RenderJob, staged: Staged, folder: RenderFolder, report: Reporter
) -> tuple[Path, ...]:
    """Make the videos that a job asks for, and the pose maps as pictures.

    Raises:
        OutputError: they cannot be written.
        JobCancelled: the host wants the job to stop.
    """
    output = job.output
    if output.pose_maps:
        for index, number in enumerate(staged.numbers, start=1):
            report.progress("encode", index, len(staged.numbers), "pose maps")
            write_png(folder.path / "posemaps" / frame_name(number), staged.control(index))
    shown = {"": Pictures.of_files(folder.frames)}
    if output.side_by_side:
        maps = Pictures(len(staged.numbers), lambda index: staged.control(index + 1))
        shown["-with-poses"] = Pictures.beside(maps, shown[""])
    sound = Sound(staged.sound, staged.sound_start) if staged.sound is not None else None
    name = Path(job.motion.path).stem
    made = []
    said: set[str] = set()  # the same of every video
    for kind in output.videos:
        for suffix, pictures in shown.items():
            path = folder.path / f"{name}{suffix}{video_suffix(kind)}"
            video = encode_video(
                pictures,
                staged.rate,
                path,
                kind=kind,
                sound=sound,
                on_progress=partial(_tell, report, path.name),
                cancelled=report.cancelled,
            )
            # Who names a file for its sound wants to know that it has none.
            missed = output.sound is not None and video.sound == "none"
            for note in video.notes:
                report.log(note, warning=missed)
            for warning in video.warnings:
                if warning not in said:
                    report.log(warning, warning=True)
                    said.add(warning)
            folder.keep(folder.record.with_video(path.name, sha256_of(path)))
            made.append(path)
    return tuple(made)


def _tell(report: Reporter, name: str, done: int, total: int) -> None:
    report.progress("encode", done, total, name)
