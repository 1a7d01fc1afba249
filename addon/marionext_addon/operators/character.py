# SPDX-License-Identifier: GPL-3.0-or-later
"""Make Character: a picture from words, in the pose that the rig has in the current frame."""

import contextlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from marionext import bundles
from marionext.errors import EngineError, ModelError, SettingsError
from marionext.hosts import Answer, CommandRun
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native

from ..scene import choices, filmed, recording, rig
from ..scene.people import add_selected_armatures
from ..state import changes
from ..state.messages import without_commands
from ..state.models import NUMBER_OF_DEFAULT_PICTURE, picture_items
from ..state.translations import say
from ..work import engine, folders, results, shots
from . import tasks
from .base import report_error

__all__: list[str] = []

_TASK = "character"


def _tell(message: str, *, failed: bool = False) -> None:
    session = bpy.context.window_manager.marionext
    session.character_message, session.character_failed = message, failed
    changes.jobs_changed.tell()


class MARIONEXT_OT_make_character(bpy.types.Operator):
    """Make a picture of a character from words."""

    bl_idname = "marionext.make_character"
    bl_label = "Make Character"
    bl_description = (
        "Make a picture of a character from words, in the pose that the rig has now: the best "
        "start for a render"
    )
    bl_options = {"REGISTER"}

    prompt: StringProperty(name="Words", description="What is to be seen")
    negative: StringProperty(name="Not", description="What is not to be seen")
    base: EnumProperty(
        name="Model",
        description="The model that makes pictures",
        items=picture_items,
        default=NUMBER_OF_DEFAULT_PICTURE,
    )
    folder: StringProperty(
        name="Folder",
        description="Of a model in diffusers' layout, or a checkpoint file; empty: the model above",
        subtype="FILE_PATH",
    )
    seed: IntProperty(name="Seed", description="Of the first picture", default=0, min=0)
    count: IntProperty(name="Pictures", description="To choose from", default=1, min=1, soft_max=16)
    steps: IntProperty(
        name="Steps", description="Denoising steps; 0: as the model has it", default=0, min=0
    )
    posed: BoolProperty(
        name="In this pose",
        description="Steer the picture by the rig's pose in the current frame",
        default=True,
    )
    wait: BoolProperty(
        name="Wait", description="Return when it is done", default=False, options={"SKIP_SAVE"}
    )

    def invoke(self, context: Any, _event: object) -> set[str]:
        """Ask for the words."""
        return set(context.window_manager.invoke_props_dialog(self, width=420))

    def draw(self, _context: object) -> None:
        """Draw the dialog."""
        column = self.layout.column()
        column.use_property_split = True
        for name in ("prompt", "negative", "base", "folder", "posed", "count", "seed", "steps"):
            column.prop(self, name)

    def execute(self, context: Any) -> set[str]:
        """Begin."""
        scene = context.scene
        if tasks.running(_TASK) is not None:
            error = SettingsError("a character is being made already", hint="Wait, or cancel it.")
            return report_error(self, error)
        try:
            if not self.prompt.strip():
                raise SettingsError("there are no words", hint="Say what is to be seen.")
            base = self._base()
            folder = folders.new_folder(folders.output_root(scene) / "characters", scene, "RENDER")
            try:
                arguments = self._arguments(context, base, folder)
            except EngineError:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # nothing is in it yet
                raise
        except EngineError as error:
            return report_error(self, error)
        _tell(say("Making a character ..."))
        done = _when_done(scene.name, folder)
        tasks.begin(_TASK, arguments, done, during=_progress, wait=self.wait)
        session = context.window_manager.marionext
        if self.wait and session.character_failed:
            return report_error(self, ModelError(session.character_message))
        return {"FINISHED"}

    def _base(self) -> str:
        """Return the base as the engine is told it.

        Raises:
            ModelError: it is not here.
        """
        if self.folder:
            return str(bpy.path.abspath(self.folder))
        bundle = bundles.find(self.base)
        if not bundle.card.built_in and not bundle.folder.is_dir():
            raise ModelError(
                f"the model {bundle.card.title} is not on this computer",
                hint="Fetch it in the add-on's preferences, or name a folder or a file.",
            )
        return str(self.base)

    def _arguments(self, context: Any, base: str, folder: Path) -> list[str]:
        # Words may begin with a dash.
        arguments = ["image", f"--prompt={self.prompt}", "--base", base, "--out", str(folder)]
        arguments += ["--seed", str(self.seed), "--count", str(self.count), "--json"]
        if self.negative.strip():
            arguments.append(f"--negative={self.negative}")
        if self.steps:
            arguments += ["--steps", str(self.steps)]
        if self.posed:
            # Beside the folder: into it the engine writes, and what it reads may not lie there.
            track = folder.with_name(f"{folder.name}.pose.npz")
            write_native(_pose_now(context), track)
            arguments += ["--control", f"pose={track}@0"]
        return engine.find().call(*arguments)


def _pose_now(context: Any) -> PoseTrack:
    """Return the pose of the current frame, of the rigs or of the file that moves.

    Raises:
        EngineError: there is nobody, or no camera.
    """
    scene = context.scene
    shot = shots.shot_of(scene, "RENDER")
    now = scene.frame_current + Fraction(float(scene.frame_subframe))
    if filmed.is_filmed(scene):
        return filmed.poses_at(scene, (now,), shot.size, fit=shot.fit, rate=shot.rate, first=0)
    add_selected_armatures(context)
    return recording.record(
        scene,
        rig.people_of(scene),
        recording.Moments(times=(now,), rate=shot.rate, first=0),
        shot.size,
        fit=shot.fit,
        frame=shot.frame,
        camera=choices.chosen_camera(scene),
        may_move=False,
    ).track


def _when_done(scene_name: str, folder: Path) -> tasks.Done:
    """Return what is called with the engine's answer."""

    def done(answer: Answer) -> None:
        scene = bpy.data.scenes.get(scene_name)
        if answer.status == 0 and scene is not None and _pictures(folder):
            _choose(scene, folder)
            return
        _tell(without_commands(answer.failure), failed=True)

    return done


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder, in order."""
    return sorted((folder / "pictures").glob("*.png"))


def _choose(scene: Any, folder: Path) -> None:
    """Make the first picture the scene's character."""
    pictures = _pictures(folder)
    scene.marionext.character_source = "IMAGE"
    scene.marionext.character = results.in_file(pictures[0])
    if len(pictures) > 1:
        _tell(say("{count} pictures are in {folder}; the first is chosen.", count=len(pictures),
                  folder=folder / "pictures"))  # fmt: skip
    else:
        _tell("")


def _progress(run: CommandRun, _seconds: float) -> None:
    for line in reversed(run.said.splitlines()):
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if told.get("type") == "progress" or "stage" in told:
            share = told.get("fraction")
            text = str(told.get("text") or told.get("stage", ""))
            percent = "" if share is None else f"   {100 * share:.0f} %"
            _tell(f"{text}{percent}")
            return


class MARIONEXT_OT_cancel_character(tasks.Cancelling, bpy.types.Operator):
    """Stop making a character."""

    bl_idname = "marionext.cancel_character"
    bl_label = "Cancel"
    bl_description = "Stop making this picture"

    task = _TASK
    tell = staticmethod(_tell)


register, unregister = bpy.utils.register_classes_factory(
    (MARIONEXT_OT_make_character, MARIONEXT_OT_cancel_character)
)
