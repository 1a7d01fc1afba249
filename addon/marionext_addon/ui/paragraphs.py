# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in a panel: Blender cuts a label off where the panel ends, a paragraph goes on."""

import re
import textwrap
import unicodedata
from typing import Any

__all__ = ["write", "write_problem"]

_LETTER = 6.3
"""Mean width of a letter in pixels at a resolution scale of 1."""
_MARGIN = 76
"""Pixels of a panel that are no text: borders, box, icon and the tabs at its side."""
_BUTTON = 20
"""Width of an icon's button."""


def write(layout: Any, context: Any, text: str, *, icon: str = "NONE", buttons: int = 0) -> None:
    """Write a text over as many lines as the panel's width asks for.

    Args:
        layout: where.
        context: Blender's.
        text: what.
        icon: before the first line.
        buttons: icons that stand beside it in the same row.
    """
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(_lines(text, _letters(context, buttons))):
        first = "BLANK1" if icon != "NONE" else "NONE"
        column.label(text=line, icon=first if number else icon, translate=False)


def write_problem(layout: Any, context: Any, text: str, advice: str = "") -> Any:
    """Write what is wrong and what to do about it in a box, and return the box for buttons."""
    box = layout.box()
    column = box.column(align=True)
    column.alert = True
    # The engine's messages are made to follow its name and a colon.
    write(column, context, text[:1].upper() + text[1:], icon="ERROR")
    if advice:
        write(box, context, advice, icon="BLANK1")
    return box


def _letters(context: Any, buttons: int) -> int:
    """Return how many letters fit on a line."""
    region = context.region
    scale = context.preferences.system.ui_scale
    width = region.width / scale if region is not None else 250
    return max(16, int((width - _MARGIN - buttons * _BUTTON) / _LETTER))


def _lines(text: str, letters: int) -> list[str]:
    lines: list[str] = []
    for part in text.splitlines() or [""]:
        if any(unicodedata.east_asian_width(letter) in "WF" for letter in part):
            lines += _broken_anywhere(part, letters)
        else:
            lines += textwrap.wrap(part, letters, break_on_hyphens=False) or [""]
    return lines


def _broken_anywhere(text: str, letters: int) -> list[str]:
    """Break a text that has no spaces; its signs are two letters wide."""
    lines, used = [""], 0
    # Numbers and Latin words stay whole; closing punctuation does not begin a line.
    for part in re.findall(r"[!-~\u00d7]+|.", text):
        width = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in part)
        closing = part in "\uff0c\u3002\uff1b\uff1a\uff09\u3001"
        if used + width > letters and used and not closing:
            lines.append("")
            used = 0
        lines[-1] += part if used else part.lstrip()
        used += width
    return lines
