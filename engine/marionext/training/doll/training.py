"""Train the refiner of the doll: resumable at any step, the same steps as without a stop."""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from marionext.backends.doll.refiner import (
    DEPTHS,
    WIDTHS,
    RefinerNetwork,
    View,
    apply,
    channels_last,
    moved,
    nearby,
)
from marionext.doll import PART_NAMES
from marionext.errors import CharacterError, ModelError
from marionext.files import replacing
from marionext.output import write_png
from marionext.training.checkpoints import Curve, load_checkpoint, save_checkpoint
from marionext.training.doll.pairs import Pairs, StepPairs, plain_pairs
from marionext.training.figures.clips import HELD_OUT
from marionext.training.prefetching import drawn_ahead

__all__ = ["RefinerSettings", "export_refiner", "refined", "train_refiner"]

logger = logging.getLogger(__name__)

CHECKPOINT = "refiner.pt"
VALIDATION_CLIPS = 40
"""Clips that are looked at while training, two frames of each; none of those of the benchmark."""
WARM_UP = 100
LOOKED_AT = [
    index for index, name in enumerate(PART_NAMES) if name == "head" or name.endswith("hand")
]
"""Parts that are small, and looked at first: they count three times."""
CRISP = 1.0
"""How much crispness counts."""
ALONE = 0.3
"""How much the moved warp and the painted colours count, each for itself."""


@dataclass(frozen=True, slots=True)
class RefinerSettings:
    """What decides the weights of a training."""

    batch: int = 12
    stock: int = 48
    renewed: float = 0.25
    """Clips drawn in a step."""
    frames: int = 8
    size: tuple[int, int] = (128, 192)
    large: int = 4
    """Every so many-th clip is drawn at twice the size."""
    piece: tuple[int, int] = (96, 144)
    """What is cut out of frames of either size."""
    rate: float = 1e-3
    average: float = 0.998
    seed: int = 0
    bfloat16: bool = True
    """Two times as fast as float32 where the processor has it, with the same result."""
    widths: tuple[int, ...] = WIDTHS
    depths: tuple[tuple[int, int], ...] = DEPTHS

    def network(self) -> RefinerNetwork:
        """Make the untrained network."""
        torch.manual_seed(self.seed)
        return channels_last(RefinerNetwork(self.widths, self.depths))

    def pairs(self) -> StepPairs:
        """Return what draws the pairs of each step."""
        return StepPairs(
            self.seed,
            self.batch,
            self.stock,
            self.renewed,
            self.frames,
            self.size,
            self.large,
            self.piece,
        )


def refined(network: RefinerNetwork, view: View, *, bfloat16: bool) -> Tensor:
    """Return frames as the network mends them: (n, 3, h, w), about 0 to 1."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        correction = network(view)
    return apply(correction, nearby(view), view.picture, view.coverage, view.background)


def _loss(network: RefinerNetwork, pairs: Pairs, *, bfloat16: bool) -> Tensor:
    """Compare what the network makes of pairs with the truth.

    The gate lets little through at first, and what it keeps out would learn slowly: so the moved
    warp and the painted colours are also compared each for itself, around the whole figure. A
    pair counts by its warp's own error, or a few that the warp gets all wrong would decide.
    """
    view, truth = pairs.view, pairs.truth
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        correction = network(view)
    near = nearby(view)
    drawn = moved(correction.flow, view.picture, view.coverage, view.background)
    mended = correction.colour + correction.gate * (drawn - correction.colour)
    looked_at = torch.isin(view.parts, torch.tensor(LOOKED_AT)).float()[:, None]
    weight = near * (1 + 2 * F.avg_pool2d(looked_at, 5, stride=1, padding=2))
    each = _difference(view.picture + near * (mended - view.picture), truth, weight)
    for alone in (drawn, correction.colour):
        each = each + ALONE * ((alone - truth) * weight).abs().mean((1, 2, 3))
    usual = (view.picture - truth).abs().mean((1, 2, 3))
    share = 1 / (usual + 0.02)
    return (each * share).sum() / share.sum()


def _difference(made: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Compare colours, edges, surroundings and crispness: (n,).

    What is closest on the mean to many likely pictures is none of them, but a blur. So it also
    counts how much neighbours differ around each place, wherever exactly they do.
    """
    error = (made - truth) * weight
    one = (1, 2, 3)
    each = (
        error.abs().mean(one)
        + 2 * error.square().mean(one)
        + 0.5 * F.avg_pool2d(error, 4).abs().mean(one)
        + 0.5 * F.avg_pool2d(error, 16).abs().mean(one)
    )
    for axis in (-1, -2):
        mine, theirs = made.diff(dim=axis), truth.diff(dim=axis)
        each = each + 0.4 * (mine - theirs).abs().mean(one)
        crisp = F.avg_pool2d(mine.abs() - theirs.abs(), 8)
        each = each + CRISP * crisp.abs().mean(one)
    return each


