"""``marionext batch`` and ``farm``: many jobs in one go, here or on a render farm."""

import argparse
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marionext.cli import console
from marionext.cli.interrupts import Interrupts
from marionext.cli.jobs import PARTIAL
from marionext.cli.options import add_engine_options, engine_settings
from marionext.codec import encode
from marionext.errors import EngineError, JobCancelled, ModelError, SettingsError
from marionext.files import is_folder
from marionext.frames import parse_frames
from marionext.jobs import EngineSettings, PictureJob, RenderJob, UpscaleJob
from marionext.limits import quoted
from marionext.paths import user_path
from marionext.protocol import Event, Failed, Finished, Log

if TYPE_CHECKING:
    from marionext.batch import Batch, Figures, Listing, Row, Shot
    from marionext.runs.outlines import PictureOutline

__all__ = ["add_commands"]

_SECONDS_BETWEEN_LOOKS = 1.0
_SLICE = 0.1
_SECONDS_FOR_FIGURES = 3.0
"""That an interrupted batch waits for the figures that are being taken."""
_REPORT = "report.html"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    batch = commands.add_parser(
        "batch",
        help="render job files, tables and matrices one after another",
        description="Do every JOB: a job file (JSON), a table (CSV, a job in each row), a matrix "
        "(TOML: motions x characters x seeds), or a folder of them. Models stay loaded. The same "
        "command given again goes on where it was. See docs/batch.md.",
    )
    _add_list_options(batch)
    batch.add_argument(
        "--part",
        type=_part,
        metavar="I/N",
        help="only part I of N, each of as many jobs: for the I-th of N machines",
    )
    batch.add_argument(
        "--watch", metavar="FOLDER", help="go on with what comes into a folder, until Ctrl-C"
    )
    batch.add_argument("--dry-run", action="store_true", help="say what it takes, render nothing")
    batch.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave renders alone that are finished and whole: the same by all that changes a "
        "pixel, every file by its hash",
    )
    batch.add_argument("--overwrite", action="store_true", help="render again what is there")
    batch.add_argument(
        "--retry",
        type=int,
        default=0,
        metavar="N",
        help="try a job N times more that fails for want of memory, disk or the like (0)",
    )
    batch.add_argument(
        "--keep-going", action="store_true", help="go on with the others when a job fails"
    )
    batch.add_argument(
        "--report", metavar="FILE", help="where the report is written (report.html in the root)"
    )
    batch.add_argument("--no-report", action="store_true", help="write no report")
    batch.add_argument("--no-previews", action="store_true", help="write no preview pictures")
    batch.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="do the jobs on a Ray cluster: auto, HOST:PORT, or 'local' for this machine "
        "(pip install marionext[farm])",
    )
    batch.add_argument(
        "--ray-cpus",
        type=int,
        metavar="N",
        help="processors of each worker of the cluster (2; for a network without a GPU all of the "
        "smallest machine's)",
    )
    batch.add_argument(
        "--ray-transfer",
        action="store_true",
        help="send files to the workers and results back, where machines share no folder",
    )
    lines = batch.add_mutually_exclusive_group()
    lines.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    lines.add_argument(
        "--openjd", action="store_true", help="progress as lines of Open Job Description on stdout"
    )
    add_engine_options(batch)
    batch.set_defaults(run=partial(_batch, batch))

    farm = commands.add_parser("farm", help="write the template of a batch for a render farm")
    kinds = farm.add_subparsers(dest="farm", required=True, metavar="KIND")
    openjd = kinds.add_parser(
        "openjd",
        help="Open Job Description 2023-09, a task for each job",
        description="Write a batch as a template of Open Job Description to stdout. Each task "
        "renders one job; machines have to see the files.",
    )
    _add_list_options(openjd)
    openjd.add_argument("--name", default="Marionext", help="name of the farm's job")
    openjd.add_argument(
        "--command", dest="program", default="marionext", help="the program on the farm's machines"
    )
    add_engine_options(openjd)
    openjd.set_defaults(run=_openjd)


def _add_list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="job, table, matrix, or folder")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="only the job of that name, repeatable"
    )
    parser.add_argument("--frames", help="only these frames of each render")
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="where results may lie, and those of tables and matrices do "
        "(default: the folder of the file that names them)",
    )
    parser.add_argument(
        "--allow-outside", action="store_true", help="let jobs write outside of the root"
    )


