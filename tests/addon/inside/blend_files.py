"""Leave two saved files behind: a shot that can be rendered, and one without a character."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit


def story():
    kit.empty_file()
    kit.install()
    bpy.ops.wm.save_userpref()
    scene, _rig = kit.make_scene()
    scene.marionext.output = "//renders"
    bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / "shots" / "b good.blend"))
    scene.marionext.character = ""
    bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / "shots" / "a empty.blend"))
    return {}


kit.run(story)
