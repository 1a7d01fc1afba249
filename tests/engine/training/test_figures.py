import numpy as np

from marionext.pose.skeleton import POINT_COUNT
from marionext.posemap import SmallDrawer
from marionext.training.character import HERO, standing
from marionext.training.choreography import pose_figure
from marionext.training.figures import make_clip

SIZE = (64, 96)


def test_a_clip_follows_from_its_seed() -> None:
    one, again, other = (make_clip(seed, 3, SIZE) for seed in (5, 5, 6))
    assert np.array_equal(one.frames, again.frames)
    assert np.array_equal(one.points, again.points)
    assert np.array_equal(one.scores, again.scores)
    assert not np.array_equal(one.frames, other.frames)


def test_the_reference_does_not_depend_on_the_length_of_the_dance() -> None:
    short, long = make_clip(9, 1, SIZE), make_clip(9, 6, SIZE)
    assert np.array_equal(short.frames[0], long.frames[0])
    assert np.array_equal(short.frames[1], long.frames[1])


def test_shapes_are_those_of_a_pose_track() -> None:
    clip = make_clip(1, 4, SIZE)
    assert clip.frames.shape == (5, 96, 64, 3)
    assert clip.points.shape == (5, 1, POINT_COUNT, 2)
    assert clip.scores.shape == (5, 1, POINT_COUNT)
    assert np.isfinite(clip.points).all()


def test_the_right_side_of_a_figure_that_faces_the_viewer_is_on_the_left() -> None:
    points = pose_figure(HERO.build, standing())[0]
    for right, left in ((2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (14, 15), (16, 17)):
        assert points[right, 0] < points[left, 0]
    right_hand, left_hand = points[113:134, 0], points[92:113, 0]
    assert right_hand.max() < left_hand.min()
    # iBUG: the jaw runs from the person's right ear to the left one.
    assert points[24, 0] < points[40, 0]


def test_a_standing_body_is_one_height_tall_and_upright() -> None:
    points = pose_figure(HERO.build, standing())[0]
    assert points[0, 1] > points[1, 1] > points[8, 1] > points[9, 1] > points[10, 1]
    assert 0.8 < np.ptp(points[:, 1]) < 1.1


def test_figures_move() -> None:
    clip = make_clip(2, 6, SIZE)
    assert np.abs(np.diff(clip.points[1:, 0, :14], axis=0)).max() > 0.5


def test_a_small_map_has_no_gaps_in_its_limbs() -> None:
    clip = make_clip(11, 1, (128, 192))
    drawn = SmallDrawer((128, 192)).draw(clip.points[0], np.ones((1, 134)), (128, 192))
    assert drawn.shape == (192, 128, 3)
    start, end = clip.points[0, 0, 8], clip.points[0, 0, 9]
    for share in np.linspace(0.1, 0.9, 30):
        x, y = (start + (end - start) * share).astype(int)
        if 1 <= x < 127 and 1 <= y < 191:
            assert drawn[y - 1 : y + 2, x - 1 : x + 2].max() > 20
