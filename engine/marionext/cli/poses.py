"""``marionext track`` and ``marionext posemap``: the poses without the model."""

import argparse
from pathlib import Path

from marionext.cli import console
from marionext.cli.options import add_motion_options, motion_source, parse_size, pose_settings
from marionext.errors import SettingsError
from marionext.frames import FrameRange, format_frames
from marionext.protocol import Event, Log, Progress
from marionext.reporting import Reporter

__all__ = ["add_commands"]


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    track = commands.add_parser(
        "track",
        help="make a pose track of a video or rig file",
        description="Make a pose track. The form follows the name of the result: .npz (native), "
        ".json (ComfyUI POSE_KEYPOINT), .coco.json (COCO-WholeBody), or a folder (OpenPose JSON).",
    )
    track.add_argument("motion", help="dance video, rig file, or poses in another form")
    track.add_argument("-o", "--out", required=True, help="file or folder to write")
    track.add_argument("--size", type=parse_size, help="picture size for a rig (576x1024)")
    add_motion_options(track)
    track.set_defaults(run=_track)

    posemap = commands.add_parser("posemap", help="draw pose maps as pictures")
    posemap.add_argument("motion", help="pose track, video, rig file")
    posemap.add_argument("-o", "--out", required=True, help="folder for the pictures")
    posemap.add_argument("--size", type=parse_size, help="WIDTHxHEIGHT (default: the track's)")
    posemap.add_argument("--overwrite", action="store_true", help="replace pictures that exist")
    add_motion_options(posemap)
    posemap.set_defaults(run=_posemap)


_DEFAULT_SIZE = (576, 1024)


def _reporter() -> Reporter:
    def show(event: Event) -> None:
        match event:
            case Progress():
                console.progress_line(event.text)
            case Log():
                console.say(("warning: " if event.level == "warning" else "") + event.text)

    return Reporter("", show, lambda: False)


def _track(options: argparse.Namespace) -> int:
    from marionext.pose import trim  # noqa: PLC0415
    from marionext.pose.formats import write_track  # noqa: PLC0415
    from marionext.staging import read_poses, select_frames  # noqa: PLC0415 - capture is heavy

    source = motion_source(options, options.motion)
    size = options.size or _DEFAULT_SIZE
    track = read_poses(source, pose_settings(options), size, _reporter())
    if options.frames:
        numbers = select_frames(options.frames, track.frames)
        if numbers[-1] - numbers[0] + 1 != len(numbers):
            raise SettingsError(
                f"a pose track holds consecutive frames, got {format_frames(numbers)}",
                hint="Give one span such as 1-120.",
            )
        track = trim(track, FrameRange(numbers[0], numbers[-1] + 1))
    write_track(track, Path(options.out))
    seen = (track.scores > 0).any(axis=(1, 2)).mean()
    console.say(
        f"{len(track)} frames ({track.frames}) at {track.rate} fps, "
        f"{track.size[0]}x{track.size[1]}, somebody seen in {seen:.0%}"
    )
    console.show_result(str(options.out))
    return 0


def _posemap(options: argparse.Namespace) -> int:
    from marionext.output import write_png  # noqa: PLC0415
    from marionext.posemap import SmallDrawer  # noqa: PLC0415
    from marionext.staging import read_poses, select_frames  # noqa: PLC0415

    source = motion_source(options, options.motion)
    reporter = _reporter()
    track = read_poses(source, pose_settings(options), options.size or _DEFAULT_SIZE, reporter)
    size = options.size or track.size
    numbers = (
        select_frames(options.frames, track.frames)
        if options.frames
        else tuple(range(track.frames.start, track.frames.stop))
    )
    folder = Path(options.out)
    drawer = SmallDrawer(size)
    written = 0
    for done, number in enumerate(numbers, start=1):
        path = folder / f"{number:06d}.png"
        if options.overwrite or not path.exists():
            index = number - track.first
            write_png(path, drawer.draw(track.points[index], track.scores[index], track.size))
            written += 1
        console.progress_line(f"drawing {done}/{len(numbers)}")
    kept = len(numbers) - written
    console.say(f"{written} pose maps written" + (f", {kept} were there already" if kept else ""))
    console.show_result(str(folder))
    return 0
