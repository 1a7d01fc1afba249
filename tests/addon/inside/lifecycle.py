"""Install, enable, disable, enable again, uninstall; what is left behind?"""

import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit


def ours():
    """Return what the add-on has registered: operators, panels, properties."""
    operators = list(dir(bpy.ops.marionext))
    classes = [
        name
        for name in dir(bpy.types)
        if name.upper().startswith("MARIONEXT") or "marionext" in name.lower()
    ]
    return {
        "operators": sorted(operators),
        "classes": sorted(classes),
        "scene": hasattr(bpy.types.Scene, "marionext"),
        "session": hasattr(bpy.types.WindowManager, "marionext"),
    }


def story():
    kit.empty_file()
    before_modules = {name for name in sys.modules if name.partition(".")[0] == "marionext"}
    kit.install()
    name = kit.package()
    installed = ours()
    top_level = {name for name in sys.modules if name.partition(".")[0] == "marionext"}
    bpy.ops.preferences.addon_disable(module=name)
    disabled = ours()
    bpy.ops.preferences.addon_enable(module=name)
    again = ours()
    old = kit.module("work.jobs")
    kit.install()
    updated = ours()
    is_new = kit.module("work.jobs") is not old
    path = Path(kit.module().__file__).parent
    heavy = [m for m in ("torch", "cv2", "PIL") if m in sys.modules]
    if kit.IS_EXTENSION:
        bpy.ops.extensions.package_uninstall(repo_index=repository(), pkg_id="marionext")
    else:
        with suppress(RuntimeError):  # it redraws its window at last, and there is none
            bpy.ops.preferences.addon_remove(module=name)
    return {
        "installed": installed,
        "disabled": disabled,
        "again": again,
        "updated": updated,
        "is_new": is_new,
        "after": ours(),
        "files_left": path.is_dir(),
        "top_level": sorted(top_level - before_modules),
        "heavy": heavy,
    }


def repository():
    repositories = bpy.context.preferences.extensions.repos
    return next(i for i, repo in enumerate(repositories) if repo.module == "user_default")


kit.run(story)
