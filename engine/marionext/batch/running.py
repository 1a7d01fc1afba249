"""Do the shots of a batch one after another on one engine, and keep what became of each.

Models stay loaded from one shot to the next. What fails by no fault of the job (memory, disk, a
network folder) is tried again; what a job gets wrong itself fails again each time and is not.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from marionext.batch.shots import Problem, Shot, ordered
from marionext.codec import encode
from marionext.errors import EngineError, JobCancelled
from marionext.jobs import EngineSettings, RenderJob, encode_job
from marionext.local import LocalEngine
from marionext.protocol import Event, Failed, Finished, FrameWritten, Log, Progress
from marionext.record import RECORD, Record

__all__ = ["Batch", "Row", "State", "is_finished"]

State = Literal["waiting", "working", "done", "there", "failed", "stopped"]
"""``there``: an earlier run has finished it; ``stopped``: it was interrupted, or never begun."""

_LASTING = frozenset({"settings", "motion", "character", "job", "model"})
"""Codes of failures that come again however often a job is tried."""
_LONGEST_PAUSE = 30.0
_SLICE = 0.2


@dataclass(slots=True)
class Row:
    """A shot and what became of it; the batch alone writes to it."""

    name: str
    source: str
    shot: Shot | None
    """None: it could not even be read."""
    state: State = "waiting"
    text: str = ""
    """What is going on, or why it failed."""
    hint: str = ""
    exit_status: int = 0
    fraction: float | None = None
    seconds_left: float | None = None
    seconds: float = 0.0
    frames: int = 0
    """Frames of the result; while it is at work, those that were written."""
    directory: Path | None = None
    attempts: int = 0
    warnings: list[str] = field(default_factory=list)


def is_finished(shot: Shot, engine: EngineSettings) -> bool:
    """Tell whether an earlier run has finished a shot: the same render, every file as it was made.

    Only renders can tell; a shot that cannot is done, and says itself what is there already.
    """
    job = shot.job
    if not isinstance(job, RenderJob) or job.again is not None:
        return False
    folder = Path(job.output.directory)
    if not (folder / RECORD).is_file():
        return False
    from marionext.reporting import silent  # noqa: PLC0415 - what follows is heavy
    from marionext.runs.render import describe_render  # noqa: PLC0415
    from marionext.verifying import verify  # noqa: PLC0415

    try:
        record = Record.read(folder / RECORD)
        # As the render itself goes on with what is there, whatever it is to be overwritten with.
        plan = describe_render(job, replace(engine, overwrite=False), silent())
    except EngineError:
        return False  # said when it is its turn
    same = (plan.identity, plan.numbers) == (record.identity, record.numbers)
    made, wanted = dict(record.job.get("output", {})), encode(job.output)
    made["directory"] = wanted["directory"]
    return same and made == wanted and verify(folder).whole


class Batch:
    """Shots in the order in which models are loaded least.

    Args:
        engine: which machine to use.
        retries: how often a shot is tried again that failed by no fault of its own.
        keep_going: go on with the others when a shot has failed for good.
        skip_existing: leave alone what an earlier run has finished.
        tell: called on the thread of `run` whenever a row changes, with the engine's event, if any.
    """

    def __init__(
        self,
        engine: EngineSettings,
        *,
        retries: int = 0,
        keep_going: bool = False,
        skip_existing: bool = False,
        tell: Callable[[Row, Event | None], None] = lambda _row, _event: None,
    ) -> None:
        """Begin with nothing to do."""
        self.rows: list[Row] = []
        """Everything that was added, in the order of its turns."""
        self._engine = engine
        self._retries = retries
        self._keep_going = keep_going
        self._skip_existing = skip_existing
        self._tell = tell
        self._local: LocalEngine | None = None
        self._job_id = ""
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stopped

    @property
    def broken(self) -> bool:
        """Whether a failure holds the others up."""
        return not self._keep_going and any(row.state == "failed" for row in self.rows)

    def add(self, shots: Iterable[Shot], problems: Iterable[Problem] = ()) -> None:
        """Add shots behind those that are there, and what is known not to be renderable."""
        self.rows += [Row(name=shot.name, source=shot.source, shot=shot) for shot in ordered(shots)]
        for problem in problems:
            row = Row(name=problem.source, source=problem.source, shot=None)
            self.rows.append(row)
            self._fail(row, Failed.of("", problem.error))

    def stop(self) -> None:
        """Stop after the unit at work; to be called from a signal, too."""
        self._stopped = True
        if self._local is not None:
            self._local.cancel(self._job_id)

    def run(self) -> None:
        """Do what waits, until nothing does or something holds it up."""
        for row in self.rows:
            if self._stopped or self.broken:
                break
            if row.state == "waiting":
                self._do(row)

    def close(self) -> None:
        """Let the engine go; what has not begun is told to be so."""
        for row in self.rows:
            if row.state == "waiting":
                row.state, row.text = "stopped", "not begun"
                self._tell(row, None)
        if self._local is not None:
            self._local.close()
            self._local = None

    def _do(self, row: Row) -> None:
        assert row.shot is not None  # those that could not be read have failed before
        row.state, row.text = "working", "beginning"
        self._tell(row, None)
        if self._skip_existing and is_finished(row.shot, self._engine):
            job = row.shot.job
            assert isinstance(job, RenderJob)
            row.directory = Path(job.output.directory)
            row.frames = len(Record.read(row.directory / RECORD).numbers)
            row.state, row.text, row.fraction = "there", "", 1.0
            self._tell(row, None)
            return
        while True:
            row.attempts += 1
            seconds = self._end(row, self._attempt(row, row.shot))
            if not seconds:
                return
            ends = time.monotonic() + seconds
            while not self._stopped and time.monotonic() < ends:
                time.sleep(_SLICE)

    def _attempt(self, row: Row, shot: Shot) -> Finished | Failed:
        """Try a shot once and return how it ended."""
        if self._local is None:
            self._local = LocalEngine()
        local = self._local
        self._job_id = shot.name
        started = time.monotonic()
        row.frames = 0
        local.submit(encode_job(shot.job), encode(self._engine), job_id=shot.name)
        if self._stopped:  # between the last look and now
            local.cancel(shot.name)
        while True:
            event = local.next_event()
            if isinstance(event, Finished | Failed):
                row.seconds += time.monotonic() - started
                return event
            self._note(row, event)

    def _note(self, row: Row, event: Event) -> None:
        """Keep what an event says of a shot at work, and tell it."""
        match event:
            case Progress():
                row.text, row.fraction = event.text, event.fraction
                row.seconds_left = event.seconds_left
            case FrameWritten():
                row.frames += 1
            case Log(level="warning"):
                row.warnings.append(event.text)
        self._tell(row, event)

    def _end(self, row: Row, ended: Finished | Failed) -> float:
        """Keep how an attempt ended; return in how many seconds it is tried again, 0: never."""
        if isinstance(ended, Finished):
            row.directory, row.frames = Path(ended.directory), ended.frames
            row.state, row.text, row.fraction = "done", "", 1.0
            row.seconds_left = None
            self._tell(row, ended)
            return 0.0
        if ended.code == JobCancelled.code:
            row.state, row.text, row.hint = "stopped", "stopped; what is finished is kept", ""
            row.exit_status = ended.exit_status
            self._tell(row, ended)
            return 0.0
        if row.attempts > self._retries or ended.code in _LASTING or self._stopped:
            self._fail(row, ended)
            return 0.0
        # Twice as long each time.
        seconds = min(2.0 ** (row.attempts - 1), _LONGEST_PAUSE)
        row.text = f"tried again in {seconds:g} s"
        row.warnings.append(ended.message)
        said = f"{row.name}: {ended.message} - tried again in {seconds:g} s"
        self._tell(row, Log(job_id=row.name, level="warning", text=said))
        return seconds

    def _fail(self, row: Row, failed: Failed) -> None:
        row.state, row.text, row.hint = "failed", failed.message, failed.hint or ""
        row.exit_status, row.seconds_left = failed.exit_status, None
        self._tell(row, failed)
