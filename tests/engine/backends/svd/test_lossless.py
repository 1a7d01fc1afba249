from typing import Any

import pytest
import torch
from diffusers.models.resnet import SpatioTemporalResBlock
from torch import nn

from marionext.diffusion.lossless import (
    collapse_cross_attention,
    dispatch_self_attention,
    flatten_temporal_convolutions,
    make_lossless,
    skip_silent_layers,
    use_channels_last,
)


def evaluate(unet: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    sample = torch.randn(1, 5, 8, 16, 16, generator=generator)
    context = torch.randn(1, 1, 16, generator=generator)
    with torch.no_grad():
        return unet(
            sample,
            torch.tensor(0.7),
            context,
            added_time_ids=torch.tensor([[6.0, 128.0, 0.02]]),
            return_dict=False,
        )[0]


@pytest.mark.parametrize(
    ("change", "tolerance"),
    [
        (collapse_cross_attention, 1e-5),
        (dispatch_self_attention, 1e-5),
        (flatten_temporal_convolutions, 1e-5),
        (use_channels_last, 1e-5),
        (lambda unet: make_lossless(unet, channels_last=True), 1e-5),
    ],
)
def test_each_change_leaves_the_prediction_as_it_was(
    networks: dict[str, Any], change: Any, tolerance: float
) -> None:
    before = evaluate(networks["unet"])
    change(networks["unet"])
    after = evaluate(networks["unet"])
    assert float((after - before).abs().max() / before.abs().max()) <= tolerance


def test_the_decoder_stays_the_same_too(networks: dict[str, Any]) -> None:
    vae = networks["vae"]
    latents = torch.randn(3, 4, 8, 8)
    with torch.no_grad():
        before = vae.decode(latents, num_frames=3).sample
        make_lossless(vae, channels_last=True)
        after = vae.decode(latents, num_frames=3).sample
    assert torch.allclose(before, after, atol=1e-5)


def switched_off(vae: Any) -> list[nn.Module]:
    """Switch off the decoder's temporal blocks and the last spatial one; return all of them."""
    decoder = vae.decoder
    blocks = [block for block in decoder.modules() if isinstance(block, SpatioTemporalResBlock)]
    for block in blocks:
        nn.init.constant_(block.time_mixer.mix_factor, -30.0)
    last = decoder.up_blocks[-1].resnets[-1].spatial_res_block
    nn.init.zeros_(last.conv2.weight)
    nn.init.zeros_(last.conv2.bias)
    return [*(block.temporal_res_block for block in blocks), last]


def test_layers_that_add_nothing_are_not_computed(networks: dict[str, Any]) -> None:
    vae = networks["vae"]
    silent = switched_off(vae)
    latents = torch.randn(3, 4, 8, 8)
    computed: list[str] = []
    for block in silent:
        block.get_submodule("conv1").register_forward_hook(lambda *_: computed.append("conv1"))
    with torch.no_grad():
        before = vae.decode(latents, num_frames=3).sample
        assert len(computed) == len(silent)
        computed.clear()
        skip_silent_layers(vae)
        after = vae.decode(latents, num_frames=3).sample
    assert computed == []
    assert torch.equal(before, after)


def test_layers_that_add_something_stay(networks: dict[str, Any]) -> None:
    forwards = [module.forward for module in networks["unet"].modules()]
    skip_silent_layers(networks["unet"])
    assert forwards == [module.forward for module in networks["unet"].modules()]


def test_a_single_frame_is_decoded_as_before(networks: dict[str, Any]) -> None:
    vae = networks["vae"]
    latents = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        before = vae.decode(latents, num_frames=1).sample
        flatten_temporal_convolutions(vae)
        after = vae.decode(latents, num_frames=1).sample
    assert torch.allclose(before, after, atol=1e-5)


def test_no_temporal_convolution_is_left_in_three_dimensions(networks: dict[str, Any]) -> None:
    flatten_temporal_convolutions(networks["unet"])
    assert not any(isinstance(module, nn.Conv3d) for module in networks["unet"].modules())


def test_two_context_tokens_are_not_silently_taken_for_one(networks: dict[str, Any]) -> None:
    unet = networks["unet"]
    collapse_cross_attention(unet)
    with pytest.raises(ValueError, match="one context token"):
        unet(
            torch.randn(1, 2, 8, 8, 8),
            torch.tensor(0.0),
            torch.randn(1, 2, 16),
            added_time_ids=torch.zeros(1, 3),
        )
