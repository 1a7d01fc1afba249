"""``marionext doll``: a character's picture taken apart into layers that a person can mend."""

import argparse
from pathlib import Path

from marionext.cli import console
from marionext.errors import SettingsError
from marionext.files import is_folder
from marionext.paths import refuse_overlap, user_path

__all__ = ["add_commands"]


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's command."""
    doll = commands.add_parser(
        "doll",
        help="take a character's picture apart into layers that can be mended by hand",
        description="Write the doll that 'render' makes of PICTURE as a folder of layered pictures "
        "and doll.json. Mend them in any painting program, then render with --character FOLDER.",
    )
    doll.add_argument("picture", metavar="PICTURE", help="picture of the character")
    doll.add_argument("-o", "--out", required=True, metavar="FOLDER", help="folder to write")
    doll.add_argument(
        "--pose",
        metavar="FILE",
        help="pose of the picture (default: PICTURE's .pose.npz beside it, else detected)",
    )
    doll.add_argument(
        "--mask",
        metavar="FILE",
        help="outline of the figure, white on black, in the picture's size (default: the picture's "
        "transparency, the .mask.png beside it, else a guess)",
    )
    doll.add_argument("--detector", choices=("mediapipe", "dwpose"), default="mediapipe")
    doll.add_argument(
        "--overwrite", action="store_true", help="replace the doll that FOLDER holds, and no more"
    )
    doll.set_defaults(run=_doll)


def _doll(options: argparse.Namespace) -> int:
    from marionext.casting import find_files, open_doll, write_layered  # noqa: PLC0415 - pictures

    picture, folder = user_path(options.picture), user_path(options.out)
    if is_folder(picture):
        raise SettingsError(
            f"expected a picture to take apart, {picture} is a folder",
            hint="A doll that is taken apart already is rendered with --character FOLDER.",
        )
    pose, mask = (_optional(options.pose), _optional(options.mask))
    given = tuple(path for path in (pose, mask) if path is not None)
    refuse_overlap({"the character": (*find_files(picture).all, *given)}, folders=[folder])
    doll = open_doll(picture, console.say, pose=pose, mask=mask, detector=options.detector)
    write_layered(doll, folder, overwrite=options.overwrite)
    console.show_result(str(folder))
    return 0


def _optional(text: str | None) -> Path | None:
    return None if text is None else user_path(text)
