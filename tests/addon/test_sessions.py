"""What becomes of jobs when files, settings and the add-on come and go, in a real Blender."""

import pytest

pytestmark = pytest.mark.blender


def test_jobs_belong_to_their_file_their_moment_and_their_scene(inside_45) -> None:
    found = inside_45.run("sessions")

    # A file that is left while its motion is recorded: said so, and never mixed with another's.
    assert found["recording"] == "RECORDING"
    for state, message, hint in found["left"]:
        assert state == "FAILED"
        assert "closed while its motion was recorded" in message
        assert "Retry" in hint
    assert "Open one.blend and press Retry there." in found["elsewhere"]
    assert found["no job"]
    assert found["left scenes"] == ["Scene"]
    assert found["own file"] > 0

    # What was pressed counts, not what the settings are when a job's turn comes.
    assert found["seeds"] == [5, 5]
    assert found["counts"] == found["recorded"] == [4, 4]
    assert found["rendered"] == [["FINISHED", 4], ["FINISHED", 4]]

    whole, half, maps = found["again"]
    assert whole == ["RENDER", "Scene", "FINISHED", 4, 4]
    # Its record is gone, and the number of its engine is that of a stranger, who is left alone.
    assert half == ["RENDER", "Scene", "CANCELLED", 0, 4]
    assert maps == ["POSE_MAPS", "Scene", "CANCELLED", 3, 4]
    assert found["all"] == 3, "the other scene made none of them"
    assert found["stranger alive"]
    assert len(found["of the other file"]) == 1

    state, message, hint, count = found["damaged"]
    assert (state, count) == ("FAILED", 3), "the others are listed as before"
    assert "not the record of a render" in message
    assert "Delete it to start over." in hint
    state, message, _, count = found["newer"]
    assert (state, count) == ("FAILED", 3)
    assert "expected a record of version" in message
    assert "got 99" in message

    assert found["after enabling"] == []
