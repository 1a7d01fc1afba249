# SPDX-License-Identifier: GPL-3.0-or-later
"""Marionext in Blender: render a character video from an animated rig, from the sidebar.

Rooms: `state` is what is kept, `scene` what is read, `work` what is rendered, `ui` what is seen and
`operators` what can be done; imports go from the last ones down to the first. A module that adds
something to Blender has ``register`` and ``unregister``, called in the order of `_MODULES` and
back. ``bl_info`` is for Blender up to 4.1; later ones read
``blender_manifest.toml``.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - Blender 4.0 and older bring 3.10
    # Blender 4.1 brings Python 3.11; distributions build older ones with it, too.
    raise ImportError(
        "Marionext needs a Blender with Python 3.11 or later (Blender 4.1 and later have it); "
        f"this one has {sys.version.split()[0]}"
    )

if "_MODULES" in globals():
    # Blender 4.1 and older reload this file alone after an update: the rest must not be the old.
    for _name in [name for name in sys.modules if name.startswith(f"{__name__}.")]:
        del sys.modules[_name]

from .operators import (
    camera,
    character,
    command,
    edits,
    engine,
    jobs,
    mapping,
    models,
    motion,
    problems,
    render,
    results,
)
from .scene import identity, own, people, temporary
from .state import properties, translations
from .ui import (
    arriving,
    keymaps,
    lists,
    live_view,
    menu,
    notices,
    overlay,
    page,
    panels,
    redraw,
    thumbnails,
)
from .work import checking, live, runner
from .work import problems as gathering

bl_info = {
    "name": "Marionext",
    "description": "Render a character video from an animated rig",
    "author": "The Marionext authors",
    "version": (0, 2, 0),
    "blender": (3, 4, 0),
    "location": "3D Viewport > Sidebar > Marionext",
    "category": "Render",
}

_MODULES = (
    properties,
    page,
    people,
    identity,
    runner,
    live,
    checking,
    gathering,
    camera,
    character,
    render,
    jobs,
    results,
    engine,
    models,
    motion,
    edits,
    mapping,
    problems,
    command,
    translations,
    thumbnails,
    lists,
    panels,
    keymaps,
    temporary,
    own,
    overlay,
    live_view,
    redraw,
    arriving,
    notices,
    menu,
)
"""In the order of registration: properties first, what shows them last."""


def register() -> None:
    """Add everything to Blender; if one part fails, none stays."""
    done = []
    try:
        for module in _MODULES:
            module.register()
            done.append(module)
    except Exception:
        for module in reversed(done):
            module.unregister()
        raise


def unregister() -> None:
    """Take everything away again."""
    for module in reversed(_MODULES):
        module.unregister()
