"""Initial values with which small networks of diffusers' classes learn colours at once.

diffusers fixes 32 groups a normalisation: in small widths a group is two to four channels, and
what a group has in common over the picture (the colour of a wall) is divided away. A group that
also holds large constants of opposite signs has nearly the same mean and deviation whatever the
picture, and the rest passes nearly linearly, its level included. It takes three channels: of two
constants that are centred and scaled, nothing but a sign is left.

With the default values a temporal VAE 64 wide had learnt only grey outlines after 500 steps. Here
the encoder is constructed instead of learnt: it gathers each patch of 8 x 8 into channels and
projects them on their principal components (twelve of them keep plain drawn figures at 28 dB), and
its residual branches are silent. `PatchEncoder` computes the same without convolutions. The decoder
begins by spreading the mean colours smoothly; it is trained.
"""

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = [
    "PatchEncoder",
    "begin_as_components",
    "keep_levels",
    "patch_components",
    "read_components",
]

OFFSET = 0.5
"""Half the distance of the constants in a group."""

SHARE = 0.2
"""How much of the random values stays beside the constructed ones."""

PATCH = 8

SIGNAL = 0.15
"""Size of an encoder's signal of unit variance against the constants of its group."""


def keep_levels(network: nn.Module, offset: float = OFFSET) -> None:
    """Spread the channels before the normalisations by offsets of alternating sign, in place.

    Args:
        network: an untrained UNet, encoder or decoder of diffusers.
        offset: half the distance between neighbouring channels.
    """
    for name, module in network.named_modules():
        if (
            isinstance(module, nn.Conv2d)
            and name.rpartition(".")[2] in {"conv_in", "conv1"}
            and module.bias is not None
        ):
            nn.init.constant_(module.bias, offset)
            module.bias.data[1::2] = -offset


