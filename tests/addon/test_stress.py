"""Files come and go by timers while jobs are at work, in a real window: nothing crashes."""

import shutil

import pytest

pytestmark = pytest.mark.blender


def test_files_opened_left_and_undone_at_every_stage_crash_nothing(inside_window) -> None:
    if shutil.which("xvfb-run") is None:
        pytest.skip("no xvfb-run: a window needs a display")
    found = inside_window.run_in_window("stress")

    assert found["error"] == ""
    assert len(found["stages"]) == 5
    assert found["failed"] == ["FAILED", True]
    assert found["sidebar"]
    assert found["selected"]
    assert found["dismissed"] == ""
    assert found["status"] == 0, "Blender was quit with a render at work, and did not crash"
