"""What is told before a render: findings, framing, time and disk; and models from the sidebar."""

import sys
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit
import numpy as np


def fresh():
    bpy.ops.wm.read_homefile(use_empty=True)
    scene, rig = kit.make_scene()
    scene.frame_end = 112
    return scene, rig


def session():
    return bpy.context.window_manager.marionext


def found():
    """Check the shot and return what was found: words, and whether a render would be pointless."""
    bpy.ops.marionext.check_shot()
    return [[item.text, item.pointless] for item in session().findings]


def refused():
    """Return why the shot cannot be checked, or nothing."""
    try:
        bpy.ops.marionext.check_shot()
    except RuntimeError as error:
        return str(error)
    return ""


def findings(answer):
    fresh()
    answer["as made"] = found()
    scene, rig = fresh()
    scene.frame_end = 200
    answer["too long"] = found()
    scene, rig = fresh()
    scene.camera.location.x = 40.0
    answer["elsewhere"] = found()
    scene, rig = fresh()
    rig.location.x = 6.0
    rig.keyframe_insert("location", frame=112)
    answer["walks out"] = found()
    scene, rig = fresh()
    rig.animation_data_clear()
    answer["still"] = found()
    scene, rig = fresh()
    scene.camera.location.y = -80.0
    answer["far, scaled"] = found()
    scene.camera.location.y = -400.0
    answer["very far, scaled"] = found()
    scene.camera.location.y = -80.0
    scene.marionext.pose_fit = "none"
    answer["far, as it is"] = found()
    scene, rig = fresh()
    elsewhere = bpy.data.scenes.new("Elsewhere")
    elsewhere.camera = scene.camera
    elsewhere.frame_start, elsewhere.frame_end = 101, 112
    for name in ("character", "model", "size_preset", "width", "height"):
        setattr(elsewhere.marionext, name, getattr(scene.marionext, name))
    elsewhere.marionext.people.add().armature = rig
    with bpy.context.temp_override(scene=elsewhere):
        answer["rig of another scene"] = found()
    scene, rig = fresh()
    watcher, layer = kit.module("scene.live").Watcher(), bpy.context.view_layer
    before = watcher.look(scene, layer)
    scene.collection.objects.unlink(rig)
    try:
        watcher.look(scene, layer)
    except Exception as error:
        answer["looked at nobody"] = str(error)
    scene.collection.objects.link(rig)  # as undo does
    layer.update()
    again = watcher.look(scene, layer)
    answer["looked again"] = bool(np.allclose(again.views[0].pixels, before.views[0].pixels))
    bpy.ops.marionext.edit_add(kind="HIDE")
    edit = scene.marionext.edits[0]
    edit.limbs, edit.limited, edit.start, edit.end = {"right_hand"}, True, 113, 120
    answer["edit of other frames"] = found()
    bpy.ops.marionext.pose_maps(wait=True)
    answer["edit in the job's notes"] = session().jobs[-1].hint
    edit.limited, edit.person = False, 2
    other = kit.make_rig("Other", x=0.5)
    scene.marionext.people.add().armature = other
    bpy.data.objects.remove(other)
    answer["edit of nobody"] = refused()
    scene.marionext.people[1].armature = kit.make_rig("Third", x=0.5)
    answer["edit of somebody"] = refused()
    # One who is deleted in the window lives on in the list.
    scene.collection.objects.unlink(scene.marionext.people[0].armature)
    answer["the second alone"] = refused()
    bpy.ops.marionext.pose_maps(wait=True)
    folder = Path(session().jobs[-1].folder)
    track = kit.module("marionext.pose.formats").read_native(folder / "motion.npz")
    answer["people left"] = [
        track.people,
        kit.module("scene.edits").edits_of(scene, (9, 9))[0].person,
    ]
    scene, rig = fresh()
    bpy.ops.marionext.edit_add(kind="HIDE")
    answer["edited away"] = found()
    edit = scene.marionext.edits[0]
    edit.kind, edit.by = "MOVE", (0.0, 90.0)
    edit.limited, edit.start, edit.end = True, 101, 103
    answer["edited out"] = found()
    scene, rig = fresh()
    mesh = bpy.data.meshes.new("Wall")
    mesh.from_pydata([(-4, -1, -4), (4, -1, -4), (4, -1, 4), (-4, -1, 4)], [], [(0, 1, 2, 3)])
    scene.collection.objects.link(bpy.data.objects.new("Wall", mesh))
    scene.marionext.occlusion_body = scene.marionext.occlusion_hands = True
    scene.marionext.occlusion_face = True
    answer["behind a wall"] = found()
    with suppress(RuntimeError):
        bpy.ops.marionext.pose_maps(wait=True)
    answer["in the job's notes"] = session().jobs[-1].hint


