"""A zoo of scenes whose motion hangs on what only the scene has: recorded as Blender shows it."""

import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Matrix

SIZE = (768, 768)
TIMES = (101, 103, 106, 109, 112)
JOINTS = {
    "RightArm": 2, "RightForeArm": 3, "RightHand": 4, "LeftArm": 5, "LeftForeArm": 6,
    "LeftHand": 7, "RightUpLeg": 8, "RightLeg": 9, "LeftUpLeg": 11, "LeftLeg": 12,
}  # fmt: skip


def link(thing, collection=None):
    (collection or bpy.context.scene.collection).objects.link(thing)
    return thing


def empty(name, collection=None):
    return link(bpy.data.objects.new(name, None), collection)


def slide(thing, by=1.0, path="location", index=0):
    for frame, value in ((101, 0.0), (112, by)):
        getattr(thing, path)[index] = value
        thing.keyframe_insert(path, index=index, frame=frame)


def drive(owner, path, index, kind, expression, **target):
    driver = owner.driver_add(path, index).driver
    driver.type, driver.expression = "SCRIPTED", expression
    if kind:
        variable = driver.variables.new()
        variable.name, variable.type = "v", kind
        for key, value in target.items():
            setattr(variable.targets[0], key, value)


def scene_property(scene):
    scene["slide"] = 0.0
    for frame, value in ((101, 0.0), (112, 1.0)):
        scene["slide"] = value
        scene.keyframe_insert('["slide"]', frame=frame)


