"""What the sidebar's settings mean as a job; nothing is rendered."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit


def story():
    kit.empty_file()
    kit.install()
    jobs, results, shots = (kit.module(f"work.{name}") for name in ("jobs", "results", "shots"))
    codec = kit.module("marionext.jobs")
    scene, _rig = kit.make_scene()
    settings = scene.marionext
    settings.steps, settings.quality, settings.size_preset = 0, "balanced", "MODEL"
    answer = {}

    def now(draft=False):
        shot = shots.shot_of(scene, "DRAFT" if draft else "RENDER")
        job = jobs.build_job(scene, shot, "character.png")
        told = codec.encode_job(job)
        return {
            "settings": told["settings"],
            "quality": told["quality"],
            "frames": told["frames"],
            "pose": told["pose"],
            "numbers": list(shot.numbers),
            "times": [float(time) for time in shot.times],
            "rate": str(shot.rate),
            "rendered rate": str(shot.rendered_rate),
        }

    def case(name, changes, draft=False):
        targets = {"render": scene.render, "scene": scene}
        before = []
        for path, value in changes.items():
            where, _, key = path.rpartition(".")
            target = targets.get(where, settings)
            before.append((target, key, getattr(target, key)))
            setattr(target, key, value)
        answer[name] = now(draft)
        for target, key, value in reversed(before):
            setattr(target, key, value)

    case("as it is", {})
    case("draft", {"size_preset": "CUSTOM", "width": 1024, "height": 576}, draft=True)
    case("landscape", {"size_preset": "LANDSCAPE"})
    case("custom", {"size_preset": "CUSTOM", "width": 600, "height": 1000})
    case(
        "scene's shape",
        {
            "size_preset": "SCENE",
            "render.resolution_x": 1920,
            "render.resolution_y": 1080,
            "model": "svd",
        },
    )
    case("svd", {"model": "svd", "quality": "MODEL"})
    settings.property_unset("model")
    answer["never touched"] = settings.model
    case("doll", {"steps": 7, "seed": 42})
    case("doll's own size", {"size_preset": "CUSTOM", "width": 333, "height": 500})
    case("doll's draft", {}, draft=True)
    settings["model"] = 0  # as files have it in which the puppet was chosen
    answer["chosen before"] = settings.model
    settings.model = "puppet"
    case(
        "own",
        {
            "steps": 7,
            "guidance": 2.5,
            "control_strength": 0.7,
            "seed": 42,
            "pose_fit": "limbs",
            "quality": "exact",
        },
    )
    case("own range", {"frame_range": "OWN", "frame_start": -2, "frame_end": 3, "frame_step": 2})
    case(
        "preview range",
        {
            "scene.use_preview_range": True,
            "scene.frame_preview_start": 102,
            "scene.frame_preview_end": 103,
        },
    )
    case("half rate", {"fps": 12.0})
    case("film to video", {"fps": 29.97})
    case("ntsc", {"render.fps": 30, "render.fps_base": 1.001})

    folder = kit.FOLDER / "negative"
    (folder / "frames").mkdir(parents=True)
    for number in range(-2, 3):
        (folder / "frames" / f"{number:06d}.png").write_bytes(f"{number}".encode())
    settings.frame_range, settings.frame_start, settings.frame_end = "OWN", -2, 2
    shots.write_shot(shots.shot_of(scene), folder)
    pictures = results.find_pictures(folder)
    answer["negative"] = [
        pictures.first,
        pictures.count,
        [pictures.path(index).read_text(encoding="utf-8") for index in range(pictures.count)],
    ]
    settings.model = "svd"
    try:
        bpy.ops.marionext.render(wait=True)
    except RuntimeError as error:
        answer["no model"] = str(error)
    return answer


kit.run(story)
