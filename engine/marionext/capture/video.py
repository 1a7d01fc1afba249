"""Read a video: every frame exactly once, upright, with its exact time.

PyAV (FFmpeg's libraries) was chosen because, unlike other readers tried, it loses no frame when
the decoder is flushed, gives exact times as fractions, and tells of rotation. What differs
between files is settled here: rotated telephone videos are turned upright, non-square pixels
are made square, variable rates are recognised (`marionext.capture.timing`), and a file that
breaks off is refused rather than rendered in part.

Frames are numbered from 1 like the pictures of an image sequence, as editors count them.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from marionext.capture.timing import Timing, plan_timing
from marionext.errors import JobCancelled, MotionError
from marionext.frames import FrameRate

__all__ = ["FIRST_FRAME", "VideoFrame", "VideoInfo", "probe", "read_frames"]

logger = logging.getLogger(__name__)

FIRST_FRAME = 1
"""The number of a video's first frame."""

_TEXT_FORMATS = frozenset({"tty", "aqtitle", "lrc", "srt", "webvtt", "ass", "ffmetadata"})
"""FFmpeg "plays" text files; nobody means them as a motion."""
_HONEST_DURATION = frozenset({"mov", "matroska", "avi"})
"""Containers whose header says how long the whole file is, so that a broken-off end shows."""
_MISSING_END = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video file holds, after reading through it once without decoding."""

    size: tuple[int, int]
    """Width and height in pixels, upright, with square pixels."""
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
    """0 for the first frame of the file."""
    time: Fraction
    """Seconds since the first frame."""
    picture: NDArray[np.uint8]
    """(height, width, 3), RGB, upright."""


def probe(path: str | Path) -> VideoInfo:
    """Read a video's size, exact rate, number of frames and length, without decoding it.

    Raises:
        MotionError: there is no such file, it is empty, broken off or no video.
    """
    with _opened(path) as (container, stream):
        times, ends, last_duration = _packet_times(container, stream)
        _refuse_broken_off(Path(path), container, stream, len(times), ends)
        if not times:
            raise MotionError(
                f"expected a video, {Path(path).name} has a video stream without a single frame"
            )
        timing = _timing(stream, [time for time in times if time is not None], last_duration)
        if None in times:
            # Without time stamps (raw streams) the frames follow each other at the file's rate.
            timing = Timing(timing.rate, len(times), variable=False)
        width, height = _upright_size(path, stream)
        return VideoInfo(
            size=(width, height),
            rate=timing.rate,
            frames=timing.count,
            duration=timing.rate.seconds(timing.count),
            has_audio=bool(container.streams.audio),
            variable_rate=timing.variable,
            source_frames=len(times),
            start=min((time for time in times if time is not None), default=Fraction(0)),
        )


def read_frames(
    path: str | Path,
    *,
    longest: int | None = None,
    only: range | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[VideoFrame]:
    """Decode a video frame by frame, in the order shown, each exactly once.

    Memory does not grow with the length of the video.

    Args:
        path: the video file.
        longest: reduce frames (averaging areas) until the longer side has this many pixels.
        only: the frame indices that are wanted, ascending. Those between are decoded, as later
            frames depend on them, but neither converted nor returned.
        cancelled: polled before every frame.

    Raises:
        MotionError: there is no such file, it is empty or no video, or nothing can be decoded.
        JobCancelled: ``cancelled`` returned True.
    """
    with _opened(path) as (container, stream):
        rate = _declared_rates(stream)
        step = 1 / rate[0] if rate else Fraction(1, 25)
        origin: Fraction | None = None
        time = -step
        index = 0
        broken = 0
        for packet in container.demux(stream):
            if cancelled is not None and cancelled():
                raise JobCancelled("the capture was cancelled")
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                # Players go on after a damaged packet; the gap it leaves is a gap in time.
                broken += 1
                logger.warning("%s: damaged data after frame %d: %s", path, index, error)
                continue
            for frame in frames:
                if frame.pts is None or frame.time_base is None:
                    time += step
                else:
                    shown = frame.pts * Fraction(frame.time_base)
                    origin = shown if origin is None else origin
                    # Equal or falling times (damaged files) would break every later step.
                    time = max(shown - origin, time)
                if only is None or index in only:
                    yield VideoFrame(index, time, _picture(frame, stream, longest))
                index += 1
                if only is not None and index >= only.stop:
                    return
        if not index:
            raise MotionError(
                f"not one frame of {Path(path).name} can be decoded ({broken} damaged packets)",
                hint="Play it in a video player; convert it to H.264 MP4 if it plays.",
            )


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """Open a file and choose its video stream, turning every failure into a `MotionError`."""
    path = Path(path)
    if not path.exists():
        raise MotionError(f"there is no video {path}", hint="Check the path.")
    if not path.is_file():
        raise MotionError(f"expected a video file, {path} is a folder")
    if not path.stat().st_size:
        raise MotionError(f"the video {path.name} is empty (0 bytes)", hint="Copy it again.")
    try:
        # Local files only: a playlist must not make the engine fetch anything.
        container = av.open(str(path), options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError) as error:
        raise MotionError(
            f"{path.name} is no video that can be read, or it is broken off: {_reason(error)}",
            hint="Play it in a video player; copy or export it again if it does not play.",
        ) from error
    with container:
        streams = [
            stream
            for stream in container.streams.video
            if not (stream.disposition & av.stream.Disposition.attached_pic)
        ]
        if container.format.name in _TEXT_FORMATS:
            raise MotionError(f"expected a video, {path.name} is a text file")
        if not streams:
            # The picture of an album counts as video to FFmpeg.
            kinds = sorted({stream.type for stream in container.streams} - {"video"})
            raise MotionError(
                f"expected a video, {path.name} holds {' and '.join(kinds) or 'no stream'} only"
            )
        stream = next(
            (item for item in streams if item.disposition & av.stream.Disposition.default),
            streams[0],
        )
        if stream.codec_context is None:
            raise MotionError(f"the video codec of {path.name} is not known to this FFmpeg")
        stream.thread_type = "AUTO"
        try:
            yield container, stream
        except av.error.FFmpegError as error:
            raise MotionError(
                f"{path.name} cannot be read to its end: {_reason(error)}",
                hint="Copy or export it again.",
            ) from error


def _packet_times(
    container: Any, stream: Any
) -> tuple[list[Fraction | None], Fraction, Fraction | None]:
    """Read through the file and collect when each frame is shown.

    Returns:
        Seconds for every frame that will be shown (None without a time stamp), ascending; the
        end of the last packet of any stream; how long the last frame is shown, if known.
    """
    stamped: list[tuple[Fraction, Fraction | None]] = []
    unstamped = 0
    end = Fraction(0)
    for packet in container.demux():
        if packet.size == 0 or packet.time_base is None:
            continue
        base = Fraction(packet.time_base)
        length = packet.duration * base if packet.duration else None
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            end = max(end, stamp * base + (length or 0))
        if packet.stream_index != stream.index or packet.is_discard:
            continue
        if packet.pts is None:
            unstamped += 1
        else:
            stamped.append((packet.pts * base, length))
    stamped.sort(key=lambda item: item[0])
    times: list[Fraction | None] = [time for time, _ in stamped]
    times += [None] * unstamped
    return times, end, stamped[-1][1] if stamped else None


def _refuse_broken_off(path: Path, container: Any, stream: Any, found: int, end: Fraction) -> None:
    """Raise a `MotionError` when the header promises more than the file holds."""
    if not _HONEST_DURATION & set(container.format.name.split(",")):
        return
    announced = stream.frames
    promised = Fraction(container.duration or 0, av.time_base)
    start = Fraction(container.start_time or 0, av.time_base)
    if end - start + _MISSING_END < promised and (not announced or found < announced):
        count = f"{found} of {announced} frames" if announced else f"{found} frames"
        raise MotionError(
            f"{path.name} is broken off: it holds {count} and ends after "
            f"{float(max(end - start, Fraction(0))):.2f} of {float(promised):.2f} seconds",
            hint="Copy or download it again.",
        )


def _timing(stream: Any, times: list[Fraction], last_duration: Fraction | None) -> Timing:
    """Plan the grid for a stream's frame times."""
    return plan_timing(
        times or [Fraction(0)],
        declared=_declared_rates(stream),
        tick=Fraction(stream.time_base) if stream.time_base else Fraction(1, 1000),
        last_duration=last_duration,
    )


