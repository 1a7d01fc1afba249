"""``marionext track`` and ``marionext posemap``: the poses without the model."""

import argparse

from marionext.cli.jobs import run_jobs
from marionext.cli.options import add_motion_options, motion_source, parse_size, pose_settings
from marionext.jobs import RIG_SIZE, EngineSettings, PoseMapJob, TrackJob
from marionext.paths import user_path

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
    track.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    track.add_argument("--findings", metavar="FILE", help="JSON file for what the clean-up found")
    add_motion_options(track)
    track.set_defaults(run=_track)

    posemap = commands.add_parser("posemap", help="draw pose maps as pictures")
    posemap.add_argument("motion", help="pose track, video, rig file")
    posemap.add_argument("-o", "--out", required=True, help="folder for the pictures")
    posemap.add_argument("--size", type=parse_size, help="WIDTHxHEIGHT (default: the track's)")
    posemap.add_argument("--overwrite", action="store_true", help="replace pictures that exist")
    add_motion_options(posemap)
    posemap.set_defaults(run=_posemap)


def _track(options: argparse.Namespace) -> int:
    width, height = options.size or RIG_SIZE
    job = TrackJob(
        motion=motion_source(options, options.motion),
        pose=pose_settings(options),
        frames=options.frames,
        width=width,
        height=height,
        output=str(user_path(options.out)),
        findings=str(user_path(options.findings)) if options.findings else None,
    )
    return run_jobs([job], EngineSettings(overwrite=options.overwrite))


def _posemap(options: argparse.Namespace) -> int:
    width, height = options.size or (None, None)
    job = PoseMapJob(
        motion=motion_source(options, options.motion),
        pose=pose_settings(options),
        frames=options.frames,
        width=width,
        height=height,
        output=str(user_path(options.out)),
    )
    return run_jobs([job], EngineSettings(overwrite=options.overwrite))
