"""Rigs of every convention are mapped; metadata, presets, libraries, shape keys, two people."""

import sys
from fractions import Fraction
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]
import bpy
import kit
import numpy as np

SIZE = (576, 1024)
SIDED = {
    "clavicle": (0.04, 0, 1.42), "upper_arm": (0.16, 0, 1.42), "forearm": (0.42, 0, 1.42),
    "hand": (0.67, 0, 1.42), "thigh": (0.1, 0, 0.93), "shin": (0.1, 0, 0.5),
    "foot": (0.1, 0, 0.08), "toe": (0.1, -0.13, 0.02), "eye": (0.03, -0.1, 1.64),
}  # fmt: skip
PLACES = {
    "hips": (0, 0, 0.95), "spine": (0, 0, 1.05), "chest": (0, 0, 1.25), "neck": (0, 0, 1.48),
    "head": (0, -0.02, 1.57), "jaw": (0, -0.03, 1.56),
}  # fmt: skip
PARENTS = {
    "spine": "hips", "chest": "spine", "neck": "chest", "head": "neck", "jaw": "head",
    "eye": "head", "clavicle": "chest", "upper_arm": "clavicle", "forearm": "upper_arm",
    "hand": "forearm", "thigh": "hips", "shin": "thigh", "foot": "shin", "toe": "foot",
}  # fmt: skip


def skeleton():
    """Return role, role of the parent and place of each bone of a person."""
    for role, place in PLACES.items():
        yield role, PARENTS.get(role), place
    for side, sign in (("left", 1), ("right", -1)):
        for part, (x, y, z) in SIDED.items():
            above = PARENTS[part]
            parent = above if above in PLACES else f"{side}_{above}"
            yield f"{side}_{part}", parent, (sign * x, y, z)
        for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky")):
            for joint in (1, 2, 3):
                out = 0.7 if finger == "thumb" else 0.75
                place = (sign * (out + 0.03 * joint), 0.02 * (number - 2), 1.42)
                before = f"{side}_{finger}_{joint - 1}" if joint > 1 else f"{side}_hand"
                yield f"{side}_{finger}_{joint}", before, place


def make(name, names, *, width=1.0, more=()):
    """Make an armature whose bones have the names that ``names`` gives to roles, and more."""
    data = bpy.data.armatures.new(name)
    rig = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    made = {}
    for role, parent, (x, y, z) in skeleton():
        if role not in names:
            continue
        bone = data.edit_bones.new(names[role])
        bone.head = (x * width, y, z)
        bone.tail = (x * width, y, z + 0.05)
        above = parent
        while above is not None and above not in made:
            above = PARENTS.get(above.removeprefix("left_").removeprefix("right_"))
        bone.parent = made.get(above)
        made[role] = bone
    for extra in more:
        if extra not in data.edit_bones:
            bone = data.edit_bones.new(extra)
            bone.head, bone.tail, bone.parent = (0, 0, 0), (0, 0, 0.1), made["hips"]
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


def names_of(preset):
    return {role: preset.prefix + names[0] if not names[0].startswith(preset.prefix) else names[0]
            for role, names in preset.bones.items()}  # fmt: skip


