"""Props, limbs and other people hide keypoints; own skin, wires and what is not rendered do not."""

import math
import sys
from fractions import Fraction
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]
import bpy
import kit
import numpy as np

ALL = frozenset({"body", "hands", "face"})
LEFT_ARM = [5, 6, 7]
LEGS = [9, 10, 12, 13]
FACE = list(range(24, 92))


def record(person, rays=ALL, time=101):
    recording, frames = kit.module("scene.recording"), kit.module("marionext.frames")
    moments = recording.Moments(
        times=(Fraction(time),), rate=frames.FrameRate.parse("24"), first=time
    )
    people = person if isinstance(person, list) else [person]
    return recording.record(bpy.context.scene, people, moments, (1024, 576), rays=rays)


def scores(*arguments, **more):
    return record(*arguments, **more).track.scores[0, 0]


def box(name, place, size):
    mesh = bpy.data.meshes.new(name)
    corners = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh.from_pydata(corners, [], faces)
    thing = bpy.data.objects.new(name, mesh)
    thing.location, thing.scale = place, size
    bpy.context.scene.collection.objects.link(thing)
    return thing


def story():
    kit.empty_file()
    kit.install()
    kit.dancer()
    scene = bpy.context.scene
    rig = kit.module("scene.rig")
    dancer = bpy.data.objects["Dancer"]
    person = rig.Person(dancer, rig.inspect(dancer).mapping)
    typical = kit.module("marionext.motion.projection").TYPICAL_SCORES
    answer = {}

    dancer.data.pose_position = "REST"
    clear = scores(person)
    answer["notes"] = list(record(person).notes)
    # In the open from the front, own skin hides nothing.
    body = np.r_[0:14]
    answer["open"] = float((clear[body] / typical[body]).min())
    answer["open face"] = float((clear[FACE] / typical[FACE]).min())

    wall = box("Screen", (0, -1.0, 0.3), (1.5, 0.02, 0.45))
    behind = scores(person)
    answer["behind a screen"] = (behind[LEGS] / clear[LEGS]).round(3).tolist()
    answer["above the screen"] = float(np.abs(behind[LEFT_ARM] - clear[LEFT_ARM]).max())
    answer["only hands asked"] = float(
        np.abs(scores(person, frozenset({"hands"})) - scores(person, frozenset()))[LEGS].max()
    )
    for name, change in {
        "wire": {"display_type": "WIRE"},
        "not rendered": {"hide_render": True},
    }.items():
        for key, value in change.items():
            setattr(wall, key, value)
        answer[name] = float(np.abs(scores(person) - clear).max())
        wall.display_type, wall.hide_render = "TEXTURED", False
    wall.location.y = 1.0
    answer["screen behind"] = float(np.abs(scores(person) - clear).max())
    # Nobody can tell what somebody behind a wall does; of one whose head is seen, a good deal.
    wall.location, wall.scale = (0, -1.0, 1.0), (2.5, 0.02, 1.5)
    answer["behind a wall"] = float(scores(person).max())
    wall.location.z -= 0.95
    answer["head over a wall"] = float((scores(person)[LEGS] / clear[LEGS]).min())
    wall.scale = (1.5, 0.02, 0.45)
    wall.location = (0, -3.2, 0.4)
    scene.camera.data.type, scene.camera.data.ortho_scale = "ORTHO", 4.0
    flat = scores(person, frozenset())
    ortho = scores(person)
    answer["orthographic"] = (ortho[LEGS] / np.maximum(flat[LEGS], 1e-6)).round(3).tolist()
    scene.camera.data.type = "PERSP"
    bpy.data.objects.remove(wall)

    # A prop in the hand belongs to the body, yet hides what is behind it.
    shield = box("Shield", (0, 0, 0), (0.25, 0.01, 0.25))
    shield.parent, shield.parent_type, shield.parent_bone = dancer, "BONE", "DEF-hand.L"
    bpy.context.view_layer.update()
    shield.matrix_world.translation = (0, 0, 0)
    head = dancer.matrix_world @ dancer.pose.bones["DEF-spine.006"].head
    shield.matrix_world = shield.matrix_world.Translation(head + type(head)((0, -0.4, 0.08))) @ (
        shield.matrix_world.Diagonal((0.2, 0.01, 0.2, 1.0))
    )
    bpy.context.view_layer.update()
    held = scores(person)
    answer["shield before the face"] = float(np.median(held[FACE] / clear[FACE]))
    answer["shield, hand"] = float((held[92:113] / clear[92:113]).min())
    bpy.data.objects.remove(shield)

    # A second dancer in front.
    dancer.data.pose_position = "POSE"
    before = scores(person, time=101)
    other = dancer.copy()
    other.data = dancer.data.copy()
    body_mesh = bpy.data.objects["Dancer body"].copy()
    for thing in (other, body_mesh):
        scene.collection.objects.link(thing)
    body_mesh.parent = other
    body_mesh.modifiers[0].object = other
    other.location = (0.0, -0.8, 0.0)
    both = record([person, rig.Person(other, rig.inspect(other).mapping)]).track.scores[0]
    answer["far dancer"] = float(np.mean(both[0, :14]) / np.mean(before[:14]))
    answer["near dancer"] = float(np.mean(both[1, :14]) / np.mean(before[:14]))
    bpy.data.objects.remove(body_mesh)
    bpy.data.objects.remove(other)

    # From the side the far arm is behind the chest.
    scene.camera.location, scene.camera.rotation_euler = (6, 0, 1.1), (math.pi / 2, 0, math.pi / 2)
    dancer.data.pose_position = "REST"
    side = scores(person)
    answer["from the left"] = {
        "near": (side[[5, 6, 7]] / typical[[5, 6, 7]]).round(3).tolist(),
        "far": (side[[2, 3, 4]] / typical[[2, 3, 4]]).round(3).tolist(),
    }
    return answer


kit.run(story)
