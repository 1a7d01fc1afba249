"""Sound of the sequence: decoded once, mixed as it is played, measured for the timeline.

Every source's sound is decoded once into the cache: 48,000 stereo samples of 16 bits a second, the
first of them at its first frame. Playing and exporting mix from there, by the same function, so
what is exported is what was heard. Beats follow Ellis (2007), "Beat Tracking by Dynamic
Programming": onsets from the rise of loudness in bands, the tempo from how they repeat, then the
row of beats that fits both best.
"""

import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from marionext.errors import EngineError, MotionError
from marionext.files import replacing
from marionext.frames import FrameRange
from marionext_desktop.model.places import cache_folder, keep_small
from marionext_desktop.model.project import Clip, Project, Source
from marionext_desktop.model.side_process import SideProcess

__all__ = [
    "PEAKS_A_SECOND",
    "SAMPLE_RATE",
    "Sounds",
    "Wave",
    "audible",
    "beat_frames",
    "decode",
    "mix",
    "samples_of",
    "write_mix",
]

SAMPLE_RATE = 48_000
PEAKS_A_SECOND = 200
_VERSION = 1
_CACHE_BYTES = 4 << 30
_BLOCK = 1 << 16
_FADE = 240
"""Samples over which a clip's sound begins and ends, so that cuts do not click: 5 ms."""

Pcm = NDArray[np.int16]
"""(samples, 2)."""


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """What the timeline draws of a sound."""

    peaks: NDArray[np.float32]
    """(blocks, 2): lowest and highest, -1 to 1, `PEAKS_A_SECOND` blocks a second, from the source's
    first frame on."""
    beats: NDArray[np.float64]
    """Seconds after the source's first frame."""
    tempo: float
    """Beats a minute; 0: there are none to speak of."""


def sound_file(source: Source, root: Path | None = None) -> Path:
    """Return where the decoded sound of a source is, or is to be, kept."""
    digest = source.stamp.digest[:32] if source.stamp is not None else "unknown"
    return (root or cache_folder("sound")) / f"{digest}-{_VERSION}.pcm"


def decode(path: str, output: str) -> None:
    """Decode a file's sound and measure it; called beside the window.

    Raises:
        MotionError: it has no sound that can be decoded.
        OutputError: the disk is full, say.
    """
    pcm_file = Path(output)
    with replacing(pcm_file) as temporary, temporary.open("wb") as file:
        for block in _decoded(Path(path)):
            file.write(block.tobytes())
    wave = _measured(samples_of(pcm_file))
    with replacing(pcm_file.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, peaks=wave.peaks.astype(np.float16), beats=wave.beats, tempo=np.array(wave.tempo)
        )


def _decoded(path: Path) -> Iterator[Pcm]:
    """Give a file's sound from its first video frame on, silence where there is none."""
    import av  # noqa: PLC0415 - beside the window only

    from marionext.footage import open_media, scan  # noqa: PLC0415

    try:
        origin = scan(path).origin
    except MotionError:  # no video
        origin = None
    try:
        with open_media(path) as container:
            # Phones add tracks of codecs that FFmpeg does not know.
            known = (s for s in container.streams.audio if s.codec_context is not None)
            stream = next(known, None)
            if stream is None:
                raise MotionError(f"expected a sound, {path.name} has none that can be decoded")
            if origin is None:
                origin = Fraction(container.start_time or 0, av.time_base)
            # One channel is given to both ears as it is; FFmpeg would take 3 dB off.
            alone = stream.codec_context.layout.nb_channels == 1
            resampler = av.AudioResampler(
                format="s16", layout="mono" if alone else "stereo", rate=SAMPLE_RATE
            )
            at = 0
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    continue  # a damaged packet is a gap
                for frame in frames:
                    for part in resampler.resample(frame):
                        block: Pcm = part.to_ndarray().reshape(-1, 1 if alone else 2)
                        block = np.repeat(block, 2, axis=1) if alone else block
                        place = at
                        if part.pts is not None and part.time_base is not None:
                            place = round((part.pts * part.time_base - origin) * SAMPLE_RATE)
                        if abs(place - at) < SAMPLE_RATE // 50:
                            place = at
                        while place > at:
                            silence = min(place - at, _BLOCK)
                            yield np.zeros((silence, 2), np.int16)
                            at += silence
                        block = block[at - place :]
                        if len(block):
                            yield block
                            at += len(block)
    except (av.error.FFmpegError, OSError) as error:
        raise MotionError(f"the sound of {path.name} cannot be decoded: {error}") from error


