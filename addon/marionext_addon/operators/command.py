# SPDX-License-Identifier: GPL-3.0-or-later
"""Render without a window: ``blender scene.blend --command marionext`` (Blender 4.2 and later).

The exit status is the engine's own (``marionext --help`` lists them), which farms can act on. Every
Blender can do the same with ``blender -b scene.blend --python-expr
"import bpy; bpy.ops.marionext.render(exit_code=True)"``.
"""

import argparse
import sys
from typing import Any

import bpy

from marionext.errors import EngineError, SettingsError
from marionext.frames import joined_frames, parse_frames

from ..work import folders, jobs
from ..work.runner import runner

__all__ = ["run"]

_KINDS: dict[str, folders.Kind] = {"render": "RENDER", "draft": "DRAFT", "pose-maps": "POSE_MAPS"}


def run(arguments: list[str]) -> int:
    """Render the open file as its settings say, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="blender scene.blend --command marionext",
        description="Render with Marionext as the file's settings say.",
    )
    parser.add_argument("kind", nargs="?", choices=tuple(_KINDS), default="render")
    parser.add_argument("--scene", help="name of the scene (default: the file's active one)")
    parser.add_argument("--frames", help="others than the settings', as 1-48 or 1-47:2")
    parser.add_argument("--output", help="folder for the job's folder")
    options = parser.parse_args(joined_frames(arguments))
    try:
        scene = _scene(options.scene)
        _apply(scene, options)
        kind = _KINDS[options.kind]
        jobs.check(scene, kind)
        folder = folders.new_folder(folders.output_root(scene), scene, kind)
        render = runner.add(scene, kind, folder, patient=False)
    except EngineError as error:
        _say(f"error: {error}")
        return error.exit_status
    runner.wait(render, _say)
    runner.close()
    _say(f"{render.message}: {render.folder}")
    if render.hint:
        _say(render.hint)
    return 0 if render.state == "FINISHED" else render.exit_status or 1


def _scene(name: str | None) -> Any:
    if name is None:
        return bpy.context.scene
    scene = bpy.data.scenes.get(name)
    if scene is None:
        known = ", ".join(scene.name for scene in bpy.data.scenes)
        raise SettingsError(f"there is no scene {name!r}", hint=f"There are: {known}.")
    return scene


def _apply(scene: Any, options: argparse.Namespace) -> None:
    """Lay the options over the settings; the file is not saved."""
    settings = scene.marionext
    if options.output:
        settings.output = options.output
    if options.frames:
        numbers = parse_frames(options.frames)
        step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
        if numbers != tuple(range(numbers[0], numbers[-1] + 1, step)):
            raise SettingsError(
                f"--frames {options.frames} leaves frames out here and there",
                hint="Give one range, with a step if need be, as 101-148:2; or several renders.",
            )
        settings.frame_range = "OWN"
        settings.frame_start, settings.frame_end = numbers[0], numbers[-1]
        settings.frame_step = step


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


_registered: list[Any] = []


def register() -> None:
    """Add the command, where Blender knows commands of add-ons."""
    if hasattr(bpy.utils, "register_cli_command"):
        _registered.append(bpy.utils.register_cli_command("marionext", run))


def unregister() -> None:
    """Take the command away."""
    for handle in _registered:
        bpy.utils.unregister_cli_command(handle)
    _registered.clear()
