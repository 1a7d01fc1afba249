"""ControlNeXt for pictures: Stable Diffusion 1.5, XL and 3, where the character image can be made.

The network is the one of the video variant or near it; the places and formulas of the injection
differ from release to release. Facts from the released code at dvlab-research/ControlNeXt. For
Stable Diffusion 3 nothing was released: the same network and normalisation, after a block that the
weights say.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from marionext.diffusion.controlnext import ControlNeXtConfig
from marionext.diffusion.injection import cross_normalise, pooled
from marionext.errors import ModelError

__all__ = [
    "SD15",
    "SD15_TRAINING",
    "SDXL",
    "SD_3",
    "ImageVariant",
    "Steer",
    "WeightChange",
    "changed",
    "steered",
    "steering",
]

EPS = 1e-12

Place = Literal["before_first_block", "after_first_block", "after_middle", "after_block"]


@dataclass(frozen=True, slots=True)
class ImageVariant:
    """One release of ControlNeXt for pictures."""

    config: ControlNeXtConfig
    place: Place
    """Where in the network the control map is added; skips keep the activations as they were.
    ``after_block`` is one of a transformer's blocks, the others are places of a UNet."""
    pool_first: bool
    """Whether the map is brought to size before it is normalised."""
    block: int = 0
    """Number of the transformer's block, from 0."""


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
SD_3 = ImageVariant(
    ControlNeXtConfig(stem_padding=1, out_channels=1536), place="after_block", pool_first=False
)


@dataclass(frozen=True, slots=True)
class Steer:
    """One control of a network while it denoises."""

    variant: ImageVariant
    map: Callable[[Tensor], Tensor | None]
    """Returns the control map at a timestep, (1 or pictures, channels, h, w), as the control
    network gives it; None: this step is not steered."""
    scale: Tensor | float = 1.0
    """Factor of what is added; SD 1.5's weights hold one (``scale``)."""


@contextmanager
def steered(
    unet: Any, variant: ImageVariant, control: Tensor, scale: Tensor | float = 1.0
) -> Iterator[None]:
    """While the context is open, add one control map to a network's activations; see `steering`.

    Args:
        unet: a `UNet2DConditionModel`, or an `SD3Transformer2DModel`.
        variant: whose place and formula are used.
        control: (pictures, channels, h, w), as the control network returned it.
        scale: factor of what is added.
    """
    with steering(unet, [Steer(variant, lambda _timestep: control, scale)]):
        yield


