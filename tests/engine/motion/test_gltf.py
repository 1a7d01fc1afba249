"""glTF: values between keys as the specification has them, skeletons, cameras, faces, VRM."""

import base64
import contextlib
import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from marionext.errors import MotionError
from marionext.frames import FrameRate
from marionext.motion import Figure, JointAnimation, clips, load, load_all, map_rig, read_gltf
from marionext.motion.keyframes import evaluate_keys
from marionext.motion.meshopt import unpack

COMPONENTS = {"b": 5120, "B": 5121, "h": 5122, "H": 5123, "I": 5125, "f": 5126}
KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Builder:
    """Lays out a glTF file."""

    def __init__(self) -> None:
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "nodes": [],
            "accessors": [],
            "bufferViews": [],
            "buffers": [],
        }
        self.data = b""

    def node(self, name: str, parent: int | None = None, **fields: Any) -> int:
        self.json["nodes"].append({"name": name, **fields})
        index = len(self.json["nodes"]) - 1
        if parent is not None:
            self.json["nodes"][parent].setdefault("children", []).append(index)
        return index

    def view(self, values: NDArray[Any], **fields: Any) -> int:
        self.data += bytes(-len(self.data) % 4)
        raw = values.tobytes()
        self.json["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw), **fields}
        )
        self.data += raw
        return len(self.json["bufferViews"]) - 1

    def accessor(self, values: ArrayLike, code: str = "f", **fields: Any) -> int:
        array = np.asarray(values, dtype=f"<{code}" if code not in "bB" else code)
        array = array.reshape(len(array), -1)
        self.json["accessors"].append(
            {
                "bufferView": self.view(array),
                "componentType": COMPONENTS[code],
                "count": len(array),
                "type": KINDS[array.shape[1]],
                **fields,
            }
        )
        return len(self.json["accessors"]) - 1

    def clip(self, name: str, *channels: tuple[int, str, ArrayLike, Any, str]) -> None:
        """Add an animation; a channel is node, path, keys, values or an accessor, kind."""
        samplers, targets = [], []
        for node, path, keys, values, kind in channels:
            output = values
            if not isinstance(values, int):
                array = np.asarray(values, dtype=float)
                output = self.accessor(array.reshape(-1) if path == "weights" else array)
            samplers.append({"input": self.accessor(keys), "output": output, "interpolation": kind})
            targets.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}})
        self.json.setdefault("animations", []).append(
            {"name": name, "samplers": samplers, "channels": targets}
        )

    def gltf(self, path: Path) -> Path:
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
        self.json["buffers"] = [{"byteLength": len(self.data), "uri": uri}]
        path.write_text(json.dumps(self.json))
        return path

    def glb(self, path: Path) -> Path:
        self.json["buffers"] = [{"byteLength": len(self.data)}]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        data = self.data + bytes(-len(self.data) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        chunks += struct.pack("<II", len(data), 0x004E4942) + data
        path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks)
        return path


def about(axis: ArrayLike, degrees: float) -> list[float]:
    """Return a quaternion x y z w."""
    half = np.radians(degrees) / 2
    unit = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    return [*(np.sin(half) * unit), float(np.cos(half))]


def body(builder: Builder) -> tuple[int, int, int]:
    hips = builder.node("hips", translation=[0, 1, 0])
    head = builder.node("head", hips, translation=[0, 0.6, 0])
    hand = builder.node("hand", hips, translation=[0.5, 0.4, 0.1])
    return hips, head, hand


