# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sidebar shows and the file keeps.

`MarionextScene` (``scene.marionext``) holds the settings: saved with the file, changed by undo.
`MarionextSession` (``window_manager.marionext``) holds the jobs and what is live: undo must not
bring a finished render back, so it is not the scene's. Jobs that outlive the file are found again
by their folders.
"""

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from marionext import presets

from . import changes
from .edits import MarionextEdit
from .models import NUMBER_OF_DEFAULT, find_models
from .paths import RELATIVE

__all__ = [
    "MarionextFinding",
    "MarionextJob",
    "MarionextMapping",
    "MarionextModel",
    "MarionextPerson",
    "MarionextScene",
    "MarionextSession",
]

_QUALITY_TEXTS = {
    "exact": ("Exact", "The authors' own schedule: the best picture, and the slowest"),
    "balanced": ("Balanced", "A third of the steps at nearly the same picture"),
    "fast": ("Fast", "As balanced, with shorter joins between windows"),
    "draft": ("Draft", "Small and with few steps, to judge timing and framing"),
}


def _quality_items() -> list[tuple[str, str, str]]:
    ordered = [name for name in _QUALITY_TEXTS if name in presets.names("quality")]
    items = [("MODEL", "As the model", "The model's own settings")]
    return items + [(name, *_QUALITY_TEXTS[name]) for name in ordered]


def _is_armature(_person: object, candidate: Any) -> bool:
    return bool(candidate.type == "ARMATURE")


def _armature_chosen(person: Any, _context: object) -> None:
    changes.armature_chosen.tell(person)


def _bone_chosen(item: Any, _context: object) -> None:
    changes.bone_chosen.tell(item)


def _is_camera(_settings: object, candidate: Any) -> bool:
    return bool(candidate.type == "CAMERA")


def _motion_chosen(settings: Any, _context: object) -> None:
    """Forget the poses that were read: they are another file's."""
    settings.motion_track = ""


def _source_chosen(settings: Any, _context: object) -> None:
    """A picture of the scene stands where the camera sees it; another wants to be fitted."""
    if settings.character_source == "SCENE" and settings.pose_fit == "linear":
        settings.pose_fit = "none"
    elif settings.character_source == "IMAGE" and settings.pose_fit == "none":
        settings.pose_fit = "linear"


def _has_own_rate(settings: Any) -> bool:
    return bool(settings.fps > 0)


def _set_own_rate(settings: Any, wanted: bool) -> None:
    render = settings.id_data.render
    settings.fps = render.fps / render.fps_base if wanted else 0.0


def _overlay_switched(_settings: Any, _context: object) -> None:
    changes.overlay_switched.tell()


def _live_shown(_session: Any, _context: object) -> None:
    changes.live_came.tell()


def _live_switched(session: Any, _context: object) -> None:
    changes.live_switched.tell(session.live)


class MarionextMapping(bpy.types.PropertyGroup):
    """Which bone plays one role."""

    role: StringProperty(name="Role", description="What the bone moves")
    bone: StringProperty(
        name="Bone",
        description="Name of the bone; empty: none plays this role",
        update=_bone_chosen,
    )
    source: EnumProperty(
        name="Source",
        description="How this bone was found",
        items=[
            ("PRESET", "Preset", "By the names of a known convention"),
            ("FILE", "File", "By the map that the file itself carries (VRM)"),
            ("GUESSED", "Guessed", "From words and hierarchy: worth a look"),
            ("HAND", "By hand", "Chosen by you"),
            ("NONE", "Missing", "No bone was found for it"),
        ],
        default="NONE",
    )


class MarionextPerson(bpy.types.PropertyGroup):
    """One armature that becomes one figure."""

    armature: PointerProperty(
        type=bpy.types.Object,
        name="Armature",
        description="The rig whose motion is rendered",
        poll=_is_armature,
        update=_armature_chosen,
    )
    mapping: CollectionProperty(type=MarionextMapping)
    mapping_index: IntProperty(options={"HIDDEN"})
    preset: StringProperty(
        name="Rig preset",
        description="Naming convention of the bones; empty: detected",
    )
    # What was found when the armature was last looked at: the panel only shows it.
    convention: StringProperty(name="Convention", description="What the bones are named after")
    body_points: IntProperty(name="Body", description="Of 18 points, those that come from bones")
    hand_points: IntProperty(name="Hands", description="Of 42 points, those that come from bones")
    face_source: StringProperty(name="Face", description="What the points of the face come from")
    problem: StringProperty(name="Problem", description="Why this armature cannot be rendered")
    advice: StringProperty(name="Advice", description="What to do about it")


