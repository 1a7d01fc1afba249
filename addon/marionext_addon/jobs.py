# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene and its settings come to: frames, size, and the `RenderJob`.

Frames are numbered as the scene's. Paths in a job are relative to its folder, so that it can be
rendered again, moved, or handed to another computer.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from marionext import bundles, presets
from marionext.codec import decode
from marionext.errors import (
    CharacterError,
    ModelError,
    MotionError,
    SettingsError,
)
from marionext.frames import FrameRate, format_frames
from marionext.jobs import (
    MotionSource,
    OutputSettings,
    PoseSettings,
    RenderJob,
    RenderSettings,
    default_settings,
)

from . import properties
from .folders import MOTION_FILE, Kind

__all__ = [
    "Shot",
    "armatures",
    "build_job",
    "camera_of",
    "character_picture",
    "check",
    "chosen_camera",
    "frame_numbers",
    "frame_rate",
    "frame_times",
    "model_of",
    "render_size",
    "scene_rate",
    "shot_of",
]

_SIDE = 64
_MOST_FRAMES = 100_000
_FPS_BASES = 10_000
"""Blender keeps the base as a single-precision number: 1.001 comes back as 1.00100004673."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What is to be sampled, and how it is numbered."""

    numbers: range
    """Of the frames that are rendered; its step is the settings'."""
    times: tuple[Fraction, ...]
    """The scene's frame, maybe between two, for each number."""
    rate: FrameRate
    """Numbers per second."""
    size: tuple[int, int]

    @property
    def sampled_rate(self) -> FrameRate:
        """Rendered frames per second."""
        return FrameRate(self.rate.fraction / self.numbers.step)

    @property
    def selection(self) -> str | None:
        """The numbers as a job names them, where some are left out."""
        return format_frames(tuple(self.numbers)) if self.numbers.step > 1 else None


# ---------------------------------------------------------------------------- settings to numbers


def scene_rate(scene: Any) -> FrameRate:
    """Return the scene's frames per second, exactly: 30 on a base of 1.001 is 30000/1001."""
    base = Fraction(float(scene.render.fps_base)).limit_denominator(_FPS_BASES)
    return FrameRate(Fraction(int(scene.render.fps)) / base)


def frame_rate(scene: Any) -> FrameRate:
    """Return the frames per second of the motion that is sampled (before the step)."""
    own = float(scene.marionext.fps)
    # A property is a single-precision number: six digits are what the user can have meant.
    return FrameRate.parse(f"{own:.6g}") if own > 0 else scene_rate(scene)


def _scene_range(scene: Any) -> tuple[int, int]:
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
    start, end = _scene_range(scene)
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


def frame_times(scene: Any) -> list[float]:
    """Return the scene's frame for each rendered frame; between two frames at another rate."""
    return [float(time) for time in _times(scene, frame_numbers(scene))]


def _times(scene: Any, numbers: range) -> Iterator[Fraction]:
    per_frame = _steps_per_frame(scene)
    for number in numbers:
        yield numbers.start + (number - numbers.start) / per_frame


def render_size(scene: Any, *, draft: bool = False) -> tuple[int, int]:
    """Return width and height of the render in pixels, both multiples of 64.

    Args:
        scene: with its settings.
        draft: the size of a draft: the same shape, as many pixels as the draft preset has.
    """
    settings = scene.marionext
    trained = default_settings(model_of(scene)).size
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
    return RenderSettings(width=width, height=height).size


def _scene_aspect(scene: Any) -> float:
    render = scene.render
    width = render.resolution_x * render.pixel_aspect_x
    return float(width / (render.resolution_y * render.pixel_aspect_y))


def _shape(aspect: float, area: int) -> tuple[int, int]:
    """Return the size of an aspect and about so many pixels, sides in multiples of 64."""
    height = math.sqrt(area / aspect)
    sides = (max(_SIDE, round(side / _SIDE) * _SIDE) for side in (height * aspect, height))
    width, high = sides
    return min(8192, width), min(8192, high)


