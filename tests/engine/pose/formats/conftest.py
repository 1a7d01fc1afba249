"""Random tracks."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import strategies as st

from marionext.frames import FrameRate
from marionext.pose import PoseTrack
from marionext.pose.skeleton import POINT_COUNT


@st.composite
def tracks(draw, least_people=1, tidy=True):
    """Tracks of up to 5 frames with gaps; unknown points are at 0 if tidy."""
    frames, count = draw(st.integers(1, 5)), draw(st.integers(least_people, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width, height = draw(st.tuples(st.integers(16, 4096), st.integers(16, 4096)))
    spread = draw(st.sampled_from([0.1, 1.0, 3.0]))
    points = rng.normal(0.5, spread, (frames, count, POINT_COUNT, 2)) * [width, height]
    scores = rng.uniform(0.001, 1.05, (frames, count, POINT_COUNT)).astype(np.float32)
    scores[rng.uniform(size=scores.shape) < draw(st.sampled_from([0, 0.5]))] = 0
    scores[..., 0] = 0.7
    scores[rng.uniform(size=(frames, count)) < draw(st.sampled_from([0, 0.3]))] = 0
    scores[0, :, 0] = 0.7  # everybody is there once
    if tidy:
        points[scores == 0] = 0
    points[:1, :1, 0] = [width, height]  # never mistaken for coordinates of 0..1
    return PoseTrack(
        points=points,
        scores=scores,
        size=(width, height),
        rate=FrameRate(Fraction(draw(st.integers(2, 100_000)), draw(st.sampled_from([1, 1001])))),
        first=draw(st.integers(0, 10_000)),
    )


@pytest.fixture(scope="session")
def random_tracks():
    """The strategy."""
    return tracks


def same(track, other):
    """Compare two tracks to the last bit."""
    assert other.points.tobytes() == track.points.tobytes()
    assert other.scores.tobytes() == track.scores.tobytes()
    assert (other.size, other.rate, other.first) == (track.size, track.rate, track.first)


@pytest.fixture(scope="session")
def assert_same():
    """The comparison."""
    return same
