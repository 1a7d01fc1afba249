import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.errors import MotionError, SettingsError
from marionext.motion.animation import JointAnimation
from marionext.motion.loading import load
from marionext.motion.rigs import (
    RigPreset,
    load_presets,
    map_bones,
    map_rig,
    read_preset,
    write_preset,
)
from marionext.motion.roles import CORE, ROLES

PRESETS = {preset.name: preset for preset in load_presets()}
RIGS = Path(__file__).resolve().parents[3].parent / "shared" / "rigs"
Person = Callable[..., JointAnimation]

_PARENT = {
    "spine": "hips", "chest": "spine", "neck": "chest", "head": "neck", "head_end": "head",
    "jaw": "head", "eye": "head", "clavicle": "chest", "upper_arm": "clavicle",
    "forearm": "upper_arm", "hand": "forearm", "thigh": "hips", "shin": "thigh", "foot": "shin",
    "toe": "foot", "toe_end": "toe",
}  # fmt: skip


def _parent_of(role: str) -> str:
    """Name the role a role hangs from; a rig that lacks it hangs the bone on the next."""
    side = role.partition("_")[0] + "_" if role.startswith(("left_", "right_")) else ""
    part = role.removeprefix(side)
    if part[-1] in "123" or part.endswith("_tip"):
        before = {"1": "", "2": "1", "3": "2", "p": "3"}[part[-1]]
        return f"{side}{part.rpartition('_')[0]}_{before}" if before else f"{side}hand"
    above = _PARENT.get(part, "")
    return above if above in {"hips", "spine", "chest", "neck", "head", ""} else side + above


def _rig(preset: RigPreset) -> tuple[list[str], np.ndarray, dict[str, str]]:
    """Build a rig from the first names of a preset, prefix and all."""
    bones: dict[str, str] = {}
    for role in ROLES:
        for name in preset.bones.get(role, ()):
            full = name if name.startswith(preset.prefix) else preset.prefix + name
            if full not in bones.values():
                bones[role] = full
                break

    def depth(role: str) -> int:
        return 0 if not _parent_of(role) else 1 + depth(_parent_of(role))

    roles = sorted(bones, key=depth)
    names = [bones[role] for role in roles]
    parents = []
    for role in roles:
        above = _parent_of(role)
        while above and above not in bones:
            above = _parent_of(above)
        parents.append(roles.index(above) if above else -1)
    extra = [mark for mark in preset.marks if mark not in names]
    return [*names, *extra], np.array([*parents, *[0] * len(extra)]), bones


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_each_convention_is_recognised_and_mapped_in_full(name: str) -> None:
    names, parents, bones = _rig(PRESETS[name])
    mapping = map_bones(names, parents)
    assert mapping.preset == name
    assert {role: mapping.bones[role] for role in CORE} == {role: bones[role] for role in CORE}
    wrong = {r: (mapping.bones.get(r), b) for r, b in bones.items() if mapping.bones.get(r) != b}
    # Where a preset lists two bones for a role, the spare one may go to its neighbour.
    assert not {role for role in wrong if role not in {"spine", "chest", "neck"}}, wrong


@pytest.mark.parametrize("name", ["mixamo", "unreal", "vroid", "smpl", "mmd", "daz", "biped"])
@pytest.mark.parametrize(
    "disguise",
    [
        lambda name: "Armature|" + name,
        lambda name: "char:ns:" + name,
        lambda name: name.upper(),
        lambda name: name.replace("_", "-").replace(" ", "."),
        lambda name: name + "_jnt",
        lambda name: "Hero_" + name + "_bind",
    ],
)
def test_prefixes_suffixes_case_and_separators_do_not_matter(
    name: str, disguise: Callable[[str], str]
) -> None:
    names, parents, bones = _rig(PRESETS[name])
    mapping = map_bones([disguise(bone) for bone in names], parents)
    assert {role: mapping.bones.get(role) for role in CORE} == {
        role: disguise(bones[role]) for role in CORE
    }


