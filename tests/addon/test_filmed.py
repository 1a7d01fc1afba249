"""A video or a pose track as the motion of a shot, in real Blenders."""

import pytest

pytestmark = pytest.mark.blender


@pytest.mark.parametrize("series", ["4.2", "5.2"])
def test_the_poses_of_a_file_lie_at_the_scenes_frames(new_inside, series) -> None:
    found = new_inside(series).run("filmed")

    assert "no motion is chosen" in found["nothing chosen"]
    assert "were not read yet" in found["not read"]
    assert "the motion is not there" in found["gone"]
    assert "broken.mp4" in found["broken"]
    assert found["read"]
    assert "dance.npz were not read yet" in found["another file"]
    assert found["frames of the other"] == 9

    # Its first frame lies at frame 99; between two frames the last one is shown, as players do.
    assert found["noses"][1:5] == [10, 12, 12, 29]
    assert found["there"] == [False, True, True, True, True, False]
    assert found["last"] == 118
    assert found["twice the rate"] == [10, 10, 11, 11]
    # 200 by 100 becomes 100 by 50 in the middle of 100 by 200.
    assert found["letter-boxed"] == [5, 85]
    assert found["on the picture"] == pytest.approx([0.25, 0.25], abs=1e-4)

    (first, second, moved), changed, message = found["live"]
    assert first == second == 0
    assert moved == pytest.approx(128 / 200, abs=1e-3), "a frame later, letter-boxed"
    assert changed > 0.1
    assert message == ""

    assert found["made"] == ["FINISHED", 4, 101]
    assert found["written"] == [4, 101, [128, 192]]
    assert any("in 32 of 50 frames" in text for text in found["beyond the end"])
    words = "The animation of dance.npz lasts from 99 to 118, the range from 101 to 150."
    assert words in found["beyond the end"]
    assert found["every fourth"][0] == words
    assert any("in 8 of 13 frames, first at 121" in text for text in found["every fourth"])
