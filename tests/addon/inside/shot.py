"""Save a shot that a farm can render."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit


def story():
    kit.empty_file()
    kit.install()
    scene, _rig = kit.make_scene()
    scene.marionext.output = "//renders"
    bpy.ops.wm.save_userpref()
    bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / "shot.blend"))
    return {}


kit.run(story)
