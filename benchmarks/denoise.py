"""How long denoising takes: our loop against the reference's algorithm, written plainly.

    python benchmarks/denoise.py [--repeats 3] [--device auto] [--json FILE]

Both get the same networks (random weights; the control network and the UNet's first level at their
real widths, the rest narrow, so that a processor is done in a minute), the same windows and the
same noise, and must end in the same latents. They take turns, so that a busy machine slows both
alike; on a processor the time of the process is counted, on a GPU the clock's.

The plain loop does what the released code does: both guidance halves in one batch, the control
network on both of them and again for every window, all pose maps on the device from the start, the
stock UNet. A second table tells how the peak of memory grows with the clip, with still narrower
networks; each figure is that of a process of its own.
"""

import argparse
import copy
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    UNetSpatioTemporalConditionModel,
)
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from marionext.backends.svd import Models, denoise
from marionext.backends.svd.conditioning import encode_character
from marionext.backends.svd.denoising import REFERENCE_TIME_IDS
from marionext.backends.svd.state import draw_noise
from marionext.diffusion import ControlNeXtConfig, ControlNeXtSVD
from marionext.diffusion.injection import injected
from marionext.diffusion.memory import Placement, choose_device
from marionext.settings import SvdSettings

FRAMES = 13  # and the reference slot
SETTINGS = SvdSettings(width=64, height=64, steps=4, window=6, overlap=2, seed=1, parity=True)
MEMORY_SETTINGS = replace(SETTINGS, width=128, height=128, steps=1, guidance_max=1, guidance_min=1)
CLIPS = (13, 52, 208)
SCHEDULER: dict[str, Any] = {
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "use_karras_sigmas": True,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}


def make_networks(width: int = 320) -> dict[str, Any]:
    """Return networks of the real classes with random weights.

    Args:
        width: channels of the UNet's first level.
    """
    torch.manual_seed(0)
    networks: dict[str, Any] = {
        "unet": UNetSpatioTemporalConditionModel(
            block_out_channels=(width, 32, 32, 32),
            num_attention_heads=(5 if width == 320 else 2, 2, 2, 2),
            layers_per_block=1,
            cross_attention_dim=32,
            addition_time_embed_dim=16,
            projection_class_embeddings_input_dim=48,
        ),
        "vae": AutoencoderKLTemporalDecoder(
            block_out_channels=(32,) * 4, down_block_types=("DownEncoderBlock2D",) * 4
        ),
        "image_encoder": CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=32,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                projection_dim=32,
            )
        ),
        "controlnext": ControlNeXtSVD(ControlNeXtConfig(out_channels=width)),
    }
    for network in networks.values():
        network.eval().requires_grad_(False)
    return networks


