# SPDX-License-Identifier: GPL-3.0-or-later
"""Render, Draft, Pose maps only, Send to queue: a scene becomes a job.

All of them can be called from scripts. With ``wait=True`` they return when the render has ended,
and a failure is raised as Blender raises every operator's error.
"""

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from marionext.errors import EngineError
from marionext.hosts import Answer

from ..scene.people import add_selected_armatures
from ..state import changes
from ..state.paths import RELATIVE, absolute
from ..state.translations import say
from ..state.words import wrapped
from ..work import checking, engine, folders, jobs, problems, shots
from ..work.renders import handed_over
from ..work.runner import runner
from . import tasks
from .base import report_error

__all__: list[str] = []

Reporter = Callable[[set[str], str], None]


class _Render:
    """What all kinds of render share."""

    kind: folders.Kind
    report: Reporter
    layout: Any
    bl_idname: str
    bl_options = {"REGISTER"}
    doubts: list[str]

    wait: BoolProperty(
        name="Wait",
        description="Return when the render has ended: for scripts and farms",
        default=False,
        options={"SKIP_SAVE"},
    )
    exit_code: BoolProperty(
        name="Exit code",
        description="Then leave Blender with the engine's exit status: for farms",
        default=False,
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: Any, _event: object) -> set[str]:
        """Look at a few poses first, and ask where a render would show nothing of use."""
        try:
            add_selected_armatures(context)
            jobs.check(context.scene, self.kind)
            shot = shots.shot_of(context.scene, self.kind)
            found = checking.check(context.scene, shot)
        except EngineError as error:
            return report_error(self, error)
        self.doubts = [finding.text for finding in found if finding.pointless]
        if not self.doubts:
            return self.execute(context)
        more = {"title": say("Is this what you want?"), "confirm_text": say("Render Anyway")}
        if bpy.app.version < (4, 1, 0):
            more = {}
        return set(context.window_manager.invoke_props_dialog(self, width=420, **more))

    def draw(self, _context: object) -> None:
        """Show in the dialog what there is to doubt about."""
        column = self.layout.column(align=True)
        for text in self.doubts:
            for number, line in enumerate(wrapped(text)):
                column.label(text=line, icon="BLANK1" if number else "ERROR", translate=False)

    def execute(self, context: Any) -> set[str]:
        """Queue the scene's render, and wait for it where that is wanted."""
        wait = self.wait or self.exit_code or bpy.app.background
        try:
            add_selected_armatures(context)
            jobs.check(context.scene, self.kind)
            folder = folders.new_folder(
                folders.output_root(context.scene), context.scene, self.kind
            )
            with _busy(context):
                render = runner.add(context.scene, self.kind, folder, patient=not wait)
        except EngineError as error:
            return self._end(str(error), error.exit_status)
        if not wait:
            self.report({"INFO"}, f"Queued: {render.name}")
            return {"FINISHED"}
        runner.wait(render, _say)
        if render.state == "FINISHED":
            return self._end(f"{render.message}: {render.folder}", 0)
        text = f"{render.message}\n{render.hint}" if render.hint else render.message
        return self._end(text, render.exit_status or 1)

    def _end(self, text: str, status: int) -> set[str]:
        if self.exit_code:
            # Reports are shown after an operator has returned, and this one does not.
            _say(text if status == 0 else f"Error: {text}")
            runner.close()
            sys.exit(status)
        self.report({"ERROR" if status else "INFO"}, text)
        if status:
            problems.note_error(self.bl_idname, text)
        return {"CANCELLED"} if status else {"FINISHED"}


@contextlib.contextmanager
def _busy(context: Any) -> Iterator[None]:
    """Show the waiting cursor: a picture of the scene may have to be rendered first."""
    window = getattr(context, "window", None)
    if window is not None:
        window.cursor_set("WAIT")
    try:
        yield
    finally:
        if window is not None:
            window.cursor_set("DEFAULT")


def _say(text: str) -> None:
    """Write a line to the terminal that a farm or a script reads along."""
    sys.stdout.write(f"Marionext: {text}\n")
    sys.stdout.flush()


class MARIONEXT_OT_queue_state(bpy.types.Operator):
    """Ask this computer's queue what it has to do."""

    bl_idname = "marionext.queue_state"
    bl_label = "Queue of This Computer"
    bl_description = "Ask what waits in the queue of this computer, and what is at work"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait", description="Return when it is done", default=False, options={"SKIP_SAVE"}
    )

    def execute(self, _context: Any) -> set[str]:
        """Ask."""
        try:
            arguments = engine.find().call("queue", "ls", "--json")
        except EngineError as error:
            return report_error(self, error)
        tasks.begin("queue", arguments, _understand_queue, wait=self.wait)
        return {"FINISHED"}


