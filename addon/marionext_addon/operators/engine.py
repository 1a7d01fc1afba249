# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the engine, and have it fetch models: programs that run for a while and then answer."""

import json
import time
from collections.abc import Callable
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from marionext.errors import EngineError, ModelError, ProtocolError
from marionext.hosts import Answer, CommandRun

from ..state import preferences
from ..state.models import refresh_models
from ..work import engine
from .base import report_error

__all__ = ["tasks"]

_INTERVAL = 0.2
_MARKS = {"ok": "+", "note": "-", "problem": "!"}


Done = Callable[[Answer], None]

tasks: list[tuple[CommandRun, Done]] = []
"""What is under way, and who is told the answer."""


def _follow() -> float | None:
    for task in list(tasks):
        run, done = task
        answer = run.poll()
        if answer is not None:
            tasks.remove(task)
            done(answer)
    return _INTERVAL if tasks else None


def _run(arguments: list[str], done: Done, *, wait: bool) -> None:
    run = CommandRun(arguments, engine.environment())
    tasks.append((run, done))
    if wait:
        while any(each is run for each, _ in tasks):
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


def _understand_doctor(answer: Answer) -> None:
    """Bring the doctor's answer to the preferences and the sidebar."""
    try:
        told = json.loads(answer.output)
        findings = told["findings"]
        problems = [finding for finding in findings if finding["level"] == "problem"]
        lines = [
            f"{_MARKS.get(finding['level'], ' ')} {finding['topic']}: {finding['text']}"
            for finding in findings
            if finding["topic"] != "python"
        ]
        mends = [f"    {finding['mend']}" for finding in problems if finding.get("mend")]
    except (ValueError, KeyError, TypeError):
        words = (
            answer.errors or answer.output.strip()[-400:] or f"it ended with status {answer.status}"
        )
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
        except EngineError as error:
            _tell("PROBLEM", str(error))
            return report_error(self, error)
        _tell("TESTING", f"Testing {found.arguments[0]} (found by {found.found_by})")
        _run(found.call("doctor", "--json"), _understand_doctor, wait=self.wait)
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

        def done(answer: Answer) -> None:
            refresh_models()
            if answer.status == 0:
                _tell("READY", f"{name} is ready")
            else:
                unsaid = f"{name} could not be fetched (status {answer.status})"
                _tell("PROBLEM", answer.errors or unsaid)

        try:
            arguments = engine.find().call("models", "pull", name)
        except EngineError as error:
            _tell("PROBLEM", str(error))
            return report_error(self, error)
        _tell("TESTING", f"Fetching {name}")
        _run(arguments, done, wait=self.wait)
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
    for run, _ in tasks:
        run.stop()
    tasks.clear()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
