"""The rate of a clip that has keys and no frames."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marionext.frames import FrameRate
from marionext.motion.rates import rate_of_keys

USUAL = ("24", "25", "30", "60", "24000/1001", "30000/1001")


@pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("rate", ["24", "25", "30"])
def test_keys_every_few_frames_are_a_clip_of_that_rate(rate: str, every: int) -> None:
    exact = FrameRate.parse(rate)
    keys = np.float32([float(i * every / exact.fraction) for i in range(40)]).astype(float)
    found, note = rate_of_keys([keys])
    if (rate, every) == ("24", 4) or (rate, every) == ("25", 5):
        assert found == FrameRate(Fraction(30)), "keys every 1/6 or 1/5 s lie on its frames, too"
    else:
        assert found == exact
    assert f"{found} frames per second" in note


@example(rate="60", gaps=[3, 3, 3], start=0)
@example(rate="60", gaps=[3] * 60, start=7)
@given(
    rate=st.sampled_from(USUAL),
    gaps=st.lists(st.integers(1, 9), min_size=3, max_size=60),
    start=st.integers(0, 100),
)
def test_keys_lie_on_frames_of_what_is_concluded(rate: str, gaps: list[int], start: int) -> None:
    exact = FrameRate.parse(rate).fraction
    frames = start + np.cumsum([0, *gaps, 1, 1])
    keys = np.float32([float(int(frame) / exact) for frame in frames]).astype(float)
    found, _ = rate_of_keys([keys, keys[:2]])
    places = (keys - keys[0]) * float(found)
    np.testing.assert_allclose(places, np.round(places), atol=0.05)


def test_a_clip_baked_at_20_is_one_of_20() -> None:
    assert rate_of_keys([np.arange(80) / 20])[0] == FrameRate(Fraction(20))


def test_keys_that_lie_on_no_grid_are_said() -> None:
    keys = np.array([0.0, 0.0171, 0.2933, 0.5107, 1.1713])
    found, note = rate_of_keys([keys])
    assert found == FrameRate(Fraction(30))
    assert "no usual rate" in note
    assert "--source-rate" in note


def test_stray_keys_do_not_multiply_the_rate() -> None:
    baked = np.arange(100) / 24
    found, note = rate_of_keys([baked, np.array([0.1013, 0.7177, 1.3331, 2.4149])])
    assert found == FrameRate(Fraction(24))
    assert note == "a key every 0.04167 s: 24 frames per second"


def test_a_single_key_tells_nothing() -> None:
    assert rate_of_keys([np.array([1.0])])[0] == FrameRate(Fraction(30))
    assert rate_of_keys([])[0] == FrameRate(Fraction(30))
