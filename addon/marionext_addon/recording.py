# SPDX-License-Identifier: GPL-3.0-or-later
"""Record a shot's motion into a job's folder, in pieces that leave Blender free between them."""

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from marionext.pose import PoseTrack
from marionext.pose.formats import write_native

from . import rig, sampling
from .folders import MOTION_FILE
from .jobs import chosen_camera
from .shots import Shot

__all__ = ["groups_of_rays", "record"]


def groups_of_rays(scene: Any) -> frozenset[str]:
    """Return the groups of points whose visibility a scene's settings want found by rays."""
    settings = scene.marionext
    return frozenset(
        group for group in ("body", "hands", "face") if getattr(settings, f"occlusion_{group}")
    )


def record(
    scene: Any, shot: Shot, folder: Path, *, patience: float | None
) -> Generator[float, None, tuple[str, ...]]:
    """Make ready to sample everybody in the shot and write their keypoints, and the joints beside.

    All of the scene's settings are read before this returns.

    Args:
        scene: to sample; it is left as it is.
        shot: what of it.
        folder: of the job.
        patience: seconds that a piece may take; None: all in one.

    Returns:
        What does it; yields how far it is, 0 to 1, after each piece, and returns what had to be
        left out, for people to read.

    Raises:
        EngineError: a rig cannot be sampled; while it is done, also: a file cannot be written.
    """
    steps = sampling.sampling(
        scene,
        rig.people_of(scene),
        sampling.Timing(times=shot.times, rate=shot.sampled_rate, first=shot.first),
        shot.size,
        fit=shot.fit,
        frame=shot.frame,
        camera=chosen_camera(scene),
        rays=groups_of_rays(scene),
    )
    return _pieces(steps, shot, folder, patience)


def _pieces(
    steps: Generator[sampling.Progress, None, sampling.Take],
    shot: Shot,
    folder: Path,
    patience: float | None,
) -> Generator[float, None, tuple[str, ...]]:
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
    with ThreadPoolExecutor(1) as writer:
        # A thread of numbers and files, which knows nothing of Blender.
        written = writer.submit(_write, take, shot, folder)
        while patience is not None and not written.done():
            yield 1.0
        written.result()
    return take.notes


def _write(take: sampling.Take, shot: Shot, folder: Path) -> None:
    take.write(folder)
    if shot.step > 1:
        write_native(_on_its_own_numbers(take.track, shot), folder / MOTION_FILE)


def _on_its_own_numbers(track: PoseTrack, shot: Shot) -> PoseTrack:
    """Return the track with every pose at its frame's number, held until the next one.

    A track has no gaps; the job renders the numbers that were sampled and no others.
    """
    count = shot.numbers[-1] - shot.first + 1
    return track.with_(
        points=np.repeat(track.points, shot.step, axis=0)[:count],
        scores=np.repeat(track.scores, shot.step, axis=0)[:count],
        rate=shot.rate,
    )
