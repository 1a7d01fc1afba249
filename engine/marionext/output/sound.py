"""The sound that belongs to rendered frames: found, measured, and cut to the sample.

Times count from the first frame of the source's video, as poses do: files often start their
sound a little before or after it. Damage costs what is damaged and no more; what a user does not
get to hear is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError, OutputError
from marionext.footage import is_animation, open_media, scan

__all__ = ["Sound", "SoundStream", "cut_sound", "find_sound"]

_GAP = Fraction(1, 50)
"""Time stamps may jitter this much; a larger step between blocks is a gap or an overlap."""
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
"""Channel layouts every codec here takes; others are mixed down to stereo."""
_STEADY = frozenset({"mov", "mp4", "matroska", "webm", "avi"})
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

    index: int
    """Of the stream in the file."""
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
    lost: Fraction = Fraction(0)
    """Seconds that are damaged: silence stands for them."""
    warnings: tuple[str, ...] = ()
    """What cannot be heard of the file, and why."""


def find_sound(path: Path) -> SoundStream | None:
    """Return what a file's sound is like, or None if it has none.

    It is the first sound stream that can be decoded; all of it is, to know what is damaged.

    Raises:
        OutputError: the file cannot be read, or none of its sound can be decoded.
    """
    if is_animation(path):
        return None
    try:
        with open_media(path) as container:
            indices = [stream.index for stream in container.streams.audio]
            origin = _first_frame(path, container)
        unknown: list[tuple[int, str]] = []
        for place, index in enumerate(indices, start=1):
            found = _measured(path, index, origin)
            if isinstance(found, SoundStream):
                if unknown:
                    left_out = ", ".join(f"track {number} ({kind})" for number, kind in unknown)
                    said = (
                        f"{path.name}: of its sound {left_out} cannot be decoded; track {place} "
                        f"({found.codec}) is taken"
                    )
                    found = replace(found, warnings=(said, *found.warnings))
                return found
            unknown.append((place, found))
    except (av.error.FFmpegError, OSError) as error:
        raise OutputError(f"the sound of {path} cannot be read: {error}") from error
    if unknown:
        kinds = ", ".join(dict.fromkeys(kind for _, kind in unknown))
        raise OutputError(f"the sound of {path} cannot be decoded: {kinds}")
    return None


def _measured(path: Path, index: int, origin: Fraction) -> SoundStream | str:
    """Decode a sound stream and return what it is like, or the kind that cannot be decoded."""
    with open_media(path) as container:
        stream: Any = container.streams[index]
        codec = stream.codec_context
        if codec is None or not codec.sample_rate:
            return "of an unknown kind"
        name = codec.name
        first, end = None, Fraction(0)
        damaged, lost, decoded = 0, Fraction(0), False
        for packet in _packets(container, stream):
            try:
                decoded = bool(packet.decode()) or decoded
            except av.error.FFmpegError:
                if packet.size:
                    damaged += 1
                    lost += (packet.duration or 0) * Fraction(packet.time_base or 0)
            if packet.pts is None or not packet.size or packet.is_discard:
                continue
            base = Fraction(packet.time_base)
            first = packet.pts * base if first is None else min(first, packet.pts * base)
            end = max(end, (packet.pts + (packet.duration or 0)) * base)
        if first is None or not decoded:
            return f"{name}, not one packet of it can be decoded"
        channels = codec.layout.nb_channels
        said = (
            f"{path.name}: {damaged} packet{'s' * (damaged > 1)} of its sound "
            f"({float(lost):.2f} s) cannot be decoded and {'are' if damaged > 1 else 'is'} silent"
        )
        return SoundStream(
            index=index,
            codec=name,
            rate=codec.sample_rate,
            layout=_LAYOUTS.get(channels, "stereo"),
            channels=channels if channels in _LAYOUTS else 2,
            start=first - origin,
            stop=end - origin,
            origin=origin,
            file_start=Fraction(container.start_time or 0, av.time_base),
            steady=bool(_STEADY & set(container.format.name.split(","))),
            lost=lost,
            warnings=(said,) if damaged else (),
        )


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
    with open_media(path) as container:
        source: Any = container.streams[stream.index]
        # Decoders need a run-up: begin well before, and let the cut drop what is too early.
        early = stream.origin + start - 2
        if early > stream.origin + stream.start and source.time_base:
            container.seek(int(early / Fraction(source.time_base)), stream=source)
        resampler, form = _resampler(stream), None
        time: Fraction | None = None
        for packet in _packets(container, source):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue  # a damaged packet is a gap, as in players
            for frame in frames:
                if frame.pts is not None:
                    time = frame.pts * Fraction(frame.time_base)
                if time is None:
                    time = stream.origin + stream.start
                # Broadcasts change from mono to stereo; a resampler takes one kind of frame.
                if form not in (None, (frame.format.name, frame.layout.name, frame.sample_rate)):
                    resampler = _resampler(stream)
                form = (frame.format.name, frame.layout.name, frame.sample_rate)
                for converted in resampler.resample(frame):
                    block = converted.to_ndarray().reshape(-1, stream.channels)
                    yield time, block.astype(np.float32, copy=False)
                    time += Fraction(len(block), stream.rate)


def _resampler(stream: SoundStream) -> av.AudioResampler:
    return av.AudioResampler(format="flt", layout=stream.layout, rate=stream.rate)


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Give the packets of a stream up to where the file cannot be read on."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def _first_frame(path: Path, container: Any) -> Fraction:
    """Return when the first video frame is shown, or when a file without video starts."""
    try:
        return scan(path).origin
    except MotionError:  # no video, or none that can be rendered: it is its sound that is wanted
        return Fraction(container.start_time or 0, av.time_base)


def _silence(samples: int, channels: int) -> Iterator[NDArray[np.float32]]:
    while samples > 0:
        count = min(samples, _BLOCK)
        yield np.zeros((count, channels), np.float32)
        samples -= count
