# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the user interface in the languages that Blender is set to.

Blender translates names and descriptions of properties, panels and operators by itself, from a
table that is registered here; `say` does the same for sentences that are put together. A test
compares the table with everything the add-on shows.
"""

import bpy

from . import ADDON
from .chinese import CHINESE

__all__ = ["register", "say", "unregister"]

_LOCALES = ("zh_HANS", "zh_CN")
"""Simplified Chinese is called by the first name from Blender 4.0 on, by the second before."""
_CONTEXTS = ("*", "Operator", "Marionext")
"""Blender looks up a button's name among those of operators, a panel's title among our own (its own
Look is one of film), all else among the general ones."""


def say(text: str, **values: object) -> str:
    """Return the text in the language of the interface, ``{names}`` replaced by the values."""
    if not text:
        return ""  # the empty text is the table's own description
    translated = str(bpy.app.translations.pgettext_iface(text))
    return translated.format(**values) if values else translated


def register() -> None:
    """Give Blender the table."""
    table = {(context, text): words for text, words in CHINESE.items() for context in _CONTEXTS}
    bpy.app.translations.register(ADDON, dict.fromkeys(_LOCALES, table))


def unregister() -> None:
    """Take the table back."""
    bpy.app.translations.unregister(ADDON)
