"""Begin a render that is to outlive Blender, save the file, and end Blender while it runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit


def story():
    kit.empty_file()
    kit.install()
    folders, runner = kit.module("work.folders"), kit.module("work.runner").runner
    scene, _rig = kit.make_scene()
    scene.marionext.steps = 6
    scene.marionext.output = "//renders"
    bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / "shot.blend"))
    kit.module("state.preferences").get().on_close = kit.REQUEST["on_close"]
    folder = folders.new_folder(folders.output_root(scene), scene, "RENDER")
    render = runner.add(scene, "RENDER", folder)
    kit.pump_until(lambda: render.progress > 0.2)
    return {"folder": str(folder), "state": render.state}


kit.run(story)