class MarionextScene(bpy.types.PropertyGroup):
    """All settings of a shot."""

    people: CollectionProperty(type=MarionextPerson)
    people_index: IntProperty(options={"HIDDEN"})
    motion_source: EnumProperty(
        name="Motion",
        description="Where the motion comes from",
        items=[
            ("RIG", "Rig", "Armatures of this scene"),
            ("FILE", "Video or file", "A dance video, or a file of poses or motion"),
        ],
        default="RIG",
    )
    motion_file: StringProperty(
        name="Motion",
        description="Dance video, pose track, BVH, glTF or VRM",
        subtype="FILE_PATH",
        options=RELATIVE,
        update=_motion_chosen,
    )
    motion_track: StringProperty(
        name="Poses",
        description="The poses that were read of the motion",
        subtype="FILE_PATH",
        options={"HIDDEN", *RELATIVE},
    )
    motion_start: IntProperty(
        name="Begins at",
        description="Frame of the scene at which the motion's first frame lies",
        default=1,
    )
    edits: CollectionProperty(type=MarionextEdit)
    edit_index: IntProperty(options={"HIDDEN"})
    identity: StringProperty(
        name="Identity", description="By which the scene's renders are known", options={"HIDDEN"}
    )
    identity_name: StringProperty(
        name="Identity given to",
        description="The scene that the identity was given to; a copy of it gets another",
        options={"HIDDEN"},
    )

    frame_range: EnumProperty(
        name="Frames",
        description="Which frames to render",
        items=[
            ("SCENE", "Scene", "The scene's own range (its preview range where that is on)"),
            ("OWN", "Own", "A range of its own"),
        ],
        default="SCENE",
    )
    frame_start: IntProperty(name="Start", description="First frame to render", default=1)
    frame_end: IntProperty(name="End", description="Last frame to render, included", default=48)
    frame_step: IntProperty(
        name="Step",
        description="From one rendered frame to the next; 2: every second frame",
        default=1,
        min=1,
        soft_max=12,
    )
    fps: FloatProperty(
        name="Render rate",
        description="Frames per second of the render; 0: the scene's. Another rate is recorded "
        "between the scene's frames and numbered from the first frame on",
        default=0.0,
        min=0.0,
        max=240.0,
        precision=3,
    )
    own_rate: BoolProperty(
        name="Own rate",
        description="Render at another rate than the scene's",
        get=_has_own_rate,
        set=_set_own_rate,
    )
    size_preset: EnumProperty(
        name="Size",
        description="Size of the render; most models want sides in multiples of 64",
        items=[
            ("MODEL", "Portrait", "The size the model was trained at"),
            ("LANDSCAPE", "Landscape", "The trained size turned on its side"),
            ("SQUARE", "Square", "A square of about as many pixels"),
            ("SCENE", "Scene's shape", "The scene's aspect at about as many pixels"),
            ("CUSTOM", "Custom", "A size of your own"),
        ],
        default="MODEL",
    )
    width: IntProperty(
        name="Width", description="Pixels", default=576, min=64, max=8192, step=64, subtype="PIXEL"
    )
    height: IntProperty(
        name="Height",
        description="Pixels",
        default=1024,
        min=64,
        max=8192,
        step=64,
        subtype="PIXEL",
    )
    fit: EnumProperty(
        name="Camera frame",
        description="What becomes of the scene's frame where the render has another shape",
        items=[
            ("CROP", "Crop", "Fill the render; what lies outside is cut off"),
            ("LETTERBOX", "Letter-box", "Show the whole frame with room at its sides"),
        ],
        default="CROP",
    )
    camera: EnumProperty(
        name="Camera",
        description="The camera that looks at the motion",
        items=[
            ("SCENE", "Scene", "The scene's camera, switched by markers where there are any"),
            ("OBJECT", "Chosen", "One camera of your choice"),
        ],
        default="SCENE",
    )
    camera_object: PointerProperty(
        type=bpy.types.Object,
        name="Camera",
        description="The camera that looks at the motion",
        poll=_is_camera,
    )

    character_source: EnumProperty(
        name="Character",
        description="Where the picture of the character comes from",
        items=[
            ("IMAGE", "Image", "A picture file"),
            ("SCENE", "This scene", "A render of this scene, with the pose read off the rig"),
        ],
        default="IMAGE",
        update=_source_chosen,
    )
    character: StringProperty(
        name="Picture",
        description="The picture of the character",
        subtype="FILE_PATH",
        options=RELATIVE,
    )
    # Of the picture that was made of the scene itself; the image above is the user's own.
    scene_picture: StringProperty(
        name="Scene picture",
        description="The picture of the character that was rendered from this scene",
        subtype="FILE_PATH",
        options={"HIDDEN", *RELATIVE},
    )
    scene_picture_frame: IntProperty(
        name="Frame", description="The frame that the picture was rendered from", default=1
    )
    scene_picture_form: StringProperty(
        name="Form",
        description="Size, fit and camera that the picture was rendered with",
        options={"HIDDEN"},
    )
    pose_fit: EnumProperty(
        name="Fit",
        description="How the motion is laid over the character",
        items=[
            ("linear", "Move and scale", "The figure is moved and scaled onto the picture's"),
            ("limbs", "Limb by limb", "Each limb also takes the character's length"),
            ("none", "As it is", "The camera of the scene decides alone"),
            # The last, since files keep the number.
            (
                "inside",
                "Inside",
                "Limb by limb, and all of the motion is kept in the picture",
            ),
        ],
        default="linear",
    )

    model: EnumProperty(
        name="Model",
        description="The model that paints",
        items=find_models,
        default=NUMBER_OF_DEFAULT,
    )
    quality: EnumProperty(
        name="Quality",
        description="Steps, schedule and overlap together",
        items=_quality_items(),
        default="balanced",
    )
    steps: IntProperty(
        name="Steps",
        description="Denoising steps; 0: as the quality says",
        default=0,
        min=0,
        max=1000,
        soft_max=50,
    )
    guidance: FloatProperty(
        name="Guidance",
        description="How closely the picture follows the character; 0: as the model says, 1: none",
        default=0.0,
        min=0.0,
        max=100.0,
        soft_max=8.0,
    )
    control_strength: FloatProperty(
        name="Control strength",
        description="How closely the figure follows the poses; 1 as trained, 0 ignores them",
        default=1.0,
        min=0.0,
        max=10.0,
        soft_max=2.0,
    )
    seed: IntProperty(
        name="Seed", description="Another number gives another picture", default=0, min=0
    )
    show_advanced: BoolProperty(
        name="Advanced", description="Show the settings that are seldom changed", default=False
    )

    occlusion_body: BoolProperty(
        name="Body",
        description="Find the hidden joints of the body by rays through the scene's meshes",
        default=False,
    )
    occlusion_hands: BoolProperty(
        name="Hands",
        description="Find the hidden joints of the hands by rays through the scene's meshes",
        default=False,
    )
    occlusion_face: BoolProperty(
        name="Face",
        description="Find the hidden points of the face by rays through the scene's meshes",
        default=False,
    )
    overlay: BoolProperty(
        name="Show keypoints",
        description="Draw the keypoints over the viewport as they will be rendered",
        default=False,
        update=_overlay_switched,
    )
    overlay_drawn: BoolProperty(
        name="As drawn",
        description="In views through the camera, show them as a render draws them: with the "
        "edits, and moved and scaled onto the character's picture",
        default=False,
        update=_overlay_switched,
    )

    output: StringProperty(
        name="Output",
        description="Folder for renders, one folder each; empty: beside the .blend file",
        subtype="DIR_PATH",
        options=RELATIVE,
        default="",
    )
    queue_folder: StringProperty(
        name="Queue folder",
        description="Folder that others take jobs from; empty: the queue of this computer",
        subtype="DIR_PATH",
        options=RELATIVE,
        default="",
    )
    save_pose_maps: BoolProperty(
        name="Keep pose maps", description="Also write each pose map as a picture", default=False
    )


