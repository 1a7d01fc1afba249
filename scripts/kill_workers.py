"""Kill workers of a queue at random moments, and see that nothing is lost or done twice.

    python scripts/kill_workers.py [--kills 100] [--workers 2] [--jobs 12] [--seed 0]

Renders of a small doll are queued and done by workers, one of which is killed every moment and
started again. In the end each job has to be done once, and its frames and video have to be what an
undisturbed render made, to the byte. Rounds go on until there were enough kills; about 4 s a kill.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marionext import presets
from marionext.queueing import Store

DONE = "frames in"
"""What the last line of the log of a job that went well holds."""


@dataclass(slots=True)
class Round:
    """What came of one queue."""

    kills: int
    attempts: int
    faults: list[str]
    """What is not as it should be, in words; nothing, if all is well."""


def main() -> int:
    """Run rounds and print what came of them; returns the exit status."""
    parser = argparse.ArgumentParser(description="Kill workers of a queue at random moments.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    kills, faults = 0, 0
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        started = time.monotonic()
        calm = {name: content_of(root / "calm" / name) for name in rendered_calmly(root, options)}
        # Longer than a worker takes to begin, or none of them ever gets to work.
        longest = max(4.0, (time.monotonic() - started) / 2)
        number = 0
        while kills < options.kills:
            number += 1
            folder = root / f"round-{number}"
            outputs = {name: folder / name for name in calm}
            jobs = {folder / f"{name}.json": dance(outputs[name], int(name)) for name in calm}
            came = run(
                folder,
                jobs,
                workers=options.workers,
                pause=(0.3, longest),
                chance=chance,
                most=10**6,
            )
            came.faults += [
                f"{name} is not as it was rendered calmly"
                for name, output in outputs.items()
                if content_of(output) != calm[name]
            ]
            kills += came.kills
            faults += len(came.faults)
            print(
                f"round {number}: {came.kills} kills ({kills}), {came.attempts} attempts, "
                f"{'; '.join(came.faults) or 'all well'}",
                flush=True,
            )
    return 1 if faults else 0


def rendered_calmly(root: Path, options: argparse.Namespace) -> list[str]:
    """Render each job once without being disturbed; return their names."""
    names = [f"{index:02}" for index in range(options.jobs)]
    folder = root / "calm"
    jobs = {folder / f"{name}.json": dance(folder / name, int(name)) for name in names}
    came = run(folder, jobs, workers=1, pause=(0, 0), chance=random.Random(0), most=0)
    if came.faults:
        raise SystemExit("; ".join(came.faults))
    return names


def dance(output: Path, index: int) -> dict[str, Any]:
    """Return a small render of the bundled dance; each index has other frames."""
    return {
        "motion": {"path": str(presets.folder("motions") / "dance.bvh")},
        "character": str(presets.folder("characters") / "hero.png"),
        "frames": f"{1 + index}-{12 + index}",
        "pose": {"fit": "inside"},
        "model": "doll",
        "settings": {"width": 64, "height": 96, "refine": "off"},
        "output": {"directory": str(output)},
    }


def run(
    folder: Path,
    jobs: Mapping[Path, Mapping[str, Any]],
    *,
    workers: int,
    pause: tuple[float, float],
    chance: random.Random,
    most: int,
    patience: float = 600.0,
) -> Round:
    """Queue jobs and have them done by workers that are killed.

    Args:
        folder: for the queue, made here.
        jobs: as JSON values, by the file that each is written to.
        workers: how many at a time.
        pause: seconds between two kills, from and to.
        chance: says when and whom.
        most: how often a worker is killed.
        patience: seconds that all of it may take.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file, job in jobs.items():
        file.write_text(json.dumps(job), encoding="utf-8")
    queue = folder / "queue"
    command = [sys.executable, "-m", "marionext", "queue"]
    add = [*command, "add", "--queue", str(queue), "--root", str(folder), *map(str, jobs)]
    subprocess.run(add, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    work = [*command, "work", "--drain", "--queue", str(queue)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MARIONEXT_HOME": str(folder / "home")}
    running: list[subprocess.Popen[bytes]] = []
    kills, ends = 0, time.monotonic() + patience
    with (folder / "workers.log").open("wb") as log:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(work, stdout=log, stderr=log, env=environment)

        try:
            running += [start() for _ in range(workers)]
            next_kill = time.monotonic() + chance.uniform(*pause)
            while any(process.poll() is None for process in running):
                if time.monotonic() > ends:
                    break
                if kills < most and time.monotonic() >= next_kill:
                    place = chance.randrange(workers)
                    if running[place].poll() is None:
                        running[place].kill()
                        running[place].wait()
                        kills += 1
                        running[place] = start()
                    next_kill = time.monotonic() + chance.uniform(*pause)
                time.sleep(0.02)
        finally:
            for process in running:
                process.kill()
                process.wait()
    return judged(queue, running, len(jobs), kills)


def judged(
    queue: Path, workers: Sequence[subprocess.Popen[bytes]], expected: int, kills: int
) -> Round:
    """Say what is wrong with a queue whose workers have ended."""
    faults = [
        f"a worker ended with {process.returncode}" for process in workers if process.returncode
    ]
    attempts = 0
    with Store(queue) as store:
        entries = store.entries()
        if len(entries) != expected:
            faults.append(f"{len(entries)} jobs, not {expected}")
        for entry in entries:
            attempts += entry.attempts
            if entry.state != "done":
                faults.append(f"job {entry.number} is {entry.state}: {entry.message}")
            times = sum(DONE in line.text for line in store.log(entry.number)[0])
            if times != 1:
                faults.append(f"job {entry.number} was done {times} times")
        if attempts > expected + kills:
            faults.append(f"{attempts} attempts at {expected} jobs with {kills} kills")
    return Round(kills=kills, attempts=attempts, faults=faults)


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the frames and videos of a render's folder by their names."""
    files = sorted([*folder.glob("frames/*.png"), *folder.glob("*.mp4")])
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


if __name__ == "__main__":
    sys.exit(main())
