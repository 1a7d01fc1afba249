"""``marionext-desktop``: open the window."""

import sys

__all__ = ["main"]


def main() -> int:
    """Open the window and return the exit status of the program."""
    from marionext_desktop.ui.application import run  # noqa: PLC0415 - fast --help

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
