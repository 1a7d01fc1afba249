"""Control maps and changes of weights on networks for pictures: where they act and how they go."""

from collections.abc import Iterator
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from marionext.diffusion.controlnext import ControlNeXtConfig
from marionext.diffusion.image_variants import (
    SD15,
    SD15_TRAINING,
    SD_3,
    SDXL,
    ImageVariant,
    Steer,
    WeightChange,
    changed,
    steered,
    steering,
)
from marionext.errors import ModelError


@pytest.fixture(scope="module")
def unet() -> Any:
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=8,
    ).eval()


@pytest.fixture(scope="module")
def transformer() -> Any:
    torch.manual_seed(0)
    return diffusers.SD3Transformer2DModel(
        sample_size=16,
        in_channels=4,
        num_layers=3,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=16,
        caption_projection_dim=32,
        pooled_projection_dim=16,
        out_channels=4,
        pos_embed_max_size=16,
    ).eval()


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def run(network: Any, size: tuple[int, int] = (16, 8)) -> Tensor:
    sample, context = noise(2, 4, *size), noise(2, 5, 16, seed=2)
    if hasattr(network, "transformer_blocks"):
        pooled, time = noise(2, 16, seed=3), torch.tensor([500.0, 500.0])
        output: Tensor = network(sample, context, pooled, time, return_dict=False)[0]
    else:
        output = network(sample, torch.tensor(500), context, return_dict=False)[0]
    return output


UNET_VARIANTS = pytest.mark.parametrize(
    ("variant", "channels"), [(SDXL, 32), (SD15, 64), (SD15_TRAINING, 32)]
)


@UNET_VARIANTS
def test_two_controls_do_not_depend_on_their_order(
    unet: Any, variant: ImageVariant, channels: int
) -> None:
    one, other = (noise(1, channels, 9, 7, seed=seed) for seed in (4, 5))
    steers = [Steer(variant, lambda _t: one, 0.7), Steer(variant, lambda _t: other, 0.3)]
    plain = run(unet)
    with steering(unet, steers):
        both = run(unet)
    with steering(unet, steers[::-1]):
        turned = run(unet)
    assert torch.allclose(both, turned, atol=1e-5)
    assert (both - plain).abs().max() > 1e-3
    # What one adds alone is what it adds beside another of no strength.
    with steered(unet, variant, one, 0.7):
        alone = run(unet)
    with steering(unet, [steers[0], Steer(variant, lambda _t: other, 0.0)]):
        assert torch.allclose(run(unet), alone, atol=1e-6)


@UNET_VARIANTS
def test_a_control_that_rests_changes_not_a_bit(
    unet: Any, variant: ImageVariant, channels: int
) -> None:
    plain = run(unet)
    with steering(unet, [Steer(variant, lambda _t: None)]):
        assert torch.equal(run(unet), plain)
    with steered(unet, variant, noise(1, channels, 4, 4)):
        assert not torch.equal(run(unet), plain)
    assert torch.equal(run(unet), plain)


@pytest.mark.parametrize("size", [(16, 8), (8, 16)])
def test_a_transformer_is_steered_after_the_block_that_is_named(
    transformer: Any, size: tuple[int, int]
) -> None:
    plain = run(transformer, size)
    seen: list[tuple[int, ...]] = []
    handle = transformer.transformer_blocks[1].register_forward_pre_hook(
        lambda _block, _inputs, named: seen.append(named["hidden_states"].clone()), with_kwargs=True
    )
    outputs = []
    for block in (0, 1):
        variant = ImageVariant(SD_3.config, SD_3.place, SD_3.pool_first, block)
        with steered(transformer, variant, noise(1, 32, 9, 5)):
            outputs.append(run(transformer, size))
    run(transformer, size)
    handle.remove()
    after_first, after_second, unsteered = seen
    assert not torch.equal(after_first, unsteered)
    assert torch.equal(after_second, unsteered)
    assert not torch.allclose(outputs[0], outputs[1])
    assert torch.equal(run(transformer, size), plain)


