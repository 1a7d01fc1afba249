"""Renders are found again with their scene, and with no other; what the list says and does."""

import re

import pytest

pytestmark = pytest.mark.blender


@pytest.mark.parametrize("series", ["4.2", "5.2"])
def test_renders_belong_to_their_scene_whatever_its_file_is_called(new_inside, series) -> None:
    found = new_inside(series).run("belonging")

    assert found["a new file"] == []
    assert found["saved as"] == ["before saving", "saved"]
    assert found["opened again"] == ["before saving", "saved"]
    assert found["newest"] == "saved"
    assert found["copied scene"] == [True, False]
    assert (found["opened b"], found["opened c"]) == (["of b"], ["of c"])

    about = r"\d{4}-\d\d-\d\d \d\d:\d\d   101-102   128 × 192   doll"
    assert re.fullmatch(about, found["about"])
    assert found["video"] == ".mp4"

    # What somebody else has put there stays, with what is around it.
    assert "notes of mine.txt" in found["left"]
    assert "character.psd" in found["left"]
    assert "frames/notes.json" in found["left"]
    ours = (".mp4", ".npz", "job.json", "shot.json", "render.json", "character.png")
    assert not any(name.endswith(ours) for name in found["left"])
    assert "of c" not in found["list after"]
    assert not found["nothing left"]

    assert found["again"][:2] == ["FINISHED", 1]
    assert found["changed"] == [False, True]
    assert found["brought back"] == ["FINISHED", True]
    assert "no frames from 500 to 510" in found["no such frames"]
    assert found["cancelled"] == ["CANCELLED", [True], ["FINISHED"]]
    assert found["after all"] == ["FINISHED", 2]
    assert "the folder is gone" in found["moved"]
    assert found["deleted"] == ["FINISHED"]

    words, listed = found["larger by another factor"]
    assert "expected 2 times for the model Upscaler, got 3" in words
    assert listed == ["small"]
    state, message, name, told = found["larger"]
    assert (state, name) == ("FINISHED", "small \u00d7 3"), message
    assert told == ["101-102", "384 \u00d7 576", "lanczos \u00d7 3"]
    assert found["larger files"] == ["000101.png", "000102.png"]
    assert found["larger video"]
    assert found["larger again"] == [["small", "small \u00d7 3"], "FINISHED", True]
    assert found["larger image"] == [384, 576]
    assert found["larger shown"] == "frames/000101.png"
    assert "holds no frames of a render" in found["larger refused"][0]
    assert "it has no takes" in found["larger refused"][1]
    assert found["larger cut"] == "CANCELLED"
    assert found["larger retried"] == ["FINISHED", True]
    assert found["larger left"] == [False, True]

    assert found["strip folder"].startswith("//")
    assert found["image path"].startswith("//")
    assert found["colours AgX"] < 0.012
    assert found["colours Standard"] < 0.004
