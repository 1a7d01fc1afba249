"""ControlNeXt's claims, measured on a model at hand: parameters, steps to learn, time a step.

The paper (Peng et al. 2024, arXiv:2408.06070) promises against a ControlNet under a tenth of the
trainable parameters, several times fewer steps to convergence thanks to cross normalisation, and
about a tenth of added time where a ControlNet adds two fifths::

    python benchmarks/controlnext_claims.py --out work [--json FILE] [--plot FILE]

* parameters: of the control network, with the part of the UNet that its authors train for SDXL
  (the outputs of cross-attention), against a copied encoder with zero convolutions; also for
  Stable Video Diffusion's UNet, of which the shape suffices.
* steps: trainings that differ only in how the control is added (cross normalisation, or a
  convolution that begins at zero), from the same fresh control network, on the same windows, noise
  and rates; measured at the same noise on clips set apart. They go on where they stopped.
* time: one evaluation of the UNet alone, with ControlNeXt, and with a copied encoder, in turn, in
  one process; for Stable Video Diffusion the operations are counted.
"""

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from copied_encoder import CopiedEncoder, with_residuals
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from marionext import bundles
from marionext.backends.svd.loading import NetworkFiles
from marionext.bundles import ModelBundle
from marionext.cli.options import parse_size
from marionext.diffusion import ControlNeXtSVD, injected
from marionext.settings import default_settings
from marionext.training.finetune.defaults import finetune_settings
from marionext.training.finetune.selection import choose_parameters
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.finetune.trainer import TrainingRun, train
from marionext.training.reports import TrainingReporter
from marionext.training.speedups import speed_up

PART = (r"attn2\.to_out",)
"""What ControlNeXt's authors train of SDXL's UNet, by their training script."""

MODES = ("cross", "zero")

WARM_UP_ROUNDS = 2

PARTS_OF_THE_WAY = (0.5, 0.8, 0.9, 0.95)
"""From the loss without control down to what the slower way ends at."""

NO_RATE = 1e-12


@dataclass(frozen=True)
class Convergence:
    """How the two trainings are set up."""

    steps: int
    every: int
    window: int
    clips: int
    rates: tuple[float, ...]
    """Of the control network; the part of the UNet learns at a tenth."""
    seed: int
    size: tuple[int, int]


def count(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(value.numel() for value in network.parameters())


def parameters_of(unet: Any, control: nn.Module) -> dict[str, float]:
    """Count what each method trains of, or beside, one UNet."""
    settings = FinetuneSettings(width=64, height=64, window=2, main="patterns", patterns=PART)
    part = sum(value.numel() for value in choose_parameters(unet, settings).values())
    copied = count(CopiedEncoder(unet))
    return {
        "unet": count(unet),
        "control_network": count(control),
        "part_of_unet": part,
        "copied_encoder": copied,
        "ratio_control_network": count(control) / copied,
        "ratio": (count(control) + part) / copied,
    }


def measure_parameters(bundle: ModelBundle) -> dict[str, dict[str, float]]:
    """Count for the bundle, and for Stable Video Diffusion without its weights."""
    files = NetworkFiles(bundle.folder, torch.float32)
    own = parameters_of(files.unet(), files.controlnext())
    with torch.device("meta"):
        svd = UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20))
        return {bundle.name: own, "svd": parameters_of(svd, ControlNeXtSVD())}


