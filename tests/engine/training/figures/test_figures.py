from dataclasses import fields, replace
from itertools import pairwise, product
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from marionext.pose.skeleton import BODY_LIMBS, HAND_BONES, LEFT_HAND, POINT_COUNT, RIGHT_HAND
from marionext.posemap import SmallDrawer
from marionext.training.figures.bodies import head_layout, random_build
from marionext.training.figures.character import HERO, standing
from marionext.training.figures.choreography import random_steps
from marionext.training.figures.clips import PARTS, Figure, draw_pictures, make_clip
from marionext.training.figures.heads import HEAD
from marionext.training.figures.look import Cut, Hair, Look, Pattern, random_look
from marionext.training.figures.recorded import pose_recorded
from marionext.training.figures.scenery import Scene, SceneKind, draw_scene
from marionext.training.figures.steps import Steps, pose_figure
from marionext.training.figures.viewpoints import Viewpoint, on_picture, seen

SIZE = (64, 96)
GREEN = Scene("plain", ((0, 255, 0), (0, 255, 0), (0, 255, 0)), 2.0, 0)
"""A scene without a floor: what is not of its colour is the figure."""
WHOLE = Viewpoint(0.75, (0.5, 0.53))


def turned(steps: Steps, angle: float) -> Steps:
    return replace(steps, turn=steps.turn + np.float32(angle))


def test_a_clip_follows_from_its_seed() -> None:
    one, again, other = (make_clip(seed, 3, SIZE, parts=True) for seed in (5, 5, 6))
    assert np.array_equal(one.frames, again.frames)
    assert np.array_equal(one.points, again.points)
    assert np.array_equal(one.scores, again.scores)
    assert np.array_equal(one.parts, again.parts)
    assert not np.array_equal(one.frames, other.frames)


def test_the_reference_does_not_depend_on_the_length_of_the_dance() -> None:
    for seed in range(9, 14):
        short, long = make_clip(seed, 1, SIZE), make_clip(seed, 6, SIZE)
        assert np.array_equal(short.frames[:2], long.frames[:2])
        assert np.array_equal(short.points[:2], long.points[:2])
        assert np.array_equal(short.scores[:2], long.scores[:2])


def test_shapes_are_those_of_a_pose_track() -> None:
    clip = make_clip(1, 4, SIZE)
    assert clip.frames.shape == (5, 96, 64, 3)
    assert clip.points.shape == (5, 1, POINT_COUNT, 2)
    assert clip.scores.shape == (5, 1, POINT_COUNT)
    assert np.isfinite(clip.points).all()
    assert clip.scores.min() >= 0
    assert clip.scores.max() <= 1


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


def test_thumbs_of_hands_that_hang_point_to_the_body() -> None:
    points = pose_figure(HERO.build, standing())[0]
    for hand, inwards in ((RIGHT_HAND, 1), (LEFT_HAND, -1)):
        tips = points[hand][[4, 8, 12, 16, 20], 0] * inwards
        assert tips.argmax() == 0


def test_a_fist_is_shorter_than_an_open_hand() -> None:
    fist = replace(standing(), fingers=np.zeros((1, 2, 5), np.float32))
    for hand in (RIGHT_HAND, LEFT_HAND):
        open_tip, fist_tip = (
            np.linalg.norm(points[hand][12] - points[hand][0])
            for points in (pose_figure(HERO.build, steps)[0] for steps in (standing(), fist))
        )
        assert fist_tip < 0.75 * open_tip


def test_figures_move() -> None:
    clip = make_clip(2, 6, SIZE)
    assert np.abs(np.diff(clip.points[1:, 0, :14], axis=0)).max() > 0.5


def test_what_a_map_will_not_show_keeps_still() -> None:
    steps = random_steps(np.random.default_rng(3), np.linspace(0, 1, 6))
    without = steps.without(hands=True, face=True)
    assert np.ptp(without.fingers, axis=0).max() == 0
    assert np.ptp(without.mouth) == 0
    assert np.ptp(without.blink) == 0
    kept = {"turn", "raise_", "elbow", "kick", "knee", "shift"}
    for field in fields(steps):
        if field.name in kept:
            assert np.array_equal(getattr(steps, field.name), getattr(without, field.name))


def test_a_recording_keeps_the_lengths_of_the_body() -> None:
    build = random_build(np.random.default_rng(4))
    body = pose_recorded(build, 0, np.linspace(0, 8, 20), 1.0, mirrored=True)
    for start, end, length in (
        (2, 3, build.upper_arm),
        (6, 7, build.forearm),
        (8, 9, build.thigh),
        (12, 13, build.shin),
        (1, HEAD, build.neck),
    ):
        found = np.linalg.norm(body[:, end] - body[:, start], axis=-1)
        assert np.allclose(found, length, rtol=1e-3)
    # The head is the figure's own, in whatever direction the recording turns it.
    head = np.linalg.norm(body[:, 16] - body[:, 17], axis=-1)
    layout = head_layout(build.likeness)
    assert np.allclose(head, np.linalg.norm(layout[71] - layout[72]) * build.head, rtol=1e-3)


