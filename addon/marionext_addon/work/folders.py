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
    "FRAMES",
    "JOB_FILE",
    "MOTION_FILE",
    "POSE_MAPS",
    "Kind",
    "delete",
    "larger_folder",
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

FRAMES = "frames"
"""Folder of the pictures in a job's own."""

Kind = Literal["RENDER", "DRAFT", "POSE_MAPS", "LARGER"]
"""The last one: the pictures of a render made larger."""


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
    r"|character\.(pose\.npz|mask\.png)|preview\.png|engine\.log|\.marionext\.lock"
)
"""What a render's folder holds beside its pictures and videos."""
_FRAME = r"-?\d+\.png"
_FOLDERS = {
    FRAMES: re.compile(rf"{_FRAME}|upscale\.json|\.marionext\.lock"),
    POSE_MAPS: re.compile(_FRAME),
    "in-sync": re.compile(_FRAME),
    "takes": re.compile(rf"{_FRAME}|latents\.safetensors|[\w-]+\.npz"),
    "character.doll": re.compile(r"[\w.-]+\.png|doll\.json"),
}
"""Its folders, and what lies in each; one with anything else in it stays as it is."""


def delete(folder: Path) -> tuple[str, ...]:
    """Remove what a render wrote into its folder, and the folder where nothing else is in it.

    Returns:
        Names of what is not a render's, which stays.

    Raises:
        OutputError: something cannot be removed.
    """
    if not folder.exists():
        return ()
    try:
        made = _recorded(folder)
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or not path.is_dir():
                if path.name in made or _OURS.fullmatch(path.name):
                    path.unlink()
            elif path.name in _FOLDERS:
                inside = {each.name for each in path.rglob("*") if not each.is_dir()}
                inside -= _made_larger(path)
                if all(_FOLDERS[path.name].fullmatch(name) for name in inside):
                    shutil.rmtree(path)
        left = tuple(sorted(path.name for path in folder.iterdir()))
        if not left:
            folder.rmdir()
    except OSError as error:
        raise explain(error, folder) from None
    return left


def _recorded(folder: Path) -> set[str]:
    """Return the names of files that a render's job and its record name as its own."""
    names: set[str] = set()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        job = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
        # The copy of the picture; a path that leads elsewhere is the user's own.
        if job["character"] == Path(job["character"]).name:
            names.add(job["character"])
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((folder / "render.json").read_text(encoding="utf-8"))
        names |= {Path(name).name for name in (*record["videos"], *record["files"])}
    return names


def _made_larger(folder: Path) -> set[str]:
    """Return the names of what a folder's record of pictures made larger names as its own."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((folder / "upscale.json").read_text(encoding="utf-8"))
        return {Path(name).name for name in record["files"]}
    return set()


def new_folder(root: Path, scene: Any, kind: Kind) -> Path:
    """Make the next free folder for a render and return it.

    Raises:
        OutputError: it cannot be made.
    """
    word = {"DRAFT": "-draft", "POSE_MAPS": "-poses"}.get(kind, "")
    return _next_folder(root, f"{plain_name(scene.name)}{word}")


def larger_folder(folder: Path) -> Path:
    """Make the next free folder for the pictures of a render made larger, beside it.

    Raises:
        OutputError: it cannot be made.
    """
    return _next_folder(folder.parent, f"{folder.name}-larger")


def _next_folder(root: Path, stem: str) -> Path:
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
