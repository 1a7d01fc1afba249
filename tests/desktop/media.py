"""Videos and sounds whose every frame and second can be told from what is seen and heard."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

BITS = 16
_CELL = 16


def numbered(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture that shows a number in bright and dark blocks.

    Returns:
        (height * 3 / 2, width), YUV 4:2:0 as PyAV has it: quick to make, and to encode.
    """
    width, height = size
    picture = np.full((height * 3 // 2, width), 128, np.uint8)
    picture[: height // 2] = 60 + number * 7 % 120
    picture[height // 2 : height] = 60
    for bit in range(BITS):
        value = 235 if number >> bit & 1 else 16
        picture[height - _CELL : height, bit * _CELL : (bit + 1) * _CELL] = value
    return picture


def number_of(picture: NDArray[np.uint8], size: tuple[int, int]) -> int:
    """Read the number that a picture shows, at whatever size it was brought to."""
    scale = picture.shape[0] / size[1]
    row = int(picture.shape[0] - _CELL * scale / 2)
    cells = [picture[row, int((bit + 0.5) * _CELL * scale), 1] for bit in range(BITS)]
    return sum(1 << bit for bit, value in enumerate(cells) if value > 128)


def write_video(
    path: Path,
    frames: int,
    *,
    size: tuple[int, int] = (320, 240),
    rate: str = "30",
    group: int = 250,
    tone: float | None = None,
) -> Path:
    """Write numbered frames, a key frame every ``group``; with a tone of that many hertz."""
    shown = (
        av.VideoFrame.from_ndarray(numbered(number, size), format="yuv420p")
        for number in range(frames)
    )
    options = {"preset": "ultrafast", "g": str(group), "bf": "2", "crf": "20"}
    return _write(path, shown, frames, size, rate, options, tone)


def write_dancer(path: Path, frames: int, *, rate: str = "24", tone: float = 440.0) -> Path:
    """Write a drawn figure that dances, as the detector finds it; with a tone."""
    from marionext.training.figures.clips import make_clip

    size = (288, 512)
    clip = make_clip(5, frames, size, moving_viewpoint=0.0)
    shown = (
        av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        for picture in clip.frames[1:]
    )
    return _write(path, shown, frames, size, rate, {"preset": "veryfast", "crf": "18"}, tone)


def _write(
    path: Path,
    shown: Iterable[av.VideoFrame],
    frames: int,
    size: tuple[int, int],
    rate: str,
    options: dict[str, str],
    tone: float | None,
) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = options
        sound = file.add_stream("aac", rate=48_000, layout="mono") if tone is not None else None
        for frame in shown:
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if sound is not None:
            samples = round(frames / Fraction(rate) * 48_000)
            wave = np.sin(2 * np.pi * (tone or 0) * np.arange(samples) / 48_000) * 0.5
            for at in range(0, samples, 1024):
                block = wave[at : at + 1024].astype(np.float32)[None]
                heard = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                heard.sample_rate, heard.pts = 48_000, at
                file.mux(sound.encode(heard))
            file.mux(sound.encode(None))
    return path


def write_clicks(path: Path, seconds: float, *, bpm: float = 120.0) -> Path:
    """Write a sound with a click on every beat, the first at half a beat."""
    rate = 44_100
    wave = np.random.default_rng(2).normal(0, 0.003, int(seconds * rate))
    beat = 60 / bpm
    at = beat / 2
    while at < seconds - 0.1:
        start = int(at * rate)
        ring = np.exp(-np.arange(2000) / 250) * np.sin(np.arange(2000) * 0.2)
        wave[start : start + 2000] += 0.8 * ring
        at += beat
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=rate, layout="mono")
        block = (np.clip(wave, -1, 1) * 32_000).astype(np.int16)[None]
        heard = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        heard.sample_rate, heard.pts = rate, 0
        file.mux(stream.encode(heard))
        file.mux(stream.encode(None))
    return path
