import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marionext.errors import MotionError, OutputError
from marionext.frames import FrameRate
from marionext.pose.formats import read_openpose, read_track, write_openpose
from marionext.pose.skeleton import BODY, FACE, FEET, LEFT_HAND, RIGHT_HAND

quick = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def person(points=18, *, face=0, hands=0, scale=1.0):
    """A person as OpenPose writes it, points at multiples of 10."""

    def part(count):
        return [
            value
            for number in range(count)
            for value in (10.0 * number * scale, 5.0 * number * scale, 0.9)
        ]

    return {
        "person_id": [-1],
        "pose_keypoints_2d": part(points),
        "face_keypoints_2d": part(face),
        "hand_left_keypoints_2d": part(hands),
        "hand_right_keypoints_2d": part(hands),
    }


def write_frames(folder, frames):
    """Write frames by file name; return the folder."""
    folder.mkdir(exist_ok=True)
    for name, people in frames.items():
        (folder / name).write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


@quick
@given(data=st.data())
def test_what_was_written_is_read_again(data, random_tracks, assert_same, tmp_path_factory):
    folder = tmp_path_factory.mktemp("poses") / "dance 7"
    track = data.draw(random_tracks())
    write_openpose(track, folder)
    assert_same(track, read_openpose(folder))


def test_body_25_and_faces_of_70_find_their_places(tmp_path):
    folder = write_frames(tmp_path / "a", {"f_0.json": [person(25, face=70, hands=21)]})
    track = read_openpose(folder, size=(576, 1024))
    numbers = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]
    assert track.points[0, 0, BODY, 0].tolist() == [10.0 * number for number in numbers]
    assert track.points[0, 0, FEET, 0].tolist() == [10.0 * number for number in range(19, 25)]
    assert track.points[0, 0, FACE, 0].tolist() == [10.0 * number for number in range(68)]
    for hand in (LEFT_HAND, RIGHT_HAND):
        assert track.points[0, 0, hand, 1].tolist() == [5.0 * number for number in range(21)]


def test_written_mid_hip_and_pupils_lie_between(dancer, tmp_path):
    track = dancer(frames=1)
    write_openpose(track, tmp_path / "a")
    (file,) = (tmp_path / "a").iterdir()
    written = json.loads(file.read_text())["people"][0]
    body = np.reshape(written["pose_keypoints_2d"], (25, 3))
    np.testing.assert_allclose(body[8, :2], track.points[0, 0, [8, 11]].mean(0), atol=1e-3)
    face = np.reshape(written["face_keypoints_2d"], (70, 3))
    np.testing.assert_allclose(face[68], face[36:42].mean(0), atol=1e-3)
    assert file.name == "a_000000000000_keypoints.json"


def test_missing_empty_and_null_parts_are_unknown(tmp_path):
    sparse = {"pose_keypoints_2d": person()["pose_keypoints_2d"], "face_keypoints_2d": None}
    folder = write_frames(tmp_path / "a", {"1.json": [sparse, {"hand_left_keypoints_2d": []}]})
    track = read_openpose(folder, size=(576, 1024))
    assert track.people == 2
    assert (track.scores[0, 0] > 0).sum() == 18
    assert not track.scores[0, 1].any()


def test_files_out_of_order_with_holes_are_put_in_order(tmp_path):
    frames = {
        f"shot2_{number:03d}_keypoints.json": [person(scale=number)] for number in (12, 9, 10)
    }
    folder = write_frames(tmp_path / "a", frames | {"settings.json": []})
    track = read_openpose(folder, size=(999, 999))
    assert (track.first, len(track)) == (9, 4)
    assert track.scores[:, 0, 0].astype(bool).tolist() == [True, True, False, True]
    assert track.points[:, 0, 1, 0].tolist() == [90, 100, 0, 120]
    assert read_openpose(folder, size=(999, 999), first=101).first == 101


def test_frames_without_people_count(tmp_path):
    folder = write_frames(tmp_path / "a", {"0.json": [], "1.json": [person()], "2.json": []})
    track = read_openpose(folder, size=(99, 99))
    assert (len(track), track.people) == (3, 1)
    empty = read_openpose(write_frames(tmp_path / "b", {"0.json": []}), size=(99, 99))
    assert (len(empty), empty.people) == (1, 0)


def test_ids_of_a_tracker_keep_people_apart(tmp_path):
    def named(number, scale):
        return person(scale=scale) | {"person_id": [number]}

    frames = {
        "0.json": [named(4, 1), named(9, 2)],
        "1.json": [named(9, 2)],
        "2.json": [named(9, 2), named(4, 1)],
    }
    track = read_openpose(write_frames(tmp_path / "a", frames), size=(999, 999))
    assert track.points[:, :, 1, 0].tolist() == [[10, 20], [0, 20], [10, 20]]


def test_one_file_is_one_frame(tmp_path):
    write_frames(tmp_path, {"x_7_keypoints.json": [person()], "x_8_keypoints.json": [person()]})
    track = read_openpose(tmp_path / "x_7_keypoints.json", size=(99, 99))
    assert (len(track), track.first) == (1, 7)


