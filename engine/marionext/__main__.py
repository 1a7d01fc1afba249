"""``python -m marionext`` is the command ``marionext``."""

import sys

from marionext.cli import main

if __name__ == "__main__":
    sys.exit(main())
