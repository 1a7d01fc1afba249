"""Train the picture model's UNet, control network and text encoder together.

The loss is Stable Diffusion's, on v (Salimans and Ho 2022, arXiv:2202.00512). Some pictures have
no caption, as guidance needs it, and some no control, so that words alone make a picture, too.

Whether it listens shows in the error with the right poses and words, with those of another
picture, and with neither changed: while two of them are equal, what was changed is not heard.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from torch import Tensor

from marionext.backends.svd.loading import NetworkFiles
from marionext.errors import ModelError
from marionext.output import write_png
from marionext.training.figures.clips import HELD_OUT
from marionext.training.initial import PatchEncoder, read_components
from marionext.training.loop import Schedule, train
from marionext.training.picture.autoencoder import picture_autoencoder
from marionext.training.picture.batches import PictureMaker, Pictures, PictureStock
from marionext.training.picture.captions import WORDS
from marionext.training.picture.networks import (
    SCHEDULER,
    PictureNetworks,
    PictureSizes,
    begin_with_puppet,
    levels,
)
from marionext.training.picture.words import teach_phrases
from marionext.training.pixels import figure_weights
from marionext.training.prefetching import Stocking, arriving
from marionext.training.speedups import channels_last, plain_attention
from marionext.training.tokenizer import make_tokenizer
from marionext.training.updates import Updates

__all__ = [
    "CHECKPOINT",
    "CURVE",
    "PictureSchedule",
    "PictureSettings",
    "generate",
    "load_networks",
    "train_picture",
]

CHECKPOINT, CURVE = "picture.pt", "picture.csv"
VALIDATION_CLIPS = 8
ERRORS = [f"{kind}_{level}" for level in (500, 900) for kind in ("right", "pose", "words")]
HIGH, HIGHER = 0.75, 0.6
"""Exponents that make high noise levels more frequent, where pose and colours are decided; the
larger a picture, the more noise it takes to hide as much of it."""


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """What decides the weights of a training, beside its schedule."""

    sizes: PictureSizes = field(default_factory=PictureSizes)
    size: tuple[int, int] = (128, 192)
    large_size: tuple[int, int] = (256, 384)
    clips: int = 12
    """In a step: two pictures of each."""
    word_steps: int = 300
    """In which the text encoder reads captions, before any picture."""
    stock: int = 24
    """Steps' pictures at hand at first."""
    kept: int = 400
    """Steps' pictures at hand at most."""
    renewed: float = 0.34
    """Steps' pictures drawn in a step."""
    rate: float = 1e-3
    seed: int = 0
    wordless: float = 0.12
    uncontrolled: float = 0.12
    average: float = 0.999
    figure_weight: float = 3.0
    """Weight of the loss where the pose map is, against elsewhere."""
    bfloat16: bool = True

    def stocking(self) -> Stocking:
        """Return how often pictures are drawn: those of a step take a third of its time."""
        return Stocking(self.stock, self.kept, self.renewed)


@dataclass(frozen=True, slots=True)
class PictureSchedule(Schedule):
    """How long is trained, and where, on which sizes."""

    large_every: int = 0
    """Of so many steps one is taken with large pictures; 0: none is."""
    compiled: bool = False
    """Whether the UNet is compiled: three minutes of a core for each size of pictures, then a
    fifth quicker."""

    def is_large(self, number: int) -> bool:
        """Tell whether a step, or what is made for it, is of large pictures."""
        return bool(self.large_every) and number % self.large_every == 0


