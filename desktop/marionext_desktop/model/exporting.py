"""What can be made of the sequence.

Videos and pictures of its takes, poses, job files, a timeline for other editors.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from marionext.errors import OutputError
from marionext.files import replacing, write_json
from marionext.frames import FrameRange, format_frames, frame_name
from marionext.jobs import ExportJob, Pictures, encode_job
from marionext.pose import PoseTrack
from marionext.pose.formats import write_track
from marionext_desktop.model.project import Project, Take
from marionext_desktop.model.rendering import MOTION_FILE, Prepared, render_job
from marionext_desktop.model.takes import frame_folders, take_at

__all__ = [
    "FORMS",
    "Form",
    "check_free",
    "export_job",
    "export_job_file",
    "export_otio",
    "export_poses",
    "exported_pictures",
    "missing_frames",
]

Form = Literal["mp4", "prores", "webm", "gif", "png"]
FORMS: dict[Form, tuple[str, str]] = {
    "mp4": ("MP4 (H.264)", ".mp4"),
    "prores": ("ProRes 422 HQ", ".mov"),
    "webm": ("WebM (VP9)", ".webm"),
    "gif": ("GIF", ".gif"),
    "png": ("PNG sequence", ""),
}
"""Name and suffix of each; a sequence is a folder."""


def check_free(path: Path, *, replace_file: bool = False) -> None:
    """Make sure that nothing of the user's is overwritten.

    Raises:
        OutputError: something is there, and nobody has said that it may be replaced.
    """
    if path.is_dir() and any(path.iterdir()):
        raise OutputError(
            f"expected a new or empty folder, {path} holds something already",
            hint="Choose another name.",
        )
    if path.is_file() and not replace_file:
        raise OutputError(f"{path} is there already", hint="Choose another name, or replace it.")


def exported_pictures(
    project: Project, span: FrameRange, take: Take | None = None
) -> tuple[Pictures, ...]:
    """Return the frames of a range, as they are seen in the result row.

    Args:
        project: with the takes.
        span: of the sequence.
        take: that one alone; None: of each frame the newest.

    Raises:
        OutputError: a frame has not been rendered.
    """
    shown = dict(_folders(project, span, take))
    missing = tuple(frame for frame, folder in shown.items() if folder is None)
    if missing:
        raise OutputError(
            f"expected frames {span} to be rendered, {format_frames(missing)} are not",
            hint="Render that range first, or export a shorter one.",
        )
    runs: list[tuple[Path, list[int]]] = []
    for frame, folder in shown.items():
        assert folder is not None
        if runs and runs[-1][0] == folder:
            runs[-1][1].append(frame)
        else:
            runs.append((folder, [frame]))
    return tuple(
        Pictures(folder=str(folder), frames=format_frames(tuple(frames))) for folder, frames in runs
    )


def missing_frames(project: Project, span: FrameRange, take: Take | None = None) -> tuple[int, ...]:
    """Return the frames of a range that no take shows."""
    return tuple(frame for frame, folder in _folders(project, span, take) if folder is None)


def _folders(
    project: Project, span: FrameRange, take: Take | None
) -> Iterator[tuple[int, Path | None]]:
    """Give each frame of a range and the folder that its picture is in; None: there is none.

    Folders are listed once: asking for each of ten thousand files would be felt.
    """
    names: dict[Path, set[str]] = {}
    for frame in range(span.start, span.stop):
        each = take or take_at(project, frame)
        found = None
        for folder in frame_folders(each) if each is not None and frame in each.span else ():
            if folder not in names:
                with suppress(OSError):
                    names[folder] = {each.name for each in folder.iterdir()}
            if frame_name(frame) in names.setdefault(folder, set()):
                found = folder
                break
        yield frame, found


def export_job(
    project: Project,
    pictures: Iterable[Pictures],
    output: Path,
    form: Form,
    *,
    sound: Path | None,
    quality: Literal["high", "good", "small"] = "high",
    first: int = 1,
) -> ExportJob:
    """Return the job that writes pictures as a video or a sequence, at the project's exact rate.

    Args:
        project: for its rate.
        pictures: `exported_pictures`.
        output: file, or folder of a sequence.
        form: what is made.
        sound: file that begins with the first picture (`marionext_desktop.model.sound.write_mix`).
        quality: how much detail is kept.
        first: number of the first picture of a sequence.
    """
    return ExportJob(
        pictures=tuple(pictures),
        output=str(output),
        form=form,
        rate=project.rate,
        quality=quality,
        sound=None if sound is None else str(sound),
        sound_start=Fraction(0),
        first=first,
    )


def export_poses(track: PoseTrack, output: Path) -> None:
    """Write poses: a native track (``.npz``), one JSON, or a folder of OpenPose JSON.

    Called beside the window.

    Raises:
        OutputError: it is there already, or cannot be written.
    """
    check_free(output)
    write_track(track, output)


def export_job_file(prepared: Prepared, project: Project, output: Path) -> None:
    """Write the job of a take for `marionext batch`, with the paths of this machine.

    Raises:
        OutputError: it is there already, or cannot be written.
    """
    check_free(output)
    take = prepared.take
    if not (Path(take.folder) / MOTION_FILE).is_file():
        raise OutputError(
            f"expected the poses of {take.name} in {take.folder}, they are not there",
            hint="Render the range again: its new take has them.",
        )
    character = Path(project.character(take.character).path)
    choice = replace(project.render, model=take.model, quality=take.quality)
    motion = Path(take.folder) / MOTION_FILE
    job = render_job(choice, character, motion, output.parent / f"{output.stem}-render")
    write_json(output, encode_job(job))


def export_otio(project: Project, output: Path, *, result: Path | None = None) -> None:
    """Write the timeline for other editors (OpenTimelineIO): clips, speeds, markers, sound.

    Called beside the window.

    Args:
        project: the project.
        output: the ``.otio``.
        result: the exported video of the whole sequence, which gets a track of its own.

    Raises:
        OutputError: it cannot be written.
    """
    import opentimelineio as otio  # noqa: PLC0415 - slow, and rarely wanted

    rate = float(project.rate)

    def time(frames: int | float, at: float = rate) -> "otio.opentime.RationalTime":
        return otio.opentime.RationalTime(frames, at)

    def span(start: int | float, count: int | float, at: float = rate) -> object:
        return otio.opentime.TimeRange(time(start, at), time(count, at))

    timeline = otio.schema.Timeline(name=output.stem, global_start_time=time(0))
    lanes = (("motion", "Video"), ("sound", "Audio"))
    for lane, kind in lanes:
        clips = project.lane(lane)  # type: ignore[arg-type]
        if not clips:
            continue
        track = otio.schema.Track(name=lane, kind=kind)
        end = 0
        for clip in clips:
            if clip.at > end:
                track.append(otio.schema.Gap(source_range=span(0, clip.at - end)))
            end = clip.stop
            source = project.source(clip.source)
            theirs = float(source.rate)
            media = otio.schema.ExternalReference(
                target_url=Path(source.path).absolute().as_uri(),
                available_range=span(0, source.frames, theirs),
            )
            # What is read of the source; a speed says how long it is shown.
            length = float(clip.count * abs(project.step(clip)))
            first = float(clip.first if clip.speed > 0 else clip.first - clip.count + 1)
            item = otio.schema.Clip(
                name=source.name,
                media_reference=media,
                source_range=span(max(first, 0.0), length, theirs),
            )
            if clip.hold is not None:
                item.source_range = span(clip.hold, clip.count * theirs / rate, theirs)
                item.effects.append(otio.schema.FreezeFrame())
            elif clip.speed != 1:
                item.effects.append(otio.schema.LinearTimeWarp(time_scalar=float(clip.speed)))
            item.metadata["marionext"] = {"edits": len(clip.edits)}
            track.append(item)
        timeline.tracks.append(track)
    if result is not None:
        track = otio.schema.Track(name="result", kind="Video")
        media = otio.schema.ExternalReference(
            target_url=result.absolute().as_uri(), available_range=span(0, project.length)
        )
        track.append(
            otio.schema.Clip(
                name=result.name, media_reference=media, source_range=span(0, project.length)
            )
        )
        timeline.tracks.append(track)
    for marker in project.markers:
        timeline.tracks.markers.append(
            otio.schema.Marker(
                name=marker.name, marked_range=span(marker.frame, 0), color=marker.colour.upper()
            )
        )
    with replacing(output) as temporary:
        # The name of the file says its form, and this one has none yet.
        temporary.write_text(
            otio.adapters.write_to_string(timeline, adapter_name="otio_json"), encoding="utf-8"
        )