def box(name, size=0.2):
    mesh = bpy.data.meshes.new(name)
    corners = [(x * size, y * size, z * size) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh.from_pydata(corners, [], faces)
    return link(bpy.data.objects.new(name, mesh))


def camera_reads_scene_property(scene, rig, camera):
    scene_property(scene)
    drive(camera, "location", 0, "SINGLE_PROP", "v", id_type="SCENE", id=scene,
          data_path='["slide"]')  # fmt: skip


def context_property(scene, rig, camera):
    scene_property(scene)
    driver = camera.driver_add("location", 0).driver
    driver.type, driver.expression = "SCRIPTED", "v"
    variable = driver.variables.new()
    variable.name, variable.type = "v", "CONTEXT_PROP"
    variable.targets[0].context_property = "ACTIVE_SCENE"
    variable.targets[0].data_path = '["slide"]'


def bone_reads_scene_property(scene, rig, camera):
    scene_property(scene)
    drive(rig.pose.bones["mixamorig:Spine"], "rotation_euler", 1, "SINGLE_PROP", "v",
          id_type="SCENE", id=scene, data_path='["slide"]')  # fmt: skip
    rig.pose.bones["mixamorig:Spine"].rotation_mode = "XYZ"


def constraint_reads_scene_property(scene, rig, camera):
    scene_property(scene)
    goal = empty("Goal")
    goal.location = (1.0, 0.0, 0.5)
    copy = rig.constraints.new("COPY_LOCATION")
    copy.target = goal
    drive(copy, "influence", -1, "SINGLE_PROP", "v", id_type="SCENE", id=scene,
          data_path='["slide"]')  # fmt: skip


def parent_reads_scene_property(scene, rig, camera):
    """Two steps away, through a custom property of another object."""
    scene_property(scene)
    far = empty("Far")
    far["level"] = 0.0
    drive(far, '["level"]', -1, "SINGLE_PROP", "v", id_type="SCENE", id=scene,
          data_path='["slide"]')  # fmt: skip
    near = empty("Near")
    drive(near, "location", 2, "SINGLE_PROP", "v", id=far, data_path='["level"]')
    rig.parent = near


def driver_reads_context(scene, rig, camera):
    def frame():
        return bpy.context.scene.frame_current / 100

    bpy.app.driver_namespace["our_frame"] = frame
    drive(camera, "location", 0, None, "our_frame() - 1")


def driver_reads_frame(scene, rig, camera):
    drive(camera, "location", 0, None, "(frame - 101) / 12")


def rigid_body(scene, rig, camera, bake=True):
    thing = box("Carrier")
    thing.location.z = 2.0
    with bpy.context.temp_override(object=thing, active_object=thing, selected_objects=[thing]):
        bpy.ops.rigidbody.object_add(type="ACTIVE")
    rig.parent = thing
    cache = scene.rigidbody_world.point_cache
    cache.frame_start, cache.frame_end = 101, 112
    if bake:
        with bpy.context.temp_override(scene=scene, point_cache=cache):
            bpy.ops.ptcache.bake(bake=True)


def unbaked_rigid_body(scene, rig, camera):
    rigid_body(scene, rig, camera, bake=False)


def physics_from_before(scene, rig, camera):
    """The shot begins in the middle of a simulation that nobody has played yet."""
    rigid_body(scene, rig, camera, bake=False)
    scene.rigidbody_world.point_cache.frame_start = 95


def plates():
    """Make a movie clip of twelve pictures from frame 101 on."""
    folder = kit.FOLDER / "clip"
    folder.mkdir(exist_ok=True)
    picture = bpy.data.images.new("Plate", 64, 64)
    for frame in range(1, 13):
        picture.filepath_raw = str(folder / f"plate_{frame:04d}.png")
        picture.file_format = "PNG"
        picture.save()
    clip = bpy.data.movieclips.load(str(folder / "plate_0001.png"))
    clip.frame_start = 101
    return clip


def follow_track(scene, rig, camera):
    clip = plates()
    track = clip.tracking.tracks.new(name="Mark", frame=1)
    for frame in range(1, 13):
        track.markers.insert_frame(frame, co=(0.3 + 0.03 * frame, 0.4))
    scene.active_clip = clip
    goal = empty("Followed")
    follow = goal.constraints.new("FOLLOW_TRACK")
    follow.use_active_clip, follow.track, follow.camera = True, "Mark", camera
    goal.location = (0.0, 0.0, 0.0)
    rig.parent = goal
    rig.matrix_parent_inverse = Matrix.Translation((0.0, -5.0, -1.0))


def solved_clip():
    """Make a clip whose camera Blender has solved: of marks that a known camera has seen."""
    clip = plates()
    lens = clip.tracking.camera
    lens.sensor_width, lens.focal_length = 36.0, 50.0
    marks = np.random.default_rng(1).uniform((-2.0, -1.5, -9.0), (2.0, 1.5, -4.0), (40, 3))
    tracks = [clip.tracking.tracks.new(name=f"Mark {n}", frame=1) for n in range(len(marks))]
    for frame in range(1, 13):
        time = (frame - 1) / 11
        turn = np.array(Matrix.Rotation(0.05 * time, 3, "Y"))
        seen = (marks - np.array([0.5, 0.15, -0.2]) * time) @ turn
        places = 0.5 + 50.0 / 36.0 * seen[:, :2] / -seen[:, 2:]
        for track, place in zip(tracks, places, strict=True):
            track.markers.insert_frame(frame, co=place)
    shot = clip.tracking.objects[0]
    shot.keyframe_a, shot.keyframe_b = 1, 12
    # The solver wants an editor of clips; without a screen to be seen on there is one all the same.
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    kind, area.type = area.type, "CLIP_EDITOR"
    area.spaces.active.clip = clip
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.clip.solve_camera()
    area.type = kind
    assert shot.reconstruction.is_valid
    return clip


def camera_solver(scene, rig, camera):
    scene.active_clip = solved_clip()
    camera.constraints.new("CAMERA_SOLVER").use_active_clip = True


def camera_solver_of_a_clip(scene, rig, camera):
    solver = camera.constraints.new("CAMERA_SOLVER")
    solver.use_active_clip, solver.clip = False, solved_clip()


def script(scene, rig, camera):
    def move(scene, *_):
        bpy.data.objects["Rig"].location.z = (scene.frame_current - 101) / 20

    bpy.app.handlers.frame_change_post.append(move)


def cloth(scene, rig, camera):
    flag = box("Flag", 0.5)
    flag.location.z = 1.5
    flag.modifiers.new("Cloth", "CLOTH").point_cache.frame_start = 101
    rig.parent, rig.parent_type, rig.parent_vertices = flag, "VERTEX", [0, 0, 0]


def geometry_nodes(scene, rig, camera):
    carrier = box("Nodes")
    tree = bpy.data.node_groups.new("Rise", "GeometryNodeTree")
    if hasattr(tree, "interface"):
        tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
        tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    start, end = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    move, time = (
        tree.nodes.new("GeometryNodeSetPosition"),
        tree.nodes.new("GeometryNodeInputSceneTime"),
    )
    join = tree.nodes.new("ShaderNodeCombineXYZ")
    tree.links.new(start.outputs[0], move.inputs["Geometry"])
    tree.links.new(time.outputs["Seconds"], join.inputs["Z"])
    tree.links.new(join.outputs[0], move.inputs["Offset"])
    tree.links.new(move.outputs[0], end.inputs[0])
    carrier.modifiers.new("Nodes", "NODES").node_group = tree
    rig.parent, rig.parent_type, rig.parent_vertices = carrier, "VERTEX", [0, 0, 0]


def instance(scene, rig, camera):
    collection = bpy.data.collections.new("Actor")
    scene.collection.objects.unlink(rig)
    link(rig, collection)
    collection.instance_offset = (0.2, 0.0, 0.1)
    shown = empty("Shown")
    shown.instance_type, shown.instance_collection = "COLLECTION", collection
    slide(shown)
    shown.rotation_euler.z = 0.4
    return [shown]


def nested_instance(scene, rig, camera):
    inner = instance(scene, rig, camera)[0]
    scene.collection.objects.unlink(inner)
    collection = bpy.data.collections.new("Set")
    link(inner, collection)
    outer = empty("Outer")
    outer.instance_type, outer.instance_collection = "COLLECTION", collection
    outer.location, outer.scale = (-0.5, 0.3, 0.1), (0.8, 0.8, 0.8)
    return [outer, inner]


def child_of(scene, rig, camera):
    goal = empty("Hand")
    slide(goal)
    bind = rig.constraints.new("CHILD_OF")
    bind.target = goal


def follow_path(scene, rig, camera):
    curve = bpy.data.curves.new("Way", "CURVE")
    curve.dimensions = "3D"
    spline = curve.splines.new("POLY")
    spline.points.add(1)
    spline.points[1].co = (2.0, 0.5, 0.3, 1.0)
    way = link(bpy.data.objects.new("Way", curve))
    walk = rig.constraints.new("FOLLOW_PATH")
    walk.target = way
    for frame, value in ((101, 0.0), (112, -60.0)):
        walk.offset = value
        walk.keyframe_insert("offset", frame=frame)


def inverse_kinematics(scene, rig, camera):
    goal = empty("Goal")
    goal.location = (0.5, -0.3, 1.6)
    slide(goal)
    reach = rig.pose.bones["mixamorig:LeftHand"].constraints.new("IK")
    reach.target, reach.chain_count = goal, 3


def itasc(scene, rig, camera):
    inverse_kinematics(scene, rig, camera)
    rig.pose.ik_solver = "ITASC"
    rig.pose.ik_param.mode = "SIMULATION"


def hidden_and_driven(scene, rig, camera):
    """What viewports do not show is recorded in the user's scene as well."""
    bone_reads_scene_property(scene, rig, camera)
    rig.hide_set(True)


def stretched_time(scene, rig, camera):
    scene.render.frame_map_old, scene.render.frame_map_new = 100, 98
    camera_reads_scene_property(scene, rig, camera)


def markers(scene, rig, camera):
    camera_reads_scene_property(scene, rig, camera)
    side = link(bpy.data.objects.new("Side", camera.data.copy()))
    side.location, side.rotation_euler = (4.0, -2.0, 1.2), (1.5, 0.0, 1.1)
    for frame, each in ((101, camera), (108, side)):
        scene.timeline_markers.new(each.name, frame=frame).camera = each


def two_people(scene, rig, camera):
    bone_reads_scene_property(scene, rig, camera)
    other = kit.make_rig("Other", x=0.8, sway=-1.0)
    other.parent = rig


PLAIN = [driver_reads_frame, child_of, follow_path, inverse_kinematics]
OWN = [
    camera_reads_scene_property, context_property, bone_reads_scene_property,
    constraint_reads_scene_property, parent_reads_scene_property, driver_reads_context,
    rigid_body, unbaked_rigid_body, physics_from_before, follow_track, camera_solver,
    camera_solver_of_a_clip, script, cloth,
    geometry_nodes, instance,
    nested_instance, itasc, hidden_and_driven, stretched_time, markers, two_people,
]  # fmt: skip


def shown(rig, chain, graph):
    """Return the matrix with which Blender shows an armature."""
    place = Matrix.Identity(4)
    for each in chain:
        offset = Matrix.Translation(each.instance_collection.instance_offset)
        place = place @ each.evaluated_get(graph).matrix_world @ offset.inverted()
    return place @ rig.evaluated_get(graph).matrix_world


def expected(scene, rig, chain, start):
    """Play the user's scene from a frame and ask Blender where it sees the joints."""
    cameras = kit.module("scene.cameras")
    rows = []
    hidden = rig.hide_get() if not chain else False
    if hidden:
        rig.hide_set(False)
    for frame in range(start, TIMES[-1] + 1):
        scene.frame_set(frame)
        if frame not in TIMES:
            continue
        graph = bpy.context.view_layer.depsgraph
        eye = cameras.current_camera(scene, frame).evaluated_get(graph)
        box = cameras.frame_in_picture(cameras.Frame.of(scene), SIZE, "CROP")
        place, bones = shown(rig, chain, graph), rig.evaluated_get(graph).pose.bones
        row = []
        for name in JOINTS:
            x, y, _ = world_to_camera_view(scene, eye, place @ bones[f"mixamorig:{name}"].head)
            row.append((box[0] + x * box[2], box[1] + (1 - y) * box[3]))
        rows.append(row)
    if hidden:
        rig.hide_set(True)
    return np.array(rows)


def compared(build):
    bpy.ops.wm.read_homefile(use_empty=True)
    scene, rig = kit.make_scene()
    scene.frame_end = 112
    scene.render.resolution_x = scene.render.resolution_y = 768
    chain = build(scene, rig, scene.camera) or []
    scene.frame_set(101)
    recording, frames = kit.module("scene.recording"), kit.module("marionext.frames")
    moments = recording.Moments(
        times=tuple(map(Fraction, range(TIMES[0], TIMES[-1] + 1))),
        rate=frames.FrameRate.parse("24"),
        first=101,
    )
    scene.frame_set(104)
    scene.frame_set(101)
    recorded = recording.record(scene, kit.module("scene.rig").people_of(scene), moments, SIZE)
    points = recorded.track.points[[time - 101 for time in TIMES], 0][:, list(JOINTS.values())]
    physics = scene.rigidbody_world
    start = physics.point_cache.frame_start if physics else TIMES[0]
    wanted = expected(scene, rig, chain, start)
    handlers = bpy.app.handlers.frame_change_post
    handlers[:] = [each for each in handlers if each.__name__ != "move"]
    return {
        "off": float(np.abs(points - wanted).max()),
        "moves": float(np.abs(wanted - wanted[0]).max()),
        "own": any(recording.NOTED_OWN in note for note in recorded.notes),
        "notes": list(recorded.notes),
    }


def unkeyed(answer):
    """What was changed and not keyed is as it was left, also after a file was saved meanwhile."""
    bpy.ops.wm.read_homefile(use_empty=True)
    scene, rig = kit.make_scene()
    scene["slide"] = 0.0
    bone_reads_scene_property(scene, rig, scene.camera)
    rig["grip"] = 0.25
    rig.keyframe_insert('["grip"]', frame=101)
    scene.frame_set(107, subframe=0.5)
    arm = rig.pose.bones["mixamorig:LeftArm"]
    arm.rotation_euler = (0.7, 0.6, 0.5)
    rig.location.y = 0.3
    rig["grip"] = 0.75

    def left():
        values = (tuple(arm.rotation_euler), tuple(rig.location), rig["grip"])
        return [*values, scene.frame_current_final]

    before = left()
    recording, frames = kit.module("scene.recording"), kit.module("marionext.frames")
    moments = recording.Moments(
        times=tuple(map(Fraction, TIMES)), rate=frames.FrameRate.parse("24"), first=101
    )
    people = kit.module("scene.rig").people_of(scene)
    steps = recording.record_in_steps(scene, people, moments, SIZE)
    frames_shown = [scene.frame_current for _ in zip(range(3), steps, strict=False)]
    answer["frames shown"] = frames_shown
    bpy.ops.wm.save_as_mainfile(filepath=str(kit.FOLDER / "meanwhile.blend"), copy=True)
    answer["saved at"] = scene.frame_current_final
    for _ in steps:
        pass
    answer["unkeyed"] = before == left()
    steps = recording.record_in_steps(scene, people, moments, SIZE)
    next(steps)
    next(steps)
    bpy.ops.wm.read_homefile(use_empty=True)
    errors = kit.module("marionext.errors")
    try:
        next(steps)
    except errors.MotionError as error:
        answer["another file"] = str(error)
    answer["its frame"] = bpy.context.scene.frame_current


def story():
    kit.empty_file()
    kit.install()
    answer = {"scenes": {build.__name__: compared(build) for build in (*PLAIN, *OWN)}}
    answer["plain"] = [build.__name__ for build in PLAIN]
    unkeyed(answer)
    return answer


kit.run(story)
