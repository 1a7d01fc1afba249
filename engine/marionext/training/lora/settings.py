"""`LoraSettings`: everything that decides the weights of a LoRA, and nothing else."""

import re
from dataclasses import dataclass
from typing import Literal

from marionext.errors import SettingsError

__all__ = ["LoraSettings", "Targets"]

Targets = Literal["attention", "transformers", "layers"]
"""Which layers of the network that denoises are adapted: projections of the attention alone, all
linear layers of its transformers, or convolutions and what else there is as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """What decides the weights. A checkpoint resumes under the same settings only."""

    size: tuple[int, int] | None = None
    """Width and height in pixels; None: the base's own."""
    buckets: bool = True
    """Whether pictures keep about their shape, at as many pixels; else all are cut to the size."""
    flip: bool = False
    """Whether half of the pictures are shown mirrored."""
    caption: str = ""
    """Of pictures that have none of their own."""
    trigger: str = ""
    """Words in front of every caption, by which the LoRA is called."""

    targets: Targets = "attention"
    patterns: tuple[str, ...] = ()
    """Regular expressions searched in names of layers, in place of ``targets``."""
    text_encoder: bool = False
    """Whether CLIP's text encoders are adapted, too."""
    rank: int = 16
    alpha: float | None = None
    """The adapters count alpha / rank times; None: once."""

    batch: int = 1
    """Pictures in a step, on each device at a time."""
    accumulate: int = 1
    """Batches whose gradients make one step."""
    rate: float = 1e-4
    text_rate: float = 5e-5
    """Of the text encoders' learning."""
    warm_up: int = 50
    """Steps over which the rates rise."""
    decay: float = 1e-2
    """Of the adapters' weights: towards the base."""
    clip: float = 1.0
    """Largest norm of a gradient; longer ones are shortened."""
    average: float = 0.0
    """How slowly a moving average of the weights follows them; 0: no average is kept."""
    seed: int = 0

    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the base and of what is computed; the adapters are float32 throughout."""
    unconditional: float = 0.1
    """Share of pictures shown without words, as guidance needs them."""
    level_power: float = 1.0
    """Below 1, high noise levels come up more often, where colours and the layout are decided;
    above 1, low ones, where textures are."""
    snr_gamma: float = 0.0
    """Most that a noise level counts by its signal, 5 is usual (Hang et al. 2023,
    arXiv:2303.09556); 0: all levels count alike."""
    noise_offset: float = 0.0
    """Deviation of a noise that is the same all over a picture, for dark and bright ones."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot be trained with.

        Raises:
            SettingsError: a value is out of its range.
        """
        for name in ("batch", "accumulate", "rank"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.size is not None and min(self.size) < 1:
            raise SettingsError(f"size: expected two positive numbers, got {self.size}")
        above = {"alpha": self.scale, "rate": self.rate, "text_rate": self.text_rate}
        above["level_power"] = self.level_power
        for name, value in {**above, "clip": self.clip}.items():
            if value <= 0:
                raise SettingsError(f"{name}: expected a number above 0, got {value:g}")
        for name in ("decay", "warm_up", "snr_gamma", "noise_offset"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        for name in ("unconditional", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name}: expected 0 to below 1, got {getattr(self, name)}")
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise SettingsError(
                    f"patterns: {pattern!r} is no regular expression: {error}"
                ) from None

    @property
    def scale(self) -> float:
        """How many times the adapters count."""
        return 1.0 if self.alpha is None else self.alpha / self.rank
