"""``marionext blend``: the shots of a folder of Blender files, by the add-on's own operators."""

import argparse
import collections
import shutil
import subprocess
from pathlib import Path

from marionext.cli import console
from marionext.cli.jobs import PARTIAL
from marionext.errors import EngineError, ModelError, SettingsError
from marionext.files import is_folder
from marionext.paths import user_path

__all__ = ["add_commands"]

_OURS = "Marionext: "
"""Begins the lines that the add-on writes for scripts and farms."""
_KINDS = ("render", "draft", "pose_maps")
_LAST_LINES = 8
_MISSING = "could not be found"
"""What Blender says of an operator that nobody has registered."""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    blend = commands.add_parser(
        "blend",
        help="render Blender files, one after another, as their panel says",
        description="Open each FILE (or each .blend of a FOLDER) in a Blender without a window "
        "and press the add-on's button. What is rendered, and where to, is in the files.",
    )
    blend.add_argument("files", nargs="+", metavar="FILE|FOLDER")
    blend.add_argument("--blender", default="blender", help="the program (blender)")
    blend.add_argument("--kind", choices=_KINDS, default="render", help="which button (render)")
    blend.add_argument(
        "--keep-going", action="store_true", help="go on with the others when a file fails"
    )
    blend.set_defaults(run=_blend)


def _blend(options: argparse.Namespace) -> int:
    files = [file for given in options.files for file in _files(user_path(given))]
    program = shutil.which(options.blender)
    if program is None:
        raise ModelError(
            f"expected Blender, there is no program {options.blender!r}",
            hint="Say where it is with --blender.",
        )
    statuses = []
    for file in files:
        statuses.append(_press(program, file, options.kind))
        if statuses[-1] and not options.keep_going:
            break
    failed = [status for status in statuses if status]
    if not failed:
        return 0
    return PARTIAL if len(failed) < len(statuses) else failed[0]


def _files(path: Path) -> list[Path]:
    """Return the Blender files that are meant.

    Raises:
        SettingsError: there is none.
    """
    found = sorted(path.glob("*.blend")) if is_folder(path) else [path]
    if not found or not found[0].is_file():
        raise SettingsError(f"expected a .blend file, or a folder of them, there is none at {path}")
    return found


def _press(program: str, file: Path, kind: str) -> int:
    """Render one file and return the engine's exit status."""
    command = [
        *(program, "--background", str(file), "--python-exit-code", "1", "--python-expr"),
        f"import bpy; bpy.ops.marionext.{kind}(exit_code=True)",
    ]
    said: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
    told = ""
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                said.append(line.rstrip())
                if line.startswith(_OURS):
                    told = line.removeprefix(_OURS).strip()
                    console.show_progress(f"{file.name}: {told}", stage=file.name)
    except OSError as error:
        raise ModelError(f"{program} cannot be started: {error.strerror or error}") from None
    if running.returncode == 0:
        console.show_result(f"{file.name}: {told}")
        return 0
    missing = any(_MISSING in line for line in said)
    words = told if told.startswith("Error: ") else "\n".join(said)
    console.show_error(
        EngineError(
            f"{file.name}: {words.removeprefix('Error: ')}",
            hint="Is the add-on installed and switched on in this Blender?" if missing else None,
        )
    )
    return running.returncode if running.returncode > 0 else EngineError.exit_status
