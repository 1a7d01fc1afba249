import numpy as np

from marionext.motion import face
from marionext.pose.skeleton import FACE, MIRRORED


def _mirror(points: np.ndarray) -> np.ndarray:
    order = [MIRRORED[point] - FACE.start for point in range(FACE.start, FACE.stop)]
    return points[order] * [-1.0, 1.0, 1.0]


def test_the_head_is_the_same_on_both_sides() -> None:
    np.testing.assert_allclose(_mirror(face.FACE_POINTS), face.FACE_POINTS, atol=1e-12)
    np.testing.assert_allclose(_mirror(face.FACE_NORMALS), face.FACE_NORMALS, atol=1e-12)


def test_parts_of_the_face_are_where_a_face_has_them() -> None:
    points = face.FACE_POINTS
    right_eye, left_eye = points[36:42], points[42:48]
    assert right_eye[:, 0].max() < 0 < left_eye[:, 0].min(), "x is the person's left"
    assert points[17:27, 1].min() > points[36:48, 1].max() > points[48:68, 1].max()
    assert points[8, 1] == points[:, 1].min(), "the chin is lowest"
    assert points[:, 2].argmax() == 30, "the tip of the nose is foremost"
    assert np.all(np.diff(points[0:17, 0]) > 0), "the jaw runs from the right ear to the left"
    inner, outer = points[60:68], points[48:60]
    assert np.abs(inner[:, 0]).max() < np.abs(outer[:, 0]).max()


def test_normals_face_outwards() -> None:
    assert (face.FACE_NORMALS[17:, 2] > 0).all()
    assert face.FACE_NORMALS[0, 0] < -0.9
    assert face.FACE_NORMALS[16, 0] > 0.9


def test_jaw_paths_start_on_the_jaw_and_end_in_front_of_it() -> None:
    np.testing.assert_allclose(face.JAW_PATHS[:, 0], face.FACE_POINTS[face.JAW_POINTS], atol=1e-12)
    assert (face.JAW_PATHS[:, -1, 2] >= face.JAW_PATHS[:, 0, 2] - 0.03).all()


def test_shapes_of_the_usual_avatars_are_understood() -> None:
    names = (
        "eyeBlinkLeft", "Fcl_EYE_Close_R", "まばたき", "mouthOpen", "Fcl_MTH_A", "jawOpen", "あ",
        "wings_spread", "Face.M_F00_000_Fcl_EYE_Close_L", "A",
    )  # fmt: skip
    found, moves = face.morph_moves(names)
    assert [names[index] for index in found] == [n for n in names if n != "wings_spread"]
    by_name = {names[index]: move for index, move in zip(found, moves, strict=True)}
    assert (by_name["eyeBlinkLeft"][43:45, 1] < 0).all()
    assert not by_name["eyeBlinkLeft"][36:42].any()
    assert (by_name["Fcl_EYE_Close_R"][37:39, 1] < 0).all()
    assert by_name["jawOpen"][8, 1] < 0 == by_name["jawOpen"][51, 1]
    assert np.array_equal(by_name["A"], by_name["あ"])


def test_a_blink_closes_the_eye_and_does_not_turn_it_inside_out() -> None:
    _, moves = face.morph_moves(["blink"])
    closed = face.FACE_POINTS + moves[0]
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        opened = face.FACE_POINTS[upper, 1] - face.FACE_POINTS[lower, 1]
        assert 0 <= closed[upper, 1] - closed[lower, 1] < 0.5 * opened
