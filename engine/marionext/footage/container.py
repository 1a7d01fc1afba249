"""Open a video file, choose its stream, and learn when each frame is shown, without decoding."""

import contextlib
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from marionext.errors import MotionError
from marionext.files import open_file, reading
from marionext.limits import FRAMES, VIDEO_PIXELS

__all__ = ["Scan", "choose_stream", "open_media", "opened", "reason", "scan"]

_TEXT_FORMATS = frozenset({"tty", "aqtitle", "lrc", "srt", "webvtt", "ass", "ffmetadata"})
"""FFmpeg "plays" text files; nobody means them as a motion."""
_HONEST_DURATION = frozenset({"mov", "matroska", "avi"})
"""Containers whose header says how long the whole file is, so that a broken-off end shows."""
_MISSING_END = Fraction(1, 2)
_BROADCAST = frozenset({"mpegts", "mpeg"})
"""Streams of these are joined by writing one file after the other."""
_HEADER = 1 << 12
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_HIDDEN_VP8 = 0x10
"""The bit of a VP8 frame's first byte that says that it is shown."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a video file's packets say."""

    stamps: tuple[int, ...]
    """When each frame is shown, in units of ``base``, ascending; frames without a time left out."""
    unstamped: int
    """Frames without a time (raw streams)."""
    base: Fraction
    """Seconds."""
    last: Fraction | None
    """Seconds that the last frame is shown, if known."""
    jumps: int = 0
    """How often the file's clock goes back, as where streams were joined end to end."""

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.stamps) + self.unstamped

    @property
    def ordered(self) -> bool:
        """Whether each frame's time stamp tells which of them it is."""
        return not self.unstamped and not self.jumps and len(set(self.stamps)) == len(self.stamps)

    @property
    def origin(self) -> Fraction:
        """Time 0 of everything made of the file: seconds in its own clock."""
        return self.stamps[0] * self.base if self.stamps else Fraction(0)

    @property
    def times(self) -> list[Fraction]:
        """Seconds from time 0 at which each frame with a time is shown."""
        return [(stamp - self.stamps[0]) * self.base for stamp in self.stamps]