@pytest.mark.parametrize("kind", ["pixels", "unit", "signed"])
def test_coordinates_are_recognised(dancer, tmp_path, kind):
    track = dancer(frames=3)
    extent = np.array(track.size)
    stored = {
        "pixels": track.points,
        "unit": track.points / extent,
        "signed": track.points / extent * 2 - 1,
    }[kind]
    frames = {}
    for index in range(3):
        body = np.column_stack([stored[index, 0, BODY], track.scores[index, 0, BODY]])
        frames[f"{index}.json"] = [{"pose_keypoints_2d": body.reshape(-1).tolist()}]
    folder = write_frames(tmp_path / "a", frames)
    for coordinates in (None, kind):
        read = read_openpose(folder, size=track.size, coordinates=coordinates)
        np.testing.assert_allclose(read.points[:, :, BODY], track.points[:, :, BODY], atol=1e-3)


def test_what_cannot_be_recognised_can_be_told(tmp_path):
    corner = [0.5, 0.5, 1.0] * 18
    folder = write_frames(tmp_path / "a", {"0.json": [{"pose_keypoints_2d": corner}]})
    for coordinates, place in (("unit", 50), ("signed", 75), ("pixels", 0.5), (None, 50)):
        track = read_openpose(folder, size=(100, 100), coordinates=coordinates)
        assert track.points[0, 0, 0].tolist() == [place, place]


def test_the_canvas_in_the_file_is_used_and_can_be_overruled(tmp_path):
    content = {"people": [person()], "canvas_width": 640, "canvas_height": 480}
    (tmp_path / "0.json").write_text(json.dumps(content))
    assert read_openpose(tmp_path).size == (640, 480)
    assert read_openpose(tmp_path, size=(10, 10)).size == (10, 10)
    assert read_openpose(tmp_path).rate == FrameRate.parse("30")
    assert read_openpose(tmp_path, rate=FrameRate.parse("24")).rate == FrameRate.parse("24")


def test_a_size_that_is_not_given_is_guessed_aloud(tmp_path):
    points = [value for _ in range(18) for value in (700.0, 1500.0, 0.9)]
    folder = write_frames(tmp_path / "a", {"0.json": [{"pose_keypoints_2d": points}]})
    said = []
    assert read_track(folder, say=said.append).size == (1080, 1920)
    assert "taken for 1080x1920" in said[0]
    assert "--source-size" in said[0]
    said.clear()
    assert read_track(folder, size=(800, 1600), say=said.append).size == (800, 1600)
    assert said == []


def test_normalised_points_cannot_be_placed_without_a_size(tmp_path):
    points = [value for _ in range(18) for value in (0.5, 0.25, 0.9)]
    folder = write_frames(tmp_path / "a", {"0.json": [{"pose_keypoints_2d": points}]})
    with pytest.raises(MotionError, match="how large") as caught:
        read_track(folder)
    assert "--source-size" in caught.value.hint


def test_a_body_from_0_to_1_beside_hands_in_pixels_is_brought_to_pixels(tmp_path):
    body = [value for joint in range(18) for value in (0.02 * joint + 0.1, 0.5, 0.9)]
    hand = [value for joint in range(21) for value in (300.0 + joint, 240.0, 0.9)]
    people = [{"pose_keypoints_2d": body, "hand_left_keypoints_2d": hand}]
    folder, said = write_frames(tmp_path / "a", {"0.json": people}), []
    track = read_track(folder, size=(640, 480), say=said.append)
    np.testing.assert_allclose(track.points[0, 0, 5], (0.2 * 640, 240), atol=0.01)
    assert track.points[0, 0, 92].tolist() == [300, 240]
    assert any("body's coordinates are taken as 0 to 1" in text for text in said)


def test_one_bad_part_costs_that_part_and_not_the_clip(tmp_path):
    whole, said = person(), []
    faulty = {**person(), "face_keypoints_2d": [1.0, 2.0, 1.0] * 56}
    frames = {
        "0.json": [whole],
        "1.json": [faulty],
        "2.json": [None],
        "3.json": [{**person(), "hand_left_keypoints_2d": [1.0, 2.0]}],
    }
    folder = write_frames(tmp_path / "a", frames)
    (folder / "4.json").write_text('{"people": null}')
    (folder / "5.json").write_text("null")
    (folder / "6.json").write_text((folder / "0.json").read_text().join("[]"))
    (folder / "._0.json").write_bytes(b"Mac OS X")
    track = read_track(folder, size=(640, 480), say=said.append)
    assert len(track) == 7
    seen = (track.scores[..., :18] > 0).any(axis=(1, 2))
    assert seen.tolist() == [True, True, False, True, False, False, True]
    assert (track.scores[1, :, 24:92] == 0).all()
    told = " | ".join(said)
    for words in ("a face of 56 points is left out", "a person that is nothing", "left hand that"):
        assert words in told, told


