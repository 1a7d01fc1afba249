"""Train the puppet's UNet, control network and image encoder together, from scratch.

The loss is that of Stable Video Diffusion: the UNet, preconditioned for noise level sigma,
predicts v (Karras et al. 2022, arXiv:2206.00364). Everything the networks see is what they see in
a rendering: the reference's own pose in slot 0, pose maps from the real drawer, the unscaled
latents of the reference picture beside every frame. In some of the clips picture, embedding and
control are taken away together, as guidance does.

Whether the model listens to the pose shows in two numbers from the first minutes on: the error
with the right poses and with those of another clip. While they are equal, it ignores the pose.
"""

import logging
import math
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor

from marionext.diffusion.schedule import make_schedule
from marionext.errors import ModelError
from marionext.output import write_png
from marionext.training.checkpoints import Curve, load_checkpoint, save_checkpoint
from marionext.training.figures.clips import HELD_OUT
from marionext.training.initial import PatchEncoder
from marionext.training.pixels import figure_weights
from marionext.training.prefetching import Stocking, arriving
from marionext.training.puppet.batches import Batch, ClipMaker
from marionext.training.puppet.networks import PuppetNetworks, PuppetSizes
from marionext.training.puppet.vae import CHECKPOINT as VAE_CHECKPOINT
from marionext.training.puppet.vae import VaeSettings, components_in, load_vae
from marionext.training.speedups import speed_up
from marionext.training.updates import Updates

__all__ = [
    "FINISHED",
    "SCHEDULER",
    "VideoSettings",
    "denoise",
    "draw_examples",
    "held_out_batch",
    "pose_errors",
    "train_video",
]

logger = logging.getLogger(__name__)

SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "sigma_max": 80.0,
    "sigma_min": 4.0,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "trained_betas": None,
    "use_karras_sigmas": True,
}
"""SVD's scheduler with a short range. At 80 nothing of a picture is left in latents of 16 x 24. The
last level before 0 is a compromise: at 8 a picture is what it is on average given pose and
character (0.2 dB nearer to the truth, soft), at 2 eyes and edges are sharper and some of them in
the wrong place (`benchmarks/puppet_quality.py --last-level`)."""

FINISHED = "finished.pt"
"""Weights of a finished bundle that a training begins with; what they lack begins as ever."""

VALIDATION_CLIPS = 4

LATER_WINDOWS = 0.1
"""Share of the clips that are made to look like the later windows of the reference's plan."""

LATE_MEAN, LATE_DEVIATION = 0.3, 0.9
"""Of ln sigma of the late levels."""

LENGTHS = (2, 4, 2, 1)
"""In turn: a window is left whole, or replaced by two of half or four of a quarter its length.
Short windows show more characters, but a larger part of them are references."""

LARGE_LENGTHS = (2, 4)
"""Likewise for large pictures: never whole windows."""


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """What decides the weights of a training."""

    sizes: PuppetSizes = field(default_factory=PuppetSizes)
    size: tuple[int, int] = (128, 192)
    large_size: tuple[int, int] = (256, 384)
    frames: int = 8
    """Slots of a window, the reference's included."""
    clips: int = 4
    """Whole windows in a step."""
    bfloat16: bool = True
    """Mixed precision: up to three times as fast on a processor that has it."""
    rate: float = 1e-3
    seed: int = 0
    sigma_mean: float = 2.4
    """Of ln sigma: high, so that nothing but the control tells where the figure is."""
    sigma_deviation: float = 1.2
    late_share: float = 0.3
    """Share of the clips at the low noise levels of a schedule's last steps."""
    unconditional: float = 0.1
    average: float = 0.999
    figure_weight: float = 3.0
    """Weight of the loss where the pose map is, against elsewhere."""
    parts_weight: float = 0.5
    """Weight of the loss on the layout of the body's parts; 0 for networks that know it."""
    warped: bool = False
    """Whether each frame's reference is the doll's warp of the reference picture."""
    kept: int = 1
    """Steps' clips that are at hand at most: a step learns from some of them."""
    renewed: float = 1.0
    """How many steps' clips are drawn in a step; with all of them and one kept, each step has clips
    of its own."""

    def stocking(self) -> Stocking:
        """Return how often clips are drawn."""
        return Stocking(self.kept, self.kept, self.renewed)

    def clip_maker(self, encode: PatchEncoder, size: tuple[int, int]) -> ClipMaker:
        """Return what makes the clips of one size."""
        return ClipMaker(encode, size, warped=self.warped)