def scan(path: str | Path) -> Scan:
    """Read through a file once and learn when each frame is shown.

    Raises:
        MotionError: there is no such file, it is empty, broken off or no video.
    """
    path = Path(path).absolute()
    with opened(path):
        pass  # says what is wrong with it
    state = path.stat()
    return _scan(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _scan(path: Path, _size: int, _changed: int) -> Scan:
    stamps: list[tuple[int, int | None]] = []
    unstamped = 0
    end = Fraction(0)
    with reading(path, MotionError, "a video"), opened(path) as (container, stream):
        base = Fraction(stream.time_base or Fraction(1, 1000))
        joined = _Joined() if container.format.name in _BROADCAST else None
        vp8 = stream.codec_context.name in ("vp8", "libvpx")
        for packet in container.demux():
            if packet.size == 0 or packet.time_base is None:
                continue
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None:
                end = max(end, (stamp + (packet.duration or 0)) * Fraction(packet.time_base))
            if packet.stream_index != stream.index or packet.is_discard:
                continue
            if vp8 and not bytes(packet)[0] & _HIDDEN_VP8:
                continue  # a frame that others refer to and nobody sees
            if packet.pts is None:
                unstamped += 1
            else:
                shift = joined.shift(packet) if joined is not None else 0
                stamps.append((packet.pts + shift, packet.duration or None))
            if len(stamps) + unstamped > FRAMES:
                raise MotionError(
                    f"expected a video of at most {FRAMES:,} frames, {path.name} has more",
                    hint="Cut it into shorter parts.",
                )
        jumps = joined.jumps if joined is not None else 0
        stamps.sort(key=lambda item: item[0])
        _refuse_broken_off(path, container, stream, len(stamps) + unstamped, end)
    last = stamps[-1][1] if stamps else None
    return Scan(
        stamps=tuple(stamp for stamp, _ in stamps),
        unstamped=unstamped,
        base=base,
        last=None if last is None else last * base,
        jumps=jumps,
    )


class _Joined:
    """Makes one clock of those of broadcast streams that were joined end to end."""

    def __init__(self) -> None:
        self.jumps = 0
        self._shift = 0
        self._next: int | None = None

    def shift(self, packet: Any) -> int:
        """Return what is added to the times of the next packet of the file, in its unit."""
        if packet.dts is None:
            return self._shift
        if self._next is not None and packet.dts + self._shift < self._next - packet.duration:
            self.jumps += 1
            self._shift = self._next - packet.dts
        self._next = packet.dts + self._shift + (packet.duration or 1)
        return self._shift


@contextmanager
def open_media(path: Path) -> Iterator[Any]:
    """Open a media file for FFmpeg's libraries.

    They are given its bytes and no protocol: a playlist in it makes them open no second file and no
    address, and a path that looks like an address is a path.

    Raises:
        OSError: it is no regular file, or cannot be read.
        av.error.FFmpegError: it is no media file.
    """
    options = {"protocol_whitelist": "none", "max_pixels": str(VIDEO_PIXELS)}
    # Titles are in the characters of some country, now and then, and of no use here.
    with (
        open_file(path.absolute()) as file,
        av.open(file, options=options, metadata_errors="replace") as container,
    ):
        yield container


@contextmanager
def opened(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """Open a file and choose its video stream, turning every failure into a `MotionError`."""
    path = Path(path)
    if not path.exists():
        raise MotionError(f"there is no video {path}", hint="Check the path.")
    if not path.is_file():
        raise MotionError(f"expected a video file, {path} is a folder")
    if not path.stat().st_size:
        raise MotionError(f"the video {path.name} is empty (0 bytes)", hint="Copy it again.")
    with contextlib.ExitStack() as stack:
        try:
            container = stack.enter_context(open_media(path))
        except (av.error.FFmpegError, OSError) as error:
            raise MotionError(
                f"{path.name} is no video that can be read, or it is broken off: {reason(error)}",
                hint="Play it in a video player; copy or export it again if it does not play.",
            ) from error
        if container.format.name in _TEXT_FORMATS:
            raise MotionError(f"expected a video, {path.name} is a text file")
        stream = choose_stream(container)
        if stream is None:
            # The picture of an album counts as video to FFmpeg.
            kinds = sorted({stream.type for stream in container.streams} - {"video"})
            raise MotionError(
                f"expected a video, {path.name} holds {' and '.join(kinds) or 'no stream'} only"
            )
        if stream.codec_context is None:
            raise MotionError(f"the video codec of {path.name} is not known to this FFmpeg")
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(VIDEO_PIXELS)}
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > VIDEO_PIXELS:
            raise MotionError(
                f"expected a video of at most {VIDEO_PIXELS // 1_000_000} megapixels a picture, "
                f"{path.name} has {width}x{height}",
                hint="Make it smaller: poses are found in a few megapixels as well.",
            )
        try:
            yield container, stream
        except av.error.FFmpegError as error:
            raise MotionError(
                f"{path.name} cannot be read to its end: {reason(error)}",
                hint="Copy or export it again.",
            ) from error


def choose_stream(container: Any) -> Any:
    """Return the stream of an open file that shows its moving picture, or None.

    The one that the file recommends, of those that this FFmpeg knows; a cover picture is none.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not (stream.disposition & av.stream.Disposition.attached_pic)
    ]
    known = [stream for stream in streams if stream.codec_context is not None] or streams
    preferred = (item for item in known if item.disposition & av.stream.Disposition.default)
    return next(preferred, known[0] if known else None)


def _refuse_broken_off(path: Path, container: Any, stream: Any, found: int, end: Fraction) -> None:
    """Raise a `MotionError` when the header promises more than the file holds."""
    formats = set(container.format.name.split(","))
    if not _HONEST_DURATION & formats:
        return
    announced = stream.frames
    promised = Fraction(container.duration or 0, av.time_base)
    start = Fraction(container.start_time or 0, av.time_base)
    length = end - start
    short = length + _MISSING_END < promised
    if "matroska" in formats:
        whole = _matroska_bytes(path)
        if whole is None:
            # Pieces of a stream keep its clock, and some writers call their end their length.
            short = short and end + _MISSING_END < promised
        else:
            short = whole > path.stat().st_size
    if short and (not announced or found < announced):
        count = f"{found} of {announced} frames" if announced else f"{found} frames"
        raise MotionError(
            f"{path.name} is broken off: it holds {count} and ends after "
            f"{float(max(length, Fraction(0))):.2f} of {float(promised):.2f} seconds",
            hint="Copy or download it again.",
        )


def _matroska_bytes(path: Path) -> int | None:
    """Return how long a Matroska or WebM file says it is, None if it was written live.

    An EBML element is its identifier, its length, and as many bytes; the length of what is still
    being written is all ones (RFC 8794).
    """
    with open_file(path) as file:
        head = file.read(_HEADER)
    if not head.startswith(_EBML):
        return None
    size, at = _ebml_number(head, 4)
    if size is None:
        return None
    at += size
    if head[at : at + 4] != _SEGMENT:
        return None
    size, at = _ebml_number(head, at + 4)
    return None if size is None else at + size


def _ebml_number(content: bytes, at: int) -> tuple[int | None, int]:
    """Read a length of one to eight bytes; return it (None: unknown) and where it ends."""
    first = content[at] if at < len(content) else 0
    width = 9 - first.bit_length()
    number = int.from_bytes(content[at : at + width], "big") & ((1 << 7 * width) - 1)
    unknown = not first or number == (1 << 7 * width) - 1
    return None if unknown else number, at + width


def reason(error: Exception) -> str:
    """Return FFmpeg's own words without the path they repeat."""
    return str(getattr(error, "strerror", None) or os.fspath(str(error)))
