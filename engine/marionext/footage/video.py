"""Read a video: every frame exactly once, upright, with its exact time.

PyAV (FFmpeg's libraries) was chosen because, unlike other readers tried, it loses no frame when
the decoder is flushed, and gives exact times as fractions. What differs between files is settled
here: pictures are shown as players show them (`marionext.footage.orientation`), variable rates
are recognised (`marionext.footage.timing`), and a file that breaks off is refused rather than
rendered in part.

**Time 0 is the first packet of the video**, whether it can be decoded or not: a file that was cut
between two key frames begins with frames that no decoder can show, while its sound is there from
the start. A frame's index is its place among the packets, so damage never moves those after it.

Frames are numbered from 1 like the pictures of an image sequence, as editors count them.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from marionext.errors import JobCancelled, MotionError
from marionext.files import reading
from marionext.footage.animation import Animation, is_animation
from marionext.footage.container import Scan, opened, scan
from marionext.footage.orientation import UPRIGHT, Screen
from marionext.footage.timing import Timing, plan_timing
from marionext.frames import FrameRate, format_frames
from marionext.limits import FRAMES, VIDEO_PIXELS

__all__ = ["FIRST_FRAME", "Shown", "VideoFrame", "VideoInfo", "probe", "read_frames"]

FIRST_FRAME = 1
"""The number of a video's first frame."""

