# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a scene is rendered: frames, rate, size; and the memory of it beside the job.

Frames are numbered as the scene's. A `Shot` is made when a button is pressed and holds from then
on, whatever becomes of the settings; its file in the job's folder (``shot.json``) says for good
which scene's frames the pictures belong to.
"""

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import bpy

from marionext import bundles, presets
from marionext.codec import decode, encode
from marionext.errors import SettingsError
from marionext.frames import FrameRate, format_frames
from marionext.settings import SvdSettings, default_settings

from .cameras import Frame
from .folders import Kind, write_json

__all__ = [
    "SHOT_FILE",
    "Shot",
    "file_name",
    "frame_numbers",
    "frame_rate",
    "model_of",
    "read_shot",
    "render_size",
    "scene_rate",
    "shot_of",
    "write_shot",
]

SHOT_FILE = "shot.json"

_SIDE = 64
_MOST_FRAMES = 100_000
_FPS_BASES = 10_000
"""Blender keeps the base as a single-precision number: 1.001 comes back as 1.00100004673."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What is sampled, and how it is numbered."""

    kind: Kind
    file: str
    """Name of the .blend file; empty: it was never saved."""
    scene: str
    first: int
    """Number of the first frame, which is the scene's frame of that number."""
    count: int
    """Of the frames that are rendered."""
    step: int
    """Between the numbers of two of them."""
    last_frame: int
    """The scene's last frame in the range."""
    rate: FrameRate
    """Numbers per second."""
    scene_rate: FrameRate
    """The scene's frames per second."""
    size: tuple[int, int]
    """Of the pictures, in pixels."""
    frame: Frame
    fit: Literal["CROP", "LETTERBOX"]
    """What becomes of the scene's frame where the pictures have another shape."""
    camera: str
    """Name of the one camera that was chosen; empty: the scene's, with its markers."""

    @property
    def numbers(self) -> range:
        """The numbers of the frames that are rendered."""
        return range(self.first, self.first + (self.count - 1) * self.step + 1, self.step)

    @property
    def per_frame(self) -> Fraction:
        """Numbers for each frame of the scene."""
        return self.rate.fraction / self.scene_rate.fraction

    @property
    def times(self) -> tuple[Fraction, ...]:
        """The scene's frame, maybe between two, for each number."""
        return tuple(self.time_of(number) for number in self.numbers)

    def time_of(self, number: int) -> Fraction:
        """Return the scene's frame of one number."""
        return self.first + (number - self.first) / self.per_frame

    @property
    def sampled_rate(self) -> FrameRate:
        """Rendered frames per second."""
        return FrameRate(self.rate.fraction / self.step)

    @property
    def selection(self) -> str | None:
        """The numbers as a job names them, where some are left out."""
        return format_frames(tuple(self.numbers)) if self.step > 1 else None


def file_name() -> str:
    """Return the name of the open .blend file; empty while it was never saved."""
    return Path(bpy.data.filepath).name


def shot_of(scene: Any, kind: Kind = "RENDER") -> Shot:
    """Return what is to be sampled of a scene.

    Raises:
        SettingsError: the range is empty or absurdly long.
    """
    settings = scene.marionext
    numbers = frame_numbers(scene)
    chosen = settings.camera_object if settings.camera == "OBJECT" else None
    return Shot(
        kind=kind,
        file=file_name(),
        scene=scene.name,
        first=numbers.start,
        count=len(numbers),
        step=numbers.step,
        last_frame=_scene_range(scene)[1],
        rate=frame_rate(scene),
        scene_rate=scene_rate(scene),
        size=render_size(scene, draft=kind == "DRAFT"),
        frame=Frame.of(scene),
        fit=settings.fit,
        camera="" if chosen is None else chosen.name,
    )


def write_shot(shot: Shot, folder: Path) -> None:
    """Write a shot beside its job.

    Raises:
        OutputError: it cannot be written.
    """
    write_json(folder / SHOT_FILE, encode(shot))


def read_shot(folder: Path) -> Shot:
    """Read the shot of a job's folder.

    Raises:
        SettingsError: there is none, or it cannot be read.
    """
    path = folder / SHOT_FILE
    try:
        return decode(Shot, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None


def model_of(scene: Any) -> str:
    """Return the scene's model as a job names it: a known name, or the folder of another."""
    name = str(scene.marionext.model)
    return name if name in presets.names("models") else str(bundles.models_folder() / name)


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
    return SvdSettings(width=width, height=height).size


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
