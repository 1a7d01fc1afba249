"""A Rigify human that this test generates is recorded; Blender's own functions say where it is."""

import sys
from fractions import Fraction
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]
import bpy
import kit
import numpy as np
from bpy_extras.object_utils import world_to_camera_view

SIZE = (576, 1024)
JOINTS = {
    "right_upper_arm": 2, "right_forearm": 3, "right_hand": 4,
    "left_upper_arm": 5, "left_forearm": 6, "left_hand": 7,
    "right_thigh": 8, "right_shin": 9, "right_foot": 10,
    "left_thigh": 11, "left_shin": 12, "left_foot": 13,
    **{f"left_{finger}_{joint}": 92 + 4 * number + joint
       for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"))
       for joint in (1, 2, 3)},
    **{f"right_{finger}_{joint}": 113 + 4 * number + joint
       for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"))
       for joint in (1, 2, 3)},
}  # fmt: skip
"""Keypoints that sit exactly at the head of the bone with that role."""


def moments(times, rate="24", first=101):
    recording = kit.module("scene.recording")
    frames = kit.module("marionext.frames")
    return recording.Moments(
        times=tuple(Fraction(time) for time in times),
        rate=frames.FrameRate.parse(rate),
        first=first,
    )


def seen_by_blender(scene, camera, heads, size, fit):
    """Return where Blender itself sees places of one frame: (joints, 2)."""
    cameras = kit.module("scene.cameras")
    left, top, width, height = cameras.frame_in_picture(cameras.Frame.of(scene), size, fit)
    row = []
    for place in heads:
        x, y, _ = world_to_camera_view(scene, camera, place)
        row.append((left + x * width, top + (1 - y) * height))
    return row


def heads_of(rig, person):
    return [rig.matrix_world @ rig.pose.bones[person.mapping.bones[role]].head for role in JOINTS]


