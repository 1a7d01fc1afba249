# SPDX-License-Identifier: GPL-3.0-or-later
"""Models from Blender's preferences: list, fetch, cancel, check, take from a folder."""

import json
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from marionext.errors import EngineError, ModelError, SettingsError
from marionext.hosts import Answer, CommandRun

from ..state import changes, preferences
from ..state.models import refresh_models
from ..state.translations import say
from ..state.words import wrapped
from ..work import engine
from . import tasks
from .base import report_error

__all__: list[str] = []

_GIB = 1 << 30


def _session() -> Any:
    return bpy.context.window_manager.marionext


def _item(name: str) -> Any:
    """Return the row of a model, a new one where there is none."""
    rows = _session().models
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        found = rows.add()
        found.name = found.title = name
    return found


def _task(name: str) -> str:
    return f"model {name}"


def _list_again(*, wait: bool = False) -> None:
    """Have the engine say which models there are."""
    tasks.begin(
        "models", engine.find().call("models", "list", "--json"), _understand_list, wait=wait
    )


def _understand_list(answer: Answer) -> None:
    try:
        told = [dict(row) for row in json.loads(answer.output)]
    except (ValueError, TypeError):
        return
    kept = {
        row.name: (row.busy, row.failed, row.progress, row.message) for row in _session().models
    }
    _session().models.clear()
    for row in sorted(told, key=lambda each: (each["state"] != "ready", each["name"])):
        item = _item(row["name"])
        item.title, item.state, item.folder = row["title"], row["state"], row["folder"]
        item.licence, item.about = row["licence"], row["description"]
        item.built_in, item.size = row["built_in"], _size(row.get("download_bytes"))
        item.gated = row.get("gated") or ""
        item.busy, item.failed, item.progress, item.message = kept.get(
            item.name, (False, False, 0.0, "")
        )
    refresh_models()
    changes.models_changed.tell()


def _size(count: int | None) -> str:
    if not count:
        return ""
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{max(1, round(count / 2**20))} MiB"


class _OnModel:
    """Base of the operators that do something with one model."""

    bl_options = {"REGISTER"}

    model: StringProperty(
        name="Model", description="Empty: the scene's model", options={"SKIP_SAVE"}
    )
    wait: BoolProperty(
        name="Wait", description="Return when it is done", default=False, options={"SKIP_SAVE"}
    )

    def _name(self, context: Any) -> str:
        return str(self.model or context.scene.marionext.model)

    def _begin(self, name: str, arguments: list[str], unsaid: str) -> set[str]:
        """Run a command about a model, and tell in its row what comes of it."""
        if tasks.running(_task(name)) is not None:
            return report_error(self, SettingsError(say("{name} is at work already", name=name)))
        item = _item(name)
        item.busy, item.progress, item.message, item.failed = True, 0.0, "", False
        failed = []

        def done(answer: Answer) -> None:
            row = _item(name)
            row.busy = False
            if answer.status == 0:
                row.message = say("Every file is what it should be.")
            else:
                row.failed = True
                row.message = answer.failure or unsaid
                failed.append(row.message)
            refresh_models()
            try:
                _list_again(wait=self_waits)
            except EngineError:
                changes.models_changed.tell()

        def during(run: CommandRun, _seconds: float) -> None:
            told = _last_progress(run.said)
            if told is not None:
                row = _item(name)
                row.progress = told["done"] / max(told["total"], 1)
                row.message = say(
                    "{done} of {total}, {speed}/s",
                    done=_size(told["done"]), total=_size(told["total"]),
                    speed=_size(told["bytes_per_second"]) or "0",
                )  # fmt: skip
                changes.models_changed.tell()

        self_waits = bool(self.wait)
        tasks.begin(_task(name), arguments, done, during=during, wait=self_waits)
        if self_waits and failed:
            return report_error(self, ModelError(failed[0]))
        return {"FINISHED"}


def _last_progress(said: str) -> dict[str, Any] | None:
    """Return the last whole line of progress that a fetch has written."""
    for line in reversed(said.splitlines()):
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and "done" in told:
            return told
    return None


class MARIONEXT_OT_list_models(bpy.types.Operator):
    """Show which models there are."""

    bl_idname = "marionext.list_models"
    bl_label = "Show Models"
    bl_description = "Ask the engine which models and networks there are, and which are complete"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait", description="Return when it is done", default=False, options={"SKIP_SAVE"}
    )

    def execute(self, _context: Any) -> set[str]:
        """Ask."""
        try:
            _list_again(wait=self.wait)
        except EngineError as error:
            return report_error(self, error)
        return {"FINISHED"}


