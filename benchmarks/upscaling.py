"""Ways to make pictures twice as large, held against the pictures they were made small from.

::

    python benchmarks/upscaling.py [--with NAME ...] [--figures 24] [--photographs DIR]
                                   [--json FILE] [--sheet DIR]

Each picture is made half as large by averaging with antialiasing (Pillow's bicubic, which widens
with the reduction, as in the literature), then larger again. Pictures are drawn figures that no
training has seen, at 512x768, and photographs: every picture in a folder, and of each video in it
some frames, cut to whole even sizes, larger ones than 1024 reduced first.

* PSNR in dB over all pixels and colours; the mean over the pictures.
* SSIM: structural similarity (Wang et al. 2004) of the luma, Gaussian window of 1.5 pixels.
* detail: mean difference of pixels side by side, as a part of the truth's, as in the other
  benchmarks. More than 1 is ringing or invented texture; a blurred edge alone does not lower it.
* sharp: the same of the root of the mean square, which a blurred edge does lower.
* edges: PSNR where the truth is busy, the tenth of its pixels with the strongest gradients: flat
  background does not count.
* seconds: of a picture, the median, after a first one that is not counted.

A GAN such as Real-ESRGAN is made to look crisp, not to come nearest to the truth: both columns are
worth a look.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from marionext.backends.upscaling import Upscaler, open_upscaler, recognise
from marionext.errors import EngineError
from marionext.footage import probe, read_frames
from marionext.jobs import EngineSettings
from marionext.training.figures.clips import HELD_OUT, make_clip

Picture = NDArray[np.uint8]

BY = 2
SIZE = (512, 768)
LARGEST = 1024
FRAMES = 4
"""Of each video."""
STILLS = {".jpeg", ".jpg", ".png", ".webp"}
VIDEOS = {".mkv", ".mov", ".mp4", ".webm"}
METHODS = ("bicubic", "lanczos", "realesrgan", "upscaler")


@dataclass(frozen=True, slots=True)
class Score:
    """What one way made of one set of pictures."""

    method: str
    pictures: str
    count: int
    psnr: float
    ssim: float
    edges: float
    detail: float
    sharp: float
    seconds: float


def main() -> int:
    """Measure; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure ways to make pictures larger.")
    parser.add_argument("--with", dest="methods", nargs="+", default=METHODS)
    parser.add_argument("--photographs", type=Path, help="a folder of pictures and videos")
    parser.add_argument("--figures", type=int, default=24)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="folder for strips to look at")
    options = parser.parse_args()
    sets = {"figures": list(figures(options.figures))}
    if options.photographs is not None:
        sets["photographs"] = list(photographs(options.photographs))
    scores: list[Score] = []
    made: dict[str, dict[str, list[Picture]]] = {name: {} for name in sets}
    for method in options.methods:
        try:
            upscaler = open_upscaler(
                recognise(method, BY), EngineSettings(device=options.device), print
            )
        except EngineError as error:
            print(f"{method} is left out: {error}", file=sys.stderr)
            continue
        for name, pictures in sets.items():
            score, results = measure(method, name, pictures, upscaler)
            scores.append(score)
            made[name][method] = results
    print(table(scores))
    if options.json is not None:
        rows = [asdict(score) for score in scores]
        options.json.write_text(json.dumps({"scores": rows}, indent=1), encoding="utf-8")
    if options.sheet is not None:
        for name, pictures in sets.items():
            sheets(options.sheet / name, pictures, made[name])
    return 0


def figures(count: int) -> Iterator[Picture]:
    """Draw figures that no training has seen."""
    for number in range(count):
        clip = make_clip(HELD_OUT + 2000 + number, 1, SIZE)
        yield np.asarray(clip.frames[1])


