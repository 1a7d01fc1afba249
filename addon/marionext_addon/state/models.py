# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that a scene can choose from, as Blender's list wants them."""

import zlib

from marionext import bundles
from marionext.settings import DEFAULT_MODEL, DEFAULT_PICTURE_MODEL

from .translations import say

__all__ = [
    "NUMBER_OF_DEFAULT",
    "NUMBER_OF_DEFAULT_PICTURE",
    "find_models",
    "picture_items",
    "refresh_models",
]

EnumItem = tuple[str, str, str, str, int]

_picture_items: list[EnumItem] = []
_model_items: list[EnumItem] = []
"""Blender keeps no reference of its own to the texts of a dynamic list: this one does."""


def _stable_number(name: str) -> int:
    """Return the same number for a name in every session: Blender saves the number.

    The puppet is 0, since it was when files were saved with it.
    """
    return 0 if name == "puppet" else zlib.crc32(name.encode()) & 0x7FFFFFFF


NUMBER_OF_DEFAULT = _stable_number(DEFAULT_MODEL)
"""The value of a choice that was never touched."""
NUMBER_OF_DEFAULT_PICTURE = _stable_number(DEFAULT_PICTURE_MODEL)
"""The same, of models that make pictures."""


def find_models(_settings: object = None, _context: object = None) -> list[EnumItem]:
    """Return the models to choose from; read again by `refresh_models`, not at every redraw."""
    if not _model_items:
        refresh_models()
    return _model_items


def picture_items(_operator: object = None, _context: object = None) -> list[EnumItem]:
    """Return the models that make characters from words."""
    if not _model_items:
        refresh_models()
    return _picture_items


def refresh_models() -> None:
    """Look again which models there are on the disk."""
    found: list[EnumItem] = []
    pictures: list[EnumItem] = []
    for bundle in bundles.list_bundles():
        if bundle.card.kind not in {"video", "picture"}:
            continue  # it steers others
        there = bundle.card.built_in or bundle.folder.is_dir()
        title = bundle.card.title
        kind = found if bundle.card.kind == "video" else pictures
        kind.append(
            (
                bundle.name,
                title if there else say("{model} (not fetched yet)", model=say(title)),
                bundle.card.description.strip(),
                "NONE" if there else "IMPORT",
                _stable_number(bundle.name),
            )
        )
    # The default first: it is built in and works everywhere.
    usual = (DEFAULT_MODEL, DEFAULT_PICTURE_MODEL)
    for items in (found, pictures):
        items.sort(key=lambda item: (item[0] not in usual, item[0]))
    _model_items[:] = found
    _picture_items[:] = pictures
