from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marionext.motion.occlusion import fade, hidden

EYE = np.array([0.0, -5.0, 0.0])


def _seen(point: list[float], start: list[float], end: list[float], radius: float) -> float:
    points = np.array([[point]], dtype=np.float32)
    sight = points - EYE.astype(np.float32)
    sight /= np.linalg.norm(sight, axis=2, keepdims=True)
    result = hidden(
        points,
        sight,
        np.array([[start]], dtype=np.float32),
        np.array([[end]], dtype=np.float32),
        np.array([radius], dtype=np.float32),
        np.ones((1, 1), dtype=np.float32),
    )
    return float(result[0, 0])


def test_a_point_behind_a_limb_is_hidden_and_one_in_front_is_not() -> None:
    limb = ([-1.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    assert _seen([0.0, 1.0, 0.0], *limb, 0.1) == 1.0
    assert _seen([0.0, -1.0, 0.0], *limb, 0.1) == 0.0
    assert _seen([0.0, 1.0, 0.5], *limb, 0.1) == 0.0
    assert _seen([3.0, 1.0, 0.0], *limb, 0.1) == 0.0


def test_a_limb_that_points_at_the_camera_hides_what_lies_behind_it() -> None:
    assert _seen([0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.5, 0.0], 0.1) == 1.0
    assert _seen([0.5, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.5, 0.0], 0.1) == 0.0


def test_a_point_on_the_near_side_of_a_volume_is_seen() -> None:
    assert _seen([0.0, -0.09, 0.0], [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], 0.1) == 0.0


def test_edges_are_soft() -> None:
    shades = [_seen([0.0, 1.0, z], [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], 0.1) for z in
              np.linspace(0.0, 0.16, 30)]  # fmt: skip
    assert all(one >= other for one, other in pairwise(shades))
    assert sum(0.05 < shade < 0.95 for shade in shades) >= 5


COORDINATE = st.floats(-2.0, 2.0)
PLACE = st.lists(COORDINATE, min_size=3, max_size=3)


@given(point=PLACE, start=PLACE, end=PLACE, radius=st.floats(0.05, 0.4))
def test_it_agrees_with_walking_along_the_line_of_sight(
    point: list[float], start: list[float], end: list[float], radius: float
) -> None:
    """Whoever is clearly in the open is so, and who is hidden has something in front."""
    result = _seen(point, start, end, radius)
    steps = np.linspace(0.0, 1.0, 400)[:, None]
    line = EYE + steps * (np.array(point) - EYE)
    axis = np.array(end) - start
    along = np.clip((line - start) @ axis / max(axis @ axis, 1e-12), 0, 1)[:, None]
    nearest = np.linalg.norm(line - (start + along * axis), axis=1).min()
    if nearest > 1.05 * radius + 0.02:
        assert result < 0.02
    if result > 0.9:
        assert nearest < radius


def test_fade_runs_from_nothing_to_all() -> None:
    shades = fade(np.array([-1.0, 0.0, 0.5, 1.0, 2.0], dtype=np.float32), 0.0, 1.0)
    np.testing.assert_allclose(shades, [0.0, 0.0, 0.5, 1.0, 1.0])
