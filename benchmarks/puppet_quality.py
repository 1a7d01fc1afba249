"""How well the built-in puppet follows poses and keeps characters, on clips it never saw.

    python benchmarks/puppet_quality.py [--clips 20] [--frames 16] [--steps 6] [--json FILE]

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
  searching the neighbourhood for the place where the true limb's patch fits best, in pixels;
* colour error: mean difference of the colour around each body joint, of 255.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext import diffusion, presets
from marionext.jobs import RenderSettings
from marionext.posemap import SmallDrawer
from marionext.training.clips import HELD_OUT
from marionext.training.figures import Clip, make_clip

LAGS = range(-3, 4)
STILL = 0.98
SEARCH = 8
"""How far a limb is searched for, in pixels."""
PATCH = 6
"""Half the side of the patch around a joint, in pixels."""
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
    colour_error: float
    seconds: float
    """Time of rendering, per frame."""


def render(models: diffusion.Models, clip: Clip, settings: RenderSettings) -> NDArray[np.uint8]:
    """Render a clip's dance: (frames, h, w, 3), without the reference."""
    drawer = SmallDrawer(clip.size)
    frames = len(clip.frames) - 1

    def pose_map(frame: int) -> NDArray[np.uint8]:
        return drawer.draw(clip.points[frame], clip.scores[frame], clip.size)

    latents = diffusion.denoise(models, clip.frames[0], pose_map, frames, settings)
    return np.stack(list(diffusion.decode(models, latents, settings)))


def motion_at(frames: NDArray[np.uint8], lag: int) -> NDArray[np.float32]:
    """Return what the inner frames, so much later, differ in from their mean over time."""
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
    errors = []
    truth = clip.frames[1:]
    for index in range(len(made)):
        for joint in JOINTS:
            x, y = (round(float(value)) for value in clip.points[index + 1, 0, joint])
            reach = PATCH + SEARCH
            if not (reach <= x < width - reach and reach <= y < height - reach):
                continue
            patch = truth[index, y - PATCH : y + PATCH + 1, x - PATCH : x + PATCH + 1]
            if patch.std(axis=(0, 1)).max() < 12:
                continue  # nothing to see there: hidden before a body of one colour
            around = made[index, y - reach : y + reach + 1, x - reach : x + reach + 1]
            difference = cv2.matchTemplate(around, patch, cv2.TM_SQDIFF)
            # Among equally good places the nearest counts.
            rows, columns = np.mgrid[-SEARCH : SEARCH + 1, -SEARCH : SEARCH + 1]
            distance = np.hypot(rows, columns)
            near = difference <= difference.min() * 1.02 + 1
            errors.append(float(distance[near].min()))
    return errors


def colour_error(made: NDArray[np.uint8], clip: Clip) -> float:
    """Return the mean difference of colours close to the body joints, of 255."""
    width, height = clip.size
    differences = []
    for index in range(len(made)):
        for x, y in clip.points[index + 1, 0, :14]:
            if 2 <= x < width - 2 and 2 <= y < height - 2:
                box = np.s_[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
                pair = (made[index][box], clip.frames[index + 1][box])
                one, two = (part.reshape(-1, 3).mean(axis=0) for part in pair)
                differences.append(float(np.abs(one - two).mean()))
    return float(np.mean(differences))


def measure(
    models: diffusion.Models, seed: int, frames: int, settings: RenderSettings
) -> tuple[Score, NDArray[np.uint8]]:
    """Render one clip and compare it with the truth; also return both, one above the other."""
    clip = make_clip(seed, frames, settings.size)
    began = time.perf_counter()
    made = render(models, clip, settings)
    seconds = (time.perf_counter() - began) / frames
    truth = clip.frames[1:]
    error = np.square(made.astype(np.float64) - truth).mean()
    limbs = limb_errors(made, clip)
    score = Score(
        seed=seed,
        psnr=float(10 * np.log10(255**2 / error)),
        lag=best_lag(made, truth),
        moves=tells_lags(truth),
        limb_error=float(np.mean(limbs)) if limbs else float("nan"),
        colour_error=colour_error(made, clip),
        seconds=seconds,
    )
    rows = [np.hstack([clip.frames[0], *truth]), np.hstack([clip.frames[0] * 0, *made])]
    return score, np.vstack(rows)


def main() -> int:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description="Measure the puppet on clips it never saw.")
    parser.add_argument("--bundle", type=Path, default=presets.folder("puppet"))
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--pictures", type=Path, help="write comparisons to this folder")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    settings = RenderSettings(
        width=128,
        height=192,
        steps=options.steps,
        window=8,
        overlap=2,
        guidance_min=1.0,
        guidance_max=1.0,
        decode_chunk=1,
    )
    models = diffusion.load_models(options.bundle)
    scores = []
    print("seed         PSNR dB  best lag  limbs px  colour /255  s/frame")
    for number in range(options.clips):
        score, picture = measure(models, FIRST_SEED + number, options.frames, settings)
        scores.append(score)
        print(
            f"{score.seed:<12} {score.psnr:7.2f} {score.lag:8d}{' ' if score.moves else '~'} "
            f"{score.limb_error:9.2f} "
            f"{score.colour_error:12.1f} {score.seconds:8.2f}",
            flush=True,
        )
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(options.pictures / f"{score.seed}.png"), picture[..., ::-1])
    means = {
        "psnr_db": float(np.mean([score.psnr for score in scores])),
        "lag_0_share": float(np.mean([score.lag == 0 for score in scores if score.moves])),
        "lag_0_share_all": float(np.mean([score.lag == 0 for score in scores])),
        "clips_that_move": sum(score.moves for score in scores),
        "limb_error_px": float(np.nanmean([score.limb_error for score in scores])),
        "limb_error_of_height": float(
            np.nanmean([score.limb_error for score in scores]) / settings.height
        ),
        "colour_error": float(np.mean([score.colour_error for score in scores])),
        "seconds_per_frame": float(np.median([score.seconds for score in scores])),
    }
    print("mean", {name: round(value, 3) for name, value in means.items()})
    if options.json:
        clips = [{name: getattr(score, name) for name in Score.__slots__} for score in scores]
        content = {"steps": options.steps, "frames": options.frames, "means": means, "clips": clips}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
