import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marionext.errors import MotionError
from marionext.pose import to_whole_body
from marionext.pose.formats import read_coco, write_coco

quick = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def annotation(image, *, score=0.9, **changes):
    """One person of a data set."""

    def part(count):
        return [value for number in range(count) for value in (10 * number, 20 * number, score)]

    return {
        "image_id": image,
        "keypoints": part(17),
        "foot_kpts": part(6),
        "face_kpts": part(68),
        "lefthand_kpts": part(21),
        "righthand_kpts": part(21),
    } | changes


def image(number, name=None, **changes):
    """One image of a data set."""
    named = {} if name is None else {"file_name": name}
    return {"id": number, "width": 640, "height": 480} | named | changes


def read(tmp_path, value, **options):
    (tmp_path / "a.json").write_text(json.dumps(value))
    return read_coco(tmp_path / "a.json", **options)


@quick
@given(data=st.data())
def test_all_but_the_neck_comes_back(data, random_tracks, assert_same, tmp_path):
    track = data.draw(random_tracks())
    write_coco(track, tmp_path / "a.coco.json")
    back = read_coco(tmp_path / "a.coco.json")
    points, scores = to_whole_body(track.points, track.scores)
    back_points, back_scores = to_whole_body(back.points, back.scores)
    assert back_points.tobytes() == points.tobytes()
    assert back_scores.tobytes() == scores.tobytes()
    assert (back.size, back.rate, back.first) == (track.size, track.rate, track.first)


def test_a_written_file_is_a_data_set(dancer, tmp_path):
    write_coco(dancer(frames=2), tmp_path / "a.coco.json")
    written = json.loads((tmp_path / "a.coco.json").read_text())
    assert [entry["file_name"] for entry in written["images"]] == ["000000.png", "000001.png"]
    first = written["annotations"][0]
    lengths = {name: len(first[name]) // 3 for name in first if isinstance(first[name], list)}
    del lengths["bbox"]
    assert lengths == {
        "keypoints": 17,
        "foot_kpts": 6,
        "face_kpts": 68,
        "lefthand_kpts": 21,
        "righthand_kpts": 21,
    }
    assert first["face_valid"] is True
    assert written["categories"][0]["keypoints"][:3] == ["nose", "left_eye", "right_eye"]


def test_visibility_flags_become_scores(tmp_path):
    body = [value for number in range(17) for value in (5, 6, number % 3)]
    track = read(tmp_path, {"images": [image(0)], "annotations": [annotation(0, keypoints=body)]})
    assert track.scores[0, 0, [0, 15, 14]].tolist() == [0, 0.5, 1]
    assert track.scores[0, 0, 30] == pytest.approx(0.9)


def test_parts_that_are_not_valid_are_unknown(tmp_path):
    broken = annotation(0, lefthand_valid=False, face_kpts=[])
    track = read(tmp_path, {"images": [image(0)], "annotations": [broken]})
    assert not track.scores[0, 0, 24:113].any()
    assert track.scores[0, 0, 113:].all()


def test_frames_are_numbered_by_file_name_then_id_then_order(tmp_path):
    def numbers(images):
        value = {"images": images, "annotations": [annotation(images[-1]["id"])]}
        track = read(tmp_path, value)
        return track.first, len(track), int(np.flatnonzero(track.scores.any((1, 2)))[0])

    assert numbers([image(7, "v/012.png"), image(8, "v/014.png")]) == (12, 3, 2)
    assert numbers([image(7, "a.png"), image(8, "b.png")]) == (7, 2, 1)
    assert numbers([image(397133), image(37777), image(252219)]) == (0, 3, 2)


def test_a_detectors_results_may_be_given_a_size(tmp_path):
    results = [
        {"image_id": number, "category_id": 1, "keypoints": [50.0, 60.0, 0.5] * 133, "score": 1}
        for number in (3, 4, 4)
    ]
    assert read(tmp_path, results).size == (512, 512)  # guessed: no picture is named
    track = read(tmp_path, results, size=(640, 480))
    assert (track.first, len(track), track.people) == (3, 2, 2)
    assert track.scores[0, 0, 1] == 1  # the neck, between shoulders that are seen


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"annotations": [], "images": []}, "at least one image"),
        ({"images": []}, "no 'annotations'"),
        ({"annotations": [{"keypoints": []}]}, "annotation 0: expected"),
        ({"annotations": [annotation("x")]}, "annotation 0: expected"),
        ({"annotations": [annotation(0, foot_kpts=[1, 2, 3])]}, "6 points in 'foot_kpts'"),
        ({"annotations": [annotation(0, keypoints=[1, 2, 3])]}, "17 points in 'keypoints'"),
        ({"annotations": [annotation(9)], "images": [image(0)]}, "9 has none"),
        ({"annotations": [], "images": [image(0), image(0)]}, "image 1: .* of its own"),
        ({"annotations": [], "images": [image(0), image(1, width=99)]}, "one size"),
        ({"annotations": [], "images": [image(0)], "info": {"frame_rate": "x"}}, "frame rate"),
    ],
)
def test_malformed_files_are_told(tmp_path, value, message):
    with pytest.raises(MotionError, match=message):
        read(tmp_path, value)
