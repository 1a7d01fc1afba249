"""The add-on's story as it happens inside Blender's window; `addon_story.py` starts it.

The story is a generator: between two of its steps Blender draws and works off clicks. What it
yields is how many seconds to wait.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np

REQUEST = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
FOLDER = Path(REQUEST["folder"])
PICTURES = FOLDER / "pictures"
IS_EXTENSION = bpy.app.version >= (4, 2)
MODULE = "bl_ext.user_default.marionext" if IS_EXTENSION else "marionext_addon"
FIRST = 101

Steps = Iterator[float]
figures: dict[str, Any] = {"blender": bpy.app.version_string}


# ------------------------------------------------------------------------------ hands and eyes


def window() -> Any:
    """Return Blender's window."""
    return bpy.context.window_manager.windows[0]


def area(kind: str = "VIEW_3D") -> Any:
    """Return the largest area of a kind."""
    found = [area for area in window().screen.areas if area.type == kind]
    check(found, f"there is no {kind}")
    return max(found, key=lambda area: area.width * area.height)


def sidebar() -> Any:
    """Return the sidebar of the 3D view."""
    return next(region for region in area().regions if region.type == "UI")


def box(region: Any) -> tuple[int, int, int, int]:
    """Return a region's or area's width, height, left and top on the screen."""
    return region.width, region.height, region.x, window().height - region.y - region.height


def upper(region: Any, height: int) -> tuple[int, int, int, int]:
    """Return the upper part of a region, in the same terms."""
    wide, high, left, top = box(region)
    return wide, min(high, height), left, top


def filled(height: int | None = None) -> Generator[float, None, tuple[int, int, int, int]]:
    """Return the part of the sidebar in which panels are, or the last ``height`` pixels of it.

    Blender does not tell where panels are. The sidebar is given a ground of its own for a moment:
    what is empty below them is of its one colour.
    """
    system = bpy.context.preferences.system
    system.use_region_overlap = False
    yield from settle()
    wide, high, left, top = box(sidebar())
    # Without the edges of the region and the strip of tabs, which go down to the bottom.
    picture("region.png", (wide - 60, high, left + 20, top))
    ground = bpy.data.images.load(str(PICTURES / "region.png"))
    pixels = np.empty(len(ground.pixels), np.float32)
    ground.pixels.foreach_get(pixels)
    rows = pixels.reshape(high, -1, 4)[..., :3]  # from the bottom up
    bpy.data.images.remove(ground)
    (PICTURES / "region.png").unlink()
    empty = int(np.argmax(np.ptp(rows, axis=1).max(axis=1) > 0.05))
    system.use_region_overlap = True
    yield from settle()
    wide, _, left, top = box(sidebar())
    bottom = min(high, high - empty + 8)
    tall = bottom if height is None else min(height, bottom)
    return wide, tall, left, top + bottom - tall


def hand(*arguments: object) -> None:
    """Move, click and type as a person does."""
    subprocess.run(["xdotool", *map(str, arguments)], check=True)


def click(left: int, top: int) -> Steps:
    """Click somewhere: Blender has to see the pointer arrive before it sees the button."""
    hand("mousemove", left - 2, top)
    yield 0.4
    hand("mousemove", left, top)
    yield 0.4
    hand("mousedown", 1)
    yield 0.3
    hand("mouseup", 1)
    yield 0.4


def picture(name: str, part: tuple[int, int, int, int] | None = None) -> None:
    """Keep what is on the screen, or a part of it: width, height, left, top."""
    wide, high, left, top = part or (window().width, window().height, 0, 0)
    crop = ["-crop", f"{wide}x{high}+{left}+{top}", "+repage"]
    subprocess.run(["import", "-window", "root", *crop, str(PICTURES / name)], check=True)


def settle(seconds: float = 1.0) -> Steps:
    """Let Blender draw everything; panels that grow or shrink take several rounds.

    The view itself is drawn once, at last: without a graphics card it takes a second each time.
    """
    for turn in range(5):
        for place in window().screen.areas:
            for region in place.regions:
                if turn == 4 or place.type != "VIEW_3D" or region.type != "WINDOW":
                    region.tag_redraw()
        yield seconds / 5


