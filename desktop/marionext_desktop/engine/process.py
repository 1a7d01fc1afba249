"""One engine for all that a window wants to know at once: poses, figures, live pictures.

Renders go to the machine's queue (`marionext_desktop.model.queue`) and to workers of their own, so
that a capture never waits for one and the window may be closed meanwhile. An engine that dies
fails the job that it was at, says so, and the next job starts another one.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from PySide6.QtCore import QObject, QTimer, Signal

from marionext.codec import encode
from marionext.errors import EngineError, JobCancelled
from marionext.hosts import JobEvent, JobQueue, LivePictures, SharedEngine, Started, Work
from marionext.hosts.queue import Starting
from marionext.jobs import EngineSettings, Job, LivePose, encode_job
from marionext.protocol import Failed, Finished, Log, Planned, Posed, Progress

__all__ = ["Engine", "EngineState", "EngineTask"]

EngineState = Literal["off", "ready", "working", "lost"]
"""``off``: nothing runs, it starts when it is needed; ``lost``: it has died, see the message."""

_BUSY_MS = 15
_IDLE_MS = 1000
_IDLE_SECONDS = 300.0


class EngineTask(QObject):
    """A job of the engine."""

    begun = Signal()
    progressed = Signal(object)
    """A `marionext.protocol.Progress`."""
    said = Signal(object)
    """A `marionext.protocol.Log`."""
    finished = Signal(object)
    """A `marionext.protocol.Finished`."""
    failed = Signal(object)
    """A `marionext.protocol.Failed`; its code is ``cancelled`` where that was asked for."""

    def __init__(self, name: str, title: str, engine: "Engine") -> None:
        """Stand for a job; made by `Engine.run`."""
        super().__init__(engine)
        self.name = name
        self.title = title
        self.fraction = 0.0
        self._engine = engine

    def cancel(self) -> None:
        """Ask to stop it; `failed` still comes."""
        self._engine.cancel(self.name)


class Engine(QObject):
    """The engine's process."""

    state_changed = Signal(str, str)
    """An `EngineState`, and a word about it."""
    pictured = Signal(object, object)
    """Answer to `show_pose`: a `marionext.protocol.Posed` or `Failed`, and what was given along."""

    def __init__(
        self,
        *,
        command: Sequence[str] | None = None,
        settings: EngineSettings | None = None,
        parent: QObject | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            command: how to start a worker; None: this Python's own.
            settings: what the machine is to use.
            parent: owner in Qt.
        """
        super().__init__(parent)
        self._command = tuple(command or (sys.executable, "-m", "marionext", "worker"))
        self.settings = settings or EngineSettings(previews=False)
        self._shared = SharedEngine(idle_seconds=_IDLE_SECONDS)
        self._jobs = JobQueue()
        self._live = LivePictures(self._shared)
        self._tag: object = None
        self._tasks: dict[str, EngineTask] = {}
        self._questions: list[tuple[Work, Callable[[Planned | Failed], None]]] = []
        self._numbers = 0
        self._state: EngineState = "off"
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._poll)
        self._timer.start(_IDLE_MS)

    # ------------------------------------------------------------------------------------ jobs

    def run(
        self, job: Job, title: str, *, overwrite: bool = False, first: bool = False
    ) -> EngineTask:
        """Have a job done after those that wait.

        Args:
            job: no render: those go to the machine's queue.
            title: for people.
            overwrite: replace what is there.
            first: before those that wait.
        """
        self._numbers += 1
        task = EngineTask(f"job-{self._numbers}", title, self)
        self._tasks[task.name] = task
        settings = encode(self.settings) | {"overwrite": overwrite}
        begin = partial(self._shared.begin, encode_job(job), settings, command=self._command)
        self._jobs.add(task.name, lambda: begin, place=0 if first else None)
        self._hurry()
        return task

    def cancel(self, name: str) -> None:
        """Stop a job, waiting or at work."""
        self._jobs.cancel(name)
        self._hurry()

    @property
    def tasks(self) -> tuple[EngineTask, ...]:
        """The jobs that are open, in the order in which they came."""
        return tuple(self._tasks.values())

    @property
    def pid(self) -> int | None:
        """Number of the process, or None while there is none."""
        return self._shared.pid

    @property
    def state(self) -> EngineState:
        """How it is."""
        return self._state

    # ------------------------------------------------------------------------------- questions

    def estimate(self, job: Job, answer: Callable[[Planned | Failed], None]) -> None:
        """Ask what a render will take.

        Args:
            job: a render.
            answer: called with the answer; a question that was overtaken is never answered.
        """
        ask = partial(
            self._shared.ask_plan, encode_job(job), encode(self.settings), command=self._command
        )
        self._questions.append((Starting(ask), answer))
        self._hurry()

    def show_pose(self, pose: LivePose, tag: object = None) -> None:
        """Ask how the character looks in a pose; it takes the place of what was asked before.

        Args:
            pose: the pose.
            tag: comes back with `pictured`, such as the frame; that of the newest question.
        """
        self._tag = tag
        self._live.ask(pose, command=self._command)
        self._hurry()

    def forget_pose(self) -> None:
        """Want no picture any more."""
        self._live.forget()

    # ----------------------------------------------------------------------------------- inside

    def _hurry(self) -> None:
        if self._timer.interval() != _BUSY_MS:
            self._timer.start(_BUSY_MS)

    @property
    def busy(self) -> bool:
        """Whether something is asked for."""
        return bool(self._tasks or self._questions or self._live.waiting)

    def _poll(self) -> None:
        for event in self._jobs.poll():
            self._tell(event)
        for question in list(self._questions):
            work, answer = question
            for told in work.poll():
                if isinstance(told, Planned | Failed):
                    self._questions.remove(question)
                    self._notice(told)
                    if not (isinstance(told, Failed) and told.code == JobCancelled.code):
                        answer(told)
        posed = self._live.poll()
        if posed is not None:
            self._notice(posed)
            self.pictured.emit(posed, self._tag)
        if not self.busy:
            if not self._shared.rest() and self._state != "lost":
                self._set("off", "")
            elif self._state == "working":
                self._set("ready", "")
            self._timer.start(_IDLE_MS)
        elif self._state != "working" and self._shared.pid is not None:
            self._set("working", "")

    def _tell(self, event: JobEvent) -> None:
        task = self._tasks.get(event.job_id)
        if task is None:
            return
        match event:
            case Started():
                task.begun.emit()
            case Progress():
                task.fraction = event.fraction
                task.progressed.emit(event)
            case Log():
                task.said.emit(event)
            case Finished():
                del self._tasks[task.name]
                task.finished.emit(event)
                task.deleteLater()
            case Failed():
                del self._tasks[task.name]
                self._notice(event)
                task.failed.emit(event)
                task.deleteLater()
            case _:
                pass

    def _notice(self, event: Planned | Posed | Failed) -> None:
        """Say that the engine is gone where that is why something failed."""
        if isinstance(event, Failed) and event.code == "protocol":
            self._set("lost", event.message)
        elif self._state == "lost":
            self._set("working", "")

    def _set(self, state: EngineState, message: str) -> None:
        if state != self._state:
            self._state = state
            self.state_changed.emit(state, message)

    def close(self) -> None:
        """End the engine and wait a moment for it."""
        self._timer.stop()
        self._live.forget()
        self._questions.clear()
        self._jobs.close()
        self._shared.close()


def error_of(failed: Failed) -> EngineError:
    """Return what failed as an error, for those who show errors."""
    return EngineError(failed.message, hint=failed.hint)
