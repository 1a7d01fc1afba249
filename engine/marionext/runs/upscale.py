"""Make pictures, the frames of a render or a video larger."""

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.backends import Renderers
from marionext.backends.processor import computing_with, threads
from marionext.backends.upscaling import Method, Upscaler, enlarge, open_upscaler, recognise
from marionext.errors import JobError, OutputError, SettingsError
from marionext.files import write_bytes
from marionext.job_files import inputs_of
from marionext.jobs import EngineSettings, UpscaleJob, encode_job
from marionext.limits import STILL_PIXELS
from marionext.output import (
    READABLE,
    WRITABLE,
    Pictures,
    Still,
    VideoKind,
    encode_png,
    encode_still,
    encode_video,
    video_suffix,
)
from marionext.paths import check_name, fitting_name, refuse_overlap
from marionext.reporting import Reporter
from marionext.runs.kept_folder import begun_with
from marionext.runs.made import Made
from marionext.runs.outlines import remember_upscaling
from marionext.runs.result import Result
from marionext.runs.upscale_folder import UpscaleFolder, UpscaleRecord, started
from marionext.runs.upscale_sources import PictureSource, open_source

__all__ = ["upscale"]

_KINDS: tuple[VideoKind, ...] = ("mp4", "webm", "gif", "prores")
_VIDEOS = {video_suffix(kind): kind for kind in _KINDS}
"""Kinds of videos by the ends of their names."""
_UNWRITTEN = (READABLE - WRITABLE) | {".avi", ".exr", ".m4v", ".mkv", ".psd"}
"""Ends of names of which nobody would want a folder."""
_MOST_SAID = 5
"""Pictures of which is said what was left out of them."""
_WORK = ".upscale"
"""End of the folder of pictures beside a video that is made of them."""


def upscale(
    job: UpscaleJob, engine: EngineSettings, report: Reporter, renderers: Renderers
) -> Result:
    """Make pictures larger, those that are missing; and videos of them.

    Raises:
        EngineError: one of its kinds; what is finished is kept.
        JobCancelled: the host wants the job to stop; what is finished is kept.
    """
    output = Path(job.output)
    suffix = output.suffix.lower()
    if suffix in _UNWRITTEN:
        raise SettingsError(
            f"output: expected a folder, a picture ({', '.join(sorted(WRITABLE))}) or a video "
            f"({', '.join(_VIDEOS)}), got {output.name}"
        )
    report.progress("poses", 0, 0, "looking at pictures")
    method = recognise(job.method, job.by)
    source = open_source(job, report)
    check_name(output)
    reads = {what: (path,) for what, path in inputs_of(job).items()}
    if suffix in WRITABLE:
        refuse_overlap(reads, (output,))
        return _one_picture(job, engine, report, renderers, source, method)
    if suffix not in _VIDEOS:
        refuse_overlap(reads, (), (output,))
        return _folder(job, engine, report, renderers, source, method)
    work = output.with_name(output.name + _WORK)
    refuse_overlap(reads, (output,), (work,))
    return _video(job, engine, report, renderers, source, method, work)


def _open(
    job: UpscaleJob,
    engine: EngineSettings,
    report: Reporter,
    renderers: Renderers,
    method: Method,
) -> Upscaler:
    """Return the loaded method, that of the job before where it is the same."""
    stamps = tuple(
        (str(path), (found := path.stat()).st_size, found.st_mtime_ns)
        for path in method.files.values()
    )
    settings = (job.by, job.tile, job.change, job.seed, engine.device, engine.dtype)
    return renderers.kept(
        ("upscale", method.name, stamps, *settings),
        lambda say: open_upscaler(
            method, engine, say, tile=job.tile, seed=job.seed, change=job.change
        ),
        report,
    )


