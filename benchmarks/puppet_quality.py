"""How well the built-in puppet follows poses and keeps characters, on clips it never saw.

    python benchmarks/puppet_quality.py [--clips 200] [--frames 12] [--size 128x192] [--json FILE]

Each clip is drawn as in training, from seeds that training leaves out: a character, a reference
picture, a dance. The real sampling code renders the dance from its pose maps, and the result is
held against the true drawing of the same figure:

* PSNR over all frames;
* the lag at which the motion fits best: motion is what a clip's frames differ in from their mean
  over time; that of the rendered frames is correlated with that of true frames up to three earlier
  or later. A model that follows the poses is best at lag 0. A clip whose true motion correlates
  with itself one frame later by more than 0.98 cannot tell (somebody stands still): it is marked
  with ~ and left out of ``lag_0_share``, but counted in ``lag_0_share_all``;
* limb error: how far each limb of the rendered figure is from where it should be, found by
  searching the neighbourhood for the place that correlates best with the true limb's patch. It
  stands between two others: the floor, of the true picture after autoencoding alone, and chance,
  of the same figure in the pose of another moment of the clip, half the clip away;
* colour error: mean difference of the colour around body joints, of 255, by part of the body;
* detail: mean difference of pixels side by side, as a part of the truth's: 1 is as crisp as drawn;
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
from numpy.typing import NDArray
from seams import Seams

from marionext import presets
from marionext.backends import svd
from marionext.posemap import SmallDrawer
from marionext.settings import SvdSettings
from marionext.training.figures.clips import HELD_OUT, Clip, make_clip

LAGS = range(-3, 4)
STILL = 0.98
SEARCH = 16
"""How far a limb is searched for, in pixels of a picture 192 high: a twelfth of the height."""
PATCH = 8
"""Half the side of the patch around a joint, likewise."""
PARTS = {"head": (0,), "trunk": (1, 2, 5, 8, 11), "arms": (3, 4, 6, 7), "legs": (9, 10, 12, 13)}
"""Joints where colours are compared."""
JOINTS = (0, 3, 4, 6, 7, 9, 10, 12, 13)
"""Head, elbows, wrists, knees and ankles: where a wrong pose shows."""

FIRST_SEED = HELD_OUT + 1000
"""Neither trained on nor watched in training."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one clip measured."""

    seed: int
    psnr: float
    lag: int
    moves: bool
    """Whether the true motion can tell one lag from another."""
    limb_error: float
    """Pixels, as are the next two."""
    limb_floor: float
    limb_chance: float
    colours: dict[str, float]
    """Of each part of the body, of 255; a part that is never in the picture is left out."""
    detail: float
    """Rendered over true."""
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


def motion_at(frames: NDArray[np.uint8], lag: int) -> NDArray[np.float32]:
    """Return how the inner frames, ``lag`` frames later, differ from their mean over time."""
    margin = max(LAGS)
    part = frames[margin + lag : len(frames) - margin + lag].astype(np.float32)
    return part - part.mean(axis=0)


def correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """Return how alike two motions are, -1 to 1; 0 where one of them stands still."""
    size = float(np.sqrt(np.square(one).sum() * np.square(two).sum()))
    return float((one * two).sum()) / size if size else 0.0


def best_lag(made: NDArray[np.uint8], truth: NDArray[np.uint8]) -> int:
    """Return the shift of the true motion that fits the rendered one best."""
    inner = motion_at(made, 0)
    alike = {lag: correlation(inner, motion_at(truth, lag)) for lag in LAGS}
    return max(alike, key=lambda lag: (alike[lag], -abs(lag)))


def tells_lags(truth: NDArray[np.uint8]) -> bool:
    """Tell whether a shift by one frame shows in the true motion at all."""
    return correlation(motion_at(truth, 0), motion_at(truth, 1)) < STILL


def limb_errors(made: NDArray[np.uint8], clip: Clip) -> list[float]:
    """Return how far each visible joint's surroundings are from their place, in pixels."""
    width, height = clip.size
    search, half = (round(value * height / 192) for value in (SEARCH, PATCH))
    rows, columns = np.mgrid[-search : search + 1, -search : search + 1]
    distance = np.hypot(rows, columns)
    errors = []
    truth = clip.frames[1:]
    for index in range(len(made)):
        for joint in JOINTS:
            x, y = (round(float(value)) for value in clip.points[index + 1, 0, joint])
            reach = half + search
            if not (half <= x < width - half and half <= y < height - half):
                continue
            patch = truth[index, y - half : y + half + 1, x - half : x + half + 1]
            if patch.std(axis=(0, 1)).max() < 12:
                continue  # nothing to see there: hidden before a body of one colour
            # What lies beyond the picture's edge matches nothing.
            wide = cv2.copyMakeBorder(made[index], *(search,) * 4, cv2.BORDER_REPLICATE)
            left, top = x + search - reach, y + search - reach
            around = wide[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
            alike = cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED)
            # Among equally good places the nearest counts.
            errors.append(float(distance[alike >= alike.max() - 0.01].min()))
    return errors


