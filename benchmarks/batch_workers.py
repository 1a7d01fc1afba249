"""What workers gain, what a crash costs, and what a batch costs beside rendering.

    python benchmarks/batch_workers.py [--jobs 8] [--kills 5] [--seed 0] [--json FILE]

* ``one_worker_s``, ``two_workers_s``, ``scaling``: the same renders (dolls, a thread each) by one
  ``queue work --drain`` and by two, from the start of the processes to the end of the last; and how
  many times quicker two are. On two cores of their own it is about 2, less what starting costs.
* ``steps_twice``: the most denoising steps that one SIGKILL at a random moment had done again
  (finished ones and the one at work). At most 1.
* ``frames_twice``: likewise frames of a doll that were told to be on the disk. At most 1.
* ``overhead_ms``: time that a job takes in a batch beyond what it takes in an engine alone (tiny
  pose maps, the mean of all jobs). At most 50.

The exit status is 1 where a target is missed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tiny_jobs import seconds_alone, tiny_jobs

from marionext import presets
from marionext.batch import Batch, Shot
from marionext.jobs import EngineSettings, decode_job

PROGRAM = (sys.executable, "-m", "marionext")
TARGETS = {"steps_twice": 1.0, "frames_twice": 1.0, "overhead_ms": 50.0}
TINY_JOBS = 100


def main() -> int:
    """Measure, print a line for each figure; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure workers, crashes and batches.")
    parser.add_argument("--jobs", type=int, default=8, help="renders that workers share (8)")
    parser.add_argument("--kills", type=int, default=5, help="of each kind of render (5)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills (0)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        os.environ["MARIONEXT_HOME"] = str(root / "home")
        os.environ["OMP_NUM_THREADS"] = "1"
        one, two = (drained(root / f"by-{count}", options.jobs, count) for count in (1, 2))
        steps = crashes(puppet(root / "puppet"), root / "p.json", options.kills, chance)
        frames = crashes(doll(root / "doll", 0, 96), root / "d.json", options.kills, chance)
        figures = {
            "one_worker_s": one,
            "two_workers_s": two,
            "scaling": one / two,
            "steps_twice": float(max(steps, default=0)),
            "frames_twice": float(max(frames, default=0)),
            "kills": float(len(steps) + len(frames)),
            "overhead_ms": 1000 * overhead(root / "tiny"),
        }
    missed = [name for name, most in TARGETS.items() if figures[name] > most]
    for name, figure in figures.items():
        target = TARGETS.get(name)
        verdict = ", MISSED" if name in missed else ""
        wanted = "" if target is None else f"   (target {target:g}{verdict})"
        print(f"{name:<14} {figure:8.3f}{wanted}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if missed else 0


def doll(output: Path, index: int, frames: int = 48) -> dict[str, Any]:
    """Return a render of the bundled dance, other frames for each index."""
    return {
        "motion": {"path": str(presets.folder("motions") / "dance.bvh")},
        "character": str(presets.folder("characters") / "hero.png"),
        "frames": f"{1 + index}-{frames + index}",
        "pose": {"fit": "inside"},
        "model": "doll",
        "settings": {"width": 256, "height": 384, "refine": "off"},
        "output": {"directory": str(output), "videos": []},
    }


def puppet(output: Path) -> dict[str, Any]:
    """Return a render whose steps take long enough to be hit, all frames in one window."""
    settings = {"width": 96, "height": 128, "steps": 30, "window": 14, "overlap": 4}
    return {**doll(output, 0, 12), "model": "puppet", "settings": settings}


def drained(folder: Path, jobs: int, workers: int) -> float:
    """Return the seconds in which so many workers do jobs."""
    folder.mkdir()
    files = []
    for index in range(jobs):
        files.append(folder / f"{index}.json")
        files[-1].write_text(json.dumps(doll(folder / str(index), index)), encoding="utf-8")
    queue = ("--queue", str(folder / "queue"))
    add = [*PROGRAM, "queue", "add", *queue, *map(str, files)]
    subprocess.run(add, check=True, stdout=subprocess.DEVNULL)
    work = [*PROGRAM, "queue", "work", "--drain", *queue]
    started = time.perf_counter()
    running = [
        subprocess.Popen(work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(workers)
    ]
    statuses = [process.wait() for process in running]
    if any(statuses):
        raise SystemExit("a worker failed")
    return time.perf_counter() - started


def crashes(job: dict[str, Any], file: Path, kills: int, chance: random.Random) -> list[int]:
    """Kill a render at random moments of its work; return the units done twice by each kill."""
    file.write_text(json.dumps(job), encoding="utf-8")
    twice: list[int] = []
    told: set[int] = set()
    runs = 0
    while True:
        kill_after = chance.uniform(0.0, 1.5) if runs < kills else None
        units, ended = worked(file, kill_after)
        if runs:
            twice.append(len(told & units))
        told |= units
        runs += 1
        if ended:
            return twice


def worked(file: Path, kill_after: float | None) -> tuple[set[int], bool]:
    """Render until it ends or is killed, so many seconds after its first unit of work.

    Returns:
        The steps or frames that it has told, and whether it has ended by itself.
    """
    units: set[int] = set()
    line = [*PROGRAM, "batch", str(file), "--json", "--no-report", "--no-previews"]
    deadline: float | None = None
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        for text in running.stdout:
            event = json.loads(text)
            if event["type"] == "frame" and "doll" in file_model(file):
                units.add(event["frame"])
            elif event["type"] == "progress" and event["stage"] == "denoise" and event["total"]:
                units.add(event["done"])
            if units and kill_after is not None:
                deadline = deadline or time.monotonic() + kill_after
                if time.monotonic() >= deadline:
                    running.kill()
        status = running.wait()
    if status > 0:
        raise SystemExit(f"a render failed with {status}")
    return units, status == 0


def file_model(file: Path) -> str:
    """Return the model of a job file."""
    return str(json.loads(file.read_text(encoding="utf-8"))["model"])


def overhead(root: Path) -> float:
    """Return the seconds that a job takes longer in a batch than in an engine alone."""
    job = tiny_jobs(root)
    alone = seconds_alone(job, TINY_JOBS)
    shots: Sequence[Shot] = [
        Shot(name=str(index), job=decode_job(job(f"batch-{index}")), source="", root=root)
        for index in range(TINY_JOBS)
    ]
    batch = Batch(EngineSettings())
    batch.add(shots)
    started = time.perf_counter()
    batch.run()
    together = time.perf_counter() - started
    batch.close()
    if any(row.state != "done" for row in batch.rows):
        raise SystemExit("a job of the batch failed")
    return (together - alone) / TINY_JOBS


if __name__ == "__main__":
    sys.exit(main())