def photographs(folder: Path) -> Iterator[Picture]:
    """Read the pictures of a folder, and some frames of its videos."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in STILLS:
            with Image.open(path) as opened:
                yield whole(ImageOps.exif_transpose(opened).convert("RGB"))
        elif path.suffix.lower() in VIDEOS:
            count = probe(path).source_frames
            wanted = {count * (2 * place + 1) // (2 * FRAMES) for place in range(FRAMES)}
            for frame in read_frames(path):
                if frame.index in wanted:
                    yield whole(Image.fromarray(frame.picture))


def whole(picture: Image.Image) -> Picture:
    """Bring a picture to sides that are even, and no longer than what takes a moment."""
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    width, height = (side - side % BY for side in picture.size)
    return np.asarray(picture.crop((0, 0, width, height)))


def smaller(picture: Picture) -> Picture:
    """Return a picture half as large."""
    size = (picture.shape[1] // BY, picture.shape[0] // BY)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def measure(
    method: str, name: str, pictures: list[Picture], upscaler: Upscaler
) -> tuple[Score, list[Picture]]:
    """Make pictures small and large again, and compare them."""
    results, seconds = [], []
    upscaler.enlarge(smaller(pictures[0]), unheard)
    for picture in pictures:
        small = smaller(picture)
        started = time.perf_counter()
        results.append(upscaler.enlarge(small, unheard))
        seconds.append(time.perf_counter() - started)
    pairs = list(zip(pictures, results, strict=True))
    score = Score(
        method=method,
        pictures=name,
        count=len(pictures),
        psnr=statistics.fmean(psnr(*pair) for pair in pairs),
        ssim=statistics.fmean(ssim(luma(true), luma(made)) for true, made in pairs),
        edges=statistics.fmean(psnr(*pair, busy(pair[0])) for pair in pairs),
        detail=_part(lambda picture: steps(picture).mean(), pairs),
        sharp=_part(lambda picture: np.sqrt((steps(picture) ** 2).mean()), pairs),
        seconds=statistics.median(seconds),
    )
    return score, results


def unheard(_done: int, _total: int) -> None:
    """Nobody wants to know how far a picture is."""


def luma(picture: Picture) -> NDArray[np.float64]:
    """Return the brightness, (h, w), 0 to 255."""
    return np.asarray(picture @ np.array([0.299, 0.587, 0.114]), np.float64)


def psnr(true: Picture, made: Picture, where: NDArray[np.bool_] | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB."""
    squares = (true.astype(np.float64) - made) ** 2
    mean = (squares if where is None else squares[where]).mean()
    return float(10 * np.log10(255**2 / max(mean, 1e-9)))


def busy(true: Picture) -> NDArray[np.bool_]:
    """Return where a picture has its strongest tenth of gradients."""
    grey = luma(true).astype(np.float32)
    steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return np.asarray(steep >= np.quantile(steep, 0.9))


def ssim(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Return the structural similarity of two grey pictures (Wang et al. 2004, equation 13)."""

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))[5:-5, 5:-5]

    mean_1, mean_2 = blurred(one), blurred(two)
    spread_1, spread_2 = blurred(one**2) - mean_1**2, blurred(two**2) - mean_2**2
    shared = blurred(one * two) - mean_1 * mean_2
    c_1, c_2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_1 * mean_2 + c_1) * (2 * shared + c_2)
    return float((likeness / ((mean_1**2 + mean_2**2 + c_1) * (spread_1 + spread_2 + c_2))).mean())


def steps(picture: Picture) -> NDArray[np.float64]:
    """Return the differences of pixels side by side and one above the other, of 255."""
    values = picture.astype(np.float64)
    return np.concatenate([abs(np.diff(values, axis=axis)).ravel() for axis in (0, 1)])


def _part(figure: Callable[[Picture], float], pairs: list[tuple[Picture, Picture]]) -> float:
    """Return a figure of what was made as a part of the truth's."""
    return sum(figure(made) for _, made in pairs) / sum(figure(true) for true, _ in pairs)


def sheets(folder: Path, pictures: list[Picture], made: dict[str, list[Picture]]) -> None:
    """Write strips: the truth, then what each way made of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        strip = np.concatenate([picture, *(results[number] for results in made.values())], axis=1)
        Image.fromarray(strip).save(folder / f"{number:03d}.png")


def table(scores: list[Score]) -> str:
    """Return the scores as text."""
    columns = ("PSNR", "edges", "SSIM", "detail", "sharp")
    lines = [f"{'':25} {' '.join(f'{name:>7}' for name in columns)} {'seconds':>8}"]
    lines += [
        f"{score.pictures:12} {score.method[-12:]:12} {score.psnr:7.2f} {score.edges:7.2f} "
        f"{score.ssim:7.4f} {score.detail:7.3f} {score.sharp:7.3f} {score.seconds:8.3f}"
        for score in sorted(scores, key=lambda score: score.pictures)
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
