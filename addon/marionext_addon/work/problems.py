# SPDX-License-Identifier: GPL-3.0-or-later
"""What helps others to understand a problem, as a text: nothing in it names people or places.

Folders become ``~`` (home), ``//`` (that of the .blend file) or dots; names of the user and the
computer become words. What the last renders and errors said is in it, so one reads it before it is
sent.
"""

import getpass
import json
import logging
import os
import platform
import re
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

import marionext
from marionext.errors import EngineError
from marionext.protocol import PROTOCOL_VERSION

from ..scene import choices
from ..state import ADDON, preferences
from . import engine
from .runner import runner

__all__ = ["last_errors", "note_error", "register", "report", "unregister"]

_LINES = 200
_ERRORS = 12
_JOBS = 3
_PLACES = ("~/", "~\\", "//")
_USUAL = {"Armature", "Camera", "Scene", "blender", "root"}
"""Names that tell nothing."""
_PATH = re.compile(
    r"(~[\\/]|(?<!:)//|(?<![\w/~.])(?:[A-Za-z]:[\\/]|/))(?:[^'\"<>|:*?\\/\n]{1,80}[\\/])+"
)
"""All of a path but its last name."""

last_errors: deque[str] = deque(maxlen=_ERRORS)
"""What the add-on's buttons have reported, the newest last."""


def note_error(who: str, error: object) -> None:
    """Remember an error that was reported."""
    last_errors.append(f"{who}: {error}")


class _Log(logging.Handler):
    """Keeps the last lines of what the add-on and the engine's part in it have logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=_LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.extend(self.format(record).splitlines())


_logs: list[_Log] = []


def report() -> str:
    """Return the report."""
    parts = [
        ("Versions", _versions()),
        ("Engine", _engine()),
        ("Shot", _shot(bpy.context.scene)),
        ("Last renders", _renders()),
        ("Last errors", "\n".join(last_errors)),
        ("Log", "\n".join(line for log in _logs for line in log.lines)),
    ]
    body = "\n\n".join(f"## {title}\n\n{text.strip() or 'none'}" for title, text in parts)
    return _without_names(f"# A problem with Marionext\n\nWhat I did:\n\nWhat I saw:\n\n{body}\n")


def _versions() -> str:
    lines = [
        f"Marionext {marionext.__version__}, protocol {PROTOCOL_VERSION}",
        f"Blender {bpy.app.version_string}, built {bpy.app.build_date.decode(errors='replace')}",
        f"Python {sys.version.split()[0]}, {platform.system()} {platform.release()} "
        f"{platform.machine()}",
        f"online access: {preferences.online_access()}, background: {bpy.app.background}",
    ]
    return "\n".join(lines)


def _engine() -> str:
    session = bpy.context.window_manager.marionext
    try:
        found = engine.find()
        where = f"found by {found.found_by}: {' '.join(found.arguments)}"
    except EngineError as error:
        where = str(error)
    return "\n".join((where, session.engine_message or "not tested", session.engine_report))


def _shot(scene: Any) -> str:
    """Return the settings of the shot, but for texts: they are names and paths."""
    settings = scene.marionext
    told = [f"{len(settings.people)} people, {len(settings.edits)} edits"]
    for prop in settings.bl_rna.properties:
        if prop.type in {"BOOLEAN", "INT", "FLOAT", "ENUM"} and not prop.is_hidden:
            value = getattr(settings, prop.identifier)
            told.append(f"{prop.identifier}={value:g}" if isinstance(value, float) else
                        f"{prop.identifier}={value}")  # fmt: skip
    return ", ".join(told)


def _renders() -> str:
    told = []
    for number, render in enumerate(list(runner.renders.values())[-_JOBS:], 1):
        lines = [
            f"{number}. {render.kind}, {render.state}, {render.progress:.0%}",
            *(render.message, render.hint),
            _job(Path(render.folder) / "job.json"),
        ]
        told.append("\n".join(line for line in lines if line))
    return "\n\n".join(told)


def _job(path: Path) -> str:
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
        names = ("kind", "model", "quality", "frames", "settings")
        return json.dumps({name: job[name] for name in names if name in job})
    except (OSError, ValueError, TypeError):
        return ""


def _without_names(text: str) -> str:
    """Take out what names people, computers, places and the work itself."""
    places = {str(Path.home()): "~", os.path.realpath(Path.home()): "~"}
    if bpy.data.filepath:
        places[str(Path(bpy.data.filepath).parent)] = "/"
    for place in sorted(places, key=len, reverse=True):
        if len(place) > 1:
            text = re.sub(rf"{re.escape(place)}(?=[\\/])", places[place], text)
    text = _PATH.sub(lambda found: (found[1] if found[1] in _PLACES else "") + ".../", text)
    for name, word in _names():
        if len(name) > 2 and name not in _USUAL:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", word, text)
    return text


def _names() -> Iterator[tuple[str, str]]:
    """Yield what is not told, and the word that stands for it."""
    yield from ((_user(), "USER"), (platform.node(), "COMPUTER"))
    yield Path(bpy.data.filepath).stem, "FILE"
    for scene in bpy.data.scenes:
        yield scene.name, "SCENE"
        for number, armature in enumerate(choices.armatures(scene), 1):
            yield armature.name, f"PERSON {number}"
    # Of an error before, too, that was about somebody who has been taken out since.
    for thing in bpy.data.objects:
        if thing.type in {"ARMATURE", "CAMERA"}:
            yield thing.name, "RIG" if thing.type == "ARMATURE" else "CAMERA"
    for render in runner.renders.values():
        if render.name != Path(render.folder).name:
            yield render.name, "RENDER"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def register() -> None:
    """Listen to what is logged."""
    _logs.append(_Log())
    logger = logging.getLogger(ADDON)  # the engine's part is below it
    logger.addHandler(_logs[0])
    logger.setLevel(logging.INFO)


def unregister() -> None:
    """Stop listening."""
    logger = logging.getLogger(ADDON)
    for log in _logs:
        logger.removeHandler(log)
    logger.setLevel(logging.NOTSET)
    _logs.clear()
    last_errors.clear()
