"""How well the doll follows poses and keeps characters, on clips nothing was trained on.

    python benchmarks/doll_quality.py [--clips 200] [--puppet] [--sheet FILE] [--json FILE]

The clips of ``puppet_quality.py``, and the measures of ``clip_measures.py``. A row of the table is
one way of making the frames: the reference picture unmoved, the puppet (``--puppet``: slow) and its
kin (``puppet_ways.py``), the doll's warp alone, the warp refined (where there are weights). The
sheet shows the clips that the best way does worst, middling and best: the reference, then for some
moments truth and each way.

    python benchmarks/doll_quality.py --photos PICTURE ... --dance VIDEO [--size 256x384]

measures pictures for which there is no truth: see ``photographs.py``.
"""

import argparse
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from clip_measures import FIRST_SEED, Measures, mean, measure, summary
from numpy.typing import NDArray

from marionext import presets
from marionext.doll import DollDrawer, make_doll
from marionext.files import write_bytes, write_text
from marionext.training.figures.clips import Clip, make_clip

if TYPE_CHECKING:
    from marionext.backends.doll.refiner import Refiner

Frames = NDArray[np.uint8]

MOMENTS = 4
"""How many frames of a clip the sheet shows."""
LIMITS = {"psnr_db": 26.5, "face_db": 20, "hands_db": 22, "detail": 0.85, "lag_0_share": 0.995}
"""What a row should reach at least ..."""
CEILINGS = {"limb_error_of_height": 0.008, "flicker": 1.1}
"""... and at most."""


@dataclass(frozen=True, slots=True)
class Made:
    """A clip made in one way."""

    frames: Frames
    """(frames, h, w, 3), without the reference."""
    seconds: float
    """Time of the processor for a frame, without preparations: others' work does not count."""
    preparation: float
    """Seconds once per character, likewise."""


Way = Callable[[Clip], Made]


def unmoved(clip: Clip) -> Made:
    """Show the reference all the time: what a blind renderer would reach."""
    return Made(np.repeat(clip.frames[:1], len(clip.frames) - 1, axis=0), 0.0, 0.0)


def warped(clip: Clip) -> Made:
    """Draw the doll of the reference in each pose."""
    return dolled(clip, None)


def dolled(clip: Clip, refiner: "Refiner | None") -> Made:
    """Draw the doll of the reference in each pose, and mend it if there is a refiner."""
    began = time.process_time()
    doll = make_doll(clip.frames[0], clip.points[0, 0], clip.scores[0, 0])
    drawer = DollDrawer([doll], clip.size)
    ready = time.process_time()
    background = drawer.draw(clip.points[0, :0], clip.scores[0, :0]).picture
    orders = drawer.plan(clip.points[1:], clip.scores[1:])
    frames = []
    for points, scores, order in zip(clip.points[1:], clip.scores[1:], orders, strict=True):
        drawn = drawer.draw(points, scores, orders=order)
        if refiner is None:
            frames.append(drawn.picture)
        else:
            frames.append(refiner.refine(drawn, points, scores, background))
    return Made(np.stack(frames), (time.process_time() - ready) / len(frames), ready - began)


def refined_way(weights: Path, size: tuple[int, int]) -> Way:
    """Load the refiner; return how it mends a clip."""
    import torch  # noqa: PLC0415 - the warp alone needs none

    from marionext.backends.doll.refiner import Refiner  # noqa: PLC0415

    torch.set_num_threads(1)
    return partial(dolled, refiner=Refiner.load(weights, size))


def puppet_ways(plan: "Plan") -> dict[str, Way]:
    """Load what of the puppet is asked for; return how it makes a clip."""
    from puppet_ways import (  # noqa: PLC0415 - the warp alone needs no torch
        Making,
        ceiling_way,
        puppet_way,
        warped_puppet_way,
    )

    def way(making: Making) -> Way:
        return lambda clip: Made(*making(clip), 0.0)

    ways: dict[str, Way] = {}
    if plan.ceiling:
        ways["ceiling"] = way(ceiling_way(plan.size))
    if plan.puppet:
        ways["puppet"] = way(puppet_way(plan.size))
    if plan.warped_puppet:
        ways["warped puppet"] = way(warped_puppet_way(plan.size, plan.warped_puppet))
    return ways


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    frames: int
    size: tuple[int, int]
    puppet: bool
    ceiling: bool
    warped_puppet: Path | None
    """Checkpoint of its training."""
    weights: Path
    """Of the refiner; may be missing."""

    def ways(self) -> dict[str, Way]:
        """Return the ways of making frames, by name, ready for use."""
        ways: dict[str, Way] = {"unmoved": unmoved}
        if self.puppet or self.ceiling or self.warped_puppet:
            ways |= puppet_ways(self)
        ways["warp"] = warped
        if self.weights.is_file():
            ways["refined"] = refined_way(self.weights, self.size)
        return ways


@dataclass(frozen=True, slots=True)
class Score:
    """What one clip made in one way measured."""

    seed: int
    way: str
    measures: Measures
    seconds: float
    preparation: float


def measure_some(seeds: list[int], plan: Plan) -> list[Score]:
    """Measure some clips in each way on one core, with a line for each."""
    cv2.setNumThreads(1)
    ways = plan.ways()
    scores = []
    for seed in seeds:
        clip = make_clip(seed, plan.frames, plan.size)
        words = []
        for name, way in ways.items():
            made = way(clip)
            measures = measure(made.frames, clip)
            scores.append(Score(seed, name, measures, made.seconds, made.preparation))
            words.append(f"{name} {measures.psnr:5.2f}")
        print(seed, "  ".join(words), flush=True)
    return scores


