"""The sound that belongs to rendered frames: found, measured, and cut to the sample.

Times count from the first frame of the source's video, as poses do: files often start their
sound a little before or after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from marionext.errors import OutputError

__all__ = ["Sound", "SoundStream", "cut_sound", "find_sound"]

_GAP = Fraction(1, 50)
"""Time stamps may jitter this much; a larger step between blocks is a gap or an overlap."""
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
"""Channel layouts every codec here takes; others are mixed down to stereo."""
_STEADY = frozenset({"mov", "mp4", "matroska", "webm", "avi"})
_FIRST_PACKETS = 64
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Sound:
    """Part of a file's sound."""

    path: Path
    start: Fraction = Fraction(0)
    """Seconds after the file's first video frame."""


@dataclass(frozen=True, slots=True)
class SoundStream:
    """What a file's sound is like."""

    codec: str
    rate: int
    """Samples per second."""
    layout: str
    """Of the channels as they are cut: ``mono``, ``stereo`` or ``5.1``."""
    channels: int
    start: Fraction
    """Seconds from the first video frame to the first sample."""
    stop: Fraction
    """Seconds from the first video frame to the end of the last sample."""
    origin: Fraction
    """The first video frame in the file's own time."""
    file_start: Fraction
    """Where the file says it starts, in its own time."""
    steady: bool
    """Whether the container keeps one clock from its first packet to its last; broadcast streams
    do not, and FFmpeg moves their time stamps about when it copies."""


def find_sound(path: Path) -> SoundStream | None:
    """Return what a file's first sound stream is like, or None if it has none.

    Raises:
        OutputError: the file cannot be read.
    """
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.audio:
                return None
            origin = _first_frame(container)
            stream: Any = container.streams.audio[0]
            if stream.codec_context is None or not stream.codec_context.sample_rate:
                return None
            container.seek(0, any_frame=False)
            first, end = None, Fraction(0)
            for packet in container.demux(stream):
                if packet.pts is None or not packet.size or packet.is_discard:
                    continue
                base = Fraction(packet.time_base)
                first = packet.pts * base if first is None else min(first, packet.pts * base)
                end = max(end, (packet.pts + (packet.duration or 0)) * base)
            if first is None:
                return None
            channels = stream.codec_context.layout.nb_channels
            return SoundStream(
                codec=stream.codec_context.name,
                rate=stream.codec_context.sample_rate,
                layout=_LAYOUTS.get(channels, "stereo"),
                channels=channels if channels in _LAYOUTS else 2,
                start=first - origin,
                stop=end - origin,
                origin=origin,
                file_start=Fraction(container.start_time or 0, av.time_base),
                steady=bool(_STEADY & set(container.format.name.split(","))),
            )
    except (av.error.FFmpegError, OSError) as error:
        raise OutputError(f"the sound of {path} cannot be read: {error}") from error


def cut_sound(
    path: Path, stream: SoundStream, start: Fraction, duration: Fraction
) -> Iterator[NDArray[np.float32]]:
    """Give a file's sound from one time to another, sample by sample, silence where there is none.

    Args:
        path: the file.
        stream: what `find_sound` said of it.
        start: seconds after the first video frame; may lie before the sound begins.
        duration: seconds.

    Returns:
        Blocks (samples, channels) of -1 to 1, together ``round(duration * rate)`` samples.

    Raises:
        OutputError: the file cannot be read.
    """
    total = round(duration * stream.rate)
    at = 0  # samples given so far
    try:
        for time, block in _decoded(path, stream, start):
            place = round((time - stream.origin - start) * stream.rate)
            if abs(place - at) <= _GAP * stream.rate and at > 0:
                place = at
            if place > at:
                for silence in _silence(min(place, total) - at, stream.channels):
                    yield silence
                    at += len(silence)
            part = block[max(at - place, 0) : max(total - place, 0)]
            if len(part):
                yield part
                at += len(part)
            if at >= total:
                return
    except (av.error.FFmpegError, OSError) as error:
        raise OutputError(f"the sound of {path} cannot be read: {error}") from error
    yield from _silence(total - at, stream.channels)


def _decoded(
    path: Path, stream: SoundStream, start: Fraction
) -> Iterator[tuple[Fraction, NDArray[np.float32]]]:
    """Decode blocks with the time of their first sample in the file's own time."""
    with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
        source: Any = container.streams.audio[0]
        # Decoders need a run-up: begin well before, and let the cut drop what is too early.
        early = stream.origin + start - 2
        if early > stream.origin + stream.start and source.time_base:
            container.seek(int(early / Fraction(source.time_base)), stream=source)
        resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=stream.rate)
        time: Fraction | None = None
        for packet in container.demux(source):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue  # a damaged packet is a gap, as in players
            for frame in frames:
                if frame.pts is not None:
                    time = frame.pts * Fraction(frame.time_base)
                if time is None:
                    time = stream.origin + stream.start
                for converted in resampler.resample(frame):
                    block = converted.to_ndarray().reshape(-1, stream.channels)
                    yield time, block.astype(np.float32, copy=False)
                    time += Fraction(len(block), stream.rate)


def _first_frame(container: Any) -> Fraction:
    """Return when the first video frame is shown, or when a file without video starts."""
    video = [
        stream
        for stream in container.streams.video
        if not (stream.disposition & av.stream.Disposition.attached_pic)
    ]
    if not video:
        return Fraction(container.start_time or 0, av.time_base)
    times = [
        packet.pts * Fraction(packet.time_base)
        for packet in islice(container.demux(video[0]), _FIRST_PACKETS)
        if packet.pts is not None and packet.size and not packet.is_discard
    ]
    return min(times, default=Fraction(0))


def _silence(samples: int, channels: int) -> Iterator[NDArray[np.float32]]:
    while samples > 0:
        count = min(samples, _BLOCK)
        yield np.zeros((count, channels), np.float32)
        samples -= count