def _enlarged(
    upscaler: Upscaler, still: Still, name: str, place: int, count: int, report: Reporter
) -> NDArray[np.uint8]:
    """Return a larger picture: (by * height, by * width, 3 or 4).

    Args:
        upscaler: makes it.
        still: the picture.
        name: of it.
        place: how many were made before, of all in hand.
        count: of all in hand.
        report: told how far it is, part by part.
    """
    height, width = still.pixels.shape[:2]
    if width * height * upscaler.by**2 > STILL_PIXELS:
        raise JobError(
            f"{name}: expected a result of at most {STILL_PIXELS // 1_000_000} megapixels, "
            f"{width}x{height} would become {width * upscaler.by}x{height * upscaler.by}"
        )

    def on_part(done: int, parts: int) -> None:
        shown = name if parts > 1 or count > 1 else ""
        report.progress("upscale", place * parts + done, count * parts, shown)

    return enlarge(upscaler, still.pixels, still.alpha, on_part)


def _one_picture(
    job: UpscaleJob,
    engine: EngineSettings,
    report: Reporter,
    renderers: Renderers,
    source: PictureSource,
    method: Method,
) -> Result:
    """Make one picture, in the file that is named."""
    output = Path(job.output)
    if len(source.names) != 1:
        raise OutputError(
            f"{output}: expected a folder for {len(source.names)} pictures, got a picture's name",
            hint="Name a folder, or a video.",
        )
    if job.videos:
        raise SettingsError(f"videos: expected none beside one picture, got {job.videos[0]}")
    made = Made(job, [Path(job.source), *method.files.values()])
    if output.exists() and not engine.overwrite:
        if made.holds(output):
            report.log("it is there already, made by this very job")
            return Result(output, 1)
        raise OutputError(
            f"{output} is there already",
            hint="Choose another name, or say --overwrite to replace it.",
        )
    upscaler = _open(job, engine, report, renderers, method)
    with computing_with(engine.threads):
        for name, still in source.read(source.names, report):
            _say_notes(still, report)
            begun = time.monotonic()
            pixels = _enlarged(upscaler, still, name, 0, 1, report)
            if pixels.shape[2] == 4 and output.suffix.lower() in {".jpg", ".jpeg"}:
                report.log("a JPEG has no transparency: it is laid over white", warning=True)
            content = encode_still(pixels, output.suffix)
            made.note({output: content})
            write_bytes(output, content)
            made_of = pixels.shape[0] * pixels.shape[1]
            remember_upscaling(method, upscaler.computed, made_of, time.monotonic() - begun)
            report.frame(source.numbers[name], str(output))
    return Result(output, 1)


def _folder(
    job: UpscaleJob,
    engine: EngineSettings,
    report: Reporter,
    renderers: Renderers,
    source: PictureSource,
    method: Method,
) -> Result:
    """Make pictures into a folder, and videos of them beside them."""
    output = Path(job.output)
    upscaler = _open(job, engine, report, renderers, method)
    with _held(job, engine, source, method, upscaler, output) as folder:
        names, fresh = _make_missing(method, upscaler, source, folder, report)
        videos = []
        for kind in job.videos:
            name = fitting_name(Path(job.source).stem or "upscaled", video_suffix(kind))
            path = output / name
            if fresh or not _is_made_as_before(job, folder, name):
                folder.claim_video(name)
                _encode(job, kind, path, folder, source, names, report)
                folder.put_video(name, path)
            videos.append(path)
        folder.note(tuple(report.said))
    return Result(output, len(names), tuple(videos))


def _video(
    job: UpscaleJob,
    engine: EngineSettings,
    report: Reporter,
    renderers: Renderers,
    source: PictureSource,
    method: Method,
    work: Path,
) -> Result:
    """Make a video; its pictures lie beside it until it is finished."""
    output = Path(job.output)
    if job.videos:
        raise SettingsError(
            f"videos: expected none beside {output.name}, got {', '.join(job.videos)}",
            hint="Name a folder instead: the videos are made in it.",
        )
    if output.exists() and not engine.overwrite:
        raise OutputError(
            f"{output} is there already",
            hint="Choose another name, or say --overwrite to replace it.",
        )
    upscaler = _open(job, engine, report, renderers, method)
    with _held(job, engine, source, method, upscaler, work) as folder:
        names, _ = _make_missing(method, upscaler, source, folder, report)
        _encode(job, _VIDEOS[output.suffix.lower()], output, folder, source, names, report)
        folder.clear()
    return Result(output, len(names), (output,))