def test_the_shoulder_is_a_collar_bone_in_mixamo_and_an_arm_in_cmu() -> None:
    mixamo = map_bones(*_rig(PRESETS["mixamo"])[:2])
    cmu = map_bones(*_rig(PRESETS["cmu"])[:2])
    assert mixamo.bones["left_clavicle"] == "mixamorig:LeftShoulder"
    assert cmu.bones["left_upper_arm"] == "LeftShoulder"


UNKNOWN = {
    "joined words": "pelvis torso neckbone headbone lupperarm llowerarm lhand lthigh lcalf lankle "
    "rupperarm rlowerarm rhand rthigh rcalf rankle",
    "camel case": "RootPelvis UpperTorso TheNeck TheHead ArmUpLeft ArmLowLeft PalmHandLeft "
    "LegUpLeft LegLowLeft FootLeft ArmUpRight ArmLowRight PalmHandRight LegUpRight LegLowRight "
    "FootRight",
    "numbers": "b01_hip b02_belly b03_neck b04_skull b05_L_humerus b06_L_ulna b07_L_wrist "
    "b08_L_femur b09_L_tibia b10_L_ankle b11_R_humerus b12_R_ulna b13_R_wrist b14_R_femur "
    "b15_R_tibia b16_R_ankle",
}
UNKNOWN_ROLES = (
    "hips", "spine", "neck", "head",
    "left_upper_arm", "left_forearm", "left_hand", "left_thigh", "left_shin", "left_foot",
    "right_upper_arm", "right_forearm", "right_hand", "right_thigh", "right_shin", "right_foot",
)  # fmt: skip
UNKNOWN_PARENTS = np.array([-1, 0, 1, 2, 1, 4, 5, 0, 7, 8, 1, 10, 11, 0, 13, 14])


