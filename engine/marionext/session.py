"""The spine: a job becomes frames, and the frames a video.

Everything that takes time is kept in the job's folder as soon as it is there: the poses, the
latents after each denoising step, each frame. A run that stopped, in whatever way, goes on from
there and ends in the same bytes.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from marionext import bundles, diffusion, output
from marionext.backends import svd
from marionext.backends.svd import DenoiseState, Models
from marionext.backends.svd.budget import estimate
from marionext.bundles import ModelBundle
from marionext.character import read_character
from marionext.diffusion.memory import choose_device, choose_dtype
from marionext.errors import MotionError, OutputError
from marionext.files import hash_source, sha256_of
from marionext.frames import FrameRange
from marionext.jobs import EngineSettings, RenderJob, encode_job
from marionext.output import Pictures, RenderFolder, Sound, encode_video, video_suffix
from marionext.planning import frames_of, remember_speed
from marionext.pose import PoseTrack
from marionext.pose.formats import read_native, write_native
from marionext.record import Record
from marionext.reporting import Reporter
from marionext.staging import Motion, Shot, character_pose, read_motion, select_frames, stage

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Result", "Session"]

_LATENTS = "latents.safetensors"
_PREVIEW = "preview.png"


@dataclass(frozen=True, slots=True)
class Result:
    """What a job left behind."""

    directory: Path
    frames: int
    """How many there are, all of them."""
    videos: tuple[Path, ...]


class Session:
    """Renders jobs one after another; the models of the last one stay loaded."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._report: Reporter | None = None
        self._models: Models | None = None
        self._loaded: tuple[Path, str, str] | None = None

    def run(self, job: RenderJob, engine: EngineSettings, report: Reporter) -> Result:
        """Render a job, or what is missing of it.

        Raises:
            EngineError: one of its kinds; what is finished is kept.
        """
        self._report = report
        bundle = bundles.require(job.model)
        character = read_character(Path(job.character))
        for note in (*character.notes, *_rounding(job)):
            report.log(note)
        frames, _ = frames_of(job.motion)
        plan = _record(job, engine, bundle, select_frames(job.frames, frames), report)
        with RenderFolder(Path(job.output.directory), plan, overwrite=engine.overwrite) as folder:
            if folder.resumed and not folder.missing:
                report.log("every frame is there already: only the videos are made")
            picture = diffusion.fit_character(character.pixels, job.settings.size)
            moving, reference = _poses(job, picture, folder, report)
            shot = stage(job, moving, reference, frames, report)
            if shot.numbers != plan.numbers:
                raise MotionError(
                    f"{job.motion.path} was said to hold {len(plan.numbers)} frames, "
                    f"{len(shot.numbers)} were read",
                    hint="Was the file changed meanwhile?",
                )
            if folder.missing:
                models = self._load(bundle, job, engine, report)
                _render(job, shot, picture, models, folder, report)
            videos = _encode(job, shot, folder, report)
            folder.clear_state()
            folder.record(folder.manifest.with_stage("finished"))
        return Result(folder.path, len(plan.numbers), videos)

    def _load(
        self, bundle: ModelBundle, job: RenderJob, engine: EngineSettings, report: Reporter
    ) -> Models:
        """Return the bundle's networks, those of the job before where they are the same."""
        dtype = "float32" if job.settings.parity else engine.dtype
        wanted = (bundle.folder, engine.device, dtype)
        report.progress("models", 0, 1)
        if self._models is None or self._loaded != wanted:
            self._models = self._loaded = None  # before loading: two models may not fit
            self._models = svd.load_models(
                bundle.folder,
                device=engine.device,
                dtype=dtype,
                converted=bundles.models_folder() / "converted" / bundle.folder.name,
                say=self._say,
            )
            self._loaded = wanted
        report.progress("models", 1, 1)
        return self._models

    def _say(self, text: str) -> None:
        """Pass on what the networks' memory has to say to the job at work."""
        if self._report is not None:
            self._report.log(text)


def _rounding(job: RenderJob) -> tuple[str, ...]:
    given, rounded = (job.settings.width, job.settings.height), job.settings.size
    if given == rounded:
        return ()
    return (
        f"size {given[0]}x{given[1]} is rendered as {rounded[0]}x{rounded[1]}: "
        "the model wants multiples of 64",
    )


def _record(
    job: RenderJob,
    engine: EngineSettings,
    bundle: ModelBundle,
    numbers: tuple[int, ...],
    report: Reporter,
) -> Record:
    """Describe the render, so that the folder can tell whether it holds the same one."""
    device = choose_device(engine.device)
    dtype = choose_dtype(device, "float32" if job.settings.parity else engine.dtype)
    report.progress("poses", 0, 0, "checking the files")
    _, rate = frames_of(job.motion)
    inputs = {"motion": Path(job.motion.path), "character": Path(job.character)}
    beside = Path(job.character).with_suffix(".pose.npz")
    if beside.is_file():
        inputs["character pose"] = beside
    try:
        hashes = {name: hash_source(path) for name, path in inputs.items()}
    except OSError as error:
        raise MotionError(f"{error.filename} cannot be read: {error.strerror or error}") from None
    return Record.start(
        job=encode_job(job),
        inputs=hashes,
        models=bundles.fingerprint(bundle),
        size=job.settings.size,
        rate=rate,
        numbers=numbers,
        versions=_versions(),
        computed={"device": device.type, "dtype": str(dtype).removeprefix("torch.")},
    )


