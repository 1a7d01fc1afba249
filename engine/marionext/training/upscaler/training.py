"""Train the upscaler: resumable at any step, the same steps as without a stop."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from marionext.errors import ModelError
from marionext.training.figures.clips import HELD_OUT
from marionext.training.loop import Schedule, train
from marionext.training.prefetching import Stocking, arriving
from marionext.training.speedups import channels_last, plain_joint_attention
from marionext.training.updates import Updates
from marionext.training.upscaler.networks import (
    LATENTS,
    NOISE,
    SCALE,
    UpscalerNetworks,
    UpscalerSizes,
)
from marionext.training.upscaler.pictures import PieceMaker, Pieces, PieceStock

__all__ = [
    "CHECKPOINT",
    "CURVE",
    "UpscalerSettings",
    "load_networks",
    "sharpened",
    "train_upscaler",
]

CHECKPOINT, CURVE = "upscaler.pt", "upscaler.csv"
VALIDATION_MAKINGS = 6
COLUMNS = ("enlarged", "sharpened", "gain")


@dataclass(frozen=True, slots=True)
class UpscalerSettings:
    """What decides the weights of a training, beside its schedule."""

    sizes: UpscalerSizes = field(default_factory=UpscalerSizes)
    batch: int = 12
    """Pieces in a step."""
    made: int = 24
    """Pieces that are made at once."""
    stock: int = 16
    """Makings at hand at first."""
    kept: int = 300
    """Makings at hand at most."""
    renewed: float = 0.2
    """Makings in a step."""
    rate: float = 1.5e-3
    average: float = 0.998
    seed: int = 0
    bfloat16: bool = True


def _latents(pictures: Tensor) -> Tensor:
    """Return pictures of 8 bits as the flow takes them: (n, 4, h, w) of about unit variance."""
    return F.pad((pictures.float() / 127.5 - 1) * SCALE, (0, 0, 0, 0, 0, LATENTS - 3))


@torch.no_grad()
def sharpened(networks: UpscalerNetworks, enlarged: Tensor, noise: Tensor) -> Tensor:
    """Take the step from enlarged pictures to sharp ones.

    Args:
        networks: trained ones.
        enlarged: (n, 3, h, w) of 8 bits.
        noise: (n, 4, h, w), or of one picture for all.

    Returns:
        (n, 3, h, w) of 8 bits.
    """
    begun = _latents(enlarged)
    noisy = (1 - NOISE) * begun + NOISE * noise
    times = torch.full((len(enlarged),), 1000 * NOISE, device=enlarged.device)
    clean = noisy - NOISE * networks(noisy, times, enlarged.float() / 255)
    pixels: Tensor = ((clean[:, :3] / SCALE + 1) * 127.5).round().clamp(0, 255).byte()
    return pixels


def _psnr(found: Tensor, wanted: Tensor) -> float:
    """Return how near pictures of 8 bits come: the mean of each one's decibels."""
    errors = (found.float() - wanted.float()).square().mean((1, 2, 3)).clamp(min=0.01)
    return float((10 * torch.log10(255**2 / errors)).mean())


