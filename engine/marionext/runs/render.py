"""A render job becomes frames, and the frames a video: the spine of the engine.

All that takes time is kept in the job's folder as soon as it is there: the poses, the backend's
state, each frame. A run that stopped, in whatever way, goes on from there and ends in the same
bytes. A part of a finished render can be made again (``again``): as a take of those frames, between
the others, which stay as they are.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from marionext import bundles
from marionext.backends import Backend, Renderers, Work, backend_of
from marionext.bundles import ModelBundle
from marionext.casting import read_picture
from marionext.errors import MotionError, OutputError
from marionext.files import hash_files
from marionext.frames import format_frames, parse_frames
from marionext.jobs import EngineSettings, RenderJob, encode_job
from marionext.output import PREVIEW, RenderFolder, difference, refuse_strangers
from marionext.paths import refuse_overlap
from marionext.planning import remember_speed
from marionext.pose.formats import write_native
from marionext.record import RECORD, Record
from marionext.reporting import Reporter
from marionext.runs.result import Result
from marionext.runs.videos import make_videos, result_files
from marionext.settings import DollSettings, SvdSettings
from marionext.sources import OpenMotion, open_motion, select_frames
from marionext.staging import Staged

__all__ = ["check_same", "describe_render", "render"]

_THREADS = "threads"


def render(
    job: RenderJob, engine: EngineSettings, report: Reporter, renderers: Renderers
) -> Result:
    """Render a job, or what is missing of it.

    Raises:
        EngineError: one of its kinds; what is finished is kept.
    """
    job = _as_begun(job, engine)
    bundle = bundles.require(job.model)
    backend = backend_of(bundle, job.settings)
    character = read_picture(Path(job.character))
    for note in (*character.notes, *_rounding(job)):
        report.log(note)
    motion = open_motion(job.motion)
    backend.refuse(motion)
    maker = _Maker(job, engine, bundle, backend, renderers, report)
    results = result_files(job, select_frames(job.frames, motion.frames))
    _refuse_overlap(maker, motion, results)
    if not (Path(job.output.directory) / RECORD).is_file():
        own = (Path(job.output.directory) / name for name in (PREVIEW, "poses.npz"))
        refuse_strangers((*results, *own))
    plan = _plan(job, engine, backend, bundle, motion, report)
    begun = None if job.again is not None else plan
    with RenderFolder(
        Path(job.output.directory),
        begun,
        overwrite=engine.overwrite,
        warn=partial(report.log, warning=True),
    ) as folder:
        folder.claim((*results, folder.path / PREVIEW, folder.poses_file(0)))
        take = _begin_take(maker, plan, job.again, folder) if job.again is not None else 0
        state = folder.takes.state(take) if take else folder.state
        staged = Staged(job, motion, character, report, kept=state)
        changed = maker.make(staged, folder, take, state)
        if take:
            changed |= folder.record.stage.name != "finished"
            changed |= bool(folder.show(take, folder.take(take).numbers))
        videos = make_videos(job, staged, folder, report, changed=changed)
        folder.clear_state(take)
        folder.finish(plan.job if begun is not None else folder.record.job, report.said)
    return Result(folder.path, len(plan.numbers), videos)


@dataclass(frozen=True, slots=True)
class _Maker:
    """What makes the frames of a job."""

    job: RenderJob
    engine: EngineSettings
    bundle: ModelBundle
    backend: Backend[Any]
    renderers: Renderers
    report: Reporter

    def make(self, staged: Staged, folder: RenderFolder, take: int, state: Path) -> bool:
        """Make the frames that a take lacks, and return whether there were any."""
        job, report = self.job, self.report
        missing = folder.take(take).missing if take else folder.missing
        width, height = job.settings.size
        folder.check_space(len(missing) * width * height * 2)
        poses = folder.poses_file(take)
        self._write_poses(staged, poses, wanted=bool(missing) or folder.is_damaged(poses))
        incomplete = folder.drop_damaged_kept(take)
        if not missing and not incomplete:
            report.log("every frame is there already")
            return False
        renderer = self.renderers.open(self.backend, self.bundle, job.settings, self.engine, report)
        renderer.prepare(staged)
        started = report.seconds
        for number, picture in renderer.render(
            staged, job.settings, self._work(missing, folder, take, state), report
        ):
            report.frame(number, str(folder.write_frame(number, picture, take)))
        if not missing:
            return False
        if not folder.resumed:
            figures = self.backend.outline(
                self.bundle, job.settings, staged.numbers, renderer.device
            )
            seconds = report.seconds - started
            remember_speed(job.model, renderer.device, figures.operations, seconds)
        return True

    def _write_poses(self, staged: Staged, path: Path, *, wanted: bool) -> None:
        """Write the poses for people and other programs; a render that goes on does not read them.

        A run may have stopped before it wrote them: as long as they are kept, that is made up for.
        """
        if staged.ready_made or not (wanted or staged.has_kept_poses):
            return
        if wanted or not path.is_file():
            write_native(staged.poses, path)

    def _work(self, missing: tuple[int, ...], folder: RenderFolder, take: int, state: Path) -> Work:
        """Say which frames the renderer makes, and where it keeps what it needs."""
        made = folder.take(take).numbers if take else None
        held = {} if made is None else folder.held(made)

        def saved(stage: str, done: int, total: int) -> None:
            folder.keep(folder.record.with_stage(stage, done, total))

        return Work(
            missing=missing,
            made=made,
            held=held,
            state=state,
            kept=folder.takes.kept(take),
            threads=_threads(folder.record),
            first=folder.takes.kept(0),
            saved=saved,
            preview=folder.path / PREVIEW if self.engine.previews else None,
        )


def _as_begun(job: RenderJob, engine: EngineSettings) -> RenderJob:
    """Return a job as its folder began it, where an earlier version drew the noise in another way.

    Such a render has to end as it began.
    """
    begun = _begun(job, engine)
    if begun is None or begun.job.get("settings", {}).get("noise") != "run":
        return job
    if not isinstance(job.settings, SvdSettings):
        return job
    return replace(job, settings=replace(job.settings, noise="run"))


def _begun(job: RenderJob, engine: EngineSettings) -> Record | None:
    """Return the record of the render that a job goes on with, or None."""
    path = Path(job.output.directory) / RECORD
    if not path.is_file() or (engine.overwrite and job.again is None):
        return None
    try:
        return Record.read(path)
    except OutputError:
        return None  # said where the folder is opened


def _threads(record: Record) -> int | None:
    """Return the number of threads that a render was begun with, or None where it is not known."""
    told = record.computed.get(_THREADS, "")
    return int(told) if re.fullmatch(r"[1-9][0-9]{0,2}", told) else None


def _rounding(job: RenderJob) -> tuple[str, ...]:
    given, rounded = (job.settings.width, job.settings.height), job.settings.size
    if given == rounded:
        return ()
    return (
        f"size {given[0]}x{given[1]} is rendered as {rounded[0]}x{rounded[1]}: "
        f"{job.settings.sides}",
    )


def _refuse_overlap(maker: _Maker, motion: OpenMotion, results: tuple[Path, ...]) -> None:
    """Make sure that nothing that is read would be written to.

    Raises:
        OutputError: something would be.
    """
    job, folder = maker.job, Path(maker.job.output.directory)
    reads: dict[str, Sequence[Path]] = {
        "the motion": motion.files,
        "the model": bundles.layers(maker.bundle.folder),
    }
    for name, files in maker.backend.characters(job).items():
        reads[f"the {name}"] = files
    others = job.settings.others if isinstance(job.settings, DollSettings) else ()
    layered = tuple(path for path in map(Path, (job.character, *others)) if path.is_dir())
    if layered:
        reads["the layered doll"] = layered
    if motion.presets:
        reads["the rig preset"] = motion.presets
    if job.output.sound is not None:
        reads["the sound"] = (Path(job.output.sound),)
    own = (folder / name for name in (RECORD, PREVIEW, "poses.npz"))
    refuse_overlap(reads, (*results, *own), [folder / name for name in RenderFolder.FOLDERS])


def describe_render(job: RenderJob, engine: EngineSettings, report: Reporter) -> Record:
    """Return the record that a render would begin with: its identity, its frames, no result.

    Files are hashed for it, nothing is loaded and nothing written.

    Raises:
        EngineError: as `render` does before it begins.
    """
    job = _as_begun(job, engine)
    bundle = bundles.require(job.model)
    backend = backend_of(bundle, job.settings)
    motion = open_motion(job.motion)
    backend.refuse(motion)
    return _plan(job, engine, backend, bundle, motion, report)


def check_same(job: RenderJob, engine: EngineSettings, report: Reporter, record: Record) -> None:
    """Make sure that a job would make the very frames that a record is of.

    Raises:
        OutputError: it would not: a file is another one, or this machine computes it otherwise.
        EngineError: as `render` does before it begins.
    """
    plan = describe_render(job, engine, report)
    if (plan.identity, plan.numbers) != (record.identity, record.numbers):
        raise OutputError(
            f"the same frames cannot be made here: the recorded render is another one, "
            f"{difference(record, plan)}",
            hint="Say --motion or --character with the file that it was made from, or render it "
            "on a device of the kind that it was made on.",
        )


def _plan(
    job: RenderJob,
    engine: EngineSettings,
    backend: Backend[Any],
    bundle: ModelBundle,
    motion: OpenMotion,
    report: Reporter,
) -> Record:
    """Describe the render, so that the folder can tell whether it holds the same one."""
    numbers = select_frames(job.frames, motion.frames)
    computed = backend.computed(job.settings, engine)
    if _THREADS in computed and engine.threads is not None:
        computed[_THREADS] = str(engine.threads)
    if (begun := _begun(job, engine)) is not None and _THREADS in computed:
        # A render ends with the threads that it was begun with, wherever it goes on; one that was
        # begun before they were recorded has none.
        del computed[_THREADS]
        computed |= {_THREADS: begun.computed[_THREADS]} if _THREADS in begun.computed else {}
    report.progress("poses", 0, 0, "checking the files")
    own = tuple(file for file in motion.files if file not in motion.presets)
    inputs = {"motion": own, **backend.characters(job)}
    as_before = isinstance(job.settings, SvdSettings) and job.settings.noise == "run"
    if motion.presets and not as_before:
        inputs["rig preset"] = motion.presets
    try:
        hashes = {name: hash_files(files) for name, files in inputs.items()}
        if as_before:
            hashes["motion"] = _hash_as_before(motion.path)
    except OSError as error:
        raise MotionError(f"{error.filename} cannot be read: {error.strerror or error}") from None
    return Record.start(
        job=encode_job(job),
        inputs=hashes,
        models=bundles.fingerprint(bundle),
        size=job.settings.size,
        rate=motion.rate,
        numbers=numbers,
        versions=backend.versions(),
        computed=computed,
    )


def _hash_as_before(path: Path) -> str:
    """Return the hash of a motion as version 0.1 took it: the file, or all that is in a folder."""
    if not path.is_dir():
        return hash_files([path])
    found = (item for item in path.rglob("*") if item.is_file() and not item.name.startswith("."))
    return hash_files(list(found), root=path)


def _begin_take(maker: _Maker, plan: Record, again: str, folder: RenderFolder) -> int:
    """Return the number of the take that a job makes in the folder of a finished render.

    Raises:
        OutputError: the job is not one of this render's.
    """
    record = folder.record
    for what, found, wanted in (
        ("size", record.size, plan.size),
        ("model", record.models, plan.models),
        ("frame rate", record.rate, plan.rate),
        ("frames", format_frames(record.numbers), format_frames(plan.numbers)),
    ):
        if found != wanted:
            shown = "" if what == "model" else f": expected {found}, got {wanted}"
            raise OutputError(
                f"a part of {folder.path} cannot be made again with another {what}{shown}",
                hint="Take the job that is in its render.json, and change only the seed, the "
                "edits and what steers the model.",
            )
    for name, digest in record.inputs.items():
        if plan.inputs.get(name) != digest:
            raise OutputError(
                f"the file of the {name} is not the one that {folder.path} was rendered from",
                hint="Say --motion or --character with the one that it was, or render it anew.",
            )
    maker.backend.check_kept(folder.takes.kept(0))
    return folder.begin_take(plan.job, plan.inputs, plan.identity, parse_frames(again)).number
