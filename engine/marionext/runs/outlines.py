"""What pictures, and pictures made larger, will take: told before anything is loaded."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from marionext import bundles, presets
from marionext.backends.pictures.bases import Base, BaseDefaults, find_base
from marionext.backends.pictures.budget import (
    BaseShape,
    memory_of,
    operations_of,
    published_shape,
    read_shape,
)
from marionext.backends.pictures.control_files import find_control
from marionext.backends.pictures.families import FAMILIES, FamilyName
from marionext.backends.pictures.recognise import refuse_other_lora, text_width
from marionext.backends.upscaling import Method, recognise
from marionext.errors import ModelError, OutputError
from marionext.jobs import EngineSettings, PictureJob, UpscaleJob, encode_job
from marionext.output import WRITABLE
from marionext.planning import (
    MIB,
    PNG_BYTES_PER_PIXEL,
    duration,
    existing_parent,
    measured_speed,
    remember_speed,
)
from marionext.reporting import silent
from marionext.runs.control_pictures import ControlSource, picture_size
from marionext.runs.kept_folder import KeptRecord, read_record
from marionext.runs.picture_folder import PictureRecord
from marionext.runs.upscale_folder import UpscaleRecord
from marionext.runs.upscale_sources import open_source

__all__ = ["PictureOutline", "outline", "picture_operations", "remember_upscaling", "timed"]

_LIBRARIES_GIB = 0.8
"""Of the host, for torch and what it loads."""
_MOST_SIZES = 4
_RESAMPLED = 400.0
"""Operations for each pixel that is interpolated."""
_NETWORK = 2.0e5
"""The same of the small networks in ncnn's form, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOutline:
    """Pictures that will be made, in figures."""

    kind: str
    """``picture`` or ``upscale``."""
    model: str
    pictures: int
    """All that there will be."""
    there: int
    """Those of them that an earlier run of this job left."""
    sizes: tuple[tuple[int, int], ...]
    """Width and height of the results, each size once."""
    steps: int
    """Of denoising; 0: none."""
    device: str
    memory_gib: float
    """Of that device, at most, about."""
    disk_mib: float
    """What is still to be written takes at most."""
    free_disk_mib: float
    seconds: float
    """For what is missing, without loading."""
    seconds_from: str
    problems: tuple[str, ...]
    """What keeps it from being made here, and what to do: models that are not on this machine."""

    @property
    def text(self) -> str:
        """The figures for people to read."""
        shown = ", ".join(f"{width}x{height}" for width, height in self.sizes[:_MOST_SIZES])
        more = " ..." if len(self.sizes) > _MOST_SIZES else ""
        there = f", {self.there} of them are there already" if self.there else ""
        short = "   NOT ENOUGH" if self.disk_mib > self.free_disk_mib else ""
        lines = [
            f"model     {self.model}",
            f"pictures  {self.pictures} of {shown}{more}{there}",
            *([f"steps     {self.steps}"] if self.steps else []),
            f"memory    about {self.memory_gib:.1f} GiB on {self.device}",
            f"disk      {self.disk_mib:.1f} MiB of {self.free_disk_mib:.0f} MiB free{short}",
            f"time      about {duration(self.seconds)} ({self.seconds_from})",
            *(f"missing   {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)


def outline(job: PictureJob | UpscaleJob, engine: EngineSettings) -> PictureOutline:
    """Reckon what a job takes; its inputs are looked at, nothing is loaded or written.

    Raises:
        EngineError: as the job would raise it, but for models that are not on this machine.
    """
    from marionext.diffusion.memory import choose_device  # noqa: PLC0415 - torch

    device = choose_device(engine.device).type
    if isinstance(job, PictureJob):
        return _of_pictures(job, device)
    return _of_upscaling(job, device)


def _of_pictures(job: PictureJob, device: str) -> PictureOutline:
    problems: list[str] = []
    base: Base | None = None
    absent = _absent_family(job.base)
    if absent is None:
        base = find_base(job.base, config=job.config, vae=job.vae)
        family, shape = base.family, read_shape(base)
    else:
        problems.append(_missing(job.base))
        family, shape = absent, published_shape(absent)
    usual = BaseDefaults() if base is None else base.defaults
    width = FAMILIES[family].context if base is None else text_width(base.path, family)
    for lora in job.loras:
        refuse_other_lora(Path(lora.path), family, width)
    home = base.path if base is not None and base.path.is_dir() else None
    for control in job.controls:
        try:
            find_control(control, family, home)
        except ModelError as error:
            problems.append(_in_words(error))
    report = silent()
    controls = [ControlSource(control, report) for control in job.controls]
    size = picture_size(job, shape.own_size, shape.side_step, controls, report)
    steps = usual.steps if job.steps is None else job.steps
    guidance = usual.guidance if job.guidance is None else job.guidance
    settled = {"steps": steps, "guidance": guidance}
    there = _there(Path(job.output), PictureRecord, {**encode_job(job), **settled}, ("count",))
    missing = max(0, job.count - there)
    name = job.base if base is None else base.title
    speed, told = measured_speed(f"picture {name}", device)
    work = missing * picture_operations(shape, size, steps, guidance, job)
    halves = 2 if guidance > 1 else 1
    return PictureOutline(
        kind="picture",
        model=name,
        pictures=job.count,
        there=min(there, job.count),
        sizes=(size,),
        steps=steps,
        device=device,
        memory_gib=_memory(shape, size, min(job.batch, max(1, missing)) * halves, device),
        disk_mib=(missing + 1 + len(controls)) * size[0] * size[1] * PNG_BYTES_PER_PIXEL / MIB,
        free_disk_mib=_free(Path(job.output)),
        seconds=work / speed,
        seconds_from=told,
        problems=tuple(problems),
    )


def _of_upscaling(job: UpscaleJob, device: str) -> PictureOutline:
    problems = []
    if job.method in presets.names("models") and not _is_here(job.method):
        problems.append(_missing(job.method))
        method = Method(name=job.method, kind="network", by=job.by)
    else:
        method = recognise(job.method, job.by)
    source = open_source(job, silent())
    output = Path(job.output)
    is_folder = not output.suffix
    made = _there(output, UpscaleRecord, encode_job(job), ("frames", "videos", "quality"))
    there = min(made, len(source.names)) if is_folder else 0
    sizes = [(width * job.by, height * job.by) for width, height in source.sizes]
    part = 1 - there / max(1, len(sizes))
    pixels = part * sum(width * height for width, height in sizes)
    if method.kind == "resampling":
        device = "cpu"
    speed, told = measured_speed(_upscale_key(method), device)
    if method.kind == "diffusion" and method.base is not None:
        shape = read_shape(method.base)
        tile = job.tile or method.settings.tile
        memory = _memory(shape, (tile, tile), 1, device)
    else:
        memory = _LIBRARIES_GIB
    copies = 1 if output.suffix.lower() in WRITABLE else 1 + max(1, len(job.videos)) / 8
    return PictureOutline(
        kind="upscale",
        model=Path(method.name).name,
        pictures=len(source.names),
        there=there,
        sizes=tuple(dict.fromkeys(sizes)),
        steps=0,
        device=device,
        memory_gib=memory,
        disk_mib=pixels * PNG_BYTES_PER_PIXEL * copies / MIB,
        free_disk_mib=_free(output),
        seconds=_upscale_operations(method, 1) * pixels / speed,
        seconds_from=told,
        problems=tuple(problems),
    )


def picture_operations(
    shape: BaseShape, size: tuple[int, int], steps: int, guidance: float, job: PictureJob
) -> float:
    """Return the floating-point operations of one picture of a job."""
    run = steps if job.draft is None else max(1, int(steps * job.draft.change))
    coded = 1 if job.draft is None else 2
    return operations_of(shape, size, run, 2 if guidance > 1 else 1, coded=coded)


def _upscale_operations(method: Method, pixels: int) -> float:
    """Return the floating-point operations of so many pixels of results, about."""
    if method.kind == "resampling":
        return _RESAMPLED * pixels
    if method.kind == "network" or method.base is None:
        return _NETWORK * pixels
    settings, defaults = method.settings, method.base.defaults
    steps = max(1, round(defaults.steps * settings.change))
    tile = settings.tile
    again = (tile / max(1, tile - settings.shared)) ** 2  # what parts share is made in each
    whole = operations_of(read_shape(method.base), (tile, tile), steps, 1, coded=2)
    return again * whole / tile**2 * pixels


def remember_upscaling(
    method: Method, computed: Mapping[str, str], pixels: int, seconds: float
) -> None:
    """Keep how fast so many pixels of results were made, for the next outline."""
    if pixels:
        work = _upscale_operations(method, pixels)
        remember_speed(_upscale_key(method), computed.get("device", "cpu"), work, seconds)


def _upscale_key(method: Method) -> str:
    return f"upscale {Path(method.name).name}"


@contextmanager
def timed(model: str, device: str, operations: float) -> Iterator[None]:
    """Remember how fast work went that is done meanwhile; not where it fails."""
    begun = time.monotonic()
    yield
    if operations > 0:
        remember_speed(model, device, operations, time.monotonic() - begun)


def _memory(shape: BaseShape, size: tuple[int, int], together: int, device: str) -> float:
    number_bytes = 4 if device == "cpu" else 2
    taken = memory_of(shape, size, together, number_bytes) / 2**30
    return taken + (_LIBRARIES_GIB if device == "cpu" else 0)


def _absent_family(base: str) -> FamilyName | None:
    """Return the family of a base that has a card and is not on this machine."""
    if base not in presets.names("models") or _is_here(base):
        return None
    card = bundles.read_card(base)
    found = (family.name for family in FAMILIES.values() if family.name == card.architecture)
    return next(found, None) if card.kind == "picture" else None


def _missing(name: str) -> str:
    """Return in words that a model of a card is not whole on this machine."""
    try:
        bundles.require(name)
    except ModelError as error:
        return _in_words(error)
    return f"the model {name!r} is not whole"


def _is_here(name: str) -> bool:
    return not any(each.fatal for each in bundles.check(bundles.find(name), hashes=False))


def _there(
    folder: Path, kind: type[KeptRecord], job: Mapping[str, object], free: tuple[str, ...]
) -> int:
    """Return how many pictures of this very job a folder holds."""
    try:
        record = read_record(folder, kind)
    except OutputError:
        return 0
    if record is None:
        return 0
    ignored = {"output", "version", *free}
    if any(record.job.get(key) != job[key] for key in job if key not in ignored):
        return 0
    return sum(1 for name in record.made if record.files.get(name) and (folder / name).is_file())


def _free(output: Path) -> float:
    return shutil.disk_usage(existing_parent(output.parent)).free / MIB


def _in_words(error: ModelError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message