class MARIONEXT_OT_fetch_model(_OnModel, bpy.types.Operator):
    """Have the engine fetch a model."""

    bl_idname = "marionext.fetch_model"
    bl_label = "Fetch Model"
    bl_description = (
        "Fetch the files of a model, going on where it was left; only where Blender's online "
        "access is allowed"
    )

    accepted: BoolProperty(
        name="I accept this licence",
        description="Nothing is fetched without it, by a script either",
        default=False,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Tell whether Blender allows it."""
        if preferences.online_access():
            return True
        cls.poll_message_set("Allow online access in Blender's preferences, under System")
        return False

    def invoke(self, context: Any, _event: object) -> set[str]:
        """Show size and licence first."""
        self.model = self._name(context)
        return set(context.window_manager.invoke_props_dialog(self, width=480))

    def draw(self, _context: object) -> None:
        """Draw the dialog."""
        item = _item(self.model)
        column = self.layout.column()
        head = f"{item.title}   {item.size}" if item.size else item.title
        column.label(text=head, icon="IMPORT", translate=False)
        for line in wrapped(item.licence):
            column.label(text=line, translate=False)
        if item.gated:
            text = say("Accept it also on the model's page, and log in: {page}", page=item.gated)
            for line in wrapped(text):
                column.label(text=line, translate=False)
        column.prop(self, "accepted")

    def execute(self, context: Any) -> set[str]:
        """Start fetching."""
        name = self._name(context)
        if not self.accepted:
            error = SettingsError(
                "the licence was not accepted",
                hint="Nothing was fetched. Tick the box, or give accepted=True in a script, if you "
                "accept it.",
            )
            return report_error(self, error)
        try:
            arguments = engine.find().call("models", "pull", name, "--json")
        except EngineError as error:
            return report_error(self, error)
        return self._begin(name, arguments, f"{name} could not be fetched")


class MARIONEXT_OT_cancel_fetch(_OnModel, bpy.types.Operator):
    """Stop fetching a model."""

    bl_idname = "marionext.cancel_fetch"
    bl_label = "Cancel"
    bl_description = "Stop; what is there is kept, and Fetch goes on from it"

    def execute(self, context: Any) -> set[str]:
        """Stop it."""
        name = self._name(context)
        task = tasks.running(_task(name))
        if task is None:
            return {"CANCELLED"}
        tasks.end(task)
        item = _item(name)
        item.busy, item.message = False, say("Cancelled; Fetch goes on from here.")
        changes.models_changed.tell()
        return {"FINISHED"}


class MARIONEXT_OT_check_model(_OnModel, bpy.types.Operator):
    """Read all files of a model and compare them."""

    bl_idname = "marionext.check_model"
    bl_label = "Check"
    bl_description = "Read all files of this model and compare them with what they should be"

    def execute(self, context: Any) -> set[str]:
        """Check it."""
        name = self._name(context)
        try:
            arguments = engine.find().call("models", "check", name)
        except EngineError as error:
            return report_error(self, error)
        return self._begin(name, arguments, f"{name} is not complete")


class MARIONEXT_OT_take_model(_OnModel, bpy.types.Operator):
    """Take a model's files from a folder."""

    bl_idname = "marionext.take_model"
    bl_label = "From Folder"
    bl_description = "Take the files of this model from a folder on this computer"

    directory: StringProperty(
        name="Folder", description="With the model's files", subtype="DIR_PATH"
    )

    def invoke(self, context: Any, _event: object) -> set[str]:
        """Let the folder be chosen."""
        self.model = self._name(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Take them."""
        name = self._name(context)
        try:
            arguments = engine.find().call(
                "models", "pull", name, "--json", "--from", bpy.path.abspath(self.directory)
            )
        except EngineError as error:
            return report_error(self, error)
        return self._begin(name, arguments, f"{name} could not be taken from there")


_CLASSES = (
    MARIONEXT_OT_list_models,
    MARIONEXT_OT_fetch_model,
    MARIONEXT_OT_cancel_fetch,
    MARIONEXT_OT_check_model,
    MARIONEXT_OT_take_model,
)


def register() -> None:
    """Add the operators."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Take the operators away and end what they have started."""
    tasks.stop_all()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
