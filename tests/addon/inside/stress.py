"""In a real window: timers open, make and leave files, and undo, while jobs are at work."""

import json
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit

ANSWER = {"stages": []}


def scene_to_render():
    scene, _ = kit.make_scene()
    scene.marionext.model, scene.marionext.output = "doll", str(kit.FOLDER / "renders")
    scene.frame_end = 160
    return scene


def until(ready, seconds=120):
    end = time.monotonic() + seconds
    while not ready() and time.monotonic() < end:
        yield 0.05


def view():
    areas = bpy.context.window_manager.windows[0].screen.areas
    return next(area for area in areas if area.type == "VIEW_3D")


def runner():
    return kit.module("work.runner").runner


def started():
    """Start a render and wait until it is at work; each time it is left at another stage."""
    bpy.ops.marionext.render()
    return list(runner().renders.values())[-1]


def steps():
    kit.empty_file()
    yield
    kit.install()
    scene_to_render()
    path = str(kit.FOLDER / "shot.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    yield
    stages = {
        "queued": lambda render: render.preparation is None,
        "running": lambda render: render.frames_done > 2 or not render.is_open,
    }
    leave = {
        "open": lambda: bpy.ops.wm.open_mainfile(filepath=path),
        "new": lambda: bpy.ops.wm.read_homefile(use_empty=True),
        "undo": bpy.ops.ed.undo,
    }
    for stage, name in (
        ("recording", "open"),
        ("recording", "undo"),
        ("queued", "new"),
        ("running", "open"),
        ("running", "undo"),
    ):
        bpy.ops.wm.open_mainfile(filepath=path)
        yield
        bpy.ops.ed.undo_push(message="before")
        bpy.data.objects["Rig"].location.z += 0.1
        bpy.ops.ed.undo_push(message="moved")
        render = started()
        if stage != "recording":
            yield from until(lambda render=render, stage=stage: stages[stage](render))
        # As a script does it: from a timer, outside any window's context.
        with suppress(RuntimeError):
            leave[name]()
        # The runner's own timer goes on in a file without windows of its own yet.
        runner().pump()
        yield 0.1
        runner().pump()
        ANSWER["stages"].append([stage, name, render.state])
        runner().cancel(render)
        yield from until(lambda render=render: not render.is_open)
    # A failure is noticed: in the status bar, by the sidebar, in the list.
    bpy.ops.wm.open_mainfile(filepath=path)
    yield 0.2
    view().spaces.active.show_region_ui = False
    yield 0.2
    render = started()
    yield from until(lambda: render.frames_done > 0 or not render.is_open)
    process = runner().engine.pid
    if process:
        os.kill(process, 9)
    yield from until(lambda: not render.is_open)
    yield 0.3
    session = bpy.context.window_manager.marionext
    ANSWER["failed"] = [render.state, session.notice == render.job_id]
    ANSWER["sidebar"] = bool(view().spaces.active.show_region_ui)
    ANSWER["selected"] = session.jobs[session.job_index].job_id == render.job_id
    if kit.REQUEST.get("picture"):
        yield 1.0
        os.system(f"import -window root {kit.REQUEST['picture']}")
    bpy.ops.marionext.dismiss()
    ANSWER["dismissed"] = session.notice
    render = started()
    yield from until(lambda: render.preparation is None)


telling = steps()


def tell():
    try:
        wait = next(telling)
    except StopIteration:
        ANSWER["error"] = ""
    except BaseException:
        ANSWER["error"] = traceback.format_exc()
    else:
        return wait or 0.05
    Path(kit.REQUEST["answer"]).write_text(json.dumps(ANSWER))
    # With a render at work, as somebody quits who is in a hurry.
    bpy.ops.wm.quit_blender()
    return None


bpy.app.timers.register(tell, first_interval=1.0, persistent=True)