@contextmanager
def steering(network: Any, steers: Sequence[Steer]) -> Iterator[None]:
    """While the context is open, add control maps wherever the network is run.

    Several controls in one place are each normalised to the activations as they were, so that
    their order does not matter. Under guidance both halves of a batch are steered, as the released
    code does.

    Args:
        network: a `UNet2DConditionModel`, or an `SD3Transformer2DModel`.
        steers: the controls.
    """
    by_place: dict[tuple[str, int], _Adder] = {}
    for steer in steers:
        key = (steer.variant.place, steer.variant.block)
        by_place.setdefault(key, _Adder()).steers.append(steer)

    def begin(_network: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        sample = inputs[0] if inputs else named["sample" if "sample" in named else "hidden_states"]
        timestep = inputs[1] if len(inputs) > 1 else named["timestep"]
        time = torch.as_tensor(timestep).reshape(-1)[:1]
        for adder in by_place.values():
            adder.begin(time, sample.shape[-2:])

    with ExitStack() as hooks:
        if steers:
            hooks.callback(network.register_forward_pre_hook(begin, with_kwargs=True).remove)
        for (place, block), adder in by_place.items():
            hooks.callback(_hook(network, place, block, adder).remove)
        yield


@dataclass(slots=True)
class _Adder:
    """Adds the control maps of one place."""

    steers: list[Steer] = field(default_factory=list)
    maps: list[Tensor | None] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    """Rows and columns of the latents."""

    def begin(self, timestep: Tensor, size: Sequence[int]) -> None:
        """Look the maps of a step up."""
        self.maps = [steer.map(timestep) for steer in self.steers]
        self.size = (int(size[0]), int(size[1]))

    def added(self, features: Tensor) -> Tensor:
        """Return activations, (pictures, channels, H, W), with the maps added."""
        total = features
        for steer, control in zip(self.steers, self.maps, strict=True):
            if control is not None:
                # Of one for each picture, both halves of a batch under guidance have the same.
                halves = len(features) // len(control) if len(control) > 1 else 1
                each = control.repeat(halves, 1, 1, 1)
                total = total + _matched(steer.variant, each, features) * steer.scale
        return total

    def added_to_tokens(self, tokens: Tensor, patch: int) -> Tensor:
        """Return a transformer's tokens, (pictures, rows x columns, channels), likewise."""
        rows, columns = (length // patch for length in self.size)
        features = tokens.transpose(1, 2).reshape(len(tokens), -1, rows, columns)
        return self.added(features).flatten(2).transpose(1, 2)


def _matched(variant: ImageVariant, control: Tensor, features: Tensor) -> Tensor:
    """Return what is added at a scale of 1."""
    size = (features.shape[-2], features.shape[-1])
    if variant.config.zero_convolution:
        return pooled(control.to(features.dtype), size)
    # In single precision: in half, 1e-12 is 0, and the deviation of a plain map may be, too.
    control, wide = control.float(), features.float()
    if variant.pool_first:
        matched = cross_normalise(pooled(control, size), wide, eps=EPS)
    else:
        matched = pooled(cross_normalise(control, wide, eps=EPS), size)
    return matched.to(features.dtype)


def _hook(network: Any, place: str, block: int, adder: _Adder) -> Any:
    """Register the hook of a place.

    Raises:
        ModelError: the network has no such place.
    """

    def before(
        _block: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return inputs, {**named, "hidden_states": adder.added(named["hidden_states"])}

    def after_first(_block: nn.Module, _inputs: Any, output: tuple[Tensor, Any]) -> Any:
        features, skips = output
        return adder.added(features), skips

    def after_middle(_block: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return adder.added(output)

    def after_tokens(_block: nn.Module, _inputs: Any, output: tuple[Any, Tensor]) -> Any:
        context, tokens = output
        return context, adder.added_to_tokens(tokens, network.config.patch_size)

    if (place == "after_block") != hasattr(network, "transformer_blocks"):
        raise ModelError(
            f"a control that is added {place.replace('_', ' ')} does not belong to a "
            f"{type(network).__name__}",
            hint="Name control weights that were trained for this base.",
        )
    if place == "before_first_block":
        return network.down_blocks[0].register_forward_pre_hook(before, with_kwargs=True)
    if place == "after_first_block":
        return network.down_blocks[0].register_forward_hook(after_first)
    if place == "after_middle":
        return network.mid_block.register_forward_hook(after_middle)
    blocks = network.transformer_blocks
    # The last block returns no context: what comes after it is the output.
    if not 0 <= block < len(blocks) - 1:
        raise ModelError(
            f"expected a control after one of the blocks 0 to {len(blocks) - 2}, got {block}"
        )
    return blocks[block].register_forward_hook(after_tokens)


@dataclass(frozen=True, slots=True)
class WeightChange:
    """What is published beside a control network: a change of some of the base's weights."""

    name: str
    """Of the file, for messages."""
    values: Mapping[str, Tensor]
    how: Literal["add", "replace"]
    """SDXL's are increments, W - W_base, which go with any base; SD 1.5's are the weights."""


@contextmanager
def changed(network: nn.Module, changes: Sequence[WeightChange]) -> Iterator[None]:
    """While the context is open, have some weights changed; afterwards they are what they were.

    The weights themselves are put aside and back again, so that not a bit of them is lost.

    Raises:
        ModelError: a change has no place in this network, or two replace the same weight.
    """
    weights = dict(network.named_parameters())
    for change in changes:
        _refuse_strange(change, weights)
    new = _summed(changes, weights)
    aside = {name: weights[name].data for name in new}
    try:
        for name, value in new.items():
            weights[name].data = value.to(weights[name].dtype)
        yield
    finally:
        for name, value in aside.items():
            weights[name].data = value.to(weights[name].device)


def _summed(
    changes: Sequence[WeightChange], weights: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Return the weights that changes come to, in single precision: rounded once, not each time.

    Raises:
        ModelError: two changes replace the same weight.
    """
    new: dict[str, Tensor] = {}
    replaced: dict[str, str] = {}
    # What replaces goes first: increments are added to whatever is there.
    for change in sorted(changes, key=lambda each: each.how == "add"):
        for name, value in change.values.items():
            given = value.to(weights[name].device, torch.float32)
            if change.how == "add":
                new[name] = new.get(name, weights[name].data.float()) + given
                continue
            if name in replaced:
                raise ModelError(
                    f"{change.name} and {replaced[name]} both replace {name} of the base",
                    hint="Use one of the two controls, or leave out one's changes.",
                )
            replaced[name] = change.name
            new[name] = given
    return new


def _refuse_strange(change: WeightChange, weights: Mapping[str, Tensor]) -> None:
    strange = [
        name
        for name, value in change.values.items()
        if name not in weights or weights[name].shape != value.shape
    ]
    if strange:
        raise ModelError(
            f"{change.name}: {len(strange)} of {len(change.values)} changes have no place in this "
            f"network: {', '.join(strange[:4])}",
            hint="They belong to a base of another family.",
        )
