"""ControlNeXt against ControlNet on models for pictures at their real size: parameters, operations.

The paper (Peng et al. 2024, arXiv:2408.06070, tables 1 and 2) counts 30 against 361 million trained
parameters for Stable Diffusion 1.5, 108 against 1251 million for SDXL, and measures 10.4 % against
41.9 % of added time::

    python benchmarks/picture_claims.py [--json FILE] [--time --size 256x256 --rounds 5]

Networks are made without values (meta device), so that nothing has to be fetched. What is trained
of the UNet is what the published files hold: the outputs of cross-attention, whose count times
the bytes of a number is the size of those files. Operations are counted for one step under
guidance (a batch of two), where ControlNeXt's network runs once for both halves, as it does here,
or in both, as in its authors' code. ``--time`` also runs SD 1.5 with random weights, each way in
turn.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from marionext.cli.options import parse_size
from marionext.diffusion.controlnext import ControlNeXt
from marionext.diffusion.image_variants import SD15, SD15_TRAINING, SDXL, ImageVariant, steered

SD15_UNET: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "sample_size": 64,
}
SDXL_UNET: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
}
CASES: dict[str, tuple[dict[str, Any], ImageVariant, int]] = {
    "SD 1.5": (SD15_UNET, SD15, 512),
    "SD 1.5, training code": (SD15_UNET, SD15_TRAINING, 512),
    "SDXL": (SDXL_UNET, SDXL, 1024),
}
PART = "attn2.to_out"


def count(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(value.numel() for value in network.parameters())


def inputs(config: dict[str, Any], side: int, *, batch: int = 2) -> tuple[Any, Any, Any, Any, Any]:
    """Return sample, time, context, further conditions and a picture, on the present device."""
    context = torch.zeros(batch, 77, config["cross_attention_dim"])
    added = None
    if "addition_embed_type" in config:
        added = {"text_embeds": torch.zeros(batch, 1280), "time_ids": torch.zeros(batch, 6)}
    sample = torch.zeros(batch, 4, side // 8, side // 8)
    return sample, torch.tensor(500), context, added, torch.zeros(batch, 3, side, side)


def operations(work: Callable[[], object]) -> float:
    """Return how many floating-point operations a piece of work has."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def measure(name: str) -> dict[str, float]:
    """Count one case."""
    config, variant, side = CASES[name]
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config).eval()
        copied = ControlNetModel.from_unet(unet, load_weights_from_unet=False).eval()
        control = ControlNeXt(variant.config).eval()
        sample, moment, context, added, picture = inputs(config, side)
    part = sum(value.numel() for key, value in unet.named_parameters() if PART in key)
    options = {} if added is None else {"added_cond_kwargs": added}
    bare = operations(lambda: unet(sample, moment, context, **options))
    once = operations(lambda: control(picture[:1], 500.0))
    other = operations(lambda: copied(sample, moment, context, controlnet_cond=picture, **options))
    return {
        "unet": count(unet),
        "control_network": count(control),
        "part_of_unet": part,
        "controlnet": count(copied),
        "ratio": (count(control) + part) / count(copied),
        "tera_unet": bare / 1e12,
        "added_controlnext_once": once / bare,
        "added_controlnext_both": 2 * once / bare,
        "added_controlnet": other / bare,
    }


@torch.no_grad()
def measure_time(size: tuple[int, int], rounds: int) -> dict[str, float]:
    """Time a step of SD 1.5 under guidance with random weights; medians of the processor's time."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**SD15_UNET).eval()
    copied = ControlNetModel.from_unet(unet).eval()
    control = ControlNeXt(SD15.config).eval()
    width, height = size
    sample, moment = torch.randn(2, 4, height // 8, width // 8), torch.tensor(500)
    context, picture = torch.randn(2, 77, 768), torch.rand(2, 3, height, width)

    def bare() -> None:
        unet(sample, moment, context)

    def controlnext() -> None:
        with steered(unet, SD15, control(picture[:1], moment), control.scale):
            unet(sample, moment, context)

    def controlnet() -> None:
        downs, middle = copied(sample, moment, context, controlnet_cond=picture, return_dict=False)
        unet(
            sample,
            moment,
            context,
            down_block_additional_residuals=downs,
            mid_block_additional_residual=middle,
        )

    ways = {"unet": bare, "controlnext": controlnext, "controlnet": controlnet}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            way()
            if number:  # the first round warms up
                times[name].append(time.process_time() - started)
    found = {name: statistics.median(values) for name, values in times.items()}
    for name in ("controlnext", "controlnet"):
        found[f"added_{name}"] = statistics.median(
            one / plain - 1 for one, plain in zip(times[name], times["unet"], strict=True)
        )
    return found


def main() -> int:
    """Count, and print tables as in the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--time", action="store_true", help="also run SD 1.5, with random weights")
    parser.add_argument("--size", type=parse_size, default=(256, 256), help="WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {name: measure(name) for name in CASES}
    print("| base | UNet | ControlNeXt: network + part of the UNet | ControlNet | ratio |")
    print("|---|---|---|---|---|")
    for name, row in results.items():
        both = row["control_network"] + row["part_of_unet"]
        print(
            f"| {name} | {row['unet'] / 1e6:.0f} M | {row['control_network'] / 1e6:.2f} M + "
            f"{row['part_of_unet'] / 1e6:.2f} M = {both / 1e6:.1f} M | "
            f"{row['controlnet'] / 1e6:.0f} M | {row['ratio']:.1%} |"
        )
    print("\n| base | UNet, two halves | ControlNeXt, once | in both halves | ControlNet |")
    print("|---|---|---|---|---|")
    for name, row in results.items():
        print(
            f"| {name} | {row['tera_unet']:.2f} TFLOP | +{row['added_controlnext_once']:.1%} | "
            f"+{row['added_controlnext_both']:.1%} | +{row['added_controlnet']:.1%} |"
        )
    if options.time:
        timed = measure_time(options.size, options.rounds)
        results["time"] = timed
        print(
            f"\nSD 1.5 at {options.size[0]}x{options.size[1]}, one thread: {timed['unet']:.2f} s "
            f"a step, ControlNeXt +{timed['added_controlnext']:.1%}, "
            f"ControlNet +{timed['added_controlnet']:.1%}"
        )
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
