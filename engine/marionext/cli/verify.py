"""``marionext verify``: is what was rendered still what it was, and if not, make it so again."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marionext.cli import console
from marionext.cli.jobs import run_jobs
from marionext.cli.options import add_engine_options, engine_settings
from marionext.errors import EngineError, JobCancelled, OutputError
from marionext.jobs import EngineSettings
from marionext.paths import user_path

if TYPE_CHECKING:
    from marionext.verifying import Verdict

__all__ = ["add_commands"]

_MOST_LINES = 20


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    verify = commands.add_parser(
        "verify",
        help="compare frames and videos with their record, and repair what is damaged",
        description="Compare every frame, video and other result of the renders in DIR, or below "
        "it, with the hashes in their render.json. With --repair, what is damaged is made again.",
    )
    verify.add_argument("folders", nargs="+", metavar="DIR", help="folder of a render, or above")
    verify.add_argument(
        "--repair", action="store_true", help="make what is damaged again, and only that"
    )
    verify.add_argument("--json", action="store_true", help="JSON on stdout")
    add_engine_options(verify)
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    from marionext.verifying import find_renders, verify  # noqa: PLC0415 - pictures

    folders = [
        render for given in options.folders for render in find_renders(user_path(given).resolve())
    ]
    rows: list[dict[str, Any]] = []
    damaged = 0
    for place, folder in enumerate(folders):
        console.show_progress(f"reading {folder}", place / len(folders), stage="verify")
        verdict = verify(folder)
        row = _row(verdict)
        if not verdict.whole and options.repair:
            _tell(verdict, row, as_json=options.json)
            try:
                status = _repair(verdict, engine_settings(options))
            except EngineError as error:
                console.show_error(error)
                status = error.exit_status
            if status == JobCancelled.exit_status:
                return status
            verdict = verify(folder)
            row = {**_row(verdict), "repaired": verdict.whole, "damaged": row["damages"]}
        _tell(verdict, row, as_json=options.json)
        damaged += not verdict.whole
        rows.append(row)
    if options.json:
        console.show_json(rows)
    if damaged and not options.repair:
        console.say(f"{damaged} of {len(folders)} are damaged; --repair makes that again.")
    return OutputError.exit_status if damaged else 0


def _row(verdict: "Verdict") -> dict[str, Any]:
    """Return a verdict as JSON values."""
    return {
        "folder": str(verdict.folder),
        "whole": verdict.whole,
        "damages": [
            {"what": damage.what, "name": damage.name, "fault": damage.fault}
            for damage in verdict.damages
        ],
    }


def _tell(verdict: "Verdict", row: dict[str, Any], *, as_json: bool) -> None:
    """Say what a folder is like."""
    if as_json:
        return
    if verdict.whole:
        assert verdict.record is not None
        done = "repaired" if row.get("repaired") else "whole"
        console.show_result(f"{done:<9} {verdict.folder}: {len(verdict.record.numbers)} frames")
        return
    console.show_result(f"damaged   {verdict.folder}: {len(verdict.damages)} of its files")
    for damage in verdict.damages[:_MOST_LINES]:
        console.show_result(f"          {damage}")
    if (more := len(verdict.damages) - _MOST_LINES) > 0:
        console.show_result(f"          and {more} more")
    if verdict.problem is not None:
        console.show_error(verdict.problem)


def _repair(verdict: "Verdict", engine: EngineSettings) -> int:
    """Make what is damaged again, and say where it has other bytes than before."""
    from marionext.record import RECORD, Record  # noqa: PLC0415
    from marionext.verifying import (  # noqa: PLC0415 - pictures
        changed_since,
        engine_of,
        free_first_take,
        jobs_that_repair,
        jobs_that_show,
        restore_record,
        verify,
    )

    if verdict.record is None:
        restore_record(verdict)
        console.say(f"{verdict.folder}: its record is there again, from the copy beside it.")
        verdict = verify(verdict.folder)
    jobs = jobs_that_repair(verdict)
    before = verdict.record
    assert before is not None  # or it would have been said
    path = Path(verdict.folder) / RECORD
    free_first_take(verdict)
    engine = engine_of(before, engine)
    if status := run_jobs(jobs, engine, results=False):
        return status
    if (shows := jobs_that_show(verdict.folder, before, Record.read(path))) and (
        status := run_jobs(shows, engine, results=False)
    ):
        return status
    if changed := changed_since(before, Record.read(path)):
        versions = ", ".join(f"{name} {version}" for name, version in before.versions.items())
        console.say(
            f"warning: {len(changed)} results have other bytes than before ({changed[0]} ...): "
            f"they were made with {versions}"
        )
    return 0
