# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene's settings come to: who, which camera, which frames at which rate, how large.

Everything is read from the settings whenever it is needed; nothing is cached.
"""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from marionext import bundles, presets
from marionext.errors import SettingsError
from marionext.frames import FrameRate
from marionext.settings import default_settings

__all__ = [
    "armatures",
    "camera_of",
    "chosen_camera",
    "file_name",
    "frame_numbers",
    "frame_rate",
    "groups_of_rays",
    "is_there",
    "model_of",
    "people",
    "render_size",
    "scene_range",
    "scene_rate",
]

_MOST_FRAMES = 100_000
_FPS_BASES = 10_000
"""Blender keeps the base as a single-precision number: 1.001 comes back as 1.00100004673."""


def file_name() -> str:
    """Return the name of the open .blend file; empty while it was never saved."""
    return Path(bpy.data.filepath).name


def is_there(armature: Any) -> bool:
    """Tell whether somebody's armature is chosen, and was not deleted.

    One that was deleted lives on in the list that points to it: it is in no collection any more.
    """
    return armature is not None and bool(armature.users_collection)


def people(scene: Any) -> list[tuple[int, Any]]:
    """Return the people of the shot, in order, each with its place in the list of the panel."""
    chosen = enumerate(scene.marionext.people)
    return [(place, person) for place, person in chosen if is_there(person.armature)]


def armatures(scene: Any) -> list[Any]:
    """Return the armatures that are people of the shot, in order."""
    return [person.armature for _, person in people(scene)]


def chosen_camera(scene: Any) -> Any:
    """Return the camera that the user chose instead of the scene's, or None."""
    settings = scene.marionext
    return settings.camera_object if settings.camera == "OBJECT" else None


def camera_of(scene: Any) -> Any:
    """Return the camera that looks at the shot, or None; markers may switch the scene's own."""
    if scene.marionext.camera == "OBJECT":
        return chosen_camera(scene)
    marked = next((m.camera for m in scene.timeline_markers if m.camera is not None), None)
    return scene.camera or marked


def groups_of_rays(scene: Any) -> frozenset[str]:
    """Return the groups of points whose visibility a scene's settings want found by rays."""
    settings = scene.marionext
    return frozenset(
        group for group in ("body", "hands", "face") if getattr(settings, f"occlusion_{group}")
    )


def model_of(scene: Any) -> str:
    """Return the scene's model as a job names it: a known name, or the folder of another."""
    name = str(scene.marionext.model)
    return name if name in presets.names("models") else str(bundles.models_folder() / name)


def scene_rate(scene: Any) -> FrameRate:
    """Return the scene's frames per second, exactly: 30 on a base of 1.001 is 30000/1001."""
    base = Fraction(float(scene.render.fps_base)).limit_denominator(_FPS_BASES)
    return FrameRate(Fraction(int(scene.render.fps)) / base)


def frame_rate(scene: Any) -> FrameRate:
    """Return the frames per second of the motion that is recorded (before the step)."""
    own = float(scene.marionext.fps)
    # A property is a single-precision number: six digits are what the user can have meant.
    return FrameRate.parse(f"{own:.6g}") if own > 0 else scene_rate(scene)


def scene_range(scene: Any) -> tuple[int, int]:
    """Return the first and the last frame of the scene that are rendered."""
    settings = scene.marionext
    if settings.frame_range == "OWN":
        return settings.frame_start, settings.frame_end
    if scene.use_preview_range:
        return scene.frame_preview_start, scene.frame_preview_end
    return scene.frame_start, scene.frame_end


def frame_numbers(scene: Any) -> range:
    """Return the numbers of the frames that are rendered, as the files are named.

    At the scene's own rate they are the scene's frames. At another rate they count on from the
    first one.

    Raises:
        SettingsError: the range is empty or absurdly long.
    """
    start, end = scene_range(scene)
    if end < start:
        raise SettingsError(
            f"the frame range is empty: it starts at {start} and ends at {end}",
            hint="Choose an end that is not before the start.",
        )
    count = math.floor((end - start) * _steps_per_frame(scene)) + 1
    if count > _MOST_FRAMES:
        raise SettingsError(f"expected at most {_MOST_FRAMES:,} frames, got {count:,}")
    return range(start, start + count, scene.marionext.frame_step)


def _steps_per_frame(scene: Any) -> Fraction:
    return frame_rate(scene).fraction / scene_rate(scene).fraction


def render_size(scene: Any, *, draft: bool = False) -> tuple[int, int]:
    """Return width and height of the render in pixels, rounded as the model wants them.

    Args:
        scene: with its settings.
        draft: the size of a draft: the same shape, as many pixels as the draft preset has.
    """
    settings = scene.marionext
    usual = default_settings(model_of(scene))
    trained = usual.size
    area = trained[0] * trained[1]
    match settings.size_preset:
        case "MODEL":
            width, height = trained
        case "LANDSCAPE":
            height, width = trained
        case "SQUARE":
            width, height = _shape(1.0, area)
        case "SCENE":
            width, height = _shape(_scene_aspect(scene), area)
        case _:
            width, height = settings.width, settings.height
    if draft:
        small = default_settings(model_of(scene), "draft").size
        if small[0] * small[1] < width * height:
            width, height = _shape(width / height, small[0] * small[1])
    return replace(usual, width=width, height=height).size


def _scene_aspect(scene: Any) -> float:
    render = scene.render
    width = render.resolution_x * render.pixel_aspect_x
    return float(width / (render.resolution_y * render.pixel_aspect_y))


def _shape(aspect: float, area: int) -> tuple[int, int]:
    """Return the size of an aspect with about this many pixels."""
    height = math.sqrt(area / aspect)
    width, high = (min(8192, max(64, round(side))) for side in (height * aspect, height))
    return width, high
