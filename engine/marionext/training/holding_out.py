"""What a training's data have in common: some is set apart to measure with, some cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from marionext.training.keys import key_of

__all__ = ["Skipped", "Teller", "set_apart"]

HELD_OUT_PART = 0.05


class Teller(Protocol):
    """Takes reports on the preparation, and stops it by raising."""

    def progress(self, stage: str, done: float, total: int, detail: str = "") -> None:
        """Tell how much is done."""

    def log(self, text: str, *, warning: bool = False) -> None:
        """Say something the user may want to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """What cannot be used, and why."""

    name: str
    reason: str


class _Sample(Protocol):
    @property
    def name(self) -> str:
        """What a user knows it by."""


Sample = TypeVar("Sample", bound=_Sample)


def set_apart(
    samples: Sequence[Sample], tell: Teller, *, what: str, fewest: int
) -> tuple[list[Sample], list[Sample]]:
    """Choose what is held out by its name, so that further ones change few of the choices.

    Args:
        samples: all of them.
        tell: told where there are too few.
        what: they are to the user: ``clips``.
        fewest: of them, of which one can be spared.

    Returns:
        Those to learn from and those to measure with: one in twenty, at least one; where there are
        too few the same ones.
    """
    if len(samples) < fewest:
        tell.log(
            f"{len(samples)} {what} are too few to set one aside: what is measured has been "
            f"learned from, and tells less of other {what}",
            warning=True,
        )
        return list(samples), list(samples)
    order = sorted(samples, key=lambda sample: key_of(sample.name))
    apart = order[: max(1, round(HELD_OUT_PART * len(samples)))]
    return [sample for sample in samples if sample not in apart], apart
