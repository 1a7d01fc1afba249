"""Build, inside Blender, the shot that the add-on's story and its pictures show.

A Rigify human with a body of simple solids dances for two seconds before a camera. Everything is
made here, in any Blender from 3.4 on:

    blender --background --factory-startup --python scripts/addon_scene.py -- dance.blend

The arms are animated in FK, the legs stay on the floor in IK, fingers curl by Rigify's own
controls: constraints and drivers are at work in every frame, as in an animator's file.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import addon_utils
import bmesh
import bpy
from mathutils import Matrix, Quaternion, Vector

Shape = Callable[[Vector], Vector]
"""Bends a point of the unit sphere into a solid."""

FIRST, LAST, BEAT = 101, 148, 12
"""The shot starts at 101, as shots do, and lasts four beats of half a second at 24 frames/s."""

COLOURS = {
    "skin": (0.93, 0.72, 0.58, 1.0),
    "shirt": (0.85, 0.16, 0.13, 1.0),
    "sleeve": (0.98, 0.72, 0.13, 1.0),
    "trousers": (0.07, 0.14, 0.42, 1.0),
    "shoe": (0.92, 0.92, 0.90, 1.0),
    "hair": (0.17, 0.07, 0.04, 1.0),
    "eye": (0.02, 0.02, 0.03, 1.0),
    "floor": (0.36, 0.29, 0.24, 1.0),
    "wall": (0.55, 0.75, 0.78, 1.0),
}

# Bone without its side and segment number: colour, radius at its head and tail in metres,
# and how much wider than deep it is.
LIMBS = {
    "DEF-spine": ("trousers", 0.115, 0.120, 1.30),
    "DEF-spine.001": ("shirt", 0.112, 0.115, 1.35),
    "DEF-spine.002": ("shirt", 0.116, 0.125, 1.45),
    "DEF-spine.003": ("shirt", 0.125, 0.095, 1.50),
    "DEF-spine.004": ("skin", 0.050, 0.048, 1.0),
    "DEF-spine.005": ("skin", 0.048, 0.048, 1.0),
    "DEF-shoulder": ("shirt", 0.050, 0.062, 1.0),
    "DEF-upper_arm": ("sleeve", 0.056, 0.046, 1.0),
    "DEF-forearm": ("sleeve", 0.044, 0.034, 1.0),
    "DEF-hand": ("skin", 0.032, 0.040, 1.3),
    "DEF-thigh": ("trousers", 0.092, 0.070, 1.0),
    "DEF-shin": ("trousers", 0.066, 0.046, 1.0),
    "DEF-foot": ("shoe", 0.046, 0.044, 1.1),
    "DEF-toe": ("shoe", 0.044, 0.034, 1.2),
    "DEF-thumb": ("skin", 0.014, 0.012, 1.0),
    "DEF-f_index": ("skin", 0.012, 0.011, 1.0),
    "DEF-f_middle": ("skin", 0.012, 0.011, 1.0),
    "DEF-f_ring": ("skin", 0.012, 0.010, 1.0),
    "DEF-f_pinky": ("skin", 0.011, 0.009, 1.0),
}

# Where upper arm and forearm of the left arm point (to the left, to the front, up); the right
# arm mirrors them unless it has a pose of its own. Frame in beats, then the curl of the fingers.
ARMS = {
    0: ((0.45, 0.1, -0.9), (0.35, 0.5, -0.8), 0.35),
    1: ((0.9, 0.1, 0.15), (0.25, 0.3, 0.95), 0.0),
    1.5: ((0.9, 0.1, 0.25), (0.7, 0.2, 0.75), 0.0),
    2: ((0.7, 0.5, -0.4), (-0.55, 0.75, 0.35), 0.9),
    3: ((0.6, 0.1, 0.8), (0.25, 0.15, 0.95), 0.0),
    3.9: ((0.45, 0.1, -0.9), (0.35, 0.5, -0.8), 0.35),
}
RIGHT = {
    1: ((0.55, 0.15, -0.8), (0.1, 0.75, -0.3), 0.6),
    1.5: ((0.55, 0.15, -0.8), (0.1, 0.75, -0.2), 0.6),
}
# Beats: the torso's move to the left and up in metres, its turn and lean to the left in degrees.
TORSO = {
    0: (0.0, -0.02, 0, 0),
    0.5: (0.04, -0.09, 4, 2),
    1: (0.09, -0.02, 10, 5),
    1.5: (0.06, -0.08, 6, 3),
    2: (-0.09, -0.05, -14, -5),
    2.5: (-0.05, -0.10, -6, -3),
    3: (0.0, 0.0, 0, 0),
    3.9: (0.0, -0.02, 0, 0),
}


def main() -> None:
    """Build the shot and save it where the command line says."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    build()
    target = sys.argv[sys.argv.index("--") + 1] if "--" in sys.argv else "dance.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(target).absolute()))


