"""What the overlay draws, as plain numbers: no Blender needed."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from marionext.pose.skeleton import BODY_LIMBS, POINT_COUNT

SOURCE = Path(__file__).resolve().parents[2] / "addon" / "marionext_addon" / "ui" / "strokes.py"


@pytest.fixture(scope="module")
def strokes() -> ModuleType:
    """Load the module by itself: its neighbours need Blender."""
    spec = importlib.util.spec_from_file_location("strokes_alone", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def body(points: dict[int, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return places and which exist, for a few body points."""
    places = np.zeros((POINT_COUNT, 2))
    drawable = np.zeros(POINT_COUNT, dtype=bool)
    for index, place in points.items():
        places[index], drawable[index] = place, True
    return places, drawable


def area(corners: np.ndarray) -> float:
    a, b, c = corners.reshape(-1, 3, 2).transpose(1, 0, 2)
    cross = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    return float(np.abs(cross).sum() / 2)


def test_a_seen_limb_is_one_solid_stroke_of_its_width(strokes: ModuleType) -> None:
    places, drawable = body({2: (10.0, 50.0), 3: (110.0, 50.0)})
    corners, colours = strokes.figure_strokes(places, np.ones(POINT_COUNT), drawable)
    limb = BODY_LIMBS.index((2, 3))
    own = np.isclose(colours[:, :3], strokes._LIMB_COLOURS[limb]).all(axis=1) & (
        np.abs(colours[:, 3] - 0.9) < 1e-6
    )
    assert area(corners[own]) == pytest.approx(100 * 3.5)
    assert np.ptp(corners[own], axis=0) == pytest.approx([100, 3.5])


def test_a_hidden_limb_is_dashed_and_faint_and_its_joints_are_rings(strokes: ModuleType) -> None:
    places, drawable = body({2: (10.0, 50.0), 3: (110.0, 50.0)})
    seen, seen_colours = strokes.figure_strokes(places, np.ones(POINT_COUNT), drawable)
    hidden, colours = strokes.figure_strokes(places, np.zeros(POINT_COUNT), drawable)
    faint = colours[:, 3] < 0.5
    assert 0.3 * 350 < area(hidden[faint]) < 0.8 * 350
    rings = hidden[~faint]
    distance = np.minimum(
        np.linalg.norm(rings - places[2], axis=1), np.linalg.norm(rings - places[3], axis=1)
    )
    assert distance.min() > 2  # nothing in the middle of a ring
    assert seen_colours[:, 3].min() > 0.8
    assert len(seen) > 0


def test_what_does_not_exist_or_lies_behind_is_not_drawn(strokes: ModuleType) -> None:
    places, drawable = body({})
    corners, colours = strokes.figure_strokes(places, np.ones(POINT_COUNT), drawable)
    assert corners.shape == (0, 2)
    assert colours.shape == (0, 4)


def test_a_whole_figure_is_triangles_of_finite_corners(strokes: ModuleType) -> None:
    rng = np.random.default_rng(1)
    places = rng.uniform(-1e5, 1e5, (POINT_COUNT, 2))
    corners, colours = strokes.figure_strokes(
        places, rng.uniform(0, 1, POINT_COUNT), np.ones(POINT_COUNT, dtype=bool), scale=2.0
    )
    assert len(corners) == len(colours)
    assert len(corners) % 3 == 0
    assert corners.dtype == colours.dtype == np.float32
    assert np.isfinite(corners).all()
    assert colours.min() >= 0
    assert colours.max() <= 1
    assert len(corners) < 60_000


def test_places_come_to_the_region_as_the_view_s_matrix_says(strokes: ModuleType) -> None:
    matrix = np.array([[2.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, -1.0, 0]])
    places = np.array([[0.0, 0.0, -4.0], [1.0, 2.0, -4.0], [0.0, 0.0, 4.0]])
    points, before = strokes.to_region(places, matrix, (200, 100))
    np.testing.assert_allclose(points[0], [100, 50])
    np.testing.assert_allclose(points[1], [150, 75])
    assert before.tolist() == [True, True, False]


def test_the_frame_is_drawn_along_its_four_sides(strokes: ModuleType) -> None:
    corners = np.array([[10.0, 10.0], [90.0, 10.0], [90.0, 60.0], [10.0, 60.0]])
    drawn, _ = strokes.frame_strokes(corners)
    assert drawn.min(axis=0) == pytest.approx([9.25, 9.25])
    assert drawn.max(axis=0) == pytest.approx([90.75, 60.75])
    inside = (np.abs(drawn - [50, 35]) < [38, 23]).all(axis=1)
    assert not inside.any()
