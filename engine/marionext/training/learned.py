"""What a training needs to resume: weights, their average, the optimiser, and the step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from marionext.errors import ModelError
from marionext.files import check_space

__all__ = ["Learned"]

NUMBER = 4
"""Bytes of a float32."""

COPIES = 5
"""Weights, average, two moments of the optimiser; and the model that is written at the end."""


class Learned:
    """The parameters that are trained, and their moving average.

    Args:
        parameters: by their names.
        average: how slowly the average follows; 0: none is kept.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], average: float) -> None:
        """Begin the average with what there is."""
        self.parameters = dict(parameters)
        self._share = average
        values = self.parameters.values() if average else ()
        self._averages = [value.detach().clone() for value in values]

    def follow(self, step: int) -> None:
        """Move the average after step number ``step``, counted from 1."""
        if not self._averages:
            return
        # At first the average is of few steps: what it began with should be forgotten soon.
        share = min(self._share, step / (step + 20))
        values = [value.detach() for value in self.parameters.values()]
        torch._foreach_lerp_(self._averages, values, 1 - share)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While open, the parameters have their averages' values."""
        if not self._averages:
            yield
            return
        values = list(self.parameters.values())
        kept = [value.data for value in values]
        for value, average in zip(values, self._averages, strict=True):
            value.data = average
        try:
            yield
        finally:
            for value, former in zip(values, kept, strict=True):
                value.data = former

    def state(self) -> dict[str, object]:
        """Return everything as tensors by name."""
        names = list(self.parameters)
        return {
            "parameters": {name: value.detach() for name, value in self.parameters.items()},
            "averages": dict(zip(names, self._averages, strict=False)),
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned.

        Raises:
            ModelError: it belongs to other parameters.
        """
        parameters: Mapping[str, Tensor] = state["parameters"]
        shapes = {name: value.shape for name, value in self.parameters.items()}
        if {name: value.shape for name, value in parameters.items()} != shapes:
            strange = sorted(set(parameters) ^ set(shapes))[:4]
            raise ModelError(
                f"the checkpoint holds other parameters than are trained: {', '.join(strange)}",
                hint="Was Marionext or the base model changed? Start again in another folder.",
            )
        for name, value in self.parameters.items():
            value.copy_(parameters[name])
        for (name, _), average in zip(self.parameters.items(), self._averages, strict=False):
            average.copy_(state["averages"][name])

    @property
    def count(self) -> int:
        """Number of trained parameters."""
        return sum(value.numel() for value in self.parameters.values())

    def check_space(self, folder: Path) -> None:
        """Make sure that checkpoints have room.

        Raises:
            OutputError: they have not.
        """
        # The old checkpoint is replaced only when the new one is whole.
        check_space(folder, 2 * COPIES * NUMBER * self.count)
