"""Whether frames that were made again join the frames around them.

    python benchmarks/takes.py [--ranges 8] [--frames 48] [--size 128x192] [--json FILE]

The bundled dance is rendered by the built-in model; then ranges of it are made again, each with a
seed of its own, as ``marionext render --again`` does. A *join* is a pair of neighbouring frames of
which one was made again. Three measures, each a mean over all joins:

* ``seen``: how much the two frames differ, against all other pairs of the clip;
* ``same_place``: the same, against the same pair in the first render: the dance is not in it;
* ``loose``: ``same_place`` for frames that were rendered alone, without the others held. Below that
  the holding does its work.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from marionext import presets
from marionext.local import LocalEngine
from marionext.protocol import Failed

Pictures = dict[int, NDArray[np.float32]]


def main() -> int:
    """Render, make ranges again, print a table."""
    parser = argparse.ArgumentParser(description="Measure the joins of frames made again.")
    parser.add_argument("--ranges", type=int, default=8)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", default="128x192")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    lengths = (1, 2, 4, 6, 9, 12)
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder, LocalEngine() as engine:
        job = dance(Path(folder) / "render", width, height, options.frames)
        first = render(engine, job)
        held, same, loose = [], [], []
        for index in range(options.ranges):
            length = lengths[index % len(lengths)]
            start = int(rng.integers(3, options.frames - length - 2))
            span = f"{start}-{start + length - 1}"
            seed = 100 + index
            again = render(engine, {**job, "again": span, "settings": settings(job, seed)})
            alone_job = dance(Path(folder) / f"alone-{index}", width, height, options.frames)
            alone_job |= {"frames": span, "settings": settings(alone_job, seed)}
            mixed = {**first, **render(engine, alone_job)}
            for frame in (start - 1, start + length - 1):
                held.append(step(again, frame))
                same.append(step(again, frame) / step(first, frame))
                loose.append(step(mixed, frame) / step(first, frame))
            # The next range begins with the render as it was.
            shown = {"kind": "take", "directory": job["output"]["directory"], "take": 0}
            render(engine, shown, Path(job["output"]["directory"]))
    elsewhere = [step(first, frame) for frame in range(1, options.frames)]
    row = {
        "joins": len(held),
        "seen": round(float(np.mean(held) / np.mean(elsewhere)), 3),
        "same_place": round(float(np.mean(same)), 3),
        "same_place_worst": round(float(np.max(same)), 3),
        "loose": round(float(np.mean(loose)), 3),
    }
    print("  ".join(f"{name} {value}" for name, value in row.items()))
    if options.json:
        record = {**vars(options), "json": None, "torch": torch.__version__}
        options.json.write_text(json.dumps({**record, **row}, indent=2) + "\n", encoding="utf-8")
    return 0


def dance(folder: Path, width: int, height: int, frames: int) -> dict[str, Any]:
    """Return the job of the bundled dance, as JSON values."""
    return {
        "motion": {"path": str(presets.folder("motions") / "dance.bvh")},
        "character": str(presets.folder("characters") / "hero.png"),
        "frames": f"1-{frames}",
        "pose": {"fit": "limbs"},
        "model": "puppet",
        "quality": "draft",
        "settings": {"width": width, "height": height},
        "output": {"directory": str(folder), "videos": []},
    }


def settings(job: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return a job's settings with another seed."""
    return {**job["settings"], "seed": seed}


def render(engine: LocalEngine, job: dict[str, Any], folder: Path | None = None) -> Pictures:
    """Do a job and return the frames of its folder by number."""
    ended = engine.wait(engine.submit(job))[-1]
    if isinstance(ended, Failed):
        raise SystemExit(ended.message)
    frames = (folder or Path(job["output"]["directory"])) / "frames"
    return {
        int(path.stem): np.asarray(Image.open(path), np.float32) for path in frames.glob("*.png")
    }


def step(pictures: Pictures, frame: int) -> float:
    """Return how much a frame and the next one differ, the mean over all values."""
    return float(np.abs(pictures[frame + 1] - pictures[frame]).mean())


if __name__ == "__main__":
    sys.exit(main())