def _understand_queue(answer: Answer) -> None:
    """Bring the counts of the queue to the panel."""
    session = bpy.context.window_manager.marionext
    try:
        told = json.loads(answer.output)
        jobs_there = told if isinstance(told, list) else told["jobs"]
        counts = Counter(str(each["state"]) for each in jobs_there)
    except (ValueError, KeyError, TypeError):
        session.queue_state = answer.errors or say("The queue gave no answer.")
    else:
        parts = [f"{say(state)} {count}" for state, count in sorted(counts.items())]
        session.queue_state = ", ".join(parts) or say("The queue is empty.")
    changes.jobs_changed.tell()


class MARIONEXT_OT_check_shot(bpy.types.Operator):
    """Tell beforehand what a render will show and take."""

    bl_idname = "marionext.check_shot"
    bl_label = "Check Shot"
    bl_description = (
        "Look at poses all over the range: who leaves the picture, is hidden, tiny or still; and "
        "ask the engine for time, memory and disk"
    )
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Check it; the panel shows what was found."""
        try:
            add_selected_armatures(context)
            with _busy(context):
                found = checking.closely(context.scene)
        except EngineError as error:
            return report_error(self, error)
        for finding in found:
            self.report({"WARNING"}, finding.text)
        return {"FINISHED"}


class MARIONEXT_OT_render(_Render, bpy.types.Operator):
    """Render the character in the motion of the chosen armatures."""

    bl_idname = "marionext.render"
    bl_label = "Render"
    bl_description = "Render the character picture in the motion of the chosen armatures"
    kind = "RENDER"


class MARIONEXT_OT_draft(_Render, bpy.types.Operator):
    """Render a small and quick version."""

    bl_idname = "marionext.draft"
    bl_label = "Draft"
    bl_description = "Render small and with few steps, to judge timing and framing"
    kind = "DRAFT"


class MARIONEXT_OT_pose_maps(_Render, bpy.types.Operator):
    """Draw the pose maps alone."""

    bl_idname = "marionext.pose_maps"
    bl_label = "Pose Maps Only"
    bl_description = "Draw the pictures that steer the model, and render nothing"
    kind = "POSE_MAPS"


class MARIONEXT_OT_send_to_queue(bpy.types.Operator):
    """Record a job that others render: this computer's queue, or another computer."""

    bl_idname = "marionext.send_to_queue"
    bl_label = "Send to Queue"
    bl_description = (
        "Record the scene and queue it: 'marionext queue work' renders it on this computer. With "
        "a queue folder, write the job there with everything it needs, for any computer"
    )
    bl_options = {"REGISTER"}

    folder: StringProperty(
        name="Queue folder",
        description="Empty: the one of the scene's settings",
        subtype="DIR_PATH",
        options={"SKIP_SAVE", *RELATIVE},
    )
    wait: BoolProperty(
        name="Wait",
        description="Return when the job has been written: for scripts",
        default=False,
        options={"SKIP_SAVE"},
    )

    def execute(self, context: Any) -> set[str]:
        """Record the job, and queue it where no folder is chosen that others take jobs from."""
        scene = context.scene
        wait = self.wait or bpy.app.background
        try:
            chosen = self.folder or scene.marionext.queue_folder
            add_selected_armatures(context)
            jobs.check(scene, "RENDER")
            root = _shot_root(absolute(chosen)) if chosen else folders.output_root(scene)
            folder = folders.new_folder(root, scene, "RENDER")
            with _busy(context):
                render = runner.add(
                    scene,
                    "RENDER",
                    folder,
                    patient=not wait,
                    hand_over="FOLDER" if chosen else "QUEUE",
                )
        except EngineError as error:
            return report_error(self, error)
        if wait:
            runner.wait(render, _say)
            if render.state != "FINISHED":
                self.report({"ERROR"}, f"{render.message}\n{render.hint}".strip())
                return {"CANCELLED"}
        self.report({"INFO"}, handed_over(render) if wait else f"Recording {render.name}")
        return {"FINISHED"}


def _shot_root(queue: Path) -> Path:
    """Return the queue's folder for this file: scenes of many files are called Scene."""
    stem = Path(bpy.data.filepath).stem
    return queue / folders.plain_name(stem) if stem else queue


_CLASSES = (
    MARIONEXT_OT_queue_state,
    MARIONEXT_OT_check_shot,
    MARIONEXT_OT_render,
    MARIONEXT_OT_draft,
    MARIONEXT_OT_pose_maps,
    MARIONEXT_OT_send_to_queue,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