def _held(
    job: UpscaleJob,
    engine: EngineSettings,
    source: PictureSource,
    method: Method,
    upscaler: Upscaler,
    folder: Path,
) -> UpscaleFolder:
    """Open the folder of results: continued where it is of the same job."""
    computed = dict(upscaler.computed)
    if computed.get("device") == "cpu":
        # Bytes depend on the threads: what goes on takes those that it was begun with.
        computed["threads"] = str(engine.threads or begun_with(folder, UpscaleRecord) or threads())
    record = started(
        job=encode_job(job),
        place=os.path.normcase(os.path.realpath(job.source)),
        models=method.hashes,
        versions=upscaler.versions,
        computed=computed,
        sources=source.hashes,
    )
    return UpscaleFolder(folder, record, overwrite=engine.overwrite)


def _make_missing(
    method: Method,
    upscaler: Upscaler,
    source: PictureSource,
    folder: UpscaleFolder,
    report: Reporter,
) -> tuple[tuple[str, ...], bool]:
    """Make the pictures that are not there yet.

    Returns:
        The names of all that are there in the end, and whether any of them is new.
    """
    if folder.changed:
        some = "1 picture has" if folder.changed == 1 else f"{folder.changed} pictures have"
        report.log(f"{some} another source now: made again")
    wanted = folder.claim(source.names)
    if there := len(source.names) - len(wanted):
        report.log(f"{there} of {len(source.names)} pictures are there already")
    number = folder.record.computed.get("threads")
    said: set[str] = set()
    left, made, begun = set(wanted), 0, time.monotonic()
    with computing_with(None if number is None else int(number)):
        for place, (name, still) in enumerate(source.read(wanted, report)):
            _say_notes(still, report, said)
            pixels = _enlarged(upscaler, still, name, place, len(wanted), report)
            path = folder.put(name, encode_png(pixels))
            left.discard(name)
            made += pixels.shape[0] * pixels.shape[1]
            report.frame(source.numbers[name], str(path))
    remember_upscaling(method, upscaler.computed, made, time.monotonic() - begun)
    folder.leave_out(left)
    names = tuple(name for name in source.names if name not in left)
    if not names:
        raise JobError("none of the pictures can be shown")
    return names, bool(wanted)


def _say_notes(still: Still, report: Reporter, said: set[str] | None = None) -> None:
    """Say what of a file is not in its picture, of many files only of the first few."""
    for note in still.notes:
        if said is None or len(said) < _MOST_SAID:
            report.log(note, warning=True)
        if said is not None:
            said.add(note)


def _is_made_as_before(job: UpscaleJob, folder: UpscaleFolder, name: str) -> bool:
    """Tell whether a video is there, made of the same pictures in the way that is asked for."""
    if job.sound is not None or folder.before is None:
        return False  # what that file held is on no record
    wanted = {**encode_job(job), "output": folder.before.get("output")}
    return wanted == folder.before and bool(folder.record.files.get(name))


def _encode(
    job: UpscaleJob,
    kind: VideoKind,
    path: Path,
    folder: UpscaleFolder,
    source: PictureSource,
    names: Sequence[str],
    report: Reporter,
) -> None:
    """Make a video of the pictures that are there."""
    film = source.film(names, report)
    pictures = Pictures.of_files([folder.folder / name for name in film.names])
    height, width = pictures.at(0).shape[:2]
    video = encode_video(
        pictures.fitted((width, height)),
        film.rate,
        path,
        kind=kind,
        quality=job.quality,
        sound=film.sound,
        on_progress=partial(_tell, report, path.name),
        cancelled=report.cancelled,
    )
    missed = film.sound is not None and video.sound == "none"
    for note in video.notes:
        report.log(note, warning=missed)
    for warning in video.warnings:
        report.log(warning, warning=True)


def _tell(report: Reporter, name: str, done: int, total: int) -> None:
    report.progress("encode", done, total, name)