@torch.no_grad()
def measure_time(bundle: ModelBundle, rounds: int, size: tuple[int, int]) -> dict[str, float]:
    """Time one evaluation of a window, the three ways in turn; medians in seconds."""
    files = NetworkFiles(bundle.folder, torch.float32)
    unet, control = files.unet().eval(), files.controlnext().eval()
    copied = CopiedEncoder(unet).eval()
    for network in (unet, copied):
        speed_up(network)
    settings = default_settings(bundle.name)
    width, height = size
    levels = (files.configuration(name)["block_out_channels"] for name in ("vae", "unet"))
    factor = 2 ** (len(next(levels)) - 1)
    config = unet.config
    generator = torch.Generator().manual_seed(0)
    shape = (1, settings.window, config.in_channels, height // factor, width // factor)
    latents = torch.randn(shape, generator=generator)
    maps = torch.rand((1, settings.window, 3, height, width), generator=generator)
    context = torch.randn((1, 1, config.cross_attention_dim), generator=generator)
    identities, level = torch.tensor([[6.0, 128.0, 0.02]]), torch.tensor([0.5])

    def evaluate() -> Tensor:
        output: Tensor = unet(latents, level, context, added_time_ids=identities).sample
        return output

    def steered() -> Tensor:
        with injected(unet.down_blocks[0], control(maps, level), torch.ones(settings.window)):
            return evaluate()

    def copying() -> Tensor:
        with with_residuals(unet, *copied(latents, level, context, identities, maps)):
            return evaluate()

    ways: dict[str, Callable[[], Tensor]] = {
        "unet": evaluate,
        "controlnext": steered,
        "copied_encoder": copying,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(rounds + WARM_UP_ROUNDS):
        for name, way in ways.items():
            # The processor's time: other programs on the machine do not count.
            started = time.process_time()
            way()
            if round_number >= WARM_UP_ROUNDS:
                times[name].append(time.process_time() - started)
    medians = {name: statistics.median(values) for name, values in times.items()}
    added = {
        f"added_{name}": statistics.median(
            one / bare - 1 for one, bare in zip(times[name], times["unet"], strict=True)
        )
        for name in ("controlnext", "copied_encoder")
    }
    return medians | added


class _Mixer(nn.Module):
    """Adds as many tensors as the real one, whose operations are not worth counting."""

    def forward(self, x_spatial: Tensor, x_temporal: Tensor, **_options: object) -> Tensor:
        return x_spatial + x_temporal


def count_operations() -> dict[str, float]:
    """Count the operations of one evaluation with Stable Video Diffusion's shapes.

    24 frames of 576x1024, the UNet's classifier-free half with conditions. Nothing is computed:
    tensors without values pass through the networks.
    """
    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20)).eval()
        control, copied = ControlNeXtSVD().eval(), CopiedEncoder(unet).eval()
    for network in (unet, copied):
        for module in network.modules():
            if isinstance(module, SpatioTemporalResBlock | TransformerSpatioTemporalModel):
                # It makes a number on the processor, which meets no tensor without values.
                module.time_mixer = _Mixer()
    with torch.device("meta"):
        latents = torch.empty(1, 24, 8, 128, 72)
        maps = torch.empty(1, 24, 3, 1024, 576)
        inputs = (latents, torch.empty(1), torch.empty(1, 1, 1024), torch.empty(1, 3))
    counts = {}
    ways = {
        "unet": lambda: unet(*inputs[:3], added_time_ids=inputs[3]),
        "controlnext": lambda: control(maps, inputs[1]),
        "copied_encoder": lambda: copied(*inputs, maps),
    }
    for name, way in ways.items():
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            way()
        counts[name] = float(counter.get_total_flops())
    for name in ("controlnext", "copied_encoder"):
        counts[f"added_{name}"] = counts[name] / counts["unet"]
    return counts


def train_all(bundle: ModelBundle, plan: Convergence, folder: Path) -> dict[str, Any]:
    """Train both ways at each rate and return the curves, by rate and way."""
    return {
        f"{rate:g}": {mode: train_one(bundle, plan, folder, mode, rate) for mode in MODES}
        for rate in plan.rates
    }


def without_control(bundle: ModelBundle, plan: Convergence, folder: Path) -> float:
    """Return the validation loss where nothing is trained: a zero convolution adds nothing."""
    still = replace(plan, steps=1, every=1)
    return train_one(bundle, still, folder, "zero", NO_RATE)[-1]["validation"]


