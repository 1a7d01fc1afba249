"""The poses of a motion without a model: as a pose track, or drawn as pose maps."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from marionext.backends import Renderers
from marionext.codec import encode
from marionext.errors import OutputError, SettingsError
from marionext.files import json_bytes, write_bytes, write_json
from marionext.frames import FrameRange, format_frames, frame_name
from marionext.jobs import RIG_SIZE, EngineSettings, PoseMapJob, TrackJob
from marionext.output import encode_png
from marionext.paths import check_name, refuse_overlap
from marionext.pose import Finding, PoseTrack, trim
from marionext.pose.formats import check_track_name, write_track
from marionext.posemap import SmallDrawer
from marionext.reporting import Reporter
from marionext.runs.made import Made
from marionext.runs.result import Result
from marionext.sources import OpenMotion, open_motion, select_frames
from marionext.staging import refuse_empty

__all__ = ["draw_maps", "write_poses"]


def write_poses(
    job: TrackJob, engine: EngineSettings, report: Reporter, _renderers: Renderers
) -> Result:
    """Read, clean and change the poses of a motion, and write them as a pose track.

    Raises:
        MotionError: the motion cannot be read, or holds nobody.
        OutputError: the track cannot be written.
    """
    motion = open_motion(job.motion)
    results = [Path(path) for path in (job.output, job.findings) if path is not None]
    _refuse_overlap(motion, results)
    check_track_name(Path(job.output))
    made = Made(job, motion.files)
    there = [path for path in results if path.is_file()]
    for path in results:
        check_name(path)
        if path in there and not engine.overwrite and not made.holds(path):
            raise OutputError(
                f"{path} is there already",
                hint="Choose another name, or say --overwrite to replace it.",
            )
    numbers = select_frames(job.frames, motion.frames)
    if numbers[-1] - numbers[0] + 1 != len(numbers):
        raise SettingsError(
            f"a pose track holds consecutive frames, got {format_frames(numbers)}",
            hint="Give one span such as 1-120.",
        )
    if there == results and not engine.overwrite:
        report.log("it is there already, made by this very job")
        return Result(Path(job.output), len(numbers))
    findings: list[Finding] = []
    track = motion.poses(job.pose, (job.width, job.height), report, found=findings.extend)
    track = trim(track, FrameRange(numbers[0], numbers[-1] + 1))
    report.progress("encode", 0, 1, Path(job.output).name)
    if Path(job.output).suffix.lower() in {".json", ".npz"}:
        contents = {Path(job.output): _content_of(track, Path(job.output).name)}
        if job.findings is not None:
            contents[Path(job.findings)] = json_bytes(encode(findings))
        made.note(contents)
        for path, content in contents.items():
            write_bytes(path, content)
    else:
        write_track(track, Path(job.output))
        if job.findings is not None:
            write_json(Path(job.findings), encode(findings))
    seen = (track.scores > 0).any(axis=(1, 2)).mean()
    report.log(
        f"{len(track)} frames ({track.frames}) at {track.rate} fps, "
        f"{track.size[0]}x{track.size[1]}, somebody seen in {seen:.0%}"
    )
    if findings:
        kinds = Counter(finding.what for finding in findings)
        told = ", ".join(f"{count} {what}{'s' * (count > 1)}" for what, count in kinds.items())
        report.log(f"the clean-up found: {told}")
    return Result(Path(job.output), len(track))


def _content_of(track: PoseTrack, name: str) -> bytes:
    """Return a track as the file of that name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_track(track, path)
        return path.read_bytes()


def draw_maps(
    job: PoseMapJob, engine: EngineSettings, report: Reporter, _renderers: Renderers
) -> Result:
    """Draw the pose maps of a motion as pictures; those that are there must be the same.

    Raises:
        MotionError: the motion cannot be read, holds nobody, or is pose maps already.
        OutputError: a picture cannot be written.
    """
    motion = open_motion(job.motion)
    numbers = select_frames(job.frames, motion.frames)
    _refuse_overlap(motion, [Path(job.output) / frame_name(number) for number in numbers])
    given = None if job.width is None or job.height is None else (job.width, job.height)
    track = motion.poses(job.pose, given or RIG_SIZE, report)
    refuse_empty(track, numbers, report)
    drawer = SmallDrawer(given or track.size)
    folder = Path(job.output)

    def drawn(number: int) -> bytes:
        index = number - track.first
        return encode_png(drawer.draw(track.points[index], track.scores[index], track.size))

    there = [number for number in numbers if (folder / frame_name(number)).exists()]
    if not engine.overwrite:
        _refuse_others(folder, there, drawn)
    kept = set() if engine.overwrite else set(there)
    for done, number in enumerate(numbers, start=1):
        path = folder / frame_name(number)
        if number not in kept:
            write_bytes(path, drawn(number))
        report.frame(number, str(path))
        report.progress("encode", done, len(numbers), "pose maps")
    written = len(numbers) - len(kept)
    report.log(
        f"{written} pose maps written" + (f", {len(kept)} were there already" if kept else "")
    )
    return Result(folder, len(numbers))


def _refuse_others(folder: Path, there: list[int], drawn: Callable[[int], bytes]) -> None:
    """Make sure that the pictures that are there are those that would be drawn.

    Raises:
        OutputError: one is something else: of other poses, or the user's own.
    """
    for number in there:
        path = folder / frame_name(number)
        try:
            same = path.read_bytes() == drawn(number)
        except OSError as error:
            raise OutputError(f"{path} cannot be read: {error.strerror or error}") from None
        if not same:
            raise OutputError(
                f"{path} is there already and shows something else",
                hint="Choose another folder, or say --overwrite to replace it.",
            )


def _refuse_overlap(motion: OpenMotion, results: list[Path]) -> None:
    reads = {"the motion": motion.files}
    if motion.presets:
        reads["the rig preset"] = motion.presets
    refuse_overlap(reads, results)