def test_what_is_added_to_tokens_lies_where_it_is_in_the_picture(transformer: Any) -> None:
    # A control that is bright in the last row changes the tokens of the last row most.
    control = torch.zeros(1, 32, 8, 4)
    control[:, :, -1] = 5.0
    tokens: list[Tensor] = []
    handle = transformer.transformer_blocks[1].register_forward_pre_hook(
        lambda _block, _inputs, named: tokens.append(named["hidden_states"].clone()),
        with_kwargs=True,
    )
    run(transformer)
    with steered(transformer, SD_3, control):
        run(transformer)
    handle.remove()
    change = (tokens[1] - tokens[0]).abs().mean(dim=(0, 2)).reshape(8, 4).mean(dim=1)
    assert change.argmax() == 7
    assert change[7] > 2 * change[:7].max()


def test_a_control_without_normalisation_is_added_as_it_is(unet: Any) -> None:
    config = ControlNeXtConfig(zero_convolution=True)
    variant = ImageVariant(config, "before_first_block", pool_first=False)
    plain = run(unet)
    with steered(unet, variant, torch.zeros(1, 32, 16, 8)):
        assert torch.equal(run(unet), plain)


@pytest.mark.parametrize("number", [torch.float16, torch.float32])
def test_a_plain_control_map_is_no_catastrophe(unet: Any, number: torch.dtype) -> None:
    network = diffusers.UNet2DConditionModel.from_config(unet.config).to(number)
    sample, context = noise(1, 4, 16, 8).to(number), noise(1, 5, 16, seed=2).to(number)
    with steered(network, SDXL, torch.full((1, 32, 9, 7), 0.5, dtype=number)):
        output = network(sample, torch.tensor(500), context).sample
    assert torch.isfinite(output).all()


def test_places_that_a_network_has_not_are_refused(unet: Any, transformer: Any) -> None:
    with pytest.raises(ModelError, match="does not belong to a UNet2DConditionModel"):
        steered(unet, SD_3, noise(1, 32, 4, 4)).__enter__()
    with pytest.raises(ModelError, match="does not belong to a SD3Transformer2DModel"):
        steered(transformer, SDXL, noise(1, 32, 4, 4)).__enter__()
    last = ImageVariant(SD_3.config, SD_3.place, SD_3.pool_first, block=2)
    with pytest.raises(ModelError, match="blocks 0 to 1, got 2"):
        steered(transformer, last, noise(1, 32, 4, 4)).__enter__()


def bits(network: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("number", [torch.float32, torch.float16, torch.bfloat16])
def test_changes_are_taken_off_bit_for_bit(unet: Any, number: torch.dtype) -> None:
    network = diffusers.UNet2DConditionModel.from_config(unet.config).to(number)
    before = bits(network)
    names = [name for name in before if "attn2.to_out" in name]
    increments = {name: noise(*before[name].shape) for name in names}
    weights = {names[0]: noise(*before[names[0]].shape, seed=9)}
    changes = [
        WeightChange("pose", increments, "add"),
        WeightChange("depth", increments, "add"),
        WeightChange("mask", weights, "replace"),
    ]
    with changed(network, changes):
        during = bits(network)
    expected = (before[names[1]].float() + 2 * increments[names[1]]).to(number)
    assert torch.allclose(during[names[1]].float(), expected.float(), atol=2e-2)
    # What replaces a weight comes first, increments are added to it.
    replaced = (weights[names[0]] + 2 * increments[names[0]]).to(number)
    assert torch.allclose(during[names[0]].float(), replaced.float(), atol=2e-2)
    assert all(torch.equal(value, before[name]) for name, value in bits(network).items())


def test_weights_come_back_after_an_error_as_well(unet: Any) -> None:
    before = bits(unet)
    name = "conv_in.weight"
    one, other = (
        WeightChange(which, {name: noise(*before[name].shape)}, "replace") for which in "ab"
    )
    with (
        pytest.raises(ModelError, match="b and a both replace conv_in"),
        changed(unet, [one, other]),
    ):
        pass
    assert all(torch.equal(value, before[key]) for key, value in bits(unet).items())


def test_changes_of_another_network_are_named(unet: Any) -> None:
    change = WeightChange("there.safetensors", {"mid_block.nothing": noise(3)}, "add")
    with (
        pytest.raises(ModelError, match=r"there.safetensors: 1 of 1 changes .*mid_block.nothing"),
        changed(unet, [change]),
    ):
        pass
