"""What a render will do and need, told before anything is loaded."""

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from marionext import bundles, motion, posemap, presets
from marionext.backends.svd.budget import estimate
from marionext.backends.svd.shape import read_shape
from marionext.diffusion.ladder import RUNGS
from marionext.errors import MotionError, OutputError
from marionext.files import write_json
from marionext.frames import FrameRange, FrameRate, format_frames
from marionext.jobs import EngineSettings, MotionSource, RenderJob
from marionext.pose import resampled_count
from marionext.pose.formats import read_track
from marionext.staging import motion_kind, select_frames

__all__ = ["Outline", "existing_parent", "frames_of", "plan", "remember_speed"]

GIB = 1024**3
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
    """How often the UNet runs."""
    device: str
    device_gib: dict[str, float]
    """Estimated peak memory on each rung of the ladder, from the fastest to the smallest."""
    host_gib: float
    disk_mib: float
    """Frames, videos and the state that a resumable run keeps, at most."""
    free_disk_mib: float
    seconds: float
    seconds_from: str
    """``this machine`` (measured in earlier renders) or ``a guess``."""

    @property
    def text(self) -> str:
        """The figures for people to read."""
        rungs = "\n".join(
            f"    {rung.name:9} {self.device_gib[rung.name]:6.1f} GiB  {rung.summary}"
            for rung in RUNGS
        )
        rows = [f"    {frames}  ({places} places)" for frames, places in self.windows]
        if len(rows) > _MOST_ROWS:
            rows[_MOST_ROWS // 2 : -_MOST_ROWS // 2] = [
                f"    ... {len(rows) - _MOST_ROWS} more ..."
            ]
        windows = "\n".join(rows)
        short = "   NOT ENOUGH" if self.disk_mib > self.free_disk_mib else ""
        return (
            f"model     {self.model}, {self.size[0]}x{self.size[1]}\n"
            f"frames    {self.frames} ({self.selection}) at {self.rate} fps\n"
            f"windows   {len(self.windows)}, {self.steps} steps, "
            f"{self.evaluations} evaluations of the UNet\n{windows}\n"
            f"memory    on {self.device}, by way of working:\n{rungs}\n"
            f"          host {self.host_gib:.2f} GiB for latents\n"
            f"disk      {self.disk_mib:.0f} MiB of {self.free_disk_mib:.0f} MiB free{short}\n"
            f"time      about {_duration(self.seconds)} ({self.seconds_from})"
        )


def plan(job: RenderJob, engine: EngineSettings) -> Outline:
    """Reckon what a job needs, from headers and configuration files alone.

    Raises:
        MotionError: the motion cannot be read, or a frame asked for is not in it.
        ModelError: the model is not there.
        SettingsError: settings do not go together.
    """
    frames, rate = frames_of(job.motion)
    numbers = select_frames(job.frames, frames)
    bundle = bundles.require(job.model)
    shape = read_shape(bundle.folder)
    device = _device(engine)
    half = device != "cpu" and not job.settings.parity
    figures = estimate(shape, job.settings, len(numbers), number_bytes=2 if half else 4)
    width, height = job.settings.size
    frame_bytes = width * height * PNG_BYTES_PER_PIXEL * (1 + len(job.output.videos) / 8)
    speed, known = _speed(job.model, device)
    return Outline(
        model=job.model,
        size=(width, height),
        frames=len(numbers),
        selection=format_frames(numbers),
        rate=str(rate),
        windows=tuple(
            (
                format_frames(
                    tuple(sorted(numbers[place - 1] for place in window.frames if place))
                ),
                len(window.frames),
            )
            for window in figures.windows
        ),
        steps=job.settings.steps,
        evaluations=figures.evaluations,
        device=device,
        device_gib={name: value / GIB for name, value in figures.device_bytes.items()},
        host_gib=figures.host_bytes / GIB,
        disk_mib=(len(numbers) * frame_bytes + figures.state_bytes) / MIB,
        free_disk_mib=shutil.disk_usage(existing_parent(Path(job.output.directory))).free / MIB,
        seconds=figures.operations / speed,
        seconds_from="from earlier renders on this machine" if known else "a guess",
    )


def _numbers_in(places: tuple[int, ...], numbers: tuple[int, ...]) -> str:
    return format_frames(tuple(sorted(numbers[place - 1] for place in places if place)))


def frames_of(source: MotionSource) -> tuple[FrameRange, FrameRate]:
    """Return a motion's frame numbers and rate without detecting or drawing anything.

    Raises:
        MotionError: the motion cannot be read.
    """
    path = Path(source.path)
    match motion_kind(source):
        case "video":
            from marionext.capture.video import FIRST_FRAME, probe  # noqa: PLC0415 - loads PyAV

            info = probe(path)
            count, rate, first = info.frames, info.rate, FIRST_FRAME
        case "rig":
            animation = motion.load(path, clip=source.clip, rate=source.rate)
            count, rate, first = len(animation), animation.rate, animation.first
        case "track":
            track = read_track(path)
            count, rate, first = len(track), track.rate, track.first
        case "posemaps":
            maps = posemap.read_maps(path, palette=source.palette, rate=source.rate)
            count, rate, first = len(maps), maps.rate, maps.frames.start
    if source.rate is not None and source.rate != rate:
        count, rate = resampled_count(count, rate, source.rate), source.rate
    if count < 1:
        raise MotionError(f"{path} holds no frames")
    first = first if source.first is None else source.first
    return FrameRange(first, first + count), rate


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
        speeds = json.loads((presets.home() / "speeds.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return speeds if isinstance(speeds, dict) else {}


def _speed(model: str, device: str) -> tuple[float, bool]:
    """Return floating-point operations a second, and whether they were measured here."""
    measured = _speeds().get(f"{model} {device}")
    if isinstance(measured, float) and measured > 0:
        return measured, True
    return SLOW_OPERATIONS[device], False


def _device(engine: EngineSettings) -> str:
    if engine.device != "auto":
        return engine.device
    from marionext.diffusion.memory import choose_device  # noqa: PLC0415 - torch

    return str(choose_device().type)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
