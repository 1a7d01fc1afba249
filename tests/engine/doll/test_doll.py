import cv2
import numpy as np
import pytest

from marionext.doll import PART_NAMES, DollDrawer, make_doll
from marionext.errors import CharacterError
from marionext.training.figures.clips import HELD_OUT

SEEDS = [HELD_OUT + 1000 + number for number in (0, 2, 5, 8, 37)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_doll_in_its_own_pose_is_its_picture(clip_of, doll_of, psnr, seed):
    clip, doll = clip_of(seed), doll_of(seed)
    drawn = DollDrawer([doll], clip.size).draw(clip.points[0], clip.scores[0])
    assert psnr(drawn.picture, clip.frames[0]) > 30


@pytest.mark.parametrize("seed", SEEDS)
def test_a_doll_in_another_pose_is_nearer_to_the_truth_than_the_picture_is(
    clip_of, doll_of, psnr, seed
):
    clip, doll = clip_of(seed), doll_of(seed)
    drawer = DollDrawer([doll], clip.size)
    for frame in range(1, len(clip.frames)):
        drawn = drawer.draw(clip.points[frame], clip.scores[frame])
        still = psnr(clip.frames[0], clip.frames[frame])
        assert psnr(drawn.picture, clip.frames[frame]) > still + 2


@pytest.mark.parametrize(
    ("joints", "part"),
    [
        ((2, 3), "right_upper_arm"),
        ((3, 4), "right_forearm"),
        ((5, 6), "left_upper_arm"),
        ((6, 7), "left_forearm"),
        ((8, 9), "right_thigh"),
        ((9, 10), "right_shin"),
        ((11, 12), "left_thigh"),
        ((12, 13), "left_shin"),
        ((0, 0), "head"),
    ],
)
def test_parts_lie_where_the_keypoints_say(clip_of, doll_of, joints, part):
    clip, doll = clip_of(), doll_of()
    drawer = DollDrawer([doll], clip.size)
    for frame in range(len(clip.frames)):
        drawn = drawer.draw(clip.points[frame], clip.scores[frame])
        x, y = clip.points[frame, 0, list(joints)].mean(axis=0).astype(int)
        assert PART_NAMES[drawn.parts[y, x]] == part


def test_what_is_known_of_a_frame_has_the_frames_shape_and_range(clip_of, doll_of):
    clip, doll = clip_of(), doll_of()
    drawn = DollDrawer([doll], clip.size).draw(clip.points[1], clip.scores[1])
    height, width = clip.size[1], clip.size[0]
    assert drawn.picture.shape == (height, width, 3)
    for known in (drawn.coverage, drawn.validity):
        assert known.shape == (height, width)
        assert known.min() >= 0
        assert known.max() <= 1 + 1e-5
    assert drawn.parts.max() < len(PART_NAMES)
    nothing = drawn.coverage == 0
    assert (drawn.parts[nothing] == 0).all()


def test_the_background_stays_as_it_is_away_from_the_figure(clip_of, doll_of):
    clip, doll = clip_of(), doll_of()
    drawn = DollDrawer([doll], clip.size).draw(clip.points[2], clip.scores[2])
    untouched = (drawn.coverage == 0) & (doll.filled == 0)
    assert untouched.mean() > 0.3
    assert (drawn.picture[untouched] == clip.frames[0][untouched]).mean() > 0.98


def test_the_same_picture_makes_the_same_doll_with_any_number_of_threads(clip_of):
    clip = clip_of()
    made = []
    for threads in (1, 2):
        cv2.setNumThreads(threads)
        doll = make_doll(clip.frames[0], clip.points[0, 0], clip.scores[0, 0])
        drawn = DollDrawer([doll], clip.size).draw(clip.points[1], clip.scores[1])
        made.append((doll, drawn))
    (one, first), (two, second) = made
    assert np.array_equal(first.picture, second.picture)
    assert np.array_equal(one.background, two.background)
    assert [layer.part for layer in one.layers] == [layer.part for layer in two.layers]


def test_frames_do_not_depend_on_those_drawn_before(clip_of, doll_of):
    clip, doll = clip_of(), doll_of()
    drawer = DollDrawer([doll], clip.size)
    orders = drawer.plan(clip.points, clip.scores)
    forward = [
        drawer.draw(clip.points[k], clip.scores[k], orders=orders[k]).picture for k in (1, 2, 3)
    ]
    other = DollDrawer([doll], clip.size)
    backward = [
        other.draw(clip.points[k], clip.scores[k], orders=orders[k]).picture for k in (3, 2, 1)
    ]
    for one, two in zip(forward, reversed(backward), strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize("size", [(96, 96), (200, 120), (512, 768), (1080, 1920)])
def test_a_frame_may_be_of_any_size(clip_of, doll_of, psnr, size):
    clip, doll = clip_of(), doll_of()
    scale = max(size[0] / clip.size[0], size[1] / clip.size[1])
    corner = (np.array(clip.size) * scale - size) / 2
    points = (clip.points[0] * scale - corner).astype(np.float32)
    drawn = DollDrawer([doll], size).draw(points, clip.scores[0])
    assert drawn.picture.shape == (size[1], size[0], 3)
    whole = cv2.resize(clip.frames[0], None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    left, top = (round(float(value)) for value in corner)
    expected = whole[top : top + size[1], left : left + size[0]]
    assert psnr(drawn.picture, expected) > 23


def test_several_people_are_drawn_the_nearer_over_the_farther(clip_of, doll_of, psnr):
    clip, doll = clip_of(), doll_of()
    points = np.concatenate([clip.points[0], clip.points[0] + np.float32([6, 0])])
    scores = np.concatenate([clip.scores[0]] * 2)
    drawer = DollDrawer([doll], clip.size)
    near = np.zeros(scores.shape, np.float32)
    near[1] = 50
    second = drawer.draw(points, scores, near).picture
    alone = drawer.draw(points[1:], scores[1:]).picture
    near[1] = -50
    first = drawer.draw(points, scores, near).picture
    x, y = points[1, 1].astype(int)
    box = np.s_[y : y + 40, x - 6 : x + 6]
    assert psnr(second[box], alone[box]) > psnr(first[box], alone[box]) + 3


def test_nobody_is_drawn_where_nobody_is(clip_of, doll_of):
    clip, doll = clip_of(), doll_of()
    nobody = np.zeros_like(clip.scores[0])
    drawn = DollDrawer([doll], clip.size).draw(clip.points[0] * 0, nobody)
    assert not drawn.coverage.any()
    assert np.array_equal(drawn.picture, doll.background)


def test_a_picture_of_hardly_a_body_is_refused_with_a_word(clip_of):
    clip = clip_of()
    scores = np.zeros(134, np.float32)
    scores[[0, 14, 15]] = 1
    with pytest.raises(CharacterError, match="too little of a body") as caught:
        make_doll(clip.frames[0], clip.points[0, 0], scores)
    assert "hero.pose.npz" in caught.value.hint


def test_a_small_picture_makes_a_doll(clip_of):
    clip = clip_of(HELD_OUT + 1037, (64, 96))
    doll = make_doll(clip.frames[0], clip.points[0, 0], clip.scores[0, 0])
    drawn = DollDrawer([doll], (256, 384)).draw(clip.points[1] * 4, clip.scores[1])
    assert drawn.coverage.mean() > 0.03


@pytest.mark.slow
def test_a_gigantic_picture_makes_a_smaller_doll(clip_of, psnr):
    clip = clip_of()
    large = cv2.resize(clip.frames[0], (2560, 3840), interpolation=cv2.INTER_CUBIC)
    doll = make_doll(large, clip.points[0, 0] * 20, clip.scores[0, 0])
    assert max(doll.size) == 1280
    drawn = DollDrawer([doll], clip.size).draw(clip.points[0], clip.scores[0])
    assert psnr(drawn.picture, clip.frames[0]) > 26


def test_a_figure_cut_by_the_edge_of_its_picture_goes_on_below_it(clip_of):
    clip = clip_of(size=(256, 384))
    knees = int(clip.points[0, 0, [9, 12], 1].min())
    cut = clip.frames[0][: knees - 8]
    scores = clip.scores[0, 0].copy()
    below = clip.points[0, 0, :, 1] > knees - 8
    scores[below] = 0
    doll = make_doll(cut, clip.points[0, 0], scores)
    raised = clip.points[0] - np.float32([0, 30])
    drawn = DollDrawer([doll], (256, knees - 8)).draw(raised, clip.scores[0])
    last = drawn.parts[-4]
    assert {PART_NAMES[part] for part in np.unique(last)} & {"right_thigh", "left_thigh", "skirt"}


def test_a_known_outline_is_taken_as_it_is(clip_of, doll_of):
    clip = clip_of()
    mask = np.zeros(clip.frames[0].shape[:2], np.float32)
    doll = doll_of()
    drawn = DollDrawer([doll], clip.size).draw(clip.points[0], clip.scores[0])
    mask[drawn.coverage > 0.5] = 1
    mask[:40] = 0  # somebody has rubbed out the top
    mine = make_doll(clip.frames[0], clip.points[0, 0], clip.scores[0, 0], mask=mask)
    again = DollDrawer([mine], clip.size).draw(clip.points[0], clip.scores[0])
    assert again.coverage[:36].mean() < 0.25 * drawn.coverage[:36].mean() + 1e-3


def test_an_outline_of_somebody_else_is_not_believed(clip_of, psnr):
    clip = clip_of()
    elsewhere = np.zeros(clip.frames[0].shape[:2], np.float32)
    elsewhere[:30, :30] = 1
    doll = make_doll(clip.frames[0], clip.points[0, 0], clip.scores[0, 0], mask=elsewhere)
    drawn = DollDrawer([doll], clip.size).draw(clip.points[0], clip.scores[0])
    assert psnr(drawn.picture, clip.frames[0]) > 28


def test_a_figure_seen_from_behind_makes_a_doll(clip_of, psnr):
    clip = clip_of(HELD_OUT + 1012)
    doll = make_doll(clip.frames[0], clip.points[0, 0], clip.scores[0, 0])
    drawn = DollDrawer([doll], clip.size).draw(clip.points[0], clip.scores[0])
    assert psnr(drawn.picture, clip.frames[0]) > 26


def test_a_face_seen_on_a_mask_is_not_believed(clip_of, psnr):
    clip = clip_of()
    points = clip.points[0, 0].copy()
    points[24:92] = (points[24:92] - points[0]) * 2 + points[0] - np.float32([20, 30])
    doll = make_doll(clip.frames[0], points, clip.scores[0, 0])
    drawn = DollDrawer([doll], clip.size).draw(clip.points[0], clip.scores[0])
    assert psnr(drawn.picture, clip.frames[0]) > 27


@pytest.mark.parametrize("seed", [HELD_OUT + 1006, HELD_OUT + 1019])
def test_a_large_trunk_has_no_seam_where_a_hand_lay_on_it(clip_of, seed):
    clip = clip_of(seed, (512, 768), 1)
    doll = make_doll(clip.frames[0], clip.points[0, 0], clip.scores[0, 0])
    trunk = next(layer for layer in doll.layers if layer.part == "trunk")
    solid = (trunk.pixels[..., 3] > 127).astype(np.uint8)
    closed = cv2.morphologyEx(solid, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    inner = cv2.erode(closed, np.ones((9, 9), np.uint8)) > 0
    assert (solid[inner] == 0).mean() < 0.0005
