# SPDX-License-Identifier: GPL-3.0-or-later
"""The curves of an action, in Blenders with layers and without."""

from collections.abc import Iterator
from typing import Any

__all__ = ["curves_of"]


def curves_of(action: Any) -> Iterator[Any]:
    """Yield an action's F-curves, of all its slots."""
    if not hasattr(action, "layers"):  # before Blender 4.4
        yield from action.fcurves
        return
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                yield from bag.fcurves