def _render_settings(scene: Any, *, draft: bool) -> tuple[RenderSettings, str | None]:
    settings = scene.marionext
    quality = "draft" if draft else settings.quality
    quality = None if quality == "MODEL" else quality
    width, height = render_size(scene, draft=draft)
    given: dict[str, Any] = {
        "width": width,
        "height": height,
        "seed": settings.seed,
        "control_strength": round(settings.control_strength, 6),
    }
    if settings.steps and not draft:
        given["steps"] = settings.steps
    if settings.guidance > 0:
        given |= dict.fromkeys(("guidance_min", "guidance_max"), round(settings.guidance, 6))
    base = default_settings(model_of(scene), quality)
    return decode(RenderSettings, given, base=base), quality


def shot_of(scene: Any, *, draft: bool = False) -> Shot:
    """Return what is to be sampled of a scene.

    Raises:
        SettingsError: the range is empty or absurdly long.
    """
    numbers = frame_numbers(scene)
    size = render_size(scene, draft=draft)
    return Shot(numbers, tuple(_times(scene, numbers)), frame_rate(scene), size)


# -------------------------------------------------------------------------------------------- jobs


def model_of(scene: Any) -> str:
    """Return the scene's model as a job names it: a known name, or the folder of another."""
    name = str(scene.marionext.model)
    return name if name in presets.names("models") else str(bundles.models_folder() / name)


def check(scene: Any, kind: Kind) -> None:
    """Make sure that a scene can be rendered, before anything is sampled.

    Raises:
        EngineError: something is missing; the message says what, the hint where to give it.
    """
    settings = scene.marionext
    if not armatures(scene):
        raise MotionError(
            "no armature is chosen",
            hint="Pick one in the sidebar's Rig panel, or select it before you press Render.",
        )
    frame_numbers(scene)
    if camera_of(scene) is None:
        raise MotionError(
            "the scene has no camera",
            hint="Add one and make it the scene's, or choose one in Camera and Frames.",
        )
    if kind == "POSE_MAPS":
        return
    if settings.character_source == "IMAGE":
        character_picture(scene)
    bundle = bundles.find(model_of(scene))
    if not bundle.card.built_in and not bundle.folder.is_dir():
        raise ModelError(
            f"the model {bundle.card.title} is not on this computer",
            hint="Press Fetch Model in the add-on's preferences, or choose another model.",
        )


def armatures(scene: Any) -> list[Any]:
    """Return the armatures that are people of the shot, in order."""
    return [person.armature for person in scene.marionext.people if person.armature is not None]


def chosen_camera(scene: Any) -> Any:
    """Return the camera that the user chose instead of the scene's, or None."""
    settings = scene.marionext
    return settings.camera_object if settings.camera == "OBJECT" else None


def camera_of(scene: Any) -> Any:
    """Return the camera that looks at the shot, or None; markers may switch the scene's own."""
    marked = next((m.camera for m in scene.timeline_markers if m.camera is not None), None)
    return chosen_camera(scene) or scene.camera or marked


def character_picture(scene: Any) -> Path:
    """Return the file of the character's picture.

    Raises:
        CharacterError: none is chosen, or it is not there.
    """
    settings = scene.marionext
    if not settings.character:
        raise CharacterError(
            "no picture of the character is chosen",
            hint="Choose an image in the sidebar's Character panel, or render one from this scene.",
        )
    path = properties.absolute(settings.character)
    if not path.is_file():
        raise CharacterError(
            f"the picture of the character is not there: {path}",
            hint="Choose an image in the sidebar's Character panel, or render one from this scene.",
        )
    return path


def build_job(scene: Any, shot: Shot, character: str, kind: Kind) -> RenderJob:
    """Return the job of a shot, its paths relative to its folder.

    Raises:
        SettingsError: a setting is out of its range.
    """
    settings, quality = _render_settings(scene, draft=kind == "DRAFT")
    chosen = scene.marionext
    return RenderJob(
        # Keypoints of a rig are the truth: nothing is cleaned, nobody is left out.
        motion=MotionSource(path=MOTION_FILE, kind="track", person="all"),
        character=character,
        model=model_of(scene),
        quality=quality,
        frames=shot.selection,
        pose=PoseSettings(fit=chosen.pose_fit, clean=False),
        settings=settings,
        output=OutputSettings(directory=".", pose_maps=chosen.save_pose_maps),
    )
