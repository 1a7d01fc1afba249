import numpy as np
import pytest

from marionext.doll.filling import fill_background, fill_patches, fill_smoothly


def stripes(height=96, width=128):
    rng = np.random.default_rng(0)
    rows = np.where(np.arange(height) // 12 % 2, 200, 60)[:, None, None]
    return np.clip(rows + rng.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)


def hole(height=96, width=128):
    found = np.zeros((height, width), bool)
    found[20:80, 50:80] = True
    return found


@pytest.mark.parametrize("fill", [fill_background, fill_patches])
def test_what_is_known_stays_and_filling_is_the_same_each_time(fill):
    picture, gone = stripes(), hole()
    filled = fill(picture, gone)
    assert np.array_equal(filled[~gone], picture[~gone])
    assert np.array_equal(filled, fill(picture, gone))


def test_a_pattern_goes_on_through_the_hole():
    picture, gone = stripes(), hole()
    holed = np.where(gone[..., None], np.uint8(255), picture)
    filled = fill_patches(holed, gone).astype(int)
    assert np.abs(filled - picture)[gone].mean() < 30


def test_a_plain_wall_goes_on_without_a_trace():
    columns = np.linspace(40, 220, 128)
    wall = np.broadcast_to(columns[None, :, None], (96, 128, 3)).astype(np.uint8)
    gone = hole()
    holed = np.where(gone[..., None], np.uint8(0), wall)
    assert np.abs(fill_background(holed, gone).astype(int) - wall).max() <= 3


def test_nothing_known_and_nothing_to_fill_are_no_trouble():
    picture = stripes()
    for gone in (np.zeros((96, 128), bool), np.ones((96, 128), bool)):
        assert fill_background(picture, gone).shape == picture.shape
        assert fill_patches(picture, gone).shape == picture.shape


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (3, 4), (33, 20)])
def test_colours_are_continued_in_pictures_of_any_size(size):
    rng = np.random.default_rng(1)
    colours = rng.uniform(0, 255, (*size, 3)).astype(np.float32)
    weight = np.zeros(size, np.float32)
    weight[0, 0] = 1
    filled = fill_smoothly(colours, weight)
    assert np.allclose(filled, colours[0, 0], atol=1e-2)
