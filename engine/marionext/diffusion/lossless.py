"""Make the networks faster without changing what they compute.

Stable Video Diffusion as diffusers holds it does work whose result is known beforehand, or does it
in a slower form. Each function here replaces one such part in place and leaves the output as it
was, but for rounding. The networks are good for inference only afterwards: some weights change
their names and shapes.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock, TemporalBasicTransformerBlock
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D, SpatioTemporalResBlock
from torch import Tensor, nn

__all__ = [
    "collapse_cross_attention",
    "dispatch_self_attention",
    "flatten_temporal_convolutions",
    "make_lossless",
    "skip_silent_layers",
    "use_channels_last",
]


def make_lossless(network: nn.Module, *, channels_last: bool) -> None:
    """Apply everything below to a UNet or a VAE, in place.

    Args:
        network: freshly loaded.
        channels_last: whether the device computes faster with channels last (CUDA does).
    """
    skip_silent_layers(network)
    collapse_cross_attention(network)
    dispatch_self_attention(network)
    flatten_temporal_convolutions(network)
    if channels_last:
        use_channels_last(network)


def skip_silent_layers(network: nn.Module) -> None:
    """Leave out layers whose own weights say that they add nothing.

    A small network may be trained with some layers of SVD's architecture switched off: temporal
    blocks mixed in with a weight that rounds to 0, residual branches that end in zeros.
    """
    for module in network.modules():
        if isinstance(module, SpatioTemporalResBlock) and _spatial_only(module):
            module.forward = _SpatialPart(module)
        elif isinstance(module, ResnetBlock2D) and _is_silent(module):
            module.forward = _shortcut(module)


def _spatial_only(block: SpatioTemporalResBlock) -> bool:
    mixer = block.time_mixer
    # "fixed" holds its weight itself; "learned" one for all frames, "learned_with_images" one
    # for those that are not pictures, which is what a video's frames are here.
    spatial = mixer.mix_factor if mixer.merge_strategy == "fixed" else mixer.mix_factor.sigmoid()
    share = 1 - spatial if mixer.switch_spatial_to_temporal_mix else spatial
    return bool((1 - share.float() == 0).all())


class _SpatialPart:
    """The forward of a spatio-temporal block without its temporal half."""

    def __init__(self, block: SpatioTemporalResBlock) -> None:
        self._block = block

    def __call__(
        self, hidden_states: Tensor, temb: Tensor | None = None, *_: Any, **_options: Any
    ) -> Tensor:
        result: Tensor = self._block.spatial_res_block(hidden_states, temb)
        return result


def _is_silent(block: ResnetBlock2D) -> bool:
    last = block.conv2
    ends = [last.weight] if last.bias is None else [last.weight, last.bias]
    plain = block.output_scale_factor == 1 and block.upsample is None and block.downsample is None
    return plain and not any(bool(values.any()) for values in ends)


def _shortcut(block: ResnetBlock2D) -> Callable[..., Tensor]:
    def forward(features: Tensor, *_: Any, **_options: Any) -> Tensor:
        if block.conv_shortcut is None:
            return features
        shortened: Tensor = block.conv_shortcut(features)
        return shortened

    return forward


class _OneToken:
    """Attention to a single token: its softmax is 1, so the output is the token's value.

    Query, key and the queries' normalisation are dead work. One clip is denoised at a time, so the
    token is the same for all rows and one row serves them all.
    """

    def __call__(
        self,
        attention: Attention,
        _hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        **_options: Any,
    ) -> Tensor:
        if encoder_hidden_states is None or encoder_hidden_states.shape[1] != 1:
            raise ValueError("this network was prepared for one context token")
        token = encoder_hidden_states[:1]
        output: Tensor = attention.to_out[0](attention.to_v(token))
        return output


def collapse_cross_attention(network: nn.Module) -> None:
    """Skip what attention to the single image embedding does not need (3.75 % of SVD's work)."""
    for block in network.modules():
        if isinstance(block, BasicTransformerBlock | TemporalBasicTransformerBlock):
            if block.attn2 is None or not block.attn2.is_cross_attention:
                continue
            block.attn2.set_processor(_OneToken())
            block.norm2 = nn.Identity()


class _Dispatched:
    """Self-attention through diffusers' dispatcher, so that its choice of backend has effect.

    On this UNet ``set_attention_backend`` alone is a silent no-op (diffusers 0.42).
    """

    def __call__(self, attention: Attention, hidden_states: Tensor, **_options: Any) -> Tensor:
        batch, length, _ = hidden_states.shape
        heads = attention.heads
        query, key, value = (
            layer(hidden_states).view(batch, length, heads, -1)
            for layer in (attention.to_q, attention.to_k, attention.to_v)
        )
        attended: Tensor = dispatch_attention_fn(query, key, value)
        output: Tensor = attention.to_out[0](attended.flatten(2))
        return output


def dispatch_self_attention(network: nn.Module) -> None:
    """Send the transformer blocks' self-attention through the dispatcher."""
    for block in network.modules():
        if isinstance(block, BasicTransformerBlock | TemporalBasicTransformerBlock):
            block.attn1.set_processor(_Dispatched())


class _TemporalConvolution(nn.Conv2d):
    """A convolution over time alone, on (clips, channels, frames, h, w).

    Height and width are laid out as one axis; the kernel is (time, 1). A single frame has nothing
    but padding before and after it: then the kernel's middle is all that counts.
    """

    def forward(self, features: Tensor) -> Tensor:
        if features.shape[2] == 1:
            middle = int(self.padding[0])
            pointwise = self.weight[:, :, middle : middle + 1]
            return nn.functional.conv2d(features.squeeze(2), pointwise, self.bias).unsqueeze(2)
        output = super().forward(features.flatten(3))
        return output.reshape(*output.shape[:3], *features.shape[3:])


def flatten_temporal_convolutions(network: nn.Module) -> None:
    """Turn (k, 1, 1) 3-D convolutions into 2-D ones (3.7 times as fast on a CPU)."""
    _replace(network, nn.Conv3d, _flattened)


def _flattened(convolution: nn.Conv3d) -> nn.Module:
    time, height, width = convolution.kernel_size
    if (height, width) != (1, 1) or convolution.stride != (1, 1, 1) or convolution.groups != 1:
        return convolution
    padding = convolution.padding[0]
    with torch.device("meta"):
        flat = _TemporalConvolution(
            convolution.in_channels,
            convolution.out_channels,
            (time, 1),
            padding=(int(padding), 0),
            bias=convolution.bias is not None,
        )
    flat.weight = nn.Parameter(convolution.weight.detach().squeeze(4), requires_grad=False)
    if convolution.bias is not None:
        flat.bias = nn.Parameter(convolution.bias.detach(), requires_grad=False)
    return flat


def _replace(network: nn.Module, kind: type[nn.Module], change: Callable[[Any], nn.Module]) -> None:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, change(child))


def use_channels_last(network: nn.Module) -> None:
    """Store 4-D weights with channels last.

    ``network.to(memory_format=...)`` would fail on the 5-D weights of the temporal layers.
    """
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
