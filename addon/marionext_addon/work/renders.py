# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a job: `Record`, made for a new one or read from an earlier one's folder."""

import json
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from marionext.errors import EngineError
from marionext.jobs import read_job

from ..scene.choices import file_name
from . import shots
from .folders import JOB_FILE, Kind
from .preparing import Preparation
from .shots import Shot

__all__ = ["Record", "mirror", "read_record", "renders_of"]

_REMEMBERED = 8
"""Earlier renders of a file that are listed again when it is opened."""


@dataclass(slots=True)
class Record:
    """One job, as far as it is; the fields of `properties.MarionextJob` and what stays inside."""

    job_id: str
    name: str
    kind: Kind
    folder: str
    scene_name: str
    state: str = "QUEUED"
    progress: float = 0.0
    message: str = ""
    hint: str = ""
    seconds_left: float = -1.0
    preview: str = ""
    first_frame: int = 0
    frame_count: int = 0
    step: int = 1
    frames_done: int = 0
    video: str = ""
    code: str = field(default="", metadata={"inside": True})
    """Of a failure, as the protocol has it."""
    exit_status: int = field(default=0, metadata={"inside": True})
    warnings: list[str] = field(default_factory=list, metadata={"inside": True})
    file: str = field(default="", metadata={"inside": True})
    """Name of the .blend file that it was made of; empty: it was never saved."""
    lost: bool = field(default=False, metadata={"inside": True})
    """Whether that file was closed before the motion was recorded."""
    preparation: Preparation | None = field(default=None, metadata={"inside": True})
    patient: bool = field(default=True, metadata={"inside": True})
    """Recorded in small steps."""
    hand_over: bool = field(default=False, metadata={"inside": True})
    """Only recorded: another computer renders it."""

    @classmethod
    def of(cls, shot: Shot, folder: Path, job_id: str) -> Self:
        """Return the record of a shot that waits to be rendered."""
        record = cls(
            job_id=job_id, name=folder.name, kind=shot.kind, folder=str(folder), scene_name=""
        )
        record.show(shot)
        return record

    def show(self, shot: Shot) -> None:
        """Take over what a shot says."""
        self.kind, self.file, self.scene_name = shot.kind, shot.file, shot.scene
        self.first_frame, self.frame_count, self.step = shot.first, shot.count, shot.step

    @property
    def is_open(self) -> bool:
        """Whether it is being recorded, waits or runs."""
        return self.state in {"RECORDING", "QUEUED", "RUNNING"}


_MIRRORED = tuple(entry.name for entry in fields(Record) if not entry.metadata.get("inside"))


def mirror(record: Record, item: Any) -> None:
    """Bring a record to its `properties.MarionextJob`, which the sidebar shows."""
    for name in _MIRRORED:
        value = getattr(record, name)
        # Writing a property, even the same value, tells every listener: only what differs.
        if getattr(item, name) != value:
            setattr(item, name, value)


def renders_of(scene: Any, root: Path) -> list[Path]:
    """Return the newest job folders under a root that were made of a scene, the oldest first.

    Several files may keep their renders in one folder: the shot beside each job says whose it is.
    """
    try:
        found = sorted(
            (file.parent for file in root.glob(f"*/{JOB_FILE}")),
            key=lambda folder: (folder / JOB_FILE).stat().st_mtime,
        )
    except OSError:
        return []
    own: list[Path] = []
    for folder in reversed(found):
        # A folder that is not ours, or damaged, is not listed.
        with suppress(EngineError):
            shot = shots.read_shot(folder)
            if shot.file and (shot.file, shot.scene) == (file_name(), scene.name):
                own.insert(0, folder)
        if len(own) == _REMEMBERED:
            break
    return own


def read_record(folder: Path, job_id: str) -> Record:
    """Return the record of a folder that an earlier session has left.

    Raises:
        SettingsError: its job file or its shot cannot be read.
        ValueError: its record of the render cannot be read.
    """
    read_job(folder / JOB_FILE)
    shot = shots.read_shot(folder)
    record = Record.of(shot, folder, job_id)
    if shot.kind == "POSE_MAPS":
        maps = (folder / "posemaps" / f"{number:06d}.png" for number in shot.numbers)
        record.frames_done = sum(1 for path in maps if path.is_file() and path.stat().st_size)
        finished = record.frames_done == shot.count
    else:
        finished = False
        manifest = folder / "render.json"
        if manifest.is_file():
            told = json.loads(manifest.read_text(encoding="utf-8"))
            record.frames_done = len(told["frames"])
            record.video = next((str(folder / name) for name in told.get("videos", {})), "")
            finished = told["stage"]["name"] == "finished"
    if finished:
        record.state, record.progress = "FINISHED", 1.0
        record.message = f"{shot.count} frames"
    return record
