"""Jobs of next to no work: what is measured with them is what stands around a job."""

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from marionext.frames import FrameRate
from marionext.local import LocalEngine
from marionext.pose import PoseTrack
from marionext.pose.formats import write_track

__all__ = ["Maker", "seconds_alone", "tiny_jobs"]

Maker = Callable[[str], dict[str, Any]]
"""Name of its result to a job."""


def tiny_jobs(root: Path) -> Maker:
    """Return a maker of jobs that draw one small pose map; their files are below a new folder."""
    root.mkdir()
    track = root / "stand.npz"
    places = np.full((1, 1, 134, 2), 32, np.float32)
    scores = np.ones((1, 1, 134), np.float32)
    rate = FrameRate(Fraction(24))
    write_track(PoseTrack(points=places, scores=scores, size=(64, 64), rate=rate, first=1), track)

    def job(name: str) -> dict[str, Any]:
        motion = {"path": str(track)}
        return {"kind": "posemaps", "motion": motion, "output": str(root / name)}

    return job


def seconds_alone(job: Maker, count: int) -> float:
    """Return how long an engine alone takes for so many of them."""
    with LocalEngine() as engine:
        engine.wait(engine.submit(job("warm")))
        started = time.perf_counter()
        for index in range(count):
            engine.wait(engine.submit(job(f"alone-{index}")))
        return time.perf_counter() - started
