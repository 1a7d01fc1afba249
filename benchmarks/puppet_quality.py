"""How well the built-in puppet follows poses and keeps characters, on clips it never saw.

    python benchmarks/puppet_quality.py [--clips 200] [--frames 12] [--size 128x192] [--json FILE]

Each clip is drawn as in training, from seeds that training leaves out: a character, a reference
picture, a dance. The real sampling code renders the dance from its pose maps, and the result is
held against the true drawing of the same figure:

* PSNR, lag, limb error, colour error, detail, flicker: see ``clip_measures.py``. A clip that cannot
  tell its lag is marked with ~. The limb error stands between two others: the floor, of the true
  picture after autoencoding alone, and chance, of the same figure in the pose of another moment of
  the clip, half the clip away;
* seams: see ``seams.py``.
"""

import argparse
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from clip_measures import FIRST_SEED, Measures, limb_errors, mean, measure
from clip_measures import summary as clip_summary
from numpy.typing import NDArray
from seams import Seams

from marionext import presets
from marionext.backends import svd
from marionext.posemap import SmallDrawer
from marionext.settings import SvdSettings
from marionext.training.figures.clips import Clip, make_clip


@dataclass(frozen=True, slots=True)
class Score:
    """What one clip measured."""

    seed: int
    measures: Measures
    limb_floor: float
    """Pixels, as is chance."""
    limb_chance: float
    seconds: float
    """Time of rendering, per frame."""


def render(models: svd.Models, clip: Clip, settings: SvdSettings) -> NDArray[np.uint8]:
    """Render a clip's dance: (frames, h, w, 3), without the reference."""
    drawer = SmallDrawer(clip.size)
    frames = len(clip.frames) - 1

    def pose_map(frame: int) -> NDArray[np.uint8]:
        return drawer.draw(clip.points[frame], clip.scores[frame], clip.size)

    latents = svd.denoise(models, clip.frames[0], pose_map, frames, settings)
    return np.stack(list(svd.decode(models, latents, settings)))


def autoencoded(
    models: svd.Models, pictures: NDArray[np.uint8], settings: SvdSettings
) -> NDArray[np.uint8]:
    """Return pictures (n, h, w, 3) as the autoencoder alone keeps them."""
    inputs = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = models.vae.encode(inputs).latent_dist.mode() * models.vae.config.scaling_factor
    slot = torch.zeros_like(latents[:1])
    return np.stack(list(svd.decode(models, torch.cat([slot, latents]), settings)))


def measure_clip(
    models: svd.Models, seed: int, frames: int, settings: SvdSettings
) -> tuple[Score, Seams, NDArray[np.uint8]]:
    """Render one clip and compare it with the truth; also return both, one above the other."""
    clip = make_clip(seed, frames, settings.size)
    began = time.perf_counter()
    made = render(models, clip, settings)
    seconds = (time.perf_counter() - began) / frames
    truth = clip.frames[1:]
    # One frame is enough for the floor: it is the same everywhere.
    first = replace(clip, frames=clip.frames[:2], points=clip.points[:2])
    score = Score(
        seed=seed,
        measures=measure(made, clip),
        limb_floor=mean(limb_errors(autoencoded(models, truth[:1], settings), first)),
        limb_chance=mean(limb_errors(np.roll(truth, frames // 2, axis=0), clip)),
        seconds=seconds,
    )
    seams = Seams()
    seams.add(made, truth, settings.window, settings.overlap)
    rows = [np.hstack([clip.frames[0], *truth]), np.hstack([clip.frames[0] * 0, *made])]
    return score, seams, np.vstack(rows)


def measure_some(
    bundle: Path,
    seeds: list[int],
    frames: int,
    settings: SvdSettings,
    last_level: float | None,
    pictures: Path | None,
) -> tuple[list[Score], Seams]:
    """Measure some clips on one core, with a line for each."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    models = svd.load_models(bundle)
    if last_level is not None:
        models.scheduler["sigma_min"] = last_level
    scores, seams = [], Seams()
    for seed in seeds:
        score, own, picture = measure_clip(models, seed, frames, settings)
        scores.append(score)
        got = score.measures
        seams.extend(own)
        print(
            f"{score.seed:<12} {got.psnr:7.2f} {got.lag:8d}{' ' if got.moves else '~'} "
            f"{got.limb_error:9.2f} ({score.limb_floor:.2f} .. {score.limb_chance:.2f}) "
            f"{mean(list(got.colours.values())):9.1f} {score.seconds:8.2f}",
            flush=True,
        )
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(pictures / f"{score.seed}.png"), picture[..., ::-1])
    return scores, seams


def summary(scores: list[Score], seams: Seams, height: int) -> dict[str, float]:
    """Return the means over all clips, by name."""
    floor, chance = (
        float(np.nanmean([getattr(score, name) for score in scores]))
        for name in ("limb_floor", "limb_chance")
    )
    return {
        **clip_summary([score.measures for score in scores], height),
        "limb_floor_of_height": floor / height,
        "limb_chance_of_height": chance / height,
        "seam_seen": seams.seen,
        "seam_error": seams.error,
        "seconds_per_frame": float(np.median([score.seconds for score in scores])),
    }


def main() -> int:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description="Measure the puppet on clips it never saw.")
    parser.add_argument("--bundle", type=Path, default=presets.folder("puppet"))
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--last-level", type=float, help="sigma before 0 (default: the bundle's)")
    parser.add_argument("--size", default="128x192", help="width and height")
    parser.add_argument("--blend", choices=("crossfade", "uniform", "shifted"), default="shifted")
    parser.add_argument("--processes", type=int, default=2, help="clips measured at a time")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--pictures", type=Path, help="write comparisons to this folder")
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    settings = SvdSettings(
        width=width,
        height=height,
        steps=options.steps,
        blend=options.blend,
        window=8,
        overlap=2,
        guidance_min=1.0,
        guidance_max=1.0,
        decode_chunk=1,
    )
    seeds = [FIRST_SEED + number for number in range(options.clips)]
    count = options.processes
    print("seed         PSNR dB  best lag  limbs px (floor .. chance)  colour  s/frame")
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = [
            pool.submit(
                measure_some,
                options.bundle,
                seeds[number::count],
                options.frames,
                settings,
                options.last_level,
                options.pictures,
            )
            for number in range(count)
        ]
        results = [part.result() for part in parts]
    scores = sorted((score for some, _ in results for score in some), key=lambda each: each.seed)
    seams = Seams()
    for _, own in results:
        seams.extend(own)
    means = summary(scores, seams, height)
    print("mean", {name: round(value, 4) for name, value in means.items()})
    if options.json:
        content = {
            "command": " ".join(["python", "benchmarks/puppet_quality.py", *sys.argv[1:]]),
            "steps": options.steps,
            "frames": options.frames,
            "means": means,
            "clips": [asdict(score) for score in scores],
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
