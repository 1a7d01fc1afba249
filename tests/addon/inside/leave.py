"""Begin a render that is to outlive Blender, save the file, and end Blender while it runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import stage


def story():
    stage.empty_file()
    stage.install()
    folders, runner = stage.module("folders"), stage.module("runner").runner
    scene, _rig = stage.make_scene()
    scene.marionext.steps = 6
    scene.marionext.output = "//renders"
    bpy.ops.wm.save_as_mainfile(filepath=str(stage.FOLDER / "shot.blend"))
    stage.module("preferences").get().on_close = stage.REQUEST["on_close"]
    folder = folders.new_folder(folders.output_root(scene), scene, "RENDER")
    record = runner.add(scene, "RENDER", folder)
    stage.pump_until(lambda: record.progress > 0.2)
    return {"folder": str(folder), "state": record.state}


stage.run(story)
