"""The overlay as a render draws it: edits, and the fit onto the character's picture."""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit
import numpy as np

FRAMES = range(101, 105)


def keypoints(scene):
    """Return what the camera sees now, as the overlay takes it."""
    shown = kit.module("scene.live").Watcher().look(scene, bpy.context.view_layer)
    points = np.stack([view.pixels[0] for view in shown.views]).astype(np.float32)
    scores = np.stack([view.scores[0] for view in shown.views]).astype(np.float32)
    return (points, scores), shown.size


def looked(drawn, scene, seconds=300.0):
    """Return the keypoints of the current frame as they are drawn, once they are known."""
    end = time.monotonic() + seconds
    while True:
        drawn.step(scene)
        found = drawn.at(scene, *keypoints(scene))
        if found is not None and not drawn.busy:
            return found
        assert time.monotonic() < end, (drawn.message, drawn.hint)
        time.sleep(0.005)


def told(drawn, scene, seconds=300.0):
    """Step until there is something to say, and return it."""
    end = time.monotonic() + seconds
    while not drawn.hint:
        drawn.step(scene)
        assert time.monotonic() < end, drawn.message
        time.sleep(0.005)
    return [drawn.message, drawn.at(scene, *keypoints(scene)) is None]


def step_for(drawn, scene, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        drawn.step(scene)
        time.sleep(0.01)


def kept(name, drawn, scene):
    """Keep what the overlay shows of all frames, and a job of the same."""
    step_for(drawn, scene, 0.3)  # settings are looked at now and then
    found = []
    for frame in FRAMES:
        scene.frame_set(frame)
        found.append(looked(drawn, scene))
    path = kit.FOLDER / f"{name}.npz"
    np.savez(path, points=[each[0] for each in found], scores=[each[1] for each in found])
    scene.marionext.queue_folder = str(kit.FOLDER / f"{name}-jobs")
    bpy.ops.marionext.send_to_queue(wait=True)
    return [str(path), str(next((kit.FOLDER / f"{name}-jobs").rglob("job.json")))]


def edited(scene):
    """Add edits from the panel and from a file."""
    add = bpy.ops.marionext.edit_add
    edits = scene.marionext.edits
    add(kind="HIDE")
    edits[0].limbs = {"left_hand", "left_arm"}
    add(kind="MOVE")
    edits[1].by, edits[1].limbs = (8.0, 5.0), {"head", "face"}
    edits[1].limited, edits[1].start, edits[1].end = True, 102, 103
    add(kind="SMOOTH")
    path = kit.FOLDER / "other.json"
    turn = {"kind": "transform", "frames": "103-104", "joints": ["right_leg"], "rotation": 10}
    move = {"kind": "offset", "joints": ["right_foot"], "by": [6, -3]}
    path.write_text(json.dumps({"pose": {"edits": [turn, move]}}), encoding="utf-8")
    add(kind="FILE", filepath=str(path))
    # Off, and so in no job; first, then last in the list.
    add(kind="MIRROR")
    edits[4].enabled = False
    order = [[edit.kind for edit in edits]]
    bpy.ops.marionext.edit_move(direction="UP")
    order.append([edit.kind for edit in edits])
    bpy.ops.marionext.edit_move(direction="DOWN")
    try:
        add(kind="FILE", filepath=str(kit.FOLDER / "request.json"))
    except RuntimeError as error:
        order.append(str(error))
    return order


def story():
    kit.empty_file()
    kit.install()
    answer = {}
    scene, rig = kit.make_scene()
    settings = scene.marionext
    drawn_room = kit.module("work.drawn")
    preferences = bpy.context.preferences.addons[kit.package()].preferences

    # Without a character or an engine it is said, and nothing else happens.
    character, settings.character = settings.character, ""
    drawn = drawn_room.Drawn()
    answer["no character"] = told(drawn, scene)
    settings.character = character
    preferences.engine = "/nowhere/python"
    drawn.step(scene)
    answer["no engine"] = told(drawn, scene)
    preferences.engine = ""

    for mode in ("linear", "limbs", "inside", "none"):
        settings.pose_fit = mode
        answer[mode] = kept(mode, drawn, scene)
    # A pose that is changed and not keyed is laid over the picture as it is.
    settings.pose_fit = "linear"
    scene.frame_set(103)
    before = looked(drawn, scene)[0]
    bone = rig.pose.bones["mixamorig:RightForeArm"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler = (0.0, 0.0, 1.2)
    bpy.context.view_layer.update()
    after = drawn.at(scene, *keypoints(scene))[0]
    changed = np.abs(after - before).max(axis=-1)[0]
    answer["moved"] = [float(changed[4]), float(changed[7])]
    # Once it is keyed and has rested, it is what a render draws again.
    for frame, angle in ((101, 0.0), (104, 1.2)):
        bone.rotation_euler = (0.0, 0.0, angle)
        bone.keyframe_insert("rotation_euler", frame=frame)
    scene.frame_set(103)
    drawn.note_change()
    step_for(drawn, scene, 1.5)
    answer["keyed"] = kept("keyed", drawn, scene)

    answer["order"] = edited(scene)
    answer["edited"] = kept("edited", drawn, scene)
    settings.occlusion_hands = True
    answer["with rays"] = kept("rays", drawn, scene)
    times = []
    for frame in (*FRAMES, *FRAMES):
        scene.frame_set(frame)
        now = keypoints(scene)
        started = time.perf_counter()
        drawn.at(scene, *now)
        times.append(time.perf_counter() - started)
    answer["milliseconds"] = 1000 * min(times)

    # A real render, whose pose maps are pictures of the same keypoints.
    settings.save_pose_maps = True
    bpy.ops.marionext.render(wait=True)
    answer["render"] = bpy.context.window_manager.marionext.jobs[-1].folder
    drawn.close()
    answer["scenes"] = len(bpy.data.scenes)

    # The switches.
    overlay = kit.module("ui.overlay")
    states = []
    for shown, as_drawn in ((True, False), (True, True), (False, True), (True, True)):
        settings.overlay, settings.overlay_drawn = shown, as_drawn
        states.append([bool(overlay._overlays), any(o.drawn for o in overlay._overlays)])
    answer["switches"] = states
    bpy.ops.preferences.addon_disable(module=kit.package())
    answer["left"] = [h.__name__ for h in bpy.app.handlers.depsgraph_update_post]
    return answer


kit.run(story)
