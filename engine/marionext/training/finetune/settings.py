"""`FinetuneSettings`: everything that decides the weights of a training, and nothing else."""

import re
from dataclasses import dataclass
from typing import Literal

from marionext.errors import SettingsError

__all__ = ["FinetuneSettings", "Main"]

Main = Literal["none", "evenly", "patterns", "everything", "lora"]
"""Which part of the UNet is trained along with the control network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings:
    """What decides the weights. A checkpoint resumes under the same settings only."""

    width: int
    height: int
    """Of the pictures, in pixels."""
    window: int
    """Slots of a window, the reference's included: frames that are denoised together."""
    stride: int = 1
    """Every n-th frame of a video is used (ControlNeXt's authors train on every second)."""

    control: Literal["bundle", "fresh"] = "bundle"
    """Whether the control network continues from the bundle's weights or starts from scratch."""
    injection: Literal["cross", "zero"] = "cross"
    """Cross normalisation as in ControlNeXt, or a zero convolution as in ControlNet."""
    main: Main = "evenly"
    layers: int = 6
    """For ``evenly``: how many of the UNet's layers are trained."""
    patterns: tuple[str, ...] = ()
    """Regular expressions searched in names: of parameters for ``patterns``, of the layers that
    get adapters for ``lora``."""
    rank: int = 8
    """For ``lora``."""

    batch: int = 1
    """Windows in a step, on each device at a time."""
    accumulate: int = 1
    """Batches whose gradients make one step."""
    rate: float = 1e-4
    """Of the control network's learning."""
    main_rate: float = 2e-5
    """Of the UNet's."""
    warm_up: int = 50
    """Steps over which the rates rise."""
    decay: float = 1e-3
    """Of the control network's weights."""
    clip: float = 1.0
    """Largest norm of a gradient; longer ones are shortened."""
    average: float = 0.999
    """How slowly the moving average of the weights follows them; 0: no average is kept."""
    seed: int = 0

    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16``: mixed; weights and their updates stay float32."""
    sigma_mean: float = 0.7
    """Of ln sigma, the noise level; SVD's training has 0.7 and 1.6."""
    sigma_deviation: float = 1.6
    unconditional: float = 0.1
    """Share of windows without picture, embedding and control, as guidance needs them."""
    later: float = 0.1
    """Share of windows made to look like the later ones of the reference's plan: their slot 0
    holds a frame of the dance under the reference's control, and its prediction is unused."""
    body_weight: float = 1.0
    """Weight of the loss on and around the body, against 1 elsewhere."""
    hand_weight: float = 4.0
    face_weight: float = 2.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot be trained with.

        Raises:
            SettingsError: a value is out of its range.
        """
        least = {"window": 2, "stride": 1, "batch": 1, "accumulate": 1, "layers": 1, "rank": 1}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise SettingsError(
                    f"{name}: expected at least {lowest}, got {getattr(self, name)}"
                )
        if self.width < 1 or self.height < 1:
            raise SettingsError(f"size: expected two positive numbers, got {self.size}")
        for name in ("rate", "main_rate", "clip", "sigma_deviation"):
            if getattr(self, name) <= 0:
                raise SettingsError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        for name in ("body_weight", "hand_weight", "face_weight", "decay", "warm_up"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        for name in ("unconditional", "later", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name}: expected 0 to below 1, got {getattr(self, name)}")
        if self.main == "patterns" and not self.patterns:
            raise SettingsError(
                "main: patterns was asked for without one", hint="Give --pattern, also repeatedly."
            )
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise SettingsError(
                    f"patterns: {pattern!r} is no regular expression: {error}"
                ) from None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height
