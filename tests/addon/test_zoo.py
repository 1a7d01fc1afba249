"""Scenes whose motion hangs on physics, tracking, scripts: recorded as Blender shows them."""

import pytest

pytestmark = pytest.mark.blender

CLOSE = 0.02
"""Pixels, of 768."""


def test_what_is_recorded_is_what_the_scene_shows(inside) -> None:
    found = inside.run("zoo")

    scenes = found["scenes"]
    assert len(scenes) >= 20
    wrong = {name: each for name, each in scenes.items() if each["off"] > CLOSE}
    assert not wrong
    assert all(each["moves"] > 10 for each in scenes.values())
    # What needs no more than the rig is played without moving what the animator sees.
    assert [name for name, each in scenes.items() if not each["own"]] == found["plain"]

    assert found["frames shown"] == [107, 101, 103]
    assert found["saved at"] == 107.5
    assert found["unkeyed"]
    assert "another file was opened" in found["another file"]
    assert found["its frame"] == 1
