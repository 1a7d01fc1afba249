"""How long a live picture takes from the question to the pixels, through a real worker process.

    python benchmarks/live_pose.py [--frames 200] [--size 256x384] [--fit linear] [--json FILE]

The worker has one core (where the system can pin it) and one thread. The character is the bundled
one, the motion the bundled dance, its fit measured on the whole of it as a render's is. Each
question is asked when the answer before it is there, so what is counted is what an animator waits
for: writing the question, drawing, and the picture back as bytes, on a poll every millisecond.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from marionext import presets
from marionext.client import EngineProcess
from marionext.jobs import LivePose, MotionSource, PoseSettings
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native
from marionext.protocol import Failed, Posed
from marionext.reporting import Reporter
from marionext.sources import open_motion

TARGET_MS = 60.0
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}


def dance(size: tuple[int, int]) -> PoseTrack:
    """Return the bundled dance as keypoints in a picture of that size."""
    report = Reporter("", lambda _event: None, lambda: False)
    motion = open_motion(MotionSource(path=str(presets.folder("motions") / "dance.bvh")))
    return motion.poses(PoseSettings(clean=False), size, report)


def asked(engine: EngineProcess, pose: LivePose) -> tuple[float, Posed]:
    """Ask once; return the milliseconds until the pixels were there, and the answer."""
    started = time.perf_counter()
    question = engine.ask_pose(pose)
    while True:
        for event in engine.poll():
            if isinstance(event, Failed) and event.job_id == question:
                raise SystemExit(f"error: {event.message}")
            if isinstance(event, Posed) and event.job_id == question:
                _ = event.pixels
                return 1000 * (time.perf_counter() - started), event
        time.sleep(0.001)


def main() -> int:
    """Measure, print one row, and fail where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=int, default=200, help="questions (200)")
    parser.add_argument("--size", default="256x384", help="of the picture (256x384)")
    parser.add_argument("--fit", default="linear", choices=("none", "linear", "limbs", "inside"))
    parser.add_argument("--character", type=Path, default=presets.folder("characters") / "hero.png")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    track = dance((width, height))
    core = next(iter(os.sched_getaffinity(0))) if hasattr(os, "sched_setaffinity") else None
    with tempfile.TemporaryDirectory() as folder, EngineProcess(environment=ONE_THREAD) as engine:
        if core is not None:
            os.sched_setaffinity(engine.pid, {core})
        motion = Path(folder) / "motion.npz"
        write_native(track, motion)

        def pose(frame: int) -> LivePose:
            index = frame % len(track)
            return LivePose(
                character=str(options.character),
                width=width,
                height=height,
                points=tuple(track.points[index].tolist()),
                scores=tuple(track.scores[index].tolist()),
                fit=options.fit,
                motion=None if options.fit == "none" else str(motion),
            )

        first, _ = asked(engine, pose(0))
        times, drawing = [], []
        for frame in range(options.frames):
            passed, answer = asked(engine, pose(frame))
            times.append(passed)
            drawing.append(1000 * answer.seconds)
    row = {
        "size": options.size,
        "fit": options.fit,
        "frames": options.frames,
        "first_ms": round(first),
        "median_ms": round(float(np.median(times)), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
        "in_engine_ms": round(float(np.median(drawing)), 1),
    }
    print("  ".join(f"{name:>12}" for name in row))
    print("  ".join(f"{value!s:>12}" for value in row.values()))
    if options.json:
        options.json.write_text(json.dumps({"target_ms": TARGET_MS, **row}, indent=2) + "\n")
    return int(row["median_ms"] > TARGET_MS)


if __name__ == "__main__":
    sys.exit(main())
