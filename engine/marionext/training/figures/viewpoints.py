"""Where a figure stands in the picture, and from where it is looked at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Viewpoint", "on_picture", "random_viewpoint", "seen"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """Where and how large the figure stands in the picture."""

    height: float
    """Standing height in parts of the picture's height."""
    centre: tuple[float, float]
    """Place of the standing hip centre in parts of width and height."""
    pitch: float = 0.0
    """How far the viewer looks down, in radians."""
    nearness: float = 0.0
    """One over the distance of the viewer in heights; 0 is a view without perspective."""


def random_viewpoint(rng: np.random.Generator) -> Viewpoint:
    """Choose a framing: mostly the whole figure, sometimes small or cut by the edge."""
    kind = rng.uniform()
    if kind < 0.72:
        height = rng.uniform(0.68, 0.9)
    elif kind < 0.86:
        height = rng.uniform(0.42, 0.68)
    elif kind < 0.96:
        height = rng.uniform(0.9, 1.35)
    else:
        height = rng.uniform(1.35, 2.0)
    # Feet on a floor near the lower edge; closer framings keep the head in the picture.
    hips = 0.53 + rng.uniform(-0.03, 0.04) if height < 0.92 else 0.12 + 0.5 * height
    if height < 0.68:
        hips = rng.uniform(0.45, 0.62)
    pitch, nearness = rng.normal(0.06, 0.1), rng.uniform(0.0, 0.35)
    plain = rng.uniform() < 0.5
    aside = 0.1 if rng.uniform() < 0.93 else 0.35
    return Viewpoint(
        height,
        (0.5 + rng.uniform(-aside, aside), hips),
        0.0 if plain else float(np.clip(pitch, -0.15, 0.3)),
        0.0 if plain else float(nearness),
    )


def seen(points: Floats, viewpoint: Viewpoint) -> Floats:
    """Return poses as they are seen from where the viewer stands.

    Args:
        points: (frames, n, 3) in heights, x to the right, y up, z towards the viewer.
        viewpoint: of the viewer.

    Returns:
        The same, turned and drawn together by distance.
    """
    if not viewpoint.pitch and not viewpoint.nearness:
        return points
    cos, sin = np.cos(viewpoint.pitch), np.sin(viewpoint.pitch)
    y, z = points[..., 1], points[..., 2]
    turned = np.stack([points[..., 0], y * cos - z * sin, z * cos + y * sin], axis=-1)
    turned[..., :2] /= (1 - viewpoint.nearness * turned[..., 2:]).clip(0.2)
    return np.asarray(turned, np.float32)


def on_picture(points: Floats, viewpoint: Viewpoint, size: tuple[int, int]) -> tuple[Floats, float]:
    """Return (frames, n, 2) pixels, and the standing height in pixels."""
    width, height = size
    scale = viewpoint.height * height
    pixels = np.empty((*points.shape[:2], 2), np.float32)
    pixels[..., 0] = viewpoint.centre[0] * width + points[..., 0] * scale
    pixels[..., 1] = viewpoint.centre[1] * height - points[..., 1] * scale
    return pixels, scale
