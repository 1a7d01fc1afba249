import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.errors import MotionError, SettingsError
from marionext.pose.skeleton import BODY, BODY_NAMES, FACE, LEFT_HAND, POINT_COUNT
from marionext.posemap import Drawer, draw, normalise
from marionext.posemap.plain import draw_plain

SIZES = [
    (576, 1024),
    (1024, 576),
    (512, 512),
    (448, 768),
    (128, 128),
    (777, 333),
    (100, 641),
    (1, 5),
]


def crowd(seed: int, people: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return random points in a picture of 640x480, off it and far off it, and random scores."""
    random = np.random.default_rng(seed)
    points = random.normal(0.5, spread, (people, POINT_COUNT, 2)) * (640, 480)
    scores = random.uniform(-0.2, 1.3, (people, POINT_COUNT))
    return points, scores


@settings(deadline=None, max_examples=16)
@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(0, 3),
    spread=st.sampled_from([0.02, 0.15, 0.4, 3.0]),
    size=st.sampled_from(SIZES),
)
def test_the_quick_drawing_is_pixel_identical_to_the_plain_one(
    seed: int, people: int, spread: float, size: tuple[int, int]
) -> None:
    points, scores = crowd(seed, people, spread)
    plain = draw_plain(normalise(points, scores, (640, 480)), size)
    assert np.array_equal(draw(points, scores, (640, 480), size), plain)


def test_a_kept_canvas_shows_nothing_of_earlier_frames() -> None:
    drawer = Drawer((320, 512))
    for seed in range(6):
        points, scores = crowd(seed, 1 + seed % 3, 0.3)
        fresh = draw(points, scores, (640, 480), (320, 512))
        assert np.array_equal(drawer.draw(points, scores, (640, 480)), fresh)
    assert not drawer.draw(points, np.zeros_like(scores), (640, 480)).any()


def test_every_map_is_an_array_of_its_own() -> None:
    drawer = Drawer((64, 64))
    points, scores = crowd(1, 1, 0.2)
    first = drawer.draw(points, scores, (640, 480))
    kept = first.copy()
    drawer.draw(points[:, ::-1], scores, (640, 480))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("side", ["horizontal", "vertical", "point"])
def test_limbs_along_an_axis_and_of_no_length_are_drawn_whole(side: str) -> None:
    points = np.full((1, POINT_COUNT, 2), 200.0)
    points[0, BODY, {"horizontal": 0, "vertical": 1, "point": 0}[side]] += (
        0 if side == "point" else np.arange(18) * 9.0
    )
    scores = np.ones((1, POINT_COUNT))
    plain = draw_plain(normalise(points, scores, (400, 400)), (512, 512))
    assert np.array_equal(draw(points, scores, (400, 400), (512, 512)), plain)


def test_red_and_blue_are_exchanged_against_standard_maps() -> None:
    points = np.zeros((1, POINT_COUNT, 2))
    scores = np.zeros((1, POINT_COUNT))
    neck, shoulder = BODY_NAMES.index("neck"), BODY_NAMES.index("right_shoulder")
    points[0, neck], points[0, shoulder] = (300, 100), (100, 100)
    scores[0, [neck, shoulder]] = 1
    red, green, blue = draw(points, scores, (400, 400), (512, 512))[128, 256]
    assert (red, green) == (0, 0)
    assert blue > 100


def test_unseen_points_are_not_drawn_wherever_they_are() -> None:
    points = np.full((1, POINT_COUNT, 2), 50.0)
    scores = np.zeros((1, POINT_COUNT))
    assert not draw(points, scores, (100, 100), (256, 256)).any()
    scores[0, FACE] = 1
    points[0, FACE] = 1e30
    assert not draw(points, scores, (100, 100), (256, 256)).any()


def test_float32_tracks_and_an_empty_picture_are_drawn() -> None:
    points, scores = crowd(3, 1, 0.2)
    single = draw(points.astype(np.float32), scores.astype(np.float32), (640, 480), (512, 512))
    assert single.shape == (512, 512, 3)
    assert single.dtype == np.uint8
    assert single.any()
    nobody = draw(points[:0], scores[:0], (640, 480), (576, 1024))
    assert nobody.shape == (1024, 576, 3)
    assert not nobody.any()


def test_what_cannot_be_drawn_is_refused_in_words() -> None:
    points, scores = crowd(4, 1, 0.2)
    with pytest.raises(MotionError, match="134"):
        draw(points[:, :18], scores[:, :18], (640, 480), (512, 512))
    points[0, LEFT_HAND.start, 0] = np.nan
    with pytest.raises(MotionError, match="NaN"):
        draw(points, scores, (640, 480), (512, 512))
    with pytest.raises(SettingsError, match="at least 1"):
        Drawer((0, 512))
