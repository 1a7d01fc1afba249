# SPDX-License-Identifier: GPL-3.0-or-later
"""Where renders go: a numbered folder each, beside the .blend file or where the user says."""

import re
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
    "new_folder",
    "output_root",
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


def plain_name(name: str) -> str:
    """Return a name that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "scene"


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
