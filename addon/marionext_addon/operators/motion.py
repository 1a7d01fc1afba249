# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the poses of a dance video, and lay the video behind the camera."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty

from marionext.errors import EngineError, MotionError, SettingsError
from marionext.hosts import Answer, CommandRun

from ..scene import filmed
from ..scene.choices import camera_of
from ..state import changes
from ..state.messages import without_commands
from ..state.paths import absolute
from ..state.translations import say
from ..work import engine, folders, results
from . import tasks
from .base import report_error

__all__: list[str] = []

_TASK = "poses"


def _tell(message: str, *, failed: bool = False) -> None:
    session = bpy.context.window_manager.marionext
    session.motion_message, session.motion_failed = message, failed
    changes.jobs_changed.tell()


def _progress(_run: CommandRun, seconds: float) -> None:
    _tell(say("Reading the poses ... {seconds} s", seconds=round(seconds)))


class MARIONEXT_OT_read_poses(bpy.types.Operator):
    """Have the engine read the poses of a video or a motion file."""

    bl_idname = "marionext.read_poses"
    bl_label = "Read Poses"
    bl_description = "Have the engine find the poses in the video, or read those of the file"
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait", description="Return when it is done", default=False, options={"SKIP_SAVE"}
    )

    def execute(self, context: Any) -> set[str]:
        """Begin."""
        scene = context.scene
        source = absolute(scene.marionext.motion_file)
        try:
            if tasks.running(_TASK) is not None:
                raise SettingsError("poses are being read already", hint="Wait, or cancel it.")
            if not scene.marionext.motion_file or not source.exists():
                raise MotionError(
                    f"the motion is not there: {source}", hint="Choose it again in the Rig panel."
                )
            folder = folders.output_root(scene) / "motions"
            # Another file of that name, or the same one when it was changed, is read anew.
            state = source.stat()
            stamp = f"{state.st_mtime_ns:x}-{state.st_size:x}"
            target = folder / f"{folders.plain_name(source.name)}-{stamp}.npz"
            if target.is_file():
                _take(scene, target)
                return {"FINISHED"}
            arguments = engine.find().call("track", str(source), "--out", str(target))
        except EngineError as error:
            return report_error(self, error)
        name = scene.name

        def done(answer: Answer) -> None:
            found = bpy.data.scenes.get(name)
            if answer.status == 0 and target.is_file() and found is not None:
                if absolute(found.marionext.motion_file) == source:
                    _take(found, target)
                else:  # another was chosen meanwhile
                    _tell("")
            else:
                _tell(without_commands(answer.failure), failed=True)

        _tell(say("Reading the poses ... {seconds} s", seconds=0))
        tasks.begin(_TASK, arguments, done, during=_progress, wait=self.wait)
        session = context.window_manager.marionext
        if self.wait and session.motion_failed:
            return report_error(self, MotionError(session.motion_message))
        return {"FINISHED"}


def _take(scene: Any, track: Path) -> None:
    """Let a scene's motion be what was read."""
    scene.marionext.motion_track = results.in_file(track)
    try:
        filmed.track_of(scene)
    except EngineError as error:
        _tell(str(error), failed=True)
    else:
        _tell("")


class MARIONEXT_OT_cancel_poses(tasks.Cancelling, bpy.types.Operator):
    """Stop reading poses."""

    bl_idname = "marionext.cancel_poses"
    bl_label = "Cancel"
    bl_description = "Stop reading the poses of this video"

    task = _TASK
    tell = staticmethod(_tell)


class MARIONEXT_OT_video_background(bpy.types.Operator):
    """Show the video behind the camera's view."""

    bl_idname = "marionext.video_background"
    bl_label = "Video behind Camera"
    bl_description = "Show the video in the camera's view, in step, for the keypoints to lie on"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Add it as a background of the camera."""
        scene = context.scene
        camera = camera_of(scene)
        path = absolute(scene.marionext.motion_file)
        try:
            if camera is None:
                raise MotionError("the scene has no camera", hint="Press Add Camera.")
            try:
                clip = bpy.data.movieclips.load(str(path), check_existing=True)
            except RuntimeError as error:
                raise MotionError(f"Blender cannot show {path.name}: {error}") from None
        except EngineError as error:
            return report_error(self, error)
        clip.frame_start = scene.marionext.motion_start
        found = [each for each in camera.data.background_images if each.clip == clip]
        background = found[0] if found else camera.data.background_images.new()
        background.source, background.clip = "MOVIE_CLIP", clip
        background.alpha, background.display_depth = 0.7, "BACK"
        background.frame_method = "FIT"
        camera.data.show_background_images = True
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory(
    (MARIONEXT_OT_read_poses, MARIONEXT_OT_cancel_poses, MARIONEXT_OT_video_background)
)