def test_axes_become_blenders_and_time_is_exact(tmp_path: Path) -> None:
    builder = Builder()
    hips, head, _hand = body(builder)
    builder.clip("walk", (hips, "translation", [0, 1], [[0, 1, 0], [3, 1, 30]], "LINEAR"))
    walk = load(builder.gltf(tmp_path / "walk.gltf"), rate=FrameRate(Fraction(24)))
    assert (len(walk), walk.names, walk.source) == (25, ("hips", "head", "hand"), "walk")
    times = np.arange(25) / 24
    # glTF's front is +z: 30 m to the front are -y.
    expected = np.stack([3 * times, -30 * times, np.ones(25)], axis=1)
    np.testing.assert_allclose(walk.heads[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(walk.heads[:, head], expected + np.array([0, 0, 0.6]), atol=1e-6)
    np.testing.assert_allclose(walk.rest_heads[2], [0.5, -0.1, 1.4], atol=1e-6)


@pytest.mark.parametrize("rate", ["30", "25", "24000/1001", "60"])
def test_the_rate_is_that_of_the_keys(tmp_path: Path, rate: str) -> None:
    builder = Builder()
    hips, _, _ = body(builder)
    exact = FrameRate.parse(rate)
    keys = [float(index / exact.fraction) for index in range(40)]
    places = np.random.default_rng(0).normal(size=(40, 3))
    builder.clip("baked", (hips, "translation", keys, places, "LINEAR"))
    baked = load(builder.glb(tmp_path / "baked.glb"))
    assert (baked.rate, len(baked)) == (exact, 40)
    # Every frame is a key: nothing is blended, although float32 keys are a little off.
    np.testing.assert_allclose(baked.heads[:, 0, 0], places[:, 0], atol=1e-3)


def test_few_keys_tell_no_rate_and_a_late_start_is_kept(tmp_path: Path) -> None:
    builder = Builder()
    hips, _, _ = body(builder)
    builder.clip("late", (hips, "translation", [2, 2.5, 4], np.eye(3), "LINEAR"))
    late = load(builder.glb(tmp_path / "late.glb"))
    assert (str(late.rate), late.first, len(late)) == ("30", 60, 61)


def test_steps_change_at_their_key(tmp_path: Path) -> None:
    builder = Builder()
    hips, _, _ = body(builder)
    keys = np.arange(30, dtype=np.float32) / np.float32(30)
    places = np.stack([np.arange(30), np.zeros(30), np.zeros(30)], axis=1)
    builder.clip("steps", (hips, "translation", keys, places, "STEP"))
    steps = load(builder.glb(tmp_path / "steps.glb"))
    np.testing.assert_allclose(steps.heads[:, 0, 0], np.arange(30))
    finer = load(tmp_path / "steps.glb", rate=FrameRate(Fraction(60)))
    np.testing.assert_allclose(finer.heads[:, 0, 0], np.arange(59) // 2)


@settings(max_examples=60, deadline=None)
@given(
    axis=st.tuples(*(st.floats(-1, 1),) * 3).filter(lambda v: np.linalg.norm(v) > 0.1),
    start=st.floats(-170, 170),
    turn=st.floats(-179, 179),
    flip=st.booleans(),
)
def test_rotations_turn_at_constant_speed_along_the_shorter_arc(
    axis: tuple[float, float, float], start: float, turn: float, flip: bool
) -> None:
    low, high = np.array(about(axis, start)), np.array(about(axis, start + turn))
    values = np.stack([low, -high if flip else high])
    times = np.linspace(0, 2, 9)
    found = evaluate_keys(np.array([0.0, 2.0]), values, times, "LINEAR", rotations=True)
    for time, quaternion in zip(times, found, strict=True):
        expected = about(axis, start + turn * time / 2)
        assert abs(abs(np.dot(quaternion, expected)) - 1) < 1e-9


@settings(max_examples=60, deadline=None)
@given(
    coefficients=st.lists(st.floats(-10, 10), min_size=4, max_size=4),
    width=st.floats(0.1, 5),
)
def test_cubic_splines_reproduce_cubics(coefficients: list[float], width: float) -> None:
    cubic = np.polynomial.Polynomial(coefficients)
    slope = cubic.deriv()
    keys = np.array([0.5, 0.5 + width, 0.5 + 3 * width])
    values = np.stack([slope(keys), cubic(keys), slope(keys)], axis=1)[..., None]
    times = np.linspace(keys[0], keys[-1], 17)
    found = evaluate_keys(keys, values, times, "CUBICSPLINE")[:, 0]
    scale = 1 + np.abs(cubic(times)).max() + np.abs(slope(keys)).max() * width
    np.testing.assert_allclose(found, cubic(times), atol=1e-9 * scale)


@given(time=st.floats(-5, 5))
def test_outside_the_keys_the_nearest_holds(time: float) -> None:
    keys, values = np.array([-1.0, 1.0]), np.array([[3.0], [5.0]])
    for interpolation in ("STEP", "LINEAR"):
        found = evaluate_keys(keys, values, np.array([time]), interpolation)[0, 0]  # type: ignore[arg-type]
        if time <= -1.001:
            assert found == 3
        if time >= 1:
            assert found == 5


def test_cubic_rotations_in_a_file_are_unit_and_hit_their_keys(tmp_path: Path) -> None:
    builder = Builder()
    _, _, hand = body(builder)
    turns = [about([0, 0, 1], degrees) for degrees in (0, 90, 30)]
    values = [[[0, 0, 0.5, 0], turn, [0, 0, 0.5, 0]] for turn in turns]
    flat = np.array(values).reshape(-1, 4)
    builder.clip("turn", (hand, "rotation", [0, 1, 2], flat, "CUBICSPLINE"))
    turning = load(builder.gltf(tmp_path / "turn.gltf"))
    rotations = turning.turns[:, 2]
    identity = rotations @ rotations.swapaxes(1, 2)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-9)
    # About glTF's z, which points to Blender's -y: x turns towards z.
    degrees = np.degrees(np.arctan2(rotations[:, 2, 0], rotations[:, 0, 0]))
    np.testing.assert_allclose(degrees[[0, 30, 60]], [0, 90, 30], atol=1e-4)


@pytest.mark.parametrize(("code", "largest"), [("b", 127), ("B", 255), ("h", 32767), ("H", 65535)])
def test_normalised_integers_are_fractions(tmp_path: Path, code: str, largest: int) -> None:
    builder = Builder()
    _, _, hand = body(builder)
    half = round(largest * np.sqrt(0.5))
    output = builder.accessor([[0, 0, 0, largest], [0, 0, half, half]], code, normalized=True)
    builder.clip("turn", (hand, "rotation", [0, 1], output, "LINEAR"))
    turning = load(builder.glb(tmp_path / "turn.glb"))
    degrees = np.degrees(np.arctan2(turning.turns[:, 2, 2, 0], turning.turns[:, 2, 0, 0]))
    np.testing.assert_allclose(degrees, np.linspace(0, 90, 31), atol=1e-3)


def test_sparse_and_interleaved_accessors(tmp_path: Path) -> None:
    builder = Builder()
    hips, head, _ = body(builder)
    sparse = builder.accessor(np.zeros((4, 3)))
    del builder.json["accessors"][sparse]["bufferView"]
    builder.json["accessors"][sparse]["sparse"] = {
        "count": 2,
        "indices": {"bufferView": builder.view(np.array([1, 3], "<u2")), "componentType": 5123},
        "values": {"bufferView": builder.view(np.array([[1, 2, 3], [4, 5, 6]], "<f4"))},
    }
    woven = np.arange(24, dtype="<f4").reshape(4, 6)
    view = builder.view(woven, byteStride=24)
    builder.json["accessors"].append(
        {"bufferView": view, "byteOffset": 12, "componentType": 5126, "count": 4, "type": "VEC3"}
    )
    keys = [0, 1, 2, 3]
    builder.clip(
        "move",
        (hips, "translation", keys, sparse, "LINEAR"),
        (head, "translation", keys, sparse + 1 + 1, "LINEAR"),
    )
    # The accessor of the first channel's keys came between.
    accessors = builder.json["accessors"]
    interleaved = next(i for i, a in enumerate(accessors) if a.get("byteOffset") == 12)
    builder.json["animations"][0]["samplers"][1]["output"] = interleaved
    move = load(builder.gltf(tmp_path / "move.gltf"), rate=FrameRate(Fraction(1)))
    np.testing.assert_allclose(
        move.heads[:, 0], [[0, 0, 0], [1, -3, 2], [0, 0, 0], [4, -6, 5]], atol=1e-6
    )
    local = (move.heads[:, 1] - move.heads[:, 0])[:, [0, 2, 1]] * [1, 1, -1]
    np.testing.assert_allclose(local, woven[:, 3:], atol=1e-5)


def test_files_beside_a_gltf_are_found_and_missed_by_name(tmp_path: Path) -> None:
    builder = Builder()
    hips, _, _ = body(builder)
    builder.clip("walk", (hips, "translation", [0, 1], [[0, 1, 0], [0, 1, 1]], "LINEAR"))
    path = builder.gltf(tmp_path / "walk.gltf")
    builder.json["buffers"] = [{"byteLength": len(builder.data), "uri": "the%20data.bin"}]
    path.write_text(json.dumps(builder.json))
    with pytest.raises(MotionError, match=r"cannot read the data\.bin, a part of walk\.gltf"):
        load(path)
    (tmp_path / "the data.bin").write_bytes(builder.data)
    assert len(load(path)) == 31


def skinned(builder: Builder, *, scale: float = 0.01) -> None:
    """Add an armature in centimetres that stands bent, bound upright."""
    turned = {"rotation": about([1, 0, 0], -90), "scale": [scale] * 3}
    armature = builder.node("Armature", **turned)
    hips = builder.node("Hips", armature, translation=[0, 0, 100], rotation=about([1, 0, 0], 110))
    head = builder.node("Head", hips, translation=[0, 60, 0])
    arm = builder.node("Arm", hips, translation=[20, 45, 0], rotation=about([0, 0, 1], -60))
    builder.node("Arm_end", arm, translation=[30, 0, 0])
    bound = np.tile(np.eye(4), (3, 1, 1))
    # As bound: in the space of the mesh, which is the armature's (z up, centimetres).
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    for matrix, place in zip(bound, ([0, 0, 100], [0, 0, 160], [20, 0, 145]), strict=True):
        matrix[:3, :3], matrix[:3, 3] = upright, place
    inverse = np.linalg.inv(bound).swapaxes(1, 2).reshape(3, 16)
    builder.json["skins"] = [
        {"joints": [hips, head, arm], "inverseBindMatrices": builder.accessor(inverse)}
    ]
    builder.json["meshes"] = [{"name": "Suit", "primitives": [{}]}]
    builder.node("Suit", armature, mesh=0, skin=0)


def test_rest_is_how_the_mesh_was_bound_not_how_the_nodes_stand(tmp_path: Path) -> None:
    builder = Builder()
    skinned(builder)
    body_ = load(builder.glb(tmp_path / "body.glb"))
    assert body_.names == ("Hips", "Head", "Arm", "Arm_end")
    np.testing.assert_allclose(
        body_.rest_heads, [[0, 0, 1], [0, 0, 1.6], [0.2, 0, 1.45], [0.5, 0, 1.45]], atol=1e-6
    )
    lean = np.radians(20)
    np.testing.assert_allclose(
        body_.heads[0, 1], [0, -0.6 * np.sin(lean), 1 + 0.6 * np.cos(lean)], atol=1e-6
    )
    assert len(body_) == 1
    assert any("no animation" in note for note in body_.notes)


def test_two_skeletons_are_two_people(tmp_path: Path) -> None:
    builder = Builder()
    skinned(builder)
    chain = builder.node("Tail")
    builder.json["skins"].append({"joints": [chain, builder.node("Tip", chain)]})
    path = builder.glb(tmp_path / "two.glb")
    assert [animation.names[0] for animation in load_all(path)] == ["Hips", "Tail"]
    assert load(path, person=1).names == ("Tail", "Tip")


def test_clips_are_found_by_name_and_number_and_listed_when_missed(tmp_path: Path) -> None:
    builder = Builder()
    hips, head, _ = body(builder)
    for name, height in (("idle", 1.0), ("jump", 2.0)):
        places = [[0, height, 0], [0, height, 0]]
        builder.clip(name, (hips, "translation", [0, 1], places, "LINEAR"))
    builder.clip(
        "nod", (head, "rotation", [0, 1], [about([1, 0, 0], a) for a in (0, 90)], "LINEAR")
    )
    path = builder.glb(tmp_path / "clips.glb")
    assert clips(path) == ("idle", "jump", "nod")
    assert load(path, clip="jump").heads[0, 0, 2] == pytest.approx(2)
    assert load(path, clip="1").heads[0, 0, 2] == load(path, clip=1).heads[0, 0, 2]
    with pytest.raises(MotionError, match="has no clip 'run'") as error:
        load(path, clip="run")
    assert error.value.hint == "It has 'idle', 'jump', 'nod'."
    # Nothing else moves the head: the nod goes with the idling.
    idle = load(path)
    assert idle.source == "idle + nod"
    assert np.ptp(idle.tails[:, 1], axis=0).max() > 0.1


def test_cameras_are_seen_through_as_they_move(tmp_path: Path) -> None:
    builder = Builder()
    _, head, _ = body(builder)
    yfov = 2 * np.arctan(0.5)
    builder.json["cameras"] = [
        {"type": "perspective", "perspective": {"yfov": yfov, "znear": 0.1}},
        {"type": "orthographic", "orthographic": {"xmag": 1, "ymag": 2, "zfar": 9, "znear": 0.1}},
    ]
    camera = builder.node("Camera", camera=0, translation=[0, 1.6, 4])
    places = [[0, 1.6, 4], [0, 1.6, 8]]
    builder.clip("dolly", (camera, "translation", [0, 1], places, "LINEAR"))
    dolly = load(builder.glb(tmp_path / "dolly.glb"))
    assert dolly.camera is not None
    pixels, depth = dolly.camera.project(dolly.heads, (640, 480))
    np.testing.assert_allclose(pixels[:, head], np.tile([320, 240], (31, 1)), atol=1e-4)
    np.testing.assert_allclose(depth[[0, 30], head], [4, 8], atol=1e-6)
    # The hips are 0.6 m below: at 4 m, half the picture is 2 m.
    assert pixels[0, 0, 1] == pytest.approx(240 + 240 * 0.6 / 2)

    builder.json["nodes"][camera]["camera"] = 1
    flat = load(builder.glb(tmp_path / "flat.glb"))
    assert flat.camera is not None
    pixels, _ = flat.camera.project(flat.heads, (640, 480))
    assert pixels[0, 0, 1] == pytest.approx(240 + 240 * 0.6 / 2)
    del builder.json["animations"]
    still = load(builder.glb(tmp_path / "still.glb"))
    assert still.camera is not None
    assert len(still.camera) == 1


def test_face_shapes_have_names_and_weights(tmp_path: Path) -> None:
    builder = Builder()
    _, head, _ = body(builder)
    builder.json["meshes"] = [
        {
            "name": "Face",
            "extras": {"targetNames": ["jawOpen", "eyeBlinkLeft"]},
            "weights": [0.25, 0.5],
            "primitives": [{"targets": [{}, {}]}],
        },
        {"name": "Teeth", "primitives": [{"targets": [{}]}]},
    ]
    face = builder.node("Face", head, mesh=0)
    builder.node("Teeth", head, mesh=1)
    builder.clip("talk", (face, "weights", [0, 1], [[0, 1], [1, 0]], "LINEAR"))
    talk = load(builder.glb(tmp_path / "talk.glb"))
    assert talk.morphs == ("jawOpen", "eyeBlinkLeft", "Teeth 0")
    np.testing.assert_allclose(talk.morph_weights[:, 0], np.arange(31) / 30, atol=1e-6)
    np.testing.assert_allclose(talk.morph_weights[:, 1], 1 - np.arange(31) / 30, atol=1e-6)
    del builder.json["animations"]
    still = load(builder.glb(tmp_path / "still.glb"))
    np.testing.assert_allclose(still.morph_weights, [[0.25, 0.5, 0]])


def test_vrm_maps_its_own_bones_and_vrm_0_is_turned_to_the_front(tmp_path: Path) -> None:
    builder = Builder()
    hips, head, hand = body(builder)
    parts = {"hips": hips, "head": head, "leftHand": hand}
    builder.json["extensions"] = {
        "VRMC_vrm": {"humanoid": {"humanBones": {k: {"node": v} for k, v in parts.items()}}}
    }
    one = load(builder.glb(tmp_path / "one.vrm"))
    assert one.humanoid == {"hips": "hips", "head": "head", "leftHand": "hand"}
    np.testing.assert_allclose(one.heads[0, 2], [0.5, -0.1, 1.4], atol=1e-6)

    listed = [{"bone": k, "node": v} for k, v in parts.items()]
    listed.append({"bone": "leftThumbIntermediate", "node": hand})
    builder.json["extensions"] = {"VRM": {"humanoid": {"humanBones": listed}}}
    zero = load(builder.glb(tmp_path / "zero.vrm"))
    assert zero.humanoid is not None
    assert zero.humanoid["leftThumbProximal"] == "hand"
    np.testing.assert_allclose(zero.heads[0, 2], [-0.5, 0.1, 1.4], atol=1e-6)


def test_vrm_animations_bring_map_and_expressions(tmp_path: Path) -> None:
    builder = Builder()
    hips, _, _ = body(builder)
    blink = builder.node("blink")
    builder.json["extensions"] = {
        "VRMC_vrm_animation": {
            "humanoid": {"humanBones": {"hips": {"node": hips}}},
            "expressions": {"preset": {"blink": {"node": blink}}},
        }
    }
    places = [[0, 0, 0], [1, 0, 0]]
    builder.clip("wink", (blink, "translation", [0, 1], places, "LINEAR"))
    wink = load(builder.glb(tmp_path / "wink.vrma"))
    assert (wink.morphs, wink.humanoid) == (("blink",), {"hips": "hips"})
    np.testing.assert_allclose(wink.morph_weights[:, 0], np.arange(31) / 30, atol=1e-6)


def test_a_rig_left_in_centimetres_is_brought_to_metres(tmp_path: Path) -> None:
    builder = Builder()
    skinned(builder, scale=1.0)
    big = load(builder.glb(tmp_path / "big.glb"))
    assert 0.5 < big.height < 3
    assert any("scaled by 0.01" in note for note in big.notes)


def damaged(change: str) -> Builder:
    builder = Builder()
    hips, _, _ = body(builder)
    builder.clip("walk", (hips, "translation", [0, 1], [[0, 1, 0], [0, 1, 1]], "LINEAR"))
    content = builder.json
    if change == "version":
        content["asset"]["version"] = "1.0"
    elif change == "ring":
        content["nodes"][2]["children"] = [0]
    elif change == "two parents":
        content["nodes"][2]["children"] = [1]
    elif change == "no joint":
        content["nodes"] = []
        del content["animations"]
    elif change == "short":
        content["accessors"][0]["count"] = 300
    elif change == "nan":
        builder.data = builder.data.replace(struct.pack("<f", 1), struct.pack("<f", np.nan))
    elif change == "no accessor":
        content["animations"][0]["samplers"][0]["input"] = 99
    elif change == "interpolation":
        content["animations"][0]["samplers"][0]["interpolation"] = "SMOOTH"
    elif change == "values":
        content["accessors"][0]["count"] = 1
    elif change == "text":
        content["nodes"][0]["translation"] = "up"
    elif change == "list":
        content["nodes"] = {"hips": 1}
    return builder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("version", "expected glTF version 2, found 1.0"),
        ("ring", "form a ring|two parents"),
        ("two parents", "node 1 has two parents"),
        ("no joint", "has no skeleton"),
        ("short", r"needs bytes .* of a buffer view, which ends at"),
        ("nan", "is not finite"),
        ("no accessor", "accessor 99 is not as glTF has it"),
        ("interpolation", "'SMOOTH' is not glTF's"),
        ("values", "need 6 numbers, found 3"),
        ("text", "cannot be read as one|malformed"),
        ("list", "expected 'nodes' to be a list"),
    ],
)
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(MotionError, match=message):
        load(damaged(change).glb(tmp_path / "damaged.glb"))


