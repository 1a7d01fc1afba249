"""Recording the evaluated skeleton in real Blenders: exact, and without a trace."""

import pytest

pytestmark = pytest.mark.blender

CLOSE = 0.01
"""Pixels."""


def test_a_rigify_human_is_recorded_exactly_and_without_a_trace(inside) -> None:
    found = inside.run("recording")

    assert (found["convention"], found["body"], found["hands"]) == ("Rigify", 18, 42)
    off = {
        key: value
        for key, value in found.items()
        if key.startswith(("camera ", "rig ", "moving ")) and isinstance(value, float)
    }
    assert len(off) == 5 * 3 * 2 + 5 + 1
    assert max(off.values()) < CLOSE, off
    assert found["parallel"] == [False, False, False, True, True, False]
    assert found["rest stands up"] > 0.9
    assert found["same stature"] < 0.05

    # The user's scene, frame, selection and data are as they were.
    traces = {key for key in found if key.startswith("untouched") and not found[key]}
    assert not traces
    assert found["frame while recording"] == [117.25]
    assert found["progress"] == [[0, 12], [1, 12], [12, 12]]
    assert found["pieces agree"]
    assert found["goes on after a sweep"]
    assert "'Dancer' went away while the motion was recorded" in found["error"]
    assert found["saved scenes"] == ["Scene"]

    assert found["track"] == [101, "60", 20]
    assert found["animation"] == [101, "60"]
    assert found["written"]
    assert found["rig file"] == ["Dancer", True, 20]
    assert found["same from the rig file"] < CLOSE
