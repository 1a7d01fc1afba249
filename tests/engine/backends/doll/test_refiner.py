from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from marionext.backends.doll.refiner import Refiner, RefinerNetwork
from marionext.doll import PART_NAMES, Drawn
from marionext.errors import ModelError
from marionext.skeleton import POINT_COUNT

SIZE = (128, 192)
NOBODY = np.zeros((1, POINT_COUNT, 2), np.float32), np.zeros((1, POINT_COUNT), np.float32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that change what they may: an untrained network's, as they are kept."""
    torch.manual_seed(0)
    values = {name: value.half() for name, value in RefinerNetwork().state_dict().items()}
    for name in ("head.weight", "flow.weight"):
        values[name] *= 30
    path = tmp_path_factory.mktemp("weights") / "refiner.safetensors"
    save_file(values, path)
    return path


def drawn(size: tuple[int, int], box: tuple[slice, slice] | None) -> Drawn:
    """A noisy picture with a figure in a box, before a background that was seen."""
    width, height = size
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    coverage = np.zeros((height, width), np.float32)
    if box:
        coverage[box] = 1
    parts = (coverage > 0.5).astype(np.uint8)
    return Drawn(picture, coverage, np.ones_like(coverage), parts)


def background(size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.full((size[1], size[0], 3), 90, np.uint8)


def test_the_weights_are_small_enough_to_be_shipped(weights: Path) -> None:
    assert weights.stat().st_size <= 12_000_000


@pytest.mark.parametrize(("size", "limit"), [((256, 384), 10), ((576, 1024), 13)])
def test_a_frame_costs_what_was_planned(weights: Path, size: tuple[int, int], limit: float) -> None:
    refiner = Refiner.load(weights, size)
    with FlopCounterMode(display=False) as counted:
        refiner.refine(drawn(size, None), *NOBODY, background(size))
    assert 3e9 < counted.get_total_flops() < limit * 1e9


@pytest.mark.parametrize("size", [SIZE, (100, 150), (65, 47), (405, 720)])
def test_pictures_of_any_size_are_mended(weights: Path, size: tuple[int, int]) -> None:
    width, height = size
    box = np.s_[height // 3 : height // 2, width // 3 : width // 2]
    before = drawn(size, box)
    after = Refiner.load(weights, size).refine(before, *NOBODY, background(size))
    assert after.shape == before.picture.shape
    assert after.dtype == np.uint8
    assert (after[box] != before.picture[box]).any()


def test_where_nobody_is_near_the_picture_is_left_as_it_is(weights: Path) -> None:
    box = np.s_[80:100, 50:70]
    before = drawn(SIZE, box)
    after = Refiner.load(weights, SIZE).refine(before, *NOBODY, background(SIZE))
    touched = np.nonzero((after != before.picture).any(axis=-1))
    assert len(touched[0]) >= 20 * 20 * 0.9
    for places, low, high in ((touched[0], 80, 100), (touched[1], 50, 70)):
        assert low - 12 <= places.min()
        assert places.max() < high + 12


def test_a_head_is_left_as_it_was_drawn(weights: Path) -> None:
    box = np.s_[60:130, 40:90]
    before = drawn(SIZE, box)
    head = np.s_[60:90, 50:80]
    before.parts[head] = PART_NAMES.index("head")
    after = Refiner.load(weights, SIZE).refine(before, *NOBODY, background(SIZE))
    assert (after[head] == before.picture[head]).all()
    assert (after[95:130, 40:90] != before.picture[95:130, 40:90]).any()


def test_without_anybody_the_picture_is_left_as_it_is(weights: Path) -> None:
    before = drawn(SIZE, None)
    after = Refiner.load(weights, SIZE).refine(before, *NOBODY, background(SIZE))
    assert np.array_equal(after, before.picture)


def test_a_background_that_was_made_up_may_be_mended(weights: Path) -> None:
    before = drawn(SIZE, None)
    before.validity[20:40, 20:40] = 0
    after = Refiner.load(weights, SIZE).refine(before, *NOBODY, background(SIZE))
    assert (after[20:40, 20:40] != before.picture[20:40, 20:40]).any()


def test_frames_do_not_know_each_other(weights: Path) -> None:
    refiner = Refiner.load(weights, SIZE)
    frame = drawn(SIZE, np.s_[80:100, 50:70])
    other = drawn(SIZE, np.s_[20:180, 10:100])
    first = refiner.refine(frame, *NOBODY, background(SIZE))
    refiner.refine(other, *NOBODY, background(SIZE))
    again = refiner.refine(frame, *NOBODY, background(SIZE))
    fresh = Refiner.load(weights, SIZE).refine(frame, *NOBODY, background(SIZE))
    assert np.array_equal(first, again)
    assert np.array_equal(first, fresh)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "refiner.safetensors"
    save_file({"stem.weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="not the weights of this network"):
        Refiner.load(path, SIZE)
