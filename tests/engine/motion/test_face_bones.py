"""Face rigs made of bones move the points beside them."""

from collections.abc import Callable

import numpy as np
import pytest

from marionext.motion.animation import JointAnimation
from marionext.motion.face_bones import carriers, named_face_bones
from marionext.motion.figure import Figure
from marionext.motion.rigs import map_rig
from marionext.pose.skeleton import FACE

Person = Callable[..., JointAnimation]
UPPER, LOWER, CORNERS = (50, 51, 52, 61, 62, 63), (56, 57, 58, 65, 66, 67), (48, 54)


def lips() -> list[tuple[str, str, tuple[float, float, float]]]:
    """Lips about the template's mouth; the lower one hangs from the chin."""
    found = [("Chin", "Head", (0.0, -0.02, 1.60))]
    for side, x in (("L", 0.015), ("R", -0.015)):
        found += [
            (f"lip.T.{side}", "Head", (x, -0.122, 1.588)),
            (f"lip.B.{side}", "Chin", (x, -0.120, 1.568)),
        ]
    return found


def face_of(animation: JointAnimation) -> np.ndarray:
    return Figure.prepare(animation, map_rig(animation)).place(animation)[:, FACE]


def test_a_lower_lip_goes_down_with_its_bones(
    person: Person, about: Callable[[np.ndarray, float], np.ndarray]
) -> None:
    down = about(np.array([1.0, 0.0, 0.0]), 12.0)
    moves = np.ptp(face_of(person([{}, {"Chin": down}], extra=lips()))[..., 2], axis=0)

    assert moves[list(LOWER)].min() > 0.01
    assert moves[list(UPPER)].max() < 1e-9
    # What has no bone of its own keeps to the head.
    assert moves[27:48].max() < 1e-9


def test_turning_the_head_turns_points_with_bones_like_those_without(
    person: Person, about: Callable[[np.ndarray, float], np.ndarray]
) -> None:
    turn = about(np.array([0.0, 0.0, 1.0]), 40.0)
    with_bones = face_of(person([{"Head": turn}], extra=lips()))
    without = face_of(person([{"Head": turn}]))
    np.testing.assert_allclose(with_bones, without, atol=1e-9)


def test_two_bones_are_no_mouth(person: Person) -> None:
    animation = person(extra=lips()[:2])
    figure = Figure.prepare(animation, map_rig(animation))
    assert (figure.face_bones == -1).all()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DEF-lip.T.L.001", ("mouth", "high")),
        ("lLipLowerOuter", ("mouth", "low")),
        ("FACIAL_L_LipUpper1", ("mouth", "high")),
        ("CC_Base_R_Eyelid_Upper", ("lid", "high")),
        ("brow.T.R.002", ("brow", "")),
        ("Collider_L", None),
        ("DEF-thigh.L", None),
        ("Slide", None),
    ],
)
def test_names_tell_what_a_bone_moves(name: str, kind: tuple[str, str] | None) -> None:
    assert named_face_bones([name]).get(0) == kind


def test_controls_move_no_skin() -> None:
    names = ["DEF-lip.T.L", "ORG-lip.T.L", "lip.T.L", "MCH-lip.T.L"]
    assert list(named_face_bones(names)) == [0]
    assert list(named_face_bones(["c_lips_top.l", "lips_top.l"])) == [1]


def test_bones_far_from_the_face_carry_nothing() -> None:
    names = [f"lip.{half}.{number}" for half in "TB" for number in range(3)]
    heads = np.zeros((6, 3))
    places = np.tile([0.0, 0.0, 1.6], (68, 1))
    bones, _ = carriers(names, heads, heads + 0.01, places, 0.2)
    assert (bones == -1).all()
