import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from marionext.doll import Doll, is_flat, make_doll
from marionext.training.figures.clips import make_clip

Pictures = NDArray[np.uint8]


def doll_of(seed: int, size: tuple[int, int], grain: float = 0, quality: int = 0) -> Doll:
    """The doll of a drawn figure, with grain as of a photograph, through JPEG."""
    clip = make_clip(seed, 1, size)
    picture = clip.frames[0]
    if grain:
        noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, picture.shape), (0, 0), 1)
        picture = np.clip(picture + grain * noise / noise.std(), 0, 255).astype(np.uint8)
    if quality:
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return make_doll(picture, clip.points[0, 0], clip.scores[0, 0])


@pytest.mark.parametrize("size", [(128, 192), (384, 576), (640, 960)])
def test_a_drawn_figure_is_flat_at_any_size(size: tuple[int, int]) -> None:
    assert is_flat(doll_of(51, size))


def test_a_drawing_saved_as_jpeg_is_flat() -> None:
    assert is_flat(doll_of(51, (384, 576), quality=92))


@pytest.mark.parametrize("size", [(128, 192), (384, 576), (640, 960)])
def test_a_figure_with_the_grain_of_a_photograph_is_not(size: tuple[int, int]) -> None:
    assert not is_flat(doll_of(51, size, grain=8 * size[1] / 512 if size[1] > 512 else 8))