@pytest.mark.parametrize("names", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_unknown_names_are_guessed_from_their_words_and_marked(names: str) -> None:
    mapping = map_bones(names.split(), UNKNOWN_PARENTS)
    expected = dict(zip(UNKNOWN_ROLES, names.split(), strict=True))
    assert {role: mapping.bones.get(role) for role in CORE} == {
        role: expected[role] for role in CORE
    }
    assert mapping.guessed


# Conventions met in the field that have no preset: centre, arm, leg, first and last finger joint.
FIELD = {
    "DeepMotion": (
        "hips_JNT spine_JNT spine1_JNT spine2_JNT neck_JNT head_JNT",
        "@_shoulder_JNT @_arm_JNT @_forearm_JNT @_hand_JNT",
        "@_upleg_JNT @_leg_JNT @_foot_JNT @_toebase_JNT",
        "@_handThumb1_JNT @_handThumb2_JNT @_handThumb3_JNT",
        "l r",
    ),
    "Second Life": (
        "mPelvis mTorso mChest mNeck mHead",
        "mCollar@ mShoulder@ mElbow@ mWrist@",
        "mHip@ mKnee@ mAnkle@ mFoot@",
        "mHandThumb1@ mHandThumb2@ mHandThumb3@",
        "Left Right",
    ),
    "Advanced Skeleton": (
        "Root_M Spine1_M Chest_M Neck_M Head_M",
        "Scapula_@ Shoulder_@ Elbow_@ Wrist_@",
        "Hip_@ Knee_@ Ankle_@ Toes_@",
        "ThumbFinger1_@ ThumbFinger2_@ ThumbFinger3_@",
        "L R",
    ),
    "Kinect": (
        "SpineBase SpineMid SpineShoulder Neck Head",
        "Clavicle@ Shoulder@ Elbow@ Wrist@",
        "Hip@ Knee@ Ankle@ Foot@",
        "Thumb1@ Thumb2@ Thumb3@",
        "Left Right",
    ),
}
FIELD_ARM = ("clavicle", "upper_arm", "forearm", "hand")
FIELD_LEG = ("thigh", "shin", "foot")


@pytest.mark.parametrize("convention", FIELD)
def test_conventions_without_a_preset_are_guessed_in_full(convention: str) -> None:
    centre, arm, leg, thumb, sides = (text.split() for text in FIELD[convention])
    names, parents = list(centre), list(range(-1, len(centre) - 1))
    expected = {"hips": centre[0], "neck": centre[-2], "head": centre[-1]}
    for side, word in zip(("left", "right"), sides, strict=True):
        for chain, start, roles in (
            (arm + thumb, len(centre) - 3, (*FIELD_ARM, "thumb_1", "thumb_2", "thumb_3")),
            (leg, 0, FIELD_LEG),
        ):
            parent = start
            for name, role in zip(chain, [*roles, None], strict=False):
                names.append(name.replace("@", word))
                parents.append(parent)
                parent = len(names) - 1
                if role is not None:
                    expected[f"{side}_{role}"] = names[-1]
    mapping = map_bones(names, np.array(parents))
    assert mapping.preset == "guessed"
    assert {role: mapping.bones.get(role) for role in expected} == expected


def test_fingers_that_only_have_numbers_are_counted_from_the_thumb() -> None:
    names, parents = UNKNOWN["numbers"].split(), list(UNKNOWN_PARENTS)
    hand = names.index("b07_L_wrist")
    for finger in range(1, 6):
        for joint in range(1, 4):
            parents.append(hand if joint == 1 else len(names) - 1)
            names.append(f"finger{finger}-{joint}.L")
    bones = map_bones(names, np.array(parents)).bones
    assert bones["left_thumb_1"] == "finger1-1.L"
    assert bones["left_pinky_3"] == "finger5-3.L"


def test_helpers_of_control_rigs_are_not_mistaken_for_limbs() -> None:
    names = [*UNKNOWN["camel case"].split(), "ArmIKLeft", "HandTargetLeft", "LegPoleRight"]
    mapping = map_bones(names, np.array([*UNKNOWN_PARENTS, -1, -1, -1]))
    assert not {"ArmIKLeft", "HandTargetLeft", "LegPoleRight"} & set(mapping.bones.values())


@pytest.mark.parametrize("turned", [False, True])
def test_nameless_bones_are_read_from_the_shape_at_rest(person: Person, turned: bool) -> None:
    animation = person()
    order = {name: f"Bone.{index:03}" for index, name in enumerate(animation.names)}
    sign = -1.0 if turned else 1.0
    spin = np.array([sign, sign, 1.0])
    mapping = map_bones(
        list(order.values()),
        animation.parents,
        animation.rest_heads * spin,
        animation.rest_tails * spin,
    )
    expected = {
        "hips": "Hips", "head": "Head", "left_upper_arm": "LeftArm", "left_forearm": "LeftForeArm",
        "right_hand": "RightHand", "left_thigh": "LeftUpLeg", "right_shin": "RightLeg",
        "left_foot": "LeftFoot",
    }  # fmt: skip
    assert {role: mapping.bones[role] for role in expected} == {
        role: order[name] for role, name in expected.items()
    }
    assert set(expected) <= set(mapping.guessed)


def test_a_rig_without_a_body_is_refused_with_its_bones_and_the_nearest_preset() -> None:
    names = ["root", "lid", "hinge_a", "hinge_b"]
    with pytest.raises(MotionError, match="hinge_a, hinge_b") as caught:
        map_bones(names, np.array([-1, 0, 1, 1]))
    assert caught.value.hint is not None
    assert re.search(r"nearest preset is \w+", caught.value.hint)


def test_a_vrm_map_goes_before_names() -> None:
    names, parents, bones = _rig(PRESETS["mixamo"])
    humanoid = {
        "hips": bones["hips"], "head": bones["head"], "leftUpperArm": bones["left_upper_arm"],
        "rightUpperArm": bones["right_upper_arm"], "leftLowerArm": bones["left_forearm"],
        "rightLowerArm": bones["right_forearm"], "leftHand": bones["left_hand"],
        "rightHand": bones["right_hand"], "leftUpperLeg": bones["left_thigh"],
        "leftThumbMetacarpal": bones["left_thumb_1"], "leftThumbProximal": bones["left_thumb_2"],
        "leftLittleProximal": bones["left_ring_1"],
    }  # fmt: skip
    mapping = map_bones(names, parents, humanoid=humanoid)
    assert mapping.preset == "humanoid"
    assert mapping.bones["left_pinky_1"] == bones["left_ring_1"]
    assert mapping.bones["left_thumb_2"] == bones["left_thumb_2"]


def test_the_user_mends_bones_one_by_one(person: Person) -> None:
    animation = person()
    mapping = map_rig(animation, overrides={"left_hand": "LeftHandIndex1", "head_end": None})
    assert mapping.bones["left_hand"] == "LeftHandIndex1"
    assert "head_end" in mapping.missing
    again = mapping.with_bones({"left_hand": "LeftHand"})
    assert "left_hand" in again.mapped
    with pytest.raises(SettingsError, match="left_paw"):
        mapping.with_bones({"left_paw": "LeftHand"})
    with pytest.raises(SettingsError, match="no bone 'Tail'"):
        map_rig(animation, overrides={"left_hand": "Tail"})
    with pytest.raises(MotionError, match="left_upper_arm"):
        mapping.with_bones({"left_upper_arm": None})


def test_a_rig_nothing_recognises_can_be_mapped_by_hand(person: Person) -> None:
    animation = person().with_(names=tuple(f"x{i}" for i in range(len(person().names))))
    flat = animation.with_(rest_heads=animation.rest_heads * 0, rest_tails=animation.rest_tails * 0)
    with pytest.raises(MotionError, match="no body was recognised"):
        map_rig(flat)
    by_hand = {"left_upper_arm": "x7", "right_upper_arm": "x30"}
    assert map_rig(flat, overrides=by_hand).bones == by_hand


def test_coverage_says_what_comes_from_bones(person: Person) -> None:
    assert map_rig(person()).coverage == "body 18/18, hands 42/42, face from the head bone"
    bare = map_rig(person(fingers=False)).coverage
    assert bare.startswith("body 18/18, hands 2/42")


def test_presets_are_chosen_by_name_by_file_and_from_the_user_folder(
    person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    animation = person()
    mine = map_rig(animation).with_bones({"jaw": "Neck"}).as_preset("mine", "My rig")
    write_preset(tmp_path / "mine.toml", mine)
    assert read_preset(tmp_path / "mine.toml") == mine
    assert map_rig(animation, str(tmp_path / "mine.toml")).bones["jaw"] == "Neck"
    assert map_rig(animation, "mine", folders=[tmp_path]).title == "My rig"
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path))
    write_preset(tmp_path / "rigs" / "ours.toml", mine)
    assert map_rig(animation, "ours").title == "My rig"
    with pytest.raises(SettingsError, match="'yours'") as caught:
        map_rig(animation, "yours")
    assert "mixamo" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bones = 3", "table 'bones'"),
        ('[bones]\nhips = "a"\nfotos = "b"', "fotos"),
        ('wings = 2\n[bones]\nhips = "a"', "unknown key 'wings'"),
        ("[bones]\nhips = 4", "name or a list"),
        ('[sides]\nleft = "l"\n[bones]\nhips = "a"', "'left' and 'right'"),
        ('[bones]\nhand = "{sid}Hand"', "cannot fill in"),
        ("[bones", "not a rig preset"),
    ],
)
def test_a_broken_preset_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        read_preset(path)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=30, unique=True))
def test_any_names_are_mapped_or_refused(names: list[str]) -> None:
    try:
        mapping = map_bones(names, np.arange(-1, len(names) - 1))
    except MotionError:
        return
    assert set(mapping.bones.values()) <= set(names)