def _part(text: str) -> tuple[int, int]:
    """Read ``2/5``.

    Raises:
        argparse.ArgumentTypeError: it is no such part.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"expected a part such as 2/5, got {quoted(text)}")
    return int(match[1]), int(match[2])


def _batch(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if not options.jobs and options.watch is None:
        parser.error("expected a JOB, or --watch FOLDER, got neither")
    if not 0 <= options.retry <= 1000:
        raise SettingsError(f"--retry: expected a number from 0 to 1000, got {options.retry}")
    _check_ray(options)
    watched = None if options.watch is None else user_path(options.watch)
    if watched is not None and not is_folder(watched):
        raise SettingsError(f"--watch: expected a folder, there is none at {watched}")
    listing = _listed(options, [user_path(job) for job in options.jobs])
    if options.part is not None:
        from marionext.batch import ordered  # noqa: PLC0415

        # In the order of the models, so that each machine loads few.
        (number, of), shots = options.part, ordered(listing.shots)
        part = shots[len(shots) * (number - 1) // of : len(shots) * number // of]
        listing = replace(listing, shots=tuple(part))
    if listing.problems and not (options.keep_going or options.dry_run):
        for problem in listing.problems:
            console.show_error(problem.error)
        console.say(
            f"Nothing was started: {len(listing.problems)} jobs cannot be rendered, "
            f"{len(listing.shots)} can (--keep-going does these)."
        )
        return listing.problems[0].error.exit_status
    engine = replace(engine_settings(options), overwrite=options.overwrite)
    if options.dry_run:
        return _dry_run(listing, engine, options)
    return _Run(options, engine, listing, watched).run()


def _check_ray(options: argparse.Namespace) -> None:
    """Refuse what only makes sense on a cluster where there is none.

    Raises:
        SettingsError: as said.
    """
    if options.ray is None and (options.ray_cpus is not None or options.ray_transfer):
        raise SettingsError("--ray-cpus and --ray-transfer: expected --ray, there is none")
    if options.ray_cpus is not None and not 1 <= options.ray_cpus <= 4096:
        raise SettingsError(f"--ray-cpus: expected a number from 1 to 4096, got {options.ray_cpus}")


def _listed(options: argparse.Namespace, paths: Sequence[Path]) -> "Listing":
    """Return the jobs that are meant; what keeps one from being done is among the problems."""
    from marionext.batch import Listing, list_shots, refused  # noqa: PLC0415

    root = None if options.root is None else user_path(options.root)
    found = list_shots(paths, root=root)
    shots = found.shots
    if options.only:
        known = {shot.name for shot in shots}
        if unknown := [name for name in options.only if name not in known]:
            shown = ", ".join(sorted(known)[:10])
            raise SettingsError(
                f"--only: there is no job {quoted(unknown[0])}", hint=f"There are: {shown}."
            )
        shots = tuple(shot for shot in shots if shot.name in options.only)
        found = replace(found, problems=())
    if options.frames is not None:
        parse_frames(options.frames)
        shots = tuple(_with_frames(shot, options.frames) for shot in shots)
    problems = refused(shots, root=root, allow_outside=options.allow_outside)
    bad = {problem.source for problem in problems}
    return Listing(
        shots=tuple(shot for shot in shots if shot.source not in bad),
        problems=(*found.problems, *problems),
    )


def _with_frames(shot: "Shot", frames: str) -> "Shot":
    job = shot.job
    return replace(shot, job=replace(job, frames=frames)) if isinstance(job, RenderJob) else shot


def _dry_run(listing: "Listing", engine: EngineSettings, options: argparse.Namespace) -> int:
    """Say for each job, and in all, what it would take."""
    from marionext.batch import is_finished, ordered  # noqa: PLC0415
    from marionext.planning import plan  # noqa: PLC0415 - reads media files
    from marionext.runs.outlines import outline  # noqa: PLC0415 - reads media files

    rows: list[dict[str, Any]] = []
    errors = [problem.error for problem in listing.problems]
    for shot in ordered(listing.shots):
        row: dict[str, Any] = {"name": shot.name, "kind": shot.job.kind, "there": False}
        rows.append(row)
        try:
            if options.skip_existing and is_finished(shot, engine):
                row["there"] = True
            elif isinstance(shot.job, RenderJob):
                row["plan"] = encode(plan(shot.job, engine))
            elif isinstance(shot.job, PictureJob | UpscaleJob):
                found = outline(shot.job, engine)
                row["plan"] = {**encode(found), **_as_of_a_render(found)}
                errors += [ModelError(f"{shot.name}: {each}") for each in found.problems]
        except EngineError as error:
            row["error"] = error.message
            errors.append(type(error)(f"{shot.name}: {error.message}", hint=error.hint))
    plans = [row["plan"] for row in rows if "plan" in row]
    total = {
        "jobs": len(rows),
        "there": sum(row["there"] for row in rows),
        "frames": sum(plan["frames"] for plan in plans),
        "windows": sum(len(plan["windows"]) for plan in plans),
        "seconds": sum(plan["seconds"] for plan in plans),
        "disk_mib": sum(plan["disk_mib"] for plan in plans),
        "free_disk_mib": min((plan["free_disk_mib"] for plan in plans), default=None),
        "host_gib": max((plan["host_gib"] for plan in plans), default=0.0),
        "device_gib": max((_device_gib(plan) for plan in plans), default=0.0),
        "guessed": sum(plan["seconds_from"] == "a guess" for plan in plans),
    }
    if options.json:
        problems = [str(fault) for fault in errors]
        console.show_json({"jobs": rows, "total": total, "problems": problems})
    else:
        _show_plans(rows, total)
        for fault in errors:
            console.show_error(fault)
    return errors[0].exit_status if errors else 0


def _as_of_a_render(found: "PictureOutline") -> dict[str, Any]:
    """Return what a plan of pictures comes to in the words of a render's."""
    on_host = found.device == "cpu"
    return {
        "frames": found.pictures - found.there,
        "windows": [],
        "host_gib": found.memory_gib if on_host else 0.0,
        "device_gib": {} if on_host else {found.device: found.memory_gib},
    }