def colour_errors(made: NDArray[np.uint8], clip: Clip) -> dict[str, float]:
    """Return the mean difference of colours close to the joints of each part, of 255."""
    width, height = clip.size
    found: dict[str, float] = {}
    for part, joints in PARTS.items():
        differences = []
        for index in range(len(made)):
            for x, y in clip.points[index + 1, 0, list(joints)]:
                if 2 <= x < width - 2 and 2 <= y < height - 2:
                    box = np.s_[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
                    pair = (made[index][box], clip.frames[index + 1][box])
                    one, two = (pixels.reshape(-1, 3).mean(axis=0) for pixels in pair)
                    differences.append(float(np.abs(one - two).mean()))
        if differences:
            found[part] = float(np.mean(differences))
    return found


def detail(frames: NDArray[np.uint8]) -> float:
    """Return how much neighbours in a row of pixels differ on the mean, of 255."""
    return float(np.abs(np.diff(frames.astype(np.float32), axis=2)).mean())


def autoencoded(
    models: svd.Models, pictures: NDArray[np.uint8], settings: SvdSettings
) -> NDArray[np.uint8]:
    """Return pictures (n, h, w, 3) as the autoencoder alone keeps them."""
    inputs = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = models.vae.encode(inputs).latent_dist.mode() * models.vae.config.scaling_factor
    slot = torch.zeros_like(latents[:1])
    return np.stack(list(svd.decode(models, torch.cat([slot, latents]), settings)))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def measure(
    models: svd.Models, seed: int, frames: int, settings: SvdSettings
) -> tuple[Score, Seams, NDArray[np.uint8]]:
    """Render one clip and compare it with the truth; also return both, one above the other."""
    clip = make_clip(seed, frames, settings.size)
    began = time.perf_counter()
    made = render(models, clip, settings)
    seconds = (time.perf_counter() - began) / frames
    truth = clip.frames[1:]
    error = np.square(made.astype(np.float64) - truth).mean()
    # One frame is enough for the floor: it is the same everywhere.
    first = replace(clip, frames=clip.frames[:2], points=clip.points[:2])
    score = Score(
        seed=seed,
        psnr=float(10 * np.log10(255**2 / error)),
        lag=best_lag(made, truth),
        moves=tells_lags(truth),
        limb_error=_mean(limb_errors(made, clip)),
        limb_floor=_mean(limb_errors(autoencoded(models, truth[:1], settings), first)),
        limb_chance=_mean(limb_errors(np.roll(truth, frames // 2, axis=0), clip)),
        colours=colour_errors(made, clip),
        detail=detail(made) / detail(truth),
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
        score, own, picture = measure(models, seed, frames, settings)
        scores.append(score)
        seams.extend(own)
        print(
            f"{score.seed:<12} {score.psnr:7.2f} {score.lag:8d}{' ' if score.moves else '~'} "
            f"{score.limb_error:9.2f} ({score.limb_floor:.2f} .. {score.limb_chance:.2f}) "
            f"{_mean(list(score.colours.values())):9.1f} {score.seconds:8.2f}",
            flush=True,
        )
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(pictures / f"{score.seed}.png"), picture[..., ::-1])
    return scores, seams


def summary(scores: list[Score], seams: Seams, height: int) -> dict[str, float]:
    """Return the means over all clips, by name."""
    limbs, floor, chance = (
        float(np.nanmean([getattr(score, name) for score in scores]))
        for name in ("limb_error", "limb_floor", "limb_chance")
    )
    colours = {
        f"colour_{part}": float(
            np.mean([score.colours[part] for score in scores if part in score.colours])
        )
        for part in PARTS
    }
    return {
        "psnr_db": float(np.mean([score.psnr for score in scores])),
        "lag_0_share": float(np.mean([score.lag == 0 for score in scores if score.moves])),
        "lag_0_share_all": float(np.mean([score.lag == 0 for score in scores])),
        "clips_that_move": sum(score.moves for score in scores),
        "limb_error_px": limbs,
        "limb_error_of_height": limbs / height,
        "limb_floor_of_height": floor / height,
        "limb_chance_of_height": chance / height,
        **colours,
        "detail": float(np.mean([score.detail for score in scores])),
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
