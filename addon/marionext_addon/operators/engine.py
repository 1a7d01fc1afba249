# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the engine, and have it fetch models: programs that run for a while and then answer."""

import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from marionext.errors import EngineError, ModelError, ProtocolError

from ..state import preferences
from ..state.models import refresh_models
from ..work import engine
from ..work.processes import CommandProcess, last_words
from .base import report_error

__all__ = ["Task", "tasks"]

_INTERVAL = 0.2
_SECONDS_TO_START = 2.0
_MARKS = {"ok": "+", "note": "-", "problem": "!"}


class Task:
    """A command of the engine and what is done with its answer."""

    def __init__(self, arguments: list[str], done: Callable[[int, str, str], None]) -> None:
        """Start the command, on a thread that knows nothing of Blender: it can take its time.

        Args:
            arguments: of the engine.
            done: told exit status, stdout and the end of stderr, once; a command that cannot be
                started has the status -1.
        """
        # A folder of its own, removed with the task: Blender's temporary folder may be shared.
        self._folder = tempfile.TemporaryDirectory(prefix="marionext-")
        folder = Path(self._folder.name)
        self._output, self._errors = folder / "out", folder / "err"
        self._done = done
        self._arguments = arguments
        self._process: CommandProcess | None = None
        self._failure: EngineError | None = None
        self._thread = threading.Thread(target=self._start, daemon=True)
        self._thread.start()

    def poll(self) -> bool:
        """Tell whether it has ended; then its answer was passed on."""
        if self._failure is not None:
            self._done(-1, "", str(self._failure))
        elif self._process is None or (status := self._process.status()) is None:
            return False
        else:
            text = self._output.read_text(encoding="utf-8", errors="replace")
            self._done(status, text, last_words(self._errors))
        self._folder.cleanup()
        return True

    def stop(self) -> None:
        """End it without an answer."""
        self._thread.join(_SECONDS_TO_START)
        if self._process is not None:
            self._process.kill()
        self._folder.cleanup()

    def _start(self) -> None:
        try:
            self._process = CommandProcess(
                self._arguments,
                output=self._output,
                errors=self._errors,
                environment=engine.environment(),
            )
        except EngineError as error:
            self._failure = error


tasks: list[Task] = []


def _follow() -> float | None:
    for task in list(tasks):
        if task.poll():
            tasks.remove(task)
    return _INTERVAL if tasks else None


def _run(task: Task, *, wait: bool) -> None:
    tasks.append(task)
    if wait:
        while task in tasks:
            _follow()
            time.sleep(0.05)
    elif not bpy.app.timers.is_registered(_follow):
        bpy.app.timers.register(_follow, first_interval=_INTERVAL, persistent=True)


def _tell(state: str, message: str, report: str = "") -> None:
    session = bpy.context.window_manager.marionext
    session.engine_state = state
    session.engine_message = message
    session.engine_report = report
    if not bpy.app.background:
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type in {"PREFERENCES", "VIEW_3D"}:
                    area.tag_redraw()


def _understand_doctor(status: int, output: str, errors: str) -> None:
    """Bring the doctor's answer to the preferences and the sidebar."""
    try:
        told = json.loads(output)
        findings = told["findings"]
        problems = [finding for finding in findings if finding["level"] == "problem"]
        lines = [
            f"{_MARKS.get(finding['level'], ' ')} {finding['topic']}: {finding['text']}"
            for finding in findings
            if finding["topic"] != "python"
        ]
        mends = [f"    {finding['mend']}" for finding in problems if finding.get("mend")]
    except (ValueError, KeyError, TypeError):
        words = errors or output.strip()[-400:] or f"it ended with status {status}"
        _tell("PROBLEM", f"This is not Marionext's engine, or it does not start:\n{words}")
        return
    if problems:
        text = "\n".join([f"{len(problems)} problems to mend", *(p["text"] for p in problems)])
        _tell("PROBLEM", text, "\n".join([*lines, *mends]))
    else:
        version = next((f["text"] for f in findings if f["topic"] == "python"), "")
        _tell("READY", f"The engine is ready: {version}", "\n".join(lines))


class MARIONEXT_OT_test_engine(bpy.types.Operator):
    """Ask the engine's doctor."""

    bl_idname = "marionext.test_engine"
    bl_label = "Test Engine"
    bl_description = "Start the engine and have it examine itself: packages, device, memory, models"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait",
        description="Return when the answer is there",
        default=False,
        options={"SKIP_SAVE"},
    )

    def execute(self, context: Any) -> set[str]:
        """Start the doctor."""
        session = context.window_manager.marionext
        if session.engine_state == "TESTING":
            return {"CANCELLED"}
        try:
            found = engine.find()
            task = Task(found.call("doctor", "--json"), _understand_doctor)
        except EngineError as error:
            _tell("PROBLEM", str(error))
            return report_error(self, error)
        _tell("TESTING", f"Testing {found.arguments[0]} (found by {found.found_by})")
        _run(task, wait=self.wait)
        if self.wait and session.engine_state == "PROBLEM":
            return report_error(self, ProtocolError(session.engine_message))
        return {"FINISHED"}


class MARIONEXT_OT_fetch_model(bpy.types.Operator):
    """Have the engine fetch a model."""

    bl_idname = "marionext.fetch_model"
    bl_label = "Fetch Model"
    bl_description = "Fetch the files of a model; only where Blender's online access is allowed"
    bl_options = {"REGISTER"}

    model: StringProperty(
        name="Model", description="Empty: the scene's model", options={"SKIP_SAVE"}
    )
    wait: BoolProperty(
        name="Wait", description="Return when it is there", default=False, options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Tell whether Blender allows it."""
        if preferences.online_access():
            return True
        cls.poll_message_set("Allow online access in Blender's preferences, under System")
        return False

    def execute(self, context: Any) -> set[str]:
        """Start fetching."""
        name = self.model or context.scene.marionext.model

        def done(status: int, _output: str, errors: str) -> None:
            refresh_models()
            if status == 0:
                _tell("READY", f"{name} is ready")
            else:
                _tell("PROBLEM", errors or f"{name} could not be fetched (status {status})")

        try:
            task = Task(engine.find().call("models", "pull", name), done)
        except EngineError as error:
            _tell("PROBLEM", str(error))
            return report_error(self, error)
        _tell("TESTING", f"Fetching {name}")
        _run(task, wait=self.wait)
        session = context.window_manager.marionext
        if self.wait and session.engine_state == "PROBLEM":
            return report_error(self, ModelError(session.engine_message))
        return {"FINISHED"}


_CLASSES = (MARIONEXT_OT_test_engine, MARIONEXT_OT_fetch_model)


def register() -> None:
    """Add the operators."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Take the operators away and end what they have started."""
    if bpy.app.timers.is_registered(_follow):
        bpy.app.timers.unregister(_follow)
    for task in tasks:
        task.stop()
    tasks.clear()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
