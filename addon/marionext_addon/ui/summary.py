# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings come to, in numbers: frames, size, how the scene's frame is cut.

Panels ask at every redraw, so each answer is kept until a setting that it depends on has changed.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from marionext.errors import EngineError
from marionext.settings import DEFAULT_MODEL, Settings, default_settings

from ..scene import cameras, choices

__all__ = ["Frames", "Framing", "frames", "framing", "model_settings"]

_kept: dict[str, tuple[Hashable, Any]] = {}


def _keep(name: str, key: Hashable, compute: Callable[[], Any]) -> Any:
    known = _kept.get(name)
    if known is None or known[0] != key:
        known = _kept[name] = (key, compute())
    return known[1]


@dataclass(frozen=True, slots=True)
class Frames:
    """Which frames are rendered."""

    first: int
    last: int
    count: int
    rate: float
    """Frames per second of the result, the step taken into account."""
    problem: str = ""

    @property
    def seconds(self) -> float:
        """Length of the result."""
        return self.count / self.rate if self.rate else 0.0


def frames(scene: Any) -> Frames:
    """Return which frames the settings come to."""
    chosen, render = scene.marionext, scene.render
    key = (
        *(chosen.frame_range, chosen.frame_start, chosen.frame_end, chosen.frame_step, chosen.fps),
        *(scene.frame_start, scene.frame_end, scene.use_preview_range),
        *(scene.frame_preview_start, scene.frame_preview_end, render.fps, render.fps_base),
    )

    def compute() -> Frames:
        try:
            numbers = choices.frame_numbers(scene)
        except EngineError as error:
            return Frames(0, 0, 0, 0.0, error.message)
        rate = float(choices.frame_rate(scene).fraction) / chosen.frame_step
        return Frames(numbers[0], numbers[-1], len(numbers), rate)

    found: Frames = _keep("frames", key, compute)
    return found


@dataclass(frozen=True, slots=True)
class Framing:
    """How the scene's frame lies in the render's."""

    size: tuple[int, int]
    """Of the render in pixels."""
    scene: tuple[int, int]
    """Of the scene's frame in pixels, its pixels made square."""
    shown: tuple[int, int]
    """Cropped: what is left of the scene's frame, in its pixels. Letter-boxed: how large the whole
    frame is in the render, in the render's."""
    cropped: bool

    @property
    def same_shape(self) -> bool:
        """Whether nothing is cut and no room is left."""
        whole = self.scene if self.cropped else self.size
        return all(abs(a - b) <= 1 for a, b in zip(self.shown, whole, strict=True))


def framing(scene: Any) -> Framing:
    """Return how the scene's frame lies in the render's."""
    chosen, render = scene.marionext, scene.render
    key = (
        *(chosen.size_preset, chosen.width, chosen.height, chosen.model, chosen.fit),
        *(render.resolution_x, render.resolution_y, render.resolution_percentage),
        *(render.pixel_aspect_x, render.pixel_aspect_y),
    )

    def compute() -> Framing:
        size = choices.render_size(scene)
        part = render.resolution_percentage / 100
        aspects = render.pixel_aspect_x, render.pixel_aspect_y
        wide = render.resolution_x * part * aspects[0] / min(aspects)
        high = render.resolution_y * part * aspects[1] / min(aspects)
        _, _, across, down = cameras.frame_in_picture(cameras.Frame.of(scene), size, chosen.fit)
        # Cropped, the frame reaches beyond the render: what is left of it, in its own pixels.
        scale = wide / across
        crop = chosen.fit == "CROP"
        shown = (size[0] * scale, size[1] * scale) if crop else (across, down)
        return Framing(
            size, (round(wide), round(high)), (round(shown[0]), round(shown[1])),
            crop,
        )  # fmt: skip

    found: Framing = _keep("framing", key, compute)
    return found


def model_settings(scene: Any) -> Settings:
    """Return what model and quality say about the settings that the user leaves to them."""
    chosen = scene.marionext
    quality = None if chosen.quality == "MODEL" else chosen.quality
    key = (chosen.model, quality)

    def compute() -> Settings:
        try:
            return default_settings(chosen.model, quality)
        except EngineError:
            return default_settings(DEFAULT_MODEL, quality)

    found: Settings = _keep("model", key, compute)
    return found
