"""The UNet with its control network, as it is trained: SVD's preconditioning and its loss.

The network, told of noise level sigma, predicts v (Karras et al. 2022, arXiv:2206.00364; Blattmann
et al. 2023, arXiv:2311.15127); the error of the clean latents that this stands for is weighed with
(sigma^2 + 1) / sigma^2, which makes it the error of v.
"""

from typing import Any

import torch
from torch import Tensor, nn

from marionext.diffusion.controlnext import ControlNeXtConfig, ControlNeXtSVD
from marionext.diffusion.injection import injected
from marionext.training.biases import remove_biases
from marionext.training.finetune.batches import Batch

__all__ = ["TIME_IDS", "SteeredUNet", "fresh_control", "window_losses"]

TIME_IDS = (6.0, 128.0, 0.02)
"""Frame rate less one, motion bucket, noise augmentation: what the reference always gives."""


class SteeredUNet(nn.Module):
    """A UNet and the network that steers it."""

    def __init__(self, unet: Any, control: ControlNeXtSVD, scale: float) -> None:
        """Join the two; ``scale`` is the autoencoder's ``scaling_factor``."""
        super().__init__()
        self.unet = unet
        self.control = control
        self.scale = scale
        self.normalised = not control.config.zero_convolution

    def forward(
        self,
        noisy: Tensor,
        sigmas: Tensor,
        references: Tensor,
        embeddings: Tensor,
        maps: Tensor,
        strengths: Tensor,
    ) -> Tensor:
        """Predict the clean latents.

        Args:
            noisy: (windows, frames, c, h, w), scaled latents plus noise, float32.
            sigmas: (windows,) noise levels.
            references: (windows, c, h, w), latents of the character's picture, not scaled.
            embeddings: (windows, channels) of the character's picture.
            maps: (windows, frames, 3, H, W) control pictures of 8 bits.
            strengths: (windows,) of the control, 1 or 0.

        Returns:
            (windows, frames, c, h, w), scaled, float32.
        """
        windows, frames = noisy.shape[:2]
        level = sigmas.view(-1, 1, 1, 1, 1)
        deviation = (level**2 + 1).sqrt()
        repeated = references[:, None].expand(-1, frames, -1, -1, -1)
        times = 0.25 * sigmas.log()
        control = self.control(maps.to(noisy.dtype) / 255, times)
        identities = noisy.new_tensor([TIME_IDS]).expand(windows, -1)
        steered = injected(
            self.unet.down_blocks[0],
            control,
            strengths.repeat_interleave(frames),
            normalised=self.normalised,
        )
        with steered:
            prediction = self.unet(
                torch.cat([noisy / deviation, repeated], dim=2),
                times,
                embeddings[:, None],
                added_time_ids=identities,
                return_dict=False,
            )[0]
        clean: Tensor = prediction.float() * (-level / deviation) + noisy / deviation**2
        return clean


def window_losses(predicted: Tensor, batch: Batch, scale: float) -> Tensor:
    """Return each window's loss, (windows,).

    Args:
        predicted: clean latents, scaled, (windows, frames, c, h, w).
        batch: what they were predicted from.
        scale: the autoencoder's ``scaling_factor``.
    """
    level = ((batch.sigmas**2 + 1) / batch.sigmas**2).view(-1, 1, 1, 1, 1)
    error = (predicted - batch.latents * scale).square()
    losses: Tensor = (level * batch.weights * error).mean(dim=(1, 2, 3, 4))
    return losses


def fresh_control(config: ControlNeXtConfig, seed: int) -> ControlNeXtSVD:
    """Make an untrained control network.

    With cross normalisation its biases stay 0 (see `marionext.training.biases`); with a zero
    convolution its last convolution begins at 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        control = ControlNeXtSVD(config)
    if config.zero_convolution:
        for parameter in control.mid_convs[1].parameters():
            nn.init.zeros_(parameter)
    else:
        remove_biases(control)
    return control
