"""What is to be done, as one value: everything that changes the result.

There are several kinds of jobs, told apart by ``kind``. Each is at once a job file, the payload of
the worker protocol and, for a render, part of the record beside the frames. What changes the
machine but not the meaning of the result (device, folders, memory) is in `EngineSettings`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from marionext import limits, presets
from marionext.codec import decode, encode
from marionext.edits import PoseEdit
from marionext.errors import SettingsError
from marionext.files import read_json
from marionext.frames import FrameRate, check_number, parse_frames
from marionext.paths import check_path, user_path
from marionext.settings import (
    DEFAULT_MODEL,
    DEFAULT_PICTURE_MODEL,
    DEFAULT_UPSCALER,
    DollSettings,
    Settings,
    SvdSettings,
    default_settings,
    within,
)

__all__ = [
    "JOB_VERSION",
    "RIG_SIZE",
    "CameraSettings",
    "EngineSettings",
    "ExportJob",
    "Job",
    "LivePose",
    "LoraFile",
    "MotionSource",
    "OutputSettings",
    "PictureControl",
    "PictureDraft",
    "PictureJob",
    "Pictures",
    "PoseMapJob",
    "PoseSettings",
    "RenderJob",
    "TakeJob",
    "TrackJob",
    "UpscaleJob",
    "decode_job",
    "encode_job",
    "read_job",
    "with_paths",
]

JOB_VERSION = 2
"""Version of the jobs' form; a newer file is refused with a word about the version. In version 1 a
render that names no model is one of the puppet."""

_MODEL_OF_VERSION_1 = "puppet"

RIG_SIZE = (576, 1024)
"""Width and height in pixels that a rig is seen in where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """The camera that looks at a rig's motion."""

    source: Literal["auto", "file", "frame", "follow"] = "auto"
    """``file``: the file's own camera; ``frame``: one that frames the whole motion; ``follow``: one
    that goes along with the figure; ``auto``: the file's where it has one, else ``frame``."""
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
        within("yaw", self.yaw, -3600, 3600)
        within("pitch", self.pitch, -90, 90)
        within("focal", self.focal, 5, 1000)
        within("margin", self.margin, 0, 0.45)


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionSource:
    """Where the poses come from: a video, a rig file, a pose track or ready-made pose maps."""

    path: str
    """File, or folder of OpenPose JSON files or pose map pictures."""
    kind: Literal["auto", "video", "rig", "track", "posemaps", "picture"] = "auto"
    """``auto`` tells by what is found at ``path``. A ``picture`` is one frame, such as that of a
    character whose pose is wanted; it is never meant by ``auto``."""
    clip: str | None = None
    """Name of one of several animations in a file."""
    rig: str | None = None
    """Name of a rig preset, or path of one; None: detected."""
    up: Literal["y", "z", "x", "-y", "-x", "-z"] | None = None
    """The axis of a rig's file that is up; None: told from skeleton, motion and floor."""
    camera: CameraSettings = field(default_factory=CameraSettings)
    detector: Literal["mediapipe", "dwpose"] = "mediapipe"
    person: str = "largest"
    """Whom to follow: ``largest``, ``left``, ``centre``, ``right``, or ``#2`` for the second: from
    the left, of rigs the most joints first. A bare number counts from 0, as it always has."""
    palette: Literal["auto", "controlnext", "openpose", "any"] = "auto"
    """Colours of ready-made pose maps; ``any``: control pictures of another kind, as they are."""
    rate: FrameRate | None = None
    """Rate to read the motion at; None: its own (a rig without one: 30)."""
    source_rate: FrameRate | None = None
    """Rate that the motion has, said by hand: for a file that has none or a wrong one. Nothing is
    resampled by it; ``rate`` does that. None: as the file says."""
    source_size: tuple[int, int] | None = None
    """Declares the width and height of the picture that a pose file's keypoints lie in, where it
    does not say; None: its own, or a guess that is said."""
    first: int | None = None
    """Number of the first frame; None: the source's own."""
    occlusion: bool = True
    """Lower the scores of a rig's joints that the body hides from the camera."""

    def __post_init__(self) -> None:
        """Refuse numbers and names that cannot be."""
        check_path("path", self.path)
        if self.rig is not None:
            check_path("rig", self.rig)
        if self.first is not None:
            check_number("first", self.first)
        for name, side in zip(("width", "height"), self.source_size or (), strict=False):
            within(f"source_size: {name}", side, 1, limits.PICTURE_SIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSettings:
    """What is done to the poses before they are drawn."""

    fit: Literal["none", "linear", "limbs", "inside"] = "linear"
    """``linear``: moved and scaled onto the character's picture, as the reference does;
    ``limbs``: each limb also takes the character's length; ``inside``: like limbs, and the whole
    motion is kept in the picture."""
    clean: bool = True
    """Fill gaps, repair left-right swaps, remove outliers and smooth (detected poses only)."""
    edits: tuple[PoseEdit, ...] = ()
    """Changes by hand, in their order, of what the clean-up leaves."""
    mirror: bool = False
    """Turn left into right, after the edits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePose:
    """One pose that a host wants to see the character in, now; no job, since nothing is kept.

    Points are in pixels of the picture that is asked for, or, where they are to be fitted, of the
    motion's picture brought to that size. Lists of numbers are looked at by who draws them.
    """

    character: str
    """Path of the character's picture, or of a ``*.doll`` folder."""
    width: int
    """Of the picture in pixels."""
    height: int
    points: tuple[Any, ...]
    """(people, 134, 2), x to the right, y down."""
    scores: tuple[Any, ...]
    """(people, 134)."""
    depths: tuple[Any, ...] | None = None
    """(people, 134): how near to the viewer each point is, in pixels, larger is nearer; None: not
    known."""
    fit: Literal["none", "linear", "limbs", "inside"] = "none"
    """As of a render (`PoseSettings`)."""
    motion: str | None = None
    """Path of a pose track that the fit is measured on, as it is on the whole clip in a render;
    None: on this pose alone."""
    refine: bool = False
    """Whether a network mends what the warp cannot know."""

    def __post_init__(self) -> None:
        """Refuse sizes and crowds that cannot be drawn at once."""
        check_path("character", self.character)
        if self.motion is not None:
            check_path("motion", self.motion)
        within("width", self.width, 16, limits.LIVE_SIDE)
        within("height", self.height, 16, limits.LIVE_SIDE)
        within("people", len(self.points), 1, limits.LIVE_PEOPLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSettings:
    """What is made of the frames."""

    directory: str
    """Folder for ``frames/``, ``render.json`` and the videos."""
    videos: tuple[Literal["mp4", "webm", "gif", "prores"], ...] = ("mp4",)
    side_by_side: bool = False
    """Also a video with the pose map beside each frame."""
    audio: bool = True
    """Whether the videos have sound, where there is any."""
    sound: str | None = None
    """File whose sound they have, from the motion's first frame on; None: the motion's own."""
    pose_maps: bool = False
    """Also write each pose map as a picture."""

    def __post_init__(self) -> None:
        """Refuse names that cannot be."""
        check_path("directory", self.directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnyJob:
    """What every kind of job has."""

    version: int = JOB_VERSION

    def __post_init__(self) -> None:
        """Check what can be checked without opening a file."""
        for name in ("character", "directory", "findings", "method", "model", "output", "source"):
            if isinstance(text := getattr(self, name, None), str):
                check_path(name, text)
        if self.version > JOB_VERSION:
            raise SettingsError(
                f"version: this job is of version {limits.quoted(self.version)}, "
                f"this Marionext reads up to {JOB_VERSION}",
                hint="Update Marionext.",
            )
        for name in ("frames", "again"):
            if getattr(self, name, None) is not None:
                parse_frames(getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob(_AnyJob):
    """One motion, one character, one way to render: N poses in, N frames out."""

    kind: Literal["render"] = "render"
    motion: MotionSource
    character: str
    """The picture of the character, or the folder of a layered doll."""
    output: OutputSettings
    model: str = DEFAULT_MODEL
    """Name of a bundle, or its folder."""
    quality: str | None = None
    """Name of the quality preset that ``settings`` started from, for the record."""
    frames: str | None = None
    """Selection such as ``1-120`` in the source's numbers; None: all."""
    again: str | None = None
    """Frames to make anew in the folder of a finished render, as a take of their own; all others
    are held as they are. None: the render itself."""
    pose: PoseSettings = field(default_factory=PoseSettings)
    settings: Settings = field(default_factory=DollSettings)
    """Of the type that belongs to the model's architecture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeJob(_AnyJob):
    """Show another take of frames in the folder of a render, and make its videos again."""

    kind: Literal["take"] = "take"
    directory: str
    """The render's folder."""
    frames: str | None = None
    """Selection; None: all that the take has."""
    take: int = 0
    """Number of the take to show; 0 is the render itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackJob(_AnyJob):
    """Read poses out of a motion, clean and change them, and write them as a pose track."""

    kind: Literal["track"] = "track"
    motion: MotionSource
    output: str
    """The file, in a format told by its name, or a folder for OpenPose JSON."""
    findings: str | None = None
    """JSON file for what the clean-up found: a list of `marionext.pose.Finding`."""
    pose: PoseSettings = field(default_factory=lambda: PoseSettings(fit="none"))
    frames: str | None = None
    """One span in the source's numbers; None: all."""
    width: int = RIG_SIZE[0]
    """Pixels of the picture that a rig is seen in; other motions have their own."""
    height: int = RIG_SIZE[1]

    def __post_init__(self) -> None:
        """Check the size, too."""
        _AnyJob.__post_init__(self)
        _check_size(self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseMapJob(_AnyJob):
    """Draw the pose maps of a motion as pictures."""

    kind: Literal["posemaps"] = "posemaps"
    motion: MotionSource
    output: str
    """Folder for the pictures, named by their frame numbers."""
    pose: PoseSettings = field(default_factory=lambda: PoseSettings(fit="none"))
    frames: str | None = None
    width: int | None = None
    """Pixels of the maps; None: as the poses say, 576x1024 for a rig."""
    height: int | None = None

    def __post_init__(self) -> None:
        """Check the size, too."""
        _AnyJob.__post_init__(self)
        if (self.width is None) != (self.height is None):
            raise SettingsError("expected both a width and a height, or neither")
        if self.width is not None and self.height is not None:
            _check_size(self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures of one folder that follow each other in a video."""

    folder: str
    """In which they are named by their numbers, as the frames of a render are: ``000123.png``."""
    frames: str
    """Selection such as ``1-120``; they follow in the order of their numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob(_AnyJob):
    """Make a video, or a sequence of pictures, of frames that are there: a cut of several renders.

    Frame n of what is made is picture n, one after the other; nothing is dropped or repeated.
    """

    kind: Literal["export"] = "export"
    pictures: tuple[Pictures, ...]
    """In the order in which they are shown."""
    output: str
    """The file; of a sequence the folder."""
    form: Literal["mp4", "prores", "webm", "gif", "png"] = "mp4"
    rate: FrameRate
    quality: Literal["high", "good", "small"] = "high"
    width: int | None = None
    """Pixels; None: those of the first picture. Others are brought to it whole, on black."""
    height: int | None = None
    sound: str | None = None
    """File whose sound it has; None: none. Beside a sequence it is left out."""
    sound_start: Fraction = Fraction(0)
    """Seconds of that file at which the first picture is shown."""
    first: int = 1
    """Number of the first picture of a sequence."""

    def __post_init__(self) -> None:
        """Check the size and that there is something to show, too."""
        _AnyJob.__post_init__(self)
        if not self.pictures:
            raise SettingsError("pictures: expected at least one folder of frames, got none")
        for each in self.pictures:
            check_path("folder", each.folder)
            parse_frames(each.frames)
        if self.sound is not None:
            check_path("sound", self.sound)
        if (self.width is None) != (self.height is None):
            raise SettingsError("expected both a width and a height, or neither")
        if self.width is not None and self.height is not None:
            _check_size(self.width, self.height)
        check_number("first", self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureControl:
    """What steers a picture: a pose, edges, depth, a mask, or another picture, and how much."""

    kind: Literal["pose", "canny", "depth", "mask", "lowres", "other"]
    """What the control picture shows. ``lowres``: the picture itself in fewer pixels; ``other``: a
    picture of a kind of the user's own, taken as it is."""
    source: MotionSource
    """A picture; for poses any motion; for depth and mask also a rig's file with a mesh."""
    frame: int | None = None
    """Number of the motion's frame; None: its first."""
    ready: Literal["auto", "yes", "no"] = "auto"
    """Whether the picture is the control picture already, or has to be looked at first; ``auto``:
    told by what it looks like, and said."""
    estimator: str | None = None
    """Folder of a transformers model that finds depth, or the figure, in a picture."""
    weights: str | None = None
    """Control network: name of a bundle, its folder, or a file of weights; None: the base's own, or
    the one known for this kind and the base's family."""
    changes: bool = True
    """Whether the change of the base's weights that goes with the network is made, where there is
    one: stricter control for less of the base's own way."""
    strength: float | None = None
    """Factor of what is added; None: as the weights were made for."""
    start: float = 0.0
    """Part of the steps after which it begins to steer ..."""
    stop: float = 1.0
    """... and after which it has ended."""
    low: int = 100
    """Canny's lower threshold, 0 to 255: edges that touch a strong one count from here."""
    high: int = 200
    """Canny's upper threshold: edges count from here."""
    fit: Literal["cut", "whole"] = "cut"
    """How a picture of another shape is brought to size: its middle, or all of it on black."""

    def __post_init__(self) -> None:
        """Refuse numbers and names that cannot be."""
        for name in ("estimator", "weights"):
            if (text := getattr(self, name)) is not None:
                check_path(name, text)
        if self.frame is not None:
            check_number("frame", self.frame)
        if self.strength is not None:
            within("strength", self.strength, 0, 10)
        within("start", self.start, 0, 1)
        within("stop", self.stop, 0, 1)
        if self.start >= self.stop:
            raise SettingsError(
                f"expected a control to start before it stops, got {self.start:g} to {self.stop:g}"
            )
        within("low", self.low, 0, 255)
        within("high", self.high, 0, 255)
        if self.low > self.high:
            raise SettingsError(
                f"low: expected a threshold up to the upper one ({self.high}), got {self.low}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraFile:
    """Low-rank changes of a base's weights, from a file."""

    path: str
    weight: float = 1.0
    """Factor of the changes."""

    def __post_init__(self) -> None:
        """Refuse numbers and names that cannot be."""
        check_path("path", self.path)
        within("weight", self.weight, -10, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureDraft:
    """A picture to begin with instead of noise alone."""

    path: str
    """A picture; of a ``doll`` the character's, or a folder of a layered one."""
    kind: Literal["picture", "doll"] = "picture"
    """``doll``: the character as a paper doll, drawn in the pose of the first pose control."""
    change: float = 0.6
    """How much may change: near 0 the draft stays, 1 leaves nothing of it."""

    def __post_init__(self) -> None:
        """Refuse numbers and names that cannot be."""
        check_path("path", self.path)
        within("change", self.change, 0.01, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureJob(_AnyJob):
    """Make pictures from words, steered by control pictures: a character in the right pose."""

    kind: Literal["picture"] = "picture"
    prompt: str
    """What is to be seen."""
    negative: str = ""
    """What is not."""
    output: str
    """Folder for ``pictures/``, ``controls/``, ``picture.json`` and the contact sheet."""
    base: str = DEFAULT_PICTURE_MODEL
    """Name of a bundle, a folder of diffusers' layout, or a checkpoint in one file."""
    config: str | None = None
    """Folder of diffusers' layout that configurations and tokenizers are taken from, where the base
    is one file."""
    vae: str | None = None
    """File or folder of an autoencoder to take instead of the base's own."""
    controls: tuple[PictureControl, ...] = ()
    loras: tuple[LoraFile, ...] = ()
    draft: PictureDraft | None = None
    width: int | None = None
    """Pixels, rounded to what the model can do, which is said; None: the size that the base was
    trained at, in the shape nearest to the first control's."""
    height: int | None = None
    steps: int | None = None
    """Denoising steps; None: as the base has it, 25 where it says nothing."""
    guidance: float | None = None
    """Classifier-free guidance, 1 means none; None: as the base has it, 7 where it says nothing."""
    scheduler: str | None = None
    """Name of one of diffusers' schedulers; None: the base's own."""
    seed: int = 0
    """Of the first picture; each one after it has the next."""
    count: int = 1
    """Pictures."""
    batch: int = 1
    """Pictures that are denoised at once."""

    def __post_init__(self) -> None:
        """Check every range once."""
        _AnyJob.__post_init__(self)
        for name in ("base", "config", "vae"):
            if (text := getattr(self, name)) is not None:
                check_path(name, text)
        if not self.prompt.strip():
            raise SettingsError(
                "prompt: expected words for what is to be seen, got none",
                hint='Say it in a few words: --prompt "a dancer in a red dress, street at night".',
            )
        if (self.width is None) != (self.height is None):
            raise SettingsError("expected both a width and a height, or neither")
        if self.width is not None and self.height is not None:
            _check_size(self.width, self.height)
        if self.steps is not None:
            within("steps", self.steps, 1, 1000)
        if self.guidance is not None:
            within("guidance", self.guidance, 0, 100)
        within("seed", self.seed, 0, 2**63 - 1 - limits.PICTURES)
        within("count", self.count, 1, limits.PICTURES)
        within("batch", self.batch, 1, limits.PICTURES)
        within("controls", len(self.controls), 0, limits.PICTURE_CONTROLS)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height, where they are said."""
        return None if self.width is None or self.height is None else (self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleJob(_AnyJob):
    """Make pictures, the frames of a render or a video larger, each picture by itself."""

    kind: Literal["upscale"] = "upscale"
    source: str
    """A picture, a folder of pictures, the folder of a render, or a video."""
    output: str
    """A folder for the pictures, under their own names, and ``upscale.json``; or the file of one
    picture, or of a video, told by its name."""
    by: int = 2
    """How many times larger."""
    method: str = DEFAULT_UPSCALER
    """``bicubic``, ``lanczos``, the name of a model, a network's file in ncnn's form
    (``NAME.param``), or the folder of a Stable Diffusion 3 with a ``lowres`` control."""
    frames: str | None = None
    """Selection such as ``1-120`` by the numbers in the pictures' names, or of the video's frames;
    None: all."""
    videos: tuple[Literal["mp4", "webm", "gif", "prores"], ...] = ()
    """Also made of the pictures, in a folder."""
    quality: Literal["high", "good", "small"] = "high"
    """Of videos."""
    rate: FrameRate | None = None
    """Of videos; None: the render's or the video's own, 30 for other pictures."""
    audio: bool = True
    """Whether videos have sound, where there is any."""
    sound: str | None = None
    """File whose sound they have, from the source's first frame on; None: the source's own."""
    tile: int | None = None
    """Side in pixels of the result's parts that are made at once; None: as the method likes."""
    change: float | None = None
    """How much a diffusion model may change; None: as it says itself."""
    seed: int = 0
    """Of a diffusion model's noise, the same for every picture."""

    def __post_init__(self) -> None:
        """Check every range once."""
        _AnyJob.__post_init__(self)
        within("by", self.by, 2, limits.UPSCALING)
        if self.sound is not None:
            check_path("sound", self.sound)
        if self.tile is not None:
            within("tile", self.tile, 32, limits.RENDER_SIDE)
        if self.change is not None:
            within("change", self.change, 0.01, 1)
        within("seed", self.seed, 0, 2**63 - 1)


Job = RenderJob | TakeJob | TrackJob | PoseMapJob | ExportJob | PictureJob | UpscaleJob
"""Anything that the engine does; a job without a ``kind`` is a render."""


def _check_size(width: int, height: int) -> None:
    within("width", width, 16, limits.RENDER_SIDE)
    within("height", height, 16, limits.RENDER_SIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What the machine is to use; nothing here is meant to change the picture."""

    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    overwrite: bool = False
    """Render again what the output folder already holds."""
    previews: bool = True
    """Send a small picture after each step."""
    threads: int | None = None
    """Threads of the processor that a new render is begun with, where its bytes depend on them;
    None: as many as usual."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        if self.threads is not None:
            within("threads", self.threads, 1, 999)


def decode_job(data: object, *, beside: Path | None = None) -> Job:
    """Read a job of any kind; a render's absent settings are its model's and quality preset's.

    Args:
        data: what the job file holds.
        beside: folder that relative paths in the job start from; None leaves them.

    Raises:
        SettingsError: as `marionext.codec.decode`, with the path of the key.
    """
    if not isinstance(data, Mapping):
        raise SettingsError("$: expected an object with the keys motion, character and output")
    # The type of the settings depends on the model: they are read when it is known.
    job: Job = decode(Job, {key: value for key, value in data.items() if key != "settings"})
    if isinstance(job, RenderJob) and "model" not in data and _is_before_dolls(data):
        job = replace(job, model=_MODEL_OF_VERSION_1)
    job = job if beside is None else _anchored(job, beside)
    if isinstance(job, RenderJob):
        usual = default_settings(job.model, job.quality)
        given = data.get("settings", {})
        settings = decode(type(usual), given, base=usual, path="$.settings")
        if isinstance(settings, DollSettings) and beside is not None:
            others = tuple(str(user_path(other, beside=beside)) for other in settings.others)
            settings = replace(settings, others=others)
        job = replace(job, settings=settings)
    elif "settings" in data:
        raise SettingsError(f"$: unknown key 'settings' in a job of the kind {job.kind!r}")
    return job


def _is_before_dolls(data: Mapping[str, Any]) -> bool:
    """Tell whether a render that names no model was written when that meant the puppet.

    The version says so, or settings that only models of the puppet's kind have.
    """
    if data.get("version") == 1:
        return True
    given = data.get("settings")
    if not isinstance(given, Mapping):
        return False
    ours, theirs = ({field.name for field in fields(kind)} for kind in (DollSettings, SvdSettings))
    return given.get("kind") == "svd" or bool(given.keys() & (theirs - ours))


def read_job(path: Path) -> Job:
    """Read a job file (JSON); relative paths in it start at its own folder.

    Raises:
        SettingsError: the file is missing, no JSON, or not a job.
    """
    try:
        data = read_json(path)
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such job file") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: not a JSON file: {error}") from None
    try:
        return decode_job(data, beside=path.absolute().parent)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=error.hint) from None


def _anchored(job: Job, folder: Path) -> Job:
    """Return a job whose relative paths start at a folder."""

    def anchor(path: str) -> str:
        return str(user_path(path, beside=folder))

    job = with_paths(job, anchor)
    if isinstance(job, RenderJob):
        model = job.model
        if model not in presets.names("models") and (folder / model).is_dir():
            job = replace(job, model=anchor(model))
    if isinstance(job, UpscaleJob):
        job = replace(job, method=_model_beside(job.method, folder))
    if isinstance(job, PictureJob):
        job = replace(
            job,
            base=_model_beside(job.base, folder),
            vae=None if job.vae is None else _model_beside(job.vae, folder),
            controls=tuple(
                each
                if each.weights is None
                else replace(each, weights=_model_beside(each.weights, folder))
                for each in job.controls
            ),
        )
    return job


def _model_beside(model: str, folder: Path) -> str:
    """Return a model's name as it is, or the path of a folder or file that lies beside a job."""
    named = model in presets.names("models")
    return model if named or not (folder / model).exists() else str(folder / model)


def with_paths(job: Job, change: Callable[[str], str]) -> Job:
    """Return a job with every path in it changed, except that of a model."""
    if isinstance(job, TakeJob):
        return replace(job, directory=change(job.directory))
    if isinstance(job, ExportJob):
        return replace(
            job,
            pictures=tuple(replace(each, folder=change(each.folder)) for each in job.pictures),
            output=change(job.output),
            sound=None if job.sound is None else change(job.sound),
        )
    if isinstance(job, PictureJob):
        return _picture_with_paths(job, change)
    if isinstance(job, UpscaleJob):
        return replace(
            job,
            source=change(job.source),
            output=change(job.output),
            sound=None if job.sound is None else change(job.sound),
        )
    motion = _source_with_paths(job.motion, change)
    if isinstance(job, TrackJob) and job.findings is not None:
        job = replace(job, findings=change(job.findings))
    if not isinstance(job, RenderJob):
        return replace(job, motion=motion, output=change(job.output))
    settings = job.settings
    if isinstance(settings, DollSettings):
        settings = replace(settings, others=tuple(map(change, settings.others)))
    return replace(
        job,
        motion=motion,
        character=change(job.character),
        output=replace(
            job.output,
            directory=change(job.output.directory),
            sound=None if job.output.sound is None else change(job.output.sound),
        ),
        settings=settings,
    )


def _source_with_paths(source: MotionSource, change: Callable[[str], str]) -> MotionSource:
    source = replace(source, path=change(source.path))
    if source.rig is not None and source.rig.endswith(".toml"):
        source = replace(source, rig=change(source.rig))
    return source


def _picture_with_paths(job: PictureJob, change: Callable[[str], str]) -> PictureJob:
    controls = tuple(
        replace(
            each,
            source=_source_with_paths(each.source, change),
            estimator=None if each.estimator is None else change(each.estimator),
        )
        for each in job.controls
    )
    return replace(
        job,
        output=change(job.output),
        config=None if job.config is None else change(job.config),
        controls=controls,
        loras=tuple(replace(each, path=change(each.path)) for each in job.loras),
        draft=None if job.draft is None else replace(job.draft, path=change(job.draft.path)),
    )


def encode_job(job: Job) -> dict[str, Any]:
    """Return the job as JSON values, complete: what the record and the protocol carry."""
    return dict(encode(job))