def held_out(settings: RefinerSettings) -> list[Pairs]:
    """Draw the pairs that are looked at while training."""
    pairs = []
    for seed in range(HELD_OUT, HELD_OUT + VALIDATION_CLIPS):
        try:
            clip = plain_pairs(seed, 8, settings.size)
        except CharacterError:
            continue
        some = [1, 6]
        view = View(clip.view.pixels[some], clip.view.parts[some])
        pairs.append(Pairs(view, clip.truth[some]))
    return pairs


@torch.no_grad()
def _measure(
    network: RefinerNetwork, clips: list[Pairs], settings: RefinerSettings
) -> dict[str, float]:
    """Return the mean PSNR of warp and result, and the result's detail relative to the truth."""
    warps, results, details = [], [], []
    for clip in clips:
        made = refined(network, clip.view, bfloat16=settings.bfloat16).clamp(0, 1)
        warps.append(_psnr(clip.view.picture, clip.truth))
        results.append(_psnr(made, clip.truth))
        details.append(float(made.diff(dim=-1).abs().mean() / clip.truth.diff(dim=-1).abs().mean()))
    return {
        "warp": float(np.mean(warps)),
        "refined": float(np.mean(results)),
        "detail": float(np.mean(details)),
    }


def _psnr(made: Tensor, truth: Tensor) -> float:
    return float(-10 * torch.log10((made - truth).square().mean()))


@torch.no_grad()
def _draw(network: RefinerNetwork, clips: list[Pairs], path: Path) -> None:
    """Draw held-out frames: truth, warp and result, four clips a row."""
    strips = []
    for clip in clips[:16]:
        made = refined(network, clip.view, bfloat16=False).clamp(0, 1)
        strips.append(torch.cat([clip.truth[0], clip.view.picture[0], made[0]], dim=2))
    rows = [torch.cat(strips[start : start + 4], dim=2) for start in range(0, len(strips), 4)]
    whole = [row for row in rows if row.shape == rows[0].shape]
    grid = torch.cat(whole, dim=1).mul(255).round().byte().permute(1, 2, 0).numpy()
    write_png(path, grid)


def train_refiner(
    settings: RefinerSettings,
    folder: Path,
    *,
    steps: int,
    anneal: int,
    resume: bool,
    evaluate_every: int = 200,
) -> Path:
    """Train, and keep checkpoint, curve and pictures of results in a folder.

    Args:
        settings: what decides the weights.
        folder: where everything is kept.
        steps: steps in all.
        anneal: number of last steps over which the rate falls to nothing.
        resume: go on from the folder's checkpoint if there is one.
        evaluate_every: steps between checkpoints.

    Returns:
        The checkpoint's path.

    Raises:
        ModelError: the loss is no longer a number; the last good checkpoint is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    network, average = settings.network(), settings.network().requires_grad_(requires_grad=False)
    parameters: list[Tensor] = list(network.parameters())
    averages: list[Tensor] = list(average.parameters())
    optimiser = torch.optim.AdamW(
        parameters, settings.rate, betas=(0.9, 0.99), weight_decay=1e-3, foreach=True
    )
    config = asdict(settings)
    step, seconds = 0, 0.0
    if resume and checkpoint.exists():
        state = load_checkpoint(checkpoint, config)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, seconds = int(state["step"]), float(state["seconds"])
    clips = held_out(settings)
    curve = Curve(folder / "refiner.csv", ("seconds", "loss", "warp", "refined", "detail"), step)
    began = time.monotonic() - seconds
    losses: list[float] = []
    for number, pairs in drawn_ahead(settings.pairs(), step, steps):
        left = min(1.0, (steps - number) / anneal) if anneal else 1.0
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * left * min(1.0, (number + 1) / WARM_UP)
        view = View(
            pairs.view.pixels.contiguous(memory_format=torch.channels_last), pairs.view.parts
        )
        loss = _loss(network, Pairs(view, pairs.truth), bfloat16=settings.bfloat16)
        if not torch.isfinite(loss):
            raise ModelError(
                f"the loss of step {number} is {loss.item()}; "
                f"the last good checkpoint is {checkpoint}"
            )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        losses.append(loss.item())
        step = number + 1
        share = min(settings.average, step / (step + 8))
        torch._foreach_lerp_(averages, [value.data for value in parameters], 1 - share)
        if step % evaluate_every == 0 or step == steps:
            numbers = _measure(average, clips, settings)
            numbers |= {"loss": float(np.mean(losses)), "seconds": time.monotonic() - began}
            losses.clear()
            curve.append(step, numbers)
            logger.info("step %d %s", step, " ".join(f"{k}={v:.4g}" for k, v in numbers.items()))
            state = {
                "config": config,
                "step": step,
                "seconds": time.monotonic() - began,
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
            }
            save_checkpoint(checkpoint, state)
            _draw(average, clips, folder / "refiner.png")
    return checkpoint


def export_refiner(folder: Path, path: Path) -> None:
    """Write the averaged network of a training as safetensors in float16.

    Raises:
        ModelError: there is no checkpoint.
        OutputError: the file cannot be written.
    """
    checkpoint = folder / CHECKPOINT
    if not checkpoint.is_file():
        raise ModelError(f"{checkpoint}: missing", hint="Train with the command doll first.")
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    values = {
        name: value.to(torch.float16).contiguous() for name, value in state["average"].items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        save_file(values, part)
