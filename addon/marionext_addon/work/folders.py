# SPDX-License-Identifier: GPL-3.0-or-later
"""Where renders go: a numbered folder each, beside the .blend file or where the user says."""

import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import bpy

from marionext.files import explain

from ..state import preferences
from ..state.paths import absolute

__all__ = [
    "JOB_FILE",
    "MOTION_FILE",
    "POSE_MAPS",
    "Kind",
    "delete",
    "new_folder",
    "output_root",
    "output_roots",
    "plain_name",
]

JOB_FILE = "job.json"
POSE_MAPS = "posemaps"
"""Folder in a job's own."""
MOTION_FILE = "motion.npz"
"""Not ``poses.npz``: that name is the engine's own, for the poses as it read them."""

Kind = Literal["RENDER", "DRAFT", "POSE_MAPS"]


def output_root(scene: Any) -> Path:
    """Return the folder that this scene's renders go to, one folder each.

    The scene's own setting goes first, then the preferences', then a folder beside the .blend
    file; an unsaved file's renders go to the user's folder of Marionext.
    """
    if scene.marionext.output:
        return absolute(scene.marionext.output)
    name = plain_name(Path(bpy.data.filepath).stem or "unsaved")
    chosen = str(preferences.get().output)
    if chosen:
        return absolute(chosen) / name
    if bpy.data.filepath:
        return absolute("//marionext") / name
    return preferences.data_home() / "renders" / name


def output_roots(scene: Any) -> list[Path]:
    """Return the folders that a scene's renders may lie in, the one of `output_root` first.

    Before a file was saved, and under its earlier names, they went to other folders beside it.
    """
    root = output_root(scene)
    roots = [root]
    with contextlib.suppress(OSError):
        if not scene.marionext.output:
            roots += sorted(path for path in root.parent.iterdir() if path.is_dir())
    roots.append(preferences.data_home() / "renders" / "unsaved")
    return list(dict.fromkeys(roots))


def plain_name(name: str) -> str:
    """Return a name that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "scene"


_OURS = re.compile(
    r"(job|again)\.json|shot\.json|\.?render\.json|motion\.npz|poses\.npz|rig_\d+\.npz|engine\.json"
    r"|character\.(\w+\.)?\w+|preview\.png|engine\.log|\.marionext\.lock"
)
"""What a render's folder holds beside its pictures and videos."""
_FOLDERS = ("frames", POSE_MAPS, "takes", "in-sync")
_INSIDE = re.compile(r"-?\d+\.png|\w+\.(safetensors|npz|npy|json)")
"""Files in those."""


def delete(folder: Path) -> tuple[str, ...]:
    """Remove what a render wrote into its folder, and the folder where nothing else is in it.

    Returns:
        Names of what is not a render's, which stays.

    Raises:
        OutputError: something cannot be removed.
    """
    try:
        made = _recorded(folder)
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or not path.is_dir():
                if path.name in made or _OURS.fullmatch(path.name):
                    path.unlink()
            elif path.name in _FOLDERS or path.name == "character.doll":
                inside = [each for each in path.rglob("*") if not each.is_dir()]
                if all(_INSIDE.fullmatch(each.name) for each in inside):
                    shutil.rmtree(path)
        left = tuple(sorted(path.name for path in folder.iterdir()))
        if not left:
            folder.rmdir()
    except OSError as error:
        raise explain(error, folder) from None
    return left


def _recorded(folder: Path) -> set[str]:
    """Return the names of videos and other files that a render's record lists."""
    try:
        record = json.loads((folder / "render.json").read_text(encoding="utf-8"))
        return {Path(name).name for name in (*record["videos"], *record["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def new_folder(root: Path, scene: Any, kind: Kind) -> Path:
    """Make the next free folder for a render and return it.

    Raises:
        OutputError: it cannot be made.
    """
    word = {"RENDER": "", "DRAFT": "-draft", "POSE_MAPS": "-poses"}[kind]
    stem = f"{plain_name(scene.name)}{word}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        taken = [
            int(match[1])
            for path in root.iterdir()
            if (match := re.fullmatch(re.escape(stem) + r"-(\d+)", path.name))
        ]
        folder = root / f"{stem}-{max(taken, default=0) + 1:03d}"
        folder.mkdir()
    except OSError as error:
        raise explain(error, root) from None
    return folder