def samples_of(path: Path) -> Pcm:
    """Return decoded sound, read from the disk as it is used.

    Raises:
        OSError: it is not there.
    """
    count = path.stat().st_size // 4
    if not count:
        return np.zeros((0, 2), np.int16)
    return np.memmap(path, np.int16, "r", shape=(count, 2))


def read_wave(path: Path) -> Wave:
    """Return what was measured of a sound (``.npz``)."""
    with np.load(path) as arrays:
        return Wave(arrays["peaks"].astype(np.float32), arrays["beats"], float(arrays["tempo"]))


# ----------------------------------------------------------------------------------- measuring


def _measured(samples: Pcm) -> Wave:
    step = SAMPLE_RATE // PEAKS_A_SECOND
    count = ceil(len(samples) / step)
    peaks = np.zeros((count, 2), np.float32)
    for start in range(0, count, 4096):
        stop = min(start + 4096, count)
        part = samples[start * step : stop * step].astype(np.float32).mean(1) / 32768
        part = np.pad(part, (0, (stop - start) * step - len(part)))
        rows = part.reshape(stop - start, step)
        peaks[start:stop, 0], peaks[start:stop, 1] = rows.min(1), rows.max(1)
    beats, tempo = _beats(samples)
    return Wave(peaks, beats, tempo)


_HOP = 128
_WINDOW = 1024
_SLOWED = 4
"""Samples that become one: beats are heard at 12,000 a second."""