class StepClips:
    """Makes the clips of each step.

    Args:
        encode: the encoder of the autoencoder.
        settings: of the training.
        large_every: steps from one of large pictures to the next; 0: none are.
    """

    def __init__(
        self, encode: PatchEncoder, settings: VideoSettings, *, large_every: int = 0
    ) -> None:
        self._encode, self._settings, self._large_every = encode, settings, large_every

    @cached_property
    def _small(self) -> ClipMaker:
        return self._settings.clip_maker(self._encode, self._settings.size)

    @cached_property
    def _large(self) -> ClipMaker:
        return self._settings.clip_maker(self._encode, self._settings.large_size)

    def __call__(self, step: int) -> Batch:
        """Make whole windows, or more and shorter ones for more characters."""
        settings = self._settings
        parts = LENGTHS[step % len(LENGTHS)]
        clips, frames = settings.clips * parts, settings.frames // parts
        maker = self._small
        if self._large_every and step % self._large_every == 0:
            # Half as many slots as a small step has, four times as large.
            maker = self._large
            turn = step // self._large_every % len(LARGE_LENGTHS)
            frames = settings.frames // LARGE_LENGTHS[turn]
            clips = max(1, settings.frames // 2 // frames) * settings.clips
        first = ((settings.seed + 1) << 32) + step * settings.clips * max(LENGTHS)
        return maker.batch([first + number for number in range(clips)], frames)


def _loss(
    networks: PuppetNetworks, batch: Batch, scale: float, settings: VideoSettings, step: int
) -> Tensor:
    generator = torch.Generator().manual_seed((settings.seed << 32) + step)
    clean = batch.latents * scale
    clips, frames = clean.shape[:2]
    draws = torch.rand(clips, 2, generator=generator)
    normal = torch.randn(clips, generator=generator)
    # Late levels make a picture sharp; only a network that follows the pose may be taught them.
    late = torch.rand(clips, generator=generator) < settings.late_share
    high = settings.sigma_mean + settings.sigma_deviation * normal
    # The larger a picture, the more noise it takes to hide as much of it (Hoogeboom et al. 2023,
    # arXiv:2301.11093).
    high += math.log(batch.maps.shape[-1] / settings.size[0])
    sigmas = torch.where(late, LATE_MEAN + LATE_DEVIATION * normal, high).exp().clamp(0.2, 160.0)
    target = clean
    grid = (clean.shape[-2], clean.shape[-1])
    weights = figure_weights(batch.maps.flatten(0, 1), grid, settings.figure_weight)
    weights = weights.view(clips, frames, 1, *grid)
    # In the later windows of a long clip slot 0 holds a frame of the dance under the reference's
    # pose, and what is predicted for it is thrown away.
    later = draws[:, 0] < LATER_WINDOWS
    if later.any():
        clean = clean.clone()
        clean[later, 0] = clean[later, 1]
        weights = weights.expand(clips, frames, -1, -1, -1).clone()
        weights[later, 0] = 0
    kept = (draws[:, 1] >= settings.unconditional).float()
    noise = torch.randn(clean.shape, generator=generator) * sigmas.view(-1, 1, 1, 1, 1)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
        embeddings = networks.image_encoder(batch.pixels).image_embeds
        predicted = networks(
            clean + noise,
            sigmas,
            batch.references * kept.view(-1, *[1] * (batch.references.ndim - 1)),
            embeddings * kept.view(-1, 1),
            batch.maps,
            kept,
        )
        found = networks.parts(networks.layout.flatten(0, -4)).float()
        origin = networks.origin(networks.middle.flatten(0, -4)).float()
    level = ((sigmas**2 + 1) / sigmas**2).clamp(max=20).view(-1, 1, 1, 1, 1)
    picture = (level * weights * (predicted - target).square()).mean()
    # So that the pose has an effect early: it has to arrive where the picture is put together. And
    # every frame has to know where the reference has its parts, to fetch them from there.
    parts = batch.parts * scale
    away = F.adaptive_avg_pool2d(parts[:, 0], origin.shape[-2:])
    hears = kept.repeat_interleave(frames).view(-1, 1, 1, 1)
    layout = (hears * (found - parts.flatten(0, 1))).square().mean() / parts.square().mean()
    source = (hears * (origin - away.repeat_interleave(frames, 0))).square().mean()
    source = source / away.square().mean()
    total: Tensor = picture + settings.parts_weight * (layout + source)
    return total


def held_out_batch(maker: ClipMaker, settings: VideoSettings) -> Batch:
    """Make the held-out clips that a training is validated on."""
    seeds = [HELD_OUT + number for number in range(VALIDATION_CLIPS)]
    return maker.batch(seeds, settings.frames)


@torch.no_grad()
def pose_errors(networks: PuppetNetworks, batch: Batch, scale: float) -> dict[str, float]:
    """Return the error with the right poses and with another clip's, at two noise levels."""
    clean = batch.latents * scale
    embeddings = networks.image_encoder(batch.pixels).image_embeds
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(clean.shape, generator=generator)
    short = clean.shape[1] // 2
    clean, maps, noise = clean[:, :short], batch.maps[:, :short], noise[:, :short]
    references = batch.references
    if references.ndim == 5:
        references = references[:, :short]
    numbers = {}
    for name, sigma in (("2", 2.0), ("10", 10.0)):
        sigmas = torch.full((len(clean),), sigma)
        for kind, shown in (("right", maps), ("wrong", maps.roll(1, 0))):
            predicted = networks(
                clean + noise * sigma,
                sigmas,
                references,
                embeddings,
                shown,
                torch.ones_like(sigmas),
            )
            numbers[f"{kind}_{name}"] = float((predicted - clean)[:, 1:].square().mean())
    return numbers


@torch.no_grad()
def denoise(
    networks: PuppetNetworks, batch: Batch, scale: float, steps: int, seed: int = 0
) -> Tensor:
    """Generate the latents of one window per clip, unscaled: (clips, frames, c, h, w)."""
    schedule = make_schedule(SCHEDULER, steps)
    embeddings = networks.image_encoder(batch.pixels).image_embeds
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(batch.latents.shape, generator=generator) * schedule.initial
    strengths = torch.ones(len(latents))
    for sigma, following in zip(schedule.sigmas[:-1], schedule.sigmas[1:], strict=True):
        clean = networks(
            latents,
            torch.full((len(latents),), sigma),
            batch.references,
            embeddings,
            batch.maps,
            strengths,
        )
        latents = latents + (latents - clean) / sigma * (following - sigma)
    return latents / scale


@torch.no_grad()
def draw_examples(
    networks: PuppetNetworks, vae: AutoencoderKLTemporalDecoder, batch: Batch, path: Path
) -> None:
    """Write a picture: for each clip the truth, the pose maps (brightened) and what is made."""
    scale = float(vae.config.scaling_factor)
    some = Batch(*(getattr(batch, name)[:4] for name in Batch.__slots__))
    made = denoise(networks, some, scale, 8)
    rows: list[Tensor] = []
    for truth, maps, latents in zip(some.latents, some.maps, made, strict=True):
        parts = (
            vae.decode(truth, num_frames=1).sample.clamp(-1, 1),
            (maps * 3).clamp(0, 1) * 2 - 1,
            vae.decode(latents, num_frames=1).sample.clamp(-1, 1),
        )
        rows += [torch.cat(list(pictures), dim=2) for pictures in parts]
    grid = torch.cat(rows, dim=1).add(1).mul(127.5).byte().permute(1, 2, 0).numpy()
    write_png(path, grid)


def train_video(
    settings: VideoSettings,
    folder: Path,
    *,
    steps: int,
    anneal: int,
    resume: bool,
    large_every: int = 0,
    evaluate_every: int = 100,
) -> Path:
    """Train, and keep checkpoint, curve and pictures of results in a folder.

    Args:
        settings: what decides the weights.
        folder: where everything is kept.
        steps: steps in all.
        anneal: number of last steps over which the rate falls to a fiftieth.
        resume: go on from the folder's checkpoint if there is one.
        large_every: steps from one of large pictures to the next; 0: none are.
        evaluate_every: steps between checkpoints.

    Returns:
        The checkpoint's path.

    Raises:
        ModelError: the loss is no longer a number; the last good checkpoint is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "video.pt"
    encode = PatchEncoder(*components_in(folder, VaeSettings()))
    scale = encode.scaling_factor
    held_out = held_out_batch(settings.clip_maker(encode, settings.size), settings)
    torch.manual_seed(settings.seed)
    networks = PuppetNetworks(settings.sizes)
    taught, finished = folder / "control.pt", folder / FINISHED
    if finished.exists():
        networks.load_state_dict(torch.load(finished, weights_only=True), strict=False)
    elif taught.exists():
        state = torch.load(taught, weights_only=True)
        networks.controlnext.load_state_dict(state["controlnext"])
    speed_up(networks.unet)
    average = networks.averaged_copy()
    updates = Updates(networks, settings.rate)
    averages: list[Tensor] = [
        mean
        for mean, value in zip(average.parameters(), networks.parameters(), strict=True)
        if value.requires_grad
    ]
    config = asdict(settings)
    step, seconds = 0, 0.0
    if resume and checkpoint.exists():
        state = load_checkpoint(checkpoint, config)
        networks.load_state_dict(state["networks"])
        average.load_state_dict(state["average"])
        updates.load(state["updates"])
        step, seconds = int(state["step"]), float(state["seconds"])
    columns = ("seconds", "loss", "right_2", "wrong_2", "right_10", "wrong_10")
    curve = Curve(folder / "video.csv", columns, step)
    began = time.monotonic() - seconds
    losses: list[float] = []
    make = StepClips(encode, settings, large_every=large_every)
    at_hand: deque[Batch] = deque(maxlen=settings.kept)
    for number, joining in arriving(make, step, steps, settings.stocking()):
        at_hand.extend(joining)
        batch = at_hand[np.random.default_rng([settings.seed, number]).integers(len(at_hand))]
        left = min(1.0, (steps - number) / anneal) if anneal else 1.0
        loss = _loss(networks, batch, scale, settings, number)
        if not torch.isfinite(loss):
            raise ModelError(
                f"the loss of step {number} is {loss.item()}; "
                f"the last good checkpoint is {checkpoint}"
            )
        updates.take(loss, number, max(left, 0.02))
        losses.append(loss.item())
        step = number + 1
        share = min(settings.average, step / (step + 20))
        torch._foreach_lerp_(averages, [value.data for value in updates.parameters], 1 - share)
        if step % evaluate_every == 0 or step == steps:
            numbers = pose_errors(average, held_out, scale)
            numbers |= {"loss": float(np.mean(losses)), "seconds": time.monotonic() - began}
            losses.clear()
            curve.append(step, numbers)
            logger.info("step %d %s", step, " ".join(f"{k}={v:.4g}" for k, v in numbers.items()))
            state = {
                "config": config,
                "step": step,
                "seconds": time.monotonic() - began,
                "networks": networks.state_dict(),
                "average": average.state_dict(),
                "updates": updates.state(),
            }
            save_checkpoint(checkpoint, state)
            if step % (20 * evaluate_every) == 0 and (folder / VAE_CHECKPOINT).exists():
                draw_examples(average, load_vae(folder), held_out, folder / "video.png")
    return checkpoint
