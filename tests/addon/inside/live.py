"""The live preview without a window: what is asked, what is shown, what is left behind."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit
import numpy as np


def session():
    return bpy.context.window_manager.marionext


def live():
    return kit.module("work.live")


def preview():
    return live().previews[0]


def pump_for(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        live().pump()
        time.sleep(0.01)


def pump_until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        live().pump()
        if time.monotonic() > end:
            raise AssertionError([session().live, session().live_message, session().live_hint])
        time.sleep(0.005)


def pixels():
    image = live().image_or_none()
    found = np.empty(image.size[0] * image.size[1] * 4, dtype=np.float32)
    image.pixels.foreach_get(found)
    rows = found.reshape(image.size[1], image.size[0], 4)[::-1, :, :3]
    return np.round(rows * 255).astype(np.uint8)


def next_picture():
    before = preview().shown
    pump_until(lambda: not live().previews or preview().shown > before)


def handlers():
    """Name every handler of the preview that is there while it is on."""
    found = [*bpy.app.handlers.frame_change_post, *bpy.app.handlers.depsgraph_update_post]
    return [each.__name__ for each in found if "live" in each.__module__]


def left():
    images = [image.name for image in bpy.data.images if "Marionext" in image.name]
    return [*images, *handlers(), *[str(preview().folder) for _ in live().previews]]


def on():
    session().live = True
    if session().live:
        next_picture()


def scrubbed(scene):
    """Scrub; return how far pictures differ and how late each was."""
    changes, lags = [], []
    before = pixels()
    for frame in (102, 103, 104, 103, 102):
        scene.frame_set(frame)
        next_picture()
        lags.append(preview().lag)
        after = pixels()
        changes.append(int((np.abs(after.astype(int) - before).max(axis=-1) > 20).sum()))
        before = after
    return changes, lags


def recorded(scene):
    """Return how far the poses that the fit is measured on are from those of a render."""
    recording, rig = kit.module("scene.recording"), kit.module("scene.rig")
    shots, formats = kit.module("work.shots"), kit.module("marionext.pose.formats")
    shot = shots.shot_of(scene, "DRAFT")
    moments = recording.Moments(times=shot.times, rate=shot.rate, first=shot.first)
    whole = recording.record(scene, rig.people_of(scene), moments, shot.size, fit=shot.fit).track
    measured = formats.read_native(Path(preview().motion))
    return [list(whole.points.shape), float(np.abs(whole.points - measured.points).max())]


def edited(scene):
    """Return how far what is asked is from what a render makes of edits, and what became of it."""
    pose, edits_of = kit.module("marionext.pose"), kit.module("scene.edits").edits_of
    recording, rig = kit.module("scene.recording"), kit.module("scene.rig")
    shots = kit.module("work.shots")
    add, edits = bpy.ops.marionext.edit_add, scene.marionext.edits
    before = preview().shown
    add(kind="HIDE")
    pump_until(lambda: not session().live or preview().shown > before)
    everybody = [session().live, session().live_message, max(preview().asked.scores[0])]
    edits[0].limbs = {"left_hand"}
    add(kind="HOLD")
    edits[1].limbs, edits[1].limited = {"right_arm"}, True
    edits[1].start, edits[1].end = 102, 104
    add(kind="SMOOTH")
    edits[2].reach = 2
    add(kind="MOVE")
    edits[3].by, edits[3].limbs = (6.0, 4.0), {"head"}
    add(kind="MIRROR")
    pump_until(lambda: preview().recorded is not None and handlers_are_calm())
    shot = shots.shot_of(scene, "DRAFT")
    moments = recording.Moments(times=shot.times, rate=shot.rate, first=shot.first)
    whole = recording.record(scene, rig.people_of(scene), moments, shot.size, fit=shot.fit).track
    wanted = pose.apply(whole, edits_of(scene, shot.size))
    apart, same_scores = [], []
    for frame in (101, 103, 104):
        scene.frame_set(frame)
        next_picture()
        asked, row = preview().asked, frame - 101
        apart.append(float(np.abs(np.array(asked.points) - wanted.points[row]).max()))
        same_scores.append(bool(np.allclose(asked.scores, wanted.scores[row], atol=1e-3)))
        apart.append(float(np.abs(np.array(asked.depths) - wanted.depths[row]).max()))
    add(kind="MOVE")
    edits[5].person = 2
    pump_until(lambda: session().live_message != "")
    told = [session().live, session().live_message]
    while len(edits):
        bpy.ops.marionext.edit_remove()
    next_picture()
    pump_for(0.5)
    rests = bool(np.allclose(preview().asked.points, whole.points[3], atol=0.01))
    return [everybody, max(apart), all(same_scores), told, rests, session().live_message]


def story():
    answer = {}
    kit.empty_file()
    kit.install()
    scene, rig = kit.make_scene()
    scene.marionext.character = ""
    session().live = True
    answer["without character"] = [session().live, session().live_message, left()]
    scene.marionext.character = str(
        Path(kit.REQUEST["root"]) / "presets" / "characters" / "hero.png"
    )
    on()
    answer["on"] = [session().live, session().live_message, sorted(handlers())]
    answer["size"] = list(live().image_or_none().size)
    answer["changes"], answer["lags"] = scrubbed(scene)
    codec = kit.module("marionext.codec")
    motion = kit.FOLDER / "measured.npz"
    motion.write_bytes(Path(preview().motion).read_bytes())
    answer["asked"] = {**codec.encode(preview().asked), "motion": str(motion)}
    np.save(kit.FOLDER / "shown.npy", pixels())
    answer["recorded"] = recorded(scene)

    shown = preview().shown
    pump_for(2.5)
    answer["idle"] = [preview().shown - shown, preview().measuring.count, handlers_are_calm()]

    bone = rig.pose.bones["mixamorig:LeftForeArm"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler = (0.0, 0.0, 1.2)
    bpy.context.view_layer.update()
    next_picture()
    pump_for(0.5)
    answer["after a bone"] = preview().measuring.count
    pump_until(lambda: preview().measuring.count == 2)
    scene.marionext.fit = "LETTERBOX"
    pump_until(lambda: preview().measuring.count == 3)
    bone.keyframe_insert("rotation_euler", frame=scene.frame_current)
    bpy.context.view_layer.update()
    preview().measuring.note_change()  # handlers need a window's loop
    pump_until(lambda: preview().measuring.count == 4)
    pump_for(2.5)
    answer["after a key"] = preview().measuring.count

    answer["edited"] = edited(scene)

    saved = kit.FOLDER / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(saved))
    copy = shutil.copy(saved, kit.FOLDER / "copy.blend")  # a file cannot be looked into from itself
    with bpy.data.libraries.load(str(copy)) as (inside, _):
        answer["images in the file"] = list(inside.images)
    answer["after saving"] = [session().live, live().image_or_none() is not None]

    runner = kit.module("work.runner").runner
    # While a question is open: one that is asked later starts the engine anew.
    os.kill(runner.engine.pid, signal.SIGSTOP)
    scene.frame_set(101)
    pump_until(lambda: preview().pictures.waiting)
    os.kill(runner.engine.pid, signal.SIGKILL)
    pump_until(lambda: not session().live)
    answer["dead engine"] = [session().live_message.split("(")[0], left()]

    on()
    folder = preview().folder
    bpy.ops.wm.open_mainfile(filepath=str(saved))
    answer["another file"] = [session().live, session().live_message, left(), folder.is_dir()]

    on()
    folder, pid = preview().folder, kit.module("work.runner").runner.engine.pid
    answer["slowest"] = preview().slowest
    bpy.ops.preferences.addon_disable(module=kit.package())
    images = [image.name for image in bpy.data.images if "Marionext" in image.name]
    answer["disabled"] = [images, folder.is_dir(), alive(pid), sorted(handlers())]
    return answer


def handlers_are_calm():
    return not preview().measuring.busy and not preview().pictures.waiting


def alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


kit.run(story)
