# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a scene is rendered: frames, rate, size; and the memory of it beside the job.

Frames are numbered as the scene's. A `Shot` is made when a button is pressed and holds from then
on, whatever becomes of the settings; its file in the job's folder (``shot.json``) says for good
which scene's frames the pictures belong to.
"""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from marionext.codec import decode, encode
from marionext.errors import SettingsError
from marionext.files import write_json
from marionext.frames import FrameRate, format_frames
from marionext.pose import PoseTrack

from ..scene.cameras import Frame
from ..scene.choices import (
    chosen_camera,
    file_name,
    frame_numbers,
    frame_rate,
    render_size,
    scene_range,
    scene_rate,
)
from ..scene.identity import identity_of
from .folders import Kind

__all__ = [
    "SHOT_FILE",
    "Shot",
    "on_its_own_numbers",
    "read_shot",
    "shot_of",
    "write_shot",
]

SHOT_FILE = "shot.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What is recorded, and how it is numbered."""

    kind: Kind
    file: str
    """Name of the .blend file; empty: it was never saved."""
    scene: str
    first: int
    """Number of the first frame, which is the scene's frame of that number."""
    count: int
    """Of the frames that are rendered."""
    step: int
    """Between the numbers of two of them."""
    last_frame: int
    """The scene's last frame in the range."""
    rate: FrameRate
    """Numbers per second."""
    scene_rate: FrameRate
    """The scene's frames per second."""
    size: tuple[int, int]
    """Of the pictures, in pixels."""
    frame: Frame
    fit: Literal["CROP", "LETTERBOX"]
    """What becomes of the scene's frame where the pictures have another shape."""
    camera: str
    """Name of the one camera that was chosen; empty: the scene's, with its markers."""
    identity: str = ""
    """Of the scene; empty in folders of earlier versions."""
    title: str = ""
    """What the user calls it; empty: as its folder."""

    @property
    def numbers(self) -> range:
        """The numbers of the frames that are rendered."""
        return range(self.first, self.first + (self.count - 1) * self.step + 1, self.step)

    @property
    def per_frame(self) -> Fraction:
        """Numbers for each frame of the scene."""
        return self.rate.fraction / self.scene_rate.fraction

    @property
    def times(self) -> tuple[Fraction, ...]:
        """The scene's frame, maybe between two, for each number."""
        return tuple(self.time_of(number) for number in self.numbers)

    def time_of(self, number: int) -> Fraction:
        """Return the scene's frame of one number."""
        return self.first + (number - self.first) / self.per_frame

    @property
    def rendered_rate(self) -> FrameRate:
        """Rendered frames per second."""
        return FrameRate(self.rate.fraction / self.step)

    @property
    def selection(self) -> str | None:
        """The numbers as a job names them, where some are left out."""
        return format_frames(tuple(self.numbers)) if self.step > 1 else None


def shot_of(scene: Any, kind: Kind = "RENDER") -> Shot:
    """Return what is to be recorded of a scene.

    Raises:
        SettingsError: the range is empty or absurdly long.
    """
    settings = scene.marionext
    numbers = frame_numbers(scene)
    chosen = chosen_camera(scene)
    return Shot(
        kind=kind,
        file=file_name(),
        scene=scene.name,
        first=numbers.start,
        count=len(numbers),
        step=numbers.step,
        last_frame=scene_range(scene)[1],
        rate=frame_rate(scene),
        scene_rate=scene_rate(scene),
        size=render_size(scene, draft=kind == "DRAFT"),
        frame=Frame.of(scene),
        fit=settings.fit,
        camera="" if chosen is None else chosen.name,
        identity=identity_of(scene),
    )


def on_its_own_numbers(track: PoseTrack, shot: Shot) -> PoseTrack:
    """Return the track with every pose at its frame's number, held until the next one.

    A track has no gaps; the job renders the numbers that were recorded and no others.
    """
    count = shot.numbers[-1] - shot.first + 1
    return track.with_(
        points=np.repeat(track.points, shot.step, axis=0)[:count],
        scores=np.repeat(track.scores, shot.step, axis=0)[:count],
        depths=np.repeat(track.depths, shot.step, axis=0)[:count],
        rate=shot.rate,
    )


def write_shot(shot: Shot, folder: Path) -> None:
    """Write a shot beside its job.

    Raises:
        OutputError: it cannot be written.
    """
    write_json(folder / SHOT_FILE, encode(shot))


def read_shot(folder: Path) -> Shot:
    """Read the shot of a job's folder.

    Raises:
        SettingsError: there is none, or it cannot be read.
    """
    path = folder / SHOT_FILE
    try:
        return decode(Shot, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
