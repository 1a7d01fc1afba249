"""The command ``marionext``, from its first moment on: ``python -m marionext`` is the same.

Importing the command line takes a while. Ctrl-C in that time ends the program as it does later, in
silence and with the status of an interruption, and so it does while Python clears up at the end.
"""

import os
import signal
import sys
from types import FrameType

__all__ = ["start"]

_INTERRUPTED = 130


def start() -> int:
    """Run the command line of this process and return its exit status."""
    # Whoever starts a program with Ctrl-C ignored (nohup, a shell's &) wants it ignored.
    heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    from marionext.cli import main  # noqa: PLC0415 - what takes a while

    try:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return main()
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        if heeded:
            signal.signal(signal.SIGINT, _leave)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing has begun yet, or everything is done."""
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    sys.exit(start())
