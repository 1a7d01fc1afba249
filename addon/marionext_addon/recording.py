# SPDX-License-Identifier: GPL-3.0-or-later
"""Record a shot's motion into a job's folder, in pieces that leave Blender free between them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from marionext.pose import PoseTrack
from marionext.pose.formats import write_native

from . import rig, sampling
from .folders import MOTION_FILE
from .jobs import Shot, chosen_camera

__all__ = ["groups_of_rays", "record"]


def groups_of_rays(scene: Any) -> frozenset[str]:
    """Return the groups of points whose visibility a scene's settings want found by rays."""
    settings = scene.marionext
    return frozenset(
        group for group in ("body", "hands", "face") if getattr(settings, f"occlusion_{group}")
    )


def record(scene: Any, shot: Shot, folder: Path, *, patience: float | None) -> Iterator[float]:
    """Sample everybody in the shot; write their keypoints, and the joints beside them.

    All of the scene's settings are read before the first piece: what the user does to them
    meanwhile is for the next render.

    Args:
        scene: to sample; it is left as it is.
        shot: what of it.
        folder: of the job.
        patience: seconds that a piece may take; None: all in one.

    Yields:
        How far it is, 0 to 1, after each piece.

    Raises:
        EngineError: a rig cannot be sampled, or a file cannot be written.
    """
    steps = sampling.sampling(
        scene,
        rig.people_of(scene),
        sampling.Timing(times=shot.times, rate=shot.sampled_rate, first=shot.numbers.start),
        shot.size,
        fit=scene.marionext.fit,
        camera=chosen_camera(scene),
        rays=groups_of_rays(scene),
    )
    due = time.perf_counter() + (patience or 0.0)
    try:
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                take: sampling.Take = end.value
                break
            if patience is not None and time.perf_counter() >= due:
                yield progress.done / max(progress.total, 1)
                due = time.perf_counter() + patience
    finally:
        # Closed too when this generator is: the sampling takes its temporary scene away.
        steps.close()
    take.write(folder)
    if shot.numbers.step > 1:
        write_native(_on_its_own_numbers(take.track, shot), folder / MOTION_FILE)
    yield 1.0


def _on_its_own_numbers(track: PoseTrack, shot: Shot) -> PoseTrack:
    """Return the track with every pose at its frame's number, held until the next one.

    A track has no gaps; the job renders the numbers that were sampled and no others.
    """
    count = len(range(shot.numbers.start, shot.numbers[-1] + 1))
    return track.with_(
        points=np.repeat(track.points, shot.numbers.step, axis=0)[:count],
        scores=np.repeat(track.scores, shot.numbers.step, axis=0)[:count],
        rate=shot.rate,
    )
