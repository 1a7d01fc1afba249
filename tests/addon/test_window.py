"""A real window, in which Blender's own timers drive the queue."""

import shutil

import pytest

pytestmark = pytest.mark.blender


def test_a_render_survives_undo_and_saving_and_is_shown_in_its_frame(inside_window) -> None:
    if shutil.which("xvfb-run") is None:
        pytest.skip("no xvfb-run: a window needs a display")
    found = inside_window.run_in_window("window")
    assert found["operator"] == ["FINISHED"]
    assert found["state at once"] == "RECORDING"
    assert found["undone"]
    assert found["jobs after undo"] in (["QUEUED"], ["RUNNING"])
    assert found["scenes"] == ["Scene"], "no temporary scene is saved"
    assert found["ended"][0][0] == "FINISHED"
    assert (found["progress"], found["preview"]) == (1.0, True)
    assert found["image"][:2] == ["SEQUENCE", [128, 192]]
    assert found["image file"] == "000103.png"
    assert found["background"] == ["FINISHED"]
    # One undo takes back what was shown, and not the animator's own last step.
    assert found["undone showing"] == [0.75, []]
    assert found["overlay after undo"] == [True, True, False, False]
    # Quitting is what ends Blender here: neither timers nor the engine keep it.
    assert found["status"] == 0
