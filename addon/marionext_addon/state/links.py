# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Marionext is to be found: its public addresses, and the manual that the add-on brings."""

from pathlib import Path

__all__ = ["PROBLEMS", "WEBSITE", "manual_or_none"]

WEBSITE = ""
"""Empty while Marionext has no public address. The manifest and ``bl_info`` name the same one; a
build of the add-on makes sure."""
PROBLEMS = ""
"""The page on which problems are reported; empty while there is none."""


def manual_or_none() -> Path | None:
    """Return the manual's first page; None: it was not packed, as in a checkout."""
    path = Path(__file__).resolve().parents[1] / "manual" / "index.html"
    return path if path.is_file() else None
