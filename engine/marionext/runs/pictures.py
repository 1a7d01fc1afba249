"""Make pictures from words and controls: a character in the right pose, or many to choose from."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from marionext import bundles, presets
from marionext.backends import Renderers
from marionext.backends.pictures.bases import Base, find_base
from marionext.backends.pictures.budget import read_shape
from marionext.backends.pictures.control_files import ControlFiles, find_control
from marionext.backends.pictures.recognise import refuse_other_lora, text_width
from marionext.backends.processor import computing_with, threads
from marionext.casting import find_files, open_doll
from marionext.character import read_character
from marionext.doll import DollDrawer
from marionext.errors import SettingsError
from marionext.files import sha256_of
from marionext.job_files import inputs_of
from marionext.jobs import EngineSettings, PictureJob, encode_job
from marionext.output import contact_sheet
from marionext.paths import refuse_overlap
from marionext.pose import PoseTrack
from marionext.reporting import Reporter
from marionext.runs.control_pictures import ControlSource, fitted, picture_size
from marionext.runs.kept_folder import begun_with
from marionext.runs.outlines import picture_operations, timed
from marionext.runs.picture_folder import PictureFolder, PictureRecord, started
from marionext.runs.result import Result

if TYPE_CHECKING:
    from marionext.backends.pictures.making import PictureMaker, Wish

__all__ = ["make_pictures"]

_MOST_SHOWN = 100
"""Pictures on a contact sheet, the first."""


def make_pictures(
    job: PictureJob, engine: EngineSettings, report: Reporter, renderers: Renderers
) -> Result:
    """Make the pictures of a job, or those that are missing.

    Raises:
        EngineError: one of its kinds; what is finished is kept.
        JobCancelled: the host wants the job to stop; what is finished is kept.
    """
    output = Path(job.output)
    report.progress("poses", 0, 0, "looking at controls")
    base = find_base(job.base, config=job.config, vae=job.vae)
    for note in base.notes:
        report.log(note)
    for lora in job.loras:
        refuse_other_lora(Path(lora.path), base.family, text_width(base.path, base.family))
    controls = [ControlSource(control, report) for control in job.controls]
    networks = [
        find_control(control, base.family, base.path if base.path.is_dir() else None)
        for control in job.controls
    ]
    reads: dict[str, Sequence[Path]] = {what: (path,) for what, path in inputs_of(job).items()}
    for place, source in enumerate(controls, start=1):
        reads[f"control {place} ({source.control.kind})"] = source.files
    if job.draft is not None and job.draft.kind == "doll":
        reads["the draft"] = find_files(Path(job.draft.path)).all
    refuse_overlap(reads, (), (output,))
    maker = _open(base, engine, report, renderers)
    size = picture_size(job, maker.own_size, maker.side_step, controls, report)
    usual = base.defaults
    job = replace(
        job,
        steps=usual.steps if job.steps is None else job.steps,
        guidance=usual.guidance if job.guidance is None else job.guidance,
    )
    wish = replace(_wish(job, maker, size, controls, networks, report), words=usual.words)
    # Bytes depend on the threads: what goes on takes those that it was begun with.
    number = engine.threads or begun_with(output, PictureRecord) or threads()
    record = started(
        job=encode_job(job),
        inputs={**_hashes(reads), **_drawn(wish)},
        models={**base.hashes(), **_hashes(_named(networks))},
        versions=_versions(),
        computed=_computed(maker, number),
        size=size,
    )
    with (
        PictureFolder(output, record, overwrite=engine.overwrite) as folder,
        computing_with(number),
    ):
        for place, control in enumerate(wish.controls, start=1):
            folder.put_control(place, job.controls[place - 1].kind, control.picture)
        if wish.draft is not None:
            folder.put_draft(wish.draft)
        one = picture_operations(read_shape(base), size, wish.steps, wish.guidance, job)
        left = sum(not folder.has(job.seed + number) for number in range(job.count))
        with timed(f"picture {base.title}", maker.device.type, one * left):
            pose = _pose_asked_for(controls, wish)
            _make_missing(job, maker, wish, folder, report, pose, previews=engine.previews)
        _sheet(job, wish, folder)
        folder.note(tuple(report.said))
    return Result(output, job.count)


def _open(
    base: Base, engine: EngineSettings, report: Reporter, renderers: Renderers
) -> "PictureMaker":
    """Return the loaded base, that of the job before where it is the same."""

    def load(say: Callable[[str], None]) -> "PictureMaker":
        from marionext.backends.pictures.making import open_maker  # noqa: PLC0415 - torch

        return open_maker(
            base.path,
            base.family,
            engine,
            bundles.models_folder() / "converted",
            say,
            config=base.config,
            vae=base.vae,
        )

    stamps = tuple(_stamp(path) for path in base.files.values())
    key = ("pictures", base.path, base.config, base.vae, engine.device, engine.dtype, stamps)
    return renderers.kept(key, load, report)


def _stamp(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns


def _wish(
    job: PictureJob,
    maker: "PictureMaker",
    size: tuple[int, int],
    controls: Sequence[ControlSource],
    networks: Sequence[ControlFiles],
    report: Reporter,
) -> "Wish":
    """Return what the maker is asked for: all control pictures are drawn here."""
    from marionext.backends.pictures.making import Control, Wish  # noqa: PLC0415 - torch

    for text, name in ((job.prompt, "prompt"), (job.negative, "negative prompt")):
        if lost := maker.cut_off(text):
            report.log(f"the {name} is too long; left out: {lost!r}", warning=True)
    drawn = []
    for place, (source, files) in enumerate(zip(controls, networks, strict=True)):
        report.progress("poses", place, len(controls), source.name)
        drawn.append(_control(source, files, size, report, Control))
    draft = _draft(job, size, controls, report)
    assert job.steps is not None
    assert job.guidance is not None
    if job.draft is not None and job.steps * job.draft.change < 1:
        raise SettingsError(
            f"expected a draft's change of at least one of {job.steps} steps, "
            f"{job.draft.change:g} is none",
            hint=f"Let more change ({1 / job.steps:.2f} or more), or take more steps.",
        )
    wish = Wish(
        prompt=job.prompt,
        negative=job.negative,
        size=size,
        steps=job.steps,
        guidance=job.guidance,
        scheduler=job.scheduler,
        controls=tuple(drawn),
        loras=job.loras,
        draft=draft,
        change=1.0 if job.draft is None else job.draft.change,
    )
    maker.check(wish)
    return wish


def _control(
    source: ControlSource,
    files: ControlFiles,
    size: tuple[int, int],
    report: Reporter,
    make: Callable[..., Any],
) -> Any:
    control, settings = source.control, files.settings
    if settings.kinds and control.kind not in settings.kinds:
        report.log(
            f"{source.name}: {files.name} was trained for {', '.join(settings.kinds)} control",
            warning=True,
        )
    strength = settings.strength if control.strength is None else control.strength
    return make(
        files=files,
        picture=source.draw(size, settings.palette),
        strength=strength,
        start=control.start,
        stop=control.stop,
    )


def _draft(
    job: PictureJob,
    size: tuple[int, int],
    controls: Sequence[ControlSource],
    report: Reporter,
) -> NDArray[np.uint8] | None:
    """Return the picture that is begun with, or None."""
    if job.draft is None:
        return None
    path = Path(job.draft.path)
    if job.draft.kind == "doll":
        posed = next((each for each in controls if each.control.kind == "pose"), None)
        if posed is None:
            raise SettingsError(
                "expected a pose control for the doll that is to be the draft, there is none",
                hint="Say which pose: --control pose=MOTION@FRAME.",
            )
        track = posed.track(size)
        drawer = DollDrawer([open_doll(path, report.log)], size)
        return np.ascontiguousarray(drawer.draw(track.points[0], track.scores[0]).picture)
    read = read_character(path, what="the draft")
    for note in read.notes:
        report.log(note)
    return fitted(read.pixels, size, "cut", f"draft {path.name}", report, smooth=True)


def _hashes(files: Mapping[str, Path | Sequence[Path]]) -> dict[str, str]:
    """Return the sha256 of files by what they are; folders are left to their own files."""
    found = {}
    for what, paths in files.items():
        each = [paths] if isinstance(paths, Path) else list(paths)
        for place, path in enumerate(path for path in each if path.is_file()):
            found[what if place == 0 else f"{what} {place + 1}"] = sha256_of(path)
    return found


def _drawn(wish: "Wish") -> dict[str, str]:
    """Return hashes of what is drawn of the inputs: what found a pose or depth counts as well."""
    shown = {f"control {n} as drawn": each.picture for n, each in enumerate(wish.controls, start=1)}
    if wish.draft is not None:
        shown["the draft as drawn"] = wish.draft
    return {name: hashlib.sha256(each.tobytes()).hexdigest() for name, each in shown.items()}


def _named(networks: Sequence[ControlFiles]) -> dict[str, Path]:
    return {
        f"control {place}/{path.name}": path
        for place, files in enumerate(networks, start=1)
        for path in files.all
    }


def _versions() -> dict[str, str]:
    """Return the versions of the libraries that compute pictures."""
    from marionext.backends.pictures.making import versions  # noqa: PLC0415 - torch

    return dict(versions())


def _computed(maker: "PictureMaker", number: int) -> dict[str, str]:
    """Return how this machine computes it, as far as that changes bits."""
    computed = {
        "device": maker.device.type,
        "dtype": str(maker.dtype).removeprefix("torch."),
    }
    if maker.device.type == "cpu":
        computed["threads"] = str(number)
    return computed


def _pose_asked_for(controls: Sequence[ControlSource], wish: "Wish") -> PoseTrack | None:
    """Return the keypoints of the one pose that pictures are to have, where they are known."""
    poses = [
        source
        for source, control in zip(controls, wish.controls, strict=True)
        if source.control.kind == "pose" and control.strength > 0
    ]
    return poses[0].known_track(wish.size) if len(poses) == 1 else None


def _make_missing(
    job: PictureJob,
    maker: "PictureMaker",
    wish: "Wish",
    folder: PictureFolder,
    report: Reporter,
    pose: PoseTrack | None,
    *,
    previews: bool,
) -> None:
    """Make the pictures that are not there yet, so many at a time."""
    seeds = [job.seed + number for number in range(job.count)]
    missing = [seed for seed in seeds if not folder.has(seed)]
    if there := job.count - len(missing):
        report.log(f"{there} of {job.count} pictures are there already")
    for start in range(0, len(missing), job.batch):
        part = missing[start : start + job.batch]
        told = partial(_tell, report, start, part, len(missing))
        first = part[0] - job.seed + 1
        pictures = maker.make(
            wish,
            part,
            on_step=partial(told, "denoise"),
            on_decode=partial(told, "decode"),
            on_preview=partial(_preview, folder, report, first) if previews else None,
        )
        for seed, picture in zip(part, pictures, strict=True):
            number = seed - job.seed + 1
            path = folder.put_picture(number, seed, picture, _text(job, seed))
            if pose is not None:
                folder.put_pose(number, pose)
            report.frame(number, str(path))


def _preview(
    folder: PictureFolder, report: Reporter, number: int, picture: NDArray[np.uint8]
) -> None:
    if (path := folder.put_preview(picture)) is not None:
        report.preview(str(path), number)


def _tell(
    report: Reporter,
    start: int,
    part: Sequence[int],
    count: int,
    stage: str,
    done: int,
    total: int,
) -> None:
    """Tell how far all pictures are: each is denoised first and decoded then."""
    if stage == "decode" and start + len(part) < count:
        report.check()
        return
    finished = start * total + done * len(part) if stage == "denoise" else done
    report.progress(
        stage,
        finished,
        count * total if stage == "denoise" else total,
        f"pictures {start + 1} to {start + len(part)} of {count}" if count > 1 else "",
    )


def _text(job: PictureJob, seed: int) -> dict[str, str]:
    """Return what a picture's file says of itself."""
    said = {"prompt": job.prompt, "negative": job.negative, "seed": seed, "base": job.base}
    if job.base not in presets.names("models"):
        said["base"] = Path(job.base).name
    return {"Software": "Marionext", "Marionext": json.dumps(said, ensure_ascii=False)}


def _sheet(job: PictureJob, wish: "Wish", folder: PictureFolder) -> None:
    """Lay controls and pictures out on one page, where there is more than one to look at."""
    shown = [
        (control.picture, f"{each.kind} control")
        for each, control in zip(job.controls, wish.controls, strict=True)
    ]
    if wish.draft is not None:
        shown.append((wish.draft, "draft"))
    for number in range(min(job.count, _MOST_SHOWN)):
        seed = job.seed + number
        shown.append((_pixels(folder.path_of(seed)), f"{number + 1}: seed {seed}"))
    if len(shown) > 1:
        folder.put_sheet(contact_sheet([each[0] for each in shown], [each[1] for each in shown]))


def _pixels(path: Path) -> NDArray[np.uint8]:
    """Return a picture that was made: (height, width, 3) RGB."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
