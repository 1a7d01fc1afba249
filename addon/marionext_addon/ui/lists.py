# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of the sidebar: people, the bones of one person, renders."""

from typing import Any

import bpy
from bpy.props import BoolProperty

from ..scene.choices import is_there
from ..state.edits import ICONS
from ..state.translations import say
from ..state.words import edit_words, role_words

__all__ = ["STATE_ICONS"]

STATE_ICONS = {
    "RECORDING": "REC",
    "QUEUED": "SORTTIME",
    "RUNNING": "PLAY",
    "FINISHED": "CHECKMARK",
    "FAILED": "ERROR",
    "CANCELLED": "CANCEL",
}
_SOURCE_ICONS = {
    "PRESET": "CHECKMARK",
    "FILE": "CHECKMARK",
    "GUESSED": "QUESTION",
    "HAND": "GREASEPENCIL",
    "NONE": "BLANK1",
}


class MARIONEXT_UL_people(bpy.types.UIList):
    """Everyone in the shot."""

    def draw_item(
        self,
        _context: Any,
        layout: Any,
        _settings: Any,
        person: Any,
        _icon: int,
        _active: Any,
        _property: str,
        _index: int = 0,
        _flag: int = 0,
    ) -> None:
        """Draw one person."""
        row = layout.row(align=True)
        row.prop(person, "armature", text="", emboss=False, icon="ARMATURE_DATA")
        deleted = person.armature is not None and not is_there(person.armature)
        if person.problem or deleted:
            row.label(text="", icon="ERROR")


class MARIONEXT_UL_mapping(bpy.types.UIList):
    """Which bone plays which role."""

    use_filter_show = True

    only_doubtful: BoolProperty(
        name="Missing and guessed",
        description="Show only roles without a bone and bones that were guessed",
        default=False,
    )
    without_fingers: BoolProperty(
        name="Without fingers", description="Leave the bones of the fingers out", default=False
    )

    def draw_item(
        self,
        _context: Any,
        layout: Any,
        _person: Any,
        item: Any,
        _icon: int,
        _active: Any,
        _property: str,
        _index: int = 0,
        _flag: int = 0,
    ) -> None:
        """Draw one role and its bone."""
        split = layout.split(factor=0.55)
        icon = _SOURCE_ICONS.get(item.source, "NONE")
        split.label(text=role_words(item.role, short=True), icon=icon, translate=False)
        bone = split.row()
        bone.active = item.source != "NONE"
        bone.label(text=item.bone or "-", translate=False)

    def draw_filter(self, _context: Any, layout: Any) -> None:
        """Draw the switches under the list."""
        row = layout.row(align=True)
        row.prop(self, "filter_name", text="", icon="VIEWZOOM")
        row.prop(self, "only_doubtful", text="", icon="QUESTION", toggle=True)
        row.prop(self, "without_fingers", text="", icon="VIEW_PAN", toggle=True)

    def filter_items(
        self, _context: Any, person: Any, property_name: str
    ) -> tuple[list[int], list[int]]:
        """Return which roles to show; their order stays."""
        wanted = self.filter_name.casefold()
        flags = []
        for item in getattr(person, property_name):
            shown = not self.only_doubtful or item.source in {"NONE", "GUESSED"}
            if self.without_fingers and item.role[-2:] in {"_1", "_2", "_3"}:
                shown = False
            if self.without_fingers and item.role.endswith("_tip"):
                shown = False
            if shown and wanted:
                shown = wanted in role_words(item.role).casefold() or wanted in item.bone.casefold()
            flags.append(self.bitflag_filter_item if shown else 0)
        return flags, []


class MARIONEXT_UL_edits(bpy.types.UIList):
    """What is changed of the poses, in order."""

    def draw_item(
        self,
        _context: Any,
        layout: Any,
        _settings: Any,
        edit: Any,
        _icon: int,
        _active: Any,
        _property: str,
        _index: int = 0,
        _flag: int = 0,
    ) -> None:
        """Draw one edit."""
        row = layout.row(align=True)
        row.prop(edit, "enabled", text="")
        words = row.row(align=True)
        words.active = edit.enabled
        words.label(text=edit_words(edit), icon=ICONS[edit.kind], translate=False)


class MARIONEXT_UL_jobs(bpy.types.UIList):
    """Renders of this session, waiting, running and done."""

    def draw_item(
        self,
        _context: Any,
        layout: Any,
        _session: Any,
        job: Any,
        _icon: int,
        _active: Any,
        _property: str,
        _index: int = 0,
        _flag: int = 0,
    ) -> None:
        """Draw one render."""
        row = layout.row(align=True)
        row.label(text=job.name, icon=STATE_ICONS.get(job.state, "NONE"), translate=False)
        # A name needs the room: what has ended says the rest below the list.
        if job.state in {"RECORDING", "QUEUED", "RUNNING"}:
            side = row.row(align=True)
            side.alignment = "RIGHT"
            shown = say("Waiting") if job.state == "QUEUED" else f"{100 * job.progress:.0f} %"
            side.label(text=shown, translate=False)


_CLASSES = (MARIONEXT_UL_people, MARIONEXT_UL_mapping, MARIONEXT_UL_edits, MARIONEXT_UL_jobs)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
