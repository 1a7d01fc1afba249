"""In a real window: a render runs on Blender's own timer while the animator undoes and saves."""

import json
import os
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit

ANSWER = {}


def steps():
    """Do one thing after another; between two of them Blender draws and its timers run."""
    kit.empty_file()
    yield
    kit.install()
    scene, rig = kit.make_scene()
    scene.marionext.steps = 4
    scene.marionext.output = str(kit.FOLDER / "renders")
    yield
    bpy.ops.ed.undo_push(message="before")
    rig.location.z = 0.5
    bpy.ops.ed.undo_push(message="moved")
    runner = kit.module("work.runner").runner
    started = time.perf_counter()
    ANSWER["operator"] = sorted(bpy.ops.marionext.render())
    ANSWER["operator ms"] = 1000 * (time.perf_counter() - started)
    ANSWER["state at once"] = bpy.context.window_manager.marionext.jobs[0].state
    render = next(iter(runner.renders.values()))
    yield from until(lambda: render.preparation is None)
    bpy.ops.ed.undo()
    yield
    # Undo has replaced every object: the scene is looked up anew.
    scene = bpy.context.scene
    session = bpy.context.window_manager.marionext
    ANSWER["undone"] = bpy.data.objects["Rig"].location.z < 0.25
    ANSWER["jobs after undo"] = [item.state for item in session.jobs]
    yield from until(lambda: render.progress > 0.2)
    bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / "shot.blend"))
    ANSWER["scenes"] = [each.name for each in bpy.data.scenes]
    yield from until(lambda: not render.is_open)
    yield
    ANSWER["ended"] = [[item.state, item.message] for item in session.jobs]
    ANSWER["progress"] = session.jobs[0].progress
    ANSWER["preview"] = Path(session.jobs[0].preview).is_file()
    scene.frame_set(103)
    ANSWER["shown"] = sorted(bpy.ops.marionext.show_result())
    yield
    editor = next(
        area.spaces.active
        for area in bpy.context.window.screen.areas
        if area.type == "IMAGE_EDITOR"
    )
    yield from pause(0.5)
    ANSWER["image"] = [
        editor.image.source,
        list(editor.image.size),
        editor.image_user.frame_current,
    ]
    shown = editor.image.filepath_from_user(image_user=editor.image_user)
    ANSWER["image file"] = Path(shown).name
    ANSWER["background"] = sorted(bpy.ops.marionext.camera_background())
    yield from undo_of_showing()
    ANSWER["slowest"] = 1000 * runner.slowest
    ANSWER["slowest of own"] = 1000 * runner.slowest_of_own
    yield from pause(1.0)
    if kit.REQUEST.get("picture"):
        os.system(f"import -window root {kit.REQUEST['picture']}")


def undo_of_showing():
    """Move something, show the result, undo once; then the same with the overlay's switch."""
    bpy.data.objects["Rig"].location.z = 0.75
    bpy.ops.ed.undo_push(message="Moved again")
    for image in list(bpy.data.images):
        bpy.data.images.remove(image)
    bpy.ops.ed.undo_push(message="Without pictures")
    bpy.ops.marionext.show_result("EXEC_DEFAULT", True)  # as a button does, with its undo step
    yield
    bpy.ops.ed.undo()
    yield
    pictures = [image.name for image in bpy.data.images if image.source == "SEQUENCE"]
    ANSWER["undone showing"] = [round(bpy.data.objects["Rig"].location.z, 3), pictures]
    overlay = kit.module("ui.overlay")
    bpy.ops.ed.undo_push(message="Overlay off")
    bpy.context.scene.marionext.overlay = True
    bpy.ops.ed.undo_push(message="Overlay on")
    on = [bpy.context.scene.marionext.overlay, overlay.shown()]
    bpy.ops.ed.undo()
    yield
    ANSWER["overlay after undo"] = [*on, bpy.context.scene.marionext.overlay, overlay.shown()]


def until(condition, seconds=300.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            runner = kit.module("work.runner").runner
            raise AssertionError([(r.state, r.message, r.hint) for r in runner.renders.values()])
        yield


def pause(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


STEPS = steps()


def go():
    window = bpy.context.window_manager.windows[0]
    area = max(window.screen.areas, key=lambda area: area.width * area.height)
    region = next(region for region in area.regions if region.type == "WINDOW")
    try:
        with bpy.context.temp_override(window=window, area=area, region=region):
            next(STEPS)
    except StopIteration:
        Path(kit.REQUEST["answer"]).write_text(json.dumps(ANSWER), encoding="utf-8")
        bpy.ops.wm.quit_blender()
        return None
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)
    return 0.02


bpy.app.timers.register(go, first_interval=0.5, persistent=True)
