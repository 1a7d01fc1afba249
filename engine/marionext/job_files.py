"""Which files a job reads and where it writes, told from the job alone: nothing is opened.

For those who look at many jobs before the first one begins. What a job finds out when it opens its
motion (textures, sound, a model's own files) it looks after itself.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from marionext import bundles, presets
from marionext.errors import CharacterError, JobError, MotionError, OutputError
from marionext.jobs import ExportJob, Job, PictureJob, RenderJob, TakeJob, TrackJob, UpscaleJob
from marionext.record import RECORD
from marionext.settings import DollSettings

__all__ = [
    "inputs_of",
    "is_weight_file",
    "model_of",
    "refuse_missing",
    "refuse_outside",
    "results_of",
]


def inputs_of(job: Job) -> dict[str, Path]:
    """Return what a job reads, by what it is to the user: ``the motion``, ``the character`` ..."""
    if isinstance(job, TakeJob):
        return {"the render": Path(job.directory) / RECORD}
    if isinstance(job, ExportJob):
        folders = dict.fromkeys(each.folder for each in job.pictures)
        found = {f"the frames {place}": Path(each) for place, each in enumerate(folders, start=1)}
        if job.sound is not None:
            found["the sound"] = Path(job.sound)
        return found
    if isinstance(job, PictureJob):
        return _inputs_of_picture(job)
    if isinstance(job, UpscaleJob):
        found = {"the source": Path(job.source)}
        if job.sound is not None:
            found["the sound"] = Path(job.sound)
        if job.method.endswith(".param"):
            found["the network"] = Path(job.method)
        return found
    found = {"the motion": Path(job.motion.path)}
    if job.motion.rig is not None and job.motion.rig.endswith(".toml"):
        found["the rig preset"] = Path(job.motion.rig)
    if isinstance(job, RenderJob):
        found["the character"] = Path(job.character)
        if job.output.sound is not None:
            found["the sound"] = Path(job.output.sound)
        if isinstance(job.settings, DollSettings):
            for index, other in enumerate(job.settings.others, start=2):
                found[f"character {index}"] = Path(other)
    return found


def _inputs_of_picture(job: PictureJob) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place, control in enumerate(job.controls, start=1):
        what = f"control {place} ({control.kind})"
        found[what] = Path(control.source.path)
        if control.source.rig is not None and control.source.rig.endswith(".toml"):
            found[f"the rig preset of {what}"] = Path(control.source.rig)
        if control.weights is not None and is_weight_file(control.weights):
            found[f"the weights of {what}"] = Path(control.weights)
    for place, lora in enumerate(job.loras, start=1):
        found[f"LoRA {place}"] = Path(lora.path)
    if job.draft is not None:
        found["the draft"] = Path(job.draft.path)
    for what, model in (("the base", job.base), ("the autoencoder", job.vae)):
        if model is not None and is_weight_file(model):
            found[what] = Path(model)
    return found


def is_weight_file(model: str) -> bool:
    """Tell whether a model is named by a file of weights, and not by a name or a folder."""
    return model.lower().endswith((".safetensors", ".ckpt", ".bin", ".pt", ".pth"))


def results_of(job: Job) -> tuple[Path, ...]:
    """Return the files and folders that a job writes, the chief one first."""
    if isinstance(job, TakeJob):
        return (Path(job.directory),)
    if isinstance(job, RenderJob):
        return (Path(job.output.directory),)
    if isinstance(job, TrackJob) and job.findings is not None:
        return Path(job.output), Path(job.findings)
    return (Path(job.output),)


def model_of(job: Job) -> str:
    """Return the model that has to be loaded for a job; empty: none."""
    if isinstance(job, PictureJob):
        return "" if is_weight_file(job.base) else job.base
    if isinstance(job, UpscaleJob):
        return job.method if job.method in presets.names("models") else ""
    return job.model if isinstance(job, RenderJob) else ""


def refuse_missing(job: Job) -> None:
    """Make sure that what a job reads is there.

    Raises:
        JobError: a file is not; ModelError: the model is not known.
    """
    kinds: Mapping[str, type[JobError]] = {
        "the motion": MotionError,
        "the character": CharacterError,
    }
    for what, path in inputs_of(job).items():
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a folder is closed
            fault = kinds.get(what, JobError)
            raise fault(
                f"expected {what}, there is no {path}",
                hint="Relative paths in a job file start at the file's own folder.",
            )
    if model := model_of(job):
        bundles.find(model)


def refuse_outside(job: Job, roots: Iterable[Path]) -> None:
    """Make sure that a job writes within one of some folders, wherever links lead.

    Raises:
        OutputError: it would write elsewhere.
    """
    real = [os.path.realpath(root) for root in roots]
    for result in results_of(job):
        place = Path(os.path.realpath(result))
        if not any(place.is_relative_to(root) for root in real):
            raise OutputError(
                f"expected a result inside of {' or '.join(real)}, the job writes to {result}",
                hint="Say --allow-outside if that is meant, or name another folder with --root.",
            )
