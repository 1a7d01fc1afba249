"""``marionext render``, ``takes``, ``demo``, ``plan`` and ``worker``."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from marionext import presets
from marionext.cli import console
from marionext.cli.jobs import run_jobs
from marionext.cli.options import (
    add_engine_options,
    add_motion_options,
    add_render_options,
    again_from,
    anew_from,
    engine_settings,
    job_from,
)
from marionext.codec import encode
from marionext.files import write_json
from marionext.frames import format_frames
from marionext.jobs import EngineSettings, Job, RenderJob, TakeJob, encode_job
from marionext.paths import user_path
from marionext.record import RECORD, Record

__all__ = ["add_commands"]


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    render = commands.add_parser(
        "render",
        help="render a character video from a motion",
        description="Render MOTION with CHARACTER. An interrupted render resumes where it "
        "stopped when the same command is given again. With --again, some frames of a finished "
        "render are made again as a take of their own; the other frames stay as they are.",
    )
    _add_job_options(render, required=False)
    render.add_argument(
        "--again",
        metavar="FOLDER",
        help="make the frames of --frames anew in the folder of a finished render, with --seed or "
        "the next one where the model has seeds; with --out: the same render once more, in the "
        "same bytes, in a folder of its own. --motion and --character say where the files are now",
    )
    render.add_argument(
        "--save-job", metavar="FILE", help="write the job to a file for 'batch' instead"
    )
    _add_run_options(render)
    render.set_defaults(run=partial(_render, render))

    takes = commands.add_parser(
        "takes",
        help="list the takes of a render, or show another one",
        description="List the takes of the render in FOLDER: 0 is the render itself, the others "
        "were made with 'render --again'. With --show, show the frames of a take.",
    )
    takes.add_argument("folder", metavar="FOLDER", help="folder of a render")
    takes.add_argument("--show", type=int, metavar="TAKE", help="number of the take to show")
    takes.add_argument("--frames", help="only these frames (default: all that the take has)")
    takes.add_argument("--json", action="store_true", help="JSON on stdout")
    takes.set_defaults(run=_takes)

    demo = commands.add_parser("demo", help="render the bundled dance with the bundled character")
    demo.add_argument("--out", default="out/demo", help="folder for the result (out/demo)")
    demo.add_argument("--frames", default="1-96", help="only these frames (1-96, of 192)")
    add_engine_options(demo)
    _add_run_options(demo)
    demo.set_defaults(run=_demo)

    plan = commands.add_parser(
        "plan", help="print windows, memory, disk and time of a render before anything is loaded"
    )
    _add_job_options(plan, character=False)
    plan.add_argument("--json", action="store_true", help="print JSON")
    plan.set_defaults(run=_plan)

    worker = commands.add_parser("worker", help="serve a host over stdin and stdout")
    worker.set_defaults(run=_worker)


def _add_job_options(
    parser: argparse.ArgumentParser, *, required: bool = True, character: bool = True
) -> None:
    parser.add_argument(
        "--motion",
        required=required,
        help="dance video, BVH, glTF/GLB/VRM, pose track, OpenPose JSON folder, or pose maps",
    )
    parser.add_argument(
        "--character",
        required=required and character,
        default=None if character else "",
        help="picture of the character, or the folder of a layered doll",
    )
    parser.add_argument(
        "--out",
        required=required and character,
        default=None if character else "out",
        help="folder for the result",
    )
    add_motion_options(parser)
    add_render_options(parser)
    group = parser.add_argument_group("results")
    group.add_argument(
        "--video",
        action="append",
        choices=("mp4", "webm", "gif", "prores"),
        help="kinds of video to write, repeatable (default: mp4)",
    )
    group.add_argument(
        "--side-by-side", action="store_true", help="also write a video with the pose map beside"
    )
    group.add_argument("--pose-maps", action="store_true", help="also write the pose maps")
    sound = group.add_mutually_exclusive_group()
    sound.add_argument(
        "--audio",
        metavar="FILE|none",
        help="file whose sound the videos have, or none (default: the motion's own)",
    )
    sound.add_argument("--no-audio", action="store_true", help="the same as --audio none")
    add_engine_options(parser)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="render again what is there")
    parser.add_argument("--no-previews", action="store_true", help="write no preview pictures")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stdout")


def _render(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    named = [f"--{name}" for name in ("motion", "character", "out") if getattr(options, name)]
    if options.again is None and len(named) < 3:
        parser.error(
            f"expected --motion, --character and --out (or --again FOLDER), "
            f"got {', '.join(named) or 'none of them'}"
        )
    if options.again is not None and options.out:
        return _render_anew(user_path(options.again), options)
    if options.again is not None:
        job = again_from(user_path(options.again), options)
    else:
        job = job_from(options)
    if options.save_job:
        return _save(job, options)
    return _run([job], options)


def _render_anew(folder: Path, options: argparse.Namespace) -> int:
    """Make a finished render once more, in a folder of its own."""
    from marionext.reporting import silent  # noqa: PLC0415
    from marionext.runs.render import check_same  # noqa: PLC0415 - backends

    job, engine, record = anew_from(folder, options)
    if options.save_job:
        return _save(job, options)
    check_same(job, engine, silent(), record)
    return run_jobs([job], replace(engine, overwrite=options.overwrite), as_json=options.json)


def _save(job: Job, options: argparse.Namespace) -> int:
    write_json(user_path(options.save_job), encode_job(job))
    console.say(f"Job written to {options.save_job}")
    return 0


def _takes(options: argparse.Namespace) -> int:
    folder = user_path(options.folder)
    if options.show is not None:
        job = TakeJob(directory=str(folder), take=options.show, frames=options.frames)
        return run_jobs([job], EngineSettings(), as_json=options.json)
    record = Record.read(folder / RECORD)
    rows = [_row(record, 0, record.numbers, record.job, finished=record.finished)]
    rows += [
        _row(record, take.number, take.numbers, take.job, finished=not take.missing)
        for take in record.takes
    ]
    if options.json:
        console.show_json(rows)
        return 0
    for row in rows:
        state = "" if row["finished"] else "   unfinished"
        seed = "" if row["seed"] is None else f"seed {row['seed']}   "
        console.show_result(
            f"take {row['take']}   frames {row['frames']}   {seed}"
            f"shown {row['shown'] or 'nowhere'}{state}"
        )
    return 0


def _row(
    record: Record, take: int, numbers: tuple[int, ...], job: Mapping[str, Any], *, finished: bool
) -> dict[str, Any]:
    """Describe a take."""
    shown = tuple(number for number in numbers if record.take_of(number) == take)
    return {
        "take": take,
        "frames": format_frames(numbers),
        "shown": format_frames(shown) if shown and finished else None,
        "seed": job.get("settings", {}).get("seed"),
        "finished": finished,
    }


def _demo(options: argparse.Namespace) -> int:
    from marionext.jobs import MotionSource, OutputSettings, PoseSettings  # noqa: PLC0415
    from marionext.settings import DollSettings  # noqa: PLC0415

    job = RenderJob(
        motion=MotionSource(path=str(presets.folder("motions") / "dance.bvh")),
        character=str(presets.folder("characters") / "hero.png"),
        frames=options.frames,
        pose=PoseSettings(fit="inside"),
        settings=DollSettings(width=256, height=384),
        output=OutputSettings(directory=str(user_path(options.out)), side_by_side=True),
    )
    return _run([job], options)


def _plan(options: argparse.Namespace) -> int:
    from marionext.planning import plan  # noqa: PLC0415 - reads media files

    outline = plan(job_from(options), engine_settings(options))
    if options.json:
        console.show_json(encode(outline))
    else:
        console.show_result(outline.text)
    return 0


def _run(jobs: Sequence[Job], options: argparse.Namespace) -> int:
    engine = replace(engine_settings(options), overwrite=options.overwrite)
    return run_jobs(jobs, engine, as_json=options.json)


def _worker(_options: argparse.Namespace) -> int:
    from marionext.worker import serve_stdio  # noqa: PLC0415 - points stdout elsewhere

    return serve_stdio()
