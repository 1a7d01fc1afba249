"""Record real rig files in Blender and write what was found as a table: docs/blender-rigs.md.

Runs in the ``bpy`` module::

    .blenders/bpy-4.5/bin/python scripts/rig_coverage.py RIGS [--table FILE] [--pictures FOLDER]

RIGS is a folder of rig files (fbx, glb, bvh, vrm, blend). Each is imported as a user would, mapped
without any setting, framed by a camera, recorded over up to a hundred frames, and compared with
what Blender's own ``world_to_camera_view`` says of the same bones.
"""

import argparse
import os
import shutil
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "engine"), str(ROOT / "addon")]

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from mathutils import Matrix  # noqa: E402

import marionext_addon  # noqa: E402
from marionext.errors import EngineError  # noqa: E402
from marionext.files import write_text  # noqa: E402
from marionext.motion import frame_motion  # noqa: E402
from marionext.motion.roles import ROLES  # noqa: E402
from marionext_addon.scene import cameras, choices, recording, rig  # noqa: E402

SIZE = (576, 768)
MOST_FRAMES = 100
JOINTS = {
    "right_upper_arm": 2, "right_forearm": 3, "right_hand": 4,
    "left_upper_arm": 5, "left_forearm": 6, "left_hand": 7,
    "right_thigh": 8, "right_shin": 9, "right_foot": 10,
    "left_thigh": 11, "left_shin": 12, "left_foot": 13,
}  # fmt: skip
SUFFIXES = (".fbx", ".glb", ".bvh", ".vrm", ".blend")

