"""``python -m marionext.training`` trains what is built in: see the ``commands`` of each folder."""

import sys

from marionext.training.doll import commands as doll
from marionext.training.picture import commands as picture
from marionext.training.puppet import commands as puppet
from marionext.training.upscaler import commands as upscaler

if __name__ == "__main__":
    others = {name: room for room in (doll, picture, upscaler) for name in room.COMMANDS}
    sys.exit(others.get("".join(sys.argv[1:2]), puppet).main())
