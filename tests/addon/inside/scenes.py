"""Scenes that could mislead: mirrored, edited, deleted, hidden, instanced, listened to."""

import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit
import numpy as np

SIZE = (576, 1024)
SWAPPED = {"left": "right", "right": "left"}


def record(people=None, times=(101, 106, 112), **more):
    recording, rig = kit.module("scene.recording"), kit.module("scene.rig")
    frames = kit.module("marionext.frames")
    scene = bpy.context.scene
    moments = recording.Moments(
        times=tuple(map(Fraction, times)), rate=frames.FrameRate.parse("24"), first=101
    )
    return recording.record(scene, people or rig.people_of(scene), moments, SIZE, **more)


def raised(action):
    errors = kit.module("marionext.errors")
    try:
        action()
    except errors.EngineError as error:
        return str(error)
    return ""


def mirrored(answer, rig):
    """An object scaled by -1 looks as its picture does in a mirror: pose, face and sides."""
    mirror = kit.module("marionext.pose").mirror
    rig.animation_data_clear()
    rig.location = (0.0, 0.0, 0.0)
    bone = rig.pose.bones["mixamorig:LeftArm"]
    bone.rotation_euler = (0.9, 0.0, 0.4)
    bpy.context.view_layer.update()
    straight = record(times=(101,)).track
    rig.scale = (-1.0, 1.0, 1.0)
    bpy.context.view_layer.update()
    turned = record(times=(101,)).track
    expected = mirror(straight)
    both = (turned.scores[0, 0] > 0) & (expected.scores[0, 0] > 0)
    off = np.abs(turned.points[0, 0] - expected.points[0, 0]).max(axis=-1)
    answer["mirrored"] = float(off[both].max())
    answer["mirrored points"] = int(both.sum())
    answer["mirrored scores"] = float(np.abs(turned.scores - expected.scores).max())
    rig.scale = (1.0, 1.0, 1.0)


def edited(answer, scene, rig):
    jobs = kit.module("work.jobs")
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    answer["edit mode"] = raised(lambda: jobs.check(scene, "POSE_MAPS"))
    bpy.ops.object.mode_set(mode="OBJECT")
    recording, people = kit.module("scene.recording"), kit.module("scene.rig").people_of(scene)
    frames = kit.module("marionext.frames")
    moments = recording.Moments(
        times=tuple(map(Fraction, range(101, 105))), rate=frames.FrameRate.parse("24"), first=101
    )
    steps = recording.record_in_steps(scene, people, moments, SIZE)
    before = [next(steps), next(steps)]
    bpy.ops.object.mode_set(mode="EDIT")
    answer["edit mode meanwhile"] = raised(lambda: next(steps))
    bpy.ops.object.mode_set(mode="OBJECT")
    del before
    # The shape of the scene's frame is that of the beginning.
    whole = record(times=range(101, 105)).track
    steps = recording.record_in_steps(scene, people, moments, SIZE)
    next(steps)
    scene.render.resolution_x *= 3
    try:
        while True:
            next(steps)
    except StopIteration as end:
        answer["reframed"] = float(np.abs(end.value.track.points - whole.points).max())
    scene.render.resolution_x //= 3


def listeners(answer, scene):
    """Scripts that run at every frame are heard: what they do is part of the shot."""
    heard = []

    def listen(scene, *_graph):
        heard.append([scene.name, scene.frame_current])

    bpy.app.handlers.frame_change_post.append(listen)
    notes = record().notes
    answer["heard"] = heard[:3]
    answer["heard, notes"] = list(notes)
    bpy.app.handlers.frame_change_post.remove(listen)


def shape_keys(answer, rig):
    face = kit.make_face(rig)
    still = record(times=(101,)).track
    blink = face.shape_key_add(name="eyeBlinkLeft")
    blink.value = 1.0
    answer["blink"] = float(np.abs(record(times=(101,)).track.points - still.points).max())
    blink.mute = True
    answer["muted"] = float(np.abs(record(times=(101,)).track.points - still.points).max())
    bpy.data.objects.remove(face)