def expected(scene, person, times, camera_at, size, fit):
    """Return where Blender itself sees the bones' heads: (frames, joints, 2)."""
    shown = scene.frame_current_final
    rows = []
    for time in times:
        whole = int(time // 1)
        scene.frame_set(whole, subframe=float(time - whole))
        graph = bpy.context.evaluated_depsgraph_get()
        heads = heads_of(person.armature.evaluated_get(graph), person)
        camera = camera_at(time).evaluated_get(graph)
        rows.append(seen_by_blender(scene, camera, heads, size, fit))
    scene.frame_set(int(shown // 1), subframe=shown % 1)
    return np.array(rows)


def error(scene, person, times, camera_at, *, size=SIZE, fit="CROP", camera=None):
    """Return how many pixels recorded keypoints are off at most."""
    recording = kit.module("scene.recording")
    recorded = recording.record(scene, [person], moments(times), size, fit=fit, camera=camera)
    points = recorded.track.points[:, 0][:, list(JOINTS.values())]
    return float(np.abs(points - expected(scene, person, times, camera_at, size, fit)).max())


def add_camera(name, place, turn, **data):
    camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    camera.location, camera.rotation_euler = place, turn
    for key, value in data.items():
        setattr(camera.data, key, value)
    bpy.context.scene.collection.objects.link(camera)
    return camera


def state():
    """Return what recording must leave alone."""
    scene = bpy.context.scene
    return {
        "frame": scene.frame_current_final,
        "scenes": sorted(item.name for item in bpy.data.scenes),
        "objects": sorted(item.name for item in bpy.data.objects),
        "meshes": sorted(item.name for item in bpy.data.meshes),
        "actions": sorted(item.name for item in bpy.data.actions),
        "selected": sorted(item.name for item in bpy.context.selected_objects),
        "users": {item.name: item.users for item in bpy.data.objects},
        "pose": [tuple(bone.matrix_basis[0]) for bone in bpy.data.objects["Dancer"].pose.bones],
        "window": bpy.context.window.scene.name if bpy.context.window else "",
    }


def cameras_of_all_kinds(scene, person, answer):
    scene.frame_set(110, subframe=0.5)
    times = [Fraction(221, 2)]
    kinds = {
        "plain": {},
        "shift": {"shift_x": 0.12, "shift_y": -0.07},
        "vertical": {"sensor_fit": "VERTICAL", "sensor_height": 19.0},
        "horizontal": {"sensor_fit": "HORIZONTAL", "sensor_width": 22.0},
        "ortho": {"type": "ORTHO", "ortho_scale": 3.1, "shift_x": 0.05},
    }
    render = scene.render
    for name, data in kinds.items():
        camera = add_camera(name, (0.7, -5.5, 1.4), (1.5, 0.05, 0.1), lens=42.0, **data)
        for shape, (resolution, aspect) in {
            "wide": ((1280, 720), (1, 1)),
            "tall": ((720, 1280), (1, 1)),
            "anamorphic": ((1440, 1080), (1.5, 1)),
        }.items():
            render.resolution_x, render.resolution_y = resolution
            render.pixel_aspect_x, render.pixel_aspect_y = aspect
            graph = bpy.context.evaluated_depsgraph_get()
            heads = heads_of(person.armature.evaluated_get(graph), person)
            for fit in ("CROP", "LETTERBOX"):
                recorded = kit.module("scene.recording").record(
                    scene, [person], moments(times), SIZE, fit=fit, camera=camera
                )
                points = recorded.track.points[0, 0, list(JOINTS.values())]
                wanted = seen_by_blender(scene, camera.evaluated_get(graph), heads, SIZE, fit)
                off = float(np.abs(points - np.array(wanted)).max())
                answer[f"camera {name} {shape} {fit}"] = off
    render.resolution_x, render.resolution_y = 1280, 720
    render.pixel_aspect_x = render.pixel_aspect_y = 1


def moving_cameras(scene, person, answer):
    """A dolly with animated lens on a parent, one that tracks, and markers that cut."""
    cart = bpy.data.objects.new("Cart", None)
    scene.collection.objects.link(cart)
    for frame, x in ((101, -1.0), (148, 1.5)):
        cart.location.x = x
        cart.keyframe_insert("location", frame=frame)
    dolly = add_camera("Dolly", (0, -5, 1), (1.57, 0, 0))
    dolly.parent = cart
    for frame, lens in ((101, 24.0), (148, 85.0)):
        dolly.data.lens = lens
        dolly.data.keyframe_insert("lens", frame=frame)
    track = dolly.constraints.new("TRACK_TO")
    track.target, track.subtarget = person.armature, "DEF-spine.003"
    dolly.hide_viewport = True  # the monitor icon: common, and must not freeze it
    side = add_camera("Side", (4, -1, 1.2), (1.57, 0, 1.3), type="ORTHO", ortho_scale=2.5)
    for frame, camera in ((105, dolly), (120, side), (140, dolly)):
        scene.timeline_markers.new(camera.name, frame=frame).camera = camera

    def cut(time):
        return side if 120 <= time < 140 else dolly

    times = [Fraction(101), Fraction(104), Fraction(359, 3), Fraction(120), Fraction(139), 140]
    dolly.hide_viewport = False  # Blender's own function needs it evaluated
    wanted = expected(scene, person, times, cut, SIZE, "CROP")
    dolly.hide_viewport = True
    recorded = kit.module("scene.recording").record(scene, [person], moments(times), SIZE)
    points = recorded.track.points[:, 0][:, list(JOINTS.values())]
    answer["moving cameras"] = float(np.abs(points - wanted).max())
    answer["parallel"] = recorded.camera.parallel.tolist()
    for marker in list(scene.timeline_markers):
        scene.timeline_markers.remove(marker)


def hard_rigs(scene, person, answer):
    """Parents, scale, NLA, a hidden armature, and an object lying on its side."""
    rig = person.armature
    camera = scene.camera
    times = [Fraction(101), Fraction(235, 2), Fraction(148)]

    def one(_):
        return camera

    answer["rig plain"] = error(scene, person, times, one)
    parent = bpy.data.objects.new("Carrier", None)
    scene.collection.objects.link(parent)
    parent.scale = (0.6, 0.6, 0.6)
    for frame, turn in ((101, 0.0), (148, 1.2)):
        parent.rotation_euler.z = turn
        parent.keyframe_insert("rotation_euler", frame=frame)
    rig.parent = parent
    answer["rig parented and scaled"] = error(scene, person, times, one)
    action = rig.animation_data.action
    track = rig.animation_data.nla_tracks.new()
    strip = track.strips.new("Dance", 101, action)
    strip.scale = 1.7
    rig.animation_data.action = None
    answer["rig in the NLA"] = error(scene, person, times, one)
    before = kit.module("scene.recording").record(scene, [person], moments(times), SIZE).track
    rig.hide_viewport = True
    hidden = kit.module("scene.recording").record(scene, [person], moments(times), SIZE).track
    answer["rig hidden"] = float(np.abs(hidden.points - before.points).max())
    rig.hide_viewport = False
    rig.hide_set(True)
    hidden = kit.module("scene.recording").record(scene, [person], moments(times), SIZE).track
    answer["rig with its eye closed"] = float(np.abs(hidden.points - before.points).max())
    rig.hide_set(False)
    rig.animation_data.nla_tracks.remove(track)
    rig.animation_data.action = action
    rig.parent = None
    # A hero who flies: the object lies on its side in every frame.
    upright = (
        kit.module("scene.recording").record(scene, [person], moments(times), SIZE).animations[0]
    )
    rig.rotation_euler = (1.5, 0.0, 0.0)
    lying = (
        kit.module("scene.recording").record(scene, [person], moments(times), SIZE).animations[0]
    )
    rest = [lying.rest_heads[lying.index(person.mapping.bones[r])] for r in ("head", "hips")]
    answer["rest stands up"] = float((rest[0] - rest[1])[2] / np.linalg.norm(rest[0] - rest[1]))
    answer["same stature"] = abs(lying.height / upright.height - 1)
    rig.rotation_euler = (0.0, 0.0, 0.0)


def leaves_no_trace(scene, person, answer):
    recording = kit.module("scene.recording")
    errors = kit.module("marionext.errors")
    scene.frame_set(117, subframe=0.25)
    before = state()
    recorded = recording.record(scene, [person], moments(range(101, 113)), SIZE)
    answer["untouched"] = state() == before
    steps = recording.record_in_steps(scene, [person], moments(range(101, 113)), SIZE)
    seen = []
    between = []
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            again = end.value
            break
        seen.append((progress.done, progress.total))
        between.append(scene.frame_current_final)
    answer["untouched in pieces"] = state() == before
    answer["frame while recording"] = sorted(set(between))
    answer["progress"] = seen[:2] + seen[-1:]
    answer["pieces agree"] = bool((again.track.points == recorded.track.points).all())
    # Closed half-way, and an error half-way.
    steps = recording.record_in_steps(scene, [person], moments(range(101, 113)), SIZE)
    next(steps)
    next(steps)
    steps.close()
    answer["untouched after closing"] = state() == before
    steps = recording.record_in_steps(scene, [person], moments(range(101, 113)), SIZE)
    next(steps)
    person.armature.name = "Renamed"
    try:
        next(steps)
        answer["error"] = "none"
    except errors.MotionError as problem:
        answer["error"] = str(problem)
    person.armature.name = "Dancer"
    answer["untouched after an error"] = state() == before
    # A scene lost half-way, as undo loses it, is made again.
    steps = recording.record_in_steps(scene, [person], moments(range(101, 113)), SIZE)
    for _ in range(4):
        next(steps)
    kit.module("scene.temporary").sweep()
    answer["untouched after a sweep"] = state() == before
    try:
        while True:
            next(steps)
    except StopIteration as end:
        answer["goes on after a sweep"] = bool(
            (end.value.track.points == recorded.track.points).all()
        )
    # Saving meanwhile must not save the temporary scene.
    steps = recording.record_in_steps(scene, [person], moments(range(101, 113)), SIZE)
    for _ in range(3):
        next(steps)
    path = str(kit.FOLDER / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
    with bpy.data.libraries.load(path) as (there, _):
        answer["saved scenes"] = list(there.scenes)
    steps.close()


def numbers(scene, person, answer):
    recording = kit.module("scene.recording")
    times = [101 + Fraction(2, 5) * index for index in range(20)]
    recorded = recording.record(scene, [person], moments(times, rate="60", first=101), SIZE)
    answer["track"] = [recorded.track.first, str(recorded.track.rate), len(recorded.track)]
    answer["animation"] = [recorded.animations[0].first, str(recorded.animations[0].rate)]
    path = recorded.write(kit.FOLDER / "written")
    formats = kit.module("marionext.pose.formats")
    motion = kit.module("marionext.motion")
    read = formats.read_track(path)
    answer["written"] = bool((read.points == recorded.track.points).all())
    rig = motion.read_animation(path.parent / "rig_1.npz")
    answer["rig file"] = [rig.source, rig.camera is not None, len(rig)]
    # The animation alone gives the same keypoints, with the engine's own detection.
    track = motion.project(rig, motion.map_rig(rig), rig.camera, SIZE)
    answer["same from the rig file"] = float(
        np.abs(track.points[:, 0] - recorded.track.points[:, 0]).max()
    )


def story():
    kit.empty_file()
    kit.install()
    kit.dancer()
    scene = bpy.context.scene
    dancer = bpy.data.objects["Dancer"]
    rig = kit.module("scene.rig")
    report = rig.inspect(dancer)
    person = rig.Person(dancer, report.mapping)
    answer = {"convention": report.convention, "body": report.body, "hands": report.hands}
    leaves_no_trace(scene, person, answer)
    numbers(scene, person, answer)
    cameras_of_all_kinds(scene, person, answer)
    hard_rigs(scene, person, answer)
    moving_cameras(scene, person, answer)
    return answer


kit.run(story)
