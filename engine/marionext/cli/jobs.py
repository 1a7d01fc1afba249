"""Do jobs on an engine in this process and show what happens."""

from collections.abc import Sequence
from functools import partial

from marionext.cli import console
from marionext.cli.interrupts import Interrupts
from marionext.codec import encode
from marionext.errors import JobCancelled
from marionext.jobs import EngineSettings, Job, encode_job
from marionext.protocol import Failed, Finished

__all__ = ["PARTIAL", "run_jobs"]

PARTIAL = 6
"""Exit status when some of several jobs failed."""


def run_jobs(
    jobs: Sequence[Job],
    engine: EngineSettings,
    *,
    as_json: bool = False,
    results: bool = True,
    unit: str = "frame",
) -> int:
    """Do jobs in order; the first Ctrl-C stops cleanly, the second at once.

    Args:
        jobs: of any kind.
        engine: which machine to use.
        as_json: print the events as JSON lines instead of text.
        results: print where the results are.
        unit: what they make, one of them.

    Returns:
        The exit status of the command.
    """
    from marionext.local import LocalEngine  # noqa: PLC0415 - its session loads torch

    printer = console.EventPrinter(as_json=as_json, results=results, unit=unit)
    settings = encode(engine)
    statuses: list[int] = []
    with LocalEngine() as local:
        for job in jobs:
            job_id = local.submit(encode_job(job), settings)
            with Interrupts(partial(local.cancel, job_id)):
                while True:
                    event = local.next_event()
                    printer.show(event)
                    if isinstance(event, Finished | Failed):
                        break
            statuses.append(event.exit_status if isinstance(event, Failed) else 0)
            if statuses[-1] == JobCancelled.exit_status:
                return JobCancelled.exit_status
    failed = [status for status in statuses if status]
    if len(jobs) > 1 and failed:
        return PARTIAL if len(failed) < len(jobs) else failed[0]
    return failed[0] if failed else 0
