"""Scenes that could mislead the recording, in real Blenders."""

import pytest

pytestmark = pytest.mark.blender


def test_what_is_recorded_is_what_the_animator_means(inside) -> None:
    found = inside.run("scenes")

    # A script that runs at every frame may move the rig: it is played in the user's own scene.
    assert found["heard"] == [["Scene", 101], ["Scene", 106], ["Scene", 112]]
    assert "recorded in the scene itself" in found["heard, notes"][0]
    assert "is in Edit Mode" in found["edit mode"]
    assert "went into Edit Mode" in found["edit mode meanwhile"]
    assert found["reframed"] < 0.01
    assert found["blink"] > 1
    assert found["muted"] < 0.01

    assert found["preset elsewhere"]
    assert "Choose another name, or Replace." in found["saved twice"]
    assert found["replaced"] == ["FINISHED"]

    assert found["box"] < 0.6 * found["free"]
    assert found["instance"] == pytest.approx(found["box"], abs=0.02)
    hidden, notes = found["disabled"]
    assert hidden == pytest.approx(found["free"], abs=0.02)
    assert any("Box: disabled in viewports" in note for note in notes)

    assert "disabled in viewports" in found["overlay of a disabled rig"]
    assert found["overlay"] == ""
    state, hint = found["noted"]
    assert state == "FINISHED"
    assert "its pose position is Rest" in hint

    assert found["farm"] == 0
    assert found["farm files"] == ["-00001.png", "-00004.png"]
    assert found["farm refuses"] != 0

    # A rig in a mirror: a person still, whose left is on the other side.
    assert found["mirrored points"] > 100
    assert found["mirrored"] < 0.05
    assert found["mirrored scores"] < 0.001

    assert "no camera is chosen" in found["no chosen camera"]
    assert "no armature is chosen" in found["deleted rig"]
