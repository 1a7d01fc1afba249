"""Train the control network on what pose maps mean, before the UNet uses it.

A thin coloured line says little to a UNet that has just begun: it learns to do without. So the
control network first learns to predict, through a linear layer that is thrown away afterwards,
where the parts of a body are: the latents of the same pose drawn as one fixed figure on black.
This takes a few hundred steps of a small network.
"""

import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from marionext.errors import ModelError
from marionext.training.checkpoints import save_checkpoint
from marionext.training.initial import PatchEncoder
from marionext.training.prefetching import drawn_ahead
from marionext.training.puppet.batches import Batch, ClipMaker
from marionext.training.puppet.networks import PuppetNetworks
from marionext.training.puppet.vae import VaeSettings, components_in
from marionext.training.puppet.video import VideoSettings

__all__ = ["train_control"]

logger = logging.getLogger(__name__)

CLIPS, FRAMES = 4, 3


class ControlClips:
    """Makes the clips of each step."""

    def __init__(self, maker: ClipMaker, seed: int) -> None:
        self._maker, self._seed = maker, seed

    def __call__(self, step: int) -> Batch:
        """Make a few short clips, none of which the training after this one sees."""
        first = ((self._seed + 1) << 32) + (1 << 31) + step * CLIPS
        return self._maker.batch([first + number for number in range(CLIPS)], FRAMES)


def train_control(
    settings: VideoSettings, folder: Path, *, steps: int, resume: bool, rate: float = 1e-3
) -> Path:
    """Train the control network alone; `train_video` begins with the result.

    Args:
        settings: of the training that follows.
        folder: where the result is kept.
        steps: steps to take.
        resume: begin with the result of an earlier run.
        rate: of learning; it falls to nothing.

    Returns:
        The file of its weights.

    Raises:
        ModelError: the loss is no longer a number.
    """
    path = folder / "control.pt"
    torch.manual_seed(settings.seed)
    control = PuppetNetworks(settings.sizes).controlnext
    if resume and path.exists():
        control.load_state_dict(torch.load(path, weights_only=True)["controlnext"])
    # The UNet gets the map at half the size of the latents: what lies within a cell has to be in
    # its channels.
    head = nn.Conv2d(control.config.out_channels, 4 * settings.sizes.latent_channels, 1)
    encode = PatchEncoder(*components_in(folder, VaeSettings()))
    make = ControlClips(ClipMaker(encode, settings.size), settings.seed)
    scale = encode.scaling_factor
    parameters = [value for value in control.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW([*parameters, *head.parameters()], rate, weight_decay=1e-3)
    losses: list[float] = []

    for step, batch in drawn_ahead(make, 0, steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 30) * max(0.05, 1 - step / steps)
        generator = torch.Generator().manual_seed(step)
        times = 0.25 * torch.randn(CLIPS, generator=generator) * settings.sigma_deviation
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            found = control(batch.maps, times + 0.25 * settings.sigma_mean)
        target = batch.parts.flatten(0, 1) * scale
        height, width = target.shape[-2:]
        pooled = F.adaptive_avg_pool2d(found.float(), (height // 2, width // 2))
        loss = F.mse_loss(F.pixel_shuffle(head(pooled), 2), target)
        if not torch.isfinite(loss):
            raise ModelError(f"the loss of step {step} of the control network is {loss.item()}")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        losses.append(loss.item() / float(target.square().mean()))
        if (step + 1) % 25 == 0:
            logger.info("control step %d: %.3f of the power", step + 1, np.mean(losses[-25:]))
    state = {"config": asdict(settings), "steps": steps, "controlnext": control.state_dict()}
    save_checkpoint(path, {**state, "left": float(np.mean(losses[-50:]))})
    return path
