# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that a scene can choose from, as Blender's list wants them."""

import zlib

from marionext import bundles

from .translations import say

__all__ = ["find_models", "refresh_models"]

EnumItem = tuple[str, str, str, str, int]

_model_items: list[EnumItem] = []
"""Blender keeps no reference of its own to the texts of a dynamic list: this one does."""


def _stable_number(name: str) -> int:
    """Return the same number for a name in every session: Blender saves the number.

    The built-in model is 0, the value of a choice that was never touched.
    """
    return 0 if name == "puppet" else zlib.crc32(name.encode()) & 0x7FFFFFFF


def find_models(_settings: object = None, _context: object = None) -> list[EnumItem]:
    """Return the models to choose from; read again by `refresh_models`, not at every redraw."""
    if not _model_items:
        refresh_models()
    return _model_items


def refresh_models() -> None:
    """Look again which models there are on the disk."""
    found: list[EnumItem] = []
    for bundle in bundles.list_bundles():
        there = bundle.card.built_in or bundle.folder.is_dir()
        title = bundle.card.title
        found.append(
            (
                bundle.name,
                title if there else say("{model} (not fetched yet)", model=say(title)),
                bundle.card.description.strip(),
                "NONE" if there else "IMPORT",
                _stable_number(bundle.name),
            )
        )
    # The built-in one first: it is the default and works everywhere.
    found.sort(key=lambda item: (item[0] != "puppet", item[0]))
    _model_items[:] = found
