"""How a base was taught to denoise, as its scheduler says: what noise is added, what is predicted.

Stable Diffusion 1.5 and XL mix picture and noise by the schedule of their training, and predict the
noise or v (Salimans and Ho 2022, arXiv:2202.00512). Stable Diffusion 3 goes straight from one to
the other and predicts the way (Esser et al. 2024, arXiv:2403.03206).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import diffusers
import torch
from torch import Tensor

from marionext.errors import ModelError

__all__ = ["Noising", "make_noising"]

_FLOW = "FlowMatch"
_PREDICTED = ("epsilon", "v_prediction")


class Noising(ABC):
    """Noise levels, as the network is told them."""

    @abstractmethod
    def draw(self, count: int, generator: torch.Generator, power: float = 1.0) -> Tensor:
        """Draw levels as often as the base's training did, or by a power of it: (count,)."""

    @abstractmethod
    def at(self, share: float) -> float:
        """Return the level at a share of the way from picture to noise, in (0, 1)."""

    @abstractmethod
    def noisy(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """Mix (n, c, h, w) latents and noise at levels (n,)."""

    @abstractmethod
    def wanted(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """Return what is to be predicted: (n, c, h, w)."""

    def weights(self, levels: Tensor, gamma: float) -> Tensor:  # noqa: ARG002
        """Return how much each counts, (n,), where a signal counts ``gamma`` at most."""
        return torch.ones_like(levels)


class _Diffusion(Noising):
    def __init__(self, config: Mapping[str, Any], predicted: str) -> None:
        schedule = diffusers.DDPMScheduler.from_config(dict(config))
        self._left: Tensor = schedule.alphas_cumprod.float()
        self._predicts_v = predicted == "v_prediction"

    def draw(self, count: int, generator: torch.Generator, power: float = 1.0) -> Tensor:
        share = torch.rand(count, generator=generator) ** power
        return (share * len(self._left)).floor().clamp(max=len(self._left) - 1)

    def at(self, share: float) -> float:
        return float(int(share * len(self._left)))

    def noisy(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        signal, rest = self._parts(levels)
        return signal * clean + rest * noise

    def wanted(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        if not self._predicts_v:
            return noise
        signal, rest = self._parts(levels)
        return signal * noise - rest * clean

    def weights(self, levels: Tensor, gamma: float) -> Tensor:
        if not gamma:
            return torch.ones_like(levels)
        left = self._left.to(levels.device)[levels.long()]
        ratio = left / (1 - left)
        return ratio.clamp(max=gamma) / (ratio + 1 if self._predicts_v else ratio)

    def _parts(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        left = self._left.to(levels.device)[levels.long()].view(-1, 1, 1, 1)
        return left.sqrt(), (1 - left).sqrt()


class _Flow(Noising):
    def __init__(self, config: Mapping[str, Any]) -> None:
        self._steps = int(config.get("num_train_timesteps", 1000))
        self._shift = float(config.get("shift", 1.0))

    def draw(self, count: int, generator: torch.Generator, power: float = 1.0) -> Tensor:
        # Logit-normal: the middle of the way is where most is decided.
        return self._level(torch.randn(count, generator=generator).sigmoid() ** power)

    def at(self, share: float) -> float:
        return float(self._level(torch.tensor(share)))

    def noisy(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        share = (levels / self._steps).view(-1, 1, 1, 1)
        return (1 - share) * clean + share * noise

    def wanted(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:  # noqa: ARG002
        return noise - clean

    def _level(self, share: Tensor) -> Tensor:
        # Large pictures hide less under as much noise: the base's schedule is shifted towards it.
        return self._steps * self._shift * share / (1 + (self._shift - 1) * share)


def make_noising(config: Mapping[str, Any]) -> Noising:
    """Return how a base is taught.

    Args:
        config: of its scheduler, its class's name as ``_class_name``.

    Raises:
        ModelError: it is taught in a way that is not known here.
    """
    name = str(config.get("_class_name"))
    if _FLOW in name:
        return _Flow(config)
    predicted = str(config.get("prediction_type", "epsilon"))
    if "EDM" in name or predicted not in _PREDICTED:
        raise ModelError(
            f"the base's scheduler {name} predicts {predicted}: expected one of noise "
            f"(prediction_type {' or '.join(_PREDICTED)}), or of flow",
            hint="Train on the base that this one was made of.",
        )
    return _Diffusion(config, predicted)
