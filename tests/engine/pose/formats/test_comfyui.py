import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marionext.errors import MotionError
from marionext.pose.formats import read_comfyui, write_comfyui

quick = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(data=st.data())
def test_what_was_written_is_read_again(data, random_tracks, assert_same, tmp_path):
    track = data.draw(random_tracks())
    write_comfyui(track, tmp_path / "a.json")
    assert_same(track, read_comfyui(tmp_path / "a.json"))


def test_a_frame_is_what_comfyuis_nodes_expect(dancer, tmp_path):
    track = dancer(frames=2)
    scores = track.scores.copy()
    scores[..., 4] = 0.1
    write_comfyui(track.with_(scores=scores), tmp_path / "a.json")
    frames = json.loads((tmp_path / "a.json").read_text())
    assert [(f["canvas_width"], f["canvas_height"]) for f in frames] == [track.size] * 2
    body = np.reshape(frames[0]["people"][0]["pose_keypoints_2d"], (18, 3))
    assert body[:, 2].tolist() == [1.0] * 4 + [0.0] + [1.0] * 13
    np.testing.assert_allclose(body[:, :2], track.points[0, 0, :18], atol=1e-3)
    assert len(frames[0]["people"][0]["face_keypoints_2d"]) == 70 * 3 - 6


def test_a_list_as_the_nodes_write_it(tmp_path):
    body = [value for number in range(18) for value in (number / 20, number / 40, 1.0)]
    body[3:6] = [0.0, 0.0, 0.0]
    people = [
        {
            "pose_keypoints_2d": body,
            "face_keypoints_2d": None,
            "hand_left_keypoints_2d": None,
            "hand_right_keypoints_2d": None,
        }
    ]
    frame = {"people": people, "animals": [], "canvas_height": 1024.0, "canvas_width": 576}
    (tmp_path / "a.json").write_text(json.dumps([frame, {**frame, "people": []}]))
    track = read_comfyui(tmp_path / "a.json")
    assert (len(track), track.people, track.size, track.first) == (2, 1, (576, 1024), 0)
    np.testing.assert_allclose(track.points[0, 0, 10], [288, 256])
    assert track.scores[0, 0, :3].tolist() == [1, 0, 1]
    assert not track.scores[1].any()


def test_pictures_of_several_sizes_are_no_clip(tmp_path):
    frames = [{"people": [], "canvas_width": size, "canvas_height": 9} for size in (8, 9)]
    (tmp_path / "a.json").write_text(json.dumps(frames))
    with pytest.raises(MotionError, match="one size, found 8x9, 9x9"):
        read_comfyui(tmp_path / "a.json")


@pytest.mark.parametrize("content", ["[]", "{}", "[3]", '["people"]', '[{"people": 3}]'])
def test_something_else_is_told(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(MotionError, match=r"a\.json"):
        read_comfyui(tmp_path / "a.json")