def _beats(samples: Pcm) -> tuple[NDArray[np.float64], float]:
    """Return the beats of a sound in seconds, and its tempo."""
    mono = samples[: len(samples) // _SLOWED * _SLOWED].astype(np.float32).mean(1)
    mono = mono.reshape(-1, _SLOWED).mean(1) / 32768
    rate = SAMPLE_RATE / _SLOWED
    pace = rate / _HOP
    if len(mono) < 4 * rate + _WINDOW:
        return np.zeros(0), 0.0
    onsets = _onsets(mono)
    if onsets.max(initial=0) <= 0:
        return np.zeros(0), 0.0
    period = _period(onsets, pace)
    if not period:
        return np.zeros(0), 0.0
    places = _fitting(onsets, period)
    # Loudness rises most where an onset has come that far into the window (of Hann's shape).
    seconds = (places + 0.8 * _WINDOW / _HOP) / pace
    return seconds, 60 * pace / period


def _onsets(mono: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much louder it gets at each hop: (hops,), of deviation 1."""
    hops = max(0, (len(mono) - _WINDOW) // _HOP + 1)
    if not hops:
        return np.zeros(0)
    window = np.hanning(_WINDOW).astype(np.float32)
    rising = np.zeros(hops)
    before: NDArray[np.float32] | None = None
    edges = np.unique(np.geomspace(2, _WINDOW // 2, 24).astype(int))
    for start in range(0, hops, 2048):
        stop = min(start + 2048, hops)
        part = mono[start * _HOP : (stop - 1) * _HOP + _WINDOW]
        frames = np.lib.stride_tricks.sliding_window_view(part, _WINDOW)[::_HOP] * window
        power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
        bands = np.log1p(1e3 * np.add.reduceat(power, edges, axis=1)).astype(np.float32)
        first = bands[:1] if before is None else before
        rising[start:stop] = np.maximum(np.diff(bands, axis=0, prepend=first), 0).sum(1)
        before = bands[-1:]
    local = np.convolve(rising, np.ones(65) / 65, "same")
    rising = np.maximum(rising - local, 0)
    deviation = rising.std()
    return rising / deviation if deviation > 1e-9 else np.zeros(hops)


def _period(onsets: NDArray[np.float64], pace: float) -> int:
    """Return the hops from beat to beat that repeat best, near 120 a minute; 0: none do."""
    count = len(onsets)
    size = 1 << (2 * count - 1).bit_length()
    spectrum = np.fft.rfft(onsets - onsets.mean(), size)
    repeats = np.fft.irfft(np.abs(spectrum) ** 2, size)[:count]
    lags = np.arange(round(pace * 60 / 220), min(round(pace * 60 / 50) + 1, count))
    if not len(lags) or repeats[0] <= 0:
        return 0
    # People tap near 120 beats a minute; an octave off counts half as much.
    octaves = np.log2(lags / (pace * 0.5))
    weights = np.exp(-0.5 * (octaves / 0.9) ** 2)
    best = int(lags[np.argmax(repeats[lags] * weights)])
    return best if repeats[best] > 0.05 * repeats[0] else 0


def _fitting(onsets: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Return the row of beats about a period apart that lies on the strongest onsets."""
    tightness = 100.0
    smooth = np.convolve(onsets, np.hanning(max(3, period // 8 | 1)), "same")
    count = len(smooth)
    score, back = smooth.copy(), np.full(count, -1)
    gaps = np.arange(-2 * period, -period // 2)
    penalty = -tightness * np.log(-gaps / period) ** 2
    for place in range(count):
        earlier = place + gaps
        usable = earlier >= 0
        if usable.any():
            values = score[earlier[usable]] + penalty[usable]
            best = int(np.argmax(values))
            if values[best] > 0:
                score[place] += values[best]
                back[place] = earlier[usable][best]
    place = int(np.argmax(score[-2 * period :])) + max(0, count - 2 * period)
    beats = []
    while place >= 0:
        beats.append(place)
        place = int(back[place])
    return np.array(beats[::-1], np.float64)


def beat_frames(project: Project, clip: Clip, wave: Wave) -> tuple[int, ...]:
    """Return the frames of the timeline on which the beats of a clip fall."""
    rate = float(project.source(clip.source).rate.fraction)
    places = (wave.beats * rate - float(clip.first)) / float(project.step(clip))
    frames = np.rint(places).astype(np.int64) + (clip.at + project.music_offset)
    return tuple(np.unique(frames[(frames >= clip.at) & (frames < clip.stop)]).tolist())


# -------------------------------------------------------------------------------------- mixing


def audible(project: Project) -> tuple[Source, ...]:
    """Return the sources that are heard somewhere in the sequence."""
    used = {clip.source for clip in project.clips if clip.volume > 0 and clip.hold is None}
    return tuple(source for source in project.sources if source.sound and source.id in used)


def mix(project: Project, sounds: Mapping[str, Pcm], start: int, count: int) -> NDArray[np.float32]:
    """Mix a stretch of the sequence.

    Args:
        project: its clips.
        sounds: decoded sound by source; those that are not there are silent.
        start: sample of the sequence, from 0.
        count: samples.

    Returns:
        (count, 2), -1 to 1.
    """
    mixed = np.zeros((count, 2), np.float32)
    if count <= 0:
        return mixed
    rate = project.rate.fraction
    for clip in project.clips:
        samples = sounds.get(clip.source)
        if samples is None or clip.volume <= 0 or clip.hold is not None:
            continue
        begin, end = (floor(frame * SAMPLE_RATE / rate) for frame in (clip.at, clip.stop))
        low, high = max(begin, start), min(end, start + count)
        if low >= high:
            continue
        part = _part(project, clip, samples, low - begin, high - low)
        # Silence is faded to at both ends, unless the sound goes on in the next clip.
        places = np.arange(low, high)
        far = np.full(len(places), _FADE)
        if not _goes_on(project, clip.at, clip.source):
            far = np.minimum(far, places - begin + 1)
        if not _goes_on(project, clip.stop, clip.source):
            far = np.minimum(far, end - places)
        part = part * (far / _FADE).astype(np.float32)[:, None]
        mixed[low - start : high - start] += part * np.float32(clip.volume)
    return np.clip(mixed, -1, 1)


def _goes_on(project: Project, frame: int, source: str) -> bool:
    """Tell whether a source goes on over a cut as if there were none."""
    left = next((c for c in project.clips if c.source == source and c.stop == frame), None)
    right = next((c for c in project.clips if c.source == source and c.at == frame), None)
    if left is None or right is None or left.hold is not None or right.hold is not None:
        return False
    if (left.speed, left.volume) != (right.speed, right.volume):
        return False
    return left.first + left.count * project.step(left) == right.first


def _part(
    project: Project, clip: Clip, samples: Pcm, offset: int, count: int
) -> NDArray[np.float32]:
    """Return what is heard of a clip from a sample of it on: (count, 2)."""
    source = project.source(clip.source)
    first = clip.first / source.rate.fraction * SAMPLE_RATE
    if clip.speed == 1:
        place = round(first) + offset
        low, high = max(place, 0), min(place + count, len(samples))
        part = np.zeros((count, 2), np.float32)
        if low < high:
            part[low - place : high - place] = samples[low:high].astype(np.float32) / 32768
        return part
    # As a tape does it: faster is higher.
    places = float(first) + (offset + np.arange(count)) * float(clip.speed)
    before = np.floor(places).astype(np.int64)
    share = (places - before).astype(np.float32)[:, None]
    inside = (before >= 0) & (before < len(samples) - 1)
    before = np.clip(before, 0, max(len(samples) - 2, 0))
    if len(samples) < 2:
        return np.zeros((count, 2), np.float32)
    low_samples = samples[before].astype(np.float32)
    high_samples = samples[before + 1].astype(np.float32)
    part = (low_samples + share * (high_samples - low_samples)) / 32768
    return np.where(inside[:, None], part, 0).astype(np.float32)


def write_mix(
    project: Project, span: FrameRange, files: Mapping[str, str], output: str
) -> str | None:
    """Write what is heard in a range as a WAV file; called beside the window.

    Args:
        project: its clips.
        span: of the sequence.
        files: decoded sound by source; what is not there yet is decoded first.
        output: the ``.wav``.

    Returns:
        The file, or None where nothing is heard.

    Raises:
        MotionError: a sound cannot be decoded.
        OutputError: the file cannot be written.
    """
    sounds: dict[str, Pcm] = {}
    for source in audible(project):
        file = Path(files[source.id])
        if not file.is_file():
            decode(source.path, str(file))
        sounds[source.id] = samples_of(file)
    if not sounds:
        return None
    rate = project.rate.fraction
    start, stop = (floor(frame * SAMPLE_RATE / rate) for frame in (span.start, span.stop))
    with replacing(Path(output)) as temporary, temporary.open("wb") as file_out:
        size = (stop - start) * 4
        file_out.write(_wav_head(size))
        for at in range(start, stop, _BLOCK):
            block = mix(project, sounds, at, min(_BLOCK, stop - at))
            file_out.write(np.round(block * 32767).astype("<i2").tobytes())
    return output


def _wav_head(size: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 2, SAMPLE_RATE, SAMPLE_RATE * 4, 4, 16)
    size = min(size, (1 << 32) - 64)
    return (
        b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", size)
    )  # fmt: skip


# ------------------------------------------------------------------------------------ for windows


class Sounds(QObject):
    """The decoded sound of a project's sources."""

    ready = Signal(str)
    """Id of a source whose sound can be heard and seen now."""
    failed = Signal(str, object)
    """Id of a source, and the `EngineError` that says why it is silent."""
    _done = Signal(str, object)

    def __init__(self, *, root: Path | None = None, parent: QObject | None = None) -> None:
        """Decode nothing yet.

        Args:
            root: folder of decoded sound; None: the desktop's cache.
            parent: owner in Qt.
        """
        super().__init__(parent)
        self._root = root or cache_folder("sound")
        self._process = SideProcess(background=True)
        self._samples: dict[str, Pcm] = {}
        self._waves: dict[str, Wave] = {}
        self._asked: set[str] = set()
        self._lock = threading.Lock()
        self._sources: dict[str, Source] = {}
        self._used: set[Path] = set()
        self._done.connect(self._take)

    def file(self, source: Source) -> Path:
        """Return where the decoded sound of a source is, or is to be, kept."""
        return sound_file(source, self._root)

    def want(self, source: Source) -> None:
        """Have a source's sound ready, decoded first where it has to be."""
        if not source.sound or source.id in self._asked:
            return
        self._asked.add(source.id)
        self._sources[source.id] = source
        file = self.file(source)
        if file.is_file() and file.with_suffix(".npz").is_file():
            self._take(source.id, None)
            return
        name = source.id
        self._process.call(
            decode, source.path, str(file), done=lambda result: self._done.emit(name, result)
        )

    def want_all(self, project: Project) -> None:
        """Have all sound of a project ready."""
        for source in project.sources:
            self.want(source)

    def wave(self, source: Source) -> Wave | None:
        """Return what the timeline draws of a sound, once it is there."""
        return self._waves.get(source.id)

    @property
    def samples(self) -> Mapping[str, Pcm]:
        """Decoded sound by source; may be used on any thread."""
        return self._samples

    def forget(self, name: str) -> None:
        """Look at a source again: it was found in another place."""
        self._asked.discard(name)

    def close(self) -> None:
        """Decode no more."""
        self._process.close()

    def _take(self, name: str, result: object) -> None:
        if isinstance(result, EngineError):
            self.failed.emit(name, result)
            return
        file = self.file(self._sources[name])
        try:
            self._waves[name] = read_wave(file.with_suffix(".npz"))
            file.touch()  # it was used today
            self._used |= {file, file.with_suffix(".npz")}
            with self._lock:
                self._samples = {**self._samples, name: samples_of(file)}
        except (OSError, ValueError, KeyError) as error:
            self.failed.emit(name, MotionError(f"{file} cannot be read: {error}"))
            return
        keep_small(self._root, _CACHE_BYTES, self._used)
        self.ready.emit(name)
