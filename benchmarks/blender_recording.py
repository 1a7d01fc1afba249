"""How quickly Blender's evaluated rigs are recorded, and how long Blender is kept at a time.

    .blenders/bpy-4.5/bin/python benchmarks/blender_recording.py [--json FILE]

Runs in the ``bpy`` module. Two characters made here: one of 65 bones with Mixamo's names, skinned
to a mesh with two levels of subdivision, all bones animated; and a Rigify human of 706 bones. Each
is recorded several times, and the quickest run counts. What is counted is processor time, of all
of Blender's threads together, without that of other programs that share the cores; an idle machine
is at least as quick by the clock. The target is 200 frames a second for the first one, keypoints
and scores included.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy  # first: Blender's own modules are found once it is there
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "engine"), str(ROOT / "addon"), str(ROOT / "scripts")]

import addon_scene  # noqa: E402

import marionext_addon  # noqa: E402
from marionext.frames import FrameRate  # noqa: E402
from marionext_addon.scene import live, recording, rig  # noqa: E402

SIZE = (576, 1024)
FRAMES = 120
RUNS = 7
TARGET = 200.0
SIDED = {
    "Shoulder": ("Spine2", (0.04, 0, 1.44)), "Arm": ("Shoulder", (0.16, 0, 1.44)),
    "ForeArm": ("Arm", (0.44, 0, 1.44)), "Hand": ("ForeArm", (0.69, 0, 1.44)),
    "UpLeg": ("Hips", (0.09, 0, 0.93)), "Leg": ("UpLeg", (0.09, 0, 0.50)),
    "Foot": ("Leg", (0.09, 0.02, 0.08)), "ToeBase": ("Foot", (0.09, -0.12, 0.02)),
    "Toe_End": ("ToeBase", (0.09, -0.2, 0.02)),
    **{f"Hand{finger}{joint}": (f"Hand{finger}{joint - 1}" if joint > 1 else "Hand",
                                (0.72 + 0.03 * joint, 0.02 * number - 0.04, 1.44))
       for number, finger in enumerate(("Thumb", "Index", "Middle", "Ring", "Pinky"))
       for joint in (1, 2, 3, 4)},
}  # fmt: skip
CENTRAL = {
    "Hips": (None, (0, 0, 0.95)), "Spine": ("Hips", (0, 0, 1.05)),
    "Spine1": ("Spine", (0, 0, 1.15)), "Spine2": ("Spine1", (0, 0, 1.3)),
    "Neck": ("Spine2", (0, 0, 1.5)), "Head": ("Neck", (0, -0.02, 1.58)),
    "HeadTop_End": ("Head", (0, -0.02, 1.77)),
}  # fmt: skip


def make_character() -> Any:
    """Make a skinned character of 65 bones, every one of them animated."""
    data = bpy.data.armatures.new("Character")
    character = bpy.data.objects.new("Character", data)
    scene = bpy.context.scene
    scene.collection.objects.link(character)
    bpy.context.view_layer.objects.active = character
    bones = dict(CENTRAL)
    for side, sign in (("Left", 1), ("Right", -1)):
        for name, (parent, (x, y, z)) in SIDED.items():
            above = parent if parent in CENTRAL else side + parent
            bones[side + name] = (above, (sign * x, y, z))
    bpy.ops.object.mode_set(mode="EDIT")
    for name, (parent, place) in bones.items():
        bone = data.edit_bones.new(f"mixamorig:{name}")
        bone.head, bone.tail = place, (place[0], place[1], place[2] + 0.03)
        bone.parent = data.edit_bones[f"mixamorig:{parent}"] if parent else None
    bpy.ops.object.mode_set(mode="OBJECT")
    mesh = bpy.data.meshes.new("Body")
    rows = [np.array(place) for _, place in bones.values()]
    corners = [tuple(row + 0.03 * np.array(c)) for row in rows for c in
               ((-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0))]  # fmt: skip
    mesh.from_pydata(corners, [], [tuple(range(4 * n, 4 * n + 4)) for n in range(len(rows))])
    body = bpy.data.objects.new("Body", mesh)
    scene.collection.objects.link(body)
    for number, name in enumerate(bones):
        group = body.vertex_groups.new(name=f"mixamorig:{name}")
        group.add(list(range(4 * number, 4 * number + 4)), 1.0, "ADD")
    body.parent = character
    body.modifiers.new("Armature", "ARMATURE").object = character
    body.modifiers.new("Subdivision", "SUBSURF").levels = 2
    rng = np.random.default_rng(3)
    for bone in character.pose.bones:
        bone.rotation_mode = "QUATERNION"
        for frame in range(1, FRAMES + 1, 10):
            bone.rotation_quaternion = (1.0, *rng.uniform(-0.15, 0.15, 3))
            bone.keyframe_insert("rotation_quaternion", frame=frame)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler = (0, -5, 1), (np.pi / 2, 0, 0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return character


def quickest(run: Callable[[], None]) -> float:
    """Return the processor seconds of the quickest of several runs."""
    times = []
    for _ in range(RUNS):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times)


def measure(name: str, character: Any, first: int, count: int) -> dict[str, Any]:
    """Return the figures of one character."""
    scene = bpy.context.scene
    people = [rig.Person(character, rig.inspect(character).mapping)]
    moments = recording.Moments(
        times=tuple(map(Fraction, range(first, first + count))),
        rate=FrameRate.parse("24"),
        first=first,
    )

    def play() -> None:
        for frame in range(first, first + count):
            scene.frame_set(frame)

    ticks: list[float] = []

    def in_pieces() -> None:
        ticks.clear()
        steps = recording.record_in_steps(scene, people, moments, SIZE)
        while True:
            started = time.process_time()
            done = next(steps, None) is None
            ticks.append(time.process_time() - started)
            if done:
                return

    scene.marionext.people.clear()
    scene.marionext.people.add().armature = character
    watcher = live.Watcher()
    watcher.look(scene, bpy.context.view_layer)

    def watch() -> None:
        for _ in range(20):
            watcher.look(scene, bpy.context.view_layer)

    whole = quickest(lambda: recording.record(scene, people, moments, SIZE) and None)
    in_pieces()
    return {
        "character": name,
        "bones": len(character.data.bones),
        "frames": count,
        "recorded_fps": count / whole,
        "scene_fps": count / quickest(play),
        "median_tick_ms": 1000 * float(np.median(ticks)),
        "first_ticks_ms": [1000 * tick for tick in ticks[:2]],
        "overlay_ms": 1000 * quickest(watch) / 20,
    }


def main() -> int:
    """Measure, print a table, and return 1 where the target is missed."""
    parser = argparse.ArgumentParser(description="Measure the recording of rigs in Blender.")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    marionext_addon.register()
    figures = [measure("skinned", make_character(), 1, FRAMES)]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    figures.append(measure("Rigify", addon_scene.build(), addon_scene.FIRST, 48))
    print(f"Blender {bpy.app.version_string}, {os.cpu_count()} cores, quickest of {RUNS} runs")
    print("character   bones  recorded/s  whole scene/s  median tick  overlay")
    for row in figures:
        print(
            f"{row['character']:<10} {row['bones']:6} {row['recorded_fps']:9.0f} "
            f"{row['scene_fps']:14.0f} {row['median_tick_ms']:9.1f} ms {row['overlay_ms']:5.1f} ms"
        )
    reached = figures[0]["recorded_fps"] >= TARGET
    verdict = "reached" if reached else "MISSED"
    print(f"target of {TARGET:.0f} frames/s on the skinned character: {verdict}")
    if options.json:
        about = {"blender": bpy.app.version_string, "machine": platform.platform()}
        options.json.write_text(
            json.dumps({**about, "figures": figures}, indent=1), encoding="utf-8"
        )
    return 0 if reached else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # the module may hang when it leaves while handlers are registered
