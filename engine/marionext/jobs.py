"""What a render is: everything that changes a pixel, as one value.

A `RenderJob` is at once the command line's job file, the payload of the worker protocol and part
of the manifest beside the frames. What changes the machine but not the picture's meaning (device,
folders, memory) is in `EngineSettings`.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from marionext import presets
from marionext.codec import decode, encode
from marionext.edits import PoseEdit
from marionext.errors import SettingsError
from marionext.frames import FrameRate, parse_frames

__all__ = [
    "JOB_VERSION",
    "CameraSettings",
    "EngineSettings",
    "MotionSource",
    "OutputSettings",
    "PoseSettings",
    "RenderJob",
    "SvdSettings",
    "decode_job",
    "default_settings",
    "encode_job",
    "read_job",
]

JOB_VERSION = 1
"""Version of the job's form; a newer file is refused with a word about the version."""


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name}: expected a number from {low:g} to {high:g}, got {value:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """The camera that looks at a rig's motion."""

    source: Literal["auto", "file", "frame"] = "auto"
    """``file``: the file's own camera; ``frame``: one that frames the whole motion;
    ``auto``: the file's where it has one, else ``frame``."""
    yaw: float = 0.0
    """Degrees around the character; 0 sees its front, 90 its left side."""
    pitch: float = 0.0
    """Degrees above the horizon that the camera looks down from."""
    focal: float = 50.0
    """Focal length in mm on a 36 mm sensor."""
    margin: float = 0.08
    """Part of the picture left free on each side."""

    def __post_init__(self) -> None:
        """Refuse cameras that cannot be."""
        _within("yaw", self.yaw, -3600, 3600)
        _within("pitch", self.pitch, -90, 90)
        _within("focal", self.focal, 5, 1000)
        _within("margin", self.margin, 0, 0.45)


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionSource:
    """Where the poses come from: a video, a rig file, a pose track or ready-made pose maps."""

    path: str
    """File, or folder of OpenPose JSON files or pose map pictures."""
    kind: Literal["auto", "video", "rig", "track", "posemaps"] = "auto"
    """``auto`` tells by what is found at ``path``."""
    clip: str | None = None
    """Name of one of several animations in a file."""
    rig: str | None = None
    """Name of a rig preset, or path of one; None: detected."""
    camera: CameraSettings = field(default_factory=CameraSettings)
    detector: Literal["mediapipe", "dwpose"] = "mediapipe"
    person: str = "largest"
    """Whom to follow: ``largest``, ``left``, ``centre``, ``right`` or a number from 0."""
    palette: Literal["auto", "controlnext", "openpose", "any"] = "auto"
    """Colours of ready-made pose maps; ``any``: control pictures of another kind, as they are."""
    rate: FrameRate | None = None
    """Rate to read the motion at; None: its own (a rig without one: 30)."""
    first: int | None = None
    """Number of the first frame; None: the source's own."""
    occlusion: bool = True
    """Lower the scores of a rig's joints that the body hides from the camera."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSettings:
    """What is done to the poses before they are drawn."""

    fit: Literal["none", "linear", "limbs"] = "linear"
    """``linear``: moved and scaled onto the character's picture, as the reference does;
    ``limbs``: each limb also takes the character's length."""
    clean: bool = True
    """Fill gaps, repair left-right swaps, remove outliers and smooth (detected poses only)."""
    edits: tuple[PoseEdit, ...] = ()
    """Changes by hand, in their order, of what the clean-up leaves."""
    mirror: bool = False
    """Turn left into right, after the edits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SvdSettings:
    """How the model renders. The defaults are the reference's for SVD; a bundle brings its own."""

    width: int = 576
    """Pixels; rounded to a multiple of 64, which is said."""
    height: int = 1024
    seed: int = 0
    steps: int = 25
    schedule: Literal["karras", "ays"] = "karras"
    """Noise levels: Karras et al. 2022, or Align Your Steps (Sabour et al. 2024)."""
    guidance_min: float = 3.0
    """Classifier-free guidance at a window's first frame, rising to ``guidance_max`` at its last;
    1 means none."""
    guidance_max: float = 3.0
    control_strength: float = 1.0
    """1 as the model was trained; 0 ignores the poses."""
    window: int = 24
    """Frames denoised together, the reference slot included."""
    overlap: int = 6
    """Frames that neighbouring windows share at least."""
    blend: Literal["shifted", "crossfade", "uniform"] = "shifted"
    """How windows are joined: frames they share cross-fade or weigh the same; ``shifted``:
    cross-faded, and in every other step the windows are where the seams were."""
    noise_augmentation: float = 0.02
    """Deviation of the noise added to the character picture (-1 to 1) before it is encoded."""
    motion_bucket: int = 128
    """SVD's measure of motion; trained at 128 here."""
    fps_id: int = 6
    """SVD's frame-rate condition (frames per second less one); trained at 6 here."""
    decode_chunk: int = 2
    """Frames decoded together; the decoder mixes within a chunk, so this changes pixels."""
    skip_uncond_below: float = 0.0
    """Leave guidance out at noise levels below this."""
    parity: bool = False
    """Do as the reference does to the last bit: fp32, its windows, uniform averaging."""

    def __post_init__(self) -> None:
        """Check every range once."""
        _within("width", self.width, 64, 8192)
        _within("height", self.height, 64, 8192)
        _within("seed", self.seed, 0, 2**63 - 1)
        _within("steps", self.steps, 1, 1000)
        _within("guidance_min", self.guidance_min, 0, 100)
        _within("guidance_max", self.guidance_max, 0, 100)
        _within("control_strength", self.control_strength, 0, 10)
        _within("window", self.window, 2, 1024)
        if not 0 <= self.overlap < self.window:
            raise SettingsError(
                f"overlap: expected 0 up to less than the window ({self.window}), "
                f"got {self.overlap}"
            )
        _within("noise_augmentation", self.noise_augmentation, 0, 10)
        _within("motion_bucket", self.motion_bucket, 0, 1023)
        _within("fps_id", self.fps_id, 0, 240)
        _within("decode_chunk", self.decode_chunk, 1, 1024)
        _within("skip_uncond_below", self.skip_uncond_below, 0, 1000)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, each rounded to the nearest multiple of 64 (at least 64)."""
        width, height = (max(64, (side + 32) // 64 * 64) for side in (self.width, self.height))
        return width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """What is made of the frames."""

    directory: str
    """Folder for ``frames/``, ``render.json`` and the videos."""
    videos: tuple[Literal["mp4", "webm", "gif", "prores"], ...] = ("mp4",)
    side_by_side: bool = False
    """Also a video with the pose map beside each frame."""
    audio: bool = True
    """Carry the source's sound over, where it has any."""
    pose_maps: bool = False
    """Also write each pose map as a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """One motion, one character, one way to render: N poses in, N frames out."""

    motion: MotionSource
    character: str
    """The picture of the character."""
    output: OutputSettings
    model: str = "puppet"
    """Name of a bundle, or its folder."""
    quality: str | None = None
    """Name of the quality preset that ``settings`` started from, for the record."""
    frames: str | None = None
    """Selection such as ``1-120`` in the source's numbers; None: all."""
    pose: PoseSettings = field(default_factory=PoseSettings)
    settings: SvdSettings = field(default_factory=SvdSettings)
    version: int = JOB_VERSION

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file."""
        if self.version > JOB_VERSION:
            raise SettingsError(
                f"version: this job is of version {self.version}, "
                f"this Marionext reads up to {JOB_VERSION}",
                hint="Update Marionext.",
            )
        if self.frames is not None:
            parse_frames(self.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What the machine is to use; nothing here is meant to change the picture."""

    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    overwrite: bool = False
    """Render again what the output folder already holds."""
    previews: bool = True
    """Send a small picture after each step."""


def default_settings(model: str, quality: str | None = None) -> SvdSettings:
    """Return a bundle's own settings, with a quality preset laid over them.

    Args:
        model: name of a bundle; a folder counts as ``svd``, whose layout it has, unless its
            ``marionext.toml`` holds settings of its own.
        quality: name of a quality preset, or None.

    Raises:
        SettingsError: no such preset.
    """
    settings = SvdSettings()
    for fragment in (_model_settings(model), _quality_settings(quality, model)):
        settings = decode(SvdSettings, fragment, base=settings)
    return settings


def _model_settings(model: str) -> dict[str, Any]:
    own = Path(model) / "marionext.toml"
    if own.is_file():
        return dict(tomllib.loads(own.read_text(encoding="utf-8")).get("settings", {}))
    name = model if model in presets.names("models") else "svd"
    return dict(presets.read("models", name).get("settings", {}))


def _quality_settings(quality: str | None, model: str) -> dict[str, Any]:
    if quality is None:
        return {}
    preset = presets.read("quality", quality)
    return {**preset.get("settings", {}), **preset.get("for", {}).get(model, {})}


def decode_job(data: object, *, beside: Path | None = None) -> RenderJob:
    """Read a job, its absent settings taken from its model and quality presets.

    Args:
        data: what the job file holds.
        beside: folder that relative paths in the job start from; None leaves them.

    Raises:
        SettingsError: as `marionext.codec.decode`, with the path of the key.
    """
    if not isinstance(data, Mapping):
        raise SettingsError("$: expected an object with the keys motion, character and output")
    model, quality = data.get("model", "puppet"), data.get("quality")
    settings = (
        default_settings(model, quality)
        if isinstance(model, str) and isinstance(quality, str | None)
        else SvdSettings()
    )
    given = data.get("settings", {})
    rest = {key: value for key, value in data.items() if key != "settings"}
    job = decode(RenderJob, rest)
    job = replace(job, settings=decode(SvdSettings, given, base=settings, path="$.settings"))
    return job if beside is None else _anchored(job, beside)


def read_job(path: Path) -> RenderJob:
    """Read a job file (JSON); relative paths in it start at its own folder.

    Raises:
        SettingsError: the file is missing, no JSON, or not a job.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such job file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except json.JSONDecodeError as error:
        raise SettingsError(
            f"{path}: not a JSON file: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    try:
        return decode_job(data, beside=path.absolute().parent)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=error.hint) from None


def _anchored(job: RenderJob, folder: Path) -> RenderJob:
    def anchor(path: str) -> str:
        return str(folder / Path(path).expanduser())

    model = job.model
    if model not in presets.names("models") and (folder / model).is_dir():
        model = anchor(model)
    return replace(
        job,
        motion=replace(job.motion, path=anchor(job.motion.path)),
        character=anchor(job.character),
        output=replace(job.output, directory=anchor(job.output.directory)),
        model=model,
    )


def encode_job(job: RenderJob) -> dict[str, Any]:
    """Return the job as JSON values, complete: what the manifest and the protocol carry."""
    return dict(encode(job))
