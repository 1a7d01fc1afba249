"""Options that several commands share, and the job they make."""

import argparse
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from marionext import presets
from marionext.cli import console
from marionext.codec import decode, encode
from marionext.errors import ModelError, OutputError, SettingsError
from marionext.files import is_folder
from marionext.frames import FrameRate, parse_frames
from marionext.jobs import (
    CameraSettings,
    EngineSettings,
    MotionSource,
    OutputSettings,
    PictureJob,
    PoseSettings,
    RenderJob,
    UpscaleJob,
    decode_job,
)
from marionext.limits import quoted
from marionext.paths import user_path
from marionext.record import RECORD, Record, Take
from marionext.settings import DEFAULT_MODEL, Settings, SvdSettings, default_settings

__all__ = [
    "add_engine_options",
    "add_motion_options",
    "add_plan_option",
    "add_render_options",
    "add_view_options",
    "again_from",
    "anew_from",
    "engine_settings",
    "job_from",
    "motion_source",
    "parse_size",
    "pose_settings",
    "show_plan",
]

_FLAG_OF = {
    "width": "--size",
    "height": "--size",
    "guidance_min": "--guidance",
    "guidance_max": "--guidance",
    "control_strength": "--control-strength",
    "decode_chunk": "--decode-chunk",
    "noise_augmentation": "--noise-augmentation",
    "others": "--other",
}
"""Options that are not called as the setting is."""

_SETTINGS_FLAGS: tuple[tuple[str, str, type, str], ...] = (
    ("--refine", "refine", str, "auto, or off for the doll as it is drawn"),
    ("--seed", "seed", int, "seed of the noise"),
    ("--steps", "steps", int, "denoising steps"),
    ("--control-strength", "control_strength", float, "1 as trained, 0 ignores the poses"),
    ("--window", "window", int, "frames denoised together"),
    ("--overlap", "overlap", int, "frames that neighbouring windows share"),
    ("--decode-chunk", "decode_chunk", int, "frames decoded together"),
    ("--noise-augmentation", "noise_augmentation", float, "noise on the character picture"),
)


def parse_size(text: str) -> tuple[int, int]:
    """Read ``576x1024`` (width x height).

    Raises:
        argparse.ArgumentTypeError: the text is no size.
    """
    match = re.fullmatch(r"([0-9]{1,9})\s*[xX]\s*([0-9]{1,9})", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"expected WIDTHxHEIGHT such as 576x1024, got {quoted(text)}"
        )
    return int(match[1]), int(match[2])