def train_one(
    bundle: ModelBundle, plan: Convergence, folder: Path, mode: str, rate: float
) -> list[dict[str, float]]:
    """Train one way, or what is missing of it, and return its curve."""
    settings = finetune_settings(
        bundle,
        {
            "width": plan.size[0],
            "height": plan.size[1],
            "window": plan.window,
            "control": "fresh",
            "injection": mode,
            "main": "patterns",
            "patterns": list(PART),
            "rate": rate,
            "main_rate": rate / 10,
            "average": 0.0,
            "unconditional": 0.0,
            "later": 0.0,
            "hand_weight": 1.0,
            "face_weight": 1.0,
            "warm_up": 20,
            "seed": plan.seed,
        },
    )
    target = folder / f"{mode}-{rate:g}"
    _share_clips(folder / "clips", target)
    run = TrainingRun(
        data="figures",
        folder=target,
        steps=plan.steps,
        resume=True,
        evaluate_every=plan.every,
        preview_every=0,
        validation=4,
        figures=plan.clips,
    )
    if not _finished(target, plan.steps):
        train(bundle, settings, run, TrainingReporter(_tell(target.name)))
    with (target / "curve.csv").open(newline="") as stream:
        return [
            {name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)
        ]


def _share_clips(clips: Path, folder: Path) -> None:
    """Let every training find the clips that the first has encoded."""
    for place in (clips, folder):
        place.mkdir(parents=True, exist_ok=True)
    if not (folder / "encoded").exists():
        (folder / "encoded").symlink_to(clips.absolute(), target_is_directory=True)


def _finished(folder: Path, steps: int) -> bool:
    path = folder / "curve.csv"
    if not (folder / "bundle" / "bundle.json").is_file() or not path.is_file():
        return False
    rows = path.read_text().splitlines()
    return len(rows) > 1 and int(rows[-1].partition(",")[0]) >= steps


def _tell(name: str) -> Callable[[Any], None]:
    def tell(event: Any) -> None:
        values = getattr(event, "values", None)
        if values is not None:
            words = " ".join(f"{key} {value:.4g}" for key, value in values.items())
            print(f"{name} step {event.step}: {words}", file=sys.stderr, flush=True)

    return tell


def steps_to(curve: list[dict[str, float]], level: float) -> float | None:
    """Return the step at which the validation loss first reaches a level, between two rows."""
    before: dict[str, float] | None = None
    for row in curve:
        if row["validation"] <= level:
            if before is None:
                return row["step"]
            share = (before["validation"] - level) / (before["validation"] - row["validation"])
            return before["step"] + share * (row["step"] - before["step"])
        before = row
    return None


