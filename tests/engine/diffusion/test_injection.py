import torch
import torch.nn.functional as F

from marionext.diffusion import ControlNeXtConfig, ControlNeXtSVD
from marionext.diffusion.injection import averaging, cross_normalise, injected


def test_a_control_map_takes_on_each_frames_mean_and_deviation() -> None:
    control, features = torch.randn(3, 8, 15, 7), 4 + 3 * torch.randn(3, 8, 8, 4)
    found = cross_normalise(control, features)
    assert torch.allclose(found.mean((1, 2, 3)), features.mean((1, 2, 3)), atol=1e-4)
    assert torch.allclose(found.std((1, 2, 3)), features.std((1, 2, 3)), atol=1e-3)


def test_averaging_by_products_is_adaptive_pooling() -> None:
    maps = torch.randn(2, 3, 71, 127)
    rows, columns = averaging(71, 36), averaging(127, 64)
    assert torch.allclose(rows @ maps @ columns.T, F.adaptive_avg_pool2d(maps, (36, 64)), atol=1e-5)


def test_nothing_is_left_behind_even_after_an_error() -> None:
    block = torch.nn.Identity()
    try:
        with injected(block, torch.randn(1, 2, 4, 4), torch.ones(1)):
            raise KeyError  # noqa: TRY301
    except KeyError:
        pass
    assert not block._forward_hooks


def test_training_reaches_the_control_network_through_the_injection() -> None:
    network = ControlNeXtSVD(
        ControlNeXtConfig(stem_widths=(32, 32, 48), block_widths=(48, 64), out_channels=64)
    )
    block = torch.nn.Identity()
    control = network(torch.rand(2, 3, 3, 64, 64), torch.tensor([0.1, 0.9]))
    with injected(block, control, torch.ones(6)):
        sample, _ = block((torch.randn(6, 64, 8, 8), ()))
    sample.square().mean().backward()
    unreached = [name for name, value in network.named_parameters() if value.grad is None]
    assert unreached == []
