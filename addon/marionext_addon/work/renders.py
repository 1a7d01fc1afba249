# SPDX-License-Identifier: GPL-3.0-or-later
"""One render as the sidebar lists it: `Render`, from the press of the button to its result.

It is made for a new render or found again in the folder of an earlier one. What the folder itself
knows of how far it is, is the engine's record (`marionext.record`).
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

import bpy

from marionext.errors import EngineError
from marionext.hosts import read_state
from marionext.jobs import RenderJob, UpscaleJob, read_job

from ..scene.choices import file_name
from ..scene.identity import adopt, identity_of
from ..state.translations import say
from . import larger, shots
from .folders import FRAMES, JOB_FILE, POSE_MAPS, Kind
from .preparing import Preparation
from .shots import Shot

__all__ = [
    "HandOver",
    "Render",
    "about",
    "handed_over",
    "is_here",
    "mirror",
    "read_render",
    "renders_of",
]

HandOver = Literal["", "QUEUE", "FOLDER"]
"""Who renders what is recorded: this Blender's engine; the workers of this computer's queue;
whoever takes jobs from the folder that it lies in."""

_REMEMBERED = 8
"""Earlier renders of a file that are listed again when it is opened."""
_LOOKED_AT = 200
"""Folders, the newest first, in which they are looked for."""


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
    about: str = ""
    takes: int = 0
    """How many there are beside the render itself."""
    whole: bool = False
    """Whether all its frames are there, whatever became of its last take."""
    identity: str = field(default="", metadata={"inside": True})
    """Of its scene, as `scene.identity` has it."""
    job_file: str = field(default=JOB_FILE, metadata={"inside": True})
    """Of the job that is to be done: the render itself, or something with its takes."""
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
        self.identity, self.name = shot.identity, shot.title or Path(self.folder).name

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


def is_here(render: Render) -> bool:
    """Tell whether a render was made of the file that is open."""
    identities = {identity_of(scene) for scene in bpy.data.scenes} - {""}
    if render.identity and identities:
        return render.identity in identities
    # Its scene may not know its number: the file was not saved after the render.
    return bool(render.file) and render.file == file_name()


def renders_of(scene: Any, roots: Sequence[Path]) -> list[Path]:
    """Return the newest job folders under some roots that were made of a scene, the oldest first.

    Several files may keep their renders in one folder: the shot beside each job says whose it is.
    A scene that lost its identity, since its file was not saved after a render, takes it again.
    """
    dated = []
    for root in roots:
        for file in root.glob(f"*/{JOB_FILE}"):
            with suppress(OSError):
                dated.append((file.stat().st_mtime, file.parent))
    identity = identity_of(scene)
    own: list[Path] = []
    for _, folder in sorted(dated, reverse=True)[:_LOOKED_AT]:
        # A folder that is not ours, or whose shot is damaged, is not listed.
        with suppress(EngineError):
            shot = shots.read_shot(folder)
            same = bool(shot.file) and (shot.file, shot.scene) == (file_name(), scene.name)
            known = bool(shot.identity) and bool(identity)
            if shot.identity == identity if known else same:
                own.insert(0, folder)
                if shot.identity and not identity:
                    adopt(scene, shot.identity)
                    identity = shot.identity
        if len(own) == _REMEMBERED:
            break
    return own


def about(folder: Path) -> str:
    """Say when a job was made, of which frames, how large, by which model and seed.

    Raises:
        SettingsError: its job file or its shot cannot be read.
    """
    job, shot = read_job(folder / JOB_FILE), shots.read_shot(folder)
    made = time.localtime((folder / JOB_FILE).stat().st_mtime)
    parts = [
        time.strftime("%Y-%m-%d %H:%M", made),
        f"{shot.first}-{shot.numbers[-1]}" + (f":{shot.step}" if shot.step > 1 else ""),
        f"{shot.size[0]} \u00d7 {shot.size[1]}",
    ]
    if isinstance(job, RenderJob):
        parts.append(Path(job.model).name)
        seed = getattr(job.settings, "seed", None)
        if seed is not None:
            parts.append(say("seed {seed}", seed=seed))
    elif isinstance(job, UpscaleJob):
        parts.append(f"{Path(job.method).name} \u00d7 {job.by}")
    return "   ".join(parts)


def read_render(folder: Path, job_id: str) -> Render:
    """Return the render of a folder that an earlier session has left.

    One whose record is damaged, or of a newer Marionext, has failed and says so.

    Raises:
        SettingsError: its job file or its shot cannot be read.
    """
    shot = shots.read_shot(folder)
    render = Render.of(shot, folder, job_id)
    render.about = about(folder)
    if shot.kind in {"POSE_MAPS", "LARGER"}:
        place = folder / (POSE_MAPS if shot.kind == "POSE_MAPS" else FRAMES)
        made = (place / f"{number:06d}.png" for number in shot.numbers)
        render.frames_done = sum(1 for path in made if path.is_file() and path.stat().st_size)
        finished = render.frames_done == shot.count
        if shot.kind == "LARGER":
            render.video = larger.video_of(folder)
            finished &= bool(render.video) or not larger.wants_video(folder)
    else:
        found = read_state(folder)
        render.frames_done, finished = len(found.frames), found.finished
        if found.record is not None:
            render.video = next((str(folder / name) for name in found.record.videos), "")
            render.takes = len(found.record.takes)
        if found.problem is not None:
            render.state, render.code = "FAILED", found.problem.code
            render.message, render.hint = found.problem.message, found.problem.hint or ""
    if finished:
        render.state, render.progress, render.whole = "FINISHED", 1.0, True
        render.message = f"{shot.count} frames"
    return render