class StepPictures:
    """Makes the pictures that join the stock.

    Args:
        encode: the encoder of the autoencoder.
        settings: of the training.
        schedule: says which are large.
    """

    def __init__(
        self, encode: PatchEncoder, settings: PictureSettings, schedule: PictureSchedule
    ) -> None:
        self._encode, self._settings, self._schedule = encode, settings, schedule

    @cached_property
    def _small(self) -> PictureMaker:
        return PictureMaker(self._encode, self._settings.size)

    @cached_property
    def _large(self) -> PictureMaker:
        return PictureMaker(self._encode, self._settings.large_size)

    def __call__(self, number: int) -> Pictures:
        """Make many small pictures, or a quarter as many large ones."""
        settings = self._settings
        large = self._schedule.is_large(number)
        count = max(1, settings.clips // 4) if large else settings.clips
        first = ((settings.seed + 1) << 32) + number * settings.clips
        maker = self._large if large else self._small
        return maker.pictures([first + each for each in range(count)])


def _noisy(clean: Tensor, noise: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """Return latents with noise, and the v that is to be predicted.

    Args:
        clean: (n, c, h, w), scaled.
        noise: likewise.
        left: (n,), what is left of each picture, as a share of the power.
    """
    signal, rest = left.sqrt().view(-1, 1, 1, 1), (1 - left).sqrt().view(-1, 1, 1, 1)
    return signal * clean + rest * noise, signal * noise - rest * clean


class _Training:
    """The networks, their average, and what moves them."""

    def __init__(self, settings: PictureSettings, puppet: Path, device: torch.device) -> None:
        self.settings, self.device = settings, device
        files = NetworkFiles(puppet, torch.float32)
        video_vae = files.vae()
        self.encode = PatchEncoder(*read_components(video_vae))
        self.vae: AutoencoderKL = picture_autoencoder(video_vae)
        self._puppet = puppet
        self.networks = make_networks(settings)
        self.networks.to(device)
        channels_last(self.networks)
        plain_attention(self.networks.unet)
        self.average = make_networks(settings).requires_grad_(requires_grad=False).eval().to(device)
        self._updates = Updates(self.networks, settings.rate)
        self._levels = levels().to(device)
        with torch.no_grad():
            maker = PictureMaker(self.encode, settings.size)
            self._empty = maker.tokens([""]).to(device)
            seeds = [HELD_OUT + number for number in range(VALIDATION_CLIPS)]
            self.held_out = maker.pictures(seeds).on(device)
        ours = zip(self.average.parameters(), self.networks.parameters(), strict=True)
        self._averages: list[Tensor] = [mean for mean, value in ours if value.requires_grad]

    @property
    def scale(self) -> float:
        """Brings latents to unit variance."""
        return self.encode.scaling_factor

    def step(self, pictures: Pictures, step: int, rate: float) -> float:
        """Learn from pictures; return the loss, which may be no number: then nothing is learnt."""
        loss = self._loss(pictures.on(self.device), step)
        if not torch.isfinite(loss):
            return float(loss)
        self._updates.take(loss, step, rate)
        share = min(self.settings.average, (step + 1) / (step + 21))
        values = [value.data for value in self._updates.parameters]
        torch._foreach_lerp_(self._averages, values, 1 - share)
        return float(loss.detach())

    def _loss(self, pictures: Pictures, step: int) -> Tensor:
        settings = self.settings
        generator = torch.Generator().manual_seed((settings.seed << 32) + step)
        clean = pictures.latents * self.scale
        draws = torch.rand(3, len(pictures), generator=generator).to(self.device)
        high = HIGHER if pictures.maps.shape[-1] > settings.size[0] else HIGH
        times = (1000 * draws[0] ** high).long().clamp(max=999)
        noise = torch.randn(clean.shape, generator=generator).to(self.device)
        noisy, wanted = _noisy(clean, noise, self._levels[times])
        wordless = (draws[1] < settings.wordless)[:, None]
        tokens = torch.where(wordless, self._empty, pictures.tokens)
        strengths = (draws[2] >= settings.uncontrolled).float()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.bfloat16):
            found = self.networks(noisy, times, tokens, pictures.controls, strengths)
        grid = (clean.shape[-2], clean.shape[-1])
        weights = figure_weights(pictures.controls, grid, settings.figure_weight)
        loss: Tensor = (weights * (found - wanted).square()).mean()
        return loss

    @torch.no_grad()
    def errors(self) -> dict[str, float]:
        """Return the error with the right poses and words, with other poses, with other words."""
        held, numbers = self.held_out, {}
        clean = held.latents * self.scale
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
        ones = torch.ones(len(held), device=self.device)
        # Two pictures on, as neighbours show the same character.
        shown = {
            "right": (held.tokens, held.controls),
            "pose": (held.tokens, held.controls.roll(2, 0)),
            "words": (held.tokens.roll(2, 0), held.controls),
        }
        for at in (500, 900):
            times = torch.full((len(held),), at, device=self.device)
            noisy, wanted = _noisy(clean, noise.to(self.device), self._levels[times])
            for kind, (tokens, maps) in shown.items():
                found = self.average(noisy, times, tokens, maps, ones)
                numbers[f"{kind}_{at}"] = float((found - wanted).square().mean())
        return numbers

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "networks": self.networks.state_dict(),
            "average": self.average.state_dict(),
            "updates": self._updates.state(),
        }

    def begin(self) -> None:
        """Take what the puppet knows, and learn what captions say."""
        begin_with_puppet(self.networks, self._puppet)
        teach_phrases(self.networks.text_encoder, self.settings.seed, self.settings.word_steps)
        self.average.load_state_dict(self.networks.state_dict())

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self._updates.load(state["updates"])


