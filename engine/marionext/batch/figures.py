"""What a finished render looks like in a few figures and two pictures, for a report.

The figures need no truth to compare with; they tell shots that want a look from those that do not.
A sample of the frames is read, so that a long shot takes no longer than a short one.

* sharpness: mean difference of pixels side by side, of 255. Blurred frames have a low one.
* flicker: mean difference of a frame from the middle between the frames before and after it, of
  255. Steady motion has next to none.
* seam: difference between neighbouring frames where two windows or takes join, as a part of that
  elsewhere. 1: nothing shows.
* pose match: share of the wanted body joints that a detector finds in the frames within a tenth of
  the figure's height.
"""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from marionext.casting import read_picture
from marionext.diffusion import plan_windows
from marionext.errors import EngineError
from marionext.hosts import frame_path
from marionext.jobs import MotionSource, PoseSettings, RenderJob
from marionext.output import Pictures
from marionext.pose import PoseTrack, person_sizes
from marionext.record import RECORD, Record
from marionext.reporting import silent
from marionext.settings import SvdSettings
from marionext.sources import open_motion
from marionext.staging import Staged
from marionext.verifying import render_of

__all__ = ["Figures", "look_at"]

logger = logging.getLogger(__name__)

_TRIPLES = 32
_JOINS = 16
_LOOKED_AT = 3
"""Frames in which a pose is looked for, which takes a second each."""
_BODY = 18
_SEEN = 0.3
_NEAR = 0.1
_SHEET = (6, 2)
"""Columns and rows of the contact sheet."""
_CELL = 144
"""Longer side of a picture on it, in pixels."""
_THUMBNAIL = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured; None: it cannot be told of this shot."""

    frames: int
    size: tuple[int, int]
    sharpness: float | None
    flicker: float | None
    seam: float | None
    pose_match: float | None
    """0 to 1."""
    thumbnail: bytes
    """JPEG."""
    contact_sheet: bytes
    """JPEG."""


def look_at(folder: Path) -> Figures:
    """Measure a finished render.

    Raises:
        EngineError: its record or a frame cannot be read.
    """
    record = Record.read(folder / RECORD)
    numbers = record.numbers
    frames = Pictures.of_files([frame_path(folder, number) for number in numbers])
    job = render_of(folder, record.job)
    sharpness, flicker, seam = _moving(frames, _joins(record, job))
    return Figures(
        frames=len(numbers),
        size=record.size,
        sharpness=sharpness,
        flicker=flicker,
        seam=seam,
        pose_match=_pose_match(folder, record, job, frames),
        thumbnail=_jpeg(_shrunk(frames.at(frames.count // 2), _THUMBNAIL)),
        contact_sheet=_jpeg(_sheet(frames)),
    )


def _spread(count: int, most: int) -> list[int]:
    """Return up to ``most`` places of ``count``, evenly spread."""
    return sorted({int(place) for place in np.linspace(0, count - 1, min(most, count))})


def _joins(record: Record, job: RenderJob) -> list[int]:
    """Return the place of each frame that is followed by one of other windows, or another take."""
    count = len(record.numbers)
    takes = [record.take_of(number) for number in record.numbers]
    of: list[object] = list(takes)
    if isinstance(job.settings, SvdSettings):
        windows = plan_windows(count, job.settings.window, job.settings.overlap)
        sets = [frozenset(window.frames) for window in windows]
        of = [
            (take, tuple(place + 1 in frames for frames in sets))
            for place, take in enumerate(takes)
        ]
    return [place for place, (one, two) in enumerate(pairwise(of)) if one != two]


def _moving(
    frames: Pictures, joins: Sequence[int]
) -> tuple[float | None, float | None, float | None]:
    """Return sharpness, flicker and seam."""
    if frames.count < 3:
        return _sharpness(_grey(frames.at(0))), None, None
    joined = set(joins)
    sharp, flicker, elsewhere = [], [], []
    for place in _spread(frames.count - 2, _TRIPLES):
        before, middle, after = (_grey(frames.at(place + step)) for step in range(3))
        sharp.append(_sharpness(middle))
        flicker.append(float(np.abs(middle - (before + after) / 2).mean()))
        for step, (one, two) in enumerate(pairwise((before, middle, after))):
            if place + step not in joined:
                elsewhere.append(float(np.abs(one - two).mean()))
    at = [
        float(np.abs(_grey(frames.at(place)) - _grey(frames.at(place + 1))).mean())
        for place in (joins[index] for index in _spread(len(joins), _JOINS))
    ]
    usual = float(np.mean(elsewhere)) if elsewhere else 0.0
    seam = float(np.mean(at)) / usual if at and usual > 0 else None
    return float(np.mean(sharp)), float(np.mean(flicker)), seam


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(picture.mean(axis=2, dtype=np.float32), np.float32)


def _sharpness(grey: NDArray[np.float32]) -> float:
    return float(np.abs(np.diff(grey, axis=1)).mean())


def _pose_match(folder: Path, record: Record, job: RenderJob, frames: Pictures) -> float | None:
    """Return how many of the wanted joints are where they should be; None: nobody can tell."""
    try:
        wanted = _wanted(folder, job)
        from marionext import capture  # noqa: PLC0415 - loads a detector

        found, total = 0, 0
        size = float(person_sizes(wanted).max())
        for place in _spread(frames.count, _LOOKED_AT):
            index = record.numbers[place] - wanted.first
            seen = wanted.scores[index, 0, :_BODY] > _SEEN
            total += int(seen.sum())
            try:
                track = capture.detect_picture(frames.at(place), detector=job.motion.detector)
            except EngineError as error:
                if error.code == "model":
                    return None  # there is no detector here
                continue  # nobody was found
            distance = np.hypot(*(track.points[0, 0, :_BODY] - wanted.points[index, 0, :_BODY]).T)
            near = (distance <= _NEAR * size) & (track.scores[0, 0, :_BODY] > 0)
            found += int((near & seen).sum())
    except (EngineError, IndexError, ValueError):
        logger.info("the pose match of %s cannot be told", folder, exc_info=True)
        return None
    return found / total if total else None


def _wanted(folder: Path, job: RenderJob) -> PoseTrack:
    """Return the poses that the frames were to show, in their pixels."""
    poses = MotionSource(path=str(folder / "poses.npz"), kind="track", person="all")
    settings = PoseSettings(fit=job.pose.fit, clean=False)
    again = replace(job, motion=replace(poses, detector=job.motion.detector), pose=settings)
    motion = open_motion(again.motion)
    return Staged(again, motion, read_picture(Path(job.character)), silent()).fitted


def _sheet(frames: Pictures) -> NDArray[np.uint8]:
    """Return up to twelve frames side by side and below one another."""
    columns, rows = _SHEET
    pictures = [_shrunk(frames.at(place), _CELL) for place in _spread(frames.count, columns * rows)]
    height, width = pictures[0].shape[:2]
    used = -(-len(pictures) // columns)
    sheet = np.full((used * height, min(columns, len(pictures)) * width, 3), 24, np.uint8)
    for place, picture in enumerate(pictures):
        top, left = place // columns * height, place % columns * width
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _shrunk(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS), np.uint8)


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=82)
    return content.getvalue()
