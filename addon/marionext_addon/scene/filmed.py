# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion that comes from a file and not from a rig: a pose track, or what was read of a video.

Its first frame lies at a frame of the scene; each frame of the scene shows the pose of that moment.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from marionext.errors import MotionError
from marionext.frames import FrameRate
from marionext.pose import PoseTrack
from marionext.pose.formats import read_native

from ..state.paths import absolute
from . import choices
from .cameras import Frame

__all__ = ["form_of", "is_filmed", "last_frame", "poses_at", "track_of"]

_kept: dict[str, tuple[int, PoseTrack]] = {}
"""The last tracks that were read, by path, with the time of the file."""
_MOST_KEPT = 4


def is_filmed(scene: Any) -> bool:
    """Tell whether a scene's motion comes from a file."""
    return bool(scene.marionext.motion_source == "FILE")


def form_of(scene: Any) -> object:
    """Return what changes when the poses of a scene's file do; None: its motion is of rigs."""
    if not is_filmed(scene):
        return None
    settings = scene.marionext
    path = absolute(settings.motion_track)
    moment = path.stat().st_mtime_ns if settings.motion_track and path.is_file() else 0
    return settings.motion_file, settings.motion_track, moment, settings.motion_start


def track_of(scene: Any) -> PoseTrack:
    """Return the poses of a scene's file.

    Raises:
        MotionError: no file is chosen, or its poses have not been read yet.
    """
    settings = scene.marionext
    if not settings.motion_file:
        raise MotionError(
            "no motion is chosen", hint="Choose a video or a pose track in the Rig panel."
        )
    path = absolute(settings.motion_track)
    if not settings.motion_track or not path.is_file():
        raise MotionError(
            f"the poses of {Path(settings.motion_file).name} were not read yet",
            hint="Press Read Poses in the Rig panel.",
        )
    moment = path.stat().st_mtime_ns
    known = _kept.get(str(path))
    if known is None or known[0] != moment:
        while len(_kept) >= _MOST_KEPT:
            del _kept[next(iter(_kept))]
        known = _kept[str(path)] = (moment, read_native(path))
    return known[1]


def last_frame(scene: Any, track: PoseTrack) -> int:
    """Return the scene's frame at which the last pose is shown."""
    per_frame = track.rate.fraction / choices.scene_rate(scene).fraction
    return int(scene.marionext.motion_start + (len(track) - 1) / per_frame)


def poses_at(
    scene: Any,
    times: Sequence[Fraction],
    size: tuple[int, int],
    *,
    fit: str,
    rate: FrameRate,
    first: int,
) -> PoseTrack:
    """Return the poses that frames of the scene show, in the render's picture.

    Args:
        scene: with its settings.
        times: frames of the scene.
        size: of the picture.
        fit: what becomes of the video's frame in it: ``CROP`` or ``LETTERBOX``.
        rate: of the result.
        first: number of the first frame of the result.

    Returns:
        One pose for each time, that of the frame which a player shows then; before the beginning
        and after the end there is nobody.

    Raises:
        MotionError: there are no poses yet.
    """
    track = track_of(scene)
    per_frame = track.rate.fraction / choices.scene_rate(scene).fraction
    start = scene.marionext.motion_start
    rows = np.array([int((time - start) * per_frame // 1) for time in times])
    there = (rows >= 0) & (rows < len(track))
    rows = np.clip(rows, 0, len(track) - 1)
    wide, high = Frame(track.size[0], track.size[1], 1.0).laid_over(size, fit)
    scale = wide / track.size[0]
    corner = np.array([(size[0] - wide) / 2, (size[1] - high) / 2])
    scores = track.scores[rows] * there[:, None, None]
    points = track.points[rows] * scale + corner
    inside = (points >= 0).all(axis=-1) & (points < size).all(axis=-1)
    return PoseTrack(
        points=points.astype(np.float32),
        scores=(scores * inside).astype(np.float32),
        size=size,
        rate=rate,
        first=first,
    )