def test_held_out_clips_dance_what_training_never_shows() -> None:
    seconds = np.linspace(0, 12, 800)
    shown, kept = (
        pose_recorded(HERO.build, 0, seconds, 0.0, mirrored=False, part=part)
        for part in ((0.0, 0.75), (0.75, 1.0))
    )
    whole = pose_recorded(HERO.build, 0, np.linspace(0, 7.9, 400), 0.0, mirrored=False)
    for some, own in ((shown, whole[:290]), (kept, whole[310:])):
        apart = [float(np.abs(own[:, :14] - body[:14]).max(axis=(1, 2)).min()) for body in some]
        assert np.median(apart) < 0.02
    # Times run back and forth: no frame is far from the one before.
    assert np.abs(np.diff(kept[:, :14], axis=0)).max() < 0.1


def test_a_mirrored_recording_is_its_mirror_image() -> None:
    seconds = np.linspace(1, 3, 5)
    plain = pose_recorded(HERO.build, 0, seconds, 0.0, mirrored=False)
    mirror = pose_recorded(HERO.build, 0, seconds, 0.0, mirrored=True)
    assert np.allclose(plain[:, 4] * [-1, 1, 1], mirror[:, 7], atol=1e-5)
    assert np.allclose(plain[:, RIGHT_HAND] * [-1, 1, 1], mirror[:, LEFT_HAND], atol=1e-5)


def unlike(look: Look) -> tuple[int, int, int]:
    """Return the pure colour that is least like what a figure wears, to tell it from behind."""
    values = (getattr(look, field.name) for field in fields(look))
    worn = np.array([value for value in values if isinstance(value, tuple)], float)
    screens = list(product((0, 255), repeat=3))
    return max(screens, key=lambda screen: np.abs(worn - screen).sum(axis=1).min())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(16397)  # a green shirt
def test_a_figure_is_where_its_map_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    build, look = random_build(rng), random_look(rng)
    screen = unlike(look)
    look = replace(look, scene=Scene("plain", (screen,) * 3, 2.0, 0))
    body = pose_figure(build, random_steps(rng, np.zeros(1)))
    size = (128, 192)
    pitch, nearness = float(rng.uniform(-0.1, 0.2)), float(rng.uniform(0, 0.3))
    viewpoint = replace(WHOLE, pitch=pitch, nearness=nearness)
    picture = next(draw_pictures(Figure(build, look), body, viewpoint, size))
    points, scale = on_picture(seen(body, viewpoint), viewpoint, size)
    # Near the bones: as far as a skirt, a brim or a pony tail goes, and no farther.
    bones = np.full((size[1], size[0]), 255, np.uint8)
    pairs = [(points[0, a], points[0, b]) for a, b in BODY_LIMBS]
    pairs += [(points[0, h + a], points[0, h + b]) for h in (92, 113) for a, b in HAND_BONES]
    pairs += [(points[0, a], points[0, b]) for a, b in ((10, 21), (10, 23), (13, 18), (13, 20))]
    pairs += [(points[0, 1], points[0, HEAD])]
    for one, two in pairs:
        ends = [tuple(int(value) for value in np.round(point)) for point in (one, two)]
        cv2.line(bones, ends[0], ends[1], 0, 1)
    distance = cv2.distanceTransform(bones, cv2.DIST_L2, 5) / scale
    drawn = np.abs(picture.astype(int) - screen).sum(axis=2) > 60
    reach = 0.12 + 2.2 * build.head
    assert distance[drawn].max() < reach
    # And every bone is covered.
    inside = bones == 0
    assert drawn[inside].mean() > 0.97


@pytest.mark.parametrize("angle", [0.0, np.pi / 2, np.pi, -np.pi / 2])
def test_each_part_of_the_body_shows_from_every_side(angle: float) -> None:
    look = replace(
        HERO.look, scene=GREEN, sleeves=1.0, pattern="plain", belt=False, top=(250, 0, 0),
        sleeve=(0, 0, 250), legs=(250, 250, 0), shoes=(250, 0, 250), skin=(0, 250, 250),
        hair=(20, 20, 20),
    )  # fmt: skip
    away = replace(standing(), swing=np.full((1, 2), 1.0, np.float32))
    body = pose_figure(HERO.build, turned(away, angle))
    picture = next(draw_pictures(Figure(HERO.build, look), body, WHOLE, (256, 384)))
    points, _ = on_picture(body, WHOLE, (256, 384))
    for name, place in (
        ("top", (points[0, 1] * 0.45 + points[0, [8, 11]].mean(axis=0) * 0.55)),
        ("legs", points[0, [8, 9]].mean(axis=0)),
        ("shoes", points[0, 21] * 0.5 + points[0, 23] * 0.5),
        ("hair", points[0, HEAD] - [0, 0.8 * HERO.build.head * 0.75 * 384]),
    ):
        colour = np.array(getattr(look, name), float)
        x, y = (round(float(value)) for value in place)
        patch = picture[y - 6 : y + 7, x - 6 : x + 7].reshape(-1, 3).astype(float)
        nearest = np.abs(patch - colour).sum(axis=1).min()
        assert nearest < 120, name
    colours = picture.reshape(-1, 3).astype(int)
    for name in ("skin", "sleeve"):
        close = np.abs(colours - getattr(look, name)).sum(axis=1) < 60
        assert close.sum() > 60, name


