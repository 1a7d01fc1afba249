from collections.abc import Callable

import numpy as np
import pytest

from marionext.motion.animation import JointAnimation
from marionext.motion.figure import Figure
from marionext.motion.hands import REST_HAND
from marionext.motion.rigs import map_rig
from marionext.pose.skeleton import HAND_NAMES, LEFT_HAND, RIGHT_HAND

Person = Callable[..., JointAnimation]
About = Callable[[np.ndarray, float], np.ndarray]
POINT = {name: index for index, name in enumerate(HAND_NAMES)}
FORWARD = np.array([0.0, -1.0, 0.0])


def _hand(animation: JointAnimation, part: slice = LEFT_HAND, frame: int = 0) -> np.ndarray:
    return Figure.prepare(animation, map_rig(animation)).place(animation)[frame, part]


def test_joints_of_the_fingers_are_the_heads_of_their_bones(person: Person) -> None:
    animation = person()
    hand = _hand(animation)
    for name, bone in (("wrist", "LeftHand"), ("thumb_1", "LeftHandThumb1"),
                       ("index_2", "LeftHandIndex2"), ("pinky_3", "LeftHandPinky3")):  # fmt: skip
        np.testing.assert_allclose(hand[POINT[name]], animation.heads[0, animation.index(bone)])
    tip = animation.tails[0, animation.index("LeftHandMiddle3")]
    np.testing.assert_allclose(hand[POINT["middle_4"]], tip, atol=1e-12)


def test_a_curled_finger_takes_its_tip_along(person: Person, about: About) -> None:
    curl = about(np.array([0.0, 1.0, 0.0]), 80)
    animation = person([{}, {"LeftHandIndex1": curl}])
    figure = Figure.prepare(animation, map_rig(animation))
    open_, closed = figure.place(animation)[:, LEFT_HAND]
    assert closed[POINT["index_4"], 2] < open_[POINT["index_4"], 2] - 0.05
    np.testing.assert_allclose(closed[POINT["ring_4"]], open_[POINT["ring_4"]], atol=1e-12)


def test_a_rig_without_fingers_gets_a_hand_at_rest_the_right_way_round(person: Person) -> None:
    animation = person(fingers=False)
    for part, out in ((LEFT_HAND, 1.0), (RIGHT_HAND, -1.0)):
        hand = _hand(animation, part)
        wrist, middle = hand[0], hand[POINT["middle_4"]]
        assert out * (middle - wrist)[0] == pytest.approx(0.95 * 0.74 * 0.25, rel=0.05)
        assert (hand[POINT["thumb_4"]] - wrist) @ FORWARD > 0.02, "thumbs point forward"
        assert (hand[POINT["pinky_1"]] - wrist) @ FORWARD < 0
        assert (hand[1:, 2] < wrist[2] + 0.005).all(), "fingers curl down, palms face the floor"


def test_a_hanging_arm_has_its_palm_towards_the_thigh(person: Person, about: About) -> None:
    down = {
        "LeftArm": about(np.array([0.0, 1.0, 0.0]), 85),
        "RightArm": about(np.array([0.0, 1.0, 0.0]), -85),
    }
    animation = person([down], fingers=False)
    for part, inward in ((LEFT_HAND, -1.0), (RIGHT_HAND, 1.0)):
        hand = _hand(animation, part)
        assert hand[POINT["middle_4"], 2] < hand[0, 2] - 0.1
        assert inward * (hand[POINT["middle_4"], 0] - hand[POINT["middle_1"], 0]) > 0
        assert (hand[POINT["thumb_4"]] - hand[0]) @ FORWARD > 0.02


def test_left_and_right_hands_at_rest_mirror_each_other(person: Person) -> None:
    animation = person(fingers=False)
    left, right = _hand(animation, LEFT_HAND), _hand(animation, RIGHT_HAND)
    np.testing.assert_allclose(left * [-1.0, 1.0, 1.0], right, atol=1e-9)


def test_stubs_of_one_bone_do_not_spoil_the_hand_at_rest(person: Person) -> None:
    stubs = [("LeftHandThumb1", "LeftHand", (0.69, 0.0, 1.44)),
             ("LeftHandIndex1", "LeftHand", (0.69, 0.0, 1.44))]  # fmt: skip
    with_stubs = _hand(person(fingers=False, extra=stubs))
    np.testing.assert_allclose(with_stubs, _hand(person(fingers=False)), atol=1e-9)


def test_two_bones_make_a_cartoon_finger_of_four_points(person: Person) -> None:
    animation = person()
    mapping = map_rig(animation, overrides={"left_index_3": None, "left_index_tip": None})
    hand = Figure.prepare(animation, mapping).place(animation)[0, LEFT_HAND]
    joints = hand[[POINT[f"index_{joint}"] for joint in range(1, 5)]]
    assert (np.diff(joints[:, 0]) > 0.005).all()
    np.testing.assert_allclose(joints[2], (joints[1] + joints[3]) / 2)


def test_a_thumb_without_its_first_joint_starts_between_wrist_and_knuckle(person: Person) -> None:
    animation = person()
    mapping = map_rig(animation, overrides={"left_thumb_1": None})
    hand = Figure.prepare(animation, mapping).place(animation)[0, LEFT_HAND]
    wrist, start, knuckle = hand[0], hand[1], hand[2]
    assert np.linalg.norm(start - wrist) < np.linalg.norm(knuckle - wrist)
    assert np.linalg.norm(start - animation.heads[0, animation.index("LeftHandThumb1")]) < 0.02


def test_the_hand_at_rest_has_hand_like_proportions() -> None:
    lengths = [np.linalg.norm(REST_HAND[4 * f + 4] - REST_HAND[4 * f + 1]) for f in range(5)]
    assert max(lengths[1:]) == lengths[2], "the middle finger is the longest"
    assert lengths[4] == min(lengths[1:]), "the little finger is the shortest"
    assert np.linalg.norm(REST_HAND[9]) == pytest.approx(0.5, abs=0.02)