class MarionextJob(bpy.types.PropertyGroup):
    """One render, from its queueing to its result."""

    job_id: StringProperty()
    name: StringProperty()
    kind: EnumProperty(
        items=[
            ("RENDER", "Render", ""),
            ("DRAFT", "Draft", ""),
            ("POSE_MAPS", "Pose maps", ""),
            ("LARGER", "Larger", ""),
        ],
        default="RENDER",
    )
    state: EnumProperty(
        items=[
            ("RECORDING", "Recording", ""),
            ("QUEUED", "Queued", ""),
            ("RUNNING", "Running", ""),
            ("FINISHED", "Finished", ""),
            ("FAILED", "Failed", ""),
            ("CANCELLED", "Cancelled", ""),
        ],
        default="QUEUED",
    )
    progress: FloatProperty(min=0.0, max=1.0, subtype="FACTOR")
    message: StringProperty()
    hint: StringProperty()
    seconds_left: FloatProperty(default=-1.0)
    """Below 0: not known yet."""
    folder: StringProperty(subtype="DIR_PATH")
    preview: StringProperty(subtype="FILE_PATH")
    first_frame: IntProperty()
    frame_count: IntProperty()
    step: IntProperty(default=1)
    frames_done: IntProperty()
    video: StringProperty(subtype="FILE_PATH")
    takes: IntProperty()
    """Beside the render itself."""
    whole: BoolProperty()
    """Whether all its frames are there, whatever became of its last take."""
    about: StringProperty()
    """Date, frames, size, model and seed, for people to read."""
    scene_name: StringProperty()


