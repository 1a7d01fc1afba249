"""The machine's queue as the window sees it: the same that ``marionext queue`` serves.

What is rendered here is a job in that queue like any other, done by a worker process; closing the
window need not end it, and another window, or a terminal, sees it as well. SQLite may wait for
other processes and for the disk, so a thread of ours talks to it and the window only hears.
"""

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from marionext.codec import decode, encode
from marionext.errors import EngineError, SettingsError
from marionext.files import read_json, write_json
from marionext.hosts import CommandProcess, EventFile, ProcessId
from marionext.protocol import Event, FrameWritten, Log, Preview, Progress
from marionext.queueing import Entry, Line, Store, Watch, admit, queue_folder
from marionext_desktop.model.places import home

__all__ = ["QueueItem", "QueueState", "RenderQueue"]

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.4
_WATCH_SECONDS = 3.0
_WORKER_FILE = "worker.json"
_EVENTS_FILE = "worker.jsonl"
_LOG_FILE = "worker.log"


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A job of the queue, with what its worker says of it where it is ours."""

    entry: Entry
    text: str = ""
    """What is being done, in words: ``drawing 12/48``."""
    seconds_left: float | None = None
    preview: str | None = None
    """Path of a rough picture of it."""
    frames: tuple[int, ...] = ()
    """Frames that are complete on disk, as far as was heard."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue at a moment."""

    items: tuple[QueueItem, ...] = ()
    """At work, waiting in their order, paused, failed, done."""
    paused: bool = False
    working: bool = False
    """Whether some worker is there."""
    problem: EngineError | None = None
    """Why the queue cannot be read."""

    def item(self, number: int) -> QueueItem | None:
        """Return the job of a number, or None."""
        return next((item for item in self.items if item.entry.number == number), None)


def _see_off(process: CommandProcess) -> None:
    """Wait for a worker that this window has started and leaves to itself."""
    while process.status() is None:
        time.sleep(0.2)


@dataclass(slots=True)
class _Heard:
    """What a worker has said of a job."""

    text: str = ""
    seconds_left: float | None = None
    preview: str | None = None
    frames: list[int] = field(default_factory=list)


