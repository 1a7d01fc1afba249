"""Prepare what the next step needs while the current one is computed."""

import multiprocessing
import pickle
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import cv2
import torch

from marionext.errors import ModelError

__all__ = ["Stocking", "arriving", "drawn_ahead", "prefetched"]

Made = TypeVar("Made")


def prefetched(make: Callable[[int], Made], first: int, stop: int) -> Iterator[tuple[int, Made]]:
    """Yield ``make(step)`` for each step; a thread makes the next one: for what is read."""
    with ThreadPoolExecutor(1) as worker:
        waiting = worker.submit(make, first)
        for step in range(first, stop):
            ready = waiting.result()
            if step + 1 < stop:
                waiting = worker.submit(make, step + 1)
            yield step, ready


def drawn_ahead(
    make: Callable[[int], Made], first: int, stop: int, processes: int = 1
) -> Generator[tuple[int, Made], None, None]:
    """Yield ``make(step)`` for each step; other processes make the next ones meanwhile.

    Args:
        make: can be pickled, and gives the same for the same step.
        first: the first step.
        stop: the step after the last.
        processes: how many make steps, in turn.

    Raises:
        ModelError: one of them ended, with its own last words on stderr.
    """
    # Drawing is Python's own work: a thread would hold up every small step of the networks.
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context: Any = multiprocessing.get_context(kind)
    if kind == "forkserver":
        context.set_forkserver_preload([type(make).__module__])
    receivers, makers = [], []
    for turn in range(processes):
        receiving, sending = context.Pipe(duplex=False)
        work = (make, range(first + turn, stop, processes), sending)
        makers.append(context.Process(target=_make_all, args=work, daemon=True))
        makers[-1].start()
        sending.close()
        receivers.append(receiving)
    # What is ready is fetched whenever one is asked for: who is quicker than the others goes on.
    ready: dict[int, bytes] = {}
    due = {receiving: first + turn for turn, receiving in enumerate(receivers)}
    try:
        for step in range(first, stop):
            wanted = receivers[(step - first) % processes]
            while step not in ready:
                wait([wanted])
                for receiving in receivers:
                    if due[receiving] >= stop or not receiving.poll():
                        continue
                    try:
                        ready[due[receiving]] = receiving.recv_bytes()
                    except EOFError:
                        raise ModelError(
                            f"the process that draws the clips ended at step {due[receiving]}"
                        ) from None
                    due[receiving] += processes
            yield step, pickle.loads(ready.pop(step))
    finally:
        for receiving, maker in zip(receivers, makers, strict=True):
            receiving.close()
            maker.terminate()
            maker.join()


@dataclass(frozen=True, slots=True)
class Stocking:
    """How often what costs more to make than to learn from is made anew."""

    first: int
    """How many are at hand at the first step."""
    kept: int
    """How many are at hand at most: the latest."""
    renewed: float
    """How many are made in a step."""

    def made(self, step: int) -> int:
        """Return how many were made when a step is taken."""
        return self.first + int(step * self.renewed)


def arriving(
    make: Callable[[int], Made], first: int, stop: int, stocking: Stocking, processes: int = 1
) -> Generator[tuple[int, list[Made]], None, None]:
    """Yield for each step what joins that which is at hand; at ``first``, all that was at hand.

    Args:
        make: can be pickled, and gives the same for the same number.
        first: the first step.
        stop: the step after the last.
        stocking: how many are made.
        processes: how many make them, in turn.

    Raises:
        ModelError: one of them ended, with its own last words on stderr.
    """
    at_hand = max(stocking.made(first) - stocking.kept, 0)
    made = drawn_ahead(make, at_hand, stocking.made(max(first, stop - 1)), processes)
    with closing(made):
        for step in range(first, stop):
            joining = stocking.made(step) - at_hand
            yield step, [each for _, each in islice(made, joining)]
            at_hand += joining


def _make_all(make: Callable[[int], Made], steps: range, sending: Connection) -> None:
    """Send what is made, each when it is asked for: the pipe holds less than one."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for step in steps:
        made = pickle.dumps(make(step), pickle.HIGHEST_PROTOCOL)
        try:
            sending.send_bytes(made)
        except BrokenPipeError:  # the training ended
            return