def every_convention(answer):
    motion, rig = kit.module("marionext.motion"), kit.module("scene.rig")
    found = {}
    for preset in motion.load_presets():
        armature = make(preset.name, names_of(preset), more=preset.marks)
        report = rig.inspect(armature)
        found[preset.name] = [report.convention == preset.title, report.body, report.hands]
        bpy.data.objects.remove(armature)
    answer["conventions"] = found


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def vrm(answer):
    """A VRM's own map goes before names, whether the VRM add-on is enabled or not."""
    rig = kit.module("scene.rig")
    # Names that say the opposite: left and right exchanged.
    words = {role: f"bone_{role}" for role, *_ in skeleton()}
    other = {"left": "right_", "right": "left_"}
    swapped = {
        role: words[other.get(role.partition("_")[0], "") + role.partition("_")[2]]
        if role.partition("_")[0] in other
        else words[role]
        for role in words
    }
    spec = {
        "hips": "hips", "spine": "spine", "chest": "chest", "neck": "neck", "head": "head",
        **{f"{s}_{n}": f"{s}_{r}" for s in ("left", "right") for n, r in {
            "upper_arm": "upper_arm", "lower_arm": "forearm", "hand": "hand",
            "upper_leg": "thigh", "lower_leg": "shin", "foot": "foot", "shoulder": "clavicle",
            "index_proximal": "index_1", "index_intermediate": "index_2",
            "index_distal": "index_3"}.items()},
    }  # fmt: skip
    if bpy.app.version < (5, 0, 0):
        # What a file holds while the add-on that wrote it is not enabled.
        armature = make("vrm1 at rest", swapped)
        armature.data["vrm_addon_extension"] = {
            "spec_version": "1.0",
            "vrm1": {"humanoid": {"human_bones": {
                name: {"node": {"bone_name": words[role]}} for name, role in spec.items()
            }}},
        }  # fmt: skip
        report = rig.inspect(armature)
        answer["vrm1 at rest"] = [report.convention, report.mapping.bones["left_hand"]]
        armature = make("vrm0 at rest", swapped)
        for number, bone in enumerate(armature.data.bones):
            bone["vrm_addon_extension"] = {"uuid": f"u{number}"}
        uuid = {bone.name: bone["vrm_addon_extension"]["uuid"] for bone in armature.data.bones}
        armature.data["vrm_addon_extension"] = {
            "spec_version": "0.0",
            "vrm0": {"humanoid": {"human_bones": [
                {"bone": camel(name), "node": {"bone_uuid": uuid[words[role]]}}
                for name, role in spec.items()
            ]}},
        }  # fmt: skip
        report = rig.inspect(armature)
        answer["vrm0 at rest"] = [report.convention, report.mapping.bones["left_hand"]]

    class Node(bpy.types.PropertyGroup):
        bone_name: bpy.props.StringProperty()

    class HumanBone(bpy.types.PropertyGroup):
        node: bpy.props.PointerProperty(type=Node)

    HumanBones = type(  # noqa: N806
        "HumanBones",
        (bpy.types.PropertyGroup,),
        {"__annotations__": {n: bpy.props.PointerProperty(type=HumanBone) for n in spec}},
    )

    class Humanoid(bpy.types.PropertyGroup):
        human_bones: bpy.props.PointerProperty(type=HumanBones)

    class Vrm1(bpy.types.PropertyGroup):
        humanoid: bpy.props.PointerProperty(type=Humanoid)

    class Extension(bpy.types.PropertyGroup):
        spec_version: bpy.props.StringProperty(default="1.0")
        vrm1: bpy.props.PointerProperty(type=Vrm1)

    classes = (Node, HumanBone, HumanBones, Humanoid, Vrm1, Extension)
    for cls in classes:
        bpy.utils.register_class(cls)
    bpy.types.Armature.vrm_addon_extension = bpy.props.PointerProperty(type=Extension)
    armature = make("vrm1 enabled", swapped)
    for name, role in spec.items():
        bones = armature.data.vrm_addon_extension.vrm1.humanoid.human_bones
        getattr(bones, name).node.bone_name = words[role]
    report = rig.inspect(armature)
    answer["vrm1 enabled"] = [report.convention, report.mapping.bones["left_hand"]]
    answer["vrm sources"] = sorted({item.source for item in report.items})
    # Disabled afterwards, as in a file that is opened without the add-on.
    del bpy.types.Armature.vrm_addon_extension
    report = rig.inspect(armature)
    answer["vrm1 disabled"] = [report.convention, report.mapping.bones["left_hand"]]
    for cls in reversed(classes):
        bpy.utils.unregister_class(cls)


def mmd(answer):
    """Japanese names that MMD Tools keeps beside the bones' own."""
    motion, rig = kit.module("marionext.motion"), kit.module("scene.rig")
    japanese = names_of(next(p for p in motion.load_presets() if p.name == "mmd"))
    roles = [role for role, *_ in skeleton() if role in japanese]
    armature = make("mmd", {role: f"B{number:03}" for number, role in enumerate(roles)})
    if bpy.app.version < (5, 0, 0):
        for number, role in enumerate(roles):
            armature.pose.bones[f"B{number:03}"]["mmd_bone"] = {"name_j": japanese[role]}
    else:

        class Bone(bpy.types.PropertyGroup):
            name_j: bpy.props.StringProperty()

        bpy.utils.register_class(Bone)
        bpy.types.PoseBone.mmd_bone = bpy.props.PointerProperty(type=Bone)
        for number, role in enumerate(roles):
            armature.pose.bones[f"B{number:03}"].mmd_bone.name_j = japanese[role]
        del bpy.types.PoseBone.mmd_bone
    report = rig.inspect(armature)
    number = roles.index("left_forearm")
    answer["mmd"] = [
        report.convention, report.mapping.bones["left_forearm"] == f"B{number:03}", report.body,
    ]  # fmt: skip


