"""Occlusion by rays through the scene's meshes, in real Blenders."""

import pytest

pytestmark = pytest.mark.blender


def test_what_stands_before_a_point_hides_it_and_nothing_else_does(inside) -> None:
    found = inside.run("rays")

    assert found["open"] > 0.9
    assert found["open face"] > 0.9
    assert found["notes"] == ["Dancer: its pose position is Rest, so it stands still"]

    # Hidden knees and ankles keep what a detector would guess of them.
    assert max(found["behind a screen"]) < 0.5
    assert min(found["behind a screen"]) > 0.3
    assert found["behind a wall"] == 0
    assert found["head over a wall"] > 0.3
    assert found["above the screen"] < 0.01
    assert found["only hands asked"] < 0.01
    for nothing in ("wire", "not rendered", "screen behind"):
        assert found[nothing] < 0.01, nothing
    assert max(found["orthographic"]) < 0.55

    assert found["shield before the face"] < 0.2
    assert found["shield, hand"] > 0.9

    assert found["far dancer"] < 0.75
    assert found["near dancer"] > 0.95

    assert max(found["from the left"]["far"]) < 0.7
    assert min(found["from the left"]["near"]) > 0.7
