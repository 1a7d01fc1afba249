"""Ways in which the puppet's networks make a clip: rows of ``doll_quality.py``.

* `puppet_way`: the built-in puppet, as renders use it;
* `ceiling_way`: the true frames after the puppet's autoencoder alone. What makes latents cannot be
  better than this, however it makes them;
* `warped_puppet_way`: the puppet trained on with the doll's warp of each frame in place of the
  reference picture (``python -m marionext.training video --warped``), from its training's folder.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from puppet_quality import autoencoded, render

from marionext import presets
from marionext.backends import svd
from marionext.diffusion.schedule import make_schedule
from marionext.settings import SvdSettings
from marionext.training.figures.clips import Clip
from marionext.training.initial import PatchEncoder, read_components
from marionext.training.puppet.batches import Batch, ClipMaker
from marionext.training.puppet.networks import PuppetNetworks
from marionext.training.puppet.video import VideoSettings

__all__ = ["Making", "ceiling_way", "puppet_way", "warped_puppet_way"]

Frames = NDArray[np.uint8]
Making = Callable[[Clip], tuple[Frames, float]]
"""Makes a clip's frames; also returns the processor's seconds for one."""


def _settings(size: tuple[int, int]) -> SvdSettings:
    return SvdSettings(
        width=size[0],
        height=size[1],
        steps=3,
        blend="shifted",
        window=8,
        overlap=2,
        guidance_min=1.0,
        guidance_max=1.0,
        decode_chunk=1,
    )


def _timed(make: Callable[[Clip], Frames]) -> Making:
    def making(clip: Clip) -> tuple[Frames, float]:
        began = time.process_time()
        frames = make(clip)
        return frames, (time.process_time() - began) / len(frames)

    torch.set_num_threads(1)
    return making


def puppet_way(size: tuple[int, int]) -> Making:
    """Load the puppet; return how it renders a clip."""
    models = svd.load_models(presets.folder("puppet"))
    return _timed(lambda clip: render(models, clip, _settings(size)))


def ceiling_way(size: tuple[int, int]) -> Making:
    """Load the puppet's autoencoder; return how it keeps the true frames."""
    models = svd.load_models(presets.folder("puppet"))
    return _timed(lambda clip: autoencoded(models, clip.frames[1:], _settings(size)))


def warped_puppet_way(size: tuple[int, int], checkpoint: Path) -> Making:
    """Load the networks of a training; return how they render a clip.

    The plan of windows, the noise levels and the number of steps are those of `puppet_way`.
    """
    models = svd.load_models(presets.folder("puppet"))
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    networks = PuppetNetworks(VideoSettings().sizes)
    networks.load_state_dict(state["average"])
    networks.requires_grad_(requires_grad=False).eval()
    maker = ClipMaker(PatchEncoder(*read_components(models.vae)), size, warped=True)

    def rendered(clip: Clip) -> Frames:
        batch = maker.batch_of([clip], [0])
        latents = _denoised(networks, batch, models.scheduler, _settings(size))
        latents = latents * models.vae.config.scaling_factor
        return np.stack(list(svd.decode(models, latents, _settings(size))))

    return _timed(rendered)


@torch.no_grad()
def _denoised(
    networks: PuppetNetworks, batch: Batch, scheduler: dict[str, object], settings: SvdSettings
) -> torch.Tensor:
    """Denoise one clip of any length by windows: (frames + 1, c, h, w), not scaled."""
    references, maps = batch.references[0], batch.maps[0]
    schedule = make_schedule(scheduler, settings.steps)
    embedding = networks.image_encoder(batch.pixels).image_embeds
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(references.shape, generator=generator) * schedule.initial
    for step, (sigma, following) in enumerate(
        zip(schedule.sigmas[:-1], schedule.sigmas[1:], strict=True)
    ):
        clean = torch.zeros_like(latents)
        for window in svd.plan(settings, len(latents) - 1, step):
            places, control = list(window.frames), list(window.control)
            made = networks(
                latents[None, places],
                torch.tensor([sigma]),
                references[None, control],
                embedding,
                maps[None, control],
                torch.ones(1),
            )
            clean[places] += torch.tensor(window.weights).view(-1, 1, 1, 1) * made[0]
        latents = latents + (latents - clean) / sigma * (following - sigma)
    return latents
