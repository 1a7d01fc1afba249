# SPDX-License-Identifier: GPL-3.0-or-later
"""Record a shot's motion into a job's folder, in pieces that leave Blender free between them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from marionext.motion import Camera, JointAnimation, write_animation
from marionext.pose.formats import write_native

from . import sampling

if TYPE_CHECKING:
    from .jobs import Shot

__all__ = ["record"]

_FIRST_PIECE = 8
"""Frames sampled before it is known how long one takes."""


def record(scene: Any, shot: "Shot", path: Path, *, patience: float | None) -> Iterator[float]:
    """Sample everybody in the shot and write their keypoints.

    The joints themselves are kept beside, a file for each rig: the keypoints can be made anew from
    them for another size or camera.

    Args:
        scene: to sample; it is left as it is.
        shot: what of it.
        path: of the keypoints.
        patience: seconds that a piece may take; None: all in one.

    Yields:
        How far it is, 0 to 1, after each piece.

    Raises:
        EngineError: a rig cannot be sampled, or a file cannot be written.
    """
    from .jobs import armatures, chosen_camera

    rigs = armatures(scene)
    pieces: list[list[JointAnimation]] = []
    total, done = len(shot.times), 0
    size = total if patience is None else min(_FIRST_PIECE, total)
    while done < total:
        started = time.perf_counter()
        pieces.append(
            sampling.sample(
                scene,
                rigs,
                shot.times[done : done + size],
                camera=chosen_camera(scene),
                size=shot.size,
                fit=scene.marionext.fit,
                rate=shot.rate,
                first=shot.numbers[done],
            )
        )
        taken = time.perf_counter() - started
        done = min(total, done + size)
        if patience is not None:
            size = max(1, min(2 * size, round(size * patience / max(taken, 1e-6))))
        yield 0.9 * done / total
    animations = [_join(parts) for parts in zip(*pieces, strict=True)]
    for number, animation in enumerate(animations, start=1):
        write_animation(animation, path.with_name(f"rig-{number}.npz"))
        yield 0.95
    write_native(sampling.project(scene, scene.marionext.people, animations, shot.size), path)
    yield 1.0


def _join(parts: Sequence[JointAnimation]) -> JointAnimation:
    """Return the pieces of one animation as a whole."""
    if len(parts) == 1:
        return parts[0]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("heads", "tails", "rotations", "morph_weights")
    }
    camera = _join_cameras([(part.camera, len(part)) for part in parts])
    return replace(parts[0], camera=camera, **joined)


def _join_cameras(parts: Sequence[tuple[Camera | None, int]]) -> Camera | None:
    first = parts[0][0]
    if first is None:
        return None
    joined: dict[str, Any] = {}
    for name in ("views", "focal", "scale", "shift"):
        if getattr(first, name) is None:
            continue
        arrays = []
        for camera, frames in parts:
            array = getattr(camera, name)
            # A camera that does not move is one frame long, and may move in the next piece.
            arrays.append(np.broadcast_to(array, (frames, *array.shape[1:])))
        joined[name] = np.concatenate(arrays)
    return replace(first, **joined)