def _device_gib(plan: dict[str, Any]) -> float:
    """Return the memory of a device that a render takes at least."""
    return min(plan["device_gib"].values(), default=0.0)


def _show_plans(rows: list[dict[str, Any]], total: dict[str, Any]) -> None:
    width = max([4, *(len(row["name"]) for row in rows)])
    columns = ("frames", 7), ("windows", 7), ("memory", 9), ("disk", 9), ("time", 9)
    console.show_result("  ".join([f"{'job':<{width}}", *(f"{name:>{n}}" for name, n in columns)]))
    for row in rows:
        plan = row.get("plan")
        if plan is None:
            what = "is there already" if row["there"] else row.get("error", row["kind"])
            console.show_result(f"{row['name']:<{width}}  {what}")
            continue
        memory = max(plan["host_gib"], _device_gib(plan))
        console.show_result(_figures_line(row["name"], width, plan, memory, len(plan["windows"])))
    memory = max(total["host_gib"], total["device_gib"])
    console.show_result(_figures_line("all", width, total, memory, total["windows"]))
    free = total["free_disk_mib"]
    if free is not None and total["disk_mib"] > free:
        console.show_result(f"NOT ENOUGH DISK: {free:,.0f} MiB are free")
    if total["guessed"]:
        console.show_result(f"The time of {total['guessed']} jobs is a guess, others were timed.")


def _figures_line(name: str, width: int, plan: dict[str, Any], memory: float, windows: int) -> str:
    return (
        f"{name:<{width}}  {plan['frames']:>7}  {windows or '-':>7}  {memory:>5.1f} GiB  "
        f"{plan['disk_mib']:>5.0f} MiB  {console.duration(plan['seconds']):>9}"
    )


