"""Add the ControlNeXt control signal to the UNet without editing the UNet.

ControlNeXt steers a diffusion UNet with one feature map, added to activations in one place. Before
it is added it takes on their mean and deviation ("cross normalisation", Peng et al. 2024,
arXiv:2408.06070). The formula here is that of the released code and weights; the paper's leaves out
the control map's own statistics.

The reference implementation edits a copy of the whole diffusers UNet. A forward hook does the same
in one place. For video it sits on the first down block, which returns ``(features, skips)``: only
``features`` is changed, so the skip connections still carry the activations as they were.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CONTROL_GAIN", "cross_normalise", "injected", "injection", "pooled"]

CONTROL_GAIN = 0.2
"""Gain of the released SVD code; a control strength of 1 means this."""


def cross_normalise(control: Tensor, features: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Give each frame of ``control`` the mean and deviation of the same frame of ``features``.

    Args:
        control: (frames, channels, h, w), at any resolution.
        features: (frames, channels, H, W), the activations to match.
        eps: keeps a constant control map from dividing by zero.

    Returns:
        A tensor of the shape of ``control``.
    """
    dims = (1, 2, 3)
    mean, std = features.mean(dims, keepdim=True), features.std(dims, keepdim=True)
    own_mean, own_std = control.mean(dims, keepdim=True), control.std(dims, keepdim=True)
    return (control - own_mean) * (std / (own_std + eps)) + mean


def injection(control: Tensor, features: Tensor) -> Tensor:
    """Return what the video variant adds to ``features`` at a gain of 1.

    Args:
        control: (frames, channels, h, w), as the control network returned it.
        features: (frames, channels, H, W).

    Returns:
        A tensor of the shape of ``features``.
    """
    # Normalise first, resize after: the statistics are those of the full-size control map.
    return pooled(cross_normalise(control, features), (features.shape[-2], features.shape[-1]))


def pooled(control: Tensor, size: tuple[int, int]) -> Tensor:
    """Average maps, (frames, channels, h, w), over a grid of ``size`` (rows, columns).

    The same as adaptive average pooling. As two products with the matrix that averages along one
    axis on Apple's GPUs, where torch has it only for sizes that divide each other, and where
    gradients are wanted on CUDA, whose own adds them up in another order every time.
    """
    learns = control.requires_grad and torch.is_grad_enabled()
    if control.device.type != "mps" and not (control.device.type == "cuda" and learns):
        return F.adaptive_avg_pool2d(control, size)
    rows, columns = (
        averaging(length, cells).to(control.device, control.dtype)
        for length, cells in zip(control.shape[-2:], size, strict=True)
    )
    return rows @ control @ columns.T


def averaging(length: int, cells: int) -> Tensor:
    """Return the (cells, length) matrix of adaptive average pooling along one axis."""
    matrix = torch.zeros(cells, length)
    for cell in range(cells):
        first, stop = cell * length // cells, -(-(cell + 1) * length // cells)
        matrix[cell, first:stop] = 1 / (stop - first)
    return matrix


@contextmanager
def injected(
    block: nn.Module, control: Tensor, strength: Tensor, *, normalised: bool = True
) -> Iterator[None]:
    """While the context is open, add ``control`` to what ``block`` passes down the UNet.

    Args:
        block: the first down block; its output is ``(features, skips)``.
        control: (frames, channels, h, w), as the control network returned it.
        strength: (frames,), 0 for the unconditional half of a guided batch.
        normalised: False for a map that is added as it is, by networks with a zero convolution.
    """

    def add_control(
        _block: nn.Module, _inputs: tuple[object, ...], output: tuple[Tensor, tuple[Tensor, ...]]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        features, skips = output
        gain = strength.view(-1, 1, 1, 1)
        if not normalised:
            size = (features.shape[-2], features.shape[-1])
            return features + gain * pooled(control, size), skips
        return features + CONTROL_GAIN * gain * injection(control, features), skips

    handle = block.register_forward_hook(add_control)
    try:
        yield
    finally:
        handle.remove()
