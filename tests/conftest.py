"""What all tests share."""

import logging
import os
import signal

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Of several processes with tests each has one core: more threads would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what it runs in the background with Ctrl-C ignored, and every process started from
# there inherits that: tests of interruptions need it back.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST = {"test_story.py", "test_real_window.py", "test_cluster.py"}
"""Files with tests of minutes, which come first: at the end one core would wait for them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def _log_as_python_starts_it() -> None:
    """Let no test miss in the log what another test, or a library it used, has switched off."""
    logging.disable(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "marionext" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