def pose_map(frame: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a map of coloured noise: what it shows costs nothing and changes nothing here."""
    return np.random.default_rng(frame).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@torch.no_grad()
def plain_loop(
    networks: dict[str, Any],
    picture: NDArray[np.uint8],
    frames: int,
    settings: SvdSettings,
    device: torch.device,
) -> Tensor:
    """Denoise as the reference does; returns what `denoise` returns."""
    unet, control_network = networks["unet"], networks["controlnext"]
    models = Models(
        **{**networks, "unet": copy.deepcopy(unet), "vae": copy.deepcopy(networks["vae"])},
        scheduler=SCHEDULER,
        placement=Placement(device, torch.float32),
    )
    width, height = settings.size
    image_noise, noise = draw_noise(
        settings.seed, frames, (4, height // 8, width // 8), settings.size
    )
    condition = encode_character(
        models,
        picture,
        settings.size,
        image_noise,
        noise_augmentation=settings.noise_augmentation,
        time_ids=REFERENCE_TIME_IDS,
    )
    del models
    unet.to(device)
    control_network.to(device)
    scheduler = EulerDiscreteScheduler.from_config(SCHEDULER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scheduler.set_timesteps(settings.steps, device=device)

    total = frames + 1
    length = min(settings.window, total)
    drawn = np.stack([pose_map(frame, settings.size) for frame in range(total)])
    control = torch.from_numpy(drawn).to(device).permute(0, 3, 1, 2).float()[None] / 255
    control = torch.cat([control, control])
    embedding = torch.cat([torch.zeros_like(condition.embedding), condition.embedding]).to(device)
    picture_latents = torch.cat(
        [torch.zeros_like(condition.image_latents), condition.image_latents]
    ).to(device)
    picture_latents = picture_latents[:, None].expand(-1, length, -1, -1, -1)
    time_ids = condition.time_ids.repeat(2, 1).to(device)
    strength = torch.cat([torch.zeros(length), torch.ones(length)]).to(device)
    strength = strength * settings.control_strength
    guidance = torch.linspace(settings.guidance_min, settings.guidance_max, length)
    guidance = guidance.view(1, -1, 1, 1, 1).to(device)
    latents = (noise * scheduler.init_noise_sigma).to(device)[None]
    starts = [
        min(start, total - length)
        for start in range(0, total - settings.overlap, length - settings.overlap)
    ]
    for step, time_of_step in enumerate(scheduler.timesteps):
        summed = torch.zeros_like(latents)
        counts = torch.zeros(total, device=device)
        for start in starts:
            part = latents[:, start : start + length]
            scheduler._step_index = step  # every window makes the same step
            doubled = scheduler.scale_model_input(torch.cat([part, part]), time_of_step)
            shown = control[:, start : start + length].clone()
            shown[:, 0] = control[:, 0]
            maps = control_network(shown, time_of_step)
            with injected(unet.down_blocks[0], maps, strength):
                output = unet(
                    torch.cat([doubled, picture_latents], dim=2),
                    time_of_step,
                    embedding,
                    added_time_ids=time_ids,
                    return_dict=False,
                )[0]
            without, with_condition = output.chunk(2)
            prediction = without + guidance * (with_condition - without)
            moved = scheduler.step(prediction, time_of_step, part).prev_sample
            first = 1 if start > 0 else 0
            summed[:, start + first : start + length] += moved[:, first:]
            counts[start + first : start + length] += 1
        latents = summed / counts.view(1, -1, 1, 1, 1)
    return latents[0].cpu()


def our_loop(
    models: Models, picture: NDArray[np.uint8], frames: int, settings: SvdSettings
) -> Tensor:
    """Denoise with the engine's own loop."""
    return denoise(models, picture, lambda frame: pose_map(frame, settings.size), frames, settings)


def clock(device: torch.device) -> float:
    """Return seconds: of the process on a processor, of the wall on anything else."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def compare(repeats: int, device: torch.device) -> dict[str, Any]:
    """Time both loops, with and without control, in turns."""
    networks = make_networks()
    models = Models(
        **copy.deepcopy(networks), scheduler=SCHEDULER, placement=Placement(device, torch.float32)
    )
    picture = pose_map(1000, SETTINGS.size)
    uncontrolled = replace(SETTINGS, control_strength=0.0)
    variants: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: plain_loop(networks, picture, FRAMES, SETTINGS, device),
        "ours": lambda: our_loop(models, picture, FRAMES, SETTINGS),
        "ours, no control": lambda: our_loop(models, picture, FRAMES, uncontrolled),
        "ours, spread windows": lambda: our_loop(
            models, picture, FRAMES, replace(SETTINGS, parity=False)
        ),
    }
    outcomes = {name: run() for name, run in variants.items()}  # and everything is warm
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, run in variants.items():
            before = clock(device)
            run()
            times[name].append(clock(device) - before)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = [a / b for a, b in zip(times["plain"], times["ours"], strict=True)]
    overhead = [a / b - 1 for a, b in zip(times["ours"], times["ours, no control"], strict=True)]
    apart = (outcomes["plain"] - outcomes["ours"]).abs().max() / outcomes["plain"].abs().max()
    return {
        "seconds": {name: [round(value, 3) for value in values] for name, values in times.items()},
        "medians": medians,
        "plain_over_ours": statistics.median(ratios),
        "control_overhead": statistics.median(overhead),
        "largest_difference": float(apart),
    }


def peak_bytes(loop: str, frames: int, device: torch.device) -> int:
    """Return the peak of memory of one step on a clip; to be called in a process of its own."""
    settings = MEMORY_SETTINGS
    networks, picture = make_networks(32), pose_map(1000, settings.size)
    if loop == "plain":
        plain_loop(networks, picture, frames, settings, device)
    else:
        models = Models(**networks, scheduler=SCHEDULER, placement=Placement(device, torch.float32))
        our_loop(models, picture, frames, settings)
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would tell of the parent, too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # noqa: PLC0415 - not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory(device: torch.device) -> dict[str, dict[int, int]]:
    """Return peaks of both loops for clips of several lengths."""
    peaks: dict[str, dict[int, int]] = {"plain": {}, "ours": {}}
    for frames in CLIPS:
        for loop, found in peaks.items():
            command = [sys.executable, __file__, "--device", device.type]
            asked = ["--peak", loop, "--frames", str(frames)]
            done = subprocess.run([*command, *asked], capture_output=True, text=True, check=True)
            found[frames] = int(done.stdout.strip().splitlines()[-1])
    return peaks


def main() -> None:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto", choices=["auto", "cuda", "mps", "cpu"])
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-memory", action="store_true", help="leave the second table out")
    parser.add_argument("--peak", choices=["plain", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, default=FRAMES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = choose_device(given.device)
    if given.peak:
        print(peak_bytes(given.peak, given.frames, device))
        return

    times = compare(given.repeats, device)
    print(
        f"{FRAMES} frames of {SETTINGS.width}x{SETTINGS.height}, {SETTINGS.steps} steps, "
        f"{device.type}, float32"
    )
    for name, seconds in times["medians"].items():
        print(f"  {name:<22}{seconds:8.2f} s   {seconds / FRAMES:7.3f} s/frame")
    print(f"  plain / ours          {times['plain_over_ours']:8.2f}")
    print(f"  cost of the control   {times['control_overhead'] * 100:7.1f} %")
    print(f"  largest difference    {times['largest_difference']:8.1e}")
    result: dict[str, Any] = {
        "machine": {
            "system": platform.platform(),
            "torch": torch.__version__,
            "device": str(device),
        },
        "times": times,
    }
    if not given.no_memory and sys.platform != "win32":
        peaks = memory(device)
        side = MEMORY_SETTINGS.width
        print(f"peak of memory at {side}x{side}, MiB   plain      ours")
        for frames in CLIPS:
            plain, ours = (peaks[loop][frames] / 2**20 for loop in ("plain", "ours"))
            print(f"  {frames:5d} frames              {plain:9.0f} {ours:9.0f}")
        span = CLIPS[-1] - CLIPS[0]
        slopes = {
            loop: (found[CLIPS[-1]] - found[CLIPS[0]]) / span / 1024
            for loop, found in peaks.items()
        }
        print(f"  KiB a frame               {slopes['plain']:9.1f} {slopes['ours']:9.1f}")
        result["memory"] = {"bytes": peaks, "kib_a_frame": slopes}
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
