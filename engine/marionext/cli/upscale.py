"""``marionext upscale``: pictures, frames and videos in more pixels."""

import argparse

from marionext import bundles, presets
from marionext.cli import console
from marionext.cli.jobs import run_jobs
from marionext.cli.options import (
    add_engine_options,
    add_plan_option,
    engine_settings,
    parse_rate,
    show_plan,
)
from marionext.files import is_folder, write_json
from marionext.jobs import UpscaleJob, encode_job
from marionext.paths import user_path
from marionext.settings import DEFAULT_INTERPOLATION, DEFAULT_UPSCALER, INTERPOLATIONS

__all__ = ["add_commands"]

_DESCRIPTION = """\
Make a picture, a folder of pictures, the frames of a render or a video larger.

OUT is a folder, in which every picture keeps its name; or a picture's file (.png, .jpg, .webp)
for one picture; or a video's (.mp4, .webm, .gif, .mov). An interrupted command goes on where it
stopped.
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's command."""
    upscale = commands.add_parser(
        "upscale",
        help="make pictures, frames or a video larger",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    upscale.add_argument("source", metavar="INPUT", help="picture, folder, render or video")
    upscale.add_argument("-o", "--out", required=True, help="folder, picture or video")
    upscale.add_argument("--by", type=int, default=2, help="how many times larger (2)")
    models = [
        name for name in presets.names("models") if bundles.read_card(name).kind == "upscaler"
    ]
    upscale.add_argument(
        "--with", dest="method", metavar="NAME",
        help=f"{', '.join((*INTERPOLATIONS, *models))}; a network's file in ncnn's form "
        "(NAME.param beside NAME.bin); or the folder of a Stable Diffusion 3 with a lowres control "
        f"(default: {DEFAULT_UPSCALER}; by other factors than 2 {DEFAULT_INTERPOLATION})",
    )  # fmt: skip
    upscale.add_argument("--frames", help="frames to make larger, as 47, 1-30, 3,5-10 or 1-100:2")
    upscale.add_argument("--tile", type=int, help="pixels of the parts that are made at once")
    upscale.add_argument(
        "--change", type=float, help="how much a diffusion model may change, 0.01 to 1"
    )
    upscale.add_argument("--seed", type=int, default=0, help="of a diffusion model's noise (0)")
    videos = upscale.add_argument_group("videos")
    videos.add_argument(
        "--video", dest="videos", action="append", default=[],
        choices=("mp4", "webm", "gif", "prores"), help="also make one in the folder; repeatable",
    )  # fmt: skip
    videos.add_argument("--quality", choices=("high", "good", "small"), default="high")
    videos.add_argument("--rate", type=parse_rate, help="frames per second (as the source; 30)")
    sound = videos.add_mutually_exclusive_group()
    sound.add_argument(
        "--audio", metavar="FILE|none", help="file whose sound videos have, or none (the source's)"
    )
    sound.add_argument("--no-audio", action="store_true", help="the same as --audio none")
    add_plan_option(upscale)
    upscale.add_argument("--save-job", metavar="FILE", help="write the job to a file instead")
    upscale.add_argument("--overwrite", action="store_true", help="replace another job's results")
    upscale.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    add_engine_options(upscale)
    upscale.set_defaults(run=_upscale)


def _upscale(options: argparse.Namespace) -> int:
    job = UpscaleJob(
        source=str(user_path(options.source)),
        output=str(user_path(options.out)),
        by=options.by,
        method=_method(options.method, options.by),
        frames=options.frames,
        videos=tuple(dict.fromkeys(options.videos)),
        quality=options.quality,
        rate=options.rate,
        audio=not options.no_audio and options.audio != "none",
        sound=None if options.audio in (None, "none") else str(user_path(options.audio)),
        tile=options.tile,
        change=options.change,
        seed=options.seed,
    )
    if options.save_job is not None:
        write_json(user_path(options.save_job), encode_job(job))
        console.show_result(options.save_job)
        return 0
    if options.plan:
        return show_plan(job, options)
    return run_jobs([job], engine_settings(options), as_json=options.json, unit="picture")


def _method(name: str | None, by: int) -> str:
    """Return a method's name as it is, and the path of a file or folder in full."""
    if name is None:
        return DEFAULT_UPSCALER if by == 2 else DEFAULT_INTERPOLATION
    path = user_path(name)
    named = name in presets.names("models")
    return str(path) if not named and (name.endswith(".param") or is_folder(path)) else name
