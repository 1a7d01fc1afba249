"""The live preview in real Blenders."""

import shutil

import numpy as np
import pytest

from marionext.codec import decode
from marionext.jobs import LivePose
from marionext.posing import Poser
from marionext.reporting import Reporter

pytestmark = pytest.mark.blender

QUICK = 0.15
"""Seconds that a picture may lag behind; machines that test are busy, so the best counts."""


def test_the_character_follows_the_timeline_and_leaves_nothing_behind(inside, monkeypatch) -> None:
    found = inside.run("live")

    on, message, left = found["without character"]
    assert (on, message, left) == (False, "no picture of the character is chosen", [])
    assert found["on"] == [True, "", ["_frame_changed", "_updated"]]
    assert found["size"] == [128, 192]
    assert min(found["changes"]) > 30
    assert min(found["lags"]) < QUICK

    monkeypatch.setenv("MARIONEXT_HOME", str(inside.home))  # where the engine keeps its doll
    asked = decode(LivePose, found["asked"])
    drawn = Poser().draw(asked, Reporter("", lambda _event: None, lambda: False))
    shown = np.load(inside.folder / "shown.npy")
    assert np.abs(shown.astype(int) - drawn).max() <= 1

    # What the fit is measured on is what a render records.
    shape, error = found["recorded"]
    assert shape[:2] == [4, 1]
    assert error < 0.01
    assert found["idle"] == [0, 1, True], "nothing is asked, and nothing measured, without a change"
    assert found["after a bone"] == 1
    assert found["after a key"] == 4

    everybody, apart, same_scores, told, rests, message = found["edited"]
    assert everybody == [True, "", 0], "nobody is left to be drawn, and the preview stays on"
    assert apart < 0.02, "edited as a render edits it"
    assert same_scores
    assert told == [True, "edit 6: it is of person 2, who is not in the shot"]
    assert rests, "without edits the pose is the rig's again"
    assert message == ""

    assert found["images in the file"] == []
    assert found["after saving"] == [True, True]
    words, left = found["dead engine"]
    assert words == "The engine ended unexpectedly "
    assert left == []
    assert found["another file"] == [False, "", [], False]
    assert found["disabled"] == [[], False, False, []]


def test_in_a_window_blender_is_never_kept_and_undo_leaves_nothing(inside_window) -> None:
    if shutil.which("xvfb-run") is None:
        pytest.skip("no xvfb-run: a window needs a display")
    found = inside_window.run_in_window("live_window")

    assert found["shown in"] == found["shown after saving"] == "Marionext Live"
    # Without a graphics card Blender itself takes up to a second to draw its window once.
    assert min(found["lags"]) < QUICK + found["redraw"]
    aspect, error, left = found["in camera view"]
    assert abs(aspect - 128 / 192) < 0.05
    assert error < 0.03, "the picture itself, in its own colours"
    assert left == 0
    assert found["slowest"] < 0.1
    assert found["played"] >= 2, "pictures come while Blender plays"
    assert found["undone"] == [True, True, True]
    assert found["rest"] == [False, 0], "nothing is left to be saved, nothing is drawn"
    assert found["off"] == [False, [], [], True]
    assert found["redo after off"] == []
    # The draft of the shot, frame by frame.
    assert found["draft began"] == [["SEQUENCE", 4, 101]]
    assert found["frames seen"][0] < 4, "shown before all are there"
    assert found["draft ended"] == [4, "FINISHED"]
    assert found["draft file"] == "000104.png"
    assert found["status"] == 0
