"""Videos from frames: exact count, exact rate, right colours, and the source's sound.

FFmpeg runs in its own process, fed with raw pictures, so that a crash or a licence of a codec is
its own. Sound is copied packet by packet where all of it is wanted and the container takes its
codec; where only a part is rendered it is decoded, cut to the sample and encoded again, because
packets are up to a tenth of a second long.
"""

import contextlib
import errno
import logging
import os
import subprocess
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from marionext.errors import JobCancelled, OutputError
from marionext.files import PART, explain, sync_folder
from marionext.footage import open_media
from marionext.frames import FrameRate
from marionext.output.pictures import Pictures
from marionext.output.sound import Sound, SoundStream, cut_sound, find_sound

__all__ = ["EncodedVideo", "Quality", "VideoKind", "encode_video", "video_suffix"]

logger = logging.getLogger(__name__)

VideoKind = Literal["mp4", "webm", "gif", "prores"]
Quality = Literal["high", "good", "small"]
SoundMade = Literal["none", "copied", "encoded"]

_COLOURS = (
    "scale=in_range=full:out_range=tv:out_color_matrix=bt709"
    ":flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp,format={pixels},"
    "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
)
"""Without this FFmpeg would use the colour matrix of old television, and say nothing about it."""
_COLOUR_TAGS = (
    *("-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "bt709", "-color_range", "tv"),
)
_TAIL = 12
"""Lines of FFmpeg's last words that go into an error."""
_LARGEST = 2**31 - 1
_FASTEST_GIF = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """How one kind of video is made."""

    suffix: str
    muxer: tuple[str, ...]
    pixels: str
    codec: tuple[str, ...]
    quality: dict[Quality, tuple[str, ...]]
    sound_codec: tuple[str, ...]
    bits_per_channel: int
    """Bits per second and channel of encoded sound; 0: it is not compressed."""
    copied: frozenset[str]
    """Sound codecs that the container takes as they are."""
    even: tuple[bool, bool]
    """Whether width and height must be even."""


_FORMATS: dict[str, _Format] = {
    "mp4": _Format(
        suffix=".mp4",
        muxer=("-f", "mp4", "-movflags", "+faststart"),
        pixels="yuv420p",
        codec=("-c:v", "libx264", "-preset", "medium", "-profile:v", "high"),
        quality={"high": ("-crf", "14"), "good": ("-crf", "19"), "small": ("-crf", "25")},
        sound_codec=("-c:a", "aac"),
        bits_per_channel=96_000,
        copied=frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "alac"}),
        even=(True, True),
    ),
    "webm": _Format(
        suffix=".webm",
        muxer=("-f", "webm"),
        pixels="yuv420p",
        codec=("-c:v", "libvpx-vp9", "-b:v", "0", "-row-mt", "1", "-cpu-used", "4"),
        quality={"high": ("-crf", "18"), "good": ("-crf", "28"), "small": ("-crf", "38")},
        sound_codec=("-c:a", "libopus"),
        bits_per_channel=64_000,
        copied=frozenset({"opus", "libopus", "vorbis"}),
        even=(True, True),
    ),
    "prores": _Format(
        suffix=".mov",
        muxer=("-f", "mov"),
        pixels="yuv422p10le",
        codec=("-c:v", "prores_ks", "-vendor", "apl0"),
        quality={
            "high": ("-profile:v", "3"),
            "good": ("-profile:v", "2"),
            "small": ("-profile:v", "1"),
        },
        sound_codec=("-c:a", "pcm_s24le"),
        bits_per_channel=0,
        copied=frozenset({"pcm_s16le", "pcm_s24le", "aac", "alac"}),
        even=(True, False),
    ),
    "gif": _Format(
        suffix=".gif",
        muxer=("-f", "gif", "-loop", "0"),
        pixels="",
        codec=("-c:v", "gif"),
        quality={"high": (), "good": (), "small": ()},
        sound_codec=(),
        bits_per_channel=0,
        copied=frozenset(),
        even=(False, False),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedVideo:
    """A finished video."""

    path: Path
    size: tuple[int, int]
    """Width and height; may be a pixel more than the frames', which a note says."""
    sound: SoundMade
    notes: tuple[str, ...]
    """What the user should know: padded, silent, rounded."""
    warnings: tuple[str, ...] = ()
    """What the user did not get: sound that cannot be decoded."""


def video_suffix(kind: VideoKind) -> str:
    """Return the file suffix of a kind of video, such as ``.mp4``."""
    return _FORMATS[kind].suffix


def encode_video(
    pictures: Pictures,
    rate: FrameRate,
    path: Path,
    *,
    kind: VideoKind = "mp4",
    quality: Quality = "high",
    sound: Sound | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> EncodedVideo:
    """Make a video of pictures, one frame of it each; it appears whole or not at all.

    Args:
        pictures: of one size.
        rate: of the video, exact. GIF counts in hundredths of a second, WebM in thousandths:
            there each frame is shown at the nearest such time.
        path: of the video; an older one is replaced.
        kind: ``mp4`` (H.264), ``webm`` (VP9), ``gif``, or ``prores`` (QuickTime).
        quality: how much detail is kept for how much space.
        sound: what is heard while the first picture is shown, and on from there.
        on_progress: told how many of how many pictures are encoded.
        cancelled: polled before every picture.

    Raises:
        OutputError: FFmpeg fails or is missing, a picture cannot be read, or the disk is full.
        JobCancelled: ``cancelled`` returned True; nothing is left behind.
    """
    if not pictures.count:
        raise OutputError(f"{path.name}: a video has at least one frame, got none")
    form = _FORMATS[kind]
    path = path.absolute()
    height, width = pictures.at(0).shape[:2]
    size = (
        width + (width % 2 if form.even[0] else 0),
        height + (height % 2 if form.even[1] else 0),
    )
    notes: list[str] = []
    warnings: list[str] = []
    if size != (width, height):
        notes.append(
            f"{path.name}: {width}x{height} is padded to {size[0]}x{size[1]}, "
            "the format wants even numbers"
        )
    if kind == "gif" and rate.fraction > _FASTEST_GIF:
        notes.append(f"{path.name}: many programs show a GIF of {rate} frames/s more slowly")
    job = _Job(pictures, rate, path, form, size, quality, on_progress, cancelled)
    with _temporary(path) as files:
        heard: SoundMade = "none"
        arguments = _SoundInput()
        if sound is not None and form.sound_codec:
            heard, arguments, said = _prepare_sound(sound, job, files("sound"))
            notes += said.notes
            warnings += said.warnings
        video = files("video")
        if kind == "gif":
            _encode_gif(job, video, files("palette"))
        else:
            _encode(job, video, arguments)
        _check(video, pictures.count, path)
        try:
            with video.open("r+b") as file:  # Windows flushes what is open for writing only
                os.fsync(file.fileno())
            video.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise explain(error, path) from error
    for note in notes:
        logger.info(note)
    return EncodedVideo(
        path=path, size=size, sound=heard, notes=tuple(notes), warnings=tuple(warnings)
    )


@dataclass(frozen=True, slots=True)
class _Job:
    pictures: Pictures
    rate: FrameRate
    path: Path
    form: _Format
    size: tuple[int, int]
    quality: Quality
    on_progress: Callable[[int, int], None] | None
    cancelled: Callable[[], bool] | None

    def stop_if_cancelled(self) -> None:
        if self.cancelled is not None and self.cancelled():
            raise JobCancelled(f"Writing {self.path.name} was stopped; the frames are kept.")

    @property
    def source(self) -> tuple[str, ...]:
        """The arguments that say what comes through the pipe."""
        fraction = self.rate.fraction
        if max(fraction.numerator, fraction.denominator) > _LARGEST:
            fraction = fraction.limit_denominator(1_000_000)
        return (
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{self.size[0]}x{self.size[1]}"),
            *("-framerate", f"{fraction.numerator}/{fraction.denominator}"),
            *("-protocol_whitelist", "pipe", "-i", "pipe:0"),
        )


@dataclass(frozen=True, slots=True)
class _SoundInput:
    """FFmpeg's arguments for the sound."""

    source: tuple[str, ...] = ()
    output: tuple[str, ...] = ("-an",)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the user should know about the sound."""

    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Callable[[str], Path]]:
    """Give names for unfinished files beside the video, removed at the end."""
    made: list[Path] = []

    def name(what: str) -> Path:
        # A name that nobody can have put a link at.
        made.append(path.with_name(f".{what}.{uuid.uuid4().hex[:12]}{PART}"))
        return made[-1]

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, path) from error
    try:
        yield name
    finally:
        for file in made:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


def _prepare_sound(sound: Sound, job: _Job, raw: Path) -> tuple[SoundMade, _SoundInput, _Said]:
    """Choose whether to copy or cut the sound, and cut it; a fault costs the sound, not the video.

    Args:
        sound: which.
        job: the video it is for.
        raw: where to put cut sound.
    """
    try:
        stream = find_sound(sound.path)
        if stream is None:
            return "none", _SoundInput(), _Said((f"{sound.path.name} has no sound",))
        duration = job.rate.seconds(job.pictures.count)
        if sound.start >= stream.stop or sound.start + duration <= stream.start:
            note = f"{sound.path.name} has no sound in these frames"
            return "none", _SoundInput(), _Said((note,), stream.warnings)
        if _whole(sound, stream, duration, job):
            return "copied", _copying(sound, stream), _Said((), stream.warnings)
        try:
            with raw.open("wb") as file:
                for block in cut_sound(sound.path, stream, sound.start, duration):
                    job.stop_if_cancelled()
                    file.write(block.tobytes())
        except OSError as error:
            raise explain(error, job.path) from error
    except OutputError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOSPC:
            raise
        return "none", _SoundInput(), _Said((), (f"{error.message}: the video has no sound",))
    encoded = ("-b:a", str(_bitrate(stream, job.form))) if job.form.bits_per_channel else ()
    return (
        "encoded",
        _SoundInput(
            (
                *("-f", "f32le", "-ar", str(stream.rate), "-ch_layout", stream.layout),
                *_read(raw),
            ),
            ("-map", "0:v", "-map", "1:a", *job.form.sound_codec, *encoded),
        ),
        _Said((), stream.warnings),
    )


def _whole(sound: Sound, stream: SoundStream, duration: Fraction, job: _Job) -> bool:
    """Tell whether all of the sound is wanted as it is, to the length of a frame."""
    frame = job.rate.seconds(1)
    return (
        sound.start == 0
        and stream.steady
        and not stream.lost
        and stream.codec in job.form.copied
        and stream.start > -frame
        and stream.stop <= duration + frame
    )


def _copying(sound: Sound, stream: SoundStream) -> _SoundInput:
    # FFmpeg shifts a file to start at 0; what must be at 0 is its first video frame.
    offset = stream.file_start - stream.origin
    return _SoundInput(
        ("-itsoffset", f"{float(offset):.6f}", *_read(sound.path)),
        ("-map", "0:v", "-map", f"1:{stream.index}", "-c:a", "copy"),
    )


def _bitrate(stream: SoundStream, form: _Format) -> int:
    # Encoders refuse more bits than a low sample rate can carry.
    return min(form.bits_per_channel, 5 * stream.rate) * stream.channels


def _encode(job: _Job, video: Path, sound: _SoundInput) -> None:
    form = job.form
    _run(
        (
            *job.source,
            *sound.source,
            *("-vf", _COLOURS.format(pixels=form.pixels), "-fps_mode", "passthrough"),
            *form.codec,
            *form.quality[job.quality],
            *_COLOUR_TAGS,
            *sound.output,
            *form.muxer,
            *_write(video),
        ),
        job,
    )


def _encode_gif(job: _Job, video: Path, palette: Path) -> None:
    """Find the 256 best colours of the whole clip, then draw it with them."""
    find = ("-vf", "palettegen=stats_mode=full", "-frames:v", "1", "-update", "1")
    _run((*job.source, *find, "-c:v", "png", "-f", "image2", *_write(palette)), job, half=0)
    use = ("-lavfi", "[0:v][1:v]paletteuse=dither=sierra2_4a", "-fps_mode", "passthrough")
    _run(
        (
            *job.source,
            *("-f", "png_pipe", *_read(palette)),
            *use,
            *job.form.codec,
            *job.form.muxer,
            *_write(video),
        ),
        job,
        half=1,
    )


def _read(path: Path) -> tuple[str, ...]:
    """Return FFmpeg's arguments for a file to read: a file, whatever its name looks like."""
    return ("-protocol_whitelist", "file", "-i", f"file:{path.absolute()}")


def _write(path: Path) -> tuple[str, ...]:
    """Return FFmpeg's arguments for a file to write."""
    return ("-protocol_whitelist", "file", f"file:{path.absolute()}")


def _run(arguments: tuple[str, ...], job: _Job, half: int | None = None) -> None:
    """Run FFmpeg and feed it every picture.

    Args:
        arguments: without the program's name.
        job: what is encoded.
        half: 0 or 1 in the first or second of two passes, for the progress.
    """
    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
        process = subprocess.Popen(
            [program, "-hide_banner", "-loglevel", "error", "-y", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # on Windows
            # Ctrl-C is the engine's affair: FFmpeg ends with the pipe.
            start_new_session=True,
        )
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"FFmpeg cannot be started: {error}",
            hint="Install the package imageio-ffmpeg again: it brings FFmpeg along.",
        ) from error
    words: deque[str] = deque(maxlen=_TAIL)
    listener = threading.Thread(target=_listen, args=(process, words), daemon=True)
    listener.start()
    try:
        _feed(process, job, half)
        while True:
            job.stop_if_cancelled()
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=0.1)
                break
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        listener.join(timeout=5)
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
    if status:
        raise _failure(job, status, list(words))


def _feed(process: subprocess.Popen[bytes], job: _Job, half: int | None) -> None:
    """Write every picture into FFmpeg; stop quietly where it does, its status tells why."""
    pipe = process.stdin
    if pipe is None:
        return
    count = job.pictures.count
    for index in range(count):
        job.stop_if_cancelled()
        picture = _padded(job.pictures.at(index), job, index)
        try:
            pipe.write(picture.data.cast("B"))
        except (BrokenPipeError, OSError):
            return
        if job.on_progress is not None:
            done = index + 1 if half is None else (half * count + index + 1) // 2
            job.on_progress(done, count)
    with contextlib.suppress(OSError):
        pipe.close()


def _padded(picture: NDArray[np.uint8], job: _Job, index: int) -> NDArray[np.uint8]:
    """Repeat the last row and column where the format wants even numbers."""
    width, height = job.size
    right, below = width - picture.shape[1], height - picture.shape[0]
    odd = 1 in (right, below) and min(right, below) >= 0 and max(right, below) <= 1
    if odd:
        picture = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
    if picture.shape != (height, width, 3):
        raise OutputError(
            f"{job.path.name}: expected pictures of one size, number {index} is "
            f"{picture.shape[1]}x{picture.shape[0]}, not {width}x{height}"
        )
    return np.ascontiguousarray(picture)


def _listen(process: subprocess.Popen[bytes], words: deque[str]) -> None:
    if process.stderr is not None:
        for line in process.stderr:
            words.append(line.decode("utf-8", "replace").rstrip())


def _failure(job: _Job, status: int, words: list[str]) -> OutputError:
    if any("No space left" in line for line in words):
        return explain(OSError(errno.ENOSPC, "No space left on device"), job.path)
    said = "\n".join(words) or "it said nothing"
    return OutputError(
        f"FFmpeg could not write {job.path.name} (status {status}): {said}",
        hint="The frames are kept; another video format may work.",
    )


def _check(video: Path, count: int, path: Path) -> None:
    """Count the frames that arrived: N in, N out."""
    try:
        with open_media(video) as container:
            found = sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.error.FFmpegError, OSError) as error:
        raise OutputError(f"{path.name} was written but cannot be read back: {error}") from error
    if found != count:
        raise OutputError(f"{path.name}: expected {count} frames, FFmpeg wrote {found}")
