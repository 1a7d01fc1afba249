"""What the number of threads changes: the time of a render, and its bytes.

    python benchmarks/threads.py [--frames 16] [--size 128x192] [--threads 1 2 4]

The bundled dance is rendered by the built-in model with each number of threads. Then each render
loses half of its frames and goes on in a process that has another number: the frames must come back
as they were (`docs/decisions/0023-threads-belong-to-the-render.md`).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def main() -> int:
    """Render, lose frames, render them again; returns 1 if they come back otherwise."""
    parser = argparse.ArgumentParser(description="Measure what threads change.")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", default="128x192")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=sorted({1, 2, os.cpu_count() or 1})
    )
    options = parser.parse_args()
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        first: dict[str, NDArray[np.int16]] = {}
        for threads in options.threads:
            out = Path(folder) / str(threads)
            seconds = render(out, threads, options)
            made = pictures(out)
            first = first or made
            apart = [int(np.abs(made[name] - first[name]).max()) for name in made]
            for name in list(made)[::2]:
                (out / "frames" / name).unlink()
            render(out, threads % max(options.threads) + 1, options)
            again = pictures(out)
            same = all((again[name] == made[name]).all() for name in made)
            status |= not same
            print(
                f"{threads:3} threads  {seconds:6.1f} s   "
                f"{sum(map(bool, apart)):3} of {len(apart)} frames differ from "
                f"{options.threads[0]} by up to {max(apart)}   "
                f"lost frames came back {'the same' if same else 'CHANGED'}",
                flush=True,
            )
    return status


def render(out: Path, threads: int, options: argparse.Namespace) -> float:
    """Render with so many threads, and return the seconds it took."""
    dance = Path(__file__).parents[1] / "presets"
    paths = ("--motion", str(dance / "motions" / "dance.bvh"))
    paths += ("--character", str(dance / "characters" / "hero.png"), "--out", str(out))
    wanted = ("--model", "puppet", "--frames", f"1-{options.frames}", "--size", options.size)
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "marionext", "render", *paths, *wanted],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started


def pictures(out: Path) -> dict[str, NDArray[np.int16]]:
    """Return the frames of a render by name."""
    paths = sorted((out / "frames").glob("*.png"))
    return {path.name: np.asarray(Image.open(path), np.int16) for path in paths}


if __name__ == "__main__":
    sys.exit(main())