def _declared_rates(stream: Any) -> list[Fraction]:
    """Return the rates that the file claims, the most trustworthy first."""
    claims = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [Fraction(rate) for rate in claims if rate]


def _upright_size(path: str | Path, stream: Any) -> tuple[int, int]:
    """Return the displayed size; the rotation is only told by the first decoded frame."""
    with _opened(path) as (container, first):
        for packet in container.demux(first):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                width, height = _square_size(frame, first)
                return (height, width) if _quarter_turns(frame) % 2 else (width, height)
    raise MotionError(
        f"not one frame of {Path(path).name} can be decoded "
        f"({stream.codec_context.name}, {stream.codec_context.width}x"
        f"{stream.codec_context.height})",
        hint="Play it in a video player; convert it to H.264 MP4 if it plays.",
    )


def _square_size(frame: Any, stream: Any) -> tuple[int, int]:
    """Return width and height before rotation with square pixels."""
    ratio = stream.sample_aspect_ratio
    width = round(frame.width * Fraction(ratio)) if ratio else frame.width
    return max(1, width), frame.height


def _quarter_turns(frame: Any) -> int:
    """Return how often the picture must be turned by 90 degrees, counter-clockwise."""
    return int(round(frame.rotation / 90) % 4)


def _picture(frame: Any, stream: Any, longest: int | None) -> NDArray[np.uint8]:
    """Convert a frame to an upright RGB picture of the wanted size."""
    # Asked before converting: a converted frame has lost the note of its rotation.
    turns = _quarter_turns(frame)
    width, height = _square_size(frame, stream)
    if longest is not None and max(width, height) > longest:
        scale = longest / max(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    if (width, height) != (frame.width, frame.height):
        frame = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
    picture: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _reason(error: Exception) -> str:
    """Return FFmpeg's own words without the path they repeat."""
    return str(getattr(error, "strerror", None) or error)
