# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a job: `Record`, made for a new one or read from an earlier one's folder."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from marionext.jobs import read_job

from .folders import JOB_FILE, Kind

__all__ = ["Record", "mirror", "read_record", "renders_in"]

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
    preparation: Iterator[float] | None = field(default=None, metadata={"inside": True})
    patient: bool = field(default=True, metadata={"inside": True})
    """Recorded in small steps."""

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in {"QUEUED", "RUNNING"}


_MIRRORED = tuple(entry.name for entry in fields(Record) if not entry.metadata.get("inside"))


def mirror(record: Record, item: Any) -> None:
    """Bring a record to its `properties.MarionextJob`, which the sidebar shows."""
    for name in _MIRRORED:
        value = getattr(record, name)
        # Writing a property, even the same value, tells every listener: only what differs.
        if getattr(item, name) != value:
            setattr(item, name, value)


def renders_in(root: Path) -> list[Path]:
    """Return the newest job folders of a root, the oldest of them first."""
    try:
        found = [file.parent for file in root.glob(f"*/{JOB_FILE}")]
        found.sort(key=lambda folder: (folder / JOB_FILE).stat().st_mtime)
    except OSError:
        return []
    return found[-_REMEMBERED:]


def read_record(folder: Path, scene: Any, job_id: str) -> Record:
    """Return the record of a folder that an earlier session has left.

    Raises:
        SettingsError: its job file cannot be read.
        ValueError: its record of the render cannot be read.
    """
    read_job(folder / JOB_FILE)
    record = Record(
        job_id=job_id, name=folder.name, kind="RENDER", folder=str(folder), scene_name=scene.name
    )
    manifest = folder / "render.json"
    if not manifest.is_file():
        if (folder / "posemaps").is_dir():
            record.kind, record.state, record.message = "POSE_MAPS", "FINISHED", "Pose maps"
        return record
    told = json.loads(manifest.read_text(encoding="utf-8"))
    numbers = [int(number) for number in told["numbers"]]
    record.first_frame, record.frame_count = numbers[0], len(numbers)
    record.step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    record.frames_done = len(told["frames"])
    record.video = next((str(folder / name) for name in told.get("videos", {})), "")
    if told["stage"]["name"] == "finished":
        record.state, record.progress = "FINISHED", 1.0
        record.message = f"{len(numbers)} frames"
    return record