def build() -> bpy.types.Object:
    """Build the shot in the open scene and return its armature."""
    rig = make_rig()
    make_body(rig)
    make_stage()
    animate(rig)
    scene = bpy.context.scene
    scene.render.fps = 24
    scene.frame_start, scene.frame_end = FIRST, LAST
    scene.render.resolution_x, scene.render.resolution_y = 1280, 720
    scene.view_settings.view_transform = "Standard"
    scene.frame_set(FIRST)
    return rig


def make_rig() -> bpy.types.Object:
    """Generate Rigify's human and leave nothing of its template behind."""
    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_human_metarig_add()
    template = bpy.context.object
    bpy.ops.pose.rigify_generate()
    rig = bpy.context.object
    if rig is template:
        rig = next(o for o in bpy.data.objects if o.type == "ARMATURE" and o is not template)
    bpy.data.objects.remove(template)
    rig.name = "Dancer"
    rig.show_in_front = False
    return rig


def make_body(rig: bpy.types.Object) -> bpy.types.Object:
    """Give each deforming bone a solid, all in one mesh that the armature bends."""
    mesh = bpy.data.meshes.new("Dancer body")
    body = bpy.data.objects.new("Dancer body", mesh)
    bpy.context.scene.collection.objects.link(body)
    order = list(COLOURS)
    for name in order:
        mesh.materials.append(make_material(name))
    solids = bmesh.new()
    groups = solids.verts.layers.deform.verify()

    def add(bone: str, colour: str, place: Matrix, shape: Shape) -> None:
        group = body.vertex_groups.get(bone) or body.vertex_groups.new(name=bone)
        # Blender 3.0 renamed `diameter` to `radius`.
        made = bmesh.ops.create_uvsphere(solids, u_segments=20, v_segments=14, radius=1.0)
        for vertex in made["verts"]:
            vertex.co = place @ shape(vertex.co)
            vertex[groups][group.index] = 1.0
            for face in vertex.link_faces:
                face.material_index = order.index(colour)
                face.smooth = True

    for bone in rig.data.bones:
        if not bone.name.startswith("DEF-") or bone.name == "DEF-spine.006":
            continue
        part = bone.name[:-2] if bone.name[-2:] in {".L", ".R"} else bone.name
        sided = bone.name.rsplit(".L" if ".L" in bone.name else ".R", 1)[0]
        limb = LIMBS.get(part) or LIMBS.get(sided) or LIMBS.get(sided.rsplit(".", 1)[0])
        if limb is None:
            continue
        colour, low, high, broad = limb
        if bone.name.endswith(".001") and sided != part:  # the second half of a limb
            low = (low + high) / 2
        elif sided == part and f"{bone.name}.001" in rig.data.bones and "spine" not in part:
            high = (low + high) / 2
        add(bone.name, colour, bone.matrix_local, capsule(bone.length, low, high, broad))
    add_head(rig, add)
    solids.to_mesh(mesh)
    solids.free()
    body.parent = rig
    modifier = body.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig
    return body


def capsule(length: float, low: float, high: float, broad: float) -> Shape:
    """Return a function that bends a unit sphere into a bone's solid along y."""

    def shape(point: Vector) -> Vector:
        end = (point.y + 1) / 2
        radius = low + (high - low) * end
        along = length * (point.y > 0.01) + radius * point.y * 0.9
        return Vector((point.x * radius * broad, along, point.z * radius))

    return shape


def add_head(rig: bpy.types.Object, add: Callable[[str, str, Matrix, Shape], None]) -> None:
    """Add a head with hair, eyes and a nose, all held by the head bone."""
    bone = rig.data.bones["DEF-spine.006"]
    base = bone.head_local
    up = bone.length

    def ball(
        colour: str, middle: tuple[float, float, float], radii: tuple[float, float, float]
    ) -> None:
        place = Matrix.Translation(base + Vector(middle))
        add(bone.name, colour, place, lambda point: Vector(map(float.__mul__, point, radii)))

    middle = 0.48 * up
    ball("skin", (0, -0.02, middle - 0.02), (0.080, 0.094, 0.130))
    ball("hair", (0, 0.012, middle + 0.035), (0.088, 0.092, 0.100))
    ball("skin", (0, -0.118, middle - 0.012), (0.012, 0.016, 0.018))
    for side in (1, -1):
        ball("eye", (0.031 * side, -0.100, middle + 0.016), (0.011, 0.008, 0.011))
        ball("skin", (0.080 * side, -0.01, middle), (0.014, 0.022, 0.030))
    ball("shirt", (0, -0.098, middle - 0.055), (0.024, 0.010, 0.007))