def table(scores: list[Score], height: int) -> dict[str, dict[str, float]]:
    """Return the means of each way."""
    rows = {}
    for way in dict.fromkeys(score.way for score in scores):
        some = [score for score in scores if score.way == way]
        times = {
            "seconds_per_frame": float(np.median([score.seconds for score in some])),
            "seconds_of_preparation": float(np.median([score.preparation for score in some])),
        }
        rows[way] = {**summary([score.measures for score in some], height), **times}
    return rows


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """Print the means; an exclamation mark is a target that was missed."""
    print(
        "\n               PSNR   face  hands   limbs  lag 0  detail  flicker  still  colours"
        "  s/frame  s before"
    )
    for name, row in rows.items():

        def shown(column: str, form: str, row: dict[str, float] = row) -> str:
            value = row[column]
            missed = value < LIMITS.get(column, -np.inf) or value > CEILINGS.get(column, np.inf)
            return f"{value:{form}}{'!' if missed else ' '}"

        colours = mean([value for key, value in row.items() if key.startswith("colour_")])
        print(
            f"{name:<13}",
            shown("psnr_db", "5.2f"),
            shown("face_db", "5.2f"),
            shown("hands_db", "5.2f"),
            shown("limb_error_of_height", "6.2%"),
            shown("lag_0_share", "6.1%"),
            shown("detail", "5.2f"),
            shown("flicker", "6.2f"),
            shown("still", "6.2f"),
            f"{colours:7.1f}  {row['seconds_per_frame']:7.4f}",
            f"{row['seconds_of_preparation']:8.2f}",
        )
    print(f"(the truth's own change where it is still: {row['still_truth']:.2f} of 255)")


def write_sheet(path: Path, scores: list[Score], plan: Plan) -> None:
    """Draw the worst, the middling and the best clips of the last way: a PNG."""
    last = sorted(
        (score for score in scores if score.way == scores[-1].way),
        key=lambda score: score.measures.psnr,
    )
    middle = max(len(last) // 2 - 1, 0)
    chosen = {score.seed for some in (last[:3], last[middle:][:3], last[-2:]) for score in some}
    ways = plan.ways()
    del ways["unmoved"]
    strips = []
    for seed in [score.seed for score in last if score.seed in chosen]:
        clip = make_clip(seed, plan.frames, plan.size)
        made = {name: way(clip).frames for name, way in ways.items()}
        moments = np.linspace(0, plan.frames - 1, MOMENTS).round().astype(int)
        gap = np.full((plan.size[1], 4, 3), 255, np.uint8)
        strip = [clip.frames[0]]
        for moment in moments:
            strip += [gap, clip.frames[1 + moment]]
            strip += [frames[moment] for frames in made.values()]
        strips.append(np.hstack(strip))
    picture = np.vstack(strips)
    write_bytes(path, cv2.imencode(".png", picture[..., ::-1])[1].tobytes())


def photos(options: argparse.Namespace, plan: Plan) -> int:
    """Measure photographs, print a table, write JSON and a sheet."""
    from photographs import measure_photos  # noqa: PLC0415 - loads detectors

    ways = plan.ways()
    del ways["unmoved"]
    scores, strips = [], []
    print("picture                way      faces kept        distance")
    for some, strip in measure_photos(options.photos, options.dance, plan.size, plan.frames, ways):
        for score in some:
            share = score.kept / max(score.faces, 1)
            print(
                f"{score.picture:<22} {score.way:<8} {score.kept:3d} of {score.faces:3d}",
                f"{share:5.0%}   {score.distance:7.4f}",
                flush=True,
            )
        scores += some
        strips.append(strip)
    if options.sheet:
        width = min(strip.shape[1] for strip in strips)
        picture = np.vstack([strip[:, :width] for strip in strips])
        write_bytes(options.sheet, cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    if options.json:
        write_text(options.json, json.dumps([asdict(score) for score in scores], indent=1) + "\n")
    return 0


def main() -> int:
    """Measure, print a table, write JSON and a sheet."""
    parser = argparse.ArgumentParser(description="Measure the doll on clips it never saw.")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", default="128x192", help="width and height")
    parser.add_argument("--puppet", action="store_true", help="measure the puppet, too")
    parser.add_argument(
        "--ceiling", action="store_true", help="and the truth after the puppet's autoencoder"
    )
    parser.add_argument(
        "--warped-puppet", type=Path, metavar="FILE", help="and this checkpoint of video --warped"
    )
    parser.add_argument(
        "--refiner", type=Path, default=presets.folder("doll") / "refiner.safetensors"
    )
    parser.add_argument("--processes", type=int, default=2, help="clips measured at a time")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet to this PNG")
    parser.add_argument("--photos", type=Path, nargs="+", help="pictures, in place of the clips")
    parser.add_argument("--dance", type=Path, help="the video that they dance")
    options = parser.parse_args()
    if options.photos and not options.dance:
        parser.error("--photos needs --dance VIDEO")
    width, height = (int(side) for side in options.size.split("x"))
    plan = Plan(
        options.frames,
        (width, height),
        options.puppet,
        options.ceiling,
        options.warped_puppet,
        options.refiner,
    )
    if options.photos:
        return photos(options, plan)
    seeds = [FIRST_SEED + number for number in range(options.clips)]
    count = options.processes
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(measure_some, seeds[start::count], plan) for start in range(count)]
        scores = [score for part in parts for score in part.result()]
    rows = table(scores, height)
    print_table(rows)
    if options.sheet:
        write_sheet(options.sheet, scores, plan)
    if options.json:
        content = {
            "command": " ".join(["python", "benchmarks/doll_quality.py", *sys.argv[1:]]),
            "machine": platform.machine(),
            "means": rows,
            "clips": [asdict(score) for score in sorted(scores, key=lambda each: each.seed)],
        }
        write_text(options.json, json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
