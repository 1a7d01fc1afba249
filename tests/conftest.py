"""What all tests share."""

import logging
import os
import signal
from collections.abc import Iterator

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Of several processes with tests each has one core: more threads would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what it runs in the background with Ctrl-C ignored, and every process started from
# there inherits that: tests of interruptions need it back.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _level_of_the_log() -> Iterator[None]:
    """Give back the level that a command line sets, which decides what other tests can read."""
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)
