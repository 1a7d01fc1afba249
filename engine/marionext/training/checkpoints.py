"""Keep the state of a training so that it can stop at any moment and resume.

A checkpoint is one file, written beside its place and renamed over it, so what is read is the old
state or the new one, never half of one. It holds everything the next step depends on
(parameters, averages, optimiser, step, random state), so that a resumed run takes the very steps
an uninterrupted one would have taken on the same device.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from marionext.diffusion.weights import DAMAGED
from marionext.errors import ModelError, OutputError
from marionext.files import write_text, writing

__all__ = ["Curve", "load_checkpoint", "read_curve", "save_checkpoint"]


def save_checkpoint(path: Path, state: Mapping[str, object]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OutputError: it cannot be written; an earlier one is as it was.
    """
    try:
        with writing(path) as stream:
            torch.save(dict(state), stream)
    except RuntimeError as error:
        # torch's writer reports a full disk in words of its own.
        cause = error.__context__
        reason = cause if isinstance(cause, OSError) else str(error).splitlines()[0]
        raise OutputError(
            f"{path}: the checkpoint cannot be written: {reason}",
            hint="Free some space and go on with --resume; the earlier checkpoint is whole.",
        ) from error


def load_checkpoint(path: Path, config: Mapping[str, object]) -> dict[str, Any]:
    """Read a checkpoint written for the same configuration.

    Args:
        path: the file.
        config: what the run is configured as; has to equal what the checkpoint was written with.

    Raises:
        ModelError: the file cannot be read, or belongs to another configuration.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        raise ModelError(f"cannot read the checkpoint {path}: {error}") from error
    found = state.get("config")
    if found != dict(config):
        theirs = found if isinstance(found, dict) else {}
        differing = sorted(key for key in {*theirs, *config} if theirs.get(key) != config.get(key))
        raise ModelError(
            f"the checkpoint {path} belongs to another configuration; different: "
            f"{', '.join(differing)}",
            hint="Choose another output folder, or leave out --resume.",
        )
    return state


class Curve:
    """A table of numbers over the steps of a training, appended to a CSV file.

    Args:
        path: the file; rows past ``step`` are dropped, they will be made again.
        columns: names of the numbers, without the step.
        step: the step the training goes on from.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], step: int) -> None:
        """Open the table and drop the rows after the step."""
        self._path = path
        self._columns = ("step", *columns)
        kept = []
        if path.exists() and step:
            with path.open(newline="") as stream:
                kept = [row for row in csv.DictReader(stream) if int(row["step"]) <= step]
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, self._columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
        write_text(path, table.getvalue())

    def append(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add a row."""
        with self._path.open("a", newline="") as stream:
            row = [step, *(f"{numbers[name]:.6g}" for name in self._columns[1:])]
            csv.writer(stream).writerow(row)


def read_curve(path: Path) -> list[dict[str, float]]:
    """Read a table that `Curve` wrote: a row for each evaluation."""
    with path.open(newline="") as stream:
        return [
            {name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)
        ]
