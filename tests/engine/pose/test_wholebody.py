import numpy as np

from marionext.pose import from_whole_body, to_whole_body
from marionext.pose.skeleton import BODY_NAMES, POINT_NAMES

COCO = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]


def test_joints_go_by_name_and_the_neck_is_between_the_shoulders():
    points = np.arange(133 * 2, dtype=np.float32).reshape(133, 2)
    scores = np.linspace(0.4, 1, 133, dtype=np.float32)
    ours, our_scores = from_whole_body(points, scores)
    for number, name in enumerate(COCO):
        place = POINT_NAMES.index(name)
        assert (ours[place] == points[number]).all()
        assert our_scores[place] == scores[number]
    assert (ours[18:] == points[17:]).all()
    neck = BODY_NAMES.index("neck")
    assert (ours[neck] == (points[5] + points[6]) / 2).all()
    assert our_scores[neck] == 1


def test_the_neck_is_unseen_unless_both_shoulders_are_seen():
    scores = np.ones((2, 133), np.float32)
    scores[1, 6] = 0.3
    _, ours = from_whole_body(np.zeros((2, 133, 2), np.float32), scores)
    assert ours[:, 1].tolist() == [1, 0]


def test_all_but_the_neck_comes_back():
    points = np.random.default_rng(0).normal(size=(2, 3, 133, 2)).astype(np.float32)
    scores = np.random.default_rng(1).uniform(size=(2, 3, 133)).astype(np.float32)
    back, back_scores = to_whole_body(*from_whole_body(points, scores))
    assert (back == points).all()
    assert (back_scores == scores).all()