HEAD = """# Real rigs in Blender

What the add-on makes of rig files from the field, without any setting: imported into Blender
{version}, mapped, framed by a camera and recorded. Made by `scripts/rig_coverage.py`; the files
themselves are not in the repository (several licences forbid it). *Off* is the largest distance
between a recorded joint and Blender's own `world_to_camera_view`, in pixels of a {width} x {height}
picture.

MikuMikuDance models come by way of the MMD Tools add-on: the .blend here is a PMD with a VMD dance,
imported by it. A .vrm is imported as glTF, without the VRM add-on whose humanoid map would go
before names.

Fingers without bones are a hand at rest. The face follows the head bone; eyes, jaw, face bones and
shape keys move it where there are any.

| file | convention | body | hands | face | guessed | frames | off |
|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Go through the files and write the table."""
    parser = argparse.ArgumentParser(description="Record real rig files in Blender.")
    parser.add_argument("rigs", type=Path)
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    parser.add_argument("--pictures", type=Path, help="folder for keypoints and renders to look at")
    options = parser.parse_args()
    rows = []
    marionext_addon.register()
    for path in sorted(options.rigs.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            row = look_at(path, options.pictures)
            print(" | ".join(row), flush=True)
            rows.append("| " + " | ".join(row) + " |")
    if options.table:
        head = HEAD.format(version=bpy.app.version_string, width=SIZE[0], height=SIZE[1])
        write_text(options.table, head + "\n".join(rows) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the module may hang when it leaves while handlers are registered


def open_file(path: Path) -> None:
    """Import a file into an empty scene, as a user does."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if not hasattr(bpy.types.Scene, "marionext"):
        marionext_addon.register()
    match path.suffix.lower():
        case ".blend":
            bpy.ops.wm.open_mainfile(filepath=str(path))
        case ".fbx":
            bpy.ops.import_scene.fbx(filepath=str(path))
        case ".bvh":
            bpy.ops.import_anim.bvh(filepath=str(path), update_scene_duration=True)
        case ".glb":
            bpy.ops.import_scene.gltf(filepath=str(path))
        case ".vrm":  # a glTF; the VRM add-on would keep its humanoid map
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / (path.stem + ".glb")
                shutil.copy(path, copy)
                bpy.ops.import_scene.gltf(filepath=str(copy))


def look_at(path: Path, pictures: Path | None) -> tuple[str, ...]:
    """Return a file's line of the table."""
    try:
        open_file(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        return (path.name, f"not imported: {reason[:100]}", *[""] * 6)
    armatures = [thing for thing in bpy.context.scene.objects if thing.type == "ARMATURE"]
    try:
        reports = {armature: rig.inspect(armature) for armature in armatures}
    except EngineError as error:
        return (path.name, error.message, *[""] * 6)
    if not reports:
        return (path.name, "no armature", *[""] * 6)
    # A metarig beside its rig, a second skeleton: the one that covers most is the character.
    armature = max(reports, key=lambda key: (reports[key].body + reports[key].hands, key.name))
    report = reports[armature]
    recorded = record(armature, report)
    off = compare(armature, report, recorded)
    if pictures:
        picture(path, armature, recorded, pictures)
    guessed = [role for role in ROLES if role in report.mapping.guessed]
    return (
        path.name,
        report.convention,
        f"{report.body}/18",
        f"{report.hands}/42",
        report.face.removeprefix("face from "),
        str(len(guessed)) if guessed else "",
        str(len(recorded.track)),
        f"{off:.4f}",
    )


def record(armature: Any, report: Any) -> Any:
    """Frame and record a character."""
    scene = bpy.context.scene
    start, end = motion_range(armature)
    step = max(1, (end - start) // MOST_FRAMES)
    moments = recording.Moments(
        times=tuple(Fraction(frame) for frame in range(start, end + 1, step)[:MOST_FRAMES]),
        rate=choices.scene_rate(scene),
        first=start,
    )
    people = [rig.Person(armature, report.mapping)]
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.pixel_aspect_x = scene.render.pixel_aspect_y = 1.0
    for marker in list(scene.timeline_markers):
        scene.timeline_markers.remove(marker)
    first = recording.record(scene, people, moments, SIZE).animations[0]
    joints = [first.index(bone) for bone in report.mapping.bones.values()]
    # Heads only: importers guess where the last bones of chains end, sometimes metres away.
    still = first.with_(tails=first.heads, rest_tails=first.rest_heads)
    framed = frame_motion(still, SIZE, yaw=20.0, joints=joints)
    camera.matrix_world = Matrix(np.linalg.inv(framed.views[0]).tolist())
    camera.data.lens = float(framed.focal[0]) * camera.data.sensor_width
    camera.data.clip_end = 1000.0
    bpy.context.view_layer.update()
    return recording.record(scene, people, moments, SIZE)


def motion_range(armature: Any) -> tuple[int, int]:
    """Return the first and last frame of an armature's action, or the current frame."""
    data = armature.animation_data
    if data is None or data.action is None:
        now = bpy.context.scene.frame_current
        return now, now
    first, last = data.action.frame_range
    return int(np.floor(first)), int(np.ceil(last))


def compare(armature: Any, report: Any, recorded: Any) -> float:
    """Return how far recorded joints are from where Blender itself sees them, at most."""
    scene = bpy.context.scene
    left, top, width, height = cameras.frame_in_picture(cameras.Frame.of(scene), SIZE, "CROP")
    worst = 0.0
    for index in range(0, len(recorded.track), max(1, len(recorded.track) // 6)):
        moment = recorded.moments.times[index]
        scene.frame_set(int(moment // 1), subframe=float(moment % 1))
        evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        for role, point in JOINTS.items():
            bone = report.mapping.bones.get(role)
            if bone is None:
                continue
            place = evaluated.matrix_world @ evaluated.pose.bones[bone].head
            x, y, _ = world_to_camera_view(scene, scene.camera, place)
            wanted = np.array([left + x * width, top + (1 - y) * height])
            worst = max(worst, float(np.abs(recorded.track.points[index, 0, point] - wanted).max()))
    return worst


def picture(path: Path, armature: Any, recorded: Any, folder: Path) -> None:
    """Write the keypoints, and a render of the frame in the middle to lay them over."""
    recorded.write(folder / path.stem)
    scene = bpy.context.scene
    moment = recorded.moments.times[len(recorded.track) // 2]
    scene.frame_set(int(moment // 1), subframe=float(moment % 1))
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.filepath = str(folder / path.stem / "render.png")
    scene.render.resolution_percentage = 100
    armature.hide_render = False
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main()
