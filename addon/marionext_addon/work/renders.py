# SPDX-License-Identifier: GPL-3.0-or-later
"""One render as the sidebar lists it: `Render`, from the press of the button to its result.

It is made for a new render or found again in the folder of an earlier one. What the folder itself
knows of how far it is, is the engine's record (`marionext.record`).
"""

from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from marionext.errors import EngineError
from marionext.hosts import read_state
from marionext.jobs import read_job

from ..scene.choices import file_name
from . import shots
from .folders import JOB_FILE, POSE_MAPS, Kind
from .preparing import Preparation
from .shots import Shot

__all__ = ["HandOver", "Render", "handed_over", "mirror", "read_render", "renders_of"]

HandOver = Literal["", "QUEUE", "FOLDER"]
"""Who renders what is recorded: this Blender's engine; the workers of this computer's queue;
whoever takes jobs from the folder that it lies in."""

_REMEMBERED = 8
"""Earlier renders of a file that are listed again when it is opened."""


@dataclass(slots=True)
class Render:
    """The fields of `properties.MarionextJob`, and what stays inside."""

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
    began: float = field(default=0.0, metadata={"inside": True})
    """When its recording was begun, on the monotonic clock."""
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
    hand_over: HandOver = field(default="", metadata={"inside": True})
    """Only recorded."""

    @classmethod
    def of(cls, shot: Shot, folder: Path, job_id: str) -> Self:
        """Return the render of a shot that waits for its turn."""
        render = cls(
            job_id=job_id, name=folder.name, kind=shot.kind, folder=str(folder), scene_name=""
        )
        render.show(shot)
        return render

    def show(self, shot: Shot) -> None:
        """Take over what a shot says."""
        self.kind, self.file, self.scene_name = shot.kind, shot.file, shot.scene
        self.first_frame, self.frame_count, self.step = shot.first, shot.count, shot.step

    @property
    def is_open(self) -> bool:
        """Whether it is being recorded, waits or runs."""
        return self.state in {"RECORDING", "QUEUED", "RUNNING"}


_MIRRORED = tuple(entry.name for entry in fields(Render) if not entry.metadata.get("inside"))


def handed_over(render: Render) -> str:
    """Say how a render that was only recorded is done."""
    if render.hand_over == "QUEUE":
        return "In the queue of this computer; to do its jobs: marionext queue work"
    return f"Render it with: marionext batch {render.folder}/{JOB_FILE}"


def mirror(render: Render, item: Any) -> None:
    """Bring a render to its `properties.MarionextJob`, which the sidebar shows."""
    for name in _MIRRORED:
        value = getattr(render, name)
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
        # A folder that is not ours, or whose shot is damaged, is not listed.
        with suppress(EngineError):
            shot = shots.read_shot(folder)
            if shot.file and (shot.file, shot.scene) == (file_name(), scene.name):
                own.insert(0, folder)
        if len(own) == _REMEMBERED:
            break
    return own


def read_render(folder: Path, job_id: str) -> Render:
    """Return the render of a folder that an earlier session has left.

    One whose record is damaged, or of a newer Marionext, has failed and says so.

    Raises:
        SettingsError: its job file or its shot cannot be read.
    """
    read_job(folder / JOB_FILE)
    shot = shots.read_shot(folder)
    render = Render.of(shot, folder, job_id)
    if shot.kind == "POSE_MAPS":
        maps = (folder / POSE_MAPS / f"{number:06d}.png" for number in shot.numbers)
        render.frames_done = sum(1 for path in maps if path.is_file() and path.stat().st_size)
        finished = render.frames_done == shot.count
    else:
        found = read_state(folder)
        render.frames_done, finished = len(found.frames), found.finished
        if found.record is not None:
            render.video = next((str(folder / name) for name in found.record.videos), "")
        if found.problem is not None:
            render.state, render.code = "FAILED", found.problem.code
            render.message, render.hint = found.problem.message, found.problem.hint or ""
    if finished:
        render.state, render.progress = "FINISHED", 1.0
        render.message = f"{shot.count} frames"
    return render
