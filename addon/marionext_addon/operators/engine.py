# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the engine."""

import json
from typing import Any

import bpy
from bpy.props import BoolProperty

from marionext.errors import EngineError, ProtocolError
from marionext.hosts import Answer, CommandRun

from ..state.translations import say
from ..work import engine
from . import tasks
from .base import report_error

__all__: list[str] = []

_MARKS = {"ok": "+", "note": "-", "problem": "!"}
_USUAL_SECONDS = 20
"""That the doctor takes on a slow computer: it imports torch."""


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
        lines = [line for each in findings if each["topic"] != "python" for line in _lines(each)]
    except (ValueError, KeyError, TypeError):
        words = (
            answer.errors or answer.output.strip()[-400:] or f"it ended with status {answer.status}"
        )
        _tell("PROBLEM", f"This is not Marionext's engine, or it does not start:\n{words}")
        return
    if problems:
        text = "\n".join([f"{len(problems)} problems to mend", *(p["text"] for p in problems)])
        _tell("PROBLEM", text, "\n".join(lines))
    else:
        version = next((f["text"] for f in findings if f["topic"] == "python"), "")
        _tell("READY", f"The engine is ready: {version}", "\n".join(lines))


def _lines(finding: dict[str, Any]) -> list[str]:
    """Return a finding and, below it, what to do about it."""
    lines = [f"{_MARKS.get(finding['level'], ' ')} {finding['topic']}: {finding['text']}"]
    return [*lines, f"    {finding['mend']}"] if finding.get("mend") else lines


def _wait_told(_run: CommandRun, seconds: float) -> None:
    """Say how long the test has been going on."""
    usual = say("Testing the engine: {seconds} s, usually up to {usual} s", seconds=round(seconds),
                usual=_USUAL_SECONDS)  # fmt: skip
    _tell("TESTING", usual)


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
        tasks.begin(
            "doctor",
            found.call("doctor", "--json"),
            _understand_doctor,
            during=_wait_told,
            wait=self.wait,
        )
        if self.wait and session.engine_state == "PROBLEM":
            return report_error(self, ProtocolError(session.engine_message))
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((MARIONEXT_OT_test_engine,))
