# SPDX-License-Identifier: GPL-3.0-or-later
"""Show frames on the timeline as they are rendered: in every place that shows their sequence.

A draft is put into an Image Editor that shows nothing, or an earlier render, when its first frame
is there; other renders where the user asks for them.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from marionext.errors import EngineError

from ..state import changes
from ..work import results
from ..work.editors import image_editors, redraw

__all__ = ["register", "unregister"]

_SECONDS = 0.3
"""Between two looks at the new frames of a render."""
_looked: dict[str, float] = {}
"""When the frames of a render were shown last, on the monotonic clock."""


def _came(render: Any) -> None:
    """Show the frames that are there by now.

    Args:
        render: a `work.renders.Render`.
    """
    now = time.monotonic()
    first = render.job_id not in _looked
    if render.is_open and not first and now - _looked[render.job_id] < _SECONDS:
        return
    _looked[render.job_id] = now
    # Frames that cannot be shown yet, or whose folder is gone, hold up no render.
    with suppress(EngineError, OSError):
        folder = Path(render.folder)
        if first and render.kind == "DRAFT":
            _show(render)
        shown = results.shown_images(folder)
        if shown:
            results.find_pictures(folder, coming=render.is_open)
            for image in shown:
                image.reload()
            redraw(shown)


def _show(render: Any) -> None:
    for space, _ in image_editors():
        if space.image is None or results.is_result(space.image):
            pictures = results.find_pictures(Path(render.folder), coming=render.is_open)
            space.image = results.as_image(pictures, render.name)
            results.set_image_user(space.image_user, pictures)
            return


def register() -> None:
    """Follow the frames."""
    changes.frames_came.listen(_came)


def unregister() -> None:
    """Stop doing so."""
    changes.frames_came.forget(_came)
    _looked.clear()
