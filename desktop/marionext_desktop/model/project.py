"""The whole document as one immutable value: what a ``.marionext`` file says.

Keypoints and pictures are not in it: they are derived from the sources and the edits, and cached
beside it (`marionext_desktop.model.poses`, `marionext_desktop.model.pictures`). Values share what
they have in common, so keeping old ones for undo is cheap.

**Numbers of frames.** A sequence is counted from 0 at the project's rate. A source is counted from
0 at its own; edits name frames of the source, so trimming, moving or slipping a clip leaves them
where they belong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from marionext import limits
from marionext.edits import PoseEdit
from marionext.errors import SettingsError
from marionext.frames import FrameRange, FrameRate, check_count
from marionext.jobs import CameraSettings
from marionext.paths import check_path
from marionext.settings import DEFAULT_MODEL

__all__ = [
    "COLOURS",
    "PROJECT_VERSION",
    "Character",
    "Clip",
    "Crop",
    "Lane",
    "Marker",
    "Project",
    "Reading",
    "RenderChoice",
    "Source",
    "SourceKind",
    "Stamp",
    "Take",
    "TakeStatus",
]

PROJECT_VERSION = 1

SourceKind = Literal["video", "motion", "poses", "picture", "sound"]
Lane = Literal["motion", "sound"]
"""Where a clip lies; clips of one lane never overlap."""
TakeStatus = Literal["waiting", "rendering", "paused", "done", "failed", "cancelled"]
Colour = Literal["red", "orange", "yellow", "green", "cyan", "blue", "purple", "grey"]
COLOURS: tuple[Colour, ...] = (
    "red", "orange", "yellow", "green", "cyan", "blue", "purple", "grey",
)  # fmt: skip
"""Of markers and clips, by name: a theme says which they are."""

FASTEST = Fraction(100)
SLOWEST = Fraction(1, 100)
"""Speeds of a clip, either way."""
_USUAL_RATE = FrameRate(Fraction(30))
_USUAL_SIZE = (1080, 1920)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What tells a media file from another of its name."""

    size: int
    """Bytes; of a folder those of its files together."""
    modified: int
    """Nanoseconds since 1970."""
    digest: str
    """sha256 of the size and of the first and last megabyte; of a folder of names and sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the poses are read out of a source."""

    detector: Literal["mediapipe", "dwpose"] = "mediapipe"
    person: str = "all"
    """As `marionext.jobs.MotionSource.person`."""
    rig: str | None = None
    clip: str | None = None
    up: Literal["y", "z", "x", "-y", "-x", "-z"] | None = None
    camera: CameraSettings = field(default_factory=CameraSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that was brought in."""

    id: str
    path: str
    """Absolute here, relative to the project in its file."""
    kind: SourceKind
    name: str
    stamp: Stamp | None = None
    """As it was when it was brought in; None: it was not there."""
    frames: int = 1
    """At its own rate; of a sound, seconds times the rate, rounded up."""
    rate: FrameRate = _USUAL_RATE
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels; of a sound (0, 0)."""
    sound: bool = False
    """Whether it can be heard."""
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        """Refuse what no file is."""
        check_path("path", self.path)
        check_count(self.frames)
        if self.frames < 1:
            raise SettingsError(f"frames: expected at least 1, got {self.frames}")

    @property
    def lane(self) -> Lane:
        """Where its clips lie."""
        return "sound" if self.kind == "sound" else "motion"

    @property
    def has_poses(self) -> bool:
        """Whether somebody can be seen to move in it."""
        return self.kind in {"video", "motion", "poses"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A stretch of a source on the timeline."""

    id: str
    source: str
    """Id of the `Source`."""
    at: int
    """First frame on the timeline."""
    count: int
    """Frames on the timeline."""
    first: Fraction = Fraction(0)
    """Where in the source its first frame lies, in frames of the source; whole for most clips, yet
    exact for a part of one that is played slowly."""
    speed: Fraction = Fraction(1)
    """1: as fast as the source; negative: backwards."""
    hold: int | None = None
    """A frame of the source that is shown all the time; None: none."""
    person: int | None = None
    """Whom of the source it follows; None: everybody."""
    edits: tuple[PoseEdit, ...] = ()
    """In frames of the source, in the order in which they were made."""
    volume: float = 1.0
    """Of its sound: 0 is silence, 1 as recorded."""

    def __post_init__(self) -> None:
        """Refuse stretches that cannot be."""
        if not 0 <= self.at <= limits.FRAMES or not 1 <= self.count <= limits.FRAMES:
            raise SettingsError(f"expected a clip on the timeline, got {self.count} at {self.at}")
        if not SLOWEST <= abs(self.speed) <= FASTEST:
            raise SettingsError(f"speed: expected 1/100 to 100, either way, got {self.speed}")
        if not 0 <= self.volume <= 8:
            raise SettingsError(f"volume: expected 0 to 8, got {self.volume:g}")
        if self.person is not None and self.person < 0:
            raise SettingsError(f"person: expected a number from 0, got {self.person}")

    @property
    def stop(self) -> int:
        """The frame on the timeline after its last."""
        return self.at + self.count

    @property
    def span(self) -> FrameRange:
        """Its frames on the timeline."""
        return FrameRange(self.at, self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A place on the timeline with a name."""

    id: str
    frame: int
    name: str = ""
    colour: Colour = "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """A part of a picture, in its pixels."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        """Refuse parts that hold no pixel."""
        if self.width < 1 or self.height < 1:
            raise SettingsError(f"expected a crop of pixels, got {self.width}x{self.height}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """Somebody who can take the part of the dancer."""

    id: str
    path: str
    """Its picture, or the folder of a layered doll; as `Source.path`."""
    name: str
    crop: Crop | None = None
    size: tuple[int, int] = (0, 0)
    """Of the whole picture in pixels; (0, 0): not looked at yet."""
    points: tuple[tuple[float, float, float], ...] | None = None
    """Its pose as changed by hand: x, y, score of 134 points in pixels of the whole picture; None:
    as found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """One render of a part of the sequence."""

    id: str
    name: str
    """Such as ``v3``."""
    folder: str
    """Of its frames; as `Source.path`."""
    character: str
    """Id of the `Character`."""
    span: FrameRange
    """Of the sequence."""
    poses: str
    """Hash of the poses that were rendered: another hash of today's means that they changed."""
    model: str
    quality: str | None = None
    hidden: bool = False
    """Whether those below it are seen in its place."""
    part: int = 0
    """0: the render of a folder of its own; else the number of the engine's take in the folder of
    another render, to whose frames it is joined."""
    status: TakeStatus = "waiting"
    entry: int | None = None
    """Its number in the machine's queue."""
    message: str = ""
    """How it ended."""
    created: float = 0.0
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderChoice:
    """How the next render is made."""

    model: str = DEFAULT_MODEL
    quality: str | None = None
    character: str | None = None
    """Id; None: the first there is."""
    size: tuple[int, int] | None = None
    """None: the model's own."""
    seed: int = 0
    steps: int | None = None
    """None: as the quality says."""
    fit: Literal["none", "linear", "limbs", "inside"] = "limbs"
    mirror: bool = False
    side_by_side: bool = False


_Named = TypeVar("_Named", Source, Clip, Character, Take)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Everything a project file says."""

    version: int = PROJECT_VERSION
    rate: FrameRate = _USUAL_RATE
    size: tuple[int, int] = _USUAL_SIZE
    """Width and height in pixels of the canvas that all poses are brought to."""
    drop_frame: bool = False
    """Whether timecode leaves numbers out so that it keeps up with the clock."""
    sources: tuple[Source, ...] = ()
    clips: tuple[Clip, ...] = ()
    """By lane and place."""
    markers: tuple[Marker, ...] = ()
    """In order."""
    characters: tuple[Character, ...] = ()
    takes: tuple[Take, ...] = ()
    """In the order in which they were made."""
    mark_in: int | None = None
    """The first frame of the range that is worked on; None: the start."""
    mark_out: int | None = None
    """The last frame of it; None: the end."""
    render: RenderChoice = field(default_factory=RenderChoice)
    ignored: tuple[str, ...] = ()
    """Findings that the user has seen and wants to hear no more of, by `Finding.key`."""
    music_offset: int = 0
    """Frames by which the beats lie later than was found."""
    notes: str = ""

    def __post_init__(self) -> None:
        """Refuse what refers to nothing, and clips on top of one another."""
        for side in self.size:
            if not 16 <= side <= limits.RENDER_SIDE:
                raise SettingsError(
                    f"size: expected 16 to {limits.RENDER_SIDE} pixels a side, got {self.size}"
                )
        lanes = {source.id: source.lane for source in self.sources}
        ends: dict[Lane, int] = {}
        for names in (self.sources, self.clips, self.markers, self.characters, self.takes):
            if len({item.id for item in names}) != len(names):
                raise SettingsError("expected ids that differ, got one twice")
        for clip in self.clips:
            lane = lanes.get(clip.source)
            if lane is None:
                raise SettingsError(f"clip {clip.id!r}: there is no source {clip.source!r}")
            if clip.at < ends.get(lane, 0):
                raise SettingsError(f"clip {clip.id!r} lies on the one before it, or out of order")
            ends[lane] = clip.stop

    @property
    def length(self) -> int:
        """Frames of the sequence: up to the end of its last clip of motion, or of sound alone."""
        motion = [clip.stop for clip in self.lane("motion")]
        return max(motion or [clip.stop for clip in self.clips], default=0)

    @property
    def span(self) -> FrameRange | None:
        """The frames between the marks, or all; None: there are none."""
        start = self.mark_in or 0
        stop = self.length if self.mark_out is None else min(self.mark_out + 1, self.length)
        return FrameRange(start, stop) if start < stop else None

    @property
    def by_id(self) -> Mapping[str, Source]:
        """Sources by their ids."""
        return MappingProxyType({source.id: source for source in self.sources})

    def source(self, name: str) -> Source:
        """Return a source.

        Raises:
            LookupError: there is none of that id.
        """
        return _found(self.sources, name)

    def clip(self, name: str) -> Clip:
        """Return a clip.

        Raises:
            LookupError: there is none of that id.
        """
        return _found(self.clips, name)

    def character(self, name: str) -> Character:
        """Return a character.

        Raises:
            LookupError: there is none of that id.
        """
        return _found(self.characters, name)

    def take(self, name: str) -> Take:
        """Return a take.

        Raises:
            LookupError: there is none of that id.
        """
        return _found(self.takes, name)

    def lane_of(self, clip: Clip) -> Lane:
        """Return where a clip lies."""
        return self.source(clip.source).lane

    def lane(self, lane: Lane) -> tuple[Clip, ...]:
        """Return the clips of a lane in order."""
        lanes = {source.id: source.lane for source in self.sources}
        return tuple(clip for clip in self.clips if lanes[clip.source] == lane)

    def clip_at(self, frame: int, lane: Lane = "motion") -> Clip | None:
        """Return the clip that is seen or heard in a frame, or None in a gap."""
        return next((clip for clip in self.lane(lane) if clip.at <= frame < clip.stop), None)

    def step(self, clip: Clip) -> Fraction:
        """Return how many frames of its source a clip goes on by in a frame of the timeline."""
        return clip.speed * self.source(clip.source).rate.fraction / self.rate.fraction

    def _place(self, clip: Clip) -> tuple[int, int, int]:
        """Return (start, step, below): a clip shows (start + n step) / below in its frame n.

        Whole numbers, since fractions are a hundred times slower.
        """
        speed, rate, own = clip.speed, self.source(clip.source).rate.fraction, self.rate.fraction
        step = speed.numerator * rate.numerator * own.denominator
        below = speed.denominator * rate.denominator * own.numerator
        first = clip.first
        return first.numerator * below, step * first.denominator, below * first.denominator

    def source_frame(self, clip: Clip, frame: int) -> int:
        """Return which frame of its source a clip shows.

        Args:
            clip: of this project.
            frame: of the timeline; beyond the clip's ends its source may go on, so may this.
        """
        source = self.source(clip.source)
        if clip.hold is not None:
            return min(max(clip.hold, 0), source.frames - 1)
        start, step, below = self._place(clip)
        return min(max((start + (frame - clip.at) * step) // below, 0), source.frames - 1)

    def source_frames(self, clip: Clip) -> NDArray[np.int64]:
        """Return which frame of its source a clip shows in each of its own: (count,)."""
        last = self.source(clip.source).frames - 1
        if clip.hold is not None:
            return np.full(clip.count, min(max(clip.hold, 0), last), np.int64)
        start, step, below = self._place(clip)
        most = max(abs(start), abs(start + clip.count * step), below)
        # Odd fractions go beyond 64 bits; Python's own numbers have no end.
        numbers = np.arange(clip.count, dtype=np.int64 if most < 2**62 else object)
        places: NDArray[np.int64] = np.clip((start + numbers * step) // below, 0, last)
        return places.astype(np.int64)

    def timeline_frame(self, clip: Clip, source_frame: int) -> int | None:
        """Return the first frame of the timeline in which a clip shows a frame of its source.

        Returns:
            None where the clip does not show it.
        """
        if clip.hold is not None:
            return clip.at if clip.hold == source_frame else None
        start, step, below = self._place(clip)
        last = self.source(clip.source).frames - 1
        # The frame is shown while its number is the floor of the place.
        edge = source_frame if step > 0 else source_frame + 1
        near = (edge * below - start) // step
        for index in range(max(near - 1, 0), min(near + 3, clip.count)):
            if min(max((start + index * step) // below, 0), last) == source_frame:
                return clip.at + index
        return None

    def with_clips(self, clips: Mapping[str, Clip | None]) -> "Project":
        """Return the project with some clips changed, added, or (None) taken away."""
        left = [clips.get(clip.id, clip) for clip in self.clips]
        known = {clip.id for clip in self.clips}
        new = [clip for name, clip in clips.items() if name not in known]
        lanes = {source.id: source.lane for source in self.sources}
        all_of_them = [clip for clip in (*left, *new) if clip is not None]
        return replace(
            self,
            clips=tuple(
                sorted(all_of_them, key=lambda clip: (lanes.get(clip.source, "motion"), clip.at))
            ),
        )


def _found(items: tuple[_Named, ...], name: str) -> _Named:
    for item in items:
        if item.id == name:
            return item
    raise LookupError(f"the project has nothing of the id {name!r}")
