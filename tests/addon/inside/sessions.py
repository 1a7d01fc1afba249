"""Files are opened and left, settings changed, the add-on switched off and on, amid open jobs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit
import numpy as np


def runner():
    return kit.module("work.runner").runner


def add(scene, kind="RENDER"):
    folders = kit.module("work.folders")
    folder = folders.new_folder(folders.output_root(scene), scene, kind)
    return runner().add(scene, kind, folder)


def told(render):
    return [render.state, render.message, render.hint]


def listed():
    return [[item.name, item.state] for item in bpy.context.window_manager.marionext.jobs]


def refused(render):
    try:
        runner().retry(render)
    except kit.module("marionext.errors").SettingsError as error:
        return str(error)
    return ""


def make_files():
    """Write two files with a scene of the same name, whose rigs move differently."""
    for name, sway in (("one", 1.0), ("two", -1.0)):
        bpy.ops.wm.read_homefile(use_empty=True)
        scene, rig = kit.make_scene()
        scene.marionext.output = "//renders"
        rig.location.x = 2.0 * sway
        rig.keyframe_insert("location", frame=101)
        bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / f"{name}.blend"))


def open_file(name):
    bpy.ops.wm.open_mainfile(filepath=str(kit.FOLDER / f"{name}.blend"))
    return bpy.context.scene


def leave_while_recording(answer):
    scene = open_file("one")
    scene.frame_end = 1100  # more than one step of recording has time for
    first, second = add(scene), add(scene)
    next(first.preparation)
    answer["recording"] = first.state
    open_file("two")
    answer["left"] = [told(first), told(second)]
    answer["elsewhere"] = refused(first)
    kit.pump_until(lambda: not any(r.is_open for r in runner().renders.values()), 30)
    answer["no job"] = not (Path(first.folder) / "job.json").exists()
    answer["left scenes"] = [each.name for each in bpy.data.scenes]
    open_file("one")
    runner().retry(first)
    kit.pump_until(lambda: first.preparation is None)
    track = kit.module("marionext.pose.formats").read_native(Path(first.folder) / "motion.npz")
    # The rig of this file stands right of the middle of the camera, that of the other left.
    answer["own file"] = float(track.points[:, 0, 1, 0].min() - track.size[0] / 2)
    runner().cancel(first)
    kit.pump_until(lambda: not first.is_open)


def settings_of_the_moment(answer):
    scene = open_file("two")
    settings = scene.marionext
    settings.steps, settings.seed = 1, 5
    one = add(scene)
    two = add(scene)
    settings.seed, scene.frame_end = 9, 102
    kit.pump_until(lambda: one.preparation is None and two.preparation is None)
    jobs = [json.loads((Path(r.folder) / "job.json").read_text()) for r in (one, two)]
    answer["seeds"] = [job["settings"]["seed"] for job in jobs]
    answer["counts"] = [r.frame_count for r in (one, two)]
    tracks = [np.load(Path(r.folder) / "motion.npz")["points"] for r in (one, two)]
    answer["recorded"] = [len(points) for points in tracks]
    kit.pump_until(lambda: not one.is_open and not two.is_open)
    answer["rendered"] = [[r.state, r.frames_done] for r in (one, two)]
    scene.frame_end = 104
    maps = add(scene, "POSE_MAPS")
    kit.pump_until(lambda: not maps.is_open)
    last = Path(maps.folder) / "posemaps" / "000104.png"
    last.write_bytes(b"")
    bpy.ops.wm.save_mainfile()
    return [one, two, maps]


def found_again(answer, renders):
    """Two scenes, several kinds, a lost picture, and a number that is another program's now."""
    scene = bpy.context.scene
    other = scene.copy()
    other.name = "Alternative"
    bpy.ops.wm.save_mainfile()
    for render in list(runner().renders.values()):
        runner().remove(render)
    half = Path(renders[1].folder)
    (half / "render.json").unlink()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    about = {"pid": stranger.pid, "born": "long ago", "host": os.uname().nodename}
    (half / "engine.json").write_text(json.dumps(about))
    open_file("two")
    runner().pump()
    found = {r.folder: r for r in runner().renders.values()}
    answer["again"] = [
        [r.kind, r.scene_name, r.state, r.frames_done, r.frame_count]
        for r in (found[render.folder] for render in renders)
    ]
    answer["stranger alive"] = stranger.poll() is None
    stranger.kill()
    open_file("one")
    answer["of the other file"] = [
        r.folder for r in runner().renders.values() if r.folder not in found
    ]
    answer["all"] = len(found)


def unreadable(answer, renders):
    """A record that is damaged, or of a newer version, is an error of its folder alone."""
    record = Path(renders[0].folder) / "render.json"
    whole = record.read_text()
    for name, text in (
        ("damaged", whole[: len(whole) // 2]),
        ("newer", re.sub(r'"version": \d+', '"version": 99', whole, count=1)),
    ):
        record.write_text(text)
        for render in list(runner().renders.values()):
            runner().remove(render)
        open_file("two")
        found = {render.folder: render for render in runner().renders.values()}
        answer[name] = [*told(found[renders[0].folder]), len(found)]
    record.write_text(whole)


def off_and_on(answer):
    scene = open_file("one")
    scene.marionext.steps = 12
    render = add(scene)
    kit.pump_until(lambda: render.progress > 0.2)
    bpy.ops.preferences.addon_disable(module=kit.package())
    bpy.ops.preferences.addon_enable(module=kit.package())
    answer["after enabling"] = listed()


def story():
    kit.empty_file()
    kit.install()
    answer = {}
    make_files()
    leave_while_recording(answer)
    renders = settings_of_the_moment(answer)
    found_again(answer, renders)
    unreadable(answer, renders)
    off_and_on(answer)
    return answer


kit.run(story)