def make_material(name: str) -> bpy.types.Material:
    """Return a material whose viewport colour is its colour as well."""
    material = bpy.data.materials.new(name)
    material.diffuse_color = COLOURS[name]
    material.roughness = 0.7
    if not material.node_tree:
        material.use_nodes = True
    shader = material.node_tree.nodes.get("Principled BSDF")
    if shader is not None:
        shader.inputs["Base Color"].default_value = COLOURS[name]
    return material


def make_stage() -> None:
    """Add floor, wall, light and a camera that holds the whole dance."""
    scene = bpy.context.scene
    for name, turn, place in (
        ("floor", Matrix(), Vector((0, 0, 0))),
        ("wall", Matrix.Rotation(math.radians(90), 4, "X"), Vector((0, 1.6, 0))),
    ):
        mesh = bpy.data.meshes.new(name)
        corners = [(-4, -4, 0), (4, -4, 0), (4, 4, 0), (-4, 4, 0)]
        mesh.from_pydata([(Matrix.Translation(place) @ turn) @ Vector(c) for c in corners], [],
                         [(0, 1, 2, 3)])  # fmt: skip
        mesh.materials.append(make_material(name))
        ground = bpy.data.objects.new(name.capitalize(), mesh)
        ground.hide_select = True
        scene.collection.objects.link(ground)
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy = 3.0
    sun.rotation_euler = (math.radians(50), math.radians(10), math.radians(25))
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens = 50
    camera.location = (0, -6.4, 1.08)
    camera.rotation_euler = (math.radians(90), 0, 0)
    for thing in (sun, camera):
        scene.collection.objects.link(thing)
    scene.camera = camera
    if scene.world is None:
        scene.world = bpy.data.worlds.new("World")


def animate(rig: bpy.types.Object) -> None:
    """Set the keys of the dance."""
    for side in "LR":
        rig.pose.bones[f"upper_arm_parent.{side}"]["IK_FK"] = 1.0
    for beat, (sideways, up, turn, lean) in TORSO.items():
        torso = rig.pose.bones["torso"]
        torso.rotation_mode = "QUATERNION"
        frame = FIRST + round(beat * BEAT)
        rest = torso.bone.matrix_local.to_quaternion()
        torso.location = rest.inverted() @ Vector((sideways, 0, up))
        swing = Quaternion((0, 0, 1), math.radians(turn)) @ Quaternion(
            (0, 1, 0), math.radians(lean)
        )
        torso.rotation_quaternion = rest.inverted() @ swing @ rest
        torso.keyframe_insert("location", frame=frame)
        torso.keyframe_insert("rotation_quaternion", frame=frame)
    for beat, left in ARMS.items():
        bpy.context.scene.frame_set(FIRST + round(beat * BEAT))
        for side, mirror in (("L", 1), ("R", -1)):
            upper, lower, curl = left if side == "L" else RIGHT.get(beat, left)
            point(rig, f"upper_arm_fk.{side}", upper, mirror)
            point(rig, f"forearm_fk.{side}", lower, mirror)
            for finger in ("f_index", "f_middle", "f_ring", "f_pinky", "thumb"):
                master = rig.pose.bones.get(f"{finger}.01_master.{side}")
                if master is not None:
                    master.scale = (1, 1 - 0.4 * curl, 1)
                    master.keyframe_insert("scale")


def point(rig: bpy.types.Object, name: str, towards: tuple[float, ...], mirror: int) -> None:
    """Turn a bone so that it points that way in the armature's space, and key it."""
    bone = rig.pose.bones[name]
    bpy.context.view_layer.update()
    left, front, up = towards
    wanted = Vector((left * mirror, -front, up)).normalized()
    swing = (bone.matrix.to_3x3() @ Vector((0, 1, 0))).normalized().rotation_difference(wanted)
    place = bone.matrix.translation.copy()
    bone.matrix = (
        Matrix.Translation(place) @ (swing @ bone.matrix.to_quaternion()).to_matrix().to_4x4()
    )
    bpy.context.view_layer.update()
    if bone.rotation_mode != "QUATERNION":
        bone.rotation_mode = "QUATERNION"
    bone.keyframe_insert("rotation_quaternion")


if __name__ == "__main__":
    main()
