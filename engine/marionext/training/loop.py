"""How a small model of our own is trained: step after step, measured and kept now and then."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from marionext.errors import ModelError
from marionext.training.checkpoints import Curve, load_checkpoint, save_checkpoint

__all__ = ["Schedule", "Training", "train"]

logger = logging.getLogger(__name__)

Batch = TypeVar("Batch")
Batch_contra = TypeVar("Batch_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long is trained, and where."""

    steps: int
    anneal: int
    """Number of last steps over which the rate falls to a fiftieth."""
    evaluate_every: int = 100
    device: str = "cpu"
    processes: int = 1
    """That draw pictures."""

    def rate(self, step: int) -> float:
        """Return the share of the full rate that a step is taken with."""
        left = min(1.0, (self.steps - step) / self.anneal) if self.anneal else 1.0
        return max(left, 0.02)


class Training(Protocol[Batch_contra]):
    """The networks of a training and what moves them."""

    settings: Any
    """A dataclass: what decides the weights, beside the schedule."""

    def begin(self) -> None:
        """Do what comes before the first step."""

    def step(self, batch: Batch_contra, step: int, rate: float) -> float:
        """Learn from a batch; return the loss, which may be no number: then nothing is learnt."""

    def errors(self) -> dict[str, float]:
        """Measure what is trained."""

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""


def train(
    training: Training[Batch],
    schedule: Schedule,
    batches: Callable[[int], Iterator[tuple[int, Batch]]],
    checkpoint: Path,
    columns: tuple[str, ...],
    *,
    resume: bool,
) -> Path:
    """Take the steps, and keep checkpoint and curve in a folder; return the checkpoint's path.

    Args:
        training: what is trained.
        schedule: how long.
        batches: yields the number and the batch of each step, from a step on.
        checkpoint: the file; the curve lies beside it, with the suffix ``.csv``.
        columns: names of what `Training.errors` measures.
        resume: go on from the checkpoint if there is one.

    Raises:
        ModelError: the loss is no longer a number; the last good checkpoint is kept.
    """
    config = asdict(training.settings)
    step, seconds = 0, 0.0
    if resume and checkpoint.exists():
        state = load_checkpoint(checkpoint, config)
        training.load(state)
        step, seconds = int(state["step"]), float(state["seconds"])
    else:
        training.begin()
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    curve = Curve(checkpoint.with_suffix(".csv"), ("seconds", "loss", *columns), step)
    began = time.monotonic() - seconds
    losses: list[float] = []
    for number, batch in batches(step):
        loss = training.step(batch, number, schedule.rate(number))
        if not np.isfinite(loss):
            raise ModelError(
                f"the loss of step {number} is {loss}; the last good checkpoint is {checkpoint}"
            )
        losses.append(loss)
        done = number + 1
        if done % schedule.evaluate_every == 0 or done == schedule.steps:
            spent = {"seconds": time.monotonic() - began, "loss": float(np.mean(losses))}
            losses.clear()
            numbers = {**training.errors(), **spent}
            curve.append(done, numbers)
            logger.info("step %d %s", done, _line(numbers))
            kept = {"step": done, "seconds": time.monotonic() - began, "config": config}
            save_checkpoint(checkpoint, {**kept, **training.state()})
    return checkpoint


def _line(numbers: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in numbers.items())