def by_hand(answer):
    motion, rig = kit.module("marionext.motion"), kit.module("scene.rig")
    errors = kit.module("marionext.errors")
    roles = [role for role, *_ in skeleton() if not role.endswith(("_1", "_2", "_3"))]
    # Names and a shape that tell nothing: all bones on one line.
    armature = make("odd", {role: f"q{number}" for number, role in enumerate(roles)}, width=0.0)
    names = {role: f"q{number}" for number, role in enumerate(roles)}
    try:
        report = rig.inspect(armature)
        answer["odd rig"] = ["guessed", ""]
    except errors.MotionError as error:
        answer["odd rig"] = [error.message, error.hint]
    report = rig.inspect(armature, overrides={**names, "jaw": None, "nonsense": "q1", "neck": "x"})
    answer["by hand"] = [report.body, sorted({item.source for item in report.items})]
    path = rig.save_preset(report.mapping, "My Odd Rig")
    answer["preset file"] = path.name
    again = rig.inspect(make("odd again", names))
    answer["found again"] = [again.convention, again.mapping.bones == report.mapping.bones]
    try:
        rig.save_preset(report.mapping, "Mixamo")
    except errors.SettingsError as error:
        answer["taken name"] = error.message
    # A stick figure without arms.
    empty = bpy.data.objects.new("No bones", bpy.data.armatures.new("No bones"))
    bpy.context.scene.collection.objects.link(empty)
    try:
        rig.inspect(empty)
    except errors.MotionError as error:
        answer["no bones"] = error.message
    del motion


def person_of(armature):
    rig = kit.module("scene.rig")
    return rig.Person(armature, rig.inspect(armature).mapping)


def shot(people, times=(101, 106, 112), **more):
    recording, frames = kit.module("scene.recording"), kit.module("marionext.frames")
    moments = recording.Moments(
        times=tuple(map(Fraction, times)), rate=frames.FrameRate.parse("24"), first=101
    )
    return recording.record(bpy.context.scene, people, moments, SIZE, **more)


def largest(one, other):
    return float(np.abs(one.points - other.points).max())


def two_people(answer):
    scene, first = kit.make_scene()
    second = kit.make_rig("Second", x=0.8, sway=-1.0)
    recorded = shot([person_of(first), person_of(second)])
    alone = [shot([person_of(each)]).track for each in (first, second)]
    answer["two"] = list(recorded.track.points.shape)
    answer["two agree"] = [
        float(np.abs(recorded.track.points[:, [number]] - alone[number].points).max())
        for number in (0, 1)
    ]
    answer["two names"] = [animation.source for animation in recorded.animations]
    # From the scene's settings; twice the same is refused.
    scene.marionext.people.add().armature = second
    rig, errors = kit.module("scene.rig"), kit.module("marionext.errors")
    answer["people"] = [person.armature.name for person in rig.people_of(scene)]
    scene.marionext.people.add().armature = second
    try:
        rig.people_of(scene)
    except errors.MotionError as error:
        answer["twice"] = error.message
    return first


def scaled(answer, first):
    """An import in centimetres under an object scaled to a hundredth; and a mirrored one."""
    reference = shot([person_of(first)]).track
    small = first.copy()
    small.data = first.data.copy()
    bpy.context.scene.collection.objects.link(small)
    bpy.context.view_layer.objects.active = small
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in small.data.edit_bones:
        bone.use_connect = False
    for bone in small.data.edit_bones:
        head, tail = bone.head.copy(), bone.tail.copy()
        bone.head, bone.tail = head * 100, tail * 100
    bpy.ops.object.mode_set(mode="OBJECT")
    small.scale = (0.01, 0.01, 0.01)
    answer["scaled"] = largest(shot([person_of(small)]).track, reference)
    bpy.data.objects.remove(small)
    mirrored = first.copy()
    bpy.context.scene.collection.objects.link(mirrored)
    mirrored.scale.x = -1
    recorded = shot([person_of(mirrored)])
    bones = recorded.mappings[0].bones
    heads = recorded.animations[0].heads[:, recorded.animations[0].index(bones["left_hand"])]
    straight = shot([person_of(first)])
    there = straight.animations[0].heads[:, straight.animations[0].index(bones["left_hand"])]
    moved = np.array([first.matrix_world.translation.x] * 3)
    answer["mirrored"] = bool(np.isfinite(recorded.track.points).all())
    answer["mirrored side"] = bool(
        np.sign(heads[0, 0] - moved[0]) != np.sign(there[0, 0] - moved[0])
    )
    bpy.data.objects.remove(mirrored)


