"""What the commands of all trainings do around their work."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

import cv2

from marionext.errors import EngineError

__all__ = ["add_usual", "run_command"]

logger = logging.getLogger(__name__)


def add_usual(train: argparse.ArgumentParser, *, rate: float, seed: int) -> None:
    """Let a training be told what most trainings are told.

    Args:
        train: parser of its command.
        rate: of learning, where nothing is said.
        seed: likewise.
    """
    train.add_argument("--rate", type=float, default=rate)
    train.add_argument("--seed", type=int, default=seed)
    train.add_argument("--device", default="cpu")
    train.add_argument("--processes", type=int, default=1, help="processes that draw pictures")
    train.add_argument(
        "--float32", action="store_true", help="no mixed precision: for processors without AVX-512"
    )
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    train.add_argument("--evaluate-every", type=int, default=100, metavar="STEPS")


def run_command(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], None],
    arguments: Sequence[str] | None,
) -> int:
    """Do what a command line asks for, and say what went wrong; return the exit status.

    Args:
        parser: of the command line.
        work: does it.
        arguments: the command line; None: the program's own.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    options = parser.parse_args(arguments)
    # Drawing is quick; its threads would only get in the way of the networks'.
    cv2.setNumThreads(1)
    try:
        work(options)
    except EngineError as error:
        logger.error("%s", error)  # noqa: TRY400 - the message is the user's, a traceback is not
        return error.exit_status
    return 0
