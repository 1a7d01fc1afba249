"""``marionext verify``: is what was rendered still what it was, and if not, make it so again."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marionext.cli import console
from marionext.cli.jobs import run_jobs
from marionext.cli.options import add_engine_options, engine_settings
from marionext.errors import EngineError, JobCancelled, OutputError
from marionext.jobs import EngineSettings, PictureJob, UpscaleJob, decode_job
from marionext.paths import user_path

if TYPE_CHECKING:
    from marionext.runs.kept_folder import KeptRecord
    from marionext.verifying import Verdict

__all__ = ["add_commands"]

_MOST_LINES = 20


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    verify = commands.add_parser(
        "verify",
        help="compare frames and videos with their record, and repair what is damaged",
        description="Compare every frame, video and other result of the renders in DIR, or below "
        "it, with the hashes in their render.json, and other pictures with those in "
        "picture.json or upscale.json. With --repair, what is damaged is made again.",
    )
    verify.add_argument("folders", nargs="+", metavar="DIR", help="folder of a render, or above")
    verify.add_argument(
        "--repair", action="store_true", help="make what is damaged again, and only that"
    )
    verify.add_argument("--json", action="store_true", help="JSON on stdout")
    add_engine_options(verify)
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    from marionext.verifying import verify  # noqa: PLC0415 - pictures

    folders, pictures = _found(options)
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
    for folder, kind in pictures:
        row = _pictures(folder, kind, options)
        damaged += not row["whole"]
        rows.append(row)
    if options.json:
        console.show_json(rows)
    if damaged and not options.repair:
        console.say(f"{damaged} of {len(rows)} are damaged; --repair makes that again.")
    return OutputError.exit_status if damaged else 0


def _found(
    options: argparse.Namespace,
) -> tuple[list[Path], list[tuple[Path, "type[KeptRecord]"]]]:
    """Return the folders of renders that are meant, and of pictures with their kind of record.

    Raises:
        OutputError: at a place there is neither.
    """
    from marionext.runs.kept_folder import find_kept  # noqa: PLC0415 - pictures
    from marionext.runs.picture_folder import PictureRecord  # noqa: PLC0415
    from marionext.runs.upscale_folder import UpscaleRecord  # noqa: PLC0415
    from marionext.verifying import find_renders  # noqa: PLC0415

    renders: list[Path] = []
    pictures: list[tuple[Path, type[KeptRecord]]] = []
    for given in options.folders:
        place = user_path(given).resolve()
        own = [
            (folder, kind)
            for kind in (PictureRecord, UpscaleRecord)
            for folder in find_kept(place, kind)
        ]
        pictures += own
        try:
            renders += find_renders(place)
        except OutputError:
            if not own:
                raise
    return renders, pictures


def _pictures(
    folder: Path, kind: "type[KeptRecord]", options: argparse.Namespace
) -> dict[str, Any]:
    """Compare a folder of pictures with its record, and have what is damaged made again."""
    from marionext.runs.kept_folder import damages_of  # noqa: PLC0415 - pictures

    row: dict[str, Any] = {"folder": str(folder), "whole": False, "damages": []}
    try:
        record, damages = damages_of(folder, kind)
        row["damages"] = _listed(damages)
        if damages and options.repair:
            _tell_pictures(folder, row, as_json=options.json)
            row["damaged"] = row["damages"]
            _repair_pictures(folder, kind, list(damages), options)
            record, damages = damages_of(folder, kind)
            row |= {"repaired": not damages, "damages": _listed(damages)}
    except EngineError as error:
        console.show_error(error)
        return row
    row["whole"] = not damages
    _tell_pictures(folder, row, as_json=options.json, count=len(record.made))
    return row


def _listed(damages: dict[str, str]) -> list[dict[str, str]]:
    return [{"what": "file", "name": name, "fault": fault} for name, fault in damages.items()]


def _tell_pictures(folder: Path, row: dict[str, Any], *, as_json: bool, count: int = 0) -> None:
    """Say what a folder of pictures is like."""
    if as_json:
        return
    if row["whole"]:
        done = "repaired" if row.get("repaired") else "whole"
        console.show_result(f"{done:<9} {folder}: {count} picture{'s' * (count != 1)}")
        return
    console.show_result(f"damaged   {folder}: {len(row['damages'])} of its files")
    for damage in row["damages"][:_MOST_LINES]:
        console.show_result(f"          {damage['name']} is {damage['fault']}")
    if (more := len(row["damages"]) - _MOST_LINES) > 0:
        console.show_result(f"          and {more} more")


def _repair_pictures(
    folder: Path, kind: "type[KeptRecord]", names: list[str], options: argparse.Namespace
) -> None:
    """Have files of a folder of pictures made again by the job that made them.

    Raises:
        OutputError: the record's job is none of pictures.
    """
    from marionext.runs.kept_folder import damages_of, release  # noqa: PLC0415 - pictures
    from marionext.verifying import engine_of  # noqa: PLC0415

    record, _ = damages_of(folder, kind)
    job = decode_job(record.job)
    if not isinstance(job, PictureJob | UpscaleJob):
        raise OutputError(f"{folder}: expected the job of pictures, got one of kind {job.kind!r}")
    release(folder, names, kind)
    engine = engine_of(record, engine_settings(options))
    run_jobs([replace(job, output=str(folder))], engine, results=False, unit="picture")


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
