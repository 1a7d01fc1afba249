"""What the queue itself costs: per job, per claim, and to look at.

    python benchmarks/job_queue.py [--jobs 100] [--json FILE]

* ``overhead_ms``: time that a job takes in a worker beyond what it takes in an engine without a
  queue (tiny pose maps, the mean of all jobs). At most 50.
* ``claims_per_s``: jobs that three workers get in a second, each a transaction of its own. At
  least 500. ``turns_per_s`` is the same with the end of each job, which waits for the disk.
* ``list_s``: time to read and print a queue of 10,000 jobs. At most 0.2.

The exit status is 1 where a target is missed.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_jobs import seconds_alone, tiny_jobs

from marionext.cli.queue import row
from marionext.hosts import ProcessId
from marionext.jobs import EngineSettings
from marionext.queueing import NewJob, Store, Worker

TARGETS = {"overhead_ms": 50.0, "claims_per_s": 500.0, "list_s": 0.2}
LISTED = 10_000
CLAIMED = 3000
WORKERS = 3


def main() -> int:
    """Measure, print a line for each figure; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure the queue.")
    parser.add_argument("--jobs", type=int, default=100, help="that are really done (100)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        figures = {
            "overhead_ms": 1000 * overhead(root / "overhead", options.jobs),
            "claims_per_s": throughput(root / "claims", claim_all),
            "turns_per_s": throughput(root / "turns", claim_and_finish_all),
            "list_s": listing(root / "list"),
        }
    missed = []
    for name, figure in figures.items():
        target = TARGETS.get(name)
        good = target is None or (figure >= target if name.endswith("per_s") else figure <= target)
        missed += [] if good else [name]
        wanted = "" if target is None else f"   (target {target:g}{'' if good else ', MISSED'})"
        print(f"{name:<14} {figure:8.3f}{wanted}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if missed else 0


def overhead(root: Path, count: int) -> float:
    """Return the seconds that a job takes longer in a worker than in an engine alone."""
    job = tiny_jobs(root)
    alone = seconds_alone(job, count)
    with Store(root / "queue") as store:
        store.add([new(job(f"queued-{index}"), root / f"queued-{index}") for index in range(count)])
    worker = Worker(root / "queue", EngineSettings(), show=nothing, say=nothing, drain=True)
    started = time.perf_counter()
    worker.run()
    queued = time.perf_counter() - started
    assert worker.statuses == [0] * count
    return (queued - alone) / count


def nothing(_said: object) -> None:
    """Show nothing."""


def new(job: dict[str, Any], output: Path, model: str = "") -> NewJob:
    """Return a job as the queue takes it."""
    return NewJob(job=job, results=(output,), model=model)


def fill(folder: Path, count: int) -> None:
    """Make a queue of many jobs, each as long as a real one."""
    text = "x" * 1500
    models = ("doll", "puppet", "svd")
    with Store(folder) as store:
        store.add([new({"text": text}, folder / f"out-{i}", models[i % 3]) for i in range(count)])


def throughput(folder: Path, work: Callable[[Path], None]) -> float:
    """Return the jobs per second that several processes get through together."""
    fill(folder, CLAIMED)
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(WORKERS + 1)
    workers = [context.Process(target=_after, args=(ready, work, folder)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    ready.wait()
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    return CLAIMED / (time.perf_counter() - started)


def _after(ready: Any, work: Callable[[Path], None], folder: Path) -> None:
    ready.wait()
    work(folder)


def claim_all(folder: Path) -> None:
    """Take jobs until there are no more."""
    with Store(folder) as store:
        worker = store.enter(ProcessId(pid=0, born="", host=""))
        while store.claim(worker, "doll") is not None:
            pass


def claim_and_finish_all(folder: Path) -> None:
    """Take jobs and end them until there are no more."""
    with Store(folder) as store:
        worker = store.enter(ProcessId(pid=0, born="", host=""))
        while (claim := store.claim(worker, "doll")) is not None:
            store.finish(claim, "done")


def listing(folder: Path) -> float:
    """Return the seconds that it takes to list many jobs, the best of five times."""
    fill(folder, LISTED)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        with Store(folder) as store:
            text = "\n".join(row(entry) for entry in store.entries())
        times.append(time.perf_counter() - started)
        assert text.count("waiting") == LISTED
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