def _versions() -> dict[str, str]:
    import diffusers
    import torch

    return {"torch": str(torch.__version__), "diffusers": str(diffusers.__version__)}


def _poses(
    job: RenderJob, picture: NDArray[np.uint8], folder: RenderFolder, report: Reporter
) -> tuple[Motion, PoseTrack]:
    """Read motion and character's pose, or take them from the run before."""
    kept = folder.state / "motion.npz"
    kept_reference = folder.state / "character.npz"
    if kept.is_file():
        moving: Motion = read_native(kept)
    else:
        numbers = folder.manifest.numbers
        span = FrameRange(numbers[0], numbers[-1] + 1)
        moving = read_motion(job.motion, job.pose, job.settings.size, report, frames=span)
        if isinstance(moving, PoseTrack):
            write_native(moving, kept)
            # For people and other programs; a render that goes on does not read it.
            write_native(moving, folder.path / "poses.npz")
    if kept_reference.is_file():
        reference = read_native(kept_reference)
    else:
        reference = character_pose(Path(job.character), picture, report, job.motion.detector)
        write_native(reference, kept_reference)
    return moving, reference


def _render(
    job: RenderJob,
    shot: Shot,
    picture: NDArray[np.uint8],
    models: Models,
    folder: RenderFolder,
    report: Reporter,
) -> None:
    """Denoise and decode the frames that are missing."""
    count = len(shot.numbers)
    latents_file = folder.state / _LATENTS
    state = _kept_state(latents_file, report)
    width, height = job.settings.size
    folder.check_space(len(folder.missing) * width * height * 2)
    started = report.seconds
    fresh = state is None

    def keep(reached: DenoiseState) -> None:
        svd.write_state(reached, latents_file)
        folder.record(folder.manifest.with_stage("denoise", reached.step, job.settings.steps))

    def show(preview: NDArray[np.uint8]) -> None:
        path = folder.path / _PREVIEW
        output.write_png(path, preview)
        report.preview(str(path), shot.numbers[count // 2])

    def tell(progress: svd.DenoiseProgress) -> None:
        done = progress.step * progress.windows + progress.window
        detail = f"step {progress.step + 1} of {progress.steps}"
        report.progress("denoise", done, progress.steps * progress.windows, detail)

    latents = svd.denoise(
        models,
        picture,
        shot.control,
        count,
        job.settings,
        state=state,
        on_progress=tell,
        on_step=keep,
        on_preview=show,
        cancelled=report.cancelled,
    )
    _decode(job, shot, models, latents, folder, report)
    if fresh:
        device = models.placement.device.type
        work = estimate(models.shape, job.settings, count).operations
        remember_speed(job.model, device, work, report.seconds - started)


def _kept_state(path: Path, report: Reporter) -> DenoiseState | None:
    if not path.is_file():
        return None
    try:
        state = svd.read_state(path)
    except OutputError as error:
        report.log(f"{error.message}: denoising starts over", warning=True)
        return None
    report.log(f"going on after step {state.step}")
    return state


def _decode(
    job: RenderJob,
    shot: Shot,
    models: Models,
    latents: "Tensor",
    folder: RenderFolder,
    report: Reporter,
) -> None:
    missing = set(folder.missing)
    first = next(index for index, number in enumerate(shot.numbers) if number in missing)
    frames = svd.decode(models, latents, job.settings, start=first, cancelled=report.cancelled)
    for index, frame in enumerate(frames, start=first):
        number = shot.numbers[index]
        if number in missing:
            path = folder.write_frame(number, frame)
            report.frame(number, str(path))
        report.progress("decode", index + 1, len(shot.numbers))


def _tell_encoding(report: Reporter, name: str, done: int, total: int) -> None:
    report.progress("encode", done, total, name)


def _encode(job: RenderJob, shot: Shot, folder: RenderFolder, report: Reporter) -> tuple[Path, ...]:
    """Make the videos that the job asks for, and the pose maps as pictures."""
    if job.output.pose_maps:
        for index, number in enumerate(shot.numbers, start=1):
            report.progress("encode", index, len(shot.numbers), "pose maps")
            output.write_png(
                folder.path / "posemaps" / output.frame_name(number), shot.control(index)
            )
    rendered = Pictures.of_files(folder.frames)
    maps = Pictures(len(shot.numbers), lambda index: shot.control(index + 1))
    shown = {"": rendered}
    if job.output.side_by_side:
        shown["-with-poses"] = Pictures.beside(maps, rendered)
    sound = Sound(shot.sound, shot.sound_start) if shot.sound is not None else None
    name = Path(job.motion.path).stem
    made = []
    for kind in job.output.videos:
        for suffix, pictures in shown.items():
            path = folder.path / f"{name}{suffix}{video_suffix(kind)}"
            video = encode_video(
                pictures,
                shot.rate,
                path,
                kind=kind,
                sound=sound,
                on_progress=partial(_tell_encoding, report, path.name),
                cancelled=report.cancelled,
            )
            for note in video.notes:
                report.log(note)
            folder.record(folder.manifest.with_video(path.name, sha256_of(path)))
            made.append(path)
    return tuple(made)
