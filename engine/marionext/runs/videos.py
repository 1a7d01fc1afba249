"""The videos of a render, and its pose maps as pictures: made of the frames that are shown."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from marionext.codec import encode
from marionext.files import sha256_of
from marionext.frames import frame_name
from marionext.jobs import RenderJob
from marionext.output import (
    Pictures,
    RenderFolder,
    Sound,
    VideoKind,
    encode_video,
    video_suffix,
    write_png,
)
from marionext.paths import fitting_name
from marionext.reporting import Reporter
from marionext.staging import Staged

__all__ = ["MAPS", "make_videos", "result_files"]

MAPS = "posemaps"
"""Folder of the pose maps as pictures, in that of the render."""

_BESIDE = "-with-poses"


def result_files(job: RenderJob, numbers: tuple[int, ...]) -> tuple[Path, ...]:
    """Return the files that are made of a render's frames: videos, and pose maps as pictures."""
    folder = Path(job.output.directory)
    maps = numbers if job.output.pose_maps else ()
    return (
        *(path for _, _, path in _videos(job)),
        *(folder / MAPS / frame_name(number) for number in maps),
    )


def _videos(job: RenderJob) -> Iterator[tuple[VideoKind, str, Path]]:
    """Yield kind, what it shows and file of each video that a job asks for."""
    stem = Path(job.motion.path).stem
    for kind in job.output.videos:
        for shown in ("", _BESIDE) if job.output.side_by_side else ("",):
            name = fitting_name(stem, shown + video_suffix(kind))
            yield kind, shown, Path(job.output.directory) / name


def make_videos(
    job: RenderJob, staged: Staged, folder: RenderFolder, report: Reporter, *, changed: bool
) -> tuple[Path, ...]:
    """Make the videos that a job asks for, and the pose maps as pictures.

    Args:
        job: of the render.
        staged: its motion, laid over the character.
        folder: of the render, all of its frames there.
        report: told how far it is.
        changed: whether the frames may be others than when the videos were made; if not, what is
            there is left as it is.

    Raises:
        OutputError: they cannot be written.
        JobCancelled: the host wants the job to stop.
    """
    output = job.output
    if not changed and _made_before(job, folder):
        return tuple(path for _, _, path in _videos(job))
    if output.pose_maps:
        for index, number in enumerate(staged.numbers, start=1):
            report.progress("encode", index, len(staged.numbers), "pose maps")
            write_png(folder.path / MAPS / frame_name(number), staged.control(index))
    rendered = Pictures.of_files(folder.frames)
    shown = {"": rendered}
    if output.side_by_side:
        maps = Pictures(len(staged.numbers), lambda index: staged.control(index + 1))
        shown[_BESIDE] = Pictures.beside(maps, rendered)
    sound = Sound(staged.sound, staged.sound_start) if staged.sound is not None else None
    made = []
    said: set[str] = set()  # the same of every video
    for kind, what, path in _videos(job):
        video = encode_video(
            shown[what],
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


def _made_before(job: RenderJob, folder: RenderFolder) -> bool:
    """Tell whether all results are there, made of the same frames in the way that is asked for."""
    record, hashes = folder.record, folder.record.videos
    made_as, wanted = dict(record.job.get("output", {})), encode(job.output)
    made_as["directory"] = wanted["directory"]  # the folder may have been moved
    made_as.setdefault("sound", None)  # older records do not have it
    if job.output.sound is not None:
        return False  # what that file held is on no record
    if record.stage.name != "finished" or made_as != wanted:
        return False
    return all(
        path.is_file() and sha256_of(path) == hashes.get(path.name) for _, _, path in _videos(job)
    ) and not any(
        not path.is_file() or folder.is_damaged(path)
        for path in result_files(job, folder.record.numbers)
    )


def _tell(report: Reporter, name: str, done: int, total: int) -> None:
    report.progress("encode", done, total, name)
