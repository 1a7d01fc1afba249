"""Open the file again: what of its renders is there?"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit


def told(session):
    names = ("state", "message", "first_frame", "frame_count", "frames_done", "progress")
    return [{name: getattr(item, name) for name in names} for item in session.jobs]


def story():
    kit.install()
    runner = kit.module("work.runner").runner
    bpy.ops.wm.open_mainfile(filepath=str(kit.FOLDER / "shot.blend"))
    session = bpy.context.window_manager.marionext
    found = told(session)
    if session.jobs[0].state != "RUNNING":
        bpy.ops.marionext.retry()
    render = next(iter(runner.renders.values()))
    kit.pump_until(lambda: not render.is_open)
    runner.pump()
    return {"found": found, "ended": told(session), "warnings": render.warnings}


kit.run(story)