def test_from_behind_there_is_no_face() -> None:
    look = replace(HERO.look, scene=GREEN, skin=(0, 0, 250))
    eyes = []
    for angle in (0.0, np.pi):
        body = pose_figure(HERO.build, turned(standing(), angle))
        picture = next(draw_pictures(Figure(HERO.build, look), body, WHOLE, (256, 384)))
        eyes.append(int((picture.min(axis=2) > 235).sum()))
    white_of_shoes = eyes[1]
    assert eyes[0] > white_of_shoes


def test_a_mouth_opens_and_eyes_shut() -> None:
    def drawn(**changes: np.ndarray) -> np.ndarray:
        body = pose_figure(HERO.build, replace(standing(), **changes))
        look = replace(HERO.look, scene=GREEN)
        viewpoint = Viewpoint(2.0, (0.5, 1.35))
        figure = Figure(HERO.build, look)
        return next(draw_pictures(figure, body, viewpoint, (256, 256))).astype(int)

    one = np.ones(1, np.float32)
    shut, wide = drawn(mouth=one * 0), drawn(mouth=one)
    assert (np.abs(shut - wide).sum(axis=2) > 60).sum() > 100
    asleep = drawn(blink=one)
    assert (np.abs(drawn() - asleep).sum(axis=2) > 60).sum() > 60


@pytest.mark.parametrize("hair", get_args(Hair))
def test_every_hair_style_is_drawn_from_all_sides(hair: Hair) -> None:
    look = replace(HERO.look, scene=GREEN, hair_style=hair)
    steps = standing()
    pictures = []
    for angle in np.linspace(-np.pi, np.pi, 9):
        body = pose_figure(HERO.build, turned(steps, float(angle)))
        pictures.append(next(draw_pictures(Figure(HERO.build, look), body, WHOLE, (128, 192))))
    assert all(np.abs(a.astype(int) - b).max() > 60 for a, b in pairwise(pictures))


@pytest.mark.parametrize("cut", get_args(Cut))
@pytest.mark.parametrize("pattern", get_args(Pattern))
def test_every_garment_is_drawn(cut: Cut, pattern: Pattern) -> None:
    look = replace(HERO.look, scene=GREEN, cut=cut, pattern=pattern, skirt=0.6 * (cut == "dress"))
    for angle in (0.0, 1.6, 3.1):
        body = pose_figure(HERO.build, turned(standing(), angle))
        picture = next(draw_pictures(Figure(HERO.build, look), body, WHOLE, SIZE))
        assert 0.1 < (np.abs(picture.astype(int) - (0, 255, 0)).sum(axis=2) > 60).mean() < 0.6


@pytest.mark.parametrize("kind", get_args(SceneKind))
def test_every_scene_is_the_same_at_any_size(kind: SceneKind) -> None:
    scene = Scene(kind, ((200, 120, 90), (120, 140, 200), (90, 70, 60)), 0.8, 12)
    small, large = draw_scene(scene, (128, 192)), draw_scene(scene, (256, 384))
    shrunk = cv2.resize(large, (128, 192), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - shrunk).mean() < 6


def test_looking_down_brings_near_feet_lower() -> None:
    body = pose_figure(HERO.build, standing())
    view = seen(body, replace(WHOLE, pitch=0.2))
    toes, heel = 21, 23
    level = body[0, toes, 1] - body[0, heel, 1]
    assert view[0, toes, 1] - view[0, heel, 1] < level
    assert np.array_equal(seen(body, WHOLE), body)


def test_the_layout_of_parts_has_one_colour_for_each_part() -> None:
    clip = make_clip(31, 3, (128, 192), parts=True)
    assert clip.parts.shape == clip.frames.shape
    pixels = clip.parts.reshape(-1, 3).astype(int)
    for colour in (PARTS.skin, PARTS.top, PARTS.sleeve, PARTS.legs):
        assert (np.abs(pixels - colour).sum(axis=1) < 12).sum() > 20
    assert (pixels.sum(axis=1) == 0).mean() > 0.4


def test_a_small_map_has_no_gaps_in_its_limbs() -> None:
    clip = make_clip(11, 1, (128, 192))
    drawn = SmallDrawer((128, 192)).draw(clip.points[0], np.ones((1, 134)), (128, 192))
    assert drawn.shape == (192, 128, 3)
    start, end = clip.points[0, 0, 8], clip.points[0, 0, 9]
    for share in np.linspace(0.1, 0.9, 30):
        x, y = (start + (end - start) * share).astype(int)
        if 1 <= x < 127 and 1 <= y < 191:
            assert drawn[y - 1 : y + 2, x - 1 : x + 2].max() > 20
