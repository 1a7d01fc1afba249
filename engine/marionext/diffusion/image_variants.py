"""ControlNeXt for pictures: Stable Diffusion XL and 1.5, where the character image can be made.

The network is the one of the video variant or near it; the places and formulas of the injection
differ from release to release. Facts from the released code at dvlab-research/ControlNeXt.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from marionext.diffusion.controlnext import ControlNeXtConfig
from marionext.diffusion.injection import cross_normalise, pooled
from marionext.errors import ModelError

__all__ = ["SD15", "SD15_TRAINING", "SDXL", "ImageVariant", "add_increments", "steered"]

EPS = 1e-12


@dataclass(frozen=True, slots=True)
class ImageVariant:
    """One release of ControlNeXt for pictures."""

    config: ControlNeXtConfig
    place: Literal["before_first_block", "after_first_block", "after_middle"]
    """Where in the UNet the control map is added; skips keep the activations as they were."""
    pool_first: bool
    """Whether the map is brought to size before it is normalised."""


SDXL = ImageVariant(ControlNeXtConfig(stem_padding=1), place="before_first_block", pool_first=False)
SD15 = ImageVariant(
    ControlNeXtConfig(
        stem_widths=(),
        block_widths=(128, 256, 256),
        block_groups=(1, 8, 8),
        out_channels=1280,
        plain_middle=True,
        learned_scale=True,
    ),
    place="after_middle",
    pool_first=True,
)
SD15_TRAINING = ImageVariant(
    ControlNeXtConfig(stem_padding=1), place="after_first_block", pool_first=True
)


@contextmanager
def steered(
    unet: Any, variant: ImageVariant, control: Tensor, scale: Tensor | float = 1.0
) -> Iterator[None]:
    """While the context is open, add a control map to a picture UNet's activations.

    Args:
        unet: a `UNet2DConditionModel`.
        variant: whose place and formula are used.
        control: (pictures, channels, h, w), as the control network returned it.
        scale: factor of what is added; SD 1.5's weights hold one (``scale``).
    """

    def added(features: Tensor) -> Tensor:
        size = (features.shape[-2], features.shape[-1])
        if variant.pool_first:
            matched = cross_normalise(pooled(control, size), features, eps=EPS)
        else:
            matched = pooled(cross_normalise(control, features, eps=EPS), size)
        return features + matched * scale

    def before(
        _block: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return inputs, {**named, "hidden_states": added(named["hidden_states"])}

    def after_block(_block: nn.Module, _inputs: Any, output: tuple[Tensor, Any]) -> Any:
        features, skips = output
        return added(features), skips

    def after_middle(_block: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return added(output)

    if variant.place == "before_first_block":
        handle = unet.down_blocks[0].register_forward_pre_hook(before, with_kwargs=True)
    elif variant.place == "after_first_block":
        handle = unet.down_blocks[0].register_forward_hook(after_block)
    else:
        handle = unet.mid_block.register_forward_hook(after_middle)
    try:
        yield
    finally:
        handle.remove()


def add_increments(unet: nn.Module, increments: Mapping[str, Tensor]) -> None:
    """Add what the authors publish for SDXL, the change of some weights, to any SDXL's own.

    Raises:
        ModelError: an increment has no place in this UNet.
    """
    weights = dict(unet.named_parameters())
    strange = [
        name
        for name, increment in increments.items()
        if name not in weights or weights[name].shape != increment.shape
    ]
    if strange:
        raise ModelError(
            f"{len(strange)} of {len(increments)} increments have no place in this UNet: "
            f"{', '.join(strange[:4])}"
        )
    for name, increment in increments.items():
        weights[name].data += increment.to(weights[name].device, weights[name].dtype)
