"""Drawn figures with known keypoints, and dolls made of them."""

from functools import cache

import cv2
import numpy as np
import pytest

from marionext.doll import Doll, make_doll
from marionext.training.figures.clips import Clip, make_clip

FACING = 1_000_001_037
"""Seed of a figure that faces the viewer, before a plain wall."""


@cache
def _clip_of(seed: int = FACING, size: tuple[int, int] = (128, 192), frames: int = 4) -> Clip:
    return make_clip(seed, frames, size)


@cache
def _doll_of(seed: int = FACING) -> Doll:
    clip = _clip_of(seed)
    return make_doll(clip.frames[0], clip.points[0, 0], clip.scores[0, 0])


def _psnr(one: np.ndarray, two: np.ndarray) -> float:
    error = float(np.square(one.astype(float) - two).mean())
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.fixture(scope="session")
def clip_of():
    """Draws a clip of a figure: by seed and size."""
    return _clip_of


@pytest.fixture(scope="session")
def doll_of():
    """Makes the doll of a clip's first picture."""
    return _doll_of


@pytest.fixture(scope="session")
def psnr():
    """Tells how alike two pictures are, in dB."""
    return _psnr


@pytest.fixture(autouse=True)
def _one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)