def presets_of_others(answer, scene):
    """A preset that is not on this computer: the file's own list of bones takes its place."""
    person = scene.marionext.people[0]
    here = kit.module("scene.rig").people_of(scene)[0].mapping.bones
    person.preset = "saved_by_a_colleague"
    there = kit.module("scene.rig").people_of(scene)[0].mapping.bones
    answer["preset elsewhere"] = dict(here) == dict(there)
    person.preset = ""
    title = "Twice"
    bpy.ops.marionext.save_preset(title=title)
    try:
        bpy.ops.marionext.save_preset(title=title)
        answer["saved twice"] = ""
    except RuntimeError as error:
        answer["saved twice"] = str(error)
    answer["replaced"] = sorted(bpy.ops.marionext.save_preset(title=title, replace=True))
    person.preset = ""


def instances(answer, scene):
    """A box in front of the legs hides them, as an object and as a collection's instance."""
    import bmesh

    mesh = bpy.data.meshes.new("Box")
    shape = bmesh.new()
    bmesh.ops.create_cube(shape, size=1.0)
    shape.to_mesh(mesh)
    shape.free()
    box = bpy.data.objects.new("Box", mesh)
    box.location, box.scale = (0.0, -1.0, 0.3), (2.0, 0.1, 0.6)
    scene.collection.objects.link(box)
    legs = [9, 10, 12, 13]

    def scores():
        recorded = record(times=(101,), rays=frozenset({"body"}))
        return float(recorded.track.scores[0, 0, legs].max()), recorded.notes

    bpy.context.view_layer.update()
    answer["box"] = scores()[0]
    collection = bpy.data.collections.new("Props")
    scene.collection.objects.unlink(box)
    collection.objects.link(box)
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    scene.collection.objects.link(empty)
    bpy.context.view_layer.update()
    answer["instance"] = scores()[0]
    bpy.data.objects.remove(empty)
    scene.collection.objects.link(box)
    box.hide_viewport = True
    hidden, notes = scores()
    answer["disabled"] = [hidden, list(notes)]
    bpy.data.objects.remove(box)
    answer["free"] = scores()[0]


def overlay(answer, scene, rig):
    watcher = kit.module("scene.live").Watcher()
    rig.hide_viewport = True
    bpy.context.view_layer.update()
    answer["overlay of a disabled rig"] = raised(
        lambda: watcher.look(scene, bpy.context.view_layer)
    )
    rig.hide_viewport = False
    bpy.context.view_layer.update()
    answer["overlay"] = raised(lambda: watcher.look(scene, bpy.context.view_layer))


def notes_reach_the_user(answer, scene, rig):
    rig.data.pose_position = "REST"
    bpy.ops.marionext.pose_maps(wait=True)
    item = bpy.context.window_manager.marionext.jobs[-1]
    answer["noted"] = [item.state, item.hint]
    rig.data.pose_position = "POSE"


def gone(answer, scene, rig):
    jobs = kit.module("work.jobs")
    scene.marionext.camera = "OBJECT"
    answer["no chosen camera"] = raised(lambda: jobs.check(scene, "POSE_MAPS"))
    scene.marionext.camera = "SCENE"
    for collection in list(rig.users_collection):
        collection.objects.unlink(rig)
    answer["deleted rig"] = raised(lambda: jobs.check(scene, "POSE_MAPS"))


def farm(answer, scene):
    """Frames of a farm: negative, with a step; what cannot be one range is refused."""
    background = kit.module("operators.command")
    settings = scene.marionext
    settings.output = str(kit.FOLDER / "farm")
    answer["farm"] = background.run(["pose-maps", "--frames", "-4--1:3"])
    folder = next((kit.FOLDER / "farm").iterdir())
    answer["farm files"] = sorted(path.name for path in (folder / "posemaps").iterdir())
    answer["farm refuses"] = background.run(["pose-maps", "--frames", "101,103-105"])


def story():
    kit.empty_file()
    kit.install()
    scene, rig = kit.make_scene()
    answer = {}
    listeners(answer, scene)
    edited(answer, scene, rig)
    shape_keys(answer, rig)
    presets_of_others(answer, scene)
    instances(answer, scene)
    overlay(answer, scene, rig)
    notes_reach_the_user(answer, scene, rig)
    farm(answer, scene)
    mirrored(answer, rig)
    gone(answer, scene, rig)
    return answer


kit.run(story)
