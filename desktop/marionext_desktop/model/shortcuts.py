"""What can be done by a key, and the two sets of keys to begin with.

A command has a name that never changes, words, and keys in each set. What the user changes is kept
apart from the sets (`changed`), so that a later version may add commands and keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["COMMANDS", "KEY_SETS", "Command", "KeySet", "conflicts", "keys_of"]

KeySet = Literal["editor", "blender"]
KEY_SETS: dict[KeySet, str] = {"editor": "Video editor", "blender": "Blender"}
"""Sets of keys: those of most video editors, and Blender's where Blender has one."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something that can be done."""

    name: str
    menu: str
    """The menu it stands in."""
    words: str
    editor: tuple[str, ...] = ()
    """Keys in the set of the video editors, as Qt writes them."""
    blender: tuple[str, ...] | None = None
    """Keys in Blender's set; None: the same."""
    checkable: bool = False
    picture: str = ""
    """Name of its icon."""

    def keys(self, key_set: KeySet) -> tuple[str, ...]:
        """Return its keys in a set."""
        if key_set == "blender" and self.blender is not None:
            return self.blender
        return self.editor


def _command(
    name: str,
    words: str,
    keys: str = "",
    blender: str | None = None,
    *,
    check: bool = False,
    picture: str = "",
) -> tuple[str, str, tuple[str, ...], tuple[str, ...] | None, bool, str]:
    other = None if blender is None else tuple(blender.split())
    return name, words, tuple(keys.split()), other, check, picture


