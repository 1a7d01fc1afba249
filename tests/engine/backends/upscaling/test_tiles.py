from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.backends.upscaling.tiles import join_tiles, plan_tiles
from marionext.errors import SettingsError


@st.composite
def plans(draw):
    side = draw(st.integers(1, 40))
    overlap = draw(st.integers(0, side // 2))
    margin = draw(st.integers(0, max(0, (overlap - 1) // 2)))
    size = draw(st.integers(1, 130)), draw(st.integers(1, 130))
    return size, side, overlap, margin


@settings(deadline=None)
@given(plans())
def test_tiles_cover_every_pixel_and_share_what_they_should(plan):
    (width, height), side, overlap, _ = plan
    tiles = plan_tiles((width, height), side, overlap)
    covered = np.zeros((height, width), int)
    for tile in tiles:
        assert 0 <= tile.top < tile.bottom <= height
        assert 0 <= tile.left < tile.right <= width
        assert tile.bottom - tile.top == min(side, height)
        assert tile.right - tile.left == min(side, width)
        covered[tile.top : tile.bottom, tile.left : tile.right] += 1
    assert covered.min() >= 1
    columns = sorted({(tile.left, tile.right) for tile in tiles})
    for (_, stop), (start, _) in pairwise(columns):
        assert stop - start >= overlap


@settings(deadline=None)
@given(plans(), st.integers(1, 3))
def test_pixels_that_tiles_agree_on_are_joined_without_a_trace(plan, by):
    size, side, overlap, margin = plan
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)

    def repeat(parts):
        return parts.repeat(by, axis=-3).repeat(by, axis=-2).astype(np.float32)

    tiles = plan_tiles(size, side, overlap)
    shares = {"overlap": overlap, "margin": margin, "batch": 3}
    made = join_tiles(picture, by, tiles, repeat, lambda *_: None, **shares)
    assert (made == repeat(picture)).all()


def test_what_a_tile_makes_along_its_edge_is_left_out_and_the_rest_fades():
    picture = np.zeros((8, 60, 3), np.uint8)
    levels = iter((100.0, 200.0))

    def work(parts):
        made = np.full(parts.shape, next(levels), np.float32)
        made[:, :, 0] = made[:, :, -1] = 0  # wrong where it could not see further
        return made

    tiles = plan_tiles((60, 8), 40, 20)
    made = join_tiles(picture, 1, tiles, work, lambda *_: None, overlap=20, margin=4)[4, :, 0]
    assert (made[1:24] == 100).all()
    assert (made[36:-1] == 200).all()
    steps = np.diff(made[22:38].astype(int))
    assert (steps >= 0).all()
    assert steps.max() < 15


def test_tiles_smaller_than_their_overlap_are_refused():
    with pytest.raises(SettingsError, match="tile"):
        plan_tiles((10, 10), 8, 8)
