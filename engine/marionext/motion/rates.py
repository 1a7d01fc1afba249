"""The exact frame rate that a rounded time between frames stands for."""

from fractions import Fraction

from marionext.frames import FrameRate

__all__ = ["nearest_rate"]

_WHOLE = (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 75, 90, 96, 100, 120, 144, 150, 180, 200)
_FAST = (240, 300, 360, 480, 1000)
_NTSC = (24, 30, 48, 60, 120)


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
