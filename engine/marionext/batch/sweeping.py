"""End what is left of a Ray that was started for one batch, when its submitter is gone.

``python -m marionext.batch.sweeping FOLDER`` waits until its stdin ends, which it does however the
submitter ends. Ray's own processes notice that, too, but some only after a minute. They are known
by the files that they have open in their session's folder, which nobody else uses.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

__all__ = ["start", "sweep"]


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """Begin to wait in a process of its own, which a Ctrl-C in the terminal does not reach.

    Args:
        folder: of the session; it is removed in the end.

    Returns:
        The process: closing its stdin, or ending, has it sweep.
    """
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def sweep(folder: Path, spared: int) -> None:
    """Kill the processes that have files in a folder open, where the system tells; remove it.

    Args:
        folder: of the session.
        spared: process that is left alone, whatever it has open.
    """
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) != spared and _has_open(process, folder):
            with contextlib.suppress(OSError):
                os.kill(int(process.name), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _has_open(process: Path, folder: Path) -> bool:
    try:
        return any(each.readlink().is_relative_to(folder) for each in (process / "fd").iterdir())
    except OSError:
        return False  # it has ended, or is somebody else's


def main(folder: Path, stdin: IO[bytes]) -> None:
    """Wait until nobody is left, then sweep."""
    submitter = os.getppid()
    while stdin.read(1 << 12):
        pass
    sweep(folder, submitter)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.stdin.buffer)