class _Run:
    """A batch that is done now, shown, and reported."""

    def __init__(
        self,
        options: argparse.Namespace,
        engine: EngineSettings,
        listing: "Listing",
        watched: Path | None,
    ) -> None:
        self._options = options
        self._watched = watched
        self._taken: dict[Path, tuple[int, int]] = {}
        self._shown: Callable[[Row, Event | None], None]
        if options.json:
            printer = console.EventPrinter(as_json=True)
            self._shown = lambda _row, event: printer.show(event) if event is not None else None
        else:
            self._shown = _openjd_line if options.openjd else self._show
        self._measuring = ThreadPoolExecutor(1, "figures")
        self._figures: dict[str, Future[Figures]] = {}
        self._report = None if options.no_report else _report_path(options, watched)
        self._batch = self._made(engine)
        self._batch.add(listing.shots, listing.problems)

    def _made(self, engine: EngineSettings) -> "Batch":
        """Return the batch, here or on the cluster that was named."""
        from marionext.batch import Batch  # noqa: PLC0415

        options = self._options
        how = {
            "retries": options.retry,
            "keep_going": options.keep_going or self._watched is not None,
            "skip_existing": options.skip_existing,
            "tell": self._tell,
        }
        if options.ray is None:
            return Batch(engine, **how)
        from marionext.batch import Cluster, ClusterBatch  # noqa: PLC0415

        return ClusterBatch(
            engine,
            cluster=Cluster(options.ray),
            cpus=options.ray_cpus,
            transfer=options.ray_transfer,
            **how,
        )

    def run(self) -> int:
        """Do it and return the exit status."""
        batch = self._batch
        with Interrupts(batch.stop):
            try:
                batch.run()
                while self._watched is not None and not batch.stopped:
                    batch.add(*self._came())
                    batch.run()
                    self._rest()
            finally:
                batch.close()
            self._write_report()
        self._say_end()
        return _status(batch, endless=self._watched is not None)

    def _came(self) -> "tuple[tuple[Shot, ...], tuple[Any, ...]]":
        """Return the jobs that have come into the watched folder; a file is taken when it rests."""
        from marionext.batch import job_files  # noqa: PLC0415

        assert self._watched is not None
        try:
            files = job_files(self._watched)
        except (EngineError, OSError):
            return (), ()
        now = time.time()
        fresh = []
        for file in files:
            try:
                found = file.stat()
            except OSError:
                continue
            form = (found.st_mtime_ns, found.st_size)
            if self._taken.get(file) != form and now - found.st_mtime > _SECONDS_BETWEEN_LOOKS:
                self._taken[file] = form
                fresh.append(file)
        listing = _listed(self._options, fresh) if fresh else None
        return (listing.shots, listing.problems) if listing is not None else ((), ())

    def _rest(self) -> None:
        ends = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        while not self._batch.stopped and time.monotonic() < ends:
            time.sleep(_SLICE)

    def _tell(self, row: "Row", event: Event | None) -> None:
        """Show a change, and begin to measure what is done."""
        self._shown(row, event)
        if self._report is not None and row.state in {"done", "there"} and _is_render(row):
            from marionext.batch import look_at  # noqa: PLC0415 - pictures

            assert row.directory is not None
            if row.name not in self._figures:
                self._figures[row.name] = self._measuring.submit(look_at, row.directory)

    def _show(self, row: "Row", event: Event | None) -> None:
        """Show the table, and above it what deserves a line of its own."""
        match event:
            case Log(level="warning"):
                console.say(f"warning: {row.name}: {event.text}")
            case Finished():
                frames = "1 frame" if event.frames == 1 else f"{event.frames} frames"
                console.say(f"{row.name}: {frames} in {event.seconds:.1f} s: {event.directory}")
                for made in event.videos or (event.directory,):
                    console.show_result(made)
            case Failed():
                console.say(f"error: {row.name}: {event.message}")
                if event.hint:
                    console.say(f"       {event.hint}")
        rows = [(each.name, each.state, each.text, each.fraction) for each in self._batch.rows]
        console.show_table(rows, _summary(self._batch.rows), stage=row.name + row.state)

    def _write_report(self) -> None:
        """Write the report, with the figures that can be had."""
        if self._report is None or not self._batch.rows:
            return
        from marionext.batch import free_report_path, write_report  # noqa: PLC0415

        deadline = time.monotonic() + _SECONDS_FOR_FIGURES
        figures = {}
        for name, future in self._figures.items():
            left = max(0.0, deadline - time.monotonic()) if self._batch.stopped else None
            if left is None:
                console.show_progress(f"measuring {name}", stage="figures")
            try:
                figures[name] = future.result(left)
            except (EngineError, OSError, TimeoutError, ValueError):
                continue
        self._measuring.shutdown(wait=False, cancel_futures=True)
        path = free_report_path(self._report)
        try:
            write_report(path, self._batch.rows, figures, command=_command())
        except EngineError as error:
            console.show_error(error)
        else:
            console.say(f"report: {path}")

    def _say_end(self) -> None:
        """Say in a few lines what became of the batch, and how to go on."""
        rows = self._batch.rows
        if self._options.json or len(rows) < 2:
            return
        console.say(_summary(rows))
        for row in rows:
            if row.state == "failed":
                console.say(f"  failed   {row.name}: {row.text}")
        if any(row.state in {"failed", "stopped"} for row in rows):
            console.say(f"Go on with: {_command()}")


