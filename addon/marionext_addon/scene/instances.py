# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a scene shows an armature that is in it through a collection instance only."""

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .played import Key, key_of

__all__ = ["chain_to", "place_of"]


def chain_to(scene: Any, thing: Any) -> tuple[Key, ...]:
    """Return the empties through which a scene shows an object, from the outermost on.

    Empty: the object is in the scene itself, or nowhere in it. Of several instances the first one
    counts.
    """
    if scene in thing.users_scene:
        return ()
    return _chain(scene.objects, thing, ()) or ()


def _chain(things: Any, wanted: Any, above: tuple[Key, ...]) -> tuple[Key, ...] | None:
    for thing in things:
        collection = thing.instance_collection if thing.instance_type == "COLLECTION" else None
        if collection is None or key_of(thing) in above:
            continue
        chain = (*above, key_of(thing))
        if wanted.name in collection.all_objects and wanted in collection.all_objects.values():
            return chain
        deeper = _chain(collection.all_objects, wanted, chain)
        if deeper is not None:
            return deeper
    return None


def place_of(chain: tuple[Key, ...], evaluated: Any, graph: Any) -> NDArray[np.float64]:
    """Return the matrix (4, 4) with which an evaluated object is shown in the world."""
    place = np.eye(4)
    for key in chain:
        thing = bpy.data.objects.get(key)
        if thing is None:
            continue
        place = place @ np.array(thing.evaluated_get(graph).matrix_world)
        place[:3, 3] -= place[:3, :3] @ np.array(thing.instance_collection.instance_offset)
    return np.asarray(place @ np.array(evaluated.matrix_world), dtype=np.float64)