def until(ready: Callable[[], bool], what: str, *, seconds: float = 240) -> Steps:
    """Wait for something to happen."""
    end = time.monotonic() + seconds
    while not ready():
        check(time.monotonic() < end, f"within {seconds:g} s: {what}")
        yield 0.1


def check(fact: object, what: str) -> None:
    """Stop the story where something is not as it should be."""
    if not fact:
        raise AssertionError(f"expected {what}")


def on_screen() -> str:
    """Return the number that the screen knows Blender's window by."""
    found = subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--class", "blender"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return found[-1]


def resize(height: int) -> Steps:
    """Make the window higher or lower; there is no window manager to do it."""
    hand("windowsize", on_screen(), REQUEST["screen"][0], height)
    yield from until(lambda: window().height == height, f"a window of {height} px", seconds=20)
    yield from settle(1.0)


def in_view(operator: Callable[..., set[str]], **arguments: object) -> set[str]:
    """Call an operator as if in the 3D view."""
    place = area()
    region = next(region for region in place.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window(), area=place, region=region):
        return set(operator(**arguments))


# ------------------------------------------------------------------------------ what is looked at


def settings() -> Any:
    """Return the settings of the shot."""
    return bpy.context.scene.marionext


def session() -> Any:
    """Return what is live."""
    return bpy.context.window_manager.marionext


def job() -> Any:
    """Return the newest render."""
    return session().jobs[-1]


def runner() -> Any:
    """Return the add-on's queue."""
    return importlib.import_module(f"{MODULE}.work.runner").runner


# --------------------------------------------------------------------------------------- the story


def story() -> Steps:
    """Do what an animator does, from the zip to the result."""
    chapters = (
        *(install, open_sidebar, choose_rig, mend_bone, set_up, look_at_overlay, test_engine),
        *(render_and_cancel, lose_the_engine, look_live, look_at_result, speak_chinese, measure),
        take_away,
    )
    for chapter in chapters:
        start = time.monotonic()
        yield from chapter()
        print(f"{chapter.__name__}: {time.monotonic() - start:.1f} s", flush=True)


def install() -> Steps:
    """Install the zip as the Blender of this version does."""
    if IS_EXTENSION:
        bpy.ops.extensions.package_install_files(
            filepath=REQUEST["zip"], repo="user_default", enable_on_install=True
        )
    else:
        bpy.ops.preferences.addon_install(filepath=REQUEST["zip"], overwrite=True)
        bpy.ops.preferences.addon_enable(module=MODULE)
    check(hasattr(bpy.types.Scene, "marionext"), "the add-on to be enabled")
    yield 0.5
    ours = importlib.import_module(f"{MODULE}.ui.keymaps")._added
    check(len(ours) == 3, "three shortcuts")
    keys = bpy.context.window_manager.keyconfigs.default.keymaps
    for _, item in ours:
        taken = [
            (keys[name].name, other.idname)
            for name in ("3D View", "Screen", "Screen Editing", "Window", "Object Mode", "Pose")
            for other in keys[name].keymap_items
            if other.compare(item) and other.idname != item.idname
        ]
        check(not taken, f"shortcuts that Blender leaves free, got {taken}")


def open_sidebar() -> Steps:
    """Open the tab, by a click where Blender offers no other way."""
    hand("windowfocus", on_screen())
    hand("key", "Escape")  # away with the splash screen, if there is one
    view = area()
    view.spaces.active.show_region_ui = True
    view.spaces.active.region_3d.view_perspective = "CAMERA"
    view.spaces.active.shading.color_type = "MATERIAL"
    view.spaces.active.overlay.show_floor = False
    view.spaces.active.overlay.show_cursor = False
    view.spaces.active.overlay.show_bones = False
    view.spaces.active.show_region_hud = False
    bpy.context.view_layer.objects.active = bpy.data.objects["Dancer"]
    yield from settle(1.0)
    with bpy.context.temp_override(window=window(), area=view, region=view.regions[-1]):
        bpy.ops.view3d.view_center_camera()
    yield from click_tab()
    wide, _, left, top = box(sidebar())
    picture("blender-start.png", (wide, 240, left, top))


