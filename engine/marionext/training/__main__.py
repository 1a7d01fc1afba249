"""``python -m marionext.training`` trains the built-in ``puppet``; see `puppet.commands`."""

import sys

from marionext.training.puppet.commands import main

if __name__ == "__main__":
    sys.exit(main())
