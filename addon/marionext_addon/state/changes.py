# SPDX-License-Identifier: GPL-3.0-or-later
"""What has changed, told by those who change it to rooms that they do not know.

The update of a property tells here that an armature was chosen, the runner that a job has moved on.
Those who look at rigs or draw the sidebar have said at registration what to do then. So imports go
one way only: from what is shown and done down to what is kept.
"""

from collections.abc import Callable
from typing import Any

__all__ = [
    "Change",
    "armature_chosen",
    "bone_chosen",
    "frames_came",
    "job_ended",
    "jobs_changed",
    "live_came",
    "live_switched",
    "models_changed",
    "overlay_switched",
    "picture_changed",
    "poses_edited",
]


class Change:
    """One kind of change, and who wants to be told."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._listeners: list[Callable[..., Any]] = []

    def listen(self, listener: Callable[..., Any]) -> None:
        """Have a function called at every change."""
        self._listeners.append(listener)

    def forget(self, listener: Callable[..., Any]) -> None:
        """Stop calling it."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def tell(self, *about: Any) -> None:
        """Call everybody who listens."""
        for listener in list(self._listeners):
            listener(*about)


armature_chosen = Change()
"""Told with the `properties.MarionextPerson`."""
bone_chosen = Change()
"""Told with the `properties.MarionextMapping`."""
models_changed = Change()
overlay_switched = Change()
live_came = Change()
"""Told when the live preview has another picture, or is to be shown otherwise."""
live_switched = Change()
"""Told with whether the live preview is wanted."""
job_ended = Change()
"""Told with a `work.renders.Render` that has finished, failed or been cancelled."""
jobs_changed = Change()
frames_came = Change()
"""Told with a `work.renders.Render` of which there are more frames than before."""
poses_edited = Change()
"""Told when the list of edits, or one of them, was changed."""
picture_changed = Change()
"""Told with the path of a picture that was written again."""
