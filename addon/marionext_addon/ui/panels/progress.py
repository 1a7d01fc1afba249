# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a render is: a bar, the time left, a picture."""

from typing import Any

from ...state.translations import say

__all__ = ["at_work", "draw_bar", "draw_factor", "time_left", "waiting"]


def at_work(session: Any) -> list[Any]:
    """Return the renders that are running or being recorded, the running ones first."""
    return [job for state in ("RUNNING", "RECORDING") for job in session.jobs if job.state == state]


def waiting(session: Any) -> int:
    """Return how many renders wait for their turn."""
    return sum(job.state == "QUEUED" for job in session.jobs)


def time_left(seconds: float) -> str:
    """Return the time left in words; empty while nobody knows."""
    if seconds < 0:
        return ""
    whole = round(seconds)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return say("{time} left", time=clock)


def draw_bar(layout: Any, job: Any) -> None:
    """Draw the bar of a render with its percentage and the time left."""
    text = f"{100 * job.progress:.0f} %"
    left = time_left(job.seconds_left)
    if left:
        text += f"   {left}"
    draw_factor(layout, job, text)


def draw_factor(layout: Any, item: Any, text: str) -> None:
    """Draw a bar as long as an item's ``progress`` says."""
    if hasattr(layout, "progress"):  # Blender 4.0 and later
        layout.progress(factor=item.progress, type="BAR", text=text)
    else:
        row = layout.row()
        row.enabled = False
        row.prop(item, "progress", text=text, slider=True)
