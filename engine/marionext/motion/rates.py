"""The exact frame rate that a rounded time between frames, or keys here and there, stand for."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from marionext.frames import FrameRate

__all__ = ["nearest_rate", "rate_of_keys"]

Floats = NDArray[np.float64]

_WHOLE = (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 75, 90, 96, 100, 120, 144, 150, 180, 200)
_FAST = (240, 300, 360, 480, 1000)
_NTSC = (24, 30, 48, 60, 120)
_GRIDS = (
    *(Fraction(rate) for rate in (30, 24, 25, 60, 50, 48, 120, 100, 90, 72, 240)),
    *(Fraction(rate * 1000, 1001) for rate in (30, 24, 60)),
)
"""Rates that keys may be set at, the likeliest first."""
_SLOWEST = 20
"""Keys that come less often than that many times a second are set every few frames of a clip."""
_FILM = Fraction(24000, 1001)
_DEFAULT = FrameRate(Fraction(30))
_MOST_KEYS = 20_000


def nearest_rate(seconds: Fraction, tolerance: Fraction) -> FrameRate | None:
    """Return the usual rate whose frames last that long, or None if none does.

    Whole rates go before NTSC's: where the digits cannot tell 24 from 24000/1001, it is 24.

    Args:
        seconds: time of a frame, greater than 0.
        tolerance: seconds that it may be off.
    """
    whole = [Fraction(rate) for rate in (*_WHOLE, *_FAST)]
    ntsc = [Fraction(rate * 1000, 1001) for rate in _NTSC]
    for rates in (whole, ntsc):
        near = [rate for rate in rates if abs(1 / rate - seconds) <= tolerance]
        if near:
            return FrameRate(min(near, key=lambda rate: abs(1 / rate - seconds)))
    return None


def rate_of_keys(tracks: Sequence[Floats]) -> tuple[FrameRate, str]:
    """Return the rate of a clip that holds keys and no frames, and how it was concluded.

    Baked clips have a key in every frame. Others have one in every third frame, or wherever there
    was need: all of them lie on the frames of the rate that the clip was made at.

    Args:
        tracks: for each the times of its keys in seconds, ascending.
    """
    keys = np.unique(np.concatenate(list(tracks))) if tracks else np.zeros(0)
    if len(keys) < 2:
        return _DEFAULT, f"no two keys: {_DEFAULT} frames per second taken"
    step = _usual_step(tracks)
    baked = None
    if step is not None:
        # 24 and 24000/1001 are a thousandth apart: first to the digits of float32, then roughly.
        near = (nearest_rate(Fraction(step), Fraction(step) / part) for part in (5000, 100))
        baked = next(filter(None, near), None)
    some = keys[:: max(1, len(keys) // _MOST_KEYS)]
    often = baked is not None and baked.fraction >= _SLOWEST
    if baked is not None and often and _lie_on(some, float(baked)):
        return baked, f"a key every {step:.4g} s: {baked} frames per second"
    # Keys between baked frames may be those of twice the rate; stray ones do not make it tenfold.
    # What comes less often than in films is rather every third frame of a faster clip.
    filmed = baked is not None and baked.fraction >= _FILM
    fastest = 2 * baked.fraction if baked is not None and filmed else max(_GRIDS)
    likely = (rate for rate in _GRIDS if rate <= fastest and _lie_on(some, float(rate)))
    grid = next(likely, None)
    if grid is not None:
        what = "all keys lie on its frames"
        if step is not None:
            what = f"a key every {step:.4g} s, which is {step * float(grid):.3g} frames"
        return FrameRate(grid), f"{FrameRate(grid)} frames per second: {what}"
    if baked is not None:
        return baked, f"a key every {step:.4g} s: {baked} frames per second"
    return _DEFAULT, (
        f"the keys lie on the frames of no usual rate: {_DEFAULT} frames per second taken "
        "(--source-rate says another)"
    )


def _usual_step(tracks: Sequence[Floats]) -> float | None:
    """Return the time between most neighbouring keys, in seconds."""
    steps = [np.diff(keys) for keys in tracks if len(keys) > 2]
    spaced = np.concatenate(steps) if steps else np.zeros(0)
    spaced = spaced[spaced > 1e-4]
    if not len(spaced):
        return None
    rounded, counts = np.unique(np.round(spaced, 4), return_counts=True)
    return float(np.median(spaced[np.abs(spaced - rounded[np.argmax(counts)]) < 2e-4]))


def _lie_on(keys: Floats, rate: float) -> bool:
    """Tell whether nearly all keys lie on frames, counted from the first key."""
    frames = (keys - keys[0]) * rate
    off = np.abs(frames - np.round(frames))
    return bool((off < 0.02 + 1e-6 * frames).mean() > 0.98)
