"""Clips of figures that dance: what models learn from.

A figure is drawn from the same 134 keypoints as a pose map. Everything follows from a seed, so a
clip of any number is drawn again identically on any machine and nothing has to be stored. Sizes
are free: the same figure can be a training picture of 128 x 192 or a character sheet of 512 x
768. Small pictures are drawn at twice their size and averaged down, so that fingers and eyes are
there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import POINT_COUNT
from marionext.training.figures.bodies import Build, random_build
from marionext.training.figures.choreography import at_ease, random_steps
from marionext.training.figures.confidence import confidence
from marionext.training.figures.drawing import Figure, draw_figure, draw_shadow
from marionext.training.figures.look import PARTS, Look, random_look
from marionext.training.figures.parts import draw_parts
from marionext.training.figures.pen import Picture
from marionext.training.figures.recorded import pose_recorded
from marionext.training.figures.scenery import draw_scene
from marionext.training.figures.steps import Steps, pose_figure
from marionext.training.figures.viewpoints import Viewpoint, on_picture, random_viewpoint, seen

__all__ = [
    "HELD_OUT",
    "PARTS",
    "Clip",
    "Figure",
    "Look",
    "draw_empty",
    "draw_pictures",
    "figure_of",
    "make_clip",
]

Floats = NDArray[np.float32]

RECORDED = 0.2
"""Share of the dances that come from motion files."""

_FEET = [10, 13, 18, 21]
"""Ankles and big toes."""

HELD_OUT = 1_000_000_000
"""Clips from this seed on, up to 2**32, are for measuring, never for training: they dance a part
of the recordings that the others never show."""
_MEASURING = range(HELD_OUT, 1 << 32)
_SHOWN = 0.75
"""Part of each recording that the other clips dance."""

LARGE = 256
"""Pictures whose short side is smaller are drawn at twice their size."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One figure, one dance: a reference picture and frames, with their keypoints."""

    frames: Picture
    """(frames, h, w, 3) RGB; the first is the reference, in a pose of its own."""
    points: Floats
    """(frames, 1, 134, 2) pixels."""
    scores: Floats
    """(frames, 1, 134)."""
    size: tuple[int, int]
    """Width and height."""
    parts: Picture
    """(frames, h, w, 3) RGB; the same poses in fixed colours on black; empty unless asked for."""


def draw_pictures(
    figure: Figure, body: Floats, viewpoint: Viewpoint, size: tuple[int, int]
) -> Iterator[Picture]:
    """Draw the figure in each pose before its scene.

    Args:
        figure: the character.
        body: (frames, 135, 3) poses in heights, as `pose_figure` makes them.
        viewpoint: where it stands in the picture.
        size: width and height in pixels.

    Yields:
        (h, w, 3) RGB.
    """
    large = _drawn_size(size)
    factor = large[0] // size[0]
    background = draw_scene(figure.look.scene, large)
    view = seen(body, viewpoint)
    points, scale = on_picture(view, viewpoint, large)
    build = figure.build
    feet = body[:, _FEET]
    sole = -build.thigh - build.shin - 0.2 * build.foot
    below = feet.mean(axis=1)
    below[:, 1] = sole
    places = on_picture(seen(below[:, None], viewpoint), viewpoint, large)[0][:, 0]
    heights = np.maximum(feet[..., 1].min(axis=1) - sole - 0.06, 0)
    spreads = (0.1 + np.ptp(points[:, _FEET, 0], axis=1) / scale * 0.5) * scale
    tall = (0.028 + 0.1 * max(float(np.sin(viewpoint.pitch)), 0.0)) * scale
    floor = figure.look.scene.horizon * large[1]
    for index, frame in enumerate(points):
        picture = background.copy()
        if places[index, 1] > floor:
            draw_shadow(picture, places[index], float(heights[index]), float(spreads[index]), tall)
        draw_figure(picture, figure, frame, view[index, :, 2], scale, rough=factor > 1)
        if factor > 1:
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield picture


def _drawn_size(size: tuple[int, int]) -> tuple[int, int]:
    factor = 2 if min(size) < LARGE else 1
    return size[0] * factor, size[1] * factor


def draw_empty(seed: int, size: tuple[int, int]) -> Picture:
    """Draw what is behind the figure of a clip: (h, w, 3) RGB."""
    scene = figure_of(seed).look.scene
    picture = draw_scene(scene, _drawn_size(size))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def figure_of(seed: int) -> Figure:
    """Return the figure of a clip."""
    return _figure(np.random.default_rng(seed))


