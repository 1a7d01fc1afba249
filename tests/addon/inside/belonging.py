"""Renders belong to their scene, whatever its file is called; the list says what they are."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit
import numpy as np


def runner():
    return kit.module("work.runner").runner


def listed():
    return [item.name for item in bpy.context.window_manager.marionext.jobs]


def forget():
    """Begin as a new session of Blender does."""
    for render in list(runner().renders.values()):
        runner().remove(render)


def render(title, **more):
    bpy.ops.marionext.render(wait=True, **more)
    made = list(runner().renders.values())[-1]
    runner().rename(made, title)
    return made


def fresh():
    bpy.ops.wm.read_homefile(use_empty=True)
    scene, _ = kit.make_scene()
    scene.marionext.model, scene.marionext.output = "doll", ""
    scene.frame_end = 102
    return scene


def save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(path))


def belonging(answer):
    scene = fresh()
    render("unsaved")
    fresh()
    answer["a new file"] = listed()
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = fresh()
    render("before saving")
    save(kit.FOLDER / "a" / "shot_v001.blend")
    render("saved")
    save(kit.FOLDER / "a" / "shot_v002.blend")
    answer["saved as"] = listed()
    forget()
    bpy.ops.wm.open_mainfile(filepath=str(kit.FOLDER / "a" / "shot_v002.blend"))
    answer["opened again"] = sorted(listed())
    newest = bpy.context.window_manager.marionext
    answer["newest"] = newest.jobs[newest.job_index].name
    copy = bpy.context.scene.copy()
    answer["copied scene"] = [
        kit.module("scene.identity").identity_of(each) != "" for each in (bpy.context.scene, copy)
    ]
    # Files of one name that keep their renders in one folder.
    common = str(kit.FOLDER / "common")
    for place in ("b", "c"):
        scene = fresh()
        scene.marionext.output = common
        render(f"of {place}")
        save(kit.FOLDER / place / "shot.blend")
    forget()
    for place in ("b", "c"):
        bpy.ops.wm.open_mainfile(filepath=str(kit.FOLDER / place / "shot.blend"))
        answer[f"opened {place}"] = listed()


def about(answer):
    made = next(iter(reversed(runner().renders.values())))
    item = next(item for item in bpy.context.window_manager.marionext.jobs if item.name == "of c")
    answer["about"] = item.about
    answer["video"] = Path(item.video).suffix
    folder = Path(made.folder)
    (folder / "notes of mine.txt").write_text("mine")
    (folder / "character.psd").write_text("mine")
    (folder / "frames" / "notes.json").write_text("mine")
    bpy.ops.marionext.delete_job(job_id=made.job_id)
    answer["left"] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    answer["list after"] = listed()
    bpy.ops.wm.open_mainfile(filepath=str(kit.FOLDER / "b" / "shot.blend"))
    made = next(iter(runner().renders.values()))
    bpy.ops.marionext.delete_job(job_id=made.job_id)
    answer["nothing left"] = Path(made.folder).exists()


def again(answer):
    """A part of a render is made again, and the take before it brought back."""
    scene = fresh()
    scene.marionext.model, scene.marionext.steps = "puppet", 1
    save(kit.FOLDER / "e" / "shot.blend")
    made = render("taken")
    folder = Path(made.folder)

    def pictures():
        return [path.read_bytes() for path in sorted((folder / "frames").glob("*.png"))]

    before = pictures()
    bpy.ops.marionext.render_again(job_id=made.job_id, first=102, last=150)
    kit.pump_until(lambda: not made.is_open)
    between = pictures()
    answer["again"] = [made.state, made.takes, made.hint]
    answer["changed"] = [a != b for a, b in zip(before, between, strict=True)]
    bpy.ops.marionext.show_take(job_id=made.job_id, take=0)
    kit.pump_until(lambda: not made.is_open)
    answer["brought back"] = [made.state, pictures() == before]
    try:
        bpy.ops.marionext.render_again(job_id=made.job_id, first=500, last=510)
    except RuntimeError as error:
        answer["no such frames"] = str(error)
    # One that is cancelled takes nothing from the render.
    bpy.ops.marionext.render_again(job_id=made.job_id, first=101, last=101)
    bpy.ops.marionext.cancel(job_id=made.job_id)
    state, mirrored = made.state, bpy.context.window_manager.marionext.jobs
    whole = [item.whole for item in mirrored if item.job_id == made.job_id]
    answer["cancelled"] = [state, whole, list(bpy.ops.marionext.render_again(
        job_id=made.job_id, first=101, last=101))]  # fmt: skip
    kit.pump_until(lambda: not made.is_open)
    answer["after all"] = [made.state, made.takes]
    folder.rename(folder.with_name("moved"))
    try:
        bpy.ops.marionext.show_result(job_id=made.job_id)
    except RuntimeError as error:
        answer["moved"] = str(error)
    answer["deleted"] = list(bpy.ops.marionext.delete_job(job_id=made.job_id))


def larger(answer):
    """A render is made larger: another result, under the same numbers, that is listed again."""
    fresh()
    save(kit.FOLDER / "f" / "shot.blend")
    made = render("small")
    try:
        bpy.ops.marionext.make_larger(job_id=made.job_id, by=3, method="upscaler")
    except RuntimeError as error:
        answer["larger by another factor"] = [str(error), listed()]
    bpy.ops.marionext.make_larger(job_id=made.job_id, by=3)
    large = list(runner().renders.values())[-1]
    kit.pump_until(lambda: not large.is_open)
    answer["larger"] = [large.state, large.message, large.name, large.about.split("   ")[1:]]
    folder = Path(large.folder)
    answer["larger files"] = sorted(path.name for path in (folder / "frames").glob("0*.png"))
    answer["larger video"] = Path(large.video).is_file()
    forget()
    bpy.ops.wm.open_mainfile(filepath=str(kit.FOLDER / "f" / "shot.blend"))
    again = next(each for each in runner().renders.values() if each.kind == "LARGER")
    answer["larger again"] = [listed(), again.state, Path(again.video).is_file()]
    bpy.ops.marionext.show_result(job_id=again.job_id)
    image = next(image for image in bpy.data.images if image.source == "SEQUENCE")
    shown = Path(bpy.path.abspath(image.filepath))
    answer["larger image"] = list(bpy.data.images.load(str(shown)).size)
    answer["larger shown"] = str(shown.relative_to(folder))
    for call in (
        lambda: bpy.ops.marionext.make_larger(job_id=again.job_id),
        lambda: bpy.ops.marionext.render_again(job_id=again.job_id, first=101, last=101),
    ):
        try:
            call()
        except RuntimeError as error:
            answer.setdefault("larger refused", []).append(str(error))
    # What is missing is made by Retry, and nothing else.
    kept = (folder / "frames" / "000101.png").stat().st_mtime_ns
    (folder / "frames" / "000102.png").unlink()
    forget()
    bpy.ops.wm.open_mainfile(filepath=str(kit.FOLDER / "f" / "shot.blend"))
    again = next(each for each in runner().renders.values() if each.kind == "LARGER")
    answer["larger cut"] = again.state
    bpy.ops.marionext.retry(job_id=again.job_id)
    kit.pump_until(lambda: not again.is_open)
    same = (folder / "frames" / "000101.png").stat().st_mtime_ns == kept
    answer["larger retried"] = [again.state, same]
    bpy.ops.marionext.delete_job(job_id=again.job_id)
    answer["larger left"] = [folder.exists(), Path(made.folder).is_dir()]


def colours(answer):
    """A strip looks as its picture does, through the view transform that films use."""
    scene = fresh()
    save(kit.FOLDER / "d" / "shot.blend")
    bpy.context.preferences.filepaths.use_relative_paths = True
    scene.render.resolution_x, scene.render.resolution_y = 128, 192
    made = render("coloured")
    bpy.ops.marionext.add_strip(job_id=made.job_id)
    editor = scene.sequence_editor
    strip = (editor.strips if hasattr(editor, "strips") else editor.sequences)[0]
    answer["strip folder"] = strip.directory
    bpy.ops.marionext.show_result(job_id=made.job_id)
    answer["image path"] = next(i.filepath for i in bpy.data.images if i.name == "coloured")
    render_settings = scene.render
    render_settings.use_sequencer = True
    picture = bpy.data.images.load(str(Path(made.folder) / "frames" / "000101.png"))
    wanted = np.array(picture.pixels[:]).reshape(-1, 4)[:, :3]
    scene.frame_set(101)
    for view in ("AgX", "Standard"):
        scene.view_settings.view_transform = view
        kit.module("work.results")._keep_colours(scene, strip)
        if view == "Standard":
            strip.colorspace_settings.name = "sRGB"
        render_settings.filepath = str(kit.FOLDER / f"{view}.png")
        bpy.ops.render.render(write_still=True)
        seen = bpy.data.images.load(render_settings.filepath)
        found = np.array(seen.pixels[:]).reshape(-1, 4)[:, :3]
        answer[f"colours {view}"] = float(np.abs(found - wanted).mean())


def story():
    kit.empty_file()
    kit.install()
    answer = {}
    belonging(answer)
    about(answer)
    again(answer)
    larger(answer)
    colours(answer)
    return answer


kit.run(story)
