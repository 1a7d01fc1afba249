import numpy as np
import pytest

from marionext.capture.mapping import Landmarks, face_68, whole_body
from marionext.pose.skeleton import FACE, LEFT_HAND, POINT_NAMES, RIGHT_HAND

SIZE = (400, 600)
INDEX = {name: number for number, name in enumerate(POINT_NAMES)}


def standing(visibility: float = 1.0) -> np.ndarray:
    """A body facing the camera: its left is the picture's right."""
    body = np.zeros((33, 3))
    body[:, 2] = visibility
    places = {
        0: (200, 100), 2: (210, 90), 5: (190, 90), 7: (225, 95), 8: (175, 95),
        11: (250, 180), 12: (150, 180), 13: (270, 260), 14: (130, 260), 15: (280, 340),
        16: (120, 340), 23: (230, 350), 24: (170, 350), 25: (230, 450), 26: (170, 450),
        27: (230, 550), 28: (170, 550), 29: (225, 565), 30: (175, 565), 31: (240, 570),
        32: (160, 570),
    }  # fmt: skip
    for landmark, place in places.items():
        body[landmark, :2] = place
    return body


def test_left_and_right_are_the_persons_own() -> None:
    points, _ = whole_body(Landmarks(body=standing()), SIZE)
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear", "big_toe"):
        assert points[INDEX[f"left_{name}"], 0] > 200 > points[INDEX[f"right_{name}"], 0], name


def test_the_neck_is_between_the_shoulders_and_seen_where_both_are() -> None:
    points, scores = whole_body(Landmarks(body=standing()), SIZE)
    assert points[INDEX["neck"]].tolist() == [200, 180]
    assert scores[INDEX["neck"]] == 1
    half = standing()
    half[11, 2] = 0.4
    _, scores = whole_body(Landmarks(body=half), SIZE)
    assert scores[INDEX["neck"]] == 0


def test_wrists_and_ears_are_moved_to_where_the_weights_expect_them() -> None:
    points, _ = whole_body(Landmarks(body=standing()), SIZE)
    np.testing.assert_allclose(points[INDEX["left_wrist"]], (279.5, 336))
    np.testing.assert_allclose(points[INDEX["left_ear"]], (231, 95))
    np.testing.assert_allclose(points[INDEX["right_ear"]], (169, 95))


def test_scores_are_typical_ones_times_the_visibility() -> None:
    _, full = whole_body(Landmarks(body=standing()), SIZE)
    _, half = whole_body(Landmarks(body=standing(0.5)), SIZE)
    _, none = whole_body(Landmarks(body=standing(0.29)), SIZE)
    elbow = INDEX["left_elbow"]
    assert full[elbow] == pytest.approx(0.93)
    assert half[elbow] == pytest.approx(0.465)
    assert none.max() == 0


def test_what_lies_outside_the_picture_is_unseen_and_zero() -> None:
    body = standing()
    body[15, :2] = (410, 300)
    hand = np.full((21, 2), (395.0, 300.0))
    hand[4] = (401, 300)
    points, scores = whole_body(Landmarks(body=body, left_hand=hand), SIZE)
    assert scores[INDEX["left_wrist"]] == 0
    assert points[INDEX["left_wrist"]].tolist() == [0, 0]
    assert (scores[LEFT_HAND] > 0).sum() == 20
    assert scores[RIGHT_HAND].max() == 0
    assert scores[FACE].max() == 0


def test_the_jaw_is_evenly_spaced_from_ear_to_ear() -> None:
    rng = np.random.default_rng(1)
    angles = rng.permutation(np.linspace(0, 2 * np.pi, 478, endpoint=False))
    mesh = 100 * np.stack((np.cos(angles), np.sin(angles)), axis=1) + 200
    assert face_68(mesh).shape == (68, 2)
    # A half circle as the face's edge: chords of equal arcs are equal.
    from marionext.capture import mapping

    bend = np.linspace(0, np.pi, len(mapping._OVAL))
    mesh[mapping._OVAL] = 100 * np.stack((-np.cos(bend), np.sin(bend)), axis=1) + 200
    jaw = face_68(mesh)[:17]
    steps = np.linalg.norm(np.diff(jaw, axis=0), axis=1)
    assert steps.std() / steps.mean() < 0.01
    assert jaw[0, 0] < jaw[8, 0] < jaw[16, 0]


def test_brows_lie_between_their_edges() -> None:
    from marionext.capture import mapping

    mesh = np.zeros((478, 2))
    mesh[mapping._BELOW_BROWS, 1] = 10
    assert face_68(mesh)[17:27, 1] == pytest.approx(4)
