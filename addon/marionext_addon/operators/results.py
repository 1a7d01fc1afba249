# SPDX-License-Identifier: GPL-3.0-or-later
"""See a render: Image Editor, sequencer, camera background, folder; and make the reference."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from marionext.errors import EngineError, SettingsError

from ..scene import cameras
from ..scene.choices import camera_of
from ..scene.people import add_selected_armatures
from ..state.paths import RELATIVE
from ..state.translations import say
from ..work import folders, live, reference, results, shots
from ..work.renders import Render
from ..work.runner import runner
from .base import OnJob, refuse_gone, report_error, seen

__all__: list[str] = []


def _scene_of(context: Any, render: Render) -> Any:
    return bpy.data.scenes.get(render.scene_name) or context.scene


class MARIONEXT_OT_show_result(OnJob, bpy.types.Operator):
    """Show the render in an Image Editor."""

    bl_idname = "marionext.show_result"
    bl_label = "Show in Image Editor"
    bl_description = "Show the render as an image sequence that follows the timeline"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any, render: Render) -> set[str]:
        """Load the sequence and give it to an Image Editor."""
        refuse_gone(render)
        pictures = results.find_pictures(Path(render.folder), coming=render.is_open)
        image = results.as_image(pictures, render.name)
        seen(render)
        space = _image_editor(context)
        if space is not None:
            space.image = image
            results.set_image_user(space.image_user, pictures)
        elif not bpy.app.background:
            self.report({"WARNING"}, f"No editor could be opened; the image is {image.name!r}")
        return {"FINISHED"}


def _image_editor(context: Any) -> Any:
    """Return an Image Editor of this window, made of the largest other area if there is none."""
    window = context.window
    if window is None:
        return None
    areas = list(window.screen.areas)
    for area in areas:
        if area.ui_type == "IMAGE_EDITOR":
            return area.spaces.active
    others = [area for area in areas if area.type not in {"VIEW_3D", "PROPERTIES", "OUTLINER"}]
    views = [area for area in areas if area.type == "VIEW_3D"]
    if views and len(areas) < 8:
        # Half of the 3D view: animation on one side, render on the other.
        largest = max(views, key=lambda area: area.width * area.height)
        with context.temp_override(window=window, area=largest, region=largest.regions[-1]):
            bpy.ops.screen.area_split(direction="VERTICAL", factor=0.5)
        new = [area for area in window.screen.areas if area not in areas]
        others = new or others
    if not others:
        return None
    area = max(others, key=lambda area: area.width * area.height)
    area.type = "IMAGE_EDITOR"
    return area.spaces.active


class MARIONEXT_OT_show_live(bpy.types.Operator):
    """Show the live preview in an Image Editor."""

    bl_idname = "marionext.show_live"
    bl_label = "Open in Image Editor"
    bl_description = "Show the live preview in an Image Editor beside the animation"

    def execute(self, context: Any) -> set[str]:
        """Give the image to an Image Editor."""
        image, space = live.image_or_none(), _image_editor(context)
        if image is None or space is None:
            self.report(
                {"WARNING"}, say("No editor could be opened; the image is {name}", name=live.IMAGE)
            )
            return {"CANCELLED"}
        space.image = image
        _fill(context, space)
        return {"FINISHED"}


def _fill(context: Any, space: Any) -> None:
    """Have an Image Editor show the whole of its image, as large as it can."""
    area = next((area for area in context.window.screen.areas if area.spaces.active == space), None)
    if area is None:
        return
    region = next(region for region in area.regions if region.type == "WINDOW")
    # An editor that was only just opened may not know its size yet.
    with (
        suppress(RuntimeError),
        context.temp_override(window=context.window, area=area, region=region),
    ):
        bpy.ops.image.view_all(fit_view=True)


class MARIONEXT_OT_add_strip(OnJob, bpy.types.Operator):
    """Add the render to the sequencer."""

    bl_idname = "marionext.add_strip"
    bl_label = "Add to Sequencer"
    bl_description = "Add the render as a strip at its own frames"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any, render: Render) -> set[str]:
        """Add the strip."""
        refuse_gone(render)
        scene = _scene_of(context, render)
        pictures = results.find_pictures(Path(render.folder))
        results.add_strip(scene, pictures, render.name)
        # From Blender 5 on, the sequencer shows a scene of its own choice.
        workspace = getattr(context, "workspace", None)
        if workspace is not None and getattr(workspace, "sequencer_scene", scene) is None:
            workspace.sequencer_scene = scene
        return {"FINISHED"}


class MARIONEXT_OT_camera_background(OnJob, bpy.types.Operator):
    """Show the render behind the camera's view."""

    bl_idname = "marionext.camera_background"
    bl_label = "Show in Camera View"
    bl_description = "Lay the render over the camera's view, in step with the animation"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any, render: Render) -> set[str]:
        """Add the background."""
        refuse_gone(render)
        scene = _scene_of(context, render)
        shot = shots.read_shot(Path(render.folder))
        chosen = scene.objects.get(shot.camera) if shot.camera else None
        # Markers may switch between cameras: each shows the render while it is looked through.
        looking = cameras.camera_objects(scene) if chosen is None else (chosen,)
        if not looking:
            raise SettingsError("the scene has no camera")
        pictures = results.find_pictures(Path(render.folder))
        for camera in looking:
            results.as_camera_background(camera, pictures, render.name, fit=shot.fit)
        return {"FINISHED"}