def click_tab() -> Steps:
    """Bring the tab Marionext to the front."""
    region = sidebar()
    if IS_EXTENSION:
        region.active_panel_category = "Marionext"
    else:
        wide, _, left, top = box(region)
        yield from click(left + wide - 12, top + 174)
    yield from settle()


def scroll_sidebar(*, down: bool) -> Steps:
    """Turn the wheel over the sidebar."""
    wide, high, left, top = box(sidebar())
    hand("mousemove", left + wide // 2, top + high - 20)
    yield 0.2
    hand("click", "--repeat", 40, "--delay", 10, 5 if down else 4)
    yield from settle()
    hand("mousemove", 300, 500)
    yield 0.2


def choose_rig() -> Steps:
    """Press the button that offers the active armature."""
    wide, _, left, top = box(sidebar())
    for _ in range(3):  # the first click may do no more than bring the window to the front
        if not settings().people:
            yield from click(left + wide // 2 - 10, top + 69)
            yield from settle()
    check(len(settings().people) == 1, "a click on 'Use Dancer' to add it")
    person = settings().people[0]
    check(person.convention == "Rigify", f"Rigify, got {person.convention!r} {person.problem!r}")
    check((person.body_points, person.hand_points) == (18, 42), "body 18/18 and hands 42/42")
    hand("mousemove", 300, 500)
    yield from settle()


def mend_bone() -> Steps:
    """Give a role the bone that is selected, and go back."""
    person = settings().people[0]
    person.mapping_index = list(person.mapping.keys()).index("left_hand")
    before = person.mapping["left_hand"].bone
    bones = person.armature.data.bones
    bones.active = bones["hand_fk.L"]
    check(in_view(bpy.ops.marionext.pick_bone) == {"FINISHED"}, "the bone to be picked")
    item = person.mapping["left_hand"]
    check((item.bone, item.source) == ("hand_fk.L", "HAND"), "the bone to be the picked one")
    in_view(bpy.ops.marionext.inspect_rig, keep=False)
    check(person.mapping["left_hand"].bone == before, "the detected bone again")
    yield 0.1


def set_up() -> Steps:
    """Choose frames, character and look, and keep a picture of each panel."""
    chosen = settings()
    chosen.character = "//hero.png"
    chosen.frame_range, chosen.frame_start = "OWN", FIRST
    chosen.frame_end = REQUEST["last_frame"]
    chosen.output = "//renders"
    yield from resize(REQUEST["screen"][1])
    yield from settle(1.5)
    picture("blender-panels.png", (yield from filled()))
    chosen.show_advanced = True
    yield from settle(1.0)
    picture("blender-advanced.png", upper(sidebar(), 1365))
    chosen.show_advanced = False
    # A doll would be done before anybody could stop it.
    chosen.model = "puppet"
    if REQUEST["quick"]:
        chosen.size_preset, chosen.width, chosen.height = "CUSTOM", 128, 192
    yield from settle()
    wide, _, left, top = box(sidebar())
    yield from click(left + 60, top + 210)  # the header of Bones
    yield from settle(1.5)
    picture("blender-bones.png", (wide, 515, left, top))
    yield from click(left + 60, top + 210)
    hand("mousemove", 300, 500)
    yield from resize(1000)


def look_at_overlay() -> Steps:
    """Draw the keypoints over the viewport and scrub."""
    settings().overlay = True
    bpy.context.scene.frame_set(FIRST + 12)
    in_view(bpy.ops.view3d.view_center_camera)
    yield from settle(1.5)
    picture("blender-overlay.png")
    settings().overlay = False


def test_engine() -> Steps:
    """Have the engine examined in the preferences, and the models listed."""
    yield from resize(REQUEST["screen"][1])
    place = area()
    place.type = "PREFERENCES"
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Marionext"
    with bpy.context.temp_override(window=window(), area=place, region=place.regions[-1]):
        bpy.ops.preferences.addon_show(module=MODULE)
    yield from settle(1.5)
    yield from settle(1.5)  # the preferences may have come in a window of their own first
    for other in bpy.context.window_manager.windows[1:]:
        with bpy.context.temp_override(window=other):
            bpy.ops.wm.window_close()
    yield from settle()
    bpy.ops.marionext.list_models()
    yield from until(lambda: len(session().models) > 5, "the list of models")
    yield from settle(1.5)
    picture("blender-models.png", page(place, 518, below=148))
    bpy.ops.marionext.test_engine()
    yield from until(lambda: session().engine_state in {"READY", "PROBLEM"}, "the doctor's answer")
    yield from settle(1.5)
    # Further down are the folders of this computer.
    picture("blender-preferences.png", page(place, 197))
    yield from resize(1000)
    place.type = "VIEW_3D"
    yield from settle()


def page(place: Any, height: int, *, below: int = 0) -> tuple[int, int, int, int]:
    """Return a part of our page in the preferences, which lies under what Blender says itself."""
    wide, high, left, top = box(place)
    above = below + (286 if IS_EXTENSION else 240)
    return wide - 178, min(height, high - above), left + 178, top + above


def running(above: float) -> Callable[[], bool]:
    """Return a question: whether the newest render runs and is further than that."""
    early = ("QUEUED", "RECORDING")
    return lambda: job().state not in early and (job().progress > above or job().state != "RUNNING")


def render_and_cancel() -> Steps:
    """Start a render, watch it, stop it."""
    yield from click_tab()
    # A short or small shot would be done before anybody could look at it.
    count = REQUEST["last_frame"] - FIRST + 1
    settings().steps = 48 if REQUEST["quick"] else max(6, 60 // count)
    in_view(bpy.ops.marionext.render)
    yield from until(running(0.3), "the render to come along", seconds=600)
    check(job().state == "RUNNING", f"a running render, got {job().message} {job().hint}")
    yield from scroll_sidebar(down=True)
    picture("blender-rendering.png")
    yield from scroll_sidebar(down=False)
    in_view(bpy.ops.marionext.cancel)
    yield from until(lambda: job().state == "CANCELLED", "the render to stop", seconds=60)


def lose_the_engine() -> Steps:
    """Kill the engine in the middle of its work, then go on."""
    in_view(bpy.ops.marionext.retry)
    engine = runner().engine
    yield from until(lambda: job().state == "RUNNING" and engine.pid is not None, "a retry")
    yield from until(running(0.4), "the render to come along", seconds=600)
    os.kill(runner().engine.pid, signal.SIGKILL)
    yield from until(lambda: job().state == "FAILED", "the loss to be noticed", seconds=30)
    check("engine" in job().message.lower(), f"a word about the engine, got {job().message!r}")
    hand("mousemove", 320, 700)
    yield 0.3
    hand("key", "Escape")  # away with the notice, which stays until one has seen it
    yield from resize(REQUEST["screen"][1])
    picture("blender-failed.png", (yield from filled(272)))  # the panel Results
    yield from resize(1000)
    in_view(bpy.ops.marionext.retry)
    yield from until(lambda: job().state in {"FINISHED", "FAILED"}, "its end", seconds=900)
    check(job().state == "FINISHED", f"a finished render, got {job().message} {job().hint}")
    frames = sorted(path.name for path in (Path(job().folder) / "frames").glob("*.png"))
    expected = [f"{number:06d}.png" for number in range(FIRST, REQUEST["last_frame"] + 1)]
    check(frames == expected, f"the scene's frame numbers, got {frames[:2]} to {frames[-1:]}")


def look_live() -> Steps:
    """Switch the live preview on, scrub, move a bone, and switch it off again."""
    live = importlib.import_module(f"{MODULE}.work.live")
    session().live = True
    yield from until(
        lambda: not session().live or bool(live.previews[0].shown), "a live picture", seconds=120
    )
    check(session().live, f"the preview to stay on, got {session().live_message}")
    check(in_view(bpy.ops.marionext.show_live) == {"FINISHED"}, "an Image Editor for it")
    settings().overlay = True
    bpy.context.scene.frame_set(FIRST)
    yield from settle()
    for frame in range(FIRST + 3, min(FIRST + 12, REQUEST["last_frame"]) + 1, 3):
        pictures = live.previews[0].shown
        bpy.context.scene.frame_set(frame)
        yield from until(_more(live, pictures), f"a picture of frame {frame}", seconds=30)
    figures["live picture, ms"] = round(1000 * live.previews[0].lag)
    yield from settle()
    in_view(bpy.ops.marionext.show_live)  # the editor knows its size by now
    in_view(bpy.ops.view3d.view_center_camera)
    # Into the middle of what the sidebar leaves.
    area().spaces.active.region_3d.view_camera_offset[0] = 0.2
    yield from settle(1.5)
    picture("blender-live.png")
    yield from look_as_drawn()
    settings().overlay = session().live = False
    yield from settle()
    check(live.image_or_none() is None, "no image to be left")


def look_as_drawn() -> Steps:
    """Lay the keypoints over the live character as a render draws them, with an edit."""
    overlay = importlib.import_module(f"{MODULE}.ui.overlay")
    live = importlib.import_module(f"{MODULE}.work.live")
    session().live_camera = settings().overlay_drawn = True
    drawn = overlay._overlays[0].drawn

    def is_placed() -> bool:
        return drawn._placed is not None and not (session().drawn_message or drawn.busy)

    yield from until(is_placed, "the keypoints as drawn")
    in_view(bpy.ops.marionext.edit_add, kind="HIDE")
    settings().edits[0].limbs = {"left_hand"}
    yield from until(lambda: live.previews[0].recorded is not None, "the motion for the edit")
    area().spaces.active.show_region_ui = False
    yield from settle()
    in_view(bpy.ops.view3d.view_center_camera)
    yield from settle(2.0)
    yield from until(is_placed, "the edited keypoints")
    hand = importlib.import_module(f"{MODULE}.marionext.pose.skeleton").LEFT_HAND
    check(max(live.previews[0].asked.scores[0][hand]) == 0, "an edit of the live picture as well")
    yield from settle()
    picture("blender-drawn.png", box(area()))
    area().spaces.active.show_region_ui = True
    in_view(bpy.ops.marionext.edit_remove)
    settings().overlay_drawn = session().live_camera = False


def _more(live: Any, pictures: int) -> Callable[[], bool]:
    """Return a question: whether there have been more live pictures than that."""
    return lambda: live.previews[0].shown > pictures


def look_at_result() -> Steps:
    """Open the result beside the animation, scrub, add the strip and the background."""
    if not REQUEST["quick"]:  # pictures are of the usual model, which keeps the character
        settings().model, settings().steps = "doll", 0
        in_view(bpy.ops.marionext.render)
        yield from until(lambda: job().state in {"FINISHED", "FAILED"}, "its end", seconds=300)
        check(job().state == "FINISHED", f"a finished render, got {job().message} {job().hint}")
    in_view(bpy.ops.marionext.show_result)
    bpy.context.scene.frame_set(min(FIRST + 12, REQUEST["last_frame"]))
    yield from settle(1.0)
    editors = [place for place in window().screen.areas if place.type == "IMAGE_EDITOR"]
    check(editors, "an Image Editor")
    image = editors[0].spaces.active.image
    check(image is not None and image.source == "SEQUENCE", "an image sequence in it")
    with bpy.context.temp_override(window=window(), area=editors[0], region=editors[0].regions[-1]):
        bpy.ops.image.view_all(fit_view=True)
    area().spaces.active.show_region_ui = False
    settings().overlay = True
    yield from settle()
    in_view(bpy.ops.view3d.view_center_camera)
    yield from settle(1.5)
    picture("blender-result.png")
    user = editors[0].spaces.active.image_user
    for frame in range(FIRST, REQUEST["last_frame"] + 1, 8):
        bpy.context.scene.frame_set(frame)
        yield from settle(0.1)
        check(user.frame_current == frame, f"frame {frame}, got {user.frame_current}")
    settings().overlay = False
    in_view(bpy.ops.marionext.camera_background)
    check(bpy.context.scene.camera.data.background_images, "a background image")
    bpy.context.scene.frame_set(min(FIRST + 12, REQUEST["last_frame"]))
    yield from settle(1.5)
    picture("blender-background.png", box(area()))
    bpy.context.scene.camera.data.show_background_images = False
    in_view(bpy.ops.marionext.add_strip)
    editors[0].type = "SEQUENCE_EDITOR"
    yield from settle(0.5)
    with bpy.context.temp_override(window=window(), area=editors[0], region=editors[0].regions[-1]):
        bpy.ops.sequencer.view_selected()
    yield from settle(1.0)
    wide, high, left, top = box(editors[0])
    picture("blender-strip.png", (wide, high // 2, left, top + high // 2))


def speak_chinese() -> Steps:
    """Change the language of the interface."""
    area().spaces.active.show_region_ui = True
    yield from settle()
    yield from click_tab()
    view = bpy.context.preferences.view
    view.language = "zh_HANS" if IS_EXTENSION else "zh_CN"
    view.use_translate_interface = view.use_translate_tooltips = True
    yield from resize(REQUEST["screen"][1])
    yield from settle(1.0)
    picture("blender-chinese.png", upper(sidebar(), 1600))
    view.language = "en_US"
    yield from resize(1000)


def measure() -> Steps:
    """Take the time that drawing all panels and following the engine cost."""
    figures["slowest look at the engine, ms"] = round(1000 * runner().slowest, 2)
    figures["of it in Blender itself, ms"] = round(1000 * runner().slowest_of_own, 2)
    panels = importlib.import_module(f"{MODULE}.ui.panels")
    spent: list[float] = []
    classes = [cls for room in panels._ROOMS for cls in room.CLASSES]
    originals = [cls.draw for cls in classes]

    def timed(draw: Callable[..., None]) -> Callable[..., None]:
        def draw_and_time(self: Any, context: Any) -> None:
            start = time.thread_time()  # what other programs take is not in it
            draw(self, context)
            spent.append(time.thread_time() - start)

        return draw_and_time

    for cls, draw in zip(classes, originals, strict=True):
        cls.draw = timed(draw)
    rounds = 20
    for _ in range(rounds):
        yield from settle(0.05)
    for cls, draw in zip(classes, originals, strict=True):
        cls.draw = draw
    check(spent, "the panels to be drawn")
    figures["drawing all panels, ms"] = round(1000 * sum(spent) / rounds, 2)


def take_away() -> Steps:
    """Disable, enable, disable and uninstall."""
    for _ in range(2):
        bpy.ops.preferences.addon_disable(module=MODULE)
        left = [name for name in dir(bpy.types) if name.startswith("MARIONEXT_")]
        check(not left, f"no classes left, got {left}")
        check(not hasattr(bpy.types.Scene, "marionext"), "no properties left")
        keymap = bpy.context.window_manager.keyconfigs.addon.keymaps.get("3D View")
        items = keymap.keymap_items if keymap is not None else ()
        check(not any("marionext" in item.idname for item in items), "no shortcuts left")
        yield 0.3
        if _ == 0:
            bpy.ops.preferences.addon_enable(module=MODULE)
            yield 0.3
    if IS_EXTENSION:
        repos = bpy.context.preferences.extensions.repos
        index = next(i for i, repo in enumerate(repos) if repo.module == "user_default")
        bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="marionext")
    else:
        place = area()
        place.type = "PREFERENCES"
        with bpy.context.temp_override(window=window(), area=place, region=place.regions[-1]):
            bpy.ops.preferences.addon_remove(module=MODULE)
        place.type = "VIEW_3D"
    yield 0.5


# ------------------------------------------------------------------------------------ its telling


def finish(error: str) -> None:
    """Leave the answer and Blender."""
    answer = FOLDER / "answer.json"
    answer.write_text(json.dumps({"error": error, "figures": figures}), encoding="utf-8")
    sys.stdout.flush()
    # Blender may wait at its end for an engine that the story has killed.
    os._exit(1 if error else 0)


telling = story()


def tell() -> float | None:
    """Do the next step."""
    try:
        return next(telling)
    except StopIteration:
        finish("")
    except BaseException:
        error = traceback.format_exc()
        print(error)
        try:
            picture("error.png")
        finally:
            finish(error)
    return None


bpy.app.timers.register(tell, first_interval=2.0)
