"""In a real window: the preview follows the timeline, playback and undo; a draft comes in."""

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
import numpy as np

ANSWER = {}


def session():
    return bpy.context.window_manager.marionext


def live():
    return kit.module("work.live")


def preview():
    return live().previews[0]


def handlers():
    found = [*bpy.app.handlers.frame_change_post, *bpy.app.handlers.depsgraph_update_post]
    return [each.__name__ for each in found if "live" in each.__module__]


def images():
    return [image.name for image in bpy.data.images if image.name.startswith("Marionext")]


def editor():
    areas = bpy.context.window.screen.areas
    return next(area.spaces.active for area in areas if area.type == "IMAGE_EDITOR")


def picture(name):
    if kit.REQUEST.get("pictures"):
        os.system(f"import -window root {kit.REQUEST['pictures']}/{name}.png")


def steps():
    kit.empty_file()
    yield
    kit.install()
    scene, rig = kit.make_scene()
    scene.marionext.size_preset = "MODEL"
    area = next(area for area in bpy.context.window.screen.areas if area.type == "VIEW_3D")
    area.spaces.active.region_3d.view_perspective = "CAMERA"
    area.spaces.active.show_region_ui = True
    for panel in area.regions:
        if panel.type == "UI" and hasattr(panel, "active_panel_category"):
            with suppress(AttributeError):  # it cannot be set before Blender 4.2
                panel.active_panel_category = "Marionext"
    yield
    bpy.ops.ed.undo_push(message="before")
    session().live = True
    yield from until(lambda: live().previews and preview().shown)
    bpy.ops.marionext.show_live()
    yield
    ANSWER["shown in"] = editor().image.name
    yield from scrub(scene)
    yield from in_camera_view()
    yield from play()
    picture("live")
    bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / "shot.blend"))
    yield
    ANSWER["shown after saving"] = editor().image.name
    yield from undo(rig)
    # Undo may have changed the animation: the fit is measured again.
    yield from until(lambda: not preview().measuring.changed and not preview().measuring.busy)
    yield from until(lambda: not preview().pictures.waiting and preview().packed)
    shown = preview().shown
    yield from pause(1.0)
    image = live().image_or_none()
    ANSWER["rest"] = [image.is_dirty, preview().shown - shown]
    ANSWER["slowest"] = preview().slowest
    folder = preview().folder
    session().live = False
    yield
    yield
    ANSWER["off"] = [session().live, images(), handlers(), not folder.is_dir()]
    bpy.ops.ed.redo()  # to a step that was made while the image was there
    yield
    yield
    ANSWER["redo after off"] = images()
    yield from draft(bpy.context.scene)


def scrub(scene):
    ANSWER["lags"], ANSWER["drawing"] = [], []
    started = time.perf_counter()
    bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=3)
    ANSWER["redraw"] = (time.perf_counter() - started) / 3
    for frame in (102, 104, 103, 101, 102, 103):
        before = preview().shown
        scene.frame_set(frame)
        yield from until(lambda before=before: preview().shown > before)
        ANSWER["lags"].append(preview().lag)
        ANSWER["drawing"].append(preview().drawing)
        yield from pause(0.1)


def in_camera_view():
    """Where the character's frame is on the screen, the picture is."""
    window = bpy.context.window
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    # The fit is measured again after a second of rest: the picture is to stay the same from now on.
    yield from pause(1.5)
    yield from until(lambda: not preview().measuring.busy and not preview().pictures.waiting)
    space = area.spaces.active
    space.show_region_ui = space.show_gizmo = False  # they lie over the picture
    yield from pause(0.5)
    frames = {}
    for name, on, opacity in (("off", False, 1), ("on", True, 1), ("clear", True, 0)):
        session().live_camera, session().live_opacity = on, opacity
        yield
        frames[name] = kit.screen(f"camera_{name}")
    changed = np.abs(frames["on"] - frames["off"]).max(axis=2) > 0.05
    # The Image Editor beside it may show another picture meanwhile.
    inside = np.zeros_like(changed)
    inside[region.y : region.y + region.height, region.x : region.x + region.width] = True
    changed &= inside
    rows, columns = np.nonzero(changed)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    drawn = frames["on"][box]
    high, wide = drawn.shape[:2]
    shown = live().picture().pixels
    places = np.ix_(
        ((np.arange(high) + 0.5) * shown.shape[0] / high).astype(int),
        ((np.arange(wide) + 0.5) * shown.shape[1] / wide).astype(int),
    )
    error = np.abs(drawn - shown[places][..., :3])
    ANSWER["in camera view"] = [
        round(wide / high, 2),
        round(float(np.median(error)), 3),
        int((np.abs(frames["clear"] - frames["off"])[box] > 0.05).sum()),
    ]
    session().live_opacity = 1
    picture("live-camera")
    session().live_camera = False
    space.show_region_ui = space.show_gizmo = True


def play():
    before = preview().shown
    bpy.ops.screen.animation_play()
    yield from pause(1.5)
    bpy.ops.screen.animation_cancel(restore_frame=False)
    yield from until(lambda: not preview().pictures.waiting)
    ANSWER["played"] = preview().shown - before


def undo(rig):
    rig.location.x = 0.4
    bpy.ops.ed.undo_push(message="moved")
    before = preview().shown
    yield from until(lambda: preview().shown > before and not preview().pictures.waiting)
    moved = np.array(preview().pixels)
    before = preview().shown
    bpy.ops.ed.undo()
    yield from until(lambda: preview().shown > before and not preview().pictures.waiting)
    yield from pause(0.3)
    still = session().live and live().image_or_none() is not None
    differs = bool(np.abs(moved - preview().pixels).max() > 0.1)
    image = live().image_or_none()
    seen = np.empty(image.size[0] * image.size[1] * 4, dtype=np.float32)
    image.pixels.foreach_get(seen)
    same = float(np.abs(seen - preview().pixels.ravel()).max()) < 0.01
    ANSWER["undone"] = [still, differs, same]


def draft(scene):
    editor().image = None
    scene.marionext.model = "puppet"  # slow enough to be looked at
    ANSWER["draft began"], ANSWER["frames seen"] = [], []
    scene.frame_set(104)
    bpy.ops.marionext.draft()
    runner = kit.module("work.runner").runner
    render = list(runner.renders.values())[-1]
    yield from until(lambda: editor().image is not None or not render.is_open)
    space = editor()
    ANSWER["frames seen"].append(render.frames_done)
    ANSWER["draft began"].append(
        [space.image.source, space.image_user.frame_duration, space.image_user.frame_start]
    )
    picture("draft")
    yield from until(lambda: not render.is_open)
    yield from pause(0.5)
    ANSWER["draft ended"] = [render.frames_done, render.state]
    shown = space.image.filepath_from_user(image_user=space.image_user)
    ANSWER["draft file"] = Path(shown).name
    picture("draft-ended")


def until(condition, seconds=300.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            runner = kit.module("work.runner").runner
            told = [(r.state, r.message, r.hint) for r in runner.renders.values()]
            raise AssertionError([told, session().live_message, session().live_hint])
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
    return 0.01


bpy.app.timers.register(go, first_interval=0.5, persistent=True)
