"""``python -m marionext.training`` trains what is built in: `puppet.commands`, `doll.commands`."""

import sys

from marionext.training.doll import commands as doll
from marionext.training.puppet import commands as puppet

if __name__ == "__main__":
    sys.exit((doll if sys.argv[1:2] and sys.argv[1] in doll.COMMANDS else puppet).main())
