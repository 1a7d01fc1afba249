import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marionext.errors import MotionError, OutputError
from marionext.frames import FrameRate
from marionext.pose.formats import read_coco, read_comfyui, read_native, read_track, write_track


@pytest.mark.parametrize(
    ("name", "reader"),
    [("a.npz", read_native), ("a.json", read_comfyui), ("a.coco.json", read_coco), ("a", None)],
)
def test_name_and_content_tell_the_format(dancer, tmp_path, assert_same, name, reader):
    track = dancer(frames=3).with_(first=5)
    write_track(track, tmp_path / name)
    read = read_track(str(tmp_path / name))
    assert read.first == 5
    if reader is None:
        assert_same(track, read)
    else:
        assert_same(reader(tmp_path / name), read)
    changed = read_track(tmp_path / name, rate=FrameRate.parse("12"), first=1, size=(9, 9))
    assert (str(changed.rate), changed.first, changed.size) == ("12", 1, (9, 9))


def test_a_single_openpose_file_is_recognised(dancer, tmp_path):
    write_track(dancer(frames=1).with_(first=7), tmp_path / "a")
    (file,) = (tmp_path / "a").iterdir()
    assert read_track(file).first == 7


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{}", "expected 'people'"),
        ("a.json", "[]", "expected 'people'"),
        ("a.json", "[[]]", "expected 'people'"),
        ("a.json", '{"frames": 3}', "found 'frames'"),
        ("a.json", "", "expected JSON"),
        ("a.npz", "", "expected a pose track"),
        ("a.txt", "", "expected a pose track"),
    ],
)
def test_something_else_is_told(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(MotionError, match=message):
        read_track(tmp_path / name)


def test_a_path_that_is_not_there_is_told(tmp_path):
    with pytest.raises(MotionError, match="does not exist"):
        read_track(tmp_path / "none.npz")
    with pytest.raises(MotionError, match="found none"):
        read_track(tmp_path)


def test_an_unknown_ending_is_not_written(dancer, tmp_path):
    with pytest.raises(OutputError, match=r"\.npz"):
        write_track(dancer(frames=1), tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "people",
                    "annotations",
                    "images",
                    "image_id",
                    "id",
                    "keypoints",
                    "info",
                    "pose_keypoints_2d",
                    "canvas_width",
                    "canvas_height",
                    "frame_rate",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=json_values)
def test_any_json_is_a_track_or_a_clear_error(value, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value))
    with contextlib.suppress(MotionError):
        assert len(read_track(path, size=(64, 64))) >= 1
