"""``marionext render``, ``batch``, ``demo``, ``plan`` and ``worker``."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from marionext import presets
from marionext.cli import console
from marionext.cli.interrupts import Interrupts
from marionext.cli.options import (
    add_engine_options,
    add_motion_options,
    add_render_options,
    engine_settings,
    job_from,
)
from marionext.codec import encode
from marionext.errors import JobCancelled, SettingsError
from marionext.jobs import RenderJob, encode_job, read_job
from marionext.protocol import Failed, Finished

__all__ = ["add_commands"]

PARTIAL = 6
"""Exit status when some of several jobs failed."""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    render = commands.add_parser(
        "render",
        help="render a character video from a motion",
        description="Render MOTION with CHARACTER. An interrupted render goes on where it was "
        "when the same command is given again.",
    )
    _add_job_options(render)
    render.add_argument(
        "--save-job", metavar="FILE", help="write the job to a file for 'batch' instead"
    )
    _add_run_options(render)
    render.set_defaults(run=_render)

    batch = commands.add_parser("batch", help="render job files one after another")
    batch.add_argument("jobs", nargs="+", metavar="JOB", help="job files (JSON)")
    batch.add_argument("--dry-run", action="store_true", help="check the jobs, render nothing")
    add_engine_options(batch)
    _add_run_options(batch)
    batch.set_defaults(run=_batch)

    demo = commands.add_parser("demo", help="render the bundled dance with the bundled character")
    demo.add_argument("--out", default="out/demo", help="folder for the result (out/demo)")
    demo.add_argument("--frames", default="1-96", help="only these frames (1-96, of 192)")
    add_engine_options(demo)
    _add_run_options(demo)
    demo.set_defaults(run=_demo)

    plan = commands.add_parser(
        "plan", help="print windows, memory, disk and time of a render before anything is loaded"
    )
    _add_job_options(plan, character_required=False)
    plan.add_argument("--json", action="store_true", help="print JSON")
    plan.set_defaults(run=_plan)

    worker = commands.add_parser("worker", help="serve a host over stdin and stdout")
    worker.set_defaults(run=_worker)


def _add_job_options(parser: argparse.ArgumentParser, *, character_required: bool = True) -> None:
    parser.add_argument(
        "--motion",
        required=True,
        help="dance video, BVH, glTF/GLB/VRM, pose track, OpenPose JSON folder, or pose maps",
    )
    parser.add_argument(
        "--character", required=character_required, default="", help="picture of the character"
    )
    parser.add_argument(
        "--out", required=character_required, default="out", help="folder for the result"
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
        "--side-by-side", action="store_true", help="also a video with the pose map beside"
    )
    group.add_argument("--pose-maps", action="store_true", help="also write the pose maps")
    group.add_argument("--no-audio", action="store_true", help="leave the source's sound out")
    add_engine_options(parser)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="render again what is there")
    parser.add_argument("--no-previews", action="store_true", help="no preview picture a step")
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stdout")


def _render(options: argparse.Namespace) -> int:
    job = job_from(options)
    if options.save_job:
        from marionext.files import write_json  # noqa: PLC0415 - only this branch writes

        write_json(Path(options.save_job), encode_job(job))
        console.say(f"Job written to {options.save_job}")
        return 0
    return _run([job], options)


def _batch(options: argparse.Namespace) -> int:
    jobs: list[RenderJob] = []
    failures = 0
    for path in options.jobs:
        try:
            jobs.append(read_job(Path(path)))
        except SettingsError as error:
            console.show_error(error)
            failures += 1
    if failures and not jobs:
        return SettingsError.exit_status
    if options.dry_run:
        console.say(f"{len(jobs)} of {len(options.jobs)} jobs can be read")
        return SettingsError.exit_status if failures else 0
    status = _run(jobs, options)
    return PARTIAL if failures and status in (0, PARTIAL) else status


def _demo(options: argparse.Namespace) -> int:
    from marionext.jobs import (  # noqa: PLC0415
        MotionSource,
        OutputSettings,
        PoseSettings,
        default_settings,
    )

    job = RenderJob(
        motion=MotionSource(path=str(presets.folder("motions") / "dance.bvh")),
        character=str(presets.folder("characters") / "hero.png"),
        frames=options.frames,
        pose=PoseSettings(fit="limbs"),
        settings=default_settings("puppet"),
        output=OutputSettings(
            directory=str(Path(options.out).expanduser().absolute()), side_by_side=True
        ),
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


def _worker(_options: argparse.Namespace) -> int:
    from marionext.worker import serve_stdio  # noqa: PLC0415 - points stdout elsewhere

    return serve_stdio()


def _run(jobs: Sequence[RenderJob], options: argparse.Namespace) -> int:
    """Render jobs in order on one engine; the first Ctrl-C stops cleanly, the second at once."""
    from marionext.local import LocalEngine  # noqa: PLC0415 - its session loads torch

    printer = console.EventPrinter(as_json=options.json)
    settings: Mapping[str, Any] = encode(
        replace(engine_settings(options), overwrite=options.overwrite)
    )
    statuses: list[int] = []
    with LocalEngine() as engine:
        stopping = False
        for job in jobs:
            if stopping:
                break
            job_id = engine.submit(encode_job(job), settings)
            with Interrupts(partial(engine.cancel, job_id)):
                while True:
                    event = engine.next_event()
                    printer.show(event)
                    if isinstance(event, Finished | Failed):
                        break
            statuses.append(event.exit_status if isinstance(event, Failed) else 0)
            stopping = statuses[-1] == JobCancelled.exit_status
    if stopping:
        return JobCancelled.exit_status
    failed = [status for status in statuses if status]
    if len(jobs) > 1 and failed:
        return PARTIAL if len(failed) < len(jobs) else failed[0]
    return failed[0] if failed else 0