def estimate(answer):
    scene, _ = fresh()
    checking = kit.module("work.checking")
    bpy.ops.marionext.check_shot()
    end = time.monotonic() + 120
    while "..." in session().estimate and time.monotonic() < end:
        checking._follow()
        time.sleep(0.05)
    answer["estimate"] = session().estimate
    answer["current"] = checking.is_current(scene)
    scene.frame_end = 110
    answer["current after a change"] = checking.is_current(scene)
    kit.module("work.runner").runner.engine.close(timeout=5.0)


def seen(scene, camera=None):
    """Return how far the outermost joint is from the picture's edges, in shares of its size."""
    recording, frames = kit.module("scene.recording"), kit.module("marionext.frames")
    choices = kit.module("scene.choices")
    times = range(scene.frame_start, scene.frame_end + 1)
    moments = recording.Moments(
        times=tuple(map(Fraction, times)), rate=frames.FrameRate.parse("24"), first=101
    )
    people = kit.module("scene.rig").people_of(scene)
    size = choices.render_size(scene)
    fit = scene.marionext.fit
    track = recording.record(scene, people, moments, size, camera=camera, fit=fit).track
    body = track.points[:, :, :18] / np.array(size)
    assert track.scores[:, :, :18].max() > 0
    return [float(body.min()), float(body.max())]


def add_stray_bones(rig):
    """Give a rig a last bone that ends far away, as importers guess it, and a control off it."""
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for name, parent, head, tail in (
        ("mixamorig:HeadTop_End", "Head", (0, 0, 1.75), (0, 0, 90.0)),
        ("pole", None, (0, 30.0, 0), (0, 31.0, 0)),
    ):
        bone = rig.data.edit_bones.new(name)
        bone.head, bone.tail = head, tail
        bone.parent = parent and rig.data.edit_bones[f"mixamorig:{parent}"]
    bpy.ops.object.mode_set(mode="OBJECT")


def cameras(answer):
    scene, _ = fresh()
    other = kit.make_rig("Other", x=1.5, sway=-1.0)
    add_stray_bones(other)
    scene.marionext.people.add().armature = other
    bpy.data.objects.remove(scene.camera)
    answer["no camera"] = scene.camera is None
    bpy.ops.marionext.add_camera()
    answer["added"] = seen(scene)
    turn = scene.camera.matrix_world.to_3x3()
    answer["in front"] = [scene.camera.location.y < -1, abs(turn.col[2].x) < 0.2]
    scene.render.resolution_x = 1280
    scene.marionext.fit = "LETTERBOX"
    kinds = {
        "side": {},
        "shift": {"shift_x": 0.2, "shift_y": -0.1},
        "ortho": {"type": "ORTHO", "ortho_scale": 0.3},
        "long": {"lens": 200.0},
    }
    for name, data in kinds.items():
        camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        camera.location, camera.rotation_euler = (0.1, 0.1, 1.0), (1.3, 0.1, 0.8)
        for key, value in data.items():
            setattr(camera.data, key, value)
        scene.collection.objects.link(camera)
        scene.camera = camera
        bpy.context.view_layer.update()
        bpy.ops.marionext.frame_character()
        answer[f"framed {name}"] = seen(scene)
    scene.camera.keyframe_insert("location", frame=101)
    other.scale = [0.01] * 3
    scene.marionext.people.remove(0)
    bpy.ops.marionext.add_camera()
    answer["added, tiny"] = seen(scene)
    # What cannot be done changes nothing: a failed operator cannot be undone.
    there = len(bpy.data.objects)
    flat = bpy.data.objects["shift"]
    stood = flat.matrix_world.copy()
    for camera, scale in ((None, 1.0), (flat, 0.0)):
        scene.camera, flat.scale = camera, [scale] * 3
        other.scale = [1.0 - scale] * 3
        bpy.context.view_layer.update()
        try:
            bpy.ops.marionext.frame_character() if camera else bpy.ops.marionext.add_camera()
        except RuntimeError as error:
            answer[f"cannot, {scale:g}"] = str(error)
    flat.scale = [1.0] * 3
    bpy.context.view_layer.update()
    moved = np.abs(np.array(flat.matrix_world) - np.array(stood)).max()
    answer["unchanged"] = [len(bpy.data.objects) == there, float(moved)]
    scene.camera = bpy.data.objects["long"]
    try:
        bpy.ops.marionext.frame_character()
    except RuntimeError as error:
        answer["animated"] = str(error)
    answer["left behind"] = [c.name for c in bpy.data.cameras if c.name.startswith("Marionext")]