def late_bones(answer, first):
    """Bones added later come last in the pose, wherever they hang."""
    before = shot([person_of(first)]).track
    bpy.context.view_layer.objects.active = first
    bpy.ops.object.mode_set(mode="EDIT")
    bones = first.data.edit_bones
    tail = bones.new("tail")
    tail.head, tail.tail = (0, 0.1, 0.95), (0, 0.3, 0.9)
    tail.parent = bones["mixamorig:Hips"]
    bpy.ops.object.mode_set(mode="OBJECT")
    data = [bone.name for bone in first.data.bones]
    pose = [bone.name for bone in first.pose.bones]
    answer["orders differ"] = data != pose
    answer["late bones"] = largest(shot([person_of(first)]).track, before)


def libraries(answer, first):
    """Linked, and overridden: the same motion."""
    reference = shot([person_of(first)]).track
    path = str(kit.FOLDER / "library.blend")
    bpy.data.libraries.write(path, {first}, fake_user=True)
    name = first.name
    bpy.data.objects.remove(first)
    with bpy.data.libraries.load(path, link=True) as (_, there):
        there.objects = [name]
    linked = there.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    bpy.context.view_layer.update()
    answer["linked"] = largest(shot([person_of(linked)]).track, reference)
    override = linked.override_create(remap_local_usages=True)
    answer["overridden"] = [
        override.override_library is not None,
        largest(shot([person_of(override)]).track, reference),
    ]


def shapes(answer):
    """Shape keys, animated and driven, close the eyes and open the mouth."""
    rig = kit.make_rig("Speaker")
    face = kit.make_face(rig)
    face.shape_key_add(name="unknown")
    blink = face.shape_key_add(name="eyeBlinkLeft")
    jaw = face.shape_key_add(name="jawOpen")
    for frame, value in ((101, 0.0), (112, 1.0)):
        blink.value = value
        blink.keyframe_insert("value", frame=frame)
    driver = jaw.driver_add("value").driver
    variable = driver.variables.new()
    variable.type = "TRANSFORMS"
    target = variable.targets[0]
    target.id, target.bone_target = rig, "mixamorig:LeftArm"
    target.transform_type, target.transform_space = "ROT_X", "LOCAL_SPACE"
    driver.expression = "min(max(var, 0), 1)"
    recorded = shot([person_of(rig)], times=(101, 106, 112))
    answer["morphs"] = list(recorded.animations[0].morphs)
    answer["weights"] = recorded.animations[0].morph_weights.round(3).tolist()
    face_points = recorded.track.points[:, 0, 24:92]
    lids = face_points[:, 47, 1] - face_points[:, 43, 1]
    other = face_points[:, 41, 1] - face_points[:, 37, 1]
    lips = face_points[:, 66, 1] - face_points[:, 62, 1]
    answer["lids"] = [float(lids[2] / lids[0]), float(other[2] / other[0])]
    opened = [float(gap - lips[0]) for gap in lips]
    answer["lips"] = [opened[1] > 1.0, opened[2] < opened[1]]
    answer["face"] = kit.module("scene.rig").inspect(rig).face
    face.hide_viewport = True
    hidden = shot([person_of(rig)], times=(101, 106, 112))
    answer["hidden, notes"] = [*recorded.notes, *hidden.notes]
    answer["hidden face"] = largest(hidden.track, recorded.track)


def story():
    kit.empty_file()
    kit.install()
    answer = {}
    every_convention(answer)
    vrm(answer)
    mmd(answer)
    by_hand(answer)
    first = two_people(answer)
    scaled(answer, first)
    shapes(answer)
    late_bones(answer, first)
    libraries(answer, first)
    return answer


kit.run(story)
