"""What a training reports to its host: progress with the time left, measurements, the result."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from marionext.errors import JobCancelled
from marionext.protocol import Log, Preview, Progress

__all__ = ["Measured", "Report", "Trained", "TrainingReporter"]

STAGES = {"data": "preparing the data", "train": "training", "write": "writing the model"}

_SECONDS_BETWEEN = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A row of the curve."""

    job_id: str
    step: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The training is done."""

    job_id: str
    directory: str
    """Of the result."""
    steps: int
    seconds: float


Report = Progress | Log | Preview | Measured | Trained


class TrainingReporter:
    """Sends a training's reports to its host.

    Args:
        emit: takes each report.
        cancelled: whether the host wants the training to stop.
    """

    def __init__(
        self, emit: Callable[[Report], None], cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        """Start the clock."""
        self._emit = emit
        self.cancelled = cancelled
        self._stage, self._started, self._before, self._last = "", 0.0, 0.0, 0.0

    def progress(self, stage: str, done: float, total: int, detail: str = "") -> None:
        """Report how far a stage is.

        Args:
            stage: one of `STAGES`.
            done: clips, pictures or steps, also parts of one.
            total: of them.
            detail: a few more words.

        Raises:
            JobCancelled: while data is prepared, that the host wants to stop; a training itself
                stops between two steps.
        """
        if stage == "data" and self.cancelled():
            raise JobCancelled("Stopped while preparing the data. What is encoded is kept.")
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._started, self._before = stage, now, done
        elif now - self._last < _SECONDS_BETWEEN and done != total:
            return
        self._last = now
        fresh = done - self._before
        left = (now - self._started) / fresh * (total - done) if fresh > 0 else None
        self._emit(
            Progress(
                job_id="",
                stage=stage,
                done=int(done),
                total=total,
                fraction=round(done / total, 4) if stage != "data" and total else 0.0,
                seconds_left=None if left is None else round(left, 1),
                text=f"{STAGES[stage]} {int(done)}/{total}{', ' + detail if detail else ''}",
            )
        )

    def log(self, text: str, *, warning: bool = False) -> None:
        """Say something the user may want to read."""
        self._emit(Log(job_id="", level="warning" if warning else "info", text=text))

    def preview(self, path: str, step: int) -> None:
        """Point to a preview."""
        self._emit(Preview(job_id="", path=path, frame=step))

    def measured(self, step: int, values: dict[str, float]) -> None:
        """Report a row of the curve."""
        self._emit(Measured(job_id="", step=step, values=values))

    def trained(self, directory: str, steps: int, seconds: float) -> None:
        """Report that the result is written."""
        self._emit(Trained(job_id="", directory=directory, steps=steps, seconds=round(seconds, 1)))