class MARIONEXT_OT_open_folder(OnJob, bpy.types.Operator):
    """Open the folder of a render."""

    bl_idname = "marionext.open_folder"
    bl_label = "Open Folder"
    bl_description = "Open the folder of this render in the system's file browser"

    def act(self, _context: Any, render: Render) -> set[str]:
        """Open it."""
        refuse_gone(render)
        bpy.ops.wm.path_open(filepath=render.folder)
        return {"FINISHED"}


class MARIONEXT_OT_render_again(OnJob, bpy.types.Operator):
    """Make a part of a render again."""

    bl_idname = "marionext.render_again"
    bl_label = "Render Again"
    bl_description = (
        "Make some frames of this render again, joined to the frames around them; the frames "
        "before are kept as a take"
    )

    first: IntProperty(name="From", description="First frame to make again")
    last: IntProperty(name="To", description="Last frame to make again, included")
    seed: IntProperty(
        name="Seed", description="Of the new frames; -1: the next one", default=-1, min=-1
    )

    def invoke(self, context: Any, _event: object) -> set[str]:
        """Offer the preview range, or the frame that is shown and the second around it."""
        scene = context.scene
        if scene.use_preview_range:
            self.first, self.last = scene.frame_preview_start, scene.frame_preview_end
        else:
            around = max(1, round(scene.render.fps / 2))
            self.first, self.last = scene.frame_current - around, scene.frame_current + around
        return set(context.window_manager.invoke_props_dialog(self))

    def act(self, _context: Any, render: Render) -> set[str]:
        """Queue it."""
        refuse_gone(render)
        runner.again(render, self.first, self.last, None if self.seed < 0 else self.seed)
        return {"FINISHED"}


class MARIONEXT_OT_show_take(OnJob, bpy.types.Operator):
    """Show another take of a render."""

    bl_idname = "marionext.show_take"
    bl_label = "Show Take"
    bl_description = "Show this take of the frames it has, and make the videos anew; 0: the render"

    take: IntProperty(name="Take", description="Number of the take; 0: the render itself", min=0)

    def act(self, _context: Any, render: Render) -> set[str]:
        """Queue it."""
        refuse_gone(render)
        runner.show_take(render, self.take)
        return {"FINISHED"}


class MARIONEXT_OT_make_larger(OnJob, bpy.types.Operator):
    """Make the pictures of a render larger."""

    bl_idname = "marionext.make_larger"
    bl_label = "Make Larger"
    bl_description = (
        "Make the frames of this render larger, and its video: a result of its own beside it, in "
        "the same frames"
    )

    by: IntProperty(name="Times", description="How many times larger", default=2, min=2, max=8)
    method: EnumProperty(
        name="Way",
        description="How it is done",
        items=[
            ("AUTO", "Best", "The model Upscaler at 2 times, interpolation otherwise"),
            ("upscaler", "Upscaler", "A small network: sharp edges, nothing new. 2 times"),
            ("lanczos", "Lanczos", "Interpolation: at once, and soft. 2 to 8 times"),
            (
                "realesrgan",
                "Real-ESRGAN",
                "Crisp lines and a look of its own; its network has to be fetched. 2 to 4 times",
            ),
        ],
    )

    def invoke(self, context: Any, _event: object) -> set[str]:
        """Ask how."""
        return set(context.window_manager.invoke_props_dialog(self))

    def act(self, _context: Any, render: Render) -> set[str]:
        """Queue it."""
        refuse_gone(render)
        runner.make_larger(render, self.by, "" if self.method == "AUTO" else self.method)
        return {"FINISHED"}


class MARIONEXT_OT_render_character(bpy.types.Operator):
    """Make the character's picture from the scene."""

    bl_idname = "marionext.render_character"
    bl_label = "Render from This Scene"
    bl_description = (
        "Render the current frame with the scene's own engine as the picture of the character; "
        "its pose is read off the rig"
    )
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(
        name="Picture",
        description="Empty: in the folder of this scene's renders",
        subtype="FILE_PATH",
        options={"SKIP_SAVE", *RELATIVE},
    )

    def execute(self, context: Any) -> set[str]:
        """Render the picture and choose it."""
        scene = context.scene
        settings = scene.marionext
        try:
            add_selected_armatures(context)
            if camera_of(scene) is None:
                raise SettingsError("the scene has no camera")
            shot = shots.shot_of(scene)
            name = f"character-{folders.plain_name(scene.name)}-{scene.frame_current:06d}.png"
            path = Path(bpy.path.abspath(self.filepath or str(folders.output_root(scene) / name)))
            reference.render_reference(scene, shot, path)
        except EngineError as error:
            return report_error(self, error)
        settings.character_source = "SCENE"
        settings.scene_picture = str(path)
        settings.scene_picture_frame = scene.frame_current
        settings.scene_picture_form = reference.form_of(shot.size, shot.fit, shot.camera)
        self.report({"INFO"}, f"The character's picture: {path}")
        return {"FINISHED"}


_CLASSES = (
    MARIONEXT_OT_show_result,
    MARIONEXT_OT_show_live,
    MARIONEXT_OT_add_strip,
    MARIONEXT_OT_camera_background,
    MARIONEXT_OT_open_folder,
    MARIONEXT_OT_render_again,
    MARIONEXT_OT_show_take,
    MARIONEXT_OT_make_larger,
    MARIONEXT_OT_render_character,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
