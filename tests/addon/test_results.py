"""Frame for frame: what comes back into Blender, in a real one."""

import pytest

pytestmark = pytest.mark.blender


def test_every_scene_frame_shows_the_picture_that_was_made_of_it(inside_45) -> None:
    found = inside_45.run("results")
    every = list(range(101, 113))
    assert found["another rate later"] == [101, every]
    # At half the rate each picture holds for two frames, the last to the end of the range.
    assert found["half rate"] == [101, [101 + (frame - 101) // 2 for frame in every]]
    assert found["half rate, poses"] == found["half rate"]
    assert found["more than twice"] == [101, [101 + (frame - 101) * 5 // 2 for frame in every]]
    assert found["step"] == [101, [101 + (frame - 101) // 3 * 3 for frame in every]]
    assert found["unfinished"] == [101, [101 + (frame - 101) // 3 * 3 for frame in every[:9]]]

    assert found["backgrounds"] == {"Camera": ["CROP"], "Second": ["CROP"]}, "as it was rendered"

    wrong = [case for case in found["switched"] if case[1] != case[2]]
    assert not wrong
    assert {name for _, name, _ in found["switched"]} == {"Camera", "Second"}
