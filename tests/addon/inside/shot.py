"""Save a shot that a farm can render."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import stage


def story():
    stage.empty_file()
    stage.install()
    scene, _rig = stage.make_scene()
    scene.marionext.output = "//renders"
    bpy.ops.wm.save_userpref()
    bpy.ops.wm.save_as_mainfile(filepath=str(stage.FOLDER / "shot.blend"))
    return {}


stage.run(story)