_GUESSING = frozenset(
    {"mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "h263", "flv"}
    | {"wmv1", "wmv2", "h261", "rv10", "rv20"}
)
"""Decoders that show grey where the key frame is missing that a picture was made of, and say
nothing; the others wait for one."""
_MOST_NAMED = 12
"""Frames that are named one by one; of more, the first ones."""
_NEAR = 32
"""Frames; what is no further ahead is reached by decoding instead of seeking."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video file holds, after reading through it once."""

    size: tuple[int, int]
    """Width and height in pixels, upright, with square pixels: those of its first picture."""
    rate: FrameRate
    """Exact frames per second; for a variable rate, of the grid its frames are put on."""
    frames: int
    """Number of frames at that rate."""
    duration: Fraction
    """Seconds that those frames last."""
    has_audio: bool
    variable_rate: bool
    """True when the file's frames are not evenly spaced in time."""
    source_frames: int
    """Number of frames in the file; equals ``frames`` unless the rate is variable."""
    start: Fraction
    """Seconds in the file's own clock at which the first frame is shown: audio starts at 0."""
    held: int = 0
    """Frames at the beginning that cannot be decoded: the first picture stands for them."""
    times: tuple[Fraction, ...] = ()
    """Seconds from the first frame at which each is shown; empty where the file does not say."""
    notes: tuple[str, ...] = ()
    """What was concluded, for people to read: one line about the rate."""
    warnings: tuple[str, ...] = ()
    """What is wrong with the file, though it can be used."""

    @property
    def timing(self) -> Timing:
        """The grid that its frames are put on."""
        return Timing(self.rate, self.frames, self.variable_rate)

    def time_of(self, frame: "VideoFrame") -> Fraction:
        """Return the seconds from the first frame at which a frame is shown.

        At a constant rate a frame's place says it exactly; a file's time stamps are rounded.
        """
        return frame.time if self.variable_rate else self.rate.seconds(frame.index)

    def fitted(self, longest: int | None) -> tuple[int, int]:
        """Return the size with its longer side reduced to ``longest`` pixels, never enlarged."""
        width, height = self.size
        if longest is None or max(width, height) <= longest:
            return self.size
        scale = longest / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrame:
    """One decoded frame."""

    index: int
    """0 for the first frame of the file, decoded or not."""
    time: Fraction
    """Seconds since the first frame."""
    picture: NDArray[np.uint8]
    """(height, width, 3), RGB, upright."""


def probe(path: str | Path, *, declared: FrameRate | None = None) -> VideoInfo:
    """Read a video's size, exact rate, number of frames and length; only its start is decoded.

    Args:
        path: the video, or an animated WebP, PNG or GIF.
        declared: the rate that its frames have, whatever the file says; None: as it says.

    Raises:
        MotionError: there is no such file, it is empty, broken off or no video.
    """
    path = Path(path)
    with reading(path, MotionError, "a video"):
        return _probe(path, declared)


def _probe(path: Path, declared: FrameRate | None) -> VideoInfo:
    if is_animation(path):
        animation = Animation.open(path)
        timing = plan_timing(animation.times, tick=animation.tick, last_duration=animation.last)
        return _info(path, animation.size, timing, animation.times, declared=declared)
    found = scan(path)
    if not found.count:
        raise MotionError(
            f"expected a video, {path.name} has a video stream without a single frame"
        )
    with opened(path) as (container, stream):
        claims = _claimed_rates(stream)
        audio = bool(container.streams.audio)
    timing = plan_timing(
        found.times or [Fraction(0)], declared=claims, tick=found.base, last_duration=found.last
    )
    if found.unstamped:
        # Without time stamps (raw streams) the frames follow each other at the file's rate.
        timing = Timing(timing.rate, found.count, variable=False)
    size, held = _first_picture(path, found)
    times = () if found.unstamped else tuple(found.times)
    return _info(
        path, size, timing, times,
        declared=declared, claims=claims, audio=audio, start=found.origin, held=held,
        count=found.count, jumps=found.jumps,
    )  # fmt: skip


def _info(
    path: Path,
    size: tuple[int, int],
    timing: Timing,
    times: tuple[Fraction, ...],
    *,
    declared: FrameRate | None,
    claims: list[Fraction] | None = None,
    audio: bool = False,
    start: Fraction = Fraction(0),
    held: int = 0,
    count: int | None = None,
    jumps: int = 0,
) -> VideoInfo:
    count = len(times) if count is None else count
    note = _about_rate(path.name, timing, count, declared, claims or [])
    if declared is not None:
        timing = Timing(declared, count, variable=False)
    if timing.count > FRAMES:
        raise MotionError(
            f"expected a video of at most {FRAMES:,} frames, the times of the {count:,} pictures "
            f"of {path.name} make {timing.count:,} at {timing.rate} frames/s",
            hint="Declare the rate of its pictures with --source-rate, or cut it into shorter "
            "parts.",
        )
    warnings = []
    if held:
        seconds = times[held] if times else timing.rate.seconds(held)
        warnings.append(
            f"{path.name}: its first {held} frames ({float(seconds):.2f} s) cannot be decoded, as "
            "it was cut between two key frames or is damaged: the first picture that can be stands "
            "for them, in step with the sound"
        )
    if jumps:
        warnings.append(
            f"{path.name}: its clock goes back {jumps} time{'s' * (jumps > 1)}, as in files joined "
            "end to end: its pictures follow each other, its sound may be out of step"
        )
    return VideoInfo(
        size=size,
        rate=timing.rate,
        frames=timing.count,
        duration=timing.rate.seconds(timing.count),
        has_audio=audio,
        variable_rate=timing.variable,
        source_frames=count,
        start=start,
        held=held,
        times=times,
        notes=(note,),
        warnings=tuple(warnings),
    )


def _about_rate(
    name: str, timing: Timing, count: int, declared: FrameRate | None, claims: list[Fraction]
) -> str:
    """Say in one line what was concluded about the rate, and from what."""
    if declared is not None:
        own = "variable" if timing.variable else f"{timing.rate} frames/s"
        same = not timing.variable and timing.rate == declared
        return f"{name}: {declared} frames/s, as declared" + (
            "" if same else f"; its own time stamps say {own}"
        )
    if timing.variable:
        return (
            f"{name}: its {count} frames are not evenly spaced; they are put on a grid of "
            f"{timing.rate} frames/s, {timing.count} frames"
        )
    said = f"{name}: {timing.rate} frames/s, {count} frames"
    if claims and timing.rate.fraction not in claims:
        return f"{said}, by its time stamps; its header says {FrameRate(claims[0])}"
    return said


def read_frames(
    path: str | Path,
    *,
    longest: int | None = None,
    only: range | None = None,
    cancelled: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[VideoFrame]:
    """Decode a video frame by frame, in the order shown, each exactly once.

    Memory does not grow with the length of the video. Frames that cannot be decoded are left out;
    their indices are, too.

    Args:
        path: the video, or an animated WebP, PNG or GIF.
        longest: reduce frames (averaging areas) until the longer side has this many pixels.
        only: the frame indices that are wanted, ascending. Those between are decoded, as later
            frames depend on them, but neither converted nor returned.
        cancelled: polled before every frame.
        say: told at the end what a user should know: frames that are damaged or of another size.

    Raises:
        MotionError: there is no such file, it is empty or no video, or nothing can be decoded.
        JobCancelled: ``cancelled`` returned True.
    """
    path = Path(path)
    with reading(path, MotionError, "a video"):
        yield from _read_frames(path, longest, only, cancelled, say)


def _read_frames(
    path: Path,
    longest: int | None,
    only: range | None,
    cancelled: Callable[[], bool] | None,
    say: Callable[[str], None] | None,
) -> Iterator[VideoFrame]:
    if is_animation(path):
        yield from _animated(path, longest, only, cancelled)
        return
    found = scan(path)
    with opened(path) as (container, stream):
        claims = _claimed_rates(stream)
        clock = _Clock(found, 1 / claims[0] if claims else Fraction(1, 25))
        screen = Screen(_pixel_ratio(stream), stream.codec_context)
        seen, changes = _Seen(found.count), dict[str, list[int]]()
        for frame in _decoded(container, stream, cancelled):
            index, time = clock.place(frame)
            if index >= found.count:
                break
            look = screen.meet(frame)
            changed = screen.change(look)
            if changed is not None:
                changes.setdefault(changed, []).append(index)
            seen.add(index)
            if only is None or index in only:
                yield VideoFrame(index, time, screen.show(frame, look, longest))
            if only is not None and index + 1 >= only.stop:
                break
        if seen.last is None:
            raise _undecodable(path, stream)
    if say is not None:
        for sentence in _told(path, seen, changes, only):
            say(sentence)


class _Clock:
    """Tells the place and the time of each decoded frame by its time stamp."""

    def __init__(self, found: Scan, step: Fraction) -> None:
        self._found, self._step = found, step
        self._index, self._time = -1, -step
        self._origin: Fraction | None = None

    def place(self, frame: Any) -> tuple[int, Fraction]:
        """Return index and seconds of the next decoded frame."""
        shown = None
        if frame.pts is not None and frame.time_base is not None:
            shown = frame.pts * Fraction(frame.time_base)
        if self._found.unstamped or shown is None:
            return self._one_by_one(shown)
        stamps, base = self._found.stamps, self._found.base
        # Where stamps do not tell frames apart (damaged and joined files) they are counted.
        first = self._index < 0
        counted = self._index + 1
        if first or self._found.ordered:
            self._index = max(bisect_left(stamps, shown / base), counted)
        else:
            self._index = counted
        last = len(stamps) - 1
        return self._index, (stamps[min(self._index, last)] - stamps[0]) * base

    def _one_by_one(self, shown: Fraction | None) -> tuple[int, Fraction]:
        self._index += 1
        if shown is None:
            self._time += self._step
        else:
            self._origin = shown if self._origin is None else self._origin
            # Equal or falling times (damaged files) would break every later step.
            self._time = max(shown - self._origin, self._time)
        return self._index, self._time


class _Seen:
    """Which frames were decoded."""

    def __init__(self, count: int) -> None:
        self._seen = np.zeros(count, bool)
        self.last: int | None = None

    def add(self, index: int) -> None:
        self._seen[index] = True
        self.last = index

    def missed(self, only: range | None) -> tuple[int, ...]:
        """Return the indices that should have been decoded and were not, but those held."""
        stop = len(self._seen) if only is None else min(only.stop, len(self._seen))
        first = int(self._seen.argmax())
        wanted = range(first, stop) if only is None else range(max(first, only.start), stop)
        return tuple(index for index in wanted if not self._seen[index])


def _told(
    path: Path, seen: _Seen, changes: dict[str, list[int]], only: range | None
) -> Iterator[str]:
    missed = seen.missed(only)
    if missed:
        yield (
            f"{path.name}: damaged, {_named(missed)} cannot be decoded; "
            "what is around them fills the gap"
        )
    for change, indices in changes.items():
        yield f"{path.name}: {_named(indices)} {change}; they are shown as the first one is"


def _named(indices: tuple[int, ...] | list[int]) -> str:
    """Name frames by number, the first ones of many."""
    numbers = tuple(FIRST_FRAME + index for index in indices)
    text = format_frames(numbers)
    if text.count(",") > _MOST_NAMED:
        text = ",".join(text.split(",")[:_MOST_NAMED]) + " ..."
    return f"frame{'s' * (len(numbers) > 1)} {text}"


def _decoded(
    container: Any, stream: Any, cancelled: Callable[[], bool] | None = None
) -> Iterator[Any]:
    """Decode what can be decoded; players go on after a damaged packet as well."""
    waiting = stream.codec_context.name in _GUESSING
    for packet in container.demux(stream):
        if cancelled is not None and cancelled():
            raise JobCancelled("the capture was cancelled")
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        for frame in frames:
            waiting = waiting and not frame.key_frame
            if not waiting:
                yield frame


def _animated(
    path: Path,
    longest: int | None,
    only: range | None,
    cancelled: Callable[[], bool] | None,
) -> Iterator[VideoFrame]:
    animation = Animation.open(path)
    for index, picture in enumerate(animation.pictures()):
        if cancelled is not None and cancelled():
            raise JobCancelled("the capture was cancelled")
        if only is None or index in only:
            yield VideoFrame(index, animation.times[index], _reduced(picture, longest))
        if only is not None and index + 1 >= only.stop:
            return


def _reduced(picture: NDArray[np.uint8], longest: int | None) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if longest is None or max(width, height) <= longest:
        return picture
    scale = longest / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _claimed_rates(stream: Any) -> list[Fraction]:
    """Return the rates that the file claims, the most trustworthy first."""
    claims = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [Fraction(rate) for rate in claims if rate]


def _pixel_ratio(stream: Any) -> Fraction | None:
    return Fraction(stream.sample_aspect_ratio) if stream.sample_aspect_ratio else None


def _first_picture(path: Path, found: Scan) -> tuple[tuple[int, int], int]:
    """Return the displayed size, which only a decoded frame tells, and that frame's index."""
    with opened(path) as (container, stream):
        clock = _Clock(found, Fraction(1, 25))
        screen = Screen(_pixel_ratio(stream), stream.codec_context)
        for frame in _decoded(container, stream):
            screen.meet(frame)
            return screen.size, min(clock.place(frame)[0], found.count - 1)
        raise _undecodable(path, stream)


def _undecodable(path: Path, stream: Any) -> MotionError:
    codec = stream.codec_context
    size = f"{codec.width}x{codec.height}"
    if not codec.width or not codec.height:  # FFmpeg forgets a size that it does not take
        size = (
            f"its pictures are of no size, or of more than {VIDEO_PIXELS // 1_000_000} megapixels"
        )
    return MotionError(
        f"not one frame of {path.name} can be decoded ({codec.name}, {size})",
        hint="Play it in a video player; convert it to H.264 MP4 if it plays.",
    )


class Shown:
    """The pictures of a video by index, in any order; the nearest where one cannot be decoded.

    Args:
        path: the video, or an animated WebP, PNG or GIF.
        info: what `probe` says of it.
        longest: pixels of the longer side that pictures are reduced to; None: as they are.
    """

    def __init__(self, path: str | Path, info: VideoInfo, *, longest: int | None = None) -> None:
        """Open nothing yet."""
        self._path, self._info, self._longest = Path(path), info, longest
        self._scan = None if is_animation(path) else scan(path)
        self._frames: Iterator[_Decoded] = iter(())
        self._at: _Decoded | None = None
        self._next: _Decoded | None = None
        self._cancelled: Callable[[], bool] | None = None

    def picture(
        self, index: int, *, cancelled: Callable[[], bool] | None = None
    ) -> NDArray[np.uint8]:
        """Return picture ``index``, (height, width, 3) RGB.

        Args:
            index: its place among the file's frames, from 0.
            cancelled: polled before each frame on the way; the next call goes on from there.

        Raises:
            JobCancelled: ``cancelled`` returned True.
            MotionError: the file cannot be read any more.
        """
        self._cancelled = cancelled
        return self._found(index).picture()

    def frame(self, index: int, size: tuple[int, int]) -> Any:
        """Return picture ``index`` as a frame of PyAV in YUV 4:2:0, as encoders take it.

        Args:
            index: its place among the file's frames, from 0.
            size: width and height of the frame, of the picture's shape.

        Raises:
            MotionError: the file cannot be read any more.
        """
        self._cancelled = None
        found = self._found(index)
        if found.stored is not None:
            return found.stored.reformat(*size, format="yuv420p", interpolation="BILINEAR")
        picture = av.VideoFrame.from_ndarray(found.picture(), format="rgb24")
        return picture.reformat(*size, format="yuv420p", interpolation="AREA")

    def rest(self) -> None:
        """Let go of the decoder and its memory; the next picture is sought anew."""
        self._frames, self._at, self._next = iter(()), None, None

    def _found(self, index: int) -> "_Decoded":
        """Return the frame that is shown at a place."""
        index = max(index, self._info.held)
        if self._at is None or not self._at.index <= index <= self._at.index + _NEAR:
            self._frames, self._at, self._next = self._from(index, seek=index > _NEAR), None, None
            self._advance(index)
            if self._at is None:
                # Streams without an index are sought by guessing, and may be met behind it.
                self._frames, self._next = self._from(index, seek=False), None
        self._advance(index)
        nearest = self._at or self._next
        if nearest is None:
            raise MotionError(f"{self._path} breaks off before frame {FIRST_FRAME + index}")
        return nearest

    def _advance(self, index: int) -> None:
        """Go on to the last frame that is not after a place."""
        while self._at is None or self._at.index < index:
            if self._cancelled is not None and self._cancelled():
                raise JobCancelled("another picture is wanted")
            if self._next is None:
                self._next = next(self._frames, None)
            if self._next is None or self._next.index > index:
                return
            self._at, self._next = self._next, None

    def _from(self, index: int, *, seek: bool) -> "Iterator[_Decoded]":
        """Give frames from the start on, or from a place that should lie before ``index``."""
        if self._scan is None:
            for number, picture in enumerate(Animation.open(self._path).pictures()):
                yield _Decoded(number, partial(_reduced, np.asarray(picture), self._longest))
            return
        with opened(self._path) as (container, stream):
            screen = Screen(_pixel_ratio(stream), stream.codec_context, self._info.size)
            if seek and self._scan.ordered:
                container.seek(self._scan.stamps[index], stream=stream)
            clock = _Clock(self._scan, Fraction(1, 25))
            for frame in _decoded(container, stream):
                place, _ = clock.place(frame)
                look = screen.meet(frame)
                upright = look.size == screen.size == (frame.width, frame.height)
                stored = frame if upright and look.orientation == UPRIGHT else None
                yield _Decoded(place, partial(screen.show, frame, look, self._longest), stored)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A frame that becomes a picture when it is wanted."""

    index: int
    picture: Callable[[], NDArray[np.uint8]]
    stored: Any = None
    """The frame as it was decoded, where it is stored as it is shown; None: it is not."""