@given(name=st.text(min_size=1, max_size=20).filter(lambda text: text.strip("\r\n") == text))
def test_any_bone_name_survives_a_preset_file(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    path = tmp_path_factory.mktemp("rig") / "odd.toml"
    preset = RigPreset(name="odd", title=name, bones={"left_hand": (name,), "hips": (name, "b")})
    write_preset(path, preset)
    assert read_preset(path) == preset


EXPECTED = {
    "rokoko_jesse_dance.bvh": ("rokoko", "body 18/18, hands 42/42, face from the head bone"),
    "cmu1_jumping_jacks.bvh": ("cmu", "body 18/18, hands 2/42"),
    "dme_example.bvh": ("cmu_daz", "body 18/18, hands 2/42"),
    "mixamo_xbot.glb": ("mixamo", "body 18/18, hands 42/42, face from the head bone with eyes"),
    "mixamo_soldier.glb": ("mixamo", "body 18/18, hands 42/42, face from the head bone"),
    "readyplayerme_avatar.glb": ("ready_player_me", "body 18/18, hands 42/42"),
    "robotexpressive.glb": ("blender", "body 18/18, hands 34/42"),
    "vrm_example_vrmaddon.vrm": ("humanoid", "body 18/18, hands 42/42"),
}


@pytest.mark.media
@pytest.mark.skipif(not RIGS.is_dir(), reason="the rig files lie beside the repository only")
@pytest.mark.parametrize("file", EXPECTED)
def test_real_rig_files_map(file: str) -> None:
    mapping = map_rig(load(RIGS / file))
    preset, coverage = EXPECTED[file]
    assert mapping.preset == preset
    assert mapping.coverage.startswith(coverage)


@pytest.mark.media
@pytest.mark.skipif(not RIGS.is_dir(), reason="the rig files lie beside the repository only")
@pytest.mark.parametrize(
    ("file", "preset"),
    [
        ("mixamo_samba_dancing.fbx", "mixamo"),
        ("mixamo_walking_talkinghead.fbx", "mixamo"),
        ("ue4_sk_mannequin.fbx", "unreal"),
    ],
)
def test_names_of_real_fbx_files_map(file: str, preset: str) -> None:
    found = re.findall(rb"([ -~]{2,60})\x00\x01Model", (RIGS / file).read_bytes())
    names = sorted({name.decode() for name in found})
    mapping = map_bones(names, np.full(len(names), -1))
    assert mapping.preset == preset
    assert not mapping.guessed
    assert mapping.coverage.startswith("body 18/18, hands 42/42")


@pytest.mark.media
@pytest.mark.skipif(not RIGS.is_dir(), reason="the rig files lie beside the repository only")
@pytest.mark.parametrize("renamed", [False, True])
def test_names_of_a_real_mmd_model_map_as_in_the_file_and_as_in_blender(renamed: bool) -> None:
    model = (RIGS / "mmd_miku_ver2.pmd").read_bytes()
    start = 283
    for size in (38, 2, 70):  # vertices, corners of faces, materials
        start += 4 + size * int.from_bytes(model[start : start + 4], "little")
    count = int.from_bytes(model[start : start + 2], "little")
    fields = [model[start + 2 + 39 * bone :][:39] for bone in range(count)]
    names = [field[:20].split(b"\0")[0].decode("cp932") for field in fields]
    if renamed:
        names = [re.sub("^左(.*)", r"\1.L", re.sub("^右(.*)", r"\1.R", name)) for name in names]
    mapping = map_bones(names, np.full(count, -1))
    assert mapping.preset == "mmd"
    assert mapping.coverage == "body 18/18, hands 42/42, face from the head bone with eyes"
    assert mapping.bones["left_foot"] == ("足首.L" if renamed else "左足首")


def test_a_control_bone_with_a_finger_s_name_is_not_its_tip() -> None:
    names, parents, bones = _rig(PRESETS["rigify"])
    # Rigify's own control starts at the knuckle and hangs elsewhere.
    names.append("f_index.01.L")
    parents = np.append(parents, 0)

    mapping = map_bones(names, parents)

    assert mapping.bones["left_index_3"] == bones["left_index_3"]
    assert "left_index_tip" not in mapping.bones


def test_a_saved_preset_goes_before_the_convention_it_mends(person: Person, tmp_path: Path) -> None:
    animation = person()
    mended = map_rig(animation, overrides={"chest": "Spine", "spine": None})
    write_preset(tmp_path / "mine.toml", mended.as_preset("mine", "Mine"))

    found = map_rig(animation, folders=[tmp_path])

    assert found.title == "Mine"
    assert found.bones["chest"] == "Spine"
    # Another rig of the convention has other bones, and the preset is not for it.
    other = map_rig(person(fingers=False), folders=[tmp_path])
    assert other.title != "Mine"


def test_points_are_counted(person: Person) -> None:
    mapping = map_rig(person())
    assert (mapping.body_points, mapping.hand_points) == (18, 42)
    bare = map_rig(person(fingers=False))
    assert (bare.body_points, bare.hand_points) == (18, 2)
    assert bare.face_source == "face from the head bone"


def _tree(text: str) -> tuple[list[str], np.ndarray]:
    """Read bones from lines that are indented by one space for each level; ``@`` is a side."""
    names: list[str] = []
    parents: list[int] = []
    above: list[tuple[int, int]] = []
    for line in text.strip("\n").splitlines():
        depth = len(line) - len(line.lstrip())
        above = [(level, bone) for level, bone in above if level < depth]
        parents.append(above[-1][1] if above else -1)
        above.append((depth, len(names)))
        names.append(line.strip())
    return names, np.array(parents)


def _limbs(arm: str, leg: str, sides: tuple[str, str], arm_depth: int) -> str:
    """Return lines of both arms, at that depth of the tree, and of both legs."""
    lines = []
    for side in sides:
        for depth, bone in enumerate(arm.split(), arm_depth):
            lines.append(" " * depth + bone.replace("@", side))
    for side in sides:
        for depth, bone in enumerate(leg.split(), 1):
            lines.append(" " * depth + bone.replace("@", side))
    return "\n".join(lines)


IN_PART = {
    "Advanced names with l_shoulder": (
        "hip\n spine\n  chest\n   neck\n    head\n",
        "@_clavicle @_shoulder @_forearm @_hand",
        "@_thigh @_shin @_foot @_toe",
        ("l", "r"),
    ),
    "iPi": (
        "Hip\n LowerSpine\n  MiddleSpine\n   Chest\n    Neck\n     Head\n",
        "@Clavicle @Shoulder @Forearm @Hand",
        "@Thigh @Shin @Foot @Toe",
        ("L", "R"),
    ),
    "MikuMikuDance in English": (
        "lower body\n upper body\n  upper body 2\n   neck\n    head\n",
        "shoulder_@ arm_@ elbow_@ wrist_@",
        "leg_@ knee_@ ankle_@ toe_@",
        ("L", "R"),
    ),
    "ARKit": (
        "hips_joint\n spine_1_joint\n  spine_7_joint\n   neck_1_joint\n    head_joint\n",
        "@_shoulder_1_joint @_arm_joint @_forearm_joint @_hand_joint",
        "@_upLeg_joint @_leg_joint @_foot_joint @_toes_joint",
        ("left", "right"),
    ),
}


@pytest.mark.parametrize("convention", IN_PART)
def test_a_preset_that_fits_in_part_gives_way_to_a_guess_that_fits_whole(convention: str) -> None:
    centre, arm, leg, sides = IN_PART[convention]
    names, parents = _tree(centre + _limbs(arm, leg, sides, 3))
    mapping = map_bones(names, parents)
    for side, word in zip(("left", "right"), sides, strict=True):
        for text, roles in (
            (arm, ("clavicle", "upper_arm", "forearm", "hand")),
            (leg, ("thigh", "shin", "foot", "toe")),
        ):
            expected = [bone.replace("@", word) for bone in text.split()]
            assert [mapping.bones.get(f"{side}_{role}") for role in roles] == expected
    assert mapping.body_points == 18
    assert not mapping.lacking


def _mixed(centre_and_legs: str, arms: str) -> tuple[list[str], np.ndarray, dict[str, str]] | None:
    """Build a rig whose arms have the names of another preset than the rest."""
    rest, other_arms = _rig(PRESETS[centre_and_legs])[2], _rig(PRESETS[arms])[2]
    legs, limbs = ("thigh", "shin", "foot", "toe"), ("clavicle", "upper_arm", "forearm", "hand")
    roles = {
        role: bone
        for role, bone in rest.items()
        if role in _PARENT or role == "hips" or role.endswith(legs)
    }
    roles |= {role: bone for role, bone in other_arms.items() if role.endswith(limbs)}
    if len(set(roles.values())) < len(roles):
        return None

    def above(role: str) -> str:
        role = _parent_of(role)
        while role and role not in roles:
            role = _parent_of(role)
        return role

    def depth(role: str) -> int:
        return 1 + depth(above(role)) if above(role) else 0

    order = sorted(roles, key=depth)
    parents = [order.index(above(role)) if above(role) else -1 for role in order]
    return [roles[role] for role in order], np.array(parents), roles


def test_names_of_two_conventions_in_one_rig_are_told_apart_or_refused() -> None:
    refused = 0
    for one, other in permutations(PRESETS, 2):
        mixed = _mixed(one, other)
        if mixed is None:
            continue
        names, parents, bones = mixed
        try:
            mapping = map_bones(names, parents)
        except MotionError:
            refused += 1
            continue
        expected = {role: bones[role] for role in CORE if role in bones}
        assert {role: mapping.bones.get(role) for role in expected} == expected, (one, other)
    assert refused < 40, "Japanese and Daz's bend bones are guessed by nobody"


FINGERS_WITH_PALMS = {
    "MHR": ("@_wrist", "@_{f}0 @_{f}1 @_{f}2 @_{f}3 @_{f}_null", ("l", "r"), "thumb pinky", "123"),
    "Quest": ("b_@_wrist", "b_@_{f}0 b_@_{f}1 b_@_{f}2 b_@_{f}3", ("l", "r"), "thumb pinky", "123"),
    "ARKit": (
        "@_hand_joint",
        "@_hand{f}Start_joint @_hand{f}_1_joint @_hand{f}_2_joint @_hand{f}_3_joint "
        "@_hand{f}End_joint",
        ("left", "right"),
        "Index Mid Ring Pinky",
        "123",
    ),
}


@pytest.mark.parametrize("convention", FINGERS_WITH_PALMS)
def test_fingers_begin_at_their_own_first_joint_and_not_within_the_palm(convention: str) -> None:
    hand, chain, sides, fingers, joints = FINGERS_WITH_PALMS[convention]
    lines = ["root", " c_spine", "  c_neck", "   c_head"]
    for side in sides:
        lines += [f"  {side}_clavicle", f"   {side}_uparm", f"    {side}_lowarm"]
        lines.append("     " + hand.replace("@", side))
        for finger in fingers.split():
            for depth, bone in enumerate(chain.split(" "), 6):
                lines.append(" " * depth + bone.replace("@", side).replace("{f}", finger))
        lines += [f" {side}_upleg", f"  {side}_lowleg", f"   {side}_foot"]
    mapping = map_bones(*_tree("\n".join(lines)))
    words = {"Mid": "middle", "thumb": "thumb", "pinky": "pinky"}
    for side, word in zip(("left", "right"), sides, strict=True):
        for finger in fingers.split():
            role = words.get(finger, finger.lower())
            bones = [bone.replace("@", word).replace("{f}", finger) for bone in chain.split(" ")]
            found = [mapping.bones.get(f"{side}_{role}_{joint}") for joint in joints]
            assert found == bones[1:4]


def test_a_thumb_of_three_joints_keeps_the_one_in_the_palm() -> None:
    lines = ["root", " spine", "  neck", "   head"]
    for side in ("left", "right"):
        chain = "shoulder arm forearm hand handThumbStart handThumb_1 handThumb_2 handThumbEnd"
        for depth, bone in enumerate(chain.split(), 2):
            lines.append(" " * depth + f"{side}_{bone}_joint")
        lines += [f" {side}_upLeg", f"  {side}_leg", f"   {side}_foot"]
    bones = map_bones(*_tree("\n".join(lines))).bones
    assert [bones.get(f"left_thumb_{joint}") for joint in ("1", "2", "3", "tip")] == [
        f"left_handThumb{joint}_joint" for joint in ("Start", "_1", "_2", "End")
    ]


def test_a_users_preset_says_where_it_was_read(tmp_path: Path) -> None:
    names, parents, _ = _rig(PRESETS["mixamo"])
    path = tmp_path / "mine.toml"
    write_preset(path, map_bones(names, parents).as_preset("mine"))
    assert map_bones(names, parents, preset=str(path)).file == path
    assert map_bones(names, parents, folders=[tmp_path]).file == path
    assert map_bones(names, parents, folders=[tmp_path / "none"]).file is None


def test_twist_bones_between_the_bones_of_a_limb_change_nothing() -> None:
    names, parents, bones = _rig(PRESETS["mmd"])
    places = {
        "hips": (0, 0, 0.95), "spine": (0, 0, 1.05), "chest": (0, 0, 1.2), "neck": (0, 0, 1.45),
        "head": (0, 0, 1.5), "head_end": (0, 0, 1.7),
    }  # fmt: skip
    for side, sign in (("left", 1), ("right", -1)):
        for part, x, z in (
            ("clavicle", 0.03, 1.4), ("upper_arm", 0.15, 1.4), ("forearm", 0.42, 1.4),
            ("hand", 0.66, 1.4), ("thigh", 0.09, 0.9), ("shin", 0.09, 0.5), ("foot", 0.09, 0.08),
            ("toe", 0.09, 0.02),
        ):  # fmt: skip
            places[f"{side}_{part}"] = (sign * x, 0, z)
    by_bone = {bone: places[role] for role, bone in bones.items() if role in places}
    kept = [name for name in names if name in by_bone]
    heads = [np.array(by_bone[name], float) for name in kept]
    above = [
        kept.index(names[parents[names.index(name)]]) if name != kept[0] else -1 for name in kept
    ]
    order = list(zip(kept, heads, above, strict=True))
    for side, word in (("left", "左"), ("right", "右")):
        for upper, lower in (("upper_arm", "forearm"), ("forearm", "hand")):
            start, end = (kept.index(bones[f"{side}_{part}"]) for part in (upper, lower))
            middle = (order[start][1] + order[end][1]) / 2
            order.append((f"{word}捩{upper}", middle, start))
            name, place, _ = order[end]
            order[end] = (name, place, len(order) - 1)
    # Parents first.
    depth = [0] * len(order)
    for number in range(len(order)):
        bone = number
        while order[bone][2] >= 0:
            bone, depth[number] = order[bone][2], depth[number] + 1
    new = sorted(range(len(order)), key=lambda number: depth[number])
    mapping = map_bones(
        [order[number][0] for number in new],
        np.array([new.index(order[n][2]) if order[n][2] >= 0 else -1 for n in new]),
        np.array([order[number][1] for number in new]),
    )
    assert mapping.preset == "mmd"
    assert {r: mapping.bones.get(r) for r in CORE} == {r: bones[r] for r in CORE}
    assert not mapping.guessed & set(CORE)
