"""Pictures come back at the frames they were made of, whatever the scene is set to by then."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit


def pretend(scene, kind="RENDER", missing=()):
    """Make the folder of a render of the scene as it is set, with a file for each picture."""
    shots = kit.module("work.shots")
    folder = kit.module("work.folders").new_folder(kit.FOLDER / "renders", scene, kind)
    shot = shots.shot_of(scene, kind)
    shots.write_shot(shot, folder)
    pictures = folder / ("posemaps" if kind == "POSE_MAPS" else "frames")
    pictures.mkdir()
    for number in shot.numbers:
        if number not in missing:
            (pictures / f"{number:06d}.png").write_bytes(str(number).encode())
    return folder


def shown(folder):
    """Return the first scene frame, and the number of the picture of each frame from it on."""
    pictures = kit.module("work.results").find_pictures(folder)
    numbers = [int(pictures.path(index).read_text()) for index in range(pictures.count)]
    return [pictures.first, numbers]


def story():
    kit.empty_file()
    kit.install()
    scene, _rig = kit.make_scene()
    settings = scene.marionext
    scene.frame_end = 112
    answer = {}

    at_24 = pretend(scene)
    scene.render.fps = 30
    answer["another rate later"] = shown(at_24)
    scene.render.fps = 24

    settings.fps = 12.0
    answer["half rate"] = shown(pretend(scene))
    answer["half rate, poses"] = shown(pretend(scene, "POSE_MAPS"))
    settings.fps = 60.0
    answer["more than twice"] = shown(pretend(scene))
    settings.fps = 0.0
    settings.frame_step = 3
    answer["step"] = shown(pretend(scene))
    answer["unfinished"] = shown(pretend(scene, missing=(110,)))
    settings.frame_step = 1

    # Two cameras, switched by a marker: each shows the render.
    second = bpy.data.objects.new("Second", bpy.data.cameras.new("Second"))
    scene.collection.objects.link(second)
    for frame, camera in ((101, scene.camera), (106, second)):
        scene.timeline_markers.new(f"F_{frame}", frame=frame).camera = camera
    settings.fit = "LETTERBOX"
    runner, renders = kit.module("work.runner").runner, kit.module("work.renders")
    folder = pretend(scene)
    hero = Path(kit.REQUEST["root"]) / "presets" / "characters" / "hero.png"
    for path in (folder / "frames").iterdir():
        path.write_bytes(hero.read_bytes())
    settings.fit = "CROP"
    shot = kit.module("work.shots").read_shot(folder)
    render = renders.Render.of(shot, folder, "pretended")
    render.state = "FINISHED"
    runner.renders[render.job_id] = render
    bpy.ops.marionext.camera_background(job_id="pretended")
    answer["backgrounds"] = {
        camera.name: [each.frame_method for each in camera.data.background_images]
        for camera in (scene.camera, second)
    }
    answer["cameras"] = [scene.camera.name, second.name]

    # Stretched time: markers stand in it, and Blender switches by it.
    cameras = kit.module("scene.cameras")
    switched = []
    for old, new in ((100, 100), (100, 98), (50, 100)):
        scene.render.frame_map_old, scene.render.frame_map_new = old, new
        for frame in range(99, 215):
            scene.frame_set(frame)
            ours = cameras.current_camera(scene, float(frame))
            switched.append([frame, ours.name, scene.camera.name])
    answer["switched"] = switched
    return answer


kit.run(story)
