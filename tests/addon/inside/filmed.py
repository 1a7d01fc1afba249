"""A motion that comes from a file: its poses lie at the scene's frames, and are rendered."""

import sys
import time
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit
import numpy as np


def poses(rate="24", count=20, size=(200, 100)):
    """Return a track whose nose is at x = 10 + its frame's number."""
    pose, frames = kit.module("marionext.pose"), kit.module("marionext.frames")
    points = np.zeros((count, 1, 134, 2), np.float32)
    points[..., 0] = 10 + np.arange(count)[:, None, None] + np.linspace(0, 30, 134)
    points[..., 1] = np.linspace(20, 80, 134)
    scores = np.full((count, 1, 134), 0.9, np.float32)
    return pose.PoseTrack(
        points=points, scores=scores, size=size, rate=frames.FrameRate.parse(rate), first=0
    )


def live_preview(scene):
    """Return how far each live pose is from the file's, what was drawn, and what it says."""
    live, filmed = kit.module("work.live"), kit.module("scene.filmed")
    session = bpy.context.window_manager.marionext
    session.live = True
    apart, pictures = [], []
    for frame in (101, 103):
        scene.frame_set(frame)
        end = time.monotonic() + 120
        while True:
            live.pump()
            assert session.live, [session.live_message, session.live_hint]
            preview = live.previews[0]
            rests = preview.shown and not (preview.pictures.waiting or preview.measuring.busy)
            if rests and preview.frame == frame:
                break
            assert time.monotonic() < end, session.live_message
            time.sleep(0.01)
        pictures.append(preview.pixels.copy())
        asked = preview.asked
        wanted = filmed.poses_at(
            scene, [Fraction(frame)], (asked.width, asked.height), fit=scene.marionext.fit,
            rate=kit.module("scene.choices").scene_rate(scene), first=frame,
        )  # fmt: skip
        apart.append(float(np.abs(np.array(asked.points) - wanted.points[0]).max()))
    scene.marionext.motion_start += 1
    shown = preview.shown
    end = time.monotonic() + 60
    while preview.shown == shown and time.monotonic() < end:
        live.pump()
        time.sleep(0.01)
    apart.append(float(np.abs(np.array(preview.asked.points) - wanted.points[0]).max()))
    scene.marionext.motion_start -= 1
    session.live = False
    changed = float(np.abs(pictures[1] - pictures[0]).max())
    return [apart, changed, session.live_message]


def story():
    kit.empty_file()
    kit.install()
    answer = {}
    scene, _ = kit.make_scene()
    settings = scene.marionext
    write = kit.module("marionext.pose.formats").write_native
    settings.motion_source = "FILE"
    try:
        bpy.ops.marionext.pose_maps(wait=True)
    except RuntimeError as error:
        answer["nothing chosen"] = str(error)
    source = kit.FOLDER / "dance.npz"
    write(poses(), source)
    settings.motion_file = str(source)
    try:
        bpy.ops.marionext.pose_maps(wait=True)
    except RuntimeError as error:
        answer["not read"] = str(error)
    settings.motion_file = str(kit.FOLDER / "gone.mp4")
    try:
        bpy.ops.marionext.read_poses(wait=True)
    except RuntimeError as error:
        answer["gone"] = str(error)
    (kit.FOLDER / "broken.mp4").write_bytes(b"no video")
    settings.motion_file = str(kit.FOLDER / "broken.mp4")
    try:
        bpy.ops.marionext.read_poses(wait=True)
    except RuntimeError as error:
        answer["broken"] = str(error)
    settings.motion_file = str(source)
    bpy.ops.marionext.read_poses(wait=True)
    answer["read"] = Path(bpy.path.abspath(settings.motion_track)).is_file()
    # Poses of one file are not taken for another's.
    (kit.FOLDER / "other").mkdir()
    settings.motion_file = str(kit.FOLDER / "other" / "dance.npz")
    write(poses(count=9), Path(settings.motion_file))
    try:
        bpy.ops.marionext.pose_maps(wait=True)
    except RuntimeError as error:
        answer["another file"] = str(error)
    bpy.ops.marionext.read_poses(wait=True)
    answer["frames of the other"] = len(kit.module("scene.filmed").track_of(scene))
    settings.motion_file = str(source)
    bpy.ops.marionext.read_poses(wait=True)
    settings.motion_start = 99

    filmed, frames = kit.module("scene.filmed"), kit.module("marionext.frames")

    def at(times, **more):
        return filmed.poses_at(
            scene, [Fraction(time) for time in times], (200, 100), fit="CROP",
            rate=frames.FrameRate.parse("24"), first=0, **more,
        )  # fmt: skip

    track = at((98, 99, 101, "101.5", 118, 119))
    answer["noses"] = track.points[:, 0, 0, 0].tolist()
    answer["there"] = (track.scores[:, 0, 0] > 0).tolist()
    answer["last"] = filmed.last_frame(scene, filmed.track_of(scene))
    scene.render.fps = 48
    answer["twice the rate"] = at((99, 100, 101, 102)).points[:, 0, 0, 0].tolist()
    scene.render.fps = 24
    wide = filmed.poses_at(
        scene, [Fraction(99)], (100, 200), fit="LETTERBOX",
        rate=frames.FrameRate.parse("24"), first=0,
    )  # fmt: skip
    answer["letter-boxed"] = wide.points[0, 0, 0].tolist()

    # The overlay lays them on the camera's frame, where the camera sees that place.
    from bpy_extras.object_utils import world_to_camera_view

    live, choices = kit.module("scene.live"), kit.module("scene.choices")
    size = choices.render_size(scene)
    look = live.look_through(scene, bpy.context.view_layer, size)
    spot = np.array([[0.25 * size[0], 0.75 * size[1]]])
    (place,) = live.places_in_picture(look, size, spot)
    x, y, _ = world_to_camera_view(scene, scene.camera, __import__("mathutils").Vector(place))
    answer["on the picture"] = [x, y]

    settings.fit = "LETTERBOX"
    answer["live"] = live_preview(scene)

    settings.pose_fit = "none"
    bpy.ops.marionext.check_shot()
    session = bpy.context.window_manager.marionext
    answer["findings"] = [item.text for item in session.findings]
    bpy.ops.marionext.pose_maps(wait=True)
    made = list(kit.module("work.runner").runner.renders.values())[-1]
    answer["made"] = [made.state, made.frames_done, made.first_frame]
    written = kit.module("marionext.pose.formats").read_native(Path(made.folder) / "motion.npz")
    answer["written"] = [len(written), written.first, list(written.size)]
    scene.frame_end = 150
    settings.frame_step = 4
    bpy.ops.marionext.pose_maps(wait=True)
    answer["every fourth"] = list(kit.module("work.runner").runner.renders.values())[-1].warnings
    settings.frame_step = 1
    bpy.ops.marionext.check_shot()
    answer["beyond the end"] = [item.text for item in session.findings]
    kit.module("work.runner").runner.engine.close(timeout=5.0)
    return answer


kit.run(story)
