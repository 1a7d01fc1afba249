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
    mendable,
    moved,
    nearby,
)
from marionext.bundles import record_files
from marionext.doll import PART_NAMES
from marionext.errors import CharacterError, ModelError
from marionext.files import replacing
from marionext.output import write_png
from marionext.training.checkpoints import Curve, load_checkpoint, save_checkpoint
from marionext.training.doll.critic import Critic
from marionext.training.doll.pairs import ClipDrawer, Pairs, Stock, plain_pairs
from marionext.training.figures.clips import HELD_OUT
from marionext.training.prefetching import Stocking, arriving, drawn_ahead

__all__ = ["RefinerSettings", "export_refiner", "refined", "train_refiner"]

logger = logging.getLogger(__name__)

CHECKPOINT = "refiner.pt"
BEFORE_CRITIC = "refiner-before-critic.pt"
VALIDATION_CLIPS = 40
"""Clips that are looked at while training, two frames of each; none of those of the benchmark."""
WARM_UP = 100
CRITICAL_RATE = 0.2
"""Share of the rate at which is learnt beside a critic."""
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
    """Clips at hand at the first step."""
    kept: int = 48
    """Clips at hand at most."""
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
    """Two times as fast as float32 where the device has it, with the same result; where it has
    not, many times slower."""
    widths: tuple[int, ...] = WIDTHS
    depths: tuple[tuple[int, int], ...] = DEPTHS

    def network(self) -> RefinerNetwork:
        """Make the untrained network."""
        torch.manual_seed(self.seed)
        return channels_last(RefinerNetwork(self.widths, self.depths))

    def clips(self) -> ClipDrawer:
        """Return what draws the clips."""
        return ClipDrawer(self.seed, self.frames, self.size, self.large)

    def stocking(self) -> Stocking:
        """Return how often clips are drawn."""
        return Stocking(self.stock, self.kept, self.renewed)


def refined(network: RefinerNetwork, view: View, *, bfloat16: bool) -> Tensor:
    """Return frames as the network mends them: (n, 3, h, w), about 0 to 1."""
    with torch.autocast(view.pixels.device.type, torch.bfloat16, enabled=bfloat16):
        correction = network(view)
    return apply(correction, mendable(view), view.picture, view.coverage, view.background)


@dataclass(frozen=True, slots=True)
class _Tried:
    """What the network makes of pairs, and how far that is from the truth."""

    loss: Tensor
    made: Tensor
    """(n, 3, h, w)."""


def _tried(network: RefinerNetwork, pairs: Pairs, *, bfloat16: bool) -> _Tried:
    """Compare what the network makes of pairs with the truth.

    The gate lets little through at first, and what it keeps out would learn slowly: so the moved
    warp and the painted colours are also compared each for itself, around the whole figure. A
    pair counts by its warp's own error, or a few that the warp gets all wrong would decide.
    """
    view, truth = pairs.view, pairs.truth
    with torch.autocast(truth.device.type, torch.bfloat16, enabled=bfloat16):
        correction = network(view)
    near = nearby(view)
    drawn = moved(correction.flow, view.picture, view.coverage, view.background)
    mended = correction.colour + correction.gate * (drawn - correction.colour)
    looked_at = torch.isin(view.parts, torch.tensor(LOOKED_AT, device=truth.device))
    weight = near * (1 + 2 * F.avg_pool2d(looked_at.float()[:, None], 5, stride=1, padding=2))
    made = view.picture + near * (mended - view.picture)
    each = _difference(made, truth, weight)
    for alone in (drawn, correction.colour):
        each = each + ALONE * ((alone - truth) * weight).abs().mean((1, 2, 3))
    usual = (view.picture - truth).abs().mean((1, 2, 3))
    share = 1 / (usual + 0.02)
    return _Tried((each * share).sum() / share.sum(), made)


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


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Draws the clips that are looked at while training."""

    size: tuple[int, int]

    def __call__(self, number: int) -> Pairs | None:
        """Return two frames of a clip; None if its reference shows too little."""
        try:
            clip = plain_pairs(HELD_OUT + number, 8, self.size)
        except CharacterError:
            return None
        some = [1, 6]
        return Pairs(View(clip.view.pixels[some], clip.view.parts[some]), clip.truth[some])


def held_out(settings: RefinerSettings, processes: int, device: torch.device) -> list[Pairs]:
    """Draw the pairs that are looked at while training."""
    drawn = drawn_ahead(_HeldOut(settings.size), 0, VALIDATION_CLIPS, processes)
    return [
        Pairs(
            View(pairs.view.pixels.to(device), pairs.view.parts.to(device)), pairs.truth.to(device)
        )
        for _, pairs in drawn
        if pairs
    ]


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
    grid = torch.cat(whole, dim=1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    write_png(path, grid)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long is trained, and where."""

    steps: int
    anneal: int
    """Number of last steps over which the rate falls to nothing; those of the critic come after."""
    critic: int = 0
    """Steps that follow, in which a critic that learns too says what looks drawn and what mended:
    what is only right on the mean is soft."""
    evaluate_every: int = 200
    device: str = "cpu"
    processes: int = 1
    """That draw clips."""

    @property
    def last(self) -> int:
        """Steps in all."""
        return self.steps + self.critic

    def rate(self, step: int) -> float:
        """Return the share of the full rate that a step is taken with."""
        if step >= self.steps:
            return CRITICAL_RATE * min(1.0, 2 * (self.last - step) / self.critic)
        left = min(1.0, (self.steps - step) / self.anneal) if self.anneal else 1.0
        return left * min(1.0, (step + 1) / WARM_UP)