def _report_path(options: argparse.Namespace, watched: Path | None) -> Path | None:
    """Return where the report is wanted: where it is said, else beside the results.

    A single job file is no batch worth a report of its own, unless it is asked for.
    """
    if options.report is not None:
        return user_path(options.report)
    name = _REPORT
    if options.part is not None:
        name = "report-{}-of-{}.html".format(*options.part)
    if options.root is not None:
        return user_path(options.root) / name
    if watched is not None:
        return watched / name
    first = user_path(options.jobs[0])
    if len(options.jobs) == 1 and first.suffix.lower() == ".json":
        return None
    return (first if is_folder(first) else first.parent) / name


def _is_render(row: "Row") -> bool:
    return row.shot is not None and isinstance(row.shot.job, RenderJob) and bool(row.directory)


def _summary(rows: "Sequence[Row]") -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    words = {"there": "there already", "working": "at work"}
    told = ", ".join(f"{count} {words.get(state, state)}" for state, count in counts.items())
    timed = [row.seconds for row in rows if row.state == "done"]
    waiting = counts.get("waiting", 0)
    if timed and waiting:
        told += f", about {console.duration(waiting * sum(timed) / len(timed))} left"
    return told


def _openjd_line(row: "Row", event: Event | None) -> None:
    """Print progress as Open Job Description has it: percent, state in words, why it failed."""
    if isinstance(event, Failed):
        console.show_result(f"openjd_fail: {_one_line(event.message)}")
        return
    if row.fraction is not None:
        console.show_result(f"openjd_progress: {100 * row.fraction:.1f}")
    console.show_result(f"openjd_status: {_one_line(row.name)}: {_one_line(row.text or row.state)}")
    if isinstance(event, Log) and event.level == "warning":
        console.say(f"warning: {event.text}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _command() -> str:
    """Return the command that goes on: the one that was given."""
    return shlex.join(["marionext", *sys.argv[1:]])


def _status(batch: "Batch", *, endless: bool) -> int:
    """Return the exit status of a batch."""
    failed = [row.exit_status for row in batch.rows if row.state == "failed"]
    if batch.stopped and not (endless and not any(r.state == "stopped" for r in batch.rows)):
        return JobCancelled.exit_status
    if not failed:
        return 0
    done = any(row.state in {"done", "there"} for row in batch.rows)
    return PARTIAL if done else failed[0]


def _openjd(options: argparse.Namespace) -> int:
    from marionext.batch import (  # noqa: PLC0415
        Needs,
        needs_of,
        needs_of_picture,
        ordered,
        template,
        to_yaml,
    )
    from marionext.planning import plan  # noqa: PLC0415 - reads media files

    paths = [user_path(job) for job in options.jobs]
    listing = _listed(options, paths)
    for problem in listing.problems:
        console.show_error(problem.error)
    if listing.problems:
        return listing.problems[0].error.exit_status
    engine = engine_settings(options)
    shots = []
    for shot in ordered(listing.shots):
        needs = Needs(memory_mib=1024)
        if isinstance(shot.job, RenderJob):
            needs = needs_of(plan(shot.job, engine))
        elif isinstance(shot.job, PictureJob | UpscaleJob):
            needs = needs_of_picture(shot.job, engine)
        shots.append((shot, needs))
    arguments = ["--device", options.device, "--dtype", options.dtype]
    if options.threads is not None:
        arguments += [f"--threads={options.threads}"]
    if options.frames is not None:
        arguments += [f"--frames={options.frames}"]
    if options.root is not None:
        arguments += ["--root", str(user_path(options.root))]
    if options.allow_outside:
        arguments += ["--allow-outside"]
    made = template(shots, paths, name=options.name, arguments=arguments, command=options.program)
    console.show_result(to_yaml(made).rstrip("\n"))
    return 0