class MarionextModel(bpy.types.PropertyGroup):
    """A model or the networks of a detector, as the engine lists them."""

    title: StringProperty()
    state: StringProperty()
    """``ready``, ``incomplete`` or ``not here``."""
    folder: StringProperty(subtype="DIR_PATH")
    licence: StringProperty()
    about: StringProperty()
    size: StringProperty()
    gated: StringProperty()
    """The page where its licence has to be accepted, too; empty: none."""
    built_in: BoolProperty()
    busy: BoolProperty()
    failed: BoolProperty()
    progress: FloatProperty(min=0.0, max=1.0, subtype="FACTOR")
    message: StringProperty()


class MarionextFinding(bpy.types.PropertyGroup):
    """Something about the shot that its animator may not have meant."""

    text: StringProperty()
    pointless: BoolProperty()
    """Whether a render would show nothing of use."""


class MarionextSession(bpy.types.PropertyGroup):
    """What is live in this session of Blender; undo leaves it alone."""

    jobs: CollectionProperty(type=MarionextJob)
    job_index: IntProperty(options={"HIDDEN"})
    motion_message: StringProperty()
    """Of poses that are being read; empty: none are."""
    motion_failed: BoolProperty()
    character_message: StringProperty()
    """Of a character that is being made; empty: none is."""
    character_failed: BoolProperty()
    queue_state: StringProperty()
    """What this computer's queue has to do, for people to read; empty: nobody asked."""
    notice: StringProperty()
    """Id of the job that ended last and was not looked at yet; empty: none."""
    engine_state: EnumProperty(
        items=[
            ("UNKNOWN", "Not tested", ""),
            ("TESTING", "Testing", ""),
            ("READY", "Ready", ""),
            ("PROBLEM", "Problem", ""),
        ],
        default="UNKNOWN",
    )
    engine_message: StringProperty()
    engine_report: StringProperty()
    """The doctor's whole answer, lines."""
    models: CollectionProperty(type=MarionextModel)
    findings: CollectionProperty(type=MarionextFinding)
    """Of the last check of a shot."""
    checked: StringProperty()
    """What was checked; another shot has not been. Empty: nothing was."""
    estimate: StringProperty()
    """What a render takes, lines for people to read."""
    live: BoolProperty(
        name="Live Preview",
        description="Show the character in the pose of the current frame while you scrub, play or "
        "move a bone: in an Image Editor, as the image Marionext Live",
        default=False,
        update=_live_switched,
        options={"SKIP_SAVE"},
    )
    live_camera: BoolProperty(
        name="In Camera View",
        description="Show the live preview in the frame of the camera, too, in 3D viewports that "
        "look through it",
        default=False,
        update=_live_shown,
        options={"SKIP_SAVE"},
    )
    live_opacity: FloatProperty(
        name="Opacity",
        description="How much of the scene the live preview covers",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        update=_live_shown,
        options={"SKIP_SAVE"},
    )
    live_message: StringProperty()
    """What the live preview is doing before it has a picture, or why it was switched off."""
    live_hint: StringProperty()
    drawn_message: StringProperty()
    """Why the overlay does not show the keypoints as a render draws them, or not yet."""
    drawn_hint: StringProperty()


_CLASSES = (
    MarionextEdit,
    MarionextMapping,
    MarionextPerson,
    MarionextScene,
    MarionextJob,
    MarionextModel,
    MarionextFinding,
    MarionextSession,
)


def register() -> None:
    """Add the properties to scenes and to the window manager."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.marionext = PointerProperty(type=MarionextScene)
    bpy.types.WindowManager.marionext = PointerProperty(type=MarionextSession)


def unregister() -> None:
    """Take them away again; settings stay in the .blend file."""
    del bpy.types.WindowManager.marionext
    del bpy.types.Scene.marionext
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
