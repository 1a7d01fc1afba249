"""Tell which workers have died, whatever the clocks say.

A worker of this machine whose process is gone is dead at once. Another one, or one that hangs, is
when its count has stood still for a while. That while is added up from short looks on this
process's own clock, and no look counts for more than a few seconds: neither a clock that is set
nor a machine that slept makes a worker look dead that was not seen to be.
"""

import os
import socket
import time
from collections.abc import Callable

from marionext.hosts import ProcessId
from marionext.queueing.store import Store

__all__ = ["SILENCE", "Watch", "this_process"]

SILENCE = 60.0
"""Seconds without a beat after which a worker is given up."""
_LONGEST_LOOK = 5.0


def this_process() -> ProcessId:
    """Return who this process is, to workers on this machine and in other containers of it."""
    found = ProcessId.of(os.getpid())
    return ProcessId(pid=found.pid, born=found.born, host=_here())


def _here() -> str:
    """Name the place where process numbers mean the same: two containers may share a file."""
    try:
        # Not Path.readlink: this is no path to anything.
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        space = ""
    return f"{socket.gethostname()} {space}".strip()


class Watch:
    """Looks after the other workers of a queue.

    Args:
        silence: seconds without a beat after which a worker is given up.
        clock: seconds that pass.
    """

    def __init__(
        self, *, silence: float = SILENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin without having seen anybody."""
        self._silence, self._clock = silence, clock
        self._seen: dict[int, tuple[int, float]] = {}
        self._looked: float | None = None
        self._here = _here()

    def look(self, store: Store, me: int | None) -> list[int]:
        """Take the jobs of dead workers back; return the numbers of those jobs.

        Args:
            store: the queue.
            me: the worker that looks, which is alive.
        """
        now = self._clock()
        passed = 0.0 if self._looked is None else now - self._looked
        self._looked = now
        passed = max(0.0, min(passed, _LONGEST_LOOK))
        seen: dict[int, tuple[int, float]] = {}
        freed: list[int] = []
        for worker, beats, process in store.workers():
            if worker == me:
                continue
            before, silent = self._seen.get(worker, (beats, 0.0))
            silent = silent + passed if before == beats else 0.0
            if silent >= self._silence or self._is_gone(process):
                freed += store.take_back(worker)
            else:
                seen[worker] = (beats, silent)
        self._seen = seen
        return freed

    def _is_gone(self, process: ProcessId) -> bool:
        if process.host != self._here or not process.born:
            return False
        return ProcessId.of(process.pid).born != process.born