def train_refiner(
    settings: RefinerSettings, folder: Path, schedule: Schedule, *, resume: bool
) -> Path:
    """Train, and keep checkpoint, curve and pictures of results in a folder.

    Args:
        settings: what decides the weights, beside the schedule.
        folder: where everything is kept.
        schedule: how long, and where.
        resume: go on from the folder's checkpoint if there is one.

    Returns:
        The checkpoint's path.

    Raises:
        ModelError: the loss is no longer a number; the last good checkpoint is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device(schedule.device)
    training = _Training(settings, device)
    checkpoint = folder / CHECKPOINT
    step, seconds = 0, 0.0
    if resume and checkpoint.exists():
        state = load_checkpoint(checkpoint, asdict(settings))
        training.load(state)
        step, seconds = int(state["step"]), float(state["seconds"])
    watched = held_out(settings, schedule.processes, device)
    curve = Curve(folder / "refiner.csv", ("seconds", "loss", "warp", "refined", "detail"), step)
    stock = Stock(settings.seed, settings.batch, settings.kept, settings.piece, device)
    began = time.monotonic() - seconds
    losses: list[float] = []
    clips = settings.clips()
    for number, joining in arriving(
        clips, step, schedule.last, settings.stocking(), schedule.processes
    ):
        for clip in joining:
            stock.add(clip)
        if number == schedule.steps:
            training.meet_critic()
        loss = training.step(stock.pairs(number), schedule.rate(number))
        if not np.isfinite(loss):
            raise ModelError(
                f"the loss of step {number} is {loss}; the last good checkpoint is {checkpoint}"
            )
        losses.append(loss)
        done = number + 1
        ends = done in {schedule.steps, schedule.last}
        if done % schedule.evaluate_every == 0 or ends:
            numbers = _measure(training.average, watched, settings)
            numbers |= {"loss": float(np.mean(losses)), "seconds": time.monotonic() - began}
            losses.clear()
            curve.append(done, numbers)
            logger.info("step %d %s", done, " ".join(f"{k}={v:.4g}" for k, v in numbers.items()))
            kept = {"step": done, "seconds": time.monotonic() - began, **training.state()}
            save_checkpoint(checkpoint, kept)
            if schedule.critic and done == schedule.steps:
                save_checkpoint(folder / BEFORE_CRITIC, kept)
            _draw(training.average, watched, folder / "refiner.png")
    return checkpoint


class _Training:
    """The network, its average, and what learns beside it."""

    def __init__(self, settings: RefinerSettings, device: torch.device) -> None:
        self._settings = settings
        self._device = device
        self.network = settings.network().to(device)
        self.average = settings.network().to(device).requires_grad_(requires_grad=False)
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._averages: list[Tensor] = list(self.average.parameters())
        self._optimiser = torch.optim.AdamW(
            self._parameters, settings.rate, betas=(0.9, 0.99), weight_decay=1e-3, foreach=True
        )
        self._critic: Critic | None = None
        self._taken = 0

    def meet_critic(self) -> None:
        """Let a critic, that knows nothing yet, join from the next step on."""
        torch.manual_seed(self._settings.seed)
        self._critic = Critic(self._device)

    def step(self, pairs: Pairs, rate: float) -> float:
        """Learn from pairs; return the loss.

        Args:
            pairs: on the training's device.
            rate: share of the full rate.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = self._settings.rate * rate
        view = View(
            pairs.view.pixels.contiguous(memory_format=torch.channels_last), pairs.view.parts
        )
        pairs = Pairs(view, pairs.truth)
        tried = _tried(self.network, pairs, bfloat16=self._settings.bfloat16)
        loss = tried.loss
        if self._critic is not None:
            loss = loss + self._critic.weighed(tried.loss, tried.made, pairs)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        if self._critic is not None:
            self._critic.learn(tried.made.detach(), pairs)
        self._taken += 1
        share = min(self._settings.average, self._taken / (self._taken + 8))
        torch._foreach_lerp_(self._averages, [value.data for value in self._parameters], 1 - share)
        return float(tried.loss.detach())

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "config": asdict(self._settings),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "critic": self._critic.state() if self._critic else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._taken = int(state["step"])
        if state["critic"] is not None:
            self._critic = Critic(self._device)
            self._critic.load(state["critic"])


def export_refiner(folder: Path, path: Path, *, before_critic: bool = False) -> None:
    """Write the averaged network of a training as safetensors in float16, and ``bundle.json``.

    Args:
        folder: of the training.
        path: of the weights.
        before_critic: write what it was when the critic joined.

    Raises:
        ModelError: there is no checkpoint.
        OutputError: a file cannot be written.
    """
    checkpoint = folder / (BEFORE_CRITIC if before_critic else CHECKPOINT)
    if not checkpoint.is_file():
        raise ModelError(f"{checkpoint}: missing", hint="Train with the command doll first.")
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    values = {
        name: value.to(torch.float16).contiguous() for name, value in state["average"].items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        save_file(values, part)
    record_files(path.parent, "doll", "python -m marionext.training")
