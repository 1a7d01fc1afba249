"""Take jobs from the queue, one at a time, and do them in this process.

The engine is a thread of this process (`marionext.local.LocalEngine`): the model of the last job
stays loaded, and a worker that is killed leaves nothing behind, no process and no lock. Another
thread shows meanwhile that the worker lives, and hears what people ask for. What a killed worker
has made is on the disk: whoever gets its job goes on from there.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from marionext.codec import encode
from marionext.errors import JobCancelled, OutputError
from marionext.jobs import EngineSettings
from marionext.local import LocalEngine
from marionext.protocol import Event, Failed, Finished, Log, Progress
from marionext.queueing.entries import Claim
from marionext.queueing.store import Store
from marionext.queueing.watch import Watch, this_process

__all__ = ["Worker"]

logger = logging.getLogger(__name__)

_BEAT_SECONDS = 2.0
_LOOK_SECONDS = 2.0
"""Between two looks at the other workers."""
_IDLE_SECONDS = 0.5
_SLICE = 0.1
_OWN_FAULT = frozenset({"job", "settings", "motion", "character", "model"})
"""Codes of failures that another attempt would meet again."""


class Worker:
    """Does the jobs of a queue until it is told to stop, or until there are none left.

    Args:
        folder: of the queue.
        engine: which machine to use.
        show: told what the engine says; the ``job_id`` of an event is the number of the job.
        say: told in words which job begins and what becomes of it.
        drain: end when no job waits or is at work, with any worker.
    """

    def __init__(
        self,
        folder: Path,
        engine: EngineSettings,
        *,
        show: Callable[[Event], None],
        say: Callable[[str], None],
        drain: bool = False,
    ) -> None:
        """Look at nothing yet."""
        self._folder, self._engine = folder, encode(engine)
        self._show, self._say, self._drain = show, say, drain
        self._local: LocalEngine | None = None
        self._claim: Claim | None = None
        self._fraction = 0.0
        self._worker: int | None = None
        self._stopping = False
        self._ended = threading.Event()
        self._loaded = ""
        self.statuses: list[int] = []
        """Exit statuses of the jobs that have ended here: 0 for those that went well."""

    def stop(self) -> None:
        """Stop after the piece of work in hand; its job goes back into the queue.

        May be called from a signal handler.
        """
        self._stopping = True
        claim, local = self._claim, self._local
        if claim is not None and local is not None:
            local.cancel(_name(claim))

    def run(self) -> None:
        """Do jobs.

        Raises:
            OutputError: the queue cannot be read or written any more; the job in hand is given to
                another worker when this process has ended.
        """
        with Store(self._folder) as store, LocalEngine() as local:
            self._local = local
            self._worker = store.enter(this_process())
            beats = threading.Thread(target=self._beat, name="beats", daemon=True)
            beats.start()
            try:
                self._work(store, local)
                if self._worker is not None:
                    store.leave(self._worker)
            finally:
                self._ended.set()
                beats.join()

    def _work(self, store: Store, local: LocalEngine) -> None:
        watch, next_look = Watch(), 0.0
        while not self._stopping:
            if self._worker is None:
                self._worker = store.enter(this_process())
            now = time.monotonic()
            if now >= next_look:
                next_look = now + _LOOK_SECONDS
                for number in watch.look(store, self._worker):
                    self._say(f"Job {number}: its worker died; it is queued again.")
            claim = store.claim(self._worker, self._loaded)
            if claim is not None:
                self._do(claim, store, local)
            elif self._drain and not store.open_jobs():
                return
            else:
                self._rest(_IDLE_SECONDS)

    def _rest(self, seconds: float) -> None:
        # In slices, not on an event: a signal handler that sets one may lock itself out.
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(_SLICE)

    def _do(self, claim: Claim, store: Store, local: LocalEngine) -> None:
        """Do one job and tell the queue how it went."""
        self._say(f"Job {claim.number}: {claim.output}")
        local.submit(claim.job, self._engine, job_id=_name(claim))
        self._fraction, self._claim = 0.0, claim
        if self._stopping:  # between the claim and now
            local.cancel(_name(claim))
        try:
            ended = self._follow(claim, store, local)
        finally:
            self._claim = None
        self._loaded = claim.model or self._loaded
        if isinstance(ended, Finished):
            frames = "1 frame" if ended.frames == 1 else f"{ended.frames} frames"
            store.finish(claim, f"{frames} in {ended.seconds:.1f} s")
            self.statuses.append(0)
        elif ended.code == JobCancelled.code:
            store.release(claim, ["stopped; what is finished is kept"])
        else:
            said = f"{ended.message} {ended.hint}" if ended.hint else ended.message
            state = store.fail(claim, said, again=ended.code not in _OWN_FAULT)
            if state == "waiting":
                self._say(f"Job {claim.number} is tried again later.")
            else:
                self.statuses.append(ended.exit_status)

    def _follow(self, claim: Claim, store: Store, local: LocalEngine) -> Finished | Failed:
        """Show what happens to a job until it has ended, and keep what is worth reading."""
        while True:
            event = local.next_event()
            self._show(event)
            match event:
                case Progress():
                    self._fraction = event.fraction
                case Log():
                    text = f"warning: {event.text}" if event.level == "warning" else event.text
                    self._note(claim, store, text)
                case Finished() | Failed():
                    return event

    @staticmethod
    def _note(claim: Claim, store: Store, text: str) -> None:
        try:
            store.write_log(claim, [text])
        except OutputError as error:
            # Rendering goes on without a log; whether the queue can be written shows at the end.
            logger.warning("not logged: %s", error.message)

    def _beat(self) -> None:
        """Show that this worker lives, and stop its job when somebody asks for that."""
        try:
            with Store(self._folder) as store:
                while not self._ended.wait(_BEAT_SECONDS):
                    self._beat_once(store)
        except OutputError as error:
            logger.warning("this worker cannot show that it lives: %s", error.message)

    def _beat_once(self, store: Store) -> None:
        worker, claim = self._worker, self._claim
        if worker is None:
            return
        try:
            good = store.beat(worker, claim, self._fraction)
        except OutputError as error:
            logger.warning("this worker cannot show that it lives: %s", error.message)
            return
        if good:
            return
        if claim is None:
            self._worker = None  # it was taken for dead, and enters again
        elif self._local is not None:
            self._local.cancel(_name(claim))


def _name(claim: Claim) -> str:
    return str(claim.number)
