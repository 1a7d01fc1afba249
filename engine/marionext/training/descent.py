"""The steps of a training: gradients of several batches and processes become one change."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar

import torch
from torch import Tensor, nn

from marionext.training.learned import Learned

__all__ = ["Descent", "Group", "Taken", "mixed"]

Drawn = TypeVar("Drawn")

SLOWEST = 0.02
"""Part of their peak that falling rates end at."""

LEAST_SCALE = 1.0
"""Of gradients in half precision: below it their overflow is no accident."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of a step; the same in every process."""

    loss: float
    norm: float
    """Of the gradient, before it was shortened."""
    stopping: bool
    """Whether one of the processes was asked to stop."""
    trouble: str | None = None
    """What is not finite: ``loss``, ``gradient`` or nothing."""


class Group(TypedDict):
    """Parameters that learn at one rate."""

    params: list[nn.Parameter]
    peak: float
    """The rate."""
    weight_decay: float


class Descent(Generic[Drawn]):
    """Optimiser and average of what is trained.

    Args:
        learned: the parameters and their average.
        groups: the parameters by their rates; empty ones are left out.
        accelerator: an `accelerate.Accelerator`, which knows device and processes.
        wrapped: the networks as the accelerator prepared them.
        clip: largest norm of a gradient; longer ones are shortened.
        warm_up: steps over which the rates rise.
        scaled: whether gradients are too small for their format, as in float16, and need a factor.
    """

    def __init__(
        self,
        learned: Learned,
        groups: Sequence[Group],
        accelerator: Any,
        wrapped: Any,
        *,
        clip: float,
        warm_up: int,
        scaled: bool = False,
    ) -> None:
        """Begin with no step taken."""
        self.learned = learned
        self._accelerator, self._wrapped = accelerator, wrapped
        self._clip, self._warm_up = clip, warm_up
        used: list[dict[str, Any]] = [{**group} for group in groups if group["params"]]
        self._optimiser = torch.optim.AdamW(used, used[0]["peak"], betas=(0.9, 0.99))
        self._scaler = torch.amp.GradScaler(accelerator.device.type, enabled=scaled)

    @property
    def rate(self) -> float:
        """The first group's rate, as it was in the last step."""
        return float(self._optimiser.param_groups[0]["lr"])

    def state(self) -> dict[str, object]:
        """Return what a checkpoint keeps of all this."""
        scale = {"scaler": self._scaler.state_dict()} if self._scaler.is_enabled() else {}
        return {"optimiser": self._optimiser.state_dict(), **scale, **self.learned.state()}

    def load(self, state: Any) -> None:
        """Take over what `state` returned.

        Raises:
            ModelError: it belongs to other parameters.
        """
        self.learned.load(state)
        self._optimiser.load_state_dict(state["optimiser"])
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state["scaler"])

    def take_step(
        self,
        number: int,
        batches: Sequence[Drawn],
        loss_of: Callable[[Drawn], Tensor],
        fall: float,
        *,
        stop: bool,
    ) -> Taken:
        """Take one step of the optimiser, unless loss or gradient is not finite.

        Args:
            number: of the step, from 0.
            batches: this process's part of it.
            loss_of: what is to become less, of a batch: a number with its gradient.
            fall: of the rates, 1 to 0.
            stop: whether this process is asked to stop.
        """
        self._set_rates(number, fall)
        self._optimiser.zero_grad()
        total = torch.zeros((), device=self._accelerator.device)
        for index, batch in enumerate(batches):
            last = index == len(batches) - 1
            with nullcontext() if last else self._accelerator.no_sync(self._wrapped):
                loss = loss_of(batch) / len(batches)
                self._accelerator.backward(self._scaler.scale(loss))
            total += loss.detach()
        self._scaler.unscale_(self._optimiser)
        norm = nn.utils.clip_grad_norm_(list(self.learned.parameters.values()), self._clip)
        told = torch.stack([total, norm.to(total), total.new_tensor(float(stop))])
        told = self._accelerator.gather(told[None]).cpu()
        loss_of_all, norm_of_all = told[:, :2].mean(dim=0).tolist()
        trouble = self._trouble(loss_of_all, norm_of_all)
        if trouble is None:
            # With a scale, the scaler leaves out steps whose gradient overflowed, and lowers it.
            self._scaler.step(self._optimiser)
            self._scaler.update()
            self.learned.follow(number + 1)
        return Taken(loss_of_all, norm_of_all, bool(told[:, 2].any()), trouble)

    def _trouble(self, loss: float, norm: float) -> str | None:
        finite = torch.isfinite(torch.tensor([loss, norm])).tolist()
        if not finite[0]:
            return "loss"
        if finite[1] or (self._scaler.is_enabled() and self._scaler.get_scale() > LEAST_SCALE):
            return None
        return "gradient"

    def _set_rates(self, number: int, fall: float) -> None:
        rising = min(1.0, (number + 1) / max(1, self._warm_up))
        for group in self._optimiser.param_groups:
            group["lr"] = group["peak"] * rising * max(SLOWEST, min(1.0, fall))


def mixed(device: torch.device, precision: str) -> Any:
    """Return a context in which networks compute in a format of torch, by its name."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))