_MENUS = {
    "File": (
        _command("new", "New project", "Ctrl+N"),
        _command("open", "Open …", "Ctrl+O"),
        _command("save", "Save", "Ctrl+S", picture="save"),
        _command("save_as", "Save as …", "Ctrl+Shift+S"),
        _command("import", "Import media …", "Ctrl+I", picture="import"),
        _command("make_character", "Make character …", picture="image"),
        _command("relink", "Find missing media …"),
        _command("export", "Export …", "Ctrl+M", "Ctrl+E", picture="download"),
        _command("sample", "Open the sample project"),
        _command("project_settings", "Project settings …", "Ctrl+Shift+P"),
        _command("preferences", "Preferences …", "Ctrl+,", picture="settings"),
        _command("quit", "Quit", "Ctrl+Q"),
    ),
    "Edit": (
        _command("undo", "Undo", "Ctrl+Z", picture="undo-2"),
        _command("redo", "Redo", "Ctrl+Shift+Z Ctrl+Y", "Ctrl+Shift+Z", picture="redo-2"),
        _command("cut", "Cut", "Ctrl+X"),
        _command("copy", "Copy", "Ctrl+C", picture="copy"),
        _command("paste", "Paste", "Ctrl+V", picture="clipboard-paste"),
        _command("paste_mirrored", "Paste pose mirrored", "Ctrl+Shift+V"),
        _command("duplicate", "Duplicate", "Ctrl+D", "Shift+D"),
        _command("delete", "Delete and close the gap", "Delete", "X Delete", picture="trash-2"),
        _command("lift", "Delete and leave a gap", "Backspace"),
        _command("select_all", "Select all", "Ctrl+A", "A"),
        _command("select_none", "Select nothing", "Ctrl+Shift+A", "Alt+A"),
    ),
    "Clip": (
        _command("tool_select", "Select tool", "V", "W", check=True, picture="mouse-pointer-2"),
        _command("tool_blade", "Blade tool", "B C", "B", check=True, picture="scissors"),
        _command("tool_slip", "Slip tool", "Y", check=True, picture="move-horizontal"),
        _command("tool_retime", "Retime tool", "R", "T", check=True, picture="timer"),
        _command("blade", "Cut at the playhead", "Ctrl+B Ctrl+K", "K"),
        _command("trim_start", "Trim the start to the playhead", "Q"),
        _command("trim_end", "Trim the end to the playhead", "W", "E"),
        _command("close_gap", "Close the gap", "Ctrl+Backspace"),
        _command("speed", "Speed …", "Ctrl+R"),
        _command("reverse", "Reverse", "Ctrl+Shift+R", picture="rewind"),
        _command("freeze", "Hold this frame for a second", "Shift+H", ""),
        _command("marker", "Set a marker", "M", picture="flag"),
        _command("mark_in", "Mark in", "I", "Ctrl+Home"),
        _command("mark_out", "Mark out", "O", "Ctrl+End"),
        _command("clear_marks", "Clear in and out", "Alt+X", "Alt+P"),
        _command("mark_clip", "Mark the clip", "X", "Shift+X"),
        _command("snap", "Snap", "S", "Shift+Tab", check=True, picture="magnet"),
    ),
    "Pose": (
        _command("key", "Set a key", "P", "I", picture="diamond-plus"),
        _command("unkey", "Remove keys", "Shift+P", "Alt+I", picture="diamond-minus"),
        _command("hold", "Hold over the range", "H", "Shift+H", picture="pause"),
        _command("hide", "Mark as missing", "D", "H", picture="circle-dashed"),
        _command("swap", "Exchange left and right", "Ctrl+Shift+X", picture="arrow-left-right"),
        _command("mirror", "Mirror", "Ctrl+Shift+M", "Ctrl+M", picture="flip-horizontal-2"),
        _command("smooth", "Smooth the range", "Ctrl+Alt+S", "Alt+O", picture="activity"),
        _command("fill", "Fill the gap", "Ctrl+Shift+F", picture="wand-sparkles"),
        _command("reset_pose", "As detected again", "Ctrl+Shift+D", picture="rotate-ccw"),
        _command("next_person", "Next person", "Shift+Tab", "Ctrl+Tab", picture="users"),
        _command("find_poses", "Find poses again"),
        _command("next_finding", "Next finding", "N"),
        _command("previous_finding", "Previous finding", "Shift+N"),
        _command("mend", "Mend", "Return Enter", picture="wand-sparkles"),
        _command("mend_all", "Mend all", "Ctrl+Shift+E"),
        _command("ignore", "Ignore", "Shift+Return", picture="eye-off"),
        _command("compare", "Before / after", "\\", check=True),
        _command("drag_joint", "Drag a joint alone", "1", check=True),
        _command("drag_limb", "Drag a limb, lengths kept", "2", check=True),
        _command("drag_hand", "Drag a whole hand", "3", check=True),
    ),
    "Render": (
        _command("draft", "Draft of the range", "Ctrl+Return", picture="zap"),
        _command("render", "Add to the queue", "Ctrl+Shift+Return", "F12", picture="clapperboard"),
        _command("again", "Render the range again"),
        _command("pause_queue", "Pause the queue", check=True, picture="pause"),
        _command("live", "Live preview", "Alt+D", check=True, picture="person-standing"),
        _command("show_take", "Show the take in all of its frames"),
        _command("set_a", "Compare: this take is A", "Shift+1"),
        _command("set_b", "Compare: this take is B", "Shift+2"),
    ),
    "View": (
        _command("play", "Play", "Space", picture="play"),
        _command("stop", "Stop", "K", ""),
        _command("shuttle_back", "Shuttle backwards", "J", ""),
        _command("shuttle_on", "Shuttle forwards", "L", ""),
        _command("back", "One frame back", "Left", picture="step-back"),
        _command("on", "One frame on", "Right", picture="step-forward"),
        _command("back_second", "One second back", "Shift+Left", "Ctrl+Left"),
        _command("on_second", "One second on", "Shift+Right", "Ctrl+Right"),
        _command("previous_edit", "Previous edit", "Up", picture="skip-back"),
        _command("next_edit", "Next edit", "Down", picture="skip-forward"),
        _command("start", "Go to the start", "Home", "Shift+Left"),
        _command("end", "Go to the end", "End", "Shift+Right End"),
        _command("go_to", "Go to a frame or timecode …", "=", "Ctrl+G"),
        _command("loop", "Loop", "Ctrl+L", check=True, picture="repeat"),
        _command("mute", "Mute", "Ctrl+Shift+U", check=True, picture="volume-2"),
        _command("single", "Single", "Alt+1", check=True, picture="square"),
        _command("overlay", "Overlay", "Alt+2", check=True, picture="blend"),
        _command("side", "Side by side", "Alt+3", check=True, picture="columns-2"),
        _command("wipe", "Wipe", "Alt+4", check=True, picture="chevrons-left-right"),
        _command("fit", "Fit the viewer", "F", "Home", picture="scan"),
        _command("actual", "100 %", "Shift+F"),
        _command("look_at", "Look at the selection", "Alt+F", "."),
        _command("onion", "Onion skin", "Alt+O", "Alt+S", check=True, picture="layers"),
        _command("trails", "Motion trails", "Alt+T", check=True, picture="spline"),
        _command("confidence", "Confidence", "Alt+N", check=True, picture="gauge"),
        _command("grid", "Grid", "Alt+G", check=True, picture="grid-3x3"),
        _command("timecode", "Timecode or frames", "Ctrl+T", check=True),
        _command("zoom_in", "Zoom the timeline in", "+ Ctrl++", picture="zoom-in"),
        _command("zoom_out", "Zoom the timeline out", "- Ctrl+-", picture="zoom-out"),
        _command("zoom_fit", "Show the whole timeline", "Shift+Z", picture="maximize-2"),
    ),
    "Window": (
        _command("edit_space", "Edit", "Ctrl+1", check=True),
        _command("clean_space", "Clean up", "Ctrl+2", check=True),
        _command("render_space", "Render", "Ctrl+3", check=True),
        _command("library", "Library", "Ctrl+Shift+1", check=True, picture="panel-left"),
        _command(
            "inspector", "Inspector and queue", "Ctrl+Shift+2", check=True, picture="panel-right"
        ),
        _command("next_panel", "Next panel", "F6"),
        _command("full_screen", "Full screen", "F11", check=True),
    ),
    "Help": (
        _command("help", "Help for this workspace", "F1", picture="circle-question-mark"),
        _command("shortcuts", "Keys …", "Ctrl+Alt+K", picture="keyboard"),
        _command("models", "Models …", picture="package"),
        _command("about", "About Marionext", picture="info"),
    ),
}

COMMANDS: dict[str, Command] = {
    name: Command(name, menu, words, keys, blender, check, picture)
    for menu, commands in _MENUS.items()
    for name, words, keys, blender, check, picture in commands
}
"""All commands by their names, in the order of the menus."""


def keys_of(
    name: str, key_set: KeySet, changed: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[str, ...]:
    """Return the keys of a command.

    Args:
        name: of the command.
        key_set: that was chosen.
        changed: what the user changed, by the names of commands.
    """
    return (changed or {}).get(name, COMMANDS[name].keys(key_set))


def conflicts(
    key_set: KeySet, changed: Mapping[str, tuple[str, ...]] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return the keys that more than one command has, with the names of these commands."""
    users: dict[str, list[str]] = {}
    for name in COMMANDS:
        for key in keys_of(name, key_set, changed):
            users.setdefault(key, []).append(name)
    return {key: tuple(names) for key, names in users.items() if len(names) > 1}
