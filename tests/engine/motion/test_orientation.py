"""Which way is up: whatever the axes of a file, people stand, lie, crawl and do handstands."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.motion import JointAnimation, load, load_all, map_rig, write_animation, write_bvh
from marionext.motion.orientation import TURNS, Up, turned

Floats = NDArray[np.float64]
Person = Callable[..., JointAnimation]
About = Callable[[Floats, float], Floats]
UPS = get_args(Up)
SIDEWAYS, AHEAD, UPRIGHT = np.eye(3)
UPRIGHT_BODY = np.eye(3)
FRAMES = 12


def write_with(up: Up, animation: JointAnimation, path: Path, *, rest: Up | None = None) -> Path:
    """Write a BVH whose up axis is another; ``rest``: the one of its pose at rest."""
    file = turned(animation, TURNS["y"] @ TURNS[up].T)
    if rest is not None:
        still = turned(animation, TURNS["y"] @ TURNS[rest].T)
        turn = TURNS["y"] @ TURNS[up].T
        file = still.with_(
            heads=animation.heads @ turn.T,
            tails=animation.tails @ turn.T,
            rotations=turn @ animation.rotations @ still.rest_rotations,
        )
    write_bvh(file, path, digits=9)
    return path


def arms(about: About, degrees: float, hips: Floats = UPRIGHT_BODY) -> dict[str, Floats]:
    """Turn the arms of a T-pose down (90) or up (-90) beside a body whose hips are turned."""
    return {
        "LeftArm": hips @ about(AHEAD, degrees) @ hips.T,
        "RightArm": hips @ about(AHEAD, -degrees) @ hips.T,
    }


def motion_of(kind: str, person: Person, about: About) -> JointAnimation:
    """Make a clip of a kind of motion, with the hips where the floor wants them."""
    sway = [8 * np.sin(frame) for frame in range(FRAMES)]
    down = arms(about, 80)
    if kind == "stands":
        return person([{**down, "Spine": about(UPRIGHT, turn)} for turn in sway])
    if kind == "walks":
        legs = [
            {
                **down,
                "LeftUpLeg": about(SIDEWAYS, 3 * turn),
                "RightUpLeg": about(SIDEWAYS, -3 * turn),
            }
            for turn in sway
        ]
        clip = person(legs)
        ways = np.linspace([0, 0, 0], [0.5, -6, 0], FRAMES)[:, None]
        return clip.with_(heads=clip.heads + ways, tails=clip.tails + ways)
    turns: list[dict[str, Floats]] = []
    for turn in sway:
        if kind == "lies":
            hips = about(SIDEWAYS, 88 + turn / 4)
            turns.append({**arms(about, 80, hips), "Hips": hips})
        elif kind == "lies on the back":
            turns.append({"Hips": about(SIDEWAYS, -90)})
        elif kind == "crawls":
            moves = {
                "Hips": about(SIDEWAYS, 80 + turn / 4),
                "LeftArm": about(AHEAD, 85),
                "RightArm": about(AHEAD, -85),
                "LeftUpLeg": about(SIDEWAYS, -80 + turn),
                "RightUpLeg": about(SIDEWAYS, -80 - turn),
                "LeftLeg": about(SIDEWAYS, 90),
                "RightLeg": about(SIDEWAYS, 90),
            }
            turns.append(moves)
        else:
            assert kind == "does a handstand"
            hips = about(SIDEWAYS, 180 + turn / 2)
            turns.append({**arms(about, -85, hips), "Hips": hips})
    height = {"lies": -0.8, "lies on the back": -0.84, "crawls": -0.48, "does a handstand": 0.1}
    return person(turns, at=(0.3, 0.2, height[kind]))


KINDS = ("stands", "walks", "lies", "lies on the back", "crawls", "does a handstand")


@pytest.mark.parametrize("up", UPS)
@pytest.mark.parametrize("kind", KINDS)
def test_everybody_is_as_they_were_whatever_the_files_axes(
    tmp_path: Path, person: Person, about: About, kind: str, up: Up
) -> None:
    clip = motion_of(kind, person, about)
    back = load(write_with(up, clip, tmp_path / "clip.bvh"))
    order = [back.names.index(name) for name in clip.names]
    np.testing.assert_allclose(back.heads[:, order], clip.heads, atol=1e-4)
    np.testing.assert_allclose(back.turns[:, order], clip.turns, atol=1e-4)
    np.testing.assert_allclose(back.rest_heads[order], clip.rest_heads, atol=1e-4)
    assert any(note.startswith(f"{up} is up, by") for note in back.notes)


@pytest.mark.parametrize("up", UPS)
def test_an_axis_that_is_given_is_taken(
    tmp_path: Path, person: Person, about: About, up: Up
) -> None:
    clip = motion_of("walks", person, about)
    path = write_with(up, clip, tmp_path / "clip.bvh")
    np.testing.assert_allclose(load(path, up=up).heads[0, 0], clip.heads[0, 0], atol=1e-4)
    other: Up = "z" if up != "z" else "y"
    stood = load(path, up=other)
    expected = TURNS[other] @ TURNS[up].T @ clip.heads[0, 0]
    np.testing.assert_allclose(stood.heads[0, 0], expected, atol=1e-4)
    assert f"{other} is up, as --up says" in stood.notes


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    up=st.sampled_from(UPS),
    kind=st.sampled_from(KINDS),
    yaw=st.floats(-180, 180),
    place=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
)
def test_where_somebody_is_and_looks_does_not_matter(
    tmp_path: Path,
    person: Person,
    about: About,
    up: Up,
    kind: str,
    yaw: float,
    place: tuple[float, float],
) -> None:
    clip = motion_of(kind, person, about)
    turn = about(UPRIGHT, yaw)
    moved = clip.with_(
        heads=clip.heads @ turn.T + [*place, 0],
        tails=clip.tails @ turn.T + [*place, 0],
        rotations=turn @ clip.rotations,
    )
    back = load(write_with(up, moved, tmp_path / "clip.bvh"))
    np.testing.assert_allclose(back.heads[:, 0], moved.heads[:, 0], atol=1e-4)


@pytest.mark.parametrize("kind", ["stands", "walks"])
def test_motions_of_smpl_stand_though_their_rest_has_another_axis(
    tmp_path: Path, person: Person, about: About, kind: str
) -> None:
    clip = motion_of(kind, person, about)
    back = load(write_with("z", clip, tmp_path / "amass.bvh", rest="y"))
    order = [back.names.index(name) for name in clip.names]
    np.testing.assert_allclose(back.heads[:, order], clip.heads, atol=1e-4)
    np.testing.assert_allclose(back.rest_heads[order], clip.rest_heads, atol=1e-4)


def test_a_camera_that_looks_along_y_down_does_not_hang_people_by_their_feet(
    tmp_path: Path, person: Person, about: About
) -> None:
    # Bodies recovered from video: at rest y is up, in the camera's axes y goes down.
    clip = motion_of("stands", person, about)
    away = np.array([0.0, 5.0, -0.9])
    clip = clip.with_(heads=clip.heads + away, tails=clip.tails + away)
    back = load(write_with("-y", clip, tmp_path / "hmr.bvh", rest="y"))
    head = back.heads[:, back.index("Head")] - back.heads[:, back.index("Hips")]
    assert (head[:, 2] > 0.5).all()


def test_who_lies_beside_somebody_who_stands_keeps_lying(
    tmp_path: Path, person: Person, about: About
) -> None:
    stands = write_with("y", motion_of("stands", person, about), tmp_path / "one.bvh").read_text()
    lies = write_with("y", motion_of("lies", person, about), tmp_path / "two.bvh").read_text()
    (first, rows), (second, more) = (text.split("MOTION\n") for text in (stands, lies))
    both = [f"{a} {b}" for a, b in zip(rows.splitlines()[2:], more.splitlines()[2:], strict=True)]
    head = [*rows.splitlines()[:2], *both]
    text = first + second.removeprefix("HIERARCHY\n") + "MOTION\n" + "\n".join(head)
    (tmp_path / "both.bvh").write_text(text)
    one, two = load_all(tmp_path / "both.bvh")
    assert np.ptp(one.heads[0, :, 2]) > 1.5
    assert np.ptp(two.heads[0, :, 2]) < 0.5


def test_a_motion_that_lies_says_how_to_stand_it_up(
    tmp_path: Path, person: Person, about: About
) -> None:
    path = write_with("y", motion_of("lies", person, about), tmp_path / "lies.bvh")
    note = next(note for note in load(path).notes if " is up" in note)
    assert note == (
        "y is up, by the pose at rest and the floor; the body lies along z: "
        "if it should stand, give --up z"
    )


def test_a_rig_without_telling_names_is_stood_up_by_its_shape(
    tmp_path: Path, person: Person, about: About
) -> None:
    clip = motion_of("walks", person, about)
    nameless = clip.with_(names=tuple(f"Bone.{n:03}" for n in range(len(clip.names))))
    back = load(write_with("z", nameless, tmp_path / "nameless.bvh"))
    np.testing.assert_allclose(back.heads[0, 0], clip.heads[0, 0], atol=1e-4)


def test_without_a_head_bone_the_head_stands_on_the_necks_end(
    tmp_path: Path, person: Person, about: About
) -> None:
    clip = motion_of("stands", person, about)
    kept = [n for n, name in enumerate(clip.names) if not name.startswith("Head")]
    names = [clip.names[n] for n in kept]
    headless = clip.with_(
        names=tuple(names),
        parents=np.array([kept.index(p) if p >= 0 else -1 for p in clip.parents[kept]]),
        **{name: getattr(clip, name)[:, kept] for name in ("heads", "tails", "rotations")},
        rest_heads=clip.rest_heads[kept],
        rest_tails=clip.rest_tails[kept],
        rest_rotations=clip.rest_rotations[kept],
    )
    back = load(write_with("z", headless, tmp_path / "headless.bvh"))
    mapping = map_rig(back)
    assert mapping.bones["head"] == mapping.bones["neck"] == "Neck"
    assert "head" in mapping.guessed
    assert "face on the neck's end" in mapping.coverage


def test_what_blender_recorded_can_be_turned(tmp_path: Path, person: Person, about: About) -> None:
    clip = motion_of("stands", person, about)
    path = tmp_path / "recorded.npz"
    write_animation(turned(clip, TURNS["y"].T), path)
    np.testing.assert_allclose(load(path, up="y").heads, clip.heads, atol=1e-9)
    with pytest.raises(MotionError, match="holds one clip"):
        load(path, up="y", clip="other")