def patch_components(pictures: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Analyse patches of 8 x 8.

    Args:
        pictures: (n, 3, h, w) in [-1, 1].
        count: how many components.

    Returns:
        (count, 192) components over (row, column, colour) and their deviations (count,).
    """
    patches = pictures.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    flat: NDArray[np.float64] = (
        patches.permute(0, 2, 3, 4, 5, 1).reshape(-1, PATCH * PATCH * 3).double().numpy()
    )
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    components = torch.from_numpy(vectors[:, ::-1][:, :count].T.copy()).float()
    return components, torch.from_numpy(values[::-1][:count].copy()).float().sqrt()


class PatchEncoder:
    """What the constructed encoder computes, as one matrix product.

    Args:
        components: (count, 192), as `patch_components` returns them.
        deviations: (count,).
    """

    def __init__(self, components: Tensor, deviations: Tensor) -> None:
        self.scaling_factor = round(float(1 / deviations.mean().sqrt()), 4)
        """Brings the latents to unit variance."""
        self._projection = components / deviations[:, None]
        self._scale = deviations.sqrt().view(1, -1, 1, 1)

    def __call__(self, pictures: Tensor) -> Tensor:
        """Encode (n, 3, h, w) in [-1, 1] to (n, count, h / 8, w / 8), not scaled."""
        kernel = self._projection.view(-1, PATCH, PATCH, 3).permute(0, 3, 1, 2)
        signal = F.conv2d(pictures, kernel, stride=PATCH)
        # The encoder's last normalisation divides by the deviation of constants and signal.
        power = signal.square().mean(dim=(2, 3), keepdim=True)
        deviation = (1 + SIGNAL**2 * power + 1e-6 / OFFSET**2).sqrt()
        return signal / deviation * self._scale


def _quieten(network: nn.Module, residual: float) -> None:
    """Let residual branches begin (almost) silent and resizing begin as copying."""
    for name, module in network.named_modules():
        end = name.rpartition(".")[2]
        if end == "to_out":
            module[0].weight.zero_()
            module[0].bias.zero_()
        if not isinstance(module, nn.Conv2d):
            continue
        if end == "conv2":
            for parameter in module.parameters():
                parameter.mul_(residual)
        elif end == "conv_shortcut":
            module.weight.mul_(SHARE if residual else 0.0)
            module.weight[:, :, 0, 0].fill_diagonal_(1)
            _without_bias(module)
        elif "samplers" in name:
            module.weight.mul_(SHARE)
            _without_bias(module)


def _without_bias(module: nn.Conv2d) -> None:
    if module.bias is not None:
        nn.init.zeros_(module.bias)


@torch.no_grad()
def begin_as_components(
    vae: AutoencoderKLTemporalDecoder, components: Tensor, deviations: Tensor
) -> None:
    """Construct the encoder, and let the decoder begin near its inverse, in place.

    Args:
        vae: untrained, of three halvings, whose levels are at least 96, 64, 64 and 128 wide.
        components: (latent channels, 192), as `patch_components` returns them.
        deviations: (latent channels,).
    """
    keep_levels(vae.encoder)
    keep_levels(vae.decoder)
    _quieten(vae.encoder, 0.0)
    _quieten(vae.decoder, 0.05)
    _begin_encoder(vae, components / deviations[:, None], deviations.sqrt())
    shaped = components.view(len(components), PATCH * PATCH, 3)
    _begin_decoder(vae, shaped.mean(dim=1) * deviations.sqrt()[:, None])


@torch.no_grad()
def read_components(vae: AutoencoderKLTemporalDecoder) -> tuple[Tensor, Tensor]:
    """Return the components and deviations that an autoencoder's encoder was constructed from.

    Args:
        vae: begun by `begin_as_components`; training leaves its encoder as it is.
    """
    encoder = vae.encoder
    count = int(vae.config.latent_channels)
    readout = encoder.conv_out.weight[:count, :, 1, 1]
    scale = 2 * SIGNAL * torch.stack([readout[index, 4 * index] for index in range(count)])
    first = encoder.down_blocks[2].downsamplers[0].conv.weight[: 4 * count : 4] / (SIGNAL * OFFSET)
    projection = torch.zeros(count, PATCH, PATCH, 3)
    for row, column in TAPS:
        for index, (y, x) in enumerate(_places()):
            values = first[:, 3 * index : 3 * index + 3, row, column]
            projection[:, 4 * row + y, 4 * column + x] = values
    deviations = scale.square()
    return projection.flatten(1) * deviations[:, None], deviations


TAPS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Rows and columns of what a halving gathers."""


def _places() -> list[tuple[int, int]]:
    """Return the rows and columns of a patch of 4 x 4 in the order in which two halvings lay them.

    Outermost last.
    """
    places = [(0, 0)]
    for step in (1, 2):
        places = [(row * step + y, column * step + x) for row, column in TAPS for y, x in places]
    return places


def _begin_encoder(vae: AutoencoderKLTemporalDecoder, projection: Tensor, scale: Tensor) -> None:
    encoder = vae.encoder
    count = len(projection)
    encoder.conv_in.weight[:3] = 0
    encoder.conv_in.bias[:3] = 0
    for colour in range(3):
        encoder.conv_in.weight[colour, colour, 1, 1] = 1
    channels = 3
    # Two halvings gather patches of 4 x 4 as channels.
    for block in encoder.down_blocks[:2]:
        convolution = block.downsamplers[0].conv
        rest = torch.arange(4 * channels, convolution.out_channels)
        convolution.weight[: 4 * channels] = 0
        for row, column in TAPS:
            convolution.weight[rest, rest, row, column] += 0.25
        for tap, (row, column) in enumerate(TAPS):
            for channel in range(channels):
                convolution.weight[tap * channels + channel, channel, row, column] = 1
        channels *= 4
    # The third halving projects: each component fills a group of four channels.
    convolution = encoder.down_blocks[2].downsamplers[0].conv
    used = 4 * count
    convolution.weight[:used] = 0
    signs = ((1.0, SIGNAL), (-1.0, -SIGNAL), (1.0, -SIGNAL), (-1.0, SIGNAL))
    shaped = projection.view(count, PATCH, PATCH, 3)
    for row, column in TAPS:
        for index, (y, x) in enumerate(_places()):
            for colour in range(3):
                values = shaped[:, 4 * row + y, 4 * column + x, colour]
                for member, (_, sign) in enumerate(signs):
                    convolution.weight[member:used:4, 3 * index + colour, row, column] = (
                        sign * OFFSET * values
                    )
    convolution.bias[:used] = OFFSET * torch.tensor([sign for sign, _ in signs]).repeat(count)
    # silu(u) - silu(-u) = u, so pairs of opposite channels read out linearly.
    encoder.conv_out.weight[:count] = 0
    encoder.conv_out.bias[:count] = 0
    for component in range(count):
        for member, sign in enumerate((1.0, -1.0, -1.0, 1.0)):
            encoder.conv_out.weight[component, 4 * component + member, 1, 1] = (
                sign * scale[component] / (2 * SIGNAL)
            )
    nn.init.dirac_(vae.quant_conv.weight)
    nn.init.zeros_(vae.quant_conv.bias)


def _begin_decoder(vae: AutoencoderKLTemporalDecoder, means: Tensor) -> None:
    decoder = vae.decoder
    # Groups of three: a signal between two constants.
    bias = decoder.conv_in.bias
    bias.copy_(torch.tensor([0.0, OFFSET, -OFFSET]).repeat(len(bias))[: len(bias)])
    decoder.conv_in.weight[1::3] *= SHARE
    decoder.conv_in.weight[2::3] *= SHARE
    smooth = torch.tensor([0.25, 0.5, 0.25])
    for block in decoder.up_blocks[:-1]:
        convolution = block.upsamplers[0].conv
        channels = torch.arange(convolution.out_channels)
        convolution.weight[channels, channels] += torch.outer(smooth, smooth)
    gain = 0.5
    deviation = (2 * OFFSET**2 / 3 + 2 * 0.08 / 9) ** 0.5
    # The existing weights stay random but small: they are what the training grows from.
    decoder.conv_out.weight *= SHARE
    decoder.conv_out.bias.zero_()
    for colour in range(3):
        for half, sign in enumerate((1.0, -1.0)):
            channel = 6 * colour + 3 * half
            decoder.conv_in.weight[channel] = 0
            decoder.conv_in.weight[channel, :, 1, 1] = sign * gain * means[:, colour]
            decoder.conv_in.weight[channel + 1 : channel + 3] = 0
            decoder.conv_out.weight[colour, channel, 1, 1] += sign * deviation / (gain * 2 / 3)
