"""Prepare what the next step needs while the current one is computed."""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import cv2
import torch

from marionext.errors import ModelError

__all__ = ["drawn_ahead", "prefetched"]

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


def drawn_ahead(make: Callable[[int], Made], first: int, stop: int) -> Iterator[tuple[int, Made]]:
    """Yield ``make(step)`` for each step; the next one is made by another process meanwhile.

    Args:
        make: can be pickled, and gives the same for the same step.
        first: the first step.
        stop: the step after the last.

    Raises:
        ModelError: the other process ended, with its own last words on stderr.
    """
    # Drawing is Python's own work: a thread would hold up every small step of the networks.
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context: Any = multiprocessing.get_context(kind)
    if kind == "forkserver":
        context.set_forkserver_preload([type(make).__module__])
    receiving, sending = context.Pipe(duplex=False)
    work = (make, first, stop, sending)
    maker = context.Process(target=_make_all, args=work, daemon=True)
    maker.start()
    sending.close()
    try:
        for step in range(first, stop):
            try:
                made = receiving.recv_bytes()
            except EOFError:
                raise ModelError(f"the process that draws the clips ended at step {step}") from None
            yield step, pickle.loads(made)
    finally:
        receiving.close()
        maker.terminate()
        maker.join()


def _make_all(make: Callable[[int], Made], first: int, stop: int, sending: Connection) -> None:
    """Send what is made, each when it is asked for: the pipe holds less than one."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for step in range(first, stop):
        made = pickle.dumps(make(step), pickle.HIGHEST_PROTOCOL)
        try:
            sending.send_bytes(made)
        except BrokenPipeError:  # the training ended
            return
