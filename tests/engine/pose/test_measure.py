import numpy as np

from marionext.pose import person_boxes, person_sizes, small_parts
from marionext.pose.skeleton import FACE, POINT_COUNT


def test_boxes_go_around_what_is_seen():
    points = np.array([[[1, 2], [5, 9], [100, 100]]], np.float32)
    boxes = person_boxes(points, np.array([[0.5, 0.9, 0.1]], np.float32))
    assert boxes.tolist() == [[1, 2, 5, 9]]
    assert np.isnan(person_boxes(points, np.zeros((1, 3), np.float32))).all()


def test_size_is_the_bodys_even_if_it_is_often_unseen(dancer):
    track = dancer(frames=9, strength=0)
    scores = track.scores.copy()
    scores[:6] = 0
    assert person_sizes(track.with_(scores=scores)) == person_sizes(track)
    assert person_sizes(track.with_(scores=scores * 0)).tolist() == [1]


def test_a_large_figure_needs_no_advice(dancer):
    assert small_parts(dancer(frames=3, strength=0, metre=500)) == []


def test_small_faces_and_hands_are_told(dancer):
    advice = small_parts(dancer(frames=4, strength=0, metre=100))
    assert [text.split(" is ")[0] for text in advice] == [
        "The face",
        "The left hand",
        "The right hand",
    ]
    assert "4 of 4 frames" in advice[0]


def test_parts_that_are_never_seen_are_passed_over(dancer):
    track = dancer(frames=4, metre=100)
    scores = np.zeros((4, 1, POINT_COUNT), np.float32)
    scores[..., FACE] = 0.9
    assert len(small_parts(track.with_(scores=scores))) == 1
    assert small_parts(track.with_(points=track.points[:, :0], scores=scores[:, :0])) == []
