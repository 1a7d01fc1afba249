"""Textures pasted on drawn figures: cloth, prints and skin that stay on the body as it moves.

Figures are drawn in flat colours, characters in photographs are not. A network that has seen none
but flat ones paints photographs flat. So half of the clips get a pattern: each pixel of the figure
belongs to the bone it is closest to, and its place along and across that bone says which place of
the pattern it shows, in the reference picture and in every frame alike.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.training.figures.clips import Clip

__all__ = ["textured"]

Floats = NDArray[np.float32]

BONES = (
    (1, -1), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13), (1, 0),
)  # fmt: skip
"""Ends of limbs; -1 is the middle of the hips."""
WIDTHS = (0.11, 0.04, 0.035, 0.04, 0.035, 0.055, 0.045, 0.055, 0.045, 0.09)
"""About how far each reaches to both sides, in heights of a body."""
USUAL = (0.295, 0.165, 0.15, 0.165, 0.15, 0.235, 0.225, 0.235, 0.225, 0.14)
"""Their lengths, likewise."""
PATTERN = 256
"""Side of the pattern in pixels; a body's height shows this much of it."""


def textured(clip: Clip, scene: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a clip's pictures with a pattern on the figure.

    Args:
        clip: as drawn.
        scene: (h, w, 3), what is behind the figure.
        rng: chooses the pattern.
    """
    pattern = _pattern(rng)
    shifts = rng.integers(0, PATTERN, (len(BONES), 2)).astype(np.float32)
    strength = rng.uniform(0.15, 0.6)
    pictures = np.empty_like(clip.frames)
    for index, (frame, points) in enumerate(zip(clip.frames, clip.points[:, 0], strict=True)):
        figure = np.abs(frame.astype(np.int16) - scene).max(axis=-1) > 12
        shown = _on_body(points, figure.shape, pattern, shifts)
        shown[~figure] = 0
        changed = frame * (1 + strength * shown)
        pictures[index] = np.clip(changed, 0, 255)
    return pictures


def _on_body(points: Floats, shape: tuple[int, ...], pattern: Floats, shifts: Floats) -> Floats:
    """Return the pattern around a skeleton: (h, w, 3), about -1 to 1."""
    joints = np.vstack([points, (points[8] + points[11]) / 2])
    starts, ends = (joints[[bone[side] for bone in BONES]] for side in (0, 1))
    # The bone that is least foreshortened tells how tall the body is.
    size = max(float((np.hypot(*(ends - starts).T) / USUAL).max()), 8.0)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    nearest = np.full(shape, np.inf, np.float32)
    across_all, along_all = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    right = np.sign(points[5, 0] - points[2, 0]) or 1.0
    for start, end, width, shift in zip(starts, ends, WIDTHS, shifts, strict=True):
        way = end - start
        length = max(float(np.hypot(*way)), 0.02 * size)
        way = way / length
        x, y = columns - start[0], rows - start[1]
        along = x * way[0] + y * way[1]
        across = (y * way[0] - x * way[1]) * right
        beyond = along - np.clip(along, 0, length)
        distance = np.hypot(across, beyond) / (width * size)
        closer = distance < nearest
        nearest[closer] = distance[closer]
        across_all[closer] = across[closer] + shift[0]
        along_all[closer] = along[closer] + shift[1]
    scale = PATTERN / size
    return np.asarray(
        cv2.remap(
            pattern, across_all * scale, along_all * scale, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
    )  # fmt: skip


def _pattern(rng: np.random.Generator) -> Floats:
    """Return stripes, checks, spots or cloudy noise, in one colour or several: about -1 to 1."""
    kind = rng.choice(["noise", "stripes", "checks", "spots"], p=[0.55, 0.15, 0.15, 0.15])
    colours = 3 if rng.uniform() < 0.4 else 1
    rows, columns = np.mgrid[:PATTERN, :PATTERN].astype(np.float32)
    number = int(rng.choice([8, 16, 32]))
    wave, other = (np.sin(2 * np.pi * number * axis / PATTERN) for axis in (rows, columns))
    if kind == "noise":
        layers = np.zeros((PATTERN, PATTERN, colours), np.float32)
        for side in (8, 16, 32, 64, 128):
            noise = rng.normal(0, 1, (side, side, colours)).astype(np.float32)
            large = cv2.resize(noise, (PATTERN, PATTERN), interpolation=cv2.INTER_CUBIC)
            layers += large.reshape(PATTERN, PATTERN, colours) * rng.uniform(0.1, 0.6)
        shown = layers
    elif kind == "stripes":
        shown = (wave if rng.uniform() < 0.7 else other)[..., None]
    elif kind == "checks":
        shown = (np.sign(wave) * np.sign(other))[..., None]
    else:
        shown = np.where(wave * other > 0.4, 1.0, -0.2)[..., None]
    tint = rng.uniform(0.3, 1, 3) if colours == 3 else np.ones(3)
    return np.ascontiguousarray(np.clip(shown * tint, -1, 1), np.float32)