def parse_rate(text: str) -> FrameRate:
    """Read a frame rate; see `FrameRate.parse`."""
    try:
        return FrameRate.parse(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def _person(text: str) -> str:
    """Read whom to follow; people are counted from 1, which jobs write as ``#1``."""
    number = text.removeprefix("#")
    if not number.isdecimal():
        return text
    if int(number) < 1:
        raise argparse.ArgumentTypeError("people are counted from 1: the first is --person 1")
    return f"#{int(number)}"


def add_motion_options(parser: argparse.ArgumentParser) -> None:
    """Add what tells how a motion is read and posed."""
    group = parser.add_argument_group("motion")
    group.add_argument(
        "--kind", choices=("auto", "video", "rig", "track", "posemaps"), default="auto"
    )
    group.add_argument("--rate", type=parse_rate, help="frames per second to read the motion at")
    group.add_argument(
        "--source-rate",
        type=parse_rate,
        help="frames per second that the motion has, where its file says none or a wrong one; "
        "--rate resamples",
    )
    group.add_argument(
        "--source-size",
        type=parse_size,
        help="declare the picture that the keypoints of a pose file lie in, as WIDTHxHEIGHT",
    )
    group.add_argument("--first", type=int, help="number of the motion's first frame")
    group.add_argument("--frames", help="frames to use, as 47, 1-30, 3,5-10 or 1-100:2")
    group.add_argument(
        "--palette",
        choices=("auto", "controlnext", "openpose", "any"),
        default="auto",
        help="colours of ready-made pose maps; any: control pictures of another kind, as they are",
    )
    add_view_options(group)
    group.add_argument("--no-clean", action="store_true", help="leave detected poses as they are")
    group.add_argument("--mirror", action="store_true", help="exchange left and right")


def add_view_options(group: argparse._ArgumentGroup) -> None:
    """Add what tells whom of a motion is meant, and from where a rig is seen."""
    group.add_argument("--clip", help="name of the animation in a glTF file")
    group.add_argument("--rig", help="rig preset (a name or a .toml file); default: detected")
    group.add_argument(
        "--person",
        type=_person,
        default="largest",
        help="largest, left, centre, right, or a number: 2 is the second from the left, of rigs "
        "the most joints first",
    )
    group.add_argument("--detector", choices=("mediapipe", "dwpose"), default="mediapipe")
    group.add_argument(
        "--up",
        choices=("y", "z", "x", "-y", "-x", "-z"),
        help="axis of a rig's file that is up; default: told from skeleton, motion and floor",
    )
    group.add_argument(
        "--camera",
        choices=("auto", "file", "frame", "follow"),
        default="auto",
        help="the file's own; one that frames the whole motion; one that goes along",
    )
    group.add_argument("--yaw", type=float, default=0.0, help="degrees around the character")
    group.add_argument("--pitch", type=float, default=0.0, help="degrees looking down")
    group.add_argument("--focal", type=float, default=50.0, help="mm on a 36 mm sensor")
    group.add_argument("--margin", type=float, default=0.08, help="part left free on each side")
    group.add_argument("--no-occlusion", action="store_true", help="score hidden joints as seen")


def add_render_options(parser: argparse.ArgumentParser) -> None:
    """Add what tells how the model renders."""
    group = parser.add_argument_group("picture")
    group.add_argument("--model", help=f"bundle name or folder (default: {DEFAULT_MODEL})")
    group.add_argument("--quality", choices=presets.names("quality"))
    group.add_argument(
        "--size", type=parse_size, help="WIDTHxHEIGHT; networks want multiples of 64"
    )
    group.add_argument(
        "--other",
        dest="others",
        action="append",
        metavar="PICTURE",
        help="of dolls: the picture of the second person of the motion, the third ...; repeatable",
    )
    group.add_argument("--fit", choices=("none", "linear", "limbs", "inside"), default="linear")
    for flag, name, kind, text in _SETTINGS_FLAGS:
        group.add_argument(flag, dest=name, type=kind, help=text)
    group.add_argument("--guidance", help="a number, or LOW:HIGH for a ramp within each window")
    group.add_argument("--schedule", choices=("karras", "ays"))
    group.add_argument("--blend", choices=("crossfade", "uniform", "shifted"))
    group.add_argument("--parity", action="store_true", help="equal to the reference bit by bit")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add what tells which machine to use."""
    group = parser.add_argument_group("machine")
    group.add_argument("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto")
    group.add_argument(
        "--dtype", choices=("auto", "float32", "float16", "bfloat16"), default="auto"
    )
    group.add_argument(
        "--threads", type=int,
        help="of the processor, for what is begun (all; few where other programs are busy, too)",
    )  # fmt: skip


def add_plan_option(parser: argparse.ArgumentParser) -> None:
    """Add what asks what a job of pictures takes."""
    parser.add_argument(
        "--plan", action="store_true",
        help="say what will be made, and what it takes in memory, disk and time; make nothing",
    )  # fmt: skip


def show_plan(job: PictureJob | UpscaleJob, options: argparse.Namespace) -> int:
    """Print what a job of pictures takes.

    Returns:
        The exit status: that of a missing model where one is missing.
    """
    from marionext.runs.outlines import outline  # noqa: PLC0415 - reads media files

    found = outline(job, engine_settings(options))
    if options.json:
        console.show_json(encode(found))
    else:
        console.show_result(found.text)
    return ModelError.exit_status if found.problems else 0


def engine_settings(options: argparse.Namespace) -> EngineSettings:
    """Return the machine's settings from parsed options."""
    return EngineSettings(
        device=options.device,
        dtype=options.dtype,
        overwrite=getattr(options, "overwrite", False),
        previews=not getattr(options, "no_previews", False),
        threads=options.threads,
    )


def motion_source(options: argparse.Namespace, path: str) -> MotionSource:
    """Return the motion from parsed options."""
    return MotionSource(
        path=str(user_path(path)),
        kind=getattr(options, "kind", "auto"),
        clip=options.clip,
        rig=options.rig,
        up=options.up,
        camera=CameraSettings(
            source=options.camera,
            yaw=options.yaw,
            pitch=options.pitch,
            focal=options.focal,
            margin=options.margin,
        ),
        detector=options.detector,
        person=options.person,
        palette=getattr(options, "palette", "auto"),
        rate=getattr(options, "rate", None),
        source_rate=getattr(options, "source_rate", None),
        source_size=getattr(options, "source_size", None),
        first=getattr(options, "first", None),
        occlusion=not options.no_occlusion,
    )


def pose_settings(options: argparse.Namespace) -> PoseSettings:
    """Return what is done to the poses from parsed options."""
    return PoseSettings(
        fit=getattr(options, "fit", "none"), clean=not options.no_clean, mirror=options.mirror
    )


def _guidance(text: str) -> dict[str, float]:
    low, _, high = text.partition(":")
    try:
        return {"guidance_min": float(low), "guidance_max": float(high or low)}
    except ValueError:
        raise SettingsError(f"--guidance: expected 3 or 1:3, got {text!r}") from None


def _settings(options: argparse.Namespace, model: str) -> Settings:
    return _with_given(default_settings(model, options.quality), options, model)


def _with_given(settings: Settings, options: argparse.Namespace, model: str) -> Settings:
    """Return settings with those laid over them that the command line names."""
    given = _given_settings(options)
    known = {field.name for field in fields(settings)}
    if unknown := [_FLAG_OF.get(name, f"--{name}") for name in given if name not in known]:
        raise SettingsError(
            f"{', '.join(dict.fromkeys(unknown))}: the model {model!r} has no such setting",
            hint="Leave it out, or name a model that has it: --model puppet, --model svd.",
        )
    return decode(type(settings), given, base=settings)


def _given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line names."""
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in (*(name for _, name, _, _ in _SETTINGS_FLAGS), "schedule", "blend")
        if getattr(options, name) is not None
    }
    if options.guidance is not None:
        given |= _guidance(options.guidance)
    if options.size is not None:
        given["width"], given["height"] = options.size
    if options.parity:
        given["parity"] = True
    if options.others:
        given["others"] = [str(user_path(other)) for other in options.others]
    return given


def again_from(folder: Path, options: argparse.Namespace) -> RenderJob:
    """Return the job that makes frames of a finished render anew, as a take of their own.

    Without a seed of its own each take has the next one, where the model has seeds.

    Raises:
        OutputError: the folder holds no render that can be read.
        SettingsError: no frames are named, or an option is out of its range.
    """
    if options.frames is None:
        raise SettingsError(
            "--again: expected the frames to make anew, got none",
            hint="Say --frames 40-60, or --out with a new folder for the same render again.",
        )
    if folder.name == RECORD:
        folder = folder.parent
    record = Record.read(folder / RECORD)
    job = decode_job(record.job)
    if not isinstance(job, RenderJob):
        raise SettingsError(f"{folder} is no render, but a job of the kind {job.kind!r}")
    wanted = parse_frames(options.frames)
    settings = job.settings
    given = _given_settings(options)
    begun = [take for take in record.takes if take.numbers == wanted and _unfinished(record, take)]
    if begun and not given:
        job = decode_job(begun[-1].job)
        assert isinstance(job, RenderJob)
        settings = job.settings
    elif isinstance(settings, SvdSettings):
        settings = replace(settings, seed=settings.seed + len(record.takes) + 1)
    return replace(
        job,
        again=options.frames,
        motion=replace(job.motion, path=_moved("motion", job.motion.path, options.motion)),
        character=_moved("character", job.character, options.character),
        settings=_with_given(settings, options, job.model),
        output=replace(job.output, directory=str(folder.absolute())),
    )


def anew_from(
    folder: Path, options: argparse.Namespace
) -> tuple[RenderJob, EngineSettings, Record]:
    """Return a finished render as a job of its own, which ends in the same bytes elsewhere.

    Returns:
        The job, the machine's settings as they were, and the record of the render.

    Raises:
        OutputError: the folder holds no render that can be read.
        SettingsError: options are named that would make another render.
    """
    from marionext.verifying import engine_of, render_of  # noqa: PLC0415 - pictures

    if options.frames is not None or _given_settings(options):
        raise SettingsError(
            "--again with --out makes the same render anew: expected neither --frames nor "
            "settings, got some",
            hint="Leave --out away to make some frames anew in their own folder.",
        )
    if folder.name == RECORD:
        folder = folder.parent
    record = Record.read(folder / RECORD)
    job = render_of(folder, record.job)
    job = replace(
        job,
        motion=replace(job.motion, path=_moved("motion", job.motion.path, options.motion)),
        character=_moved("character", job.character, options.character),
        output=replace(job.output, directory=str(user_path(options.out))),
    )
    return job, engine_of(record, engine_settings(options)), record


def _unfinished(record: Record, take: Take) -> bool:
    """Tell whether a take was stopped before its frames were shown and its videos made."""
    last = take.number == len(record.takes) and record.stage.name != "finished"
    return bool(take.missing) or last


def _moved(what: str, path: str, given: str | None) -> str:
    """Return where a file of a finished render is now.

    Raises:
        SettingsError: it is no longer where it was, and nobody said where else.
    """
    if given is not None:
        return str(Path(given).expanduser().absolute())
    if not Path(path).exists():
        raise SettingsError(
            f"the {what} of this render is no longer at {path}",
            hint=f"Say --{what} with where it is now; it has to be the same file.",
        )
    return path


def _begun_model(options: argparse.Namespace) -> str | None:
    """Return the model of the render that the same command goes on with, or None.

    The usual model has been another one: what was begun with it has to end with it.
    """
    path = user_path(options.out) / RECORD
    if getattr(options, "overwrite", False) or not path.is_file():
        return None
    try:
        model = Record.read(path).job.get("model")
    except OutputError:
        return None  # said where the folder is opened
    return model if isinstance(model, str) else None


def job_from(options: argparse.Namespace) -> RenderJob:
    """Return the job that the parsed options describe; paths made absolute.

    Raises:
        SettingsError: an option is out of its range.
    """
    model = options.model or _begun_model(options) or DEFAULT_MODEL
    if model not in presets.names("models") and is_folder(user_path(model)):
        model = str(user_path(model))
    return RenderJob(
        motion=motion_source(options, options.motion),
        character=str(user_path(options.character)),
        model=model,
        quality=options.quality,
        frames=options.frames,
        pose=pose_settings(options),
        settings=_settings(options, model),
        output=OutputSettings(
            directory=str(user_path(options.out)),
            videos=tuple(options.video or ("mp4",)),
            side_by_side=options.side_by_side,
            audio=not options.no_audio and options.audio != "none",
            sound=None
            if options.audio in (None, "none")
            else str(Path(options.audio).expanduser().absolute()),
            pose_maps=options.pose_maps,
        ),
    )
