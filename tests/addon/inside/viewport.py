"""In a real window: the overlay is on the screen, and undo during recording does no harm."""

import os
import sys
import traceback
from fractions import Fraction
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]
import bpy
import kit
import numpy as np

ANSWER = {}


def view3d():
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    return {"window": window, "area": area, "region": region}


def screenshot(name):
    return kit.screen(name).reshape(-1, 3)


def coloured(pixels):
    """Count pixels of a pure colour, as nothing of Blender's own has them in this view."""
    return int(((pixels.max(axis=1) > 0.85) & (pixels.min(axis=1) < 0.12)).sum())


def overlay_on_screen():
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    scene, rig = kit.make_scene()
    rig.hide_set(True)
    view = view3d()["area"].spaces[0]
    view.show_gizmo = False
    view.overlay.show_floor = view.overlay.show_axis_x = view.overlay.show_axis_y = False
    for perspective in ("CAMERA", "PERSP"):
        view.region_3d.view_perspective = perspective
        view.region_3d.view_location, view.region_3d.view_distance = (0, 0, 1), 4.0
        scene.marionext.overlay = False
        off = screenshot(f"{perspective}_off")
        scene.marionext.overlay = True
        on = screenshot(f"{perspective}_on")
        ANSWER[perspective] = [coloured(off), coloured(on), int((np.abs(on - off) > 0.1).sum())]
    view.overlay.show_overlays = False
    ANSWER["overlays off"] = coloured(screenshot("overlays_off"))
    view.overlay.show_overlays = True
    scene.marionext.overlay = False


def undo_while_recording():
    recording, rig = kit.module("scene.recording"), kit.module("scene.rig")
    frames = kit.module("marionext.frames")
    scene = bpy.context.scene
    moments = recording.Moments(
        times=tuple(map(Fraction, range(101, 113))),
        rate=frames.FrameRate.parse("24"),
        first=101,
    )
    whole = recording.record(scene, rig.people_of(scene), moments, (576, 1024)).track
    with bpy.context.temp_override(**view3d()):
        bpy.ops.ed.undo_push(message="Before")
        steps = recording.record_in_steps(scene, rig.people_of(scene), moments, (576, 1024))
        for _ in range(4):
            next(steps)
        during = len(bpy.data.scenes)
        # An edit while the temporary scene exists: it is in the undo step.
        bpy.ops.object.select_all(action="DESELECT")
        bpy.ops.ed.undo_push(message="During")
        next(steps)
        bpy.ops.ed.undo()
        after_undo = len(bpy.data.scenes)
        for _ in range(2):
            next(steps)
        bpy.ops.ed.redo()
        after_redo = len(bpy.data.scenes)
        try:
            while True:
                next(steps)
        except StopIteration as end:
            track = end.value.track
        bpy.ops.ed.undo()
        bpy.ops.ed.redo()
    ANSWER["scenes"] = [during, after_undo, after_redo, len(bpy.data.scenes)]
    ANSWER["same after undo"] = float(np.abs(track.points - whole.points).max())
    left = [thing.name for thing in bpy.data.objects if "Marionext" in thing.name]
    ANSWER["left"] = left + [mesh.name for mesh in bpy.data.meshes if "Marionext" in mesh.name]


def story():
    try:
        overlay_on_screen()
        undo_while_recording()
        kit.run(lambda: ANSWER)
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)


bpy.context.preferences.view.show_splash = False
kit.install()
bpy.app.timers.register(story, first_interval=1.0)