def test_pictures_beside_the_keypoints_are_not_the_motion(tmp_path):
    from marionext.jobs import MotionSource
    from marionext.sources import motion_kind

    folder = write_frames(tmp_path / "a", {"0_keypoints.json": [person()]})
    (folder / "0_rendered.png").write_bytes(b"a picture")
    assert motion_kind(MotionSource(path=str(folder))) == "track"


def test_an_editors_pairs_are_a_body(tmp_path):
    pairs = [[10.0 * joint + 5, 20.0] for joint in range(18)]
    pairs[4] = [0.0, 0.0]
    path = tmp_path / "pose.json"
    path.write_text(json.dumps({"width": 576, "height": 1024, "keypoints": [pairs]}))
    track = read_track(path)
    assert (track.size, track.people) == ((576, 1024), 1)
    assert track.points[0, 0, 5].tolist() == [55, 20]
    assert track.scores[0, 0, 3:6].tolist() == [1, 0, 1]


def test_an_editors_canvas_and_its_minus_ones(tmp_path):
    points = [100.0, 200.0, 0.9] * 17 + [-1.0, -1.0, 0.0]
    people = [{"person_id": [-1], "pose_keypoints_2d": points, "face_keypoints_2d": None}]
    path = tmp_path / "pose.json"
    path.write_text(json.dumps({"people": people, "width": 576, "height": 1024}))
    track = read_track(path)
    assert track.size == (576, 1024)
    assert track.scores[0, 0, 17] == 0
    assert track.points[0, 0, 17].tolist() == [0, 0]


@pytest.mark.parametrize(("count", "neck"), [(17, True), (26, True)])
def test_bodies_of_coco_and_halpe_have_their_joints_in_place(tmp_path, count, neck):
    # Each joint stands at its own number in the file.
    body = [value for joint in range(count) for value in (10.0 * joint + 1, 7.0, 0.8)]
    folder = write_frames(tmp_path / "a", {"0.json": [{"pose_keypoints_2d": body}]})
    track = read_track(folder, size=(640, 480))
    at = track.points[0, 0, :, 0]
    coco = {0: 0, 15: 1, 14: 2, 17: 3, 16: 4, 5: 5, 2: 6, 7: 9, 4: 10, 11: 11, 8: 12, 13: 15}
    assert {ours: (at[ours] - 1) / 10 for ours in coco} == coco
    assert (track.scores[0, 0, 1] > 0) == neck
    if count == 26:
        feet = {1: 18, 18: 20, 21: 21, 19: 22, 22: 23, 20: 24, 23: 25}
        assert {ours: (at[ours] - 1) / 10 for ours in feet} == feet


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected JSON"),
        ('{"people": [', "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("\xff\xfe", "expected JSON"),
        ("7", "found a number"),
        ("null", "a frame that is null"),
        ('{"persons": []}', "found keys: 'persons'"),
        ('{"people": {}}', "expected a list of people, found an object"),
        ('{"people": [3]}', "a person that is a number"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "got 2 numbers"),
        (
            '{"people": [{"pose_keypoints_2d": [1, 2, 1]}]}',
            "body of 1 keypoints .* 25 or 26",
        ),
        ('{"people": [{"pose_keypoints_2d": "x"}]}', "expected a list of numbers, found a text"),
        ('{"people": [{"face_keypoints_2d": [1, 2, 1]}]}', "face of 1 points .* 68 or 70"),
        ('{"people": [{"hand_left_keypoints_2d": [1, 2, 1]}]}', "left hand of 1 points .* 21"),
        ('{"people": [{"pose_keypoints_2d": [1, null, 1]}]}', "found None"),
        ('{"people": [{"pose_keypoints_2d": [1, NaN, 1]}]}', "found nan"),
        ('{"people": [{"pose_keypoints_2d": [1, 1e300, 1]}]}', "found 1e"),
        ('{"people": [{"pose_keypoints_2d": [1, true, 1]}]}', "found True"),
    ],
)
def test_malformed_files_are_told_by_name(tmp_path, content, message):
    (tmp_path / "bad_3.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(MotionError, match=message) as caught:
        read_openpose(tmp_path, size=(99, 99))
    assert "bad_3.json" in caught.value.message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a_1.json", "b_1.json"], "both frame 1"),
        (["a_1.json", "b.json"], "b.json has none"),
        (["a_1.json", "a_1699999999.json"], "consecutive"),
        ([], "found none"),
    ],
)
def test_implausible_frame_numbers_are_refused(tmp_path, names, message):
    folder = write_frames(tmp_path / "a", {name: [person()] for name in names})
    with pytest.raises(MotionError, match=message):
        read_openpose(folder, size=(99, 99))


def test_a_folder_that_holds_something_is_not_written_to(dancer, tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(OutputError, match="new or empty"):
        write_openpose(dancer(frames=1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    write_openpose(dancer(frames=2), tmp_path / "empty")
    assert len(list((tmp_path / "empty").iterdir())) == 2
