"""Cover a long clip with overlapping windows of the length the video model was trained on.

Each denoising step predicts every window on its own and averages the predictions of the frames
that windows share, so that neighbours agree at every noise level and no seam is left to hide
afterwards (temporal co-denoising: Wang et al. 2023, "Gen-L-Video", arXiv:2305.18264).

ControlNeXt-SVD v2 begins every window with the pose of the character's picture. This first place,
the *reference slot*, ties the window to the picture and is never shown. There are two plans:

`plan_reference_windows` is that of the released code: the first place of a later window holds
some frame of the clip that is shown the picture's pose and whose prediction is thrown away. The
last window is pushed back against the end, where it repeats most of its neighbour.

`plan_windows` is ours, at the same cost: the slot is one frame of its own that all windows share,
so what stands in the first place is what its pose map says. The slack is spread over all the
seams, and neighbours cross-fade over what they share. A plan can also be shifted by half a window,
so that a frame at a seam in one step is in the middle of a window in the next.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.errors import SettingsError

__all__ = ["Window", "plan_reference_windows", "plan_windows"]


@dataclass(frozen=True, slots=True)
class Window:
    """Frames denoised together. Frame 0 is the reference slot, 1 to N are the clip's.

    The three fields have one entry for each place of the window.
    """

    frames: tuple[int, ...]
    """Which frame's latents stand there."""
    control: tuple[int, ...]
    """Whose pose map is shown there."""
    weights: tuple[float, ...]
    """Part of that frame's average taken from here: those of one frame sum to 1 over a plan."""


def _check(frames: int, length: int, overlap: int) -> None:
    if frames < 1:
        raise SettingsError(f"a clip has at least one frame, got {frames}")
    if length < 2:
        raise SettingsError(f"window: expected at least 2 frames, got {length}")
    if not 0 <= overlap < length:
        raise SettingsError(
            f"overlap: expected 0 up to less than the window ({length}), got {overlap}"
        )


def plan_windows(
    frames: int,
    length: int,
    overlap: int,
    blend: Literal["crossfade", "uniform"] = "crossfade",
    *,
    shifted: bool = False,
) -> list[Window]:
    """Spread windows evenly over a clip, in order; each begins with the reference slot.

    Args:
        frames: frames of the clip without the slot, at least 1.
        length: places of a window, the slot among them (ControlNeXt-SVD v2: 24). A clip with fewer
            frames is one window of its own length.
        overlap: frames that neighbours share at least, the slot among them, in [0, length).
        blend: how frames that windows share are weighed.
        shifted: let the windows be where the seams are otherwise. The first and the last window
            are shorter then; a clip of one window stays as it is.

    Raises:
        SettingsError: an argument is outside its range.
    """
    _check(frames, length, overlap)
    body = min(length - 1, frames)
    shared = max(overlap - 1, 0)
    slack = frames - body
    seams = -(-slack // (body - shared)) if slack else 0  # ceiling division
    starts = [1 + slack * seam // seams for seam in range(seams + 1)] if seams else [1]
    spans = [(start, start + body) for start in starts]
    if shifted and seams:
        middles = [(one + two) // 2 for one, two in pairwise(starts)]
        spans = [
            (1, max(middles[0] + shared, 2)),
            *((start, start + body) for start in middles),
            (min(middles[-1] + body - shared, frames), frames + 1),
        ]
    weights = np.zeros((len(spans), frames + 1))
    for index, (start, stop) in enumerate(spans):
        weights[index, 0] = 1
        weights[index, start:stop] = 1
        if blend == "crossfade":
            if index > 0:
                end = min(spans[index - 1][1], stop)
                weights[index, start:end] *= _ramp(end - start)
            if index + 1 < len(spans):
                begin = max(spans[index + 1][0], start)
                weights[index, begin:stop] *= _ramp(stop - begin)[::-1]
    weights /= weights.sum(axis=0)
    windows = []
    for (start, stop), row in zip(spans, weights, strict=True):
        places = (0, *range(start, stop))
        windows.append(Window(places, places, tuple(row[list(places)].tolist())))
    return windows


def plan_reference_windows(frames: int, length: int, overlap: int) -> list[Window]:
    """Place windows as the released ControlNeXt-SVD v2 code does, averaged uniformly.

    Args:
        frames: frames of the clip without the slot, at least 1.
        length: places of a window.
        overlap: frames that neighbours share at least, in [1, length): with 0 the released code
            divides by zero, as the first place of a later window does not count.

    Raises:
        SettingsError: an argument is outside its range.
    """
    _check(frames, length, overlap)
    total = frames + 1
    if total <= length:
        starts = [0]
        length = total
    else:
        if overlap == 0:
            raise SettingsError(
                "overlap: the reference's windows need at least 1, got 0",
                hint="Raise overlap, or turn parity off.",
            )
        stride = length - overlap
        starts = [min(start, total - length) for start in range(0, total - overlap, stride)]
    counts = np.zeros(total)
    for start in starts:
        counts[start + (start > 0) : start + length] += 1
    windows = []
    for start in starts:
        places = tuple(range(start, start + length))
        weights = [1 / count for count in counts[start : start + length].tolist()]
        if start > 0:
            weights[0] = 0.0
        windows.append(Window(places, (0, *places[1:]), tuple(weights)))
    return windows


def _ramp(length: int) -> NDArray[np.float64]:
    """Return ``length`` weights that rise and never reach 0 or 1; none for none."""
    length = max(length, 0)
    return np.arange(1, length + 1) / (length + 1)
