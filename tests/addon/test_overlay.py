"""The live overlay in real Blenders, without a window: what it would draw, and when."""

import pytest

pytestmark = pytest.mark.blender


def test_the_overlay_shows_what_will_be_rendered(inside) -> None:
    found = inside.run("overlay")

    assert found["switched"] == [False, True, True, False, True]
    assert found["nobody"] == "no armature is chosen"
    cases = [*found["agrees"].values(), found["agrees letterboxed"], found["agrees mended"]]
    for points, scores in cases:
        # The person's size is measured in the first frame that is looked at; Rigify stretches.
        assert points < 0.1
        assert scores < 0.001
    assert found["by hand"] == "HAND"
    assert found["busy"] == [True, False]
    assert found["steps"] > 3
    points, scores = found["agrees with rays"]
    assert points < 0.01
    assert scores < 0.001
    assert found["rays change"] > 0
    assert found["opened"] == [True, False, True, False]


def test_the_overlay_is_on_the_screen_and_undo_does_recording_no_harm(inside_window) -> None:
    found = inside_window.run_in_window("viewport")

    for perspective in ("CAMERA", "PERSP"):
        without, with_it, changed = found[perspective]
        assert without < 50, perspective
        assert with_it > without + 300, perspective
        assert changed > 1000, perspective
    assert found["overlays off"] < 50
    during, *after = found["scenes"]
    assert during == 2
    assert after[-1] == 1
    assert found["same after undo"] < 0.001
    assert found["left"] == []