def compare(curves: dict[str, list[Any]], start: float) -> dict[str, Any]:
    """Compare how soon the two ways come how far.

    Args:
        curves: of the two ways.
        start: the validation loss without any control.

    Returns:
        The loss that each way ends at (the median of its last quarter), and for some parts of the
        way from ``start`` to the worse of these, the loss and the steps until it is reached.
    """
    ends = {
        mode: statistics.median(
            row["validation"] for row in curves[mode][-max(1, len(curves[mode]) // 4) :]
        )
        for mode in MODES
    }
    worse = max(ends.values())
    levels = []
    for part in PARTS_OF_THE_WAY:
        level = start - part * (start - worse)
        reached = {mode: steps_to(curves[mode], level) for mode in MODES}
        cross, zero = reached["cross"], reached["zero"]
        levels.append(
            {
                "part": part,
                "level": level,
                "steps": reached,
                "times_fewer": zero / cross if cross and zero else None,
            }
        )
    return {
        "start": start,
        "ends": ends,
        "heard": {
            mode: curves[mode][-1]["wrong"] - curves[mode][-1]["validation"] for mode in MODES
        },
        "levels": levels,
    }


def draw(curves: dict[str, Any], path: Path) -> None:
    """Draw the validation losses of all the trainings."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(5 * len(curves), 4), dpi=110, layout="constrained")
    looks = {"cross": ("cross normalisation", "#1f77b4"), "zero": ("zero convolution", "#d62728")}
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (rate, pair) in zip(panels, curves.items(), strict=True):
        for mode, (label, colour) in looks.items():
            steps = [row["step"] for row in pair[mode]]
            own, other = ([row[kind] for row in pair[mode]] for kind in ("validation", "wrong"))
            axes.plot(steps, own, color=colour, label=label)
            axes.plot(steps, other, color=colour, linestyle=":", label=f"{label}, another's pose")
        axes.set_title(f"rate {rate}")
        axes.set_xlabel("steps")
        axes.grid(visible=True, alpha=0.25)
    panels[0].set_ylabel("validation loss (held-out clips, fixed noise)")
    panels[-1].legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))


def show(results: dict[str, Any]) -> None:
    """Print tables as in the documentation."""
    if "parameters" in results:
        print("\n| trained | UNet | ControlNeXt: network + part | copied encoder | ratio |")
        print("|---|---|---|---|---|")
        for name, row in results["parameters"].items():
            print(
                f"| {name} | {row['unet']:,} | {row['control_network']:,} + "
                f"{row['part_of_unet']:,} | {row['copied_encoder']:,} | {row['ratio']:.1%} "
                f"(network alone {row['ratio_control_network']:.1%}) |"
            )
    if "time" in results:
        row = results["time"]
        print("\n| one evaluation | seconds | added |\n|---|---|---|")
        print(f"| UNet alone | {row['unet']:.3f} | |")
        for name in ("controlnext", "copied_encoder"):
            print(f"| with {name} | {row[name]:.3f} | {row[f'added_{name}']:+.1%} |")
        row = results["svd_operations"]
        print("\n| SVD, 24 frames of 576x1024 | TFLOP | added |\n|---|---|---|")
        print(f"| UNet alone | {row['unet'] / 1e12:.2f} | |")
        for name in ("controlnext", "copied_encoder"):
            print(f"| {name} | {row[name] / 1e12:.2f} | {row[f'added_{name}']:+.1%} |")
    if "steps" in results:
        for rate, row in results["steps"].items():
            print(f"\nrate {rate}, validation loss {row['start']:.4f} without control")
            print("| part of the way | loss | cross | zero | times fewer |\n|---|---|---|---|---|")
            for level in row["levels"]:
                steps = [level["steps"][mode] for mode in MODES]
                told = " | ".join("-" if step is None else f"{step:.0f}" for step in steps)
                times = level["times_fewer"]
                print(
                    f"| {level['part']:.0%} | {level['level']:.4f} | {told} | "
                    f"{'-' if times is None else f'{times:.1f}'} |"
                )
            ends = ", ".join(f"{mode} {row['ends'][mode]:.4f}" for mode in MODES)
            heard = ", ".join(f"{mode} {row['heard'][mode]:.4f}" for mode in MODES)
            print(f"ends at {ends}; another's pose is worse by {heard}")


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description="Measure ControlNeXt's claims.")
    parser.add_argument("--bundle", default="puppet")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw the two curves to this file (PNG)")
    parser.add_argument("--parts", nargs="+", choices=("parameters", "time", "steps"),
                        default=("parameters", "time", "steps"))  # fmt: skip
    parser.add_argument("--rounds", type=int, default=9, help="timed evaluations of each kind")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--every", type=int, default=5, help="steps between measurements")
    parser.add_argument("--window", type=int, default=3)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--rates", type=float, nargs="+", default=(1e-3, 1e-4))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=parse_size, default=(128, 192), help="WIDTHxHEIGHT")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bundle = bundles.require(options.bundle)
    results: dict[str, Any] = {"bundle": bundle.name, "files": bundles.fingerprint(bundle)}
    if "parameters" in options.parts:
        results["parameters"] = measure_parameters(bundle)
    if "time" in options.parts:
        results["time"] = measure_time(bundle, options.rounds, options.size)
        results["svd_operations"] = count_operations()
    if "steps" in options.parts:
        plan = Convergence(
            options.steps, options.every, options.window, options.clips, tuple(options.rates),
            options.seed, options.size,
        )  # fmt: skip
        curves = train_all(bundle, plan, options.out)
        results["plan"] = vars(plan)
        results["curves"] = curves
        start = without_control(bundle, plan, options.out)
        results["steps"] = {rate: compare(pair, start) for rate, pair in curves.items()}
        if options.plot is not None:
            draw(curves, options.plot)
    show(results)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