def pack(elements: NDArray[np.uint8], kinds: st.DataObject | None = None) -> bytes:
    """Pack as EXT_meshopt_compression does, each group in one of the ways its values allow."""
    count, stride = elements.shape
    per_block = min(8192 // stride // 16 * 16, 256)
    first = np.zeros(stride, np.uint8)
    before, packed = first, bytearray([0xA0])
    for start in range(0, count, per_block):
        block = elements[start : start + per_block]
        steps = np.diff(np.concatenate([before[None], block]), axis=0)
        before = block[-1]
        signed = steps.view(np.int8).astype(int)
        zigzag = np.where(signed < 0, -2 * signed - 1, 2 * signed)
        for column in zigzag.T:
            groups = np.pad(column, (0, -len(column) % 16)).reshape(-1, 16)
            header, body_ = [0] * (-(-len(groups) // 4)), b""
            for number, group in enumerate(groups):
                ways = ([0] if not group.any() else []) + [1, 2, 3]
                kind = kinds.draw(st.sampled_from(ways)) if kinds else ways[0]
                header[number // 4] |= kind << number % 4 * 2
                if kind == 3:
                    body_ += bytes(group.tolist())
                elif kind:
                    bits, top = 2 * kind, (1 << 2 * kind) - 1
                    small = np.minimum(group, top).reshape(-1, 8 // bits)
                    for row in small:
                        body_ += bytes(
                            [sum(int(v) << 8 - bits * (i + 1) for i, v in enumerate(row))]
                        )
                    body_ += bytes(group[group >= top].tolist())
            packed += bytes(header) + body_
    return bytes(packed) + bytes(max(0, 32 - stride)) + first.tobytes()


@settings(max_examples=40, deadline=None)
@given(data=st.data(), count=st.integers(1, 600), words=st.integers(1, 16))
def test_packed_numbers_are_unpacked(data: st.DataObject, count: int, words: int) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    steps = rng.integers(-3, 4, (count, 4 * words)) * rng.integers(0, 2, (count, 1))
    elements = np.cumsum(steps * rng.choice([1, 30], p=[0.9, 0.1]), axis=0).astype(np.uint8)
    few = data if count * words < 200 else None
    assert unpack(pack(elements, few), count, 4 * words, "NONE") == elements.tobytes()


def test_packed_floats_and_quaternions_are_restored() -> None:
    values = np.array([0.0, 1.5, -0.75, 1024, 3e-5])
    exponents = np.full(5, -20)
    mantissas = np.rint(values * 2.0**20).astype(np.int64)
    stored = ((exponents << 24) | (mantissas & 0xFFFFFF)).astype("<i4")
    unpacked = unpack(pack(stored.view(np.uint8).reshape(5, 4)), 5, 4, "EXPONENTIAL")
    clipped = np.where(np.abs(values) < 8, values, 0)  # 1024 does not fit 24 bits at 2**-20
    np.testing.assert_allclose(np.frombuffer(unpacked, "<f4"), clipped, atol=1e-6)

    turns = np.array([about([1, 2, 3], angle) for angle in (0, 40, 120, 179)])
    rows = []
    for turn in turns:
        largest = int(np.argmax(np.abs(turn)))
        scale = 2047 / np.sqrt(0.5) * np.sign(turn[largest])
        rest = [turn[(largest + offset) % 4] * scale for offset in (1, 2, 3)]
        rows.append([*np.rint(rest), 2044 | largest])
    raw = np.array(rows, dtype="<i2").view(np.uint8).reshape(4, 8)
    found = np.frombuffer(unpack(pack(raw), 4, 8, "QUATERNION"), "<i2").reshape(4, 4) / 32767
    np.testing.assert_allclose(np.abs((found * turns).sum(axis=1)), 1, atol=1e-3)


def packed_walk(tmp_path: Path, **changes: Any) -> Path:
    """Write a file whose animation is packed as gltfpack does it."""
    builder = Builder()
    hips, _, _ = body(builder)
    keys = np.arange(40, dtype="<f4") / np.float32(30)
    places = np.stack([np.linspace(0, 4, 40), np.ones(40), np.zeros(40)], axis=1).astype("<f4")
    builder.clip("walk", (hips, "translation", keys, places, "LINEAR"))
    builder.data = b""
    for view, values in zip(builder.json["bufferViews"], (places, keys), strict=True):
        elements = values.view(np.uint8).reshape(40, -1)
        packed = pack(elements)
        where = {"buffer": 0, "byteOffset": len(builder.data), "byteLength": len(packed)}
        how = {"byteStride": elements.shape[1], "count": 40, "mode": "ATTRIBUTES"}
        packing = {**where, **how, **changes}
        view |= {"buffer": 1, "extensions": {"EXT_meshopt_compression": packing}}
        builder.data += packed
    path = builder.glb(tmp_path / "packed.glb")
    text = json.dumps({**builder.json, "buffers": [{"byteLength": 0}, {"byteLength": 640}]})
    chunk = text.encode() + b" " * (-len(text) % 4)
    data = builder.data + bytes(-len(builder.data) % 4)
    chunks = struct.pack("<II", len(chunk), 0x4E4F534A) + chunk
    chunks += struct.pack("<II", len(data), 0x004E4942) + data
    path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks)
    return path


def test_an_animation_packed_by_gltfpack_is_read(tmp_path: Path) -> None:
    walking = load(packed_walk(tmp_path))
    np.testing.assert_allclose(walking.heads[:, 0, 0], np.linspace(0, 4, 40), atol=1e-5)


@pytest.mark.parametrize(
    ("field", "value"),
    [("mode", "INDICES"), ("filter", "OCTAHEDRAL"), ("count", 4000), ("byteLength", 10**6)],
)
def test_what_is_packed_beyond_reading_is_said(tmp_path: Path, field: str, value: Any) -> None:
    with pytest.raises(MotionError, match=r"compressed with EXT_meshopt|packed in mode|needs 10+"):
        load(packed_walk(tmp_path, **{field: value}))


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    builder = Builder()
    body(builder)
    path = builder.glb(tmp_path / "cut.glb")
    whole = path.read_bytes()
    for length in (0, 3, 4, 11, 12, 19, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(MotionError):
            load(path)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_damage_raises_anything_but_a_motion_error(tmp_path: Path, data: st.DataObject) -> None:
    builder = Builder()
    skinned(builder)
    builder.clip("walk", (1, "translation", [0, 1], [[0, 1, 0], [0, 1, 1]], "LINEAR"))
    places = list(walk(builder.json))
    where = data.draw(st.sampled_from(places))
    junk = st.one_of(
        st.none(), st.integers(-3, 1000), st.floats(), st.text(max_size=3), st.just([]), st.just({})
    )
    target: Any = builder.json
    for step in where[:-1]:
        target = target[step]
    target[where[-1]] = data.draw(junk)
    uri = "data:;base64," + base64.b64encode(builder.data).decode()
    if isinstance(builder.json.get("buffers"), list) and where[0] != "buffers":
        builder.json["buffers"] = [{"byteLength": len(builder.data), "uri": uri}]
    path = tmp_path / "damaged.gltf"
    path.write_text(json.dumps(builder.json))
    with contextlib.suppress(MotionError):
        read_gltf(path)


def walk(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Yield the path of every value in a JSON document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from walk(item, (*path, key))


RIGS = Path(__file__).resolve().parents[3].parent / "shared" / "rigs"


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "clip", "frames", "bones", "tall"),
    [
        ("mixamo_soldier.glb", "Walk", 31, 65, (1.5, 2.0)),
        ("mixamo_xbot.glb", "run", 22, 67, (1.5, 2.0)),
        ("readyplayerme_avatar.glb", None, 1, 67, (1.5, 2.0)),
        ("robotexpressive.glb", "Dance", 81, 58, (4, 6)),
        ("vrm_example_vrmaddon.vrm", None, 1, 54, (1.5, 2.0)),
    ],
)
def test_real_rigs_stand_upright_at_rest(
    name: str, clip: str | None, frames: int, bones: int, tall: tuple[float, float]
) -> None:
    path = RIGS / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    rig: JointAnimation = load(path, clip=clip)
    assert len(rig.names) == bones
    assert abs(len(rig) - frames) <= 1
    assert tall[0] < rig.height < tall[1]
    head = next(i for i, bone in enumerate(rig.names) if bone.lower().endswith("head"))
    assert rig.rest_heads[head, 2] > 0.55 * rig.height
    # At rest both sides mirror each other.
    left = {bone: i for i, bone in enumerate(rig.names) if "Left" in bone or bone.endswith(".L")}
    for bone, index in left.items():
        other = bone.replace("Left", "Right") if "Left" in bone else bone[:-1] + "R"
        if other in rig.names:
            mirrored = rig.rest_heads[rig.index(other)] * [-1, 1, 1]
            assert np.linalg.norm(rig.rest_heads[index] - mirrored) < 0.03 * rig.height, bone


@pytest.mark.media
def test_a_real_file_that_is_packed_is_read() -> None:
    path = RIGS / "facecap_arkit52.glb"
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine")
    face = load(path)
    assert (len(face), str(face.rate), face.first) == (335, "30", 1)
    assert len(face.morphs) == 52
    assert {"jawOpen", "eyeBlink_L"} < set(face.morphs)
    assert 0.9 < face.morph_weights.max() <= 1
    assert np.degrees(np.arccos((np.trace(face.turns[:, 2], axis1=1, axis2=2) - 1) / 2)).max() > 5


T_POSE = {
    "Hips": (None, [0, 0.95, 0]),
    "Spine": ("Hips", [0, 0.35, 0]),
    "Neck": ("Spine", [0, 0.2, 0]),
    "Head": ("Neck", [0, 0.08, 0]),
    **{
        side + name: (parent if parent in {"Hips", "Spine"} else side + parent, [sign * x, y, z])
        for side, sign in (("Left", 1), ("Right", -1))
        for name, parent, (x, y, z) in (
            ("Shoulder", "Spine", (0.04, 0.14, 0)),
            ("Arm", "Shoulder", (0.13, 0, 0)),
            ("ForeArm", "Arm", (0.28, 0, 0)),
            ("Hand", "ForeArm", (0.25, 0, 0)),
            ("UpLeg", "Hips", (0.09, -0.03, 0)),
            ("Leg", "UpLeg", (0, -0.42, 0)),
            ("Foot", "Leg", (0, -0.42, 0)),
            ("ToeBase", "Foot", (0, -0.06, 0.14)),
        )
    },
}
EYES = {
    "LeftEye": ("Head", [0.03, 0.07, 0.08]),
    "RightEye": ("Head", [-0.03, 0.07, 0.08]),
}
CROWN = {"HeadTop_End": ("Head", [0, 0.2, 0])}


def whole_body(builder: Builder, more: dict[str, Any], **turned: list[float]) -> dict[str, int]:
    """Add a person in T-pose, some of whose nodes are turned."""
    nodes: dict[str, int] = {}
    for name, (parent, place) in {**T_POSE, **more}.items():
        fields: dict[str, Any] = {"translation": place}
        if name in turned:
            fields["rotation"] = turned[name]
        nodes[name] = builder.node(name, None if parent is None else nodes[parent], **fields)
    return nodes


def face_of(animation: JointAnimation) -> NDArray[np.float64]:
    """Return the head's left, up and front in each frame."""
    figure = Figure.prepare(animation, map_rig(animation))
    return figure.head_frames(animation)[1]


STANDING = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""Left, up and front of a head that looks ahead, as columns."""


@pytest.mark.parametrize("degrees", [-70, 30, 180])
@pytest.mark.parametrize("axis", [[0, 1, 0], [1, 0, 0], [1, 1, 0.5]])
@pytest.mark.parametrize(
    "more", [EYES | CROWN, EYES, CROWN, {}], ids=["both", "eyes", "crown", "none"]
)
def test_without_a_skin_a_turned_head_is_no_rest_and_the_face_looks_ahead(
    tmp_path: Path, degrees: float, axis: list[float], more: dict[str, Any]
) -> None:
    builder = Builder()
    nodes = whole_body(builder, more, Head=about(axis, degrees), LeftArm=about([0, 0, 1], -20))
    straight = [about([0, 1, 0], 0)] * 3
    builder.clip("ahead", (nodes["Head"], "rotation", [0, 0.5, 1], straight, "LINEAR"))
    animation = load(builder.gltf(tmp_path / "ahead.gltf"))
    assert animation.rest_is_posed
    np.testing.assert_allclose(face_of(animation), np.tile(STANDING, (31, 1, 1)), atol=0.06)


def test_without_a_skin_a_t_pose_is_a_rest_whatever_the_motion_does(tmp_path: Path) -> None:
    builder = Builder()
    nodes = whole_body(builder, {})
    aside = [about([0, 1, 0], 60)] * 2
    builder.clip("aside", (nodes["Head"], "rotation", [0, 1], aside, "LINEAR"))
    front = face_of(load(builder.gltf(tmp_path / "aside.gltf")))[:, :, 2]
    expected = [np.sin(np.radians(60)), -np.cos(np.radians(60)), 0]
    np.testing.assert_allclose(front, np.tile(expected, (31, 1)), atol=1e-6)


def test_a_skin_tells_the_rest_and_a_head_held_aside_stays_aside(tmp_path: Path) -> None:
    builder = Builder()
    nodes = whole_body(builder, EYES | CROWN)
    bind = []
    for name in nodes:
        place, above = np.zeros(3), name
        while above:
            parent, offset = {**T_POSE, **EYES, **CROWN}[above]
            place, above = place + offset, parent or ""
        matrix = np.eye(4)
        matrix[3, :3] = -place
        bind.append(matrix.ravel())
    builder.json["skins"] = [
        {"joints": list(nodes.values()), "inverseBindMatrices": builder.accessor(bind)}
    ]
    for node in builder.json["nodes"]:
        if node["name"] == "Head":
            node["rotation"] = about([0, 1, 0], 50)
    animation = load(builder.gltf(tmp_path / "skin.gltf"))
    assert not animation.rest_is_posed
    front = face_of(animation)[0, :, 2]
    np.testing.assert_allclose(front[0], np.sin(np.radians(50)), atol=1e-3)


def pointed(builder: Builder, *pointers: str) -> None:
    """Turn the channels of the first clip into pointers."""
    channels = builder.json["animations"][0]["channels"]
    for channel, pointer in zip(channels, pointers, strict=True):
        channel["target"] = {
            "path": "pointer",
            "extensions": {"KHR_animation_pointer": {"pointer": pointer}},
        }


@pytest.mark.parametrize("path", ["translation", "rotation", "scale"])
def test_what_is_animated_by_pointer_moves_as_by_node(tmp_path: Path, path: str) -> None:
    def clip(*, by_pointer: bool) -> JointAnimation:
        builder = Builder()
        hips, _, _ = body(builder)
        values = {
            "translation": [[0, 1, 0], [2, 1, 0]],
            "rotation": [about([0, 1, 0], 0), about([0, 1, 0], 90)],
            "scale": [[1, 1, 1], [2, 1, 1]],
        }[path]
        builder.clip("clip", (hips, path, [0, 1], values, "LINEAR"))
        if by_pointer:
            pointed(builder, f"/nodes/{hips}/{path}")
        return load(builder.gltf(tmp_path / "clip.gltf"))

    one, other = clip(by_pointer=True), clip(by_pointer=False)
    assert len(one) == 31
    np.testing.assert_allclose(one.heads, other.heads)
    assert np.ptp(one.heads, axis=0).max() > 0.2


def test_what_else_is_animated_is_named(tmp_path: Path) -> None:
    builder = Builder()
    hips, _, _ = body(builder)
    move = (hips, "translation", [0, 1], [[0, 1, 0], [2, 1, 0]], "LINEAR")
    builder.clip("clip", move, move, move)
    channels = builder.json["animations"][0]["channels"]
    pointed(
        builder,
        f"/nodes/{hips}/translation",
        "/materials/0/pbrMetallicRoughness/baseColorFactor",
        "/cameras/0/perspective/yfov",
    )
    channels.append({"sampler": 0, "target": {"path": "translation"}})
    moved = load(builder.gltf(tmp_path / "clip.gltf"))
    assert moved.heads[-1, 0, 0] == pytest.approx(2)
    note = next(note for note in moved.notes if "left out" in note)
    assert note == (
        "animated, but left out: /cameras/0/perspective/yfov, "
        "/materials/0/pbrMetallicRoughness/baseColorFactor, channels without a node"
    )


def test_clips_that_point_at_the_same_node_are_not_played_together(tmp_path: Path) -> None:
    builder = Builder()
    hips, _, _ = body(builder)
    for name, far in (("near", 1), ("far", 5)):
        move = (hips, "translation", [0, 1], [[0, 1, 0], [far, 1, 0]], "LINEAR")
        builder.clip(name, move)
        builder.json["animations"][-1]["channels"][0]["target"] = {
            "path": "pointer",
            "extensions": {"KHR_animation_pointer": {"pointer": f"/nodes/{hips}/translation"}},
        }
    assert load(builder.gltf(tmp_path / "two.gltf")).source == "near"


def test_every_file_that_was_read_is_listed_and_no_other(tmp_path: Path) -> None:
    builder = Builder()
    hips, _, _ = body(builder)
    builder.clip("clip", (hips, "translation", [0, 1], [[0, 1, 0], [2, 1, 0]], "LINEAR"))
    path = builder.gltf(tmp_path / "clip.gltf")
    assert load(path).files == (path,)
    builder.json["buffers"] = [
        {"byteLength": len(builder.data), "uri": "the%20numbers.bin"},
        {"byteLength": 4, "uri": "mesh.bin"},
    ]
    builder.json["images"] = [{"uri": "skin.png"}]
    path.write_text(json.dumps(builder.json))
    (tmp_path / "the numbers.bin").write_bytes(builder.data)
    assert load(path).files == (path, tmp_path / "the numbers.bin")


@pytest.mark.parametrize("rate", ["30", "24"])
def test_a_clip_keyed_every_third_frame_is_one_of_its_own_rate(tmp_path: Path, rate: str) -> None:
    builder = Builder()
    hips, _, _ = body(builder)
    exact = FrameRate.parse(rate)
    keys = [float((3 * i + 1) / exact.fraction) for i in range(20)]
    builder.clip("thirds", (hips, "translation", keys, np.zeros((20, 3)), "LINEAR"))
    clip = load(builder.glb(tmp_path / "thirds.glb"))
    assert (clip.rate, len(clip), clip.first) == (exact, 58, 1)
    assert any(note.startswith(f"{rate} frames per second: a key every") for note in clip.notes)
    declared = load(tmp_path / "thirds.glb", source_rate=FrameRate(Fraction(60)))
    assert declared.rate == FrameRate(Fraction(60))
    assert "60 frames per second, as declared" in declared.notes


def lying_export(builder: Builder, *, skin: bool) -> None:
    """Add a person who stands along z, as exported by programs that forget to turn."""
    nodes = whole_body(builder, {})
    for node in builder.json["nodes"]:
        x, y, z = node["translation"]
        node["translation"] = [x, -z, y]
    if skin:
        bind, places = [], {}
        for name in nodes:
            parent = T_POSE[name][0]
            offset = np.array(builder.json["nodes"][nodes[name]]["translation"], float)
            places[name] = offset + (places[parent] if parent else 0)
            matrix = np.eye(4)
            matrix[3, :3] = -places[name]
            bind.append(matrix.ravel())
        builder.json["skins"] = [
            {"joints": list(nodes.values()), "inverseBindMatrices": builder.accessor(bind)}
        ]


def test_a_rig_that_was_bound_along_z_and_stays_so_is_stood_up(tmp_path: Path) -> None:
    builder = Builder()
    lying_export(builder, skin=True)
    path = builder.gltf(tmp_path / "z.gltf")
    stood = load(path)
    assert stood.heads[0, stood.index("Head"), 2] == pytest.approx(1.58)
    assert any("give --up y" in note for note in stood.notes)
    assert load(path, up="y").heads[0, stood.index("Head"), 2] < 0.2


def test_without_a_skin_whoever_lies_keeps_lying(tmp_path: Path) -> None:
    builder = Builder()
    lying_export(builder, skin=False)
    path = builder.gltf(tmp_path / "lies.gltf")
    lies = load(path)
    assert lies.heads[0, lies.index("Head"), 2] < 0.2
    stood = load(path, up="z")
    assert stood.heads[0, lies.index("Head"), 2] == pytest.approx(1.58)
    assert "z is up, as --up says" in stood.notes
