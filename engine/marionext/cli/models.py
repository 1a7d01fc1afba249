"""``marionext models`` and ``marionext doctor``."""

import argparse

__all__ = ["add_commands"]


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    models = commands.add_parser("models", help="list, check or fetch models")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (
        ("list", "which bundles there are, and which are complete"),
        ("check", "compare a bundle's files with what they should be"),
        ("path", "print the folder of a bundle"),
        ("pull", "fetch a bundle (goes online)"),
    ):
        action = actions.add_parser(name, help=text)
        if name != "list":
            action.add_argument("model", help="name of a bundle, or its folder")
        if name == "pull":
            action.add_argument("--from", dest="folder", help="folder that holds the files already")
        action.add_argument("--json", action="store_true", help="print JSON")
    models.set_defaults(run=_models)

    doctor = commands.add_parser("doctor", help="examine this installation and say what to mend")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _models(options: argparse.Namespace) -> int:
    raise NotImplementedError


def _doctor(options: argparse.Namespace) -> int:
    raise NotImplementedError
