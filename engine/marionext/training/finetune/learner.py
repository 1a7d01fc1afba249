"""The networks as they learn: one process's share of every step."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from marionext.backends.svd.loading import NetworkFiles
from marionext.errors import SettingsError
from marionext.training.biases import remove_biases
from marionext.training.finetune.batches import Batch
from marionext.training.finetune.selection import choose_parameters, increments, originals
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.finetune.state import Learned
from marionext.training.finetune.steering import SteeredUNet, fresh_control, window_losses
from marionext.training.speedups import speed_up

__all__ = ["Learner", "Taken"]

SLOWEST = 0.02
"""Part of their peak that falling rates end at."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of a step; the same in every process."""

    loss: float
    norm: float
    """Of the gradient, before it was shortened."""
    stopping: bool
    """Whether one of the processes was asked to stop."""

    @property
    def trouble(self) -> str | None:
        """What is not finite: ``loss``, ``gradient`` or nothing."""
        values = {"loss": self.loss, "gradient": self.norm}
        return next(
            (name for name, value in values.items() if not torch.isfinite(torch.tensor(value))),
            None,
        )


class Learner:
    """Networks, optimiser and average.

    Args:
        files: of the bundle to begin with.
        settings: of the training.
        accelerator: an `accelerate.Accelerator`, which knows device and processes.
        gradient_checkpointing: whether activations are computed again instead of kept.
    """

    def __init__(
        self,
        files: NetworkFiles,
        settings: FinetuneSettings,
        accelerator: Any,
        *,
        gradient_checkpointing: bool,
    ) -> None:
        """Load the networks and choose what is trained.

        Raises:
            SettingsError: the settings do not go with this bundle.
            ModelError: the bundle cannot be loaded.
        """
        self._settings, self._accelerator = settings, accelerator
        self._device: torch.device = accelerator.device
        unet = files.unet()
        speed_up(unet)
        self._chosen = choose_parameters(unet, settings)
        self._before = originals(self._chosen)
        control = _control(files, settings)
        taught = {name: value for name, value in control.named_parameters() if value.requires_grad}
        if gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        scale = float(files.configuration("vae").get("scaling_factor", 0.18215))
        self.network = SteeredUNet(unet, control, scale).to(self._device)
        self._wrapped: Any = accelerator.prepare_model(self.network)
        named = {f"control.{name}": value for name, value in taught.items()}
        named |= {f"unet.{name}": value for name, value in self._chosen.items()}
        self.learned = Learned(named, settings.average)
        groups = [
            {
                "params": list(taught.values()),
                "peak": settings.rate,
                "weight_decay": settings.decay,
            },
            # Decay would pull the UNet away from the base, not towards it.
            {
                "params": list(self._chosen.values()),
                "peak": settings.main_rate,
                "weight_decay": 0.0,
            },
        ]
        self._optimiser = torch.optim.AdamW(
            [group for group in groups if group["params"]], settings.rate, betas=(0.9, 0.99)
        )
        self.introduction = (
            f"trained are {_size(taught):,} parameters of the control network and "
            f"{_size(self._chosen):,} of the UNet's "
            f"{sum(value.numel() for value in unet.parameters()):,}"
        )

    @property
    def rate(self) -> float:
        """The control network's rate, as it was in the last step."""
        return float(self._optimiser.param_groups[0]["lr"])

    def state(self) -> dict[str, object]:
        """Return what a checkpoint keeps of all this."""
        return {"optimiser": self._optimiser.state_dict(), **self.learned.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned.

        Raises:
            ModelError: it belongs to other parameters.
        """
        self.learned.load(state)
        self._optimiser.load_state_dict(state["optimiser"])

    def increments(self) -> dict[str, Tensor]:
        """Return what the UNet's weights have gained, by their names in the base."""
        return increments(self.network.unet, self._chosen, self._before)

    def predict(self, batch: Batch) -> Tensor:
        """Return the clean latents, scaled, that are made of a batch's noisy ones."""
        return self._predict(self.network, batch)

    def _predict(self, network: Any, batch: Batch) -> Tensor:
        level = batch.sigmas.view(-1, 1, 1, 1, 1)
        mixed = self._settings.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16) if mixed else nullcontext():
            clean: Tensor = network(
                batch.latents * self.network.scale + level * batch.noise,
                batch.sigmas,
                batch.references * batch.kept.view(-1, 1, 1, 1),
                batch.embeddings * batch.kept.view(-1, 1),
                batch.maps,
                batch.kept,
            )
        return clean

    def take_step(self, number: int, batches: list[Batch], fall: float, *, stop: bool) -> Taken:
        """Take one step of the optimiser, unless loss or gradient is not finite.

        Args:
            number: of the step, from 0.
            batches: this process's part of it.
            fall: of the rates, 1 to 0.
            stop: whether this process is asked to stop.
        """
        self.network.train()
        self._set_rates(number, fall)
        self._optimiser.zero_grad()
        total = torch.zeros((), device=self._device)
        for index, drawn in enumerate(batches):
            batch = drawn.to(self._device)
            last = index == len(batches) - 1
            with nullcontext() if last else self._accelerator.no_sync(self._wrapped):
                predicted = self._predict(self._wrapped, batch)
                loss = window_losses(predicted, batch, self.network.scale).mean() / len(batches)
                self._accelerator.backward(loss)
            total += loss.detach()
        parameters = list(self.learned.parameters.values())
        norm = nn.utils.clip_grad_norm_(parameters, self._settings.clip)
        told = torch.stack([total, norm.to(total), total.new_tensor(float(stop))])
        told = self._accelerator.gather(told[None]).cpu()
        loss_of_all, norm_of_all = told[:, :2].mean(dim=0).tolist()
        taken = Taken(loss_of_all, norm_of_all, bool(told[:, 2].any()))
        if taken.trouble is None:
            self._optimiser.step()
            self.learned.follow(number + 1)
        return taken

    def _set_rates(self, number: int, fall: float) -> None:
        rising = min(1.0, (number + 1) / max(1, self._settings.warm_up))
        for group in self._optimiser.param_groups:
            group["lr"] = group["peak"] * rising * max(SLOWEST, min(1.0, fall))


def _control(files: NetworkFiles, settings: FinetuneSettings) -> Any:
    """Return the control network: the bundle's, or a new one of its shape."""
    config = files.control_configuration()
    zero = settings.injection == "zero"
    if settings.control == "fresh":
        return fresh_control(replace(config, zero_convolution=zero), settings.seed)
    if config.zero_convolution != zero:
        has = "a zero convolution" if config.zero_convolution else "cross normalisation"
        raise SettingsError(
            f"injection: the bundle's control network works with {has}",
            hint=f"Say --injection {'cross' if zero else 'zero'}, or begin with --control fresh.",
        )
    control = files.controlnext()
    biases = [
        value
        for name, value in control.named_parameters()
        if name.endswith("bias") and not name.startswith("time_embedding")
    ]
    if not zero and not any(value.any() for value in biases):
        remove_biases(control)
    return control


def _size(parameters: Mapping[str, nn.Parameter]) -> int:
    return sum(value.numel() for value in parameters.values())