class _Training:
    """The networks, their average, and what moves them."""

    def __init__(self, settings: UpscalerSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.networks = make_networks(settings).to(device)
        self.average = make_networks(settings).requires_grad_(requires_grad=False).eval().to(device)
        self.average.load_state_dict(self.networks.state_dict())
        for each in (self.networks, self.average):
            plain_joint_attention(each.transformer)
            channels_last(each.controlnext)
        self._updates = Updates(self.networks, settings.rate, control_rate=0.5)
        maker = PieceMaker(HELD_OUT, settings.made, settings.sizes.tile)
        made = [maker(number) for number in range(VALIDATION_MAKINGS)]
        self.held_out = Pieces(
            torch.cat([each.wanted for each in made]), torch.cat([each.enlarged for each in made])
        )
        ours = zip(self.average.parameters(), self.networks.parameters(), strict=True)
        self._averages: list[Tensor] = [mean for mean, value in ours if value.requires_grad]

    def begin(self) -> None:
        """Begin with random weights."""

    def step(self, pieces: Pieces, step: int, rate: float) -> float:
        """Learn from pieces; return the loss, which may be no number: then nothing is learnt."""
        generator = torch.Generator().manual_seed((self.settings.seed << 32) + step)
        bigger, wanted = (each.to(self.device) for each in (pieces.enlarged, pieces.wanted))
        begun = _latents(bigger)
        noise = torch.randn(begun.shape, generator=generator).to(self.device)
        noisy = (1 - NOISE) * begun + NOISE * noise
        flow = (noisy - _latents(wanted)) / NOISE
        times = torch.full((len(pieces),), 1000 * NOISE, device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            found = self.networks(noisy, times, bigger.float() / 255)
        # Nobody looks at the empty latent.
        loss = (found - flow)[:, :3].square().mean()
        if not torch.isfinite(loss):
            return float(loss)
        self._updates.take(loss, step, rate)
        share = min(self.settings.average, (step + 1) / (step + 21))
        values = [value.data for value in self._updates.parameters]
        torch._foreach_lerp_(self._averages, values, 1 - share)
        return float(loss.detach())

    def errors(self) -> dict[str, float]:
        """Return how near enlarged and sharpened pieces never trained on come, in decibels."""
        held = self.held_out
        shape = (1, LATENTS, *held.wanted.shape[2:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(self.device)
        made = [
            sharpened(self.average, part.to(self.device), noise).cpu()
            for part in torch.split(held.enlarged, 8)
        ]
        plain, sharp = _psnr(held.enlarged, held.wanted), _psnr(torch.cat(made), held.wanted)
        return {"enlarged": plain, "sharpened": sharp, "gain": sharp - plain}

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "networks": self.networks.state_dict(),
            "average": self.average.state_dict(),
            "updates": self._updates.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self._updates.load(state["updates"])


def make_networks(settings: UpscalerSettings) -> UpscalerNetworks:
    """Make the untrained networks."""
    torch.manual_seed(settings.seed)
    return UpscalerNetworks(settings.sizes)


def load_networks(folder: Path) -> tuple[UpscalerNetworks, dict[str, Any]]:
    """Load the averaged networks of a training, and its checkpoint's other entries.

    Raises:
        ModelError: there is no checkpoint.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise ModelError(f"{path}: missing", hint="Train with the command upscaler first.")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    config = dict(state["config"])
    networks = make_networks(
        UpscalerSettings(**{**config, "sizes": UpscalerSizes(**config["sizes"])})
    )
    networks.load_state_dict(state["average"])
    return networks.requires_grad_(requires_grad=False).eval(), state


def train_upscaler(
    settings: UpscalerSettings, folder: Path, schedule: Schedule, *, resume: bool
) -> Path:
    """Train, and keep checkpoint and curve in a folder; return the checkpoint's path.

    Args:
        settings: what decides the weights, beside the schedule.
        folder: where everything is kept.
        schedule: how long, and where.
        resume: go on from the folder's checkpoint if there is one.

    Raises:
        ModelError: the loss is no longer a number; the last good checkpoint is kept.
    """
    training = _Training(settings, torch.device(schedule.device))
    make = PieceMaker((settings.seed + 1) << 32, settings.made, settings.sizes.tile)
    stocking = Stocking(settings.stock, settings.kept, settings.renewed)

    def batches(first: int) -> Iterator[tuple[int, Pieces]]:
        stock = PieceStock(settings.seed, settings.kept, settings.batch)
        for number, joining in arriving(make, first, schedule.steps, stocking, schedule.processes):
            for each in joining:
                stock.add(each)
            yield number, stock.pick(number)

    return train(training, schedule, batches, folder / CHECKPOINT, COLUMNS, resume=resume)