def make_networks(settings: PictureSettings) -> PictureNetworks:
    """Make the untrained networks."""
    torch.manual_seed(settings.seed)
    return PictureNetworks(settings.sizes, len(make_tokenizer(WORDS)))


def load_networks(folder: Path) -> tuple[PictureNetworks, dict[str, Any]]:
    """Load the averaged networks of a training, and its checkpoint's other entries.

    Raises:
        ModelError: there is no checkpoint.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise ModelError(f"{path}: missing", hint="Train with the command picture first.")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    config = dict(state["config"])
    settings = PictureSettings(**{**config, "sizes": PictureSizes(**config["sizes"])})
    networks = make_networks(settings)
    networks.load_state_dict(state["average"])
    return networks.requires_grad_(requires_grad=False).eval(), state


@torch.no_grad()
def generate(
    networks: PictureNetworks,
    tokens: Tensor,
    empty: Tensor,
    maps: Tensor,
    *,
    steps: int = 20,
    guidance: float = 3.0,
    seed: int = 0,
) -> Tensor:
    """Make the latents of pictures, scaled: (n, c, h, w).

    Args:
        networks: trained ones.
        tokens: (n, length) of the captions.
        empty: (1, length) of no caption.
        maps: (n, 3, H, W) pose maps in [0, 1].
        steps: of denoising.
        guidance: how much further than without words the words lead.
        seed: of the noise.
    """
    scheduler = DDIMScheduler.from_config(SCHEDULER)
    scheduler.set_timesteps(steps)
    count, device = len(tokens), maps.device
    shape = (count, networks.unet.config.in_channels, maps.shape[-2] // 8, maps.shape[-1] // 8)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)
    ones = torch.ones(count, device=device)
    for at in scheduler.timesteps:
        times = at.expand(count).to(device)
        told = networks(latents, times, tokens, maps, ones)
        untold = networks(latents, times, empty.expand(count, -1), maps, ones)
        latents = scheduler.step(untold + guidance * (told - untold), at, latents).prev_sample
    return latents


@torch.no_grad()
def draw_examples(
    networks: PictureNetworks,
    vae: AutoencoderKL,
    pictures: Pictures,
    empty: Tensor,
    path: Path,
    *,
    steps: int = 20,
) -> None:
    """Write a picture: drawn figures, their poses, what is made, and of another's words.

    Args:
        networks: trained ones.
        vae: the autoencoder.
        pictures: of figures never trained on.
        empty: (1, length), the tokens of no caption.
        path: the PNG.
        steps: of denoising.
    """
    scale = float(vae.config.scaling_factor)
    other = pictures.tokens.roll(2, 0)
    rows = [
        vae.decode(pictures.latents).sample,
        (pictures.controls * 3).clamp(0, 1) * 2 - 1,
        *(
            vae.decode(
                generate(networks, tokens, empty, pictures.controls, steps=steps) / scale
            ).sample
            for tokens in (pictures.tokens, other)
        ),
    ]
    grid = torch.cat([torch.cat(list(row.clamp(-1, 1)), dim=2) for row in rows], dim=1)
    write_png(path, grid.add(1).mul(127.5).round().byte().permute(1, 2, 0).cpu().numpy())


def train_picture(
    settings: PictureSettings,
    folder: Path,
    puppet: Path,
    schedule: PictureSchedule,
    *,
    resume: bool,
) -> Path:
    """Train, and keep checkpoint, curve and pictures of results in a folder.

    Args:
        settings: what decides the weights, beside the schedule.
        folder: where everything is kept.
        puppet: folder of the bundle that it begins with.
        schedule: how long, and where.
        resume: go on from the folder's checkpoint if there is one.

    Returns:
        The checkpoint's path.

    Raises:
        ModelError: the loss is no longer a number; the last good checkpoint is kept.
    """
    training = _Training(settings, puppet, torch.device(schedule.device))
    make = StepPictures(training.encode, settings, schedule)
    if schedule.compiled:
        training.networks.unet.compile()

    def batches(first: int) -> Iterator[tuple[int, Pictures]]:
        stock = PictureStock(settings.seed, settings.kept)
        for number, joining in arriving(
            make, first, schedule.steps, settings.stocking(), schedule.processes
        ):
            for each in joining:
                stock.add(each)
            size = settings.large_size if schedule.is_large(number) else settings.size
            yield number, stock.pick(number, size)

    return train(training, schedule, batches, folder / CHECKPOINT, tuple(ERRORS), resume=resume)
