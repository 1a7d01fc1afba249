import pytest
import torch

from marionext.diffusion import ControlNeXtConfig, ControlNeXtSVD
from marionext.errors import ModelError


@torch.no_grad()
def test_frames_do_not_know_of_each_other() -> None:
    network = ControlNeXtSVD(
        ControlNeXtConfig(stem_widths=(8, 8, 16), block_widths=(16, 16), out_channels=32)
    ).eval()
    maps = torch.rand(1, 4, 3, 64, 64)
    together = network(maps, 0.5)
    apart = torch.cat([network(maps[:, frame : frame + 1], 0.5) for frame in range(4)])
    assert torch.allclose(together, apart, atol=1e-5)


@pytest.mark.parametrize(
    "fields",
    [
        {"block_widths": (128, 250)},
        {"block_groups": (4,)},
        {"stem_widths": (7, 8)},
        {"stem_widths": (64, 62)},
        {"block_widths": (16, 20), "block_groups": (4, 4)},
    ],
)
def test_widths_that_cannot_be_normalised_are_refused(fields: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ModelError):
        ControlNeXtConfig(**fields)
