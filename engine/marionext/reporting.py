"""How a running job tells its host what it does: stages, time left, frames, pictures.

The numerics report counts through plain callables; here they become the protocol's events.
"""

import time
from collections.abc import Callable

from marionext.errors import JobCancelled
from marionext.protocol import Event, FrameWritten, Log, Preview, Progress

__all__ = ["STAGES", "Reporter", "silent"]

STAGES = {
    "poses": (0.0, 0.12, "reading the motion"),
    "models": (0.12, 0.03, "loading the models"),
    "denoise": (0.15, 0.65, "denoising"),
    "decode": (0.8, 0.17, "decoding"),
    "draw": (0.15, 0.82, "drawing"),
    "encode": (0.97, 0.03, "writing"),
    "upscale": (0.15, 0.82, "making larger"),
    "export": (0.0, 1.0, "writing"),
}
"""For each stage how much of the work usually lies before it, its own part, and its name in words.
A model denoises and decodes, draws, or makes larger; an export does nothing but write."""

_BEFORE = ("poses", "models")
"""Stages whose pace says nothing about the rest."""

_SECONDS_BETWEEN = 0.1


class Reporter:
    """One job's line to its host.

    Args:
        job_id: the job as the host calls it.
        emit: takes each event; called on the engine's thread.
        cancelled: whether the host wants the job to stop.
    """

    def __init__(
        self, job_id: str, emit: Callable[[Event], None], cancelled: Callable[[], bool]
    ) -> None:
        """Start the clock."""
        self.job_id = job_id
        self._emit = emit
        self.cancelled = cancelled
        self._started = time.monotonic()
        self.said: list[str] = []
        """What was said so far, in order."""
        self._fraction = 0.0
        self._last = 0.0
        self._stage = ""
        self._stage_started = self._started
        self._done_before = 0

    def check(self) -> None:
        """Raise `JobCancelled` if the host wants the job to stop."""
        if self.cancelled():
            raise JobCancelled("The render was stopped. What is finished is kept.")

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Tell how far a stage is, and stop here if the host wants that.

        Args:
            stage: one of `STAGES`.
            done: units finished.
            total: units in all, 0 if unknown.
            detail: a few more words, such as the window in hand.

        Raises:
            JobCancelled: the host wants the job to stop.
        """
        self.check()
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_started, self._done_before = stage, now, done
        elif now - self._last < _SECONDS_BETWEEN and done != total:
            return
        self._last = now
        before, share, words = STAGES[stage]
        part = done / total if total else 0.0
        self._fraction = max(self._fraction, before + share * part)
        count = f" {done}/{total}" if total > 1 else ""
        self._emit(
            Progress(
                job_id=self.job_id,
                stage=stage,
                done=done,
                total=total,
                fraction=round(min(self._fraction, 1.0), 4),
                seconds_left=self._seconds_left(now, stage, done, total),
                text=f"{words}{count}{', ' + detail if detail else ''}",
            )
        )

    def _seconds_left(self, now: float, stage: str, done: int, total: int) -> float | None:
        """Extrapolate the stage from its own pace, and the stages after it by their usual parts.

        How long denoising will take shows only in denoising: nothing is said before.
        """
        fresh = done - self._done_before
        if not total or fresh <= 0 or stage in _BEFORE:
            return None
        pace = (now - self._stage_started) / fresh
        stage_whole = pace * total
        before, share, _ = STAGES[stage]
        after = 1 - before - share
        return round(pace * (total - done) + stage_whole * after / share, 1)

    def log(self, text: str, *, warning: bool = False) -> None:
        """Say something the user may want to read."""
        self.said.append(text)
        self._emit(Log(job_id=self.job_id, level="warning" if warning else "info", text=text))

    def preview(self, path: str, frame: int) -> None:
        """Point to a rough picture of the result so far."""
        self._emit(Preview(job_id=self.job_id, path=path, frame=frame))

    def frame(self, number: int, path: str) -> None:
        """Tell that a frame is complete on disk."""
        self._emit(FrameWritten(job_id=self.job_id, frame=number, path=path))

    @property
    def seconds(self) -> float:
        """Seconds since the job began."""
        return time.monotonic() - self._started


def silent() -> Reporter:
    """Return a reporter whose events nobody reads."""
    return Reporter("", lambda _event: None, lambda: False)