def _figure(rng: np.random.Generator) -> Figure:
    return Figure(random_build(rng), random_look(rng))


def make_clip(
    seed: int,
    frames: int,
    size: tuple[int, int],
    *,
    moving_viewpoint: float = 0.35,
    parts: bool = False,
) -> Clip:
    """Draw a clip: a reference picture first, then ``frames`` consecutive frames of a dance.

    The reference shows the same character before the same background, at another moment of
    another dance; in ``moving_viewpoint`` of the clips also at another place and scale.

    Args:
        seed: number of the clip.
        frames: frames after the reference.
        size: width and height in pixels.
        moving_viewpoint: probability that reference and dance are framed differently.
        parts: also draw the poses in the colours of the body's parts.
    """
    rng = np.random.default_rng(seed)
    figure = _figure(rng)
    viewpoints = [random_viewpoint(rng)]
    viewpoints.append(random_viewpoint(rng) if rng.uniform() < moving_viewpoint else viewpoints[0])
    part = (_SHOWN, 1.0) if seed in _MEASURING else (0.0, _SHOWN)
    poses = [_still(rng, figure.build), _dance(rng, figure.build, frames, part)]
    pixels: list[Floats] = []
    pictures: list[Picture] = []
    scores: list[Floats] = []
    marked: list[Picture] = []
    for pose, viewpoint in zip(poses, viewpoints, strict=True):
        pictures.extend(draw_pictures(figure, pose.body, viewpoint, size))
        view = seen(pose.body, viewpoint)
        points, scale = on_picture(view, viewpoint, size)
        if parts:
            for frame, depth in zip(points, view[..., 2], strict=True):
                picture = np.zeros((size[1], size[0], 3), np.uint8)
                draw_parts(picture, figure.build, frame, depth, scale)
                marked.append(picture)
        pixels.append(points[:, None, :POINT_COUNT])
        scores.append(confidence(rng, view, figure.build, hands=pose.hands, face=pose.face))
    drawn = np.stack(pictures)
    return Clip(
        drawn,
        np.concatenate(pixels),
        np.concatenate(scores),
        size,
        np.stack(marked) if parts else drawn[:0],
    )


@dataclass(frozen=True, slots=True)
class _Poses:
    """Poses, and whether their source knows hands and face."""

    body: Floats
    hands: bool
    face: bool


def _known(rng: np.random.Generator) -> tuple[bool, bool]:
    """Tell whether a source knows hands and face: some rigs and far-off people lack them."""
    missing = rng.uniform()
    return missing >= 0.12, 0.06 <= missing <= 0.94


def _still(rng: np.random.Generator, build: Build) -> _Poses:
    """Pose the reference: a moment of some dance, or someone standing at ease."""
    hands, face = _known(rng)
    if rng.uniform() < 0.5:
        steps = at_ease(rng)
    else:
        steps = random_steps(rng, np.array([rng.uniform(0, 20)]))
    return _Poses(pose_figure(build, _plain(steps, hands=hands, face=face)), hands, face)


def _dance(
    rng: np.random.Generator, build: Build, frames: int, part: tuple[float, float]
) -> _Poses:
    """Pose the dance, slow or fast, invented or recorded."""
    hands, face = _known(rng)
    interval = float(np.exp(rng.uniform(np.log(0.03), np.log(0.35))))
    seconds = rng.uniform(0, 20) + interval * np.arange(frames, dtype=np.float64)
    recorded, number = rng.uniform() < RECORDED, int(rng.integers(1 << 30))
    yaw = rng.normal(0, 0.5) if rng.uniform() < 0.7 else rng.uniform(-np.pi, np.pi)
    mirrored = bool(rng.uniform() < 0.5)
    if recorded:
        body = pose_recorded(build, number, seconds * 0.6, yaw, mirrored=mirrored, part=part)
        return _Poses(body, hands=True, face=face)
    steps = random_steps(rng, seconds)
    return _Poses(pose_figure(build, _plain(steps, hands=hands, face=face)), hands, face)


def _plain(steps: Steps, *, hands: bool, face: bool) -> Steps:
    """Hold still what the pose map will not show."""
    return steps.without(hands=not hands, face=not face)
