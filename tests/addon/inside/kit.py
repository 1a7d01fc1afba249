"""What the stories share: install the add-on, build a scene, answer, leave.

Runs inside any Blender from 3.4 on, as ``bpy`` module or as program.
"""

import json
import math
import os
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import bpy
import numpy as np

REQUEST = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
FOLDER = Path(REQUEST["folder"])
IS_EXTENSION = bpy.app.version >= (4, 2, 0)

# Mixamo's names; head and tail in metres, z up, facing -y.
BONES = {
    "Hips": (None, (0, 0, 0.95), (0, 0, 1.05)),
    "Spine": ("Hips", (0, 0, 1.05), (0, 0, 1.25)),
    "Spine1": ("Spine", (0, 0, 1.25), (0, 0, 1.45)),
    "Neck": ("Spine1", (0, 0, 1.45), (0, 0, 1.55)),
    "Head": ("Neck", (0, 0, 1.55), (0, 0, 1.75)),
    **{
        name: bone
        for side, x in (("Left", 1), ("Right", -1))
        for name, bone in {
            f"{side}Shoulder": ("Spine1", (0.04 * x, 0, 1.42), (0.16 * x, 0, 1.42)),
            f"{side}Arm": (f"{side}Shoulder", (0.16 * x, 0, 1.42), (0.42 * x, 0, 1.42)),
            f"{side}ForeArm": (f"{side}Arm", (0.42 * x, 0, 1.42), (0.67 * x, 0, 1.42)),
            f"{side}Hand": (f"{side}ForeArm", (0.67 * x, 0, 1.42), (0.76 * x, 0, 1.42)),
            f"{side}UpLeg": ("Hips", (0.1 * x, 0, 0.93), (0.1 * x, 0, 0.5)),
            f"{side}Leg": (f"{side}UpLeg", (0.1 * x, 0, 0.5), (0.1 * x, 0, 0.08)),
            f"{side}Foot": (f"{side}Leg", (0.1 * x, 0, 0.08), (0.1 * x, -0.14, 0.02)),
        }.items()
    },
}


def package():
    """Return the name under which the add-on is installed."""
    return "bl_ext.user_default.marionext" if IS_EXTENSION else "marionext_addon"


def module(name=""):
    """Return a module of the installed add-on."""
    import importlib

    return importlib.import_module(f"{package()}.{name}" if name else package())


def install():
    """Install the zip as a user does."""
    if IS_EXTENSION:
        import addon_utils

        with suppress(Exception):
            addon_utils.enable("bl_pkg", default_set=True)
        bpy.ops.extensions.package_install_files(
            filepath=REQUEST["zip"], repo="user_default", enable_on_install=True
        )
    else:
        bpy.ops.preferences.addon_install(filepath=REQUEST["zip"])
        bpy.ops.preferences.addon_enable(module="marionext_addon")


def empty_file():
    """Begin with nothing."""
    bpy.ops.wm.read_factory_settings(use_empty=True)


def dancer():
    """Begin with the shot of `addon_scene`; a Blender makes it once, which takes ten seconds."""
    kept = Path(REQUEST["kept"]) / f"dancer-{bpy.app.version_string}.blend".replace(" ", "-")
    if not kept.is_file():
        sys.path.insert(0, str(Path(REQUEST["root"]) / "scripts"))
        import addon_scene

        addon_scene.build()
        part = FOLDER / "dancer.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(part), copy=True)
        part.replace(kept)
    # As a home file, so that it is one which nobody has saved yet.
    bpy.ops.wm.read_homefile(filepath=str(kept), load_ui=False)


def make_rig(name="Rig", x=0.0, sway=1.0):
    """Make an armature that waves its arms at frames 101 to 112, and return it."""
    armature = bpy.data.armatures.new(name)
    rig = bpy.data.objects.new(name, armature)
    bpy.context.scene.collection.objects.link(rig)
    rig.location.x = x
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for bone_name, (parent, head, tail) in BONES.items():
        bone = armature.edit_bones.new(f"mixamorig:{bone_name}")
        bone.head, bone.tail = head, tail
        if parent:
            bone.parent = armature.edit_bones[f"mixamorig:{parent}"]
    bpy.ops.object.mode_set(mode="OBJECT")
    for frame, angle in ((101, -0.2), (106, 1.1), (112, 0.1)):
        for side in ("Left", "Right"):
            bone = rig.pose.bones[f"mixamorig:{side}Arm"]
            bone.rotation_mode = "XYZ"
            bone.rotation_euler = (sway * angle, 0.0, 0.3 * angle)
            bone.keyframe_insert("rotation_euler", frame=frame)
    rig.keyframe_insert("location", frame=101)
    rig.location.x += 0.2 * sway
    rig.keyframe_insert("location", frame=112)
    return rig


def make_face(rig):
    """Make a mesh with shape keys that belongs to a rig, and return it."""
    mesh = bpy.data.meshes.new("Face")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    face = bpy.data.objects.new("Face", mesh)
    bpy.context.scene.collection.objects.link(face)
    face.parent = rig
    face.shape_key_add(name="Basis")
    return face


def make_scene(character=None):
    """Make a small shot from frame 101 to 104 with a rig and a camera; return scene and rig."""
    scene = bpy.context.scene
    rig = make_rig()
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location = (0.0, -5.0, 1.0)
    camera.rotation_euler = (math.pi / 2, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.frame_start, scene.frame_end = 101, 104
    scene.frame_set(101)
    scene.render.resolution_x, scene.render.resolution_y = 384, 576
    settings = scene.marionext
    settings.people.add().armature = rig
    settings.output = str(FOLDER / "renders")
    settings.quality = "draft"
    # What most stories are about: a render that takes its time and has a seed.
    settings.model, settings.steps = "puppet", 1
    # Small, to be quick; what a model's own size comes to is asked in `settings.py`.
    settings.size_preset, settings.width, settings.height = "CUSTOM", 128, 192
    settings.character = str(
        character or Path(REQUEST["root"]) / "presets" / "characters" / "hero.png"
    )
    return scene, rig


def pump_until(condition, seconds=300.0):
    """Call the runner's timer, as Blender's window would, until something is so."""
    runner = module("work.runner").runner
    end = time.monotonic() + seconds
    while not condition():
        runner.pump()
        if time.monotonic() > end:
            states = [(r.name, r.state, r.message, r.hint) for r in runner.renders.values()]
            raise AssertionError(f"waited {seconds} s: {states}")
        time.sleep(0.01)


def screen(name):
    """Draw the 3D view and return what the screen shows: (height, width, 3), from the bottom up.

    The window fills its screen. Blender 5 cannot look at its own window where there is no graphics
    card, so somebody else looks.
    """
    path = str(FOLDER / f"{name}.png")
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=2)
    subprocess.run(["import", "-window", "root", path], check=True)
    image = bpy.data.images.load(path)
    pixels = np.empty(image.size[0] * image.size[1] * 4, dtype=np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(image.size[1], image.size[0], 4)[..., :3]
    bpy.data.images.remove(image)
    return pixels[-window.height :, : window.width]


def run(story):
    """Run a story, write its answer, and leave Blender, which may hang at exit as a module."""
    try:
        answer = story()
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)
    Path(REQUEST["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
