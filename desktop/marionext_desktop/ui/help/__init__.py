"""A page of help for each workspace, in Markdown, with the keys that are in force."""

import re
from importlib import resources

from PySide6.QtGui import QKeySequence

from marionext_desktop.model.words import language
from marionext_desktop.ui.actions import Actions

__all__ = ["help_page"]

_KEY = re.compile(r"\{key:(\w+)\}")


def help_page(space: str, actions: Actions) -> str:
    """Return the page of a workspace.

    Args:
        space: ``edit``, ``clean`` or ``render``.
        actions: tell the keys: ``{key:blade}`` in a page stands for the key of that command.
    """
    folder = resources.files(__name__)
    page = folder.joinpath(f"{space}.{language()}.md")
    text = (page if page.is_file() else folder.joinpath(f"{space}.en.md")).read_text("utf-8")

    def key(found: re.Match[str]) -> str:
        keys = actions[found[1]].shortcuts()
        if not keys:
            return "–"
        return f"**{keys[0].toString(QKeySequence.SequenceFormat.NativeText)}**"

    return _KEY.sub(key, text)
