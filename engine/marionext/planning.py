"""What a render will do and need, told before anything is loaded."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from marionext import bundles, presets
from marionext.backends import backend_of
from marionext.errors import OutputError, SettingsError
from marionext.files import read_json, write_json
from marionext.frames import format_frames
from marionext.jobs import EngineSettings, Job, RenderJob
from marionext.sources import open_motion, select_frames

__all__ = [
    "Outline",
    "duration",
    "existing_parent",
    "measured_speed",
    "plan",
    "remember_speed",
]

MIB = 1024**2

_MOST_ROWS = 12
PNG_BYTES_PER_PIXEL = 1.6
"""Of a photographic frame; drawn ones are smaller."""
SLOW_OPERATIONS = {"cpu": 2e10, "mps": 3e12, "cuda": 4e13}
"""Floating-point operations a second assumed of a device that has not rendered here yet: cautious
round numbers, no measurements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A render in figures."""

    model: str
    size: tuple[int, int]
    """Width and height after rounding."""
    frames: int
    """Frames of the result."""
    selection: str
    """Their numbers."""
    rate: str
    """Frames per second of the motion."""
    windows: tuple[tuple[str, int], ...]
    """For each window the frame numbers it covers and how many places it has, the reference slot
    among them."""
    steps: int
    evaluations: int
    """How often the largest network runs."""
    device: str
    device_gib: dict[str, float]
    """Estimated peak memory on each rung of the ladder, from the fastest to the smallest."""
    device_ways: dict[str, str]
    """What each rung does, in words."""
    host_gib: float
    disk_mib: float
    """Frames, videos and the state that a resumable run keeps, at most."""
    free_disk_mib: float
    seconds: float
    seconds_from: str
    """``from earlier renders on this machine`` or ``a guess``."""

    @property
    def text(self) -> str:
        """The figures for people to read."""
        rows = [f"    {frames}  ({places} places)" for frames, places in self.windows]
        if len(rows) > _MOST_ROWS:
            rows[_MOST_ROWS // 2 : -_MOST_ROWS // 2] = [
                f"    ... {len(rows) - _MOST_ROWS} more ..."
            ]
        rungs = [
            f"    {name:9} {self.device_gib[name]:6.1f} GiB  {summary}"
            for name, summary in self.device_ways.items()
        ]
        short = "   NOT ENOUGH" if self.disk_mib > self.free_disk_mib else ""
        lines = [
            f"model     {self.model}, {self.size[0]}x{self.size[1]}",
            f"frames    {self.frames} ({self.selection}) at {self.rate} fps",
        ]
        if rows:
            lines += [
                f"windows   {len(self.windows)}, {self.steps} steps, "
                f"{self.evaluations} evaluations of the largest network",
                *rows,
            ]
        if rungs:
            lines += [f"memory    on {self.device}, by way of working:", *rungs]
        lines += [
            f"          host {self.host_gib:.2f} GiB",
            f"disk      {self.disk_mib:.0f} MiB of {self.free_disk_mib:.0f} MiB free{short}",
            f"time      about {duration(self.seconds)} ({self.seconds_from})",
        ]
        return "\n".join(lines)


def plan(job: Job, engine: EngineSettings) -> Outline:
    """Reckon what a render needs, from headers and configuration files alone.

    Raises:
        MotionError: the motion cannot be read, or a frame asked for is not in it.
        ModelError: the model is not there.
        SettingsError: settings do not go together, or the job is no render.
    """
    if not isinstance(job, RenderJob):
        raise SettingsError(f"expected a render to plan, got a job of the kind {job.kind!r}")
    motion = open_motion(job.motion)
    numbers = select_frames(job.again or job.frames, motion.frames)
    bundle = bundles.require(job.model)
    backend = backend_of(bundle, job.settings)
    backend.refuse(motion)
    device = backend.device(engine)
    figures = backend.outline(bundle, job.settings, numbers, device)
    width, height = job.settings.size
    frame_bytes = width * height * PNG_BYTES_PER_PIXEL * (1 + len(job.output.videos) / 8)
    speed, known = measured_speed(job.model, device)
    return Outline(
        model=job.model,
        size=(width, height),
        frames=len(numbers),
        selection=format_frames(numbers),
        rate=str(motion.rate),
        windows=figures.windows,
        steps=figures.steps,
        evaluations=figures.evaluations,
        device=device,
        device_gib={rung.name: rung.device_gib for rung in figures.rungs},
        device_ways={rung.name: rung.summary for rung in figures.rungs},
        host_gib=figures.host_gib,
        disk_mib=(len(numbers) * frame_bytes + figures.state_bytes) / MIB,
        free_disk_mib=shutil.disk_usage(existing_parent(Path(job.output.directory))).free / MIB,
        seconds=figures.operations / speed,
        seconds_from=known,
    )


def existing_parent(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def remember_speed(model: str, device: str, operations: float, seconds: float) -> None:
    """Keep how fast a render went, for the next plan; losing it would be no harm."""
    speeds = _speeds()
    speeds[f"{model} {device}"] = operations / max(seconds, 1e-3)
    path = presets.home() / "speeds.json"
    with contextlib.suppress(OutputError):
        write_json(path, speeds)


def _speeds() -> dict[str, float]:
    try:
        speeds = read_json(presets.home() / "speeds.json")
    except (OSError, ValueError):
        return {}
    return speeds if isinstance(speeds, dict) else {}


def measured_speed(model: str, device: str) -> tuple[float, str]:
    """Return floating-point operations a second, and where that is known from, in words."""
    measured = _speeds().get(f"{model} {device}")
    if isinstance(measured, float) and measured > 0:
        return measured, "from earlier renders on this machine"
    return SLOW_OPERATIONS[device], "a guess"


def duration(seconds: float) -> str:
    """Return a time in a few words."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
