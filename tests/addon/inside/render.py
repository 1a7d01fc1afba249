"""A whole afternoon in background mode: render, draft, pose maps, queue folder, results."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit


def job(session, index):
    item = session.jobs[index]
    folder = Path(item.folder)
    names = ("state", "message", "hint", "progress", "first_frame", "frame_count", "step", "kind")
    return {
        **{name: getattr(item, name) for name in names},
        "frames_done": item.frames_done,
        "folder": item.folder,
        "video": item.video,
        "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")),
        "job": json.loads((folder / "job.json").read_text(encoding="utf-8")),
    }


def untouched(scene, rig):
    return [
        scene.frame_current,
        scene.render.resolution_x,
        len(bpy.data.scenes),
        len(bpy.data.objects),
        len(bpy.data.armatures),
        [round(value, 6) for row in rig.matrix_world for value in row],
        len(bpy.data.images),
    ]


def story():
    kit.empty_file()
    kit.install()
    scene, rig = kit.make_scene()
    session = bpy.context.window_manager.marionext
    settings = scene.marionext
    before = untouched(scene, rig)
    strip_range = kit.module("work.results").strip_range
    results = [bpy.ops.marionext.render(wait=True)]
    after = untouched(scene, rig)
    rendered = job(session, 0)

    results.append(bpy.ops.marionext.add_strip())
    strips = (
        scene.sequence_editor.strips
        if hasattr(scene.sequence_editor, "strips")
        else (scene.sequence_editor.sequences)
    )
    strip = strips[0]
    results.append(bpy.ops.marionext.add_strip())
    results.append(bpy.ops.marionext.camera_background())
    results.append(bpy.ops.marionext.camera_background())
    backgrounds = scene.camera.data.background_images
    user = backgrounds[0].image_user
    results.append(bpy.ops.marionext.show_result())
    shown = {
        "strip": [*strip_range(strip), len(strip.elements)],
        "elements": [element.filename for element in strip.elements],
        "channels": [strip.channel for strip in strips],
        "background": [user.frame_start, user.frame_offset, user.frame_duration],
        "backgrounds": len(backgrounds),
        "method": backgrounds[0].frame_method,
        "images": [[image.name, image.source] for image in bpy.data.images],
        "image_size": list(backgrounds[0].image.size),
    }

    settings.frame_step = 2
    settings.fps = 0
    results.append(bpy.ops.marionext.pose_maps(wait=True))
    maps = job(session, 1)
    results.append(bpy.ops.marionext.add_strip())
    stepped = strips[len(strips) - 1]
    maps["strip"] = list(strip_range(stepped))
    maps["strip_folder"] = bpy.path.abspath(stepped.directory)
    linked = Path(maps["strip_folder"])
    originals = Path(maps["folder"]) / "posemaps"
    maps["held"] = [
        (linked / f"{number:06d}.png").read_bytes()
        == (originals / f"{number - (number - 101) % 2:06d}.png").read_bytes()
        for number in (101, 102, 103, 104)
    ]

    # A second dancer beside the first, in a quick version.
    settings.frame_step = 1
    settings.people.add().armature = kit.make_rig("Other", x=0.9, sway=-0.5)
    results.append(bpy.ops.marionext.draft(wait=True))
    couple = job(session, 2)

    settings.queue_folder = str(kit.FOLDER / "queue")
    scene.render.fps, scene.render.fps_base = 30, 1.001
    results.append(bpy.ops.marionext.send_to_queue())
    queued = sorted((kit.FOLDER / "queue").rglob("*.*"))

    # No folder: the queue of this computer, given the job by the engine's own command.
    settings.queue_folder = ""
    results.append(bpy.ops.marionext.send_to_queue())
    own_queue = job(session, 4)
    runner = kit.module("work.runner").runner
    (Path(own_queue["folder"]) / "character.png").unlink()
    runner.renders[session.jobs[4].job_id].state = "FAILED"  # as if the queue had refused it
    runner.retry(runner.renders[session.jobs[4].job_id])
    runner.wait(runner.renders[session.jobs[4].job_id], print)
    refused = {name: getattr(session.jobs[4], name) for name in ("state", "message", "hint")}

    errors = {}
    for name, change in {
        "no picture": {"character": ""},
        "lost picture": {"character": str(kit.FOLDER / "nothing.png")},
        "empty range": {"frame_range": "OWN", "frame_start": 9, "frame_end": 3},
    }.items():
        kept = {key: getattr(settings, key) for key in change}
        for key, value in change.items():
            setattr(settings, key, value)
        try:
            bpy.ops.marionext.render(wait=True)
        except RuntimeError as error:
            errors[name] = str(error)
        for key, value in kept.items():
            setattr(settings, key, value)
    scene.camera = None
    try:
        bpy.ops.marionext.render(wait=True)
    except RuntimeError as error:
        errors["no camera"] = str(error)
    return {
        "results": [sorted(result) for result in results],
        "before": before,
        "after": after,
        "rendered": rendered,
        "shown": shown,
        "maps": maps,
        "couple": couple,
        "queued": [str(path.relative_to(kit.FOLDER / "queue")) for path in queued],
        "own_queue": own_queue,
        "refused": refused,
        "errors": errors,
    }


kit.run(story)
