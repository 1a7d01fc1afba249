"""What the tests of the desktop share: no screen is needed."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
