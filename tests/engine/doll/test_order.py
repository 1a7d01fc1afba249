import numpy as np
import pytest

from marionext.doll import DollDrawer
from marionext.doll.anatomy import read_anatomy
from marionext.doll.order import decide


@pytest.fixture
def body(clip_of):
    clip = clip_of()
    return read_anatomy(clip.points[0, 0], clip.scores[0, 0])


def depths(**near):
    found = np.zeros(134, np.float32)
    numbers = {"right_arm": [2, 3, 4], "left_arm": [5, 6, 7], "right_leg": [8, 9, 10]}
    for name, value in near.items():
        found[numbers[name]] = value
    return found


def test_depth_says_which_arm_is_behind(body):
    stature = body.stature
    order = decide(body, depths(right_arm=-0.2 * stature, left_arm=0.2 * stature))
    assert order.behind == ("right",)
    assert order.before == ("left",)


def test_depth_says_which_leg_is_nearer(body):
    stature = body.stature
    assert decide(body, depths(right_leg=0.2 * stature)).legs[-1] == "right"
    assert decide(body, depths(right_leg=-0.2 * stature)).legs[-1] == "left"


def test_a_decision_holds_on_while_the_pose_trembles_at_the_border(body):
    stature = body.stature
    rng = np.random.default_rng(0)
    order, changes = None, 0
    for _ in range(200):
        noise = float(rng.normal(0, 0.003)) * stature
        # The border: an arm as far behind the neck as it may be and still count as before.
        following = decide(body, depths(right_arm=-0.03 * stature + noise), order)
        changes += order is not None and following != order
        order = following
    assert changes <= 1


def test_a_decision_changes_when_the_pose_clearly_does(body):
    stature = body.stature
    order = decide(body, depths(right_arm=0.2 * stature))
    assert "right" in order.before
    assert "right" in decide(body, depths(right_arm=-0.2 * stature), order).behind


def test_a_plan_is_as_long_as_the_track(clip_of, doll_of):
    clip = clip_of()
    plan = DollDrawer([doll_of()], clip.size).plan(clip.points, clip.scores)
    assert len(plan) == len(clip.points)
    assert all(len(orders) == 1 for orders in plan)
