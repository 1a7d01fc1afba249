"""The command ``marionext``: every way to use the engine without a window."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import marionext
from marionext.cli import (
    batch,
    blend,
    console,
    dolls,
    image,
    models,
    poses,
    queue,
    render,
    train,
    upscale,
    verify,
)
from marionext.errors import EngineError, JobCancelled
from marionext.files import in_words
from marionext.frames import joined_frames

__all__ = ["main"]

logger = logging.getLogger(__name__)

_EPILOGUE = """\
exit status: 0 done, 1 failure, 2 usage, 3 input, 4 model or licence missing,
5 device or memory, 6 some of several jobs failed, 130 interrupted
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="marionext",
        description="Renders a character video from a motion, one frame per pose.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"marionext {marionext.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for room in (render, image, upscale, batch, queue, blend, verify, dolls, poses, models, train):
        room.add_commands(commands)
    for command in set(commands.choices.values()):
        command.add_argument("--verbose", "-v", action="store_true", help="more messages on stderr")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    options = build_parser().parse_args(joined_frames(given))
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.ERROR,
        format="%(levelname)s %(name)s: %(message)s",
        handlers=[console.LogLines()],
        force=True,
    )
    try:
        return int(options.run(options))
    except EngineError as error:
        console.show_error(error)
        return error.exit_status
    except KeyboardInterrupt:
        console.say("Interrupted.")
        return JobCancelled.exit_status
    except BrokenPipeError:
        # The reader of our output has gone (``marionext ... | head``); closing must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # Anything of the system that nobody has put into words: a folder that is closed, say.
        logger.info("failed", exc_info=True)
        console.show_error(
            EngineError(in_words(error), hint="Check that it is there and may be used.")
        )
        return EngineError.exit_status
    finally:
        console.close()
