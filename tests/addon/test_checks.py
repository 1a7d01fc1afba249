"""What Blender's sidebar tells before a render, and how it comes by models."""

import re
from pathlib import Path

import pytest
from tests.engine.backends.pictures import tiny

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module", params=["4.2", "5.2"])
def found(request: pytest.FixtureRequest, new_inside, tmp_path_factory):
    base = tiny.MAKERS["sd15"](tmp_path_factory.mktemp("bases") / "sd15")
    return new_inside(request.param).run("checks", options={"base": str(base)})


def test_a_shot_that_would_show_nothing_of_use_is_told_beforehand(found) -> None:
    assert found["as made"] == []
    assert found["too long"] == [
        ["The animation of Rig lasts from 101 to 112, the range from 101 to 200.", False]
    ]
    assert found["elsewhere"] == [["Rig is outside the picture in all frames.", True]]
    words = [text for text, _ in found["walks out"]]
    assert any(text.startswith("Rig is outside the picture in ") for text in words)
    assert not any(pointless for _, pointless in found["walks out"])
    assert found["still"] == [["Rig does not move in these frames", True]]
    assert found["far, scaled"] == []
    assert found["very far, scaled"] == [], "it is scaled up, and so is what moves"
    ((text, pointless),) = found["far, as it is"]
    assert text.startswith("Rig is tiny: ")
    assert not pointless
    assert found["rig of another scene"] == [], "it moves as it does there"
    assert found["edited away"] == [["Rig is hidden in all frames.", True]]
    assert found["edited out"] == [
        ["Rig is outside the picture in 3 of 12 frames, first at 101.", False]
    ]
    assert found["behind a wall"] == [["Rig is hidden in all frames.", True]]
    # All frames are looked at once they are recorded.
    assert "Rig is hidden in all frames." in found["in the job's notes"]


def test_edits_that_change_nothing_or_nobody_are_told_beforehand(found) -> None:
    words = "Edit 1 changes nothing: it is of other frames than the range, 101 to 112."
    assert found["edit of other frames"] == [[words, False]]
    assert words in found["edit in the job's notes"]
    assert "edit 1: it is of person 2, who is not in the shot" in found["edit of nobody"]
    assert found["edit of somebody"] == ""
    assert found["the second alone"] == "", "people are counted as the panel lists them"
    assert found["people left"] == [1, 0], "who was deleted is not recorded"
    assert found["looked at nobody"].startswith("no armature is chosen")
    assert found["looked again"], "a deletion that was undone"


def test_the_engine_tells_what_a_render_takes(found) -> None:
    assert found["estimate"].startswith("12 frames: about ")
    assert " MiB of " in found["estimate"]
    assert found["current"]
    assert not found["current after a change"]


def test_a_camera_frames_everybody_in_the_whole_range(found) -> None:
    assert found["no camera"]
    for name in (
        "added",
        "added, tiny",
        "framed side",
        "framed shift",
        "framed ortho",
        "framed long",
    ):
        low, high = found[name]
        assert 0.03 < low < 0.35, name
        assert 0.65 < high < 0.97, name
    assert found["in front"] == [True, True]
    assert "decide where it stands" in found["animated"]
    assert "has no size" in found["cannot, 1"]
    assert "is scaled to nothing" in found["cannot, 0"]
    added, moved = found["unchanged"]
    assert added
    assert moved < 1e-5
    assert found["left behind"] == []


def test_models_are_listed_checked_and_fetched_with_their_licence(found) -> None:
    assert found["models"]["doll"][:2] == ["ready", True]
    assert found["models"]["svd"] == ["not here", False, "8.4 GiB"]
    assert "mediapipe" in found["models"]
    assert "Stability AI" in found["licence"]
    assert not found["offline"]
    assert "the licence was not accepted" in found["not accepted"]
    assert found["from an empty folder"]
    assert found["row of a failure"] == [False, True, True]
    assert found["checked"] == [False, False, "Every file is what it should be."]


def test_a_problem_is_reported_without_names_and_places(found) -> None:
    assert "nobody.png" in found["the problem"]
    report = found["report"]
    for part in ("Marionext 0.", "Blender ", "nobody.png", "model=puppet", "Python "):
        assert part in report, part
    assert "'Classified' is in Edit Mode" in found["another problem"]
    assert "'RIG' is in Edit Mode" in report
    for secret in ("Secret Hero", "Unannounced", "Classified", "client", "hush", str(Path.home())):
        assert secret not in report, secret
    assert found["own text"] == ["mine", 2], "a text of the user's stays as it is"
    path, manual = found["manual"]
    assert "<h1" in manual
    for picture in re.findall(r'src="([^"]+)"', manual):
        assert (Path(path).parent / picture).is_file()
    assert found["website"] == ["", False], "an address is shown once there is one"


def test_a_character_is_made_from_words(found) -> None:
    assert "there are no words" in found["no words"]
    assert "is not on this computer" in found["no model"]
    assert found["character"] == [True, "IMAGE"]
    assert found["usual model"] == "figurine"
    assert found["in this pose"] == [True, True]
    assert "camera" in found["no camera to pose for"]
    assert found["left of that"] == []
    assert "status" not in found["no such base"]
    assert len(found["no such base"]) > 20
    assert found["queue"] == "The queue is empty."
