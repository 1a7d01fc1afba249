"""``marionext models`` and ``marionext doctor``."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from marionext import bundles
from marionext.bundles import ModelBundle
from marionext.cli import console
from marionext.errors import ModelError
from marionext.files import is_folder
from marionext.paths import user_path

__all__ = ["add_commands"]

if TYPE_CHECKING:
    from marionext.intake import PullProgress

_DETECTOR = "mediapipe"
"""The detector's networks are fetched with the models, though they are no bundle."""
_MIB = 1 << 20


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    models = commands.add_parser("models", help="list, check or fetch models")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="list the models, and which are complete")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=_list)

    check = actions.add_parser("check", help="check that a model's files are present and intact")
    check.add_argument("model", help="name of a model, or its folder")
    check.add_argument("--json", action="store_true", help="print JSON")
    check.set_defaults(run=_check)

    path = actions.add_parser("path", help="print the folder of a model")
    path.add_argument("model", help="name of a model")
    path.set_defaults(run=_path)

    pull = actions.add_parser("pull", help="fetch a model; the only command that goes online")
    pull.add_argument("model", help=f"name of a model, or {_DETECTOR} for the pose detector")
    pull.add_argument("--from", dest="folder", help="take the files from this folder")
    pull.add_argument("--json", action="store_true", help="progress as JSON lines on stdout")
    pull.set_defaults(run=_pull)

    doctor = commands.add_parser("doctor", help="examine this installation and say what to fix")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _state(bundle: ModelBundle) -> str:
    if not is_folder(bundle.folder):
        return "not here"
    fatal = [problem for problem in bundles.check(bundle, hashes=False) if problem.fatal]
    return "incomplete" if fatal else "ready"


def _list(options: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = [
        {
            "name": bundle.name,
            "title": bundle.card.title,
            "state": _state(bundle),
            "folder": str(bundle.folder),
            "licence": bundle.licence,
            "description": bundle.card.description,
            "kind": bundle.card.kind,
            "built_in": bundle.card.built_in,
            "gated": bundle.card.gated,
            "download_bytes": bundle.card.download_bytes,
        }
        for bundle in bundles.list_bundles()
    ]
    rows.append(_detector())
    if options.json:
        console.show_json(rows)
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        console.show_result(f"{row['name']:{width}}  {row['state']:10}  {row['title']}")
        console.show_result(f"{'':{width}}  {row['folder']}")
    return 0


def _detector() -> dict[str, Any]:
    """Return the row of the detector's networks, which are fetched as models are."""
    from marionext.capture.models import locate_models, models_folder  # noqa: PLC0415 - libraries

    folder = models_folder()
    try:
        locate_models()
        state = "ready"
    except ModelError:
        state = "incomplete" if any(folder.glob("*.task")) else "not here"
    return {
        "name": _DETECTOR,
        "title": "MediaPipe",
        "state": state,
        "folder": str(folder),
        "licence": "Apache-2.0 (Google)",
        "description": "Finds people in videos and pictures: body, hands and face.",
        "kind": "detector",
        "built_in": False,
        "gated": None,
        "download_bytes": None,
    }


def _check(options: argparse.Namespace) -> int:
    if options.model == _DETECTOR:
        from marionext.capture.models import locate_models  # noqa: PLC0415 - libraries

        locate_models()
        if options.json:
            console.show_json([])
        else:
            console.show_result(f"{_DETECTOR}: every file is what it should be")
        return 0
    bundle = bundles.find(options.model)

    def show(done: int, total: int) -> None:
        console.show_progress(
            f"reading {done // _MIB} of {total // _MIB} MiB", done / total if total else None
        )

    problems = bundles.check(bundle, on_bytes=show)
    if options.json:
        console.show_json([{"path": p.path, "what": p.what, "text": p.text} for p in problems])
    else:
        for problem in problems:
            console.show_result(str(problem))
        if not problems:
            console.show_result(f"{bundle.name}: every file is what it should be")
    return ModelError.exit_status if any(problem.fatal for problem in problems) else 0


def _path(options: argparse.Namespace) -> int:
    console.show_result(str(bundles.find(options.model).folder))
    return 0


def _pull(options: argparse.Namespace) -> int:
    folder = None if options.folder is None else user_path(options.folder)
    show = _show_transfer if options.json else console.show_transfer
    if options.model == _DETECTOR:
        from marionext.capture.models import ensure_models, models_folder  # noqa: PLC0415

        ensure_models(source=folder, report=console.say)
        console.show_result(str(models_folder()))
        return 0
    from marionext import hub, intake  # noqa: PLC0415 - only this command goes online

    card = bundles.find(options.model).card
    console.say(f"{card.title}: {card.licence}")
    if folder is None:
        bundle = hub.pull(options.model, on_progress=show)
    else:
        bundle = intake.adopt(options.model, folder, on_progress=show)
    console.say(f"{bundle.name} is ready")
    console.show_result(str(bundle.folder))
    return 0


def _show_transfer(progress: "PullProgress") -> None:
    """Tell a program how far a fetch is."""
    console.show_result(
        json.dumps(
            {
                "file": progress.file,
                "done": progress.done,
                "total": progress.total,
                "bytes_per_second": round(progress.bytes_per_second),
            }
        )
    )


def _doctor(options: argparse.Namespace) -> int:
    from marionext.doctor import examine  # noqa: PLC0415 - imports torch to look at the device

    report = examine()
    if options.json:
        console.show_json(report.as_json())
    else:
        console.show_result(report.text)
    return 1 if report.problems else 0
