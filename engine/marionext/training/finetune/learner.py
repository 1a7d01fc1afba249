"""The networks as they learn: one process's share of every step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from marionext.backends.svd.loading import NetworkFiles
from marionext.errors import SettingsError
from marionext.training.biases import remove_biases
from marionext.training.descent import Descent, Group, mixed
from marionext.training.finetune.batches import Batch
from marionext.training.finetune.selection import choose_parameters, increments, originals
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.finetune.steering import SteeredUNet, fresh_control, window_losses
from marionext.training.learned import Learned
from marionext.training.speedups import speed_up

__all__ = ["Learner"]


class Learner:
    """The networks, and how they descend.

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
        self._settings = settings
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
        groups: list[Group] = [
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
        self.descent: Descent[Batch] = Descent(
            Learned(named, settings.average),
            groups,
            accelerator,
            self._wrapped,
            clip=settings.clip,
            warm_up=settings.warm_up,
        )
        self.network.train()
        self.introduction = (
            f"trained are {_size(taught):,} parameters of the control network and "
            f"{_size(self._chosen):,} of the UNet's "
            f"{sum(value.numel() for value in unet.parameters()):,}"
        )

    def increments(self) -> dict[str, Tensor]:
        """Return what the UNet's weights have gained, by their names in the base."""
        return increments(self.network.unet, self._chosen, self._before)

    def predict(self, batch: Batch) -> Tensor:
        """Return the clean latents, scaled, that are made of a batch's noisy ones."""
        return self._predict(self.network, batch)

    def loss(self, batch: Batch) -> Tensor:
        """Return a batch's loss, with its gradient."""
        batch = batch.to(self._device)
        predicted = self._predict(self._wrapped, batch)
        return window_losses(predicted, batch, self.network.scale).mean()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While open, the networks are as they are used, not as they are trained."""
        self.network.eval()
        try:
            yield
        finally:
            self.network.train()

    def _predict(self, network: Any, batch: Batch) -> Tensor:
        level = batch.sigmas.view(-1, 1, 1, 1, 1)
        with mixed(self._device, self._settings.precision):
            clean: Tensor = network(
                batch.latents * self.network.scale + level * batch.noise,
                batch.sigmas,
                batch.references * batch.kept.view(-1, 1, 1, 1),
                batch.embeddings * batch.kept.view(-1, 1),
                batch.maps,
                batch.kept,
            )
        return clean


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
