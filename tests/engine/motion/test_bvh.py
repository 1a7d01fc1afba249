"""BVH: what is written comes back, what others write is understood, what is broken is named."""

import contextlib
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from marionext.errors import MotionError, OutputError
from marionext.frames import FrameRate
from marionext.motion import JointAnimation, load, load_all, read_bvh, write_bvh

BODY = """HIERARCHY
ROOT Hips
{
  OFFSET 0 90 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Head
  {
    OFFSET 0 60 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 20 0
    }
  }
  JOINT LeftFoot
  {
    OFFSET 10 -90 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 0 15
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 90 0 0 0 0 0 0 0 0 0 0
0 90 50 0 0 90 0 0 0 0 0 0
"""


def read(tmp_path: Path, text: str, **options: object) -> JointAnimation:
    path = tmp_path / "motion.bvh"
    path.write_text(text, encoding="utf-8")
    return read_bvh(path, **options)[0]  # type: ignore[arg-type]


def test_axes_units_and_rate_become_blenders_metres_and_exact(tmp_path: Path) -> None:
    body = read(tmp_path, BODY)
    assert body.names == ("Hips", "Head", "LeftFoot")
    assert body.rate == FrameRate(Fraction(30))
    np.testing.assert_allclose(body.rest_heads, [[0, 0, 0.9], [0, 0, 1.5], [0.1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(body.rest_tails[1:], [[0, 0, 1.7], [0.1, -0.15, 0]], atol=1e-12)
    # Half a metre to the front, and a quarter turn to the left: the foot that was at the left
    # side (+x) is now behind (+y), its toes point to +x.
    np.testing.assert_allclose(body.heads[1, 0], [0, -0.5, 0.9], atol=1e-12)
    np.testing.assert_allclose(body.heads[1, 2], [0, -0.4, 0], atol=1e-12)
    np.testing.assert_allclose(body.tails[1, 2] - body.heads[1, 2], [0.15, 0, 0], atol=1e-12)
    assert any("centimetres" in note for note in body.notes)


def test_channels_multiply_in_the_order_in_which_they_are_written(tmp_path: Path) -> None:
    def turn(axis: int, degrees: float) -> NDArray[np.float64]:
        a, b = (axis + 1) % 3, (axis + 2) % 3
        matrix = np.eye(3)
        matrix[a, a] = matrix[b, b] = np.cos(np.radians(degrees))
        matrix[b, a] = np.sin(np.radians(degrees))
        matrix[a, b] = -matrix[b, a]
        return matrix

    to_blender = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    for order in ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"):
        channels = " ".join(f"{axis}rotation" for axis in order)
        text = BODY.replace("Zrotation Xrotation Yrotation", channels, 1)
        text = text.replace("0 90 50 0 0 90", "0 90 50 10 20 70")
        body = read(tmp_path, text)
        expected = np.eye(3)
        for axis, degrees in zip(order, (10, 20, 70), strict=True):
            expected = expected @ turn("XYZ".index(axis), degrees)
        np.testing.assert_allclose(
            body.turns[1, 0], to_blender @ expected @ to_blender.T, atol=1e-12
        )


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("0.0333333", "30"),
        (".03333", "30"),
        ("0.033", "30"),
        ("0.0083333", "120"),
        (".008333", "120"),
        ("0.0416667", "24"),
        ("0.041667", "24"),
        ("0.0417083", "24000/1001"),
        ("0.0333667", "30000/1001"),
        ("0.01", "100"),
        ("0.040000", "25"),
        ("8.333333e-03", "120"),
        ("0.02", "50"),
        ("0.0166667", "60"),
        ("1", "1"),
        ("0.0090909", "110"),
        ("0.07", "100/7"),
    ],
)
def test_a_rounded_frame_time_is_the_rate_that_was_meant(
    tmp_path: Path, written: str, rate: str
) -> None:
    body = read(tmp_path, BODY.replace("0.0333333", written))
    assert str(body.rate) == rate


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(120), Fraction(7)])
def test_the_rate_survives_writing(tmp_path: Path, rate: Fraction) -> None:
    body = read(tmp_path, BODY).with_(rate=FrameRate(rate))
    write_bvh(body, tmp_path / "again.bvh")
    assert load(tmp_path / "again.bvh").rate == FrameRate(rate)


