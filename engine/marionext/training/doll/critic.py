"""A critic: tells frames that were drawn from frames that were mended, patch by patch.

What differs least, on the mean, from all that might be there is a blur. A network that learns
beside the refiner which pictures are drawn knows a blur at once, and the refiner learns to avoid
what it knows (generative adversarial training, Goodfellow et al. 2014; the hinge loss, and a
weight that keeps the critic's pull in proportion to that of the truth, Esser et al. 2021).
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from marionext.backends.doll.refiner import COLOURS
from marionext.training.doll.pairs import Pairs

__all__ = ["Critic"]

WIDTHS = (48, 96, 160)
RATE = 4e-4
PULL = 0.25
"""The critic's pull on what is made, as a share of the pull towards the truth."""
LIKENESS = 1.0
"""How much it counts that what the critic sees in a frame is what it sees in the truth."""


class _Network(nn.Module):
    """Looks at patches of 46 pixels, and at what the refiner saw there."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3 + COLOURS, *WIDTHS)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(one, two, 4, stride=2 if index < 2 else 1, padding=1))
            for index, (one, two) in enumerate(pairwise(widths))
        )
        self.last = spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, pictures: Tensor, seen: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = torch.cat([pictures - 0.5, seen - 0.5], dim=1)
        kept = []
        for layer in self.layers:
            features = F.leaky_relu(layer(features), 0.2)
            kept.append(features)
        return self.last(features), kept


class Critic:
    """A critic and how it learns.

    Args:
        device: of the training.
    """

    def __init__(self, device: torch.device) -> None:
        """Make one that knows nothing."""
        self._network = _Network().to(device)
        self._optimiser = torch.optim.Adam(
            self._network.parameters(), RATE, betas=(0.5, 0.99), foreach=True
        )

    def weighed(self, loss: Tensor, made: Tensor, pairs: Pairs) -> Tensor:
        """Return what the critic holds against frames, in proportion to a loss.

        Args:
            loss: how far the frames are from the truth.
            made: (n, 3, h, w), with gradients.
            pairs: what they were made of.
        """
        self._network.requires_grad_(requires_grad=False)
        verdict, seen = self._network(made, pairs.view.pixels)
        with torch.no_grad():
            _, wanted = self._network(pairs.truth, pairs.view.pixels)
        unlike = torch.stack(
            [(one - two).abs().mean() for one, two in zip(seen, wanted, strict=True)]
        ).sum()
        against = LIKENESS * unlike - verdict.mean()
        mine, theirs = (
            torch.autograd.grad(each, made, retain_graph=True)[0].norm() for each in (against, loss)
        )
        self._network.requires_grad_(requires_grad=True)
        weighed: Tensor = PULL * (theirs / (mine + 1e-8)).detach() * against
        return weighed

    def learn(self, made: Tensor, pairs: Pairs) -> None:
        """Learn from frames and their truth.

        Args:
            made: (n, 3, h, w), without gradients.
            pairs: what they were made of.
        """
        drawn, _ = self._network(pairs.truth, pairs.view.pixels)
        mended, _ = self._network(made, pairs.view.pixels)
        loss = F.relu(1 - drawn).mean() + F.relu(1 + mended).mean()
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {"network": self._network.state_dict(), "optimiser": self._optimiser.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