def models(answer):
    fresh()
    bpy.ops.marionext.list_models(wait=True)
    rows = {row.name: row for row in session().models}
    answer["models"] = {name: [row.state, row.built_in, row.size] for name, row in rows.items()}
    answer["licence"] = rows["svd"].licence
    answer["offline"] = bpy.ops.marionext.fetch_model.poll()
    bpy.context.preferences.system.use_online_access = True
    try:
        bpy.ops.marionext.fetch_model(model="svd")  # as a script does
    except RuntimeError as error:
        answer["not accepted"] = str(error)
    empty = kit.FOLDER / "nothing"
    empty.mkdir()
    try:
        bpy.ops.marionext.take_model(model="svd", directory=str(empty), wait=True)
    except RuntimeError as error:
        answer["from an empty folder"] = str(error)
    row = next(row for row in session().models if row.name == "svd")
    answer["row of a failure"] = [row.busy, row.failed, bool(row.message)]
    bpy.ops.marionext.check_model(model="doll", wait=True)
    row = next(row for row in session().models if row.name == "doll")
    answer["checked"] = [row.busy, row.failed, row.message]


def problem(answer):
    """A report of a problem tells of it, and not of whose it is."""
    scene, rig = fresh()
    rig.name, scene.name = "Secret Hero", "Unannounced"
    bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / "hush.blend"))
    own = bpy.data.texts.new("Marionext Report")
    own.from_string("mine")
    scene.marionext.character = str(kit.FOLDER / "a client" / "nobody.png")
    try:
        bpy.ops.marionext.render(wait=True)
    except RuntimeError as error:
        answer["the problem"] = str(error)
    # Of somebody who is out of the shot by the time of the report.
    other = kit.make_rig("Classified")
    scene.marionext.people.add().armature = other
    bpy.context.view_layer.objects.active = other
    bpy.ops.object.mode_set(mode="EDIT")
    answer["another problem"] = refused()
    bpy.ops.object.mode_set(mode="OBJECT")
    scene.marionext.people.remove(1)
    for _ in range(2):
        bpy.ops.marionext.report_problem(wait=True)
    texts = [text for text in bpy.data.texts if text.name.startswith("Marionext Report")]
    answer["own text"] = [own.as_string().strip(), len(texts)]
    answer["report"] = next(text for text in texts if text != own).as_string()
    links = kit.module("state.links")
    answer["manual"] = [str(links.manual_or_none()), links.manual_or_none().read_text()]
    answer["website"] = [links.WEBSITE, bpy.ops.marionext.open_website.poll()]


def character(answer):
    """A picture from words, by a model of random weights; and what the queue has to do."""
    scene, _ = fresh()
    try:
        bpy.ops.marionext.make_character(prompt=" ", wait=True)
    except RuntimeError as error:
        answer["no words"] = str(error)
    try:
        bpy.ops.marionext.make_character(prompt="a dancer", base="sd15", wait=True)
    except RuntimeError as error:
        answer["no model"] = str(error)
    scene.marionext.output = "//renders"
    bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / "made.blend"))
    base = kit.REQUEST["base"]
    bpy.ops.marionext.make_character(
        prompt="a dancer in red", folder=base, steps=1, posed=False, wait=True
    )
    chosen = Path(bpy.path.abspath(scene.marionext.character))
    answer["character"] = [chosen.is_file(), scene.marionext.character_source]
    # As the button does it: the usual model, in this pose.
    usual = bpy.context.window_manager.operator_properties_last("marionext.make_character")
    answer["usual model"] = usual.base
    answer["in this pose"] = [True, True]
    if bpy.app.version >= (5, 0, 0):  # once: it takes ten seconds
        bpy.ops.marionext.make_character(prompt="-red", negative="-blue", steps=1, wait=True)
        posed = Path(bpy.path.abspath(scene.marionext.character))
        answer["in this pose"] = [posed != chosen, posed.with_suffix(".pose.npz").is_file()]
    bpy.data.objects.remove(scene.camera)
    try:
        bpy.ops.marionext.make_character(prompt="a dancer", wait=True)
    except RuntimeError as error:
        answer["no camera to pose for"] = str(error)
    folders = [path for path in chosen.parents[2].iterdir() if path.is_dir()]
    answer["left of that"] = [path.name for path in folders if not list(path.iterdir())]
    try:
        bpy.ops.marionext.make_character(prompt="a dancer", folder=str(kit.FOLDER), wait=True)
    except RuntimeError as error:
        answer["no such base"] = str(error)
    bpy.ops.marionext.queue_state(wait=True)
    answer["queue"] = session().queue_state


def story():
    kit.empty_file()
    kit.install()
    answer = {}
    findings(answer)
    estimate(answer)
    cameras(answer)
    models(answer)
    problem(answer)
    character(answer)
    return answer


kit.run(story)