class RenderQueue(QObject):
    """The queue, looked at a few times a second."""

    changed = Signal(object)
    """A `QueueState`, when something in it is another."""
    failed = Signal(object)
    """An `EngineError`: something that was asked of the queue could not be done."""
    _answered = Signal(object, object)

    def __init__(
        self,
        *,
        folder: Path | None = None,
        command: Sequence[str] | None = None,
        engine: Sequence[str] = (),
        own: Path | None = None,
        parent: QObject | None = None,
    ) -> None:
        """Look at the queue from now on.

        Args:
            folder: of the queue; None: the user's own.
            command: the program and what makes it Marionext; None: this Python's.
            engine: options of the worker, such as ``--device cpu``.
            own: folder for what the worker says; None: the desktop's.
            parent: owner in Qt.
        """
        super().__init__(parent)
        self._folder = folder or queue_folder()
        self._command = tuple(command or (sys.executable, "-m", "marionext"))
        self._engine = tuple(engine)
        self._own = own or home()
        self._asked: queue.SimpleQueue[Callable[[Store], None] | None] = queue.SimpleQueue()
        self._state = QueueState()
        self._events: EventFile | None = None
        self._heard: dict[int, _Heard] = {}
        self._worker: ProcessId | None = None
        self._process: CommandProcess | None = None
        self._wanted = threading.Event()
        self._answered.connect(lambda answer, value: answer(value))
        self._thread = threading.Thread(target=self._run, name="queue", daemon=True)
        self._thread.start()

    @property
    def state(self) -> QueueState:
        """The queue as it was last seen."""
        return self._state

    # ----------------------------------------------------------------------------- what is asked

    def add(
        self,
        job_files: Sequence[Path],
        added: Callable[[list[int]], None],
        refused: Callable[[EngineError], None] | None = None,
    ) -> None:
        """Queue jobs, all or none, and have a worker there for them.

        Args:
            job_files: read and looked at first.
            added: called with their numbers.
            refused: called with why none was; None: `failed` tells.
        """

        def do(store: Store) -> None:
            admission = admit(job_files, roots=None)
            if admission.refused:
                raise admission.refused[0]
            numbers = store.add(admission.jobs)
            self._wanted.set()
            self._answered.emit(added, numbers)

        self._ask(do, refused)

    def remove(self, numbers: Iterable[int]) -> None:
        """Take jobs off the queue; one at work stops after the piece of work in hand."""
        wanted = list(numbers)
        self._ask(lambda store: store.remove(wanted))

    def pause(self, numbers: Iterable[int] = ()) -> None:
        """Hold jobs back, or none: the whole queue."""
        wanted = list(numbers)
        self._ask(lambda store: store.pause_jobs(wanted) if wanted else store.pause())

    def resume(self, numbers: Iterable[int] = ()) -> None:
        """Let jobs go on, or none: the whole queue."""
        wanted = list(numbers)

        def do(store: Store) -> None:
            if wanted:
                store.resume_jobs(wanted)
            else:
                store.resume()
            self._wanted.set()

        self._ask(do)

    def retry(self, numbers: Iterable[int]) -> None:
        """Try failed jobs again, from where they stopped."""
        wanted = list(numbers)

        def do(store: Store) -> None:
            store.retry(wanted)
            self._wanted.set()

        self._ask(do)

    def order(self, numbers: Sequence[int]) -> None:
        """Have waiting jobs begun in this order, before those that are not named."""

        def do(store: Store) -> None:
            others = [
                entry.priority for entry in store.entries() if entry.number not in set(numbers)
            ]
            top = max([*others, 0]) + len(numbers)
            for place, number in enumerate(numbers):
                store.prioritise([number], min(top - place, 1000))

        self._ask(do)

    def log(self, number: int, answer: Callable[[list[Line]], None]) -> None:
        """Read what was said about a job."""
        self._ask(lambda store: self._answered.emit(answer, store.log(number)[0]))

    def serve(self) -> None:
        """Have a worker there as long as there are jobs to do."""
        self._wanted.set()

    @property
    def at_work(self) -> bool:
        """Whether a worker that this window, or an earlier one, started is doing a job."""
        return any(item.entry.state == "working" for item in self._state.items)

    def close(self, *, keep_working: bool) -> None:
        """Stop looking.

        Args:
            keep_working: whether the worker goes on without the window; if not, it stops after the
                piece of work in hand, and its job waits for the next worker.
        """
        self._asked.put(None)
        self._thread.join(5.0)
        if not keep_working and self._worker is not None:
            self._worker.interrupt()
        if self._process is not None:
            threading.Thread(target=_see_off, args=(self._process,), daemon=True).start()
            self._process = None

    # ----------------------------------------------------------------------------------- inside

    def _ask(
        self,
        do: Callable[[Store], object],
        refused: Callable[[EngineError], None] | None = None,
    ) -> None:
        def carefully(store: Store) -> None:
            try:
                do(store)
            except EngineError as error:
                if refused is None:
                    self.failed.emit(error)
                else:
                    self._answered.emit(refused, error)

        self._asked.put(carefully)

    def _run(self) -> None:
        while True:
            try:
                with Store(self._folder) as store:
                    self._find_worker()
                    self._watch(store)
                    return
            except EngineError as error:
                self._tell(QueueState(problem=error))
            except RuntimeError:
                return  # the window is gone
            except Exception:
                logger.exception("the queue cannot be looked at")
            try:
                if self._asked.get(timeout=2.0) is None:
                    return
            except queue.Empty:
                continue

    def _watch(self, store: Store) -> None:
        watch, next_watch = Watch(), 0.0
        while True:
            try:
                do = self._asked.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                pass
            else:
                if do is None:
                    return
                do(store)
            now = time.monotonic()
            if now >= next_watch:
                next_watch = now + _WATCH_SECONDS
                watch.look(store, me=None)
            self._listen()
            entries = store.entries()
            working = self._keep_serving(store, entries)
            items = tuple(self._item(entry) for entry in entries)
            self._tell(QueueState(items, store.paused, working))

    def _tell(self, state: QueueState) -> None:
        if state != self._state:
            self._state = state
            self.changed.emit(state)

    def _item(self, entry: Entry) -> QueueItem:
        heard = self._heard.get(entry.number)
        if heard is None:
            return QueueItem(entry)
        at_work = entry.state == "working"
        return QueueItem(
            entry,
            heard.text if at_work else "",
            heard.seconds_left if at_work else None,
            heard.preview,
            tuple(heard.frames),
        )

    # --------------------------------------------------------------------------------- the worker

    def _keep_serving(self, store: Store, entries: Sequence[Entry]) -> bool:
        """Start a worker where there is work and nobody to do it; tell whether there is one."""
        if self._process is not None and self._process.status() is not None:
            self._process = None
        ours = self._process is not None or (self._worker is not None and self._worker.alive)
        working = ours or bool(store.workers())
        waiting = any(entry.state == "waiting" for entry in entries) and not store.paused
        if self._wanted.is_set() and waiting and not working:
            self._start_worker()
            return True
        if not any(entry.state in {"waiting", "working"} for entry in entries):
            self._wanted.clear()
        return working

    def _start_worker(self) -> None:
        self._own.mkdir(parents=True, exist_ok=True)
        events = self._own / _EVENTS_FILE
        arguments = [*self._command, "queue", "work", "--drain", "--json"]
        arguments += ["--queue", str(self._folder), *self._engine]
        try:
            self._process = CommandProcess(
                arguments, output=events, errors=self._own / _LOG_FILE, environment={},
                detached=True,
            )  # fmt: skip
        except EngineError as error:
            self._wanted.clear()
            self.failed.emit(error)
            return
        self._worker = ProcessId.of(self._process.pid)
        self._events = EventFile(events)
        self._heard.clear()
        write_json(self._own / _WORKER_FILE, encode(self._worker))

    def _find_worker(self) -> None:
        """Find the worker that an earlier window has left at work."""
        try:
            worker = decode(ProcessId, read_json(self._own / _WORKER_FILE))
        except (OSError, ValueError, SettingsError):
            return
        if worker.alive:
            self._worker = worker
            self._events = EventFile(self._own / _EVENTS_FILE)
            self._wanted.set()

    def _listen(self) -> None:
        for event in self._events.poll() if self._events is not None else ():
            self._hear(event)

    def _hear(self, event: Event) -> None:
        name: str = getattr(event, "job_id", "")
        if not name.isdecimal():
            return
        heard = self._heard.setdefault(int(name), _Heard())
        match event:
            case Progress():
                heard.text, heard.seconds_left = event.text, event.seconds_left
            case Preview():
                heard.preview = event.path
            case FrameWritten():
                heard.frames.append(event.frame)
            case Log():
                pass
            case _:
                heard.seconds_left = None