@pytest.mark.parametrize(
    ("scale", "unit"),
    [(1.0, "centimetres"), (0.01, "metres"), (10.0, "millimetres"), (1 / 2.54, "inches")],
)
def test_the_unit_is_told_from_the_height_of_a_person(
    tmp_path: Path, scale: float, unit: str
) -> None:
    def scaled(line: str) -> str:
        words = line.split()
        first = {"OFFSET": 1, "0": 0}.get(words[0], len(words))
        places = [f"{float(word) * scale:.9f}" for word in words[first : first + 3]]
        return " ".join([*words[:first], *places, *words[first + 3 :]])

    body = read(tmp_path, "\n".join(scaled(line) for line in BODY.splitlines()))
    assert body.height == pytest.approx(1.7)
    assert any(unit in note for note in body.notes)


def test_a_file_with_z_up_is_recognised(tmp_path: Path) -> None:
    text = BODY.replace("OFFSET 0 90 0", "OFFSET 0 0 90").replace("OFFSET 0 60 0", "OFFSET 0 0 60")
    text = text.replace("OFFSET 10 -90 0", "OFFSET 10 0 -90").replace("0 20 0", "0 0 20")
    text = text.replace("OFFSET 0 0 15", "OFFSET 0 -15 0")
    text = text[: text.index("0 90 0 0 0 0")]
    text += "0 0 90" + 9 * " 0" + "\n0 -50 90 90" + 8 * " 0" + "\n"
    body = read(tmp_path, text)
    np.testing.assert_allclose(body.rest_heads, [[0, 0, 0.9], [0, 0, 1.5], [0.1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(body.heads[1, 0], [0, -0.5, 0.9], atol=1e-12)


def test_a_pose_at_rest_that_lies_down_is_replaced_by_a_frame_that_stands(tmp_path: Path) -> None:
    # All bones along x when every angle is 0, as Rokoko writes them.
    text = BODY.replace("OFFSET 0 60 0", "OFFSET 60 0 0").replace(
        "OFFSET 10 -90 0", "OFFSET -90 0 0"
    )
    text = text.replace("OFFSET 0 20 0", "OFFSET 20 0 0")
    text = text.replace("0 90 0 0 0 0", "0 90 0 90 0 0").replace("0 90 50 0 0 90", "0 90 50 90 0 0")
    body = read(tmp_path, text)
    np.testing.assert_allclose(body.rest_heads[1], [0, 0, 1.5], atol=1e-9)
    assert any("no pose of rest" in note for note in body.notes)


def test_two_people_in_one_file_are_two_animations(tmp_path: Path) -> None:
    hierarchy, _, motion = BODY.partition("MOTION\n")
    second = hierarchy.removeprefix("HIERARCHY\n")
    small = second.replace("  JOINT Head", "  JOINT Top")
    lines = motion.splitlines()
    lines[2:] = [f"{line} {line.replace('0 90', '100 90')}" for line in lines[2:]]
    path = tmp_path / "two.bvh"
    path.write_text(hierarchy + small + "MOTION\n" + "\n".join(lines))
    one, two = load_all(path)
    assert (one.names[1], two.names[1]) == ("Head", "Top")
    np.testing.assert_allclose(two.heads[0, 0] - one.heads[0, 0], [1, 0, 0], atol=1e-9)
    assert load(path, person=1).names == two.names
    with pytest.raises(MotionError, match="has 2 skeletons, none with the number 3"):
        load(path, person=2)


def test_positions_take_the_place_of_offsets_unless_they_are_nothing(tmp_path: Path) -> None:
    six = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    head, _, rest = BODY.partition("JOINT Head")
    text = head + "JOINT Head" + rest.replace("CHANNELS 3 Zrotation Xrotation Yrotation", six, 1)
    moved = text.replace("0 90 0 0 0 0 0 0 0", "0 90 0 0 0 0 0 70 0 0 0 0")
    moved = moved.replace("0 90 50 0 0 90 0 0 0", "0 90 50 0 0 90 0 65 0 0 0 0")
    body = read(tmp_path, moved)
    np.testing.assert_allclose(body.heads[:, 1, 2], [1.6, 1.55])
    nothing = moved.replace("0 70 0", "0 0 0").replace("0 65 0", "0 0 0")
    np.testing.assert_allclose(read(tmp_path, nothing).heads[:, 1, 2], [1.5, 1.5])


def test_oddities_of_other_programs_are_understood(tmp_path: Path) -> None:
    odd = BODY.replace("\n", "\r\n").replace("ROOT Hips\r\n{", "ROOT Left Hips {")
    odd = odd.replace("JOINT Head", "joint Head").replace("End Site", "End site")
    odd = odd.replace("0 90 50 0", "0 90\r\n50 0").replace("Frames: 2", "Frames:\t2")
    odd = odd.replace("LeftFoot", "Head")
    body = read(tmp_path, "\ufeff" + odd + "\r\n\r\n")
    assert body.names == ("Left Hips", "Head", "Head.001")
    assert len(body) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERARCHIE", r"line 1: expected HIERARCHY"),
        ("OFFSET 0 60 0", "OFFSET 0 60", r"line 8: expected an offset of 3 numbers, found '0 60'"),
        ("OFFSET 0 60 0", "OFFSET 0 nan 0", r"line 8: expected an offset of 3 numbers"),
        ("    OFFSET 0 60 0\n", "", r"line 6: expected an OFFSET in 'Head', found none"),
        ("CHANNELS 3", "CHANNELS 4", r"line 9: expected CHANNELS, their number"),
        ("Zrotation", "Wrotation", r"line 5: expected CHANNELS"),
        ("3 Zrotation Xrotation", "3 Zrotation Zrotation", r"line 9: expected every channel once"),
        (
            "OFFSET 0 60 0",
            "OFFSET 0 60 0\n    OFFSET 0 1 0",
            r"line 9: expected one OFFSET in 'Head'",
        ),
        (
            "    End Site",
            "    CHANNELS 1 Xposition\n    End Site",
            r"line 10: expected CHANNELS of 'Head' once",
        ),
        ("Frames: 2", "Frames: " + 5000 * "9", r"line 26: expected 'Frames:'"),
        ("0.0333333", "1e-300", r"line 27: expected 'Frame Time:'"),
        ("CHANNELS 6", "CHANNELS ²", r"line 5: expected CHANNELS, their number"),
        ("ROOT Hips\n{", "ROOT Hips", r"line 3: expected '\{', found 'OFFSET 0 90 0'"),
        ("ROOT Hips", "ROOT", r"line 2: expected a name"),
        ("}\nMOTION", "MOTION", r"line 24: expected 1 more '\}', found MOTION"),
        ("}\nMOTION", "}\n}\nMOTION", r"line 25: expected MOTION or ROOT"),
        ("MOTION", "", r"line 26: expected ROOT, JOINT, .* found 'Frames: 2'"),
        ("Frames: 2", "Frames: 0", r"line 26: expected at least one frame"),
        ("Frames: 2", "Frames: two", r"line 26: expected 'Frames:'"),
        ("0.0333333", "0", r"line 27: expected 'Frame Time:' and seconds above 0"),
        ("0.0333333", "soon", r"line 27: expected 'Frame Time:'"),
        ("Frames: 2", "Frames: 3", r"line 29: expected 3 frames of 12 numbers, .* after 2 frames"),
        ("50 0 0 90", "50 0 NaN 90", r"line 29: expected a number for 'Hips', found 'NaN'"),
        ("0 0 90 0 0 0", "0 0 90 0 0 x", r"line 29: expected a number for 'Head', found 'x'"),
        (BODY, "", "is empty"),
        (BODY, "HIERARCHY\nMOTION\n", r"line 2: expected at least one ROOT"),
        (BODY, "HIERARCHY\nROOT Hips\n{", r"line 3: expected MOTION, found the end of the file"),
    ],
)
def test_a_broken_file_is_refused_with_the_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "broken.bvh"
    assert old in BODY
    path.write_text(BODY.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(MotionError, match=message):
        load(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_raises_anything_but_a_motion_error(tmp_path: Path, data: st.DataObject) -> None:
    text = bytearray(BODY.encode())
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    text[start:end] = data.draw(st.binary(max_size=12))
    path = tmp_path / "damaged.bvh"
    path.write_bytes(bytes(text))
    with contextlib.suppress(MotionError):
        read_bvh(path)


def random_skeleton(seed: int, bones: int, frames: int, *, stretch: bool) -> JointAnimation:
    """Return a body that turns every joint at random."""
    rng = np.random.default_rng(seed)
    parents = np.array([-1, *(rng.integers(0, bone) for bone in range(1, bones))])
    quaternions = rng.normal(size=(frames, bones, 4))
    quaternions /= np.linalg.norm(quaternions, axis=-1, keepdims=True)
    x, y, z, w = np.moveaxis(quaternions, -1, 0)
    turns = np.moveaxis(
        np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        ),
        (0, 1),
        (2, 3),
    )
    offsets = rng.uniform(0.05, 0.3, size=(bones, 3)) * rng.choice([-1, 1], size=(bones, 3))
    rest, heads = np.zeros((bones, 3)), np.zeros((frames, bones, 3))
    for bone, parent in enumerate(parents):
        rest[bone] = offsets[bone] + (rest[parent] if parent >= 0 else [0, 0, 1])
        if parent < 0:
            heads[:, bone] = rng.normal(size=(frames, 3))
        else:
            place = np.tile(offsets[bone], (frames, 1))
            place *= rng.uniform(0.5, 1.5, size=(frames, 1)) if stretch else 1
            heads[:, bone] = heads[:, parent] + (turns[:, parent] @ place[..., None])[..., 0]
    ends = rng.uniform(0.05, 0.2, size=(bones, 3))
    return JointAnimation(
        names=tuple(f"bone {bone}" for bone in range(bones)),
        parents=parents,
        heads=heads,
        tails=heads + (turns @ ends[..., None])[..., 0],
        rotations=turns,
        rest_heads=rest,
        rest_tails=rest + ends,
        rest_rotations=np.broadcast_to(np.eye(3), (bones, 3, 3)),
        rate=FrameRate(Fraction(25)),
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    bones=st.integers(1, 12),
    frames=st.integers(1, 5),
    stretch=st.booleans(),
)
def test_any_skeleton_comes_back_as_it_was_written(
    tmp_path: Path, seed: int, bones: int, frames: int, stretch: bool
) -> None:
    before = random_skeleton(seed, bones, frames, stretch=stretch)
    path = tmp_path / "round.bvh"
    write_bvh(before, path, digits=9)
    after = read_bvh(path, up="y", unit=0.01)[0]
    order = [after.names.index(name) for name in before.names]
    np.testing.assert_allclose(after.heads[:, order], before.heads, atol=1e-8)
    np.testing.assert_allclose(after.turns[:, order], before.turns, atol=1e-8)
    np.testing.assert_allclose(after.rest_heads[order], before.rest_heads, atol=1e-8)
    leaves = [bone for bone in range(bones) if bone not in before.parents]
    np.testing.assert_allclose(after.tails[:, order][:, leaves], before.tails[:, leaves], atol=1e-8)


def test_angles_do_not_jump_between_frames(tmp_path: Path) -> None:
    body = read(tmp_path, BODY)
    angle = np.radians(np.arange(0, 720, 7.0))
    turns = np.tile(np.eye(3), (len(angle), 3, 1, 1))
    turns[..., 0, 0] = turns[..., 1, 1] = np.cos(angle)[:, None]
    turns[..., 1, 0] = np.sin(angle)[:, None]
    turns[..., 0, 1] = -turns[..., 1, 0]
    still = np.tile(body.heads[:1], (len(angle), 1, 1))
    write_bvh(
        body.with_(heads=still, tails=still, rotations=turns @ body.rest_rotations),
        tmp_path / "spin.bvh",
    )
    lines = (tmp_path / "spin.bvh").read_text().partition("Frame Time")[2].splitlines()[1:]
    numbers = np.array([line.split() for line in lines], dtype=float)
    assert np.abs(np.diff(numbers[:, 3:6], axis=0)).max() < 8


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_bvh(read(tmp_path, BODY), tmp_path / "file" / "motion.bvh")


def test_a_long_capture_is_read_within_a_second(tmp_path: Path) -> None:
    path = tmp_path / "long.bvh"
    write_bvh(random_skeleton(1, 60, 1000, stretch=False), path, digits=4)
    start = time.process_time()
    read_bvh(path)
    assert time.process_time() - start < 1  # of the processor; 0.2 s as a rule


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "frames", "rate", "height"),
    [
        ("cmu1_jumping_jacks.bvh", 125, "30", (1.3, 1.9)),
        ("dme_example.bvh", 278, "120", (1.3, 1.9)),
        ("rokoko_jesse_dance.bvh", 1007, "100", (1.4, 1.9)),
    ],
)
def test_real_captures_stand_on_their_feet_at_human_size(
    name: str, frames: int, rate: str, height: tuple[float, float]
) -> None:
    path = Path(__file__).resolve().parents[3].parent / "shared" / "rigs" / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    body = load(path)
    assert (len(body), str(body.rate)) == (frames, rate)
    assert height[0] < body.height < height[1]
    feet = [index for index, bone in enumerate(body.names) if "Toe" in bone]
    head = body.index("Head")
    assert (body.heads[:, head, 2] > body.heads[:, feet, 2].max(axis=1)).mean() > 0.99
    assert body.rest_heads[head, 2] > body.rest_heads[feet, 2].max() + 1
