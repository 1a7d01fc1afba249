"""What runs on the machines of a Ray cluster: an engine that keeps its model from job to job.

It is to the submitter what `marionext.worker` is to a window: jobs go in as their JSON, events come
back as lines of the protocol. Ray carries them; nothing here listens to anybody.
"""

import json
import queue
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import marionext
from marionext.batch.running import is_finished
from marionext.batch.shipping import CHUNK, Scratch
from marionext.batch.shots import Shot
from marionext.codec import decode
from marionext.errors import EngineError, OutputError
from marionext.files import explain
from marionext.jobs import EngineSettings, RenderJob, decode_job, encode_job
from marionext.local import LocalEngine
from marionext.protocol import Event, Failed, Finished, write_line
from marionext.record import RECORD, Record

__all__ = ["RemoteEngine"]


class RemoteEngine:
    """Does one job at a time for a submitter elsewhere; an actor of Ray."""

    def __init__(self) -> None:
        """Start the engine; nothing is loaded before the first job."""
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._local = LocalEngine(self._events.put)
        self._scratch: Scratch | None = None

    def hello(self) -> str:
        """Return the version of Marionext on this machine."""
        return marionext.__version__

    def receive(self, files: Mapping[str, Sequence[object]]) -> None:
        """Put the files of the next job into a folder of their own, in place of the last one's.

        Args:
            files: absolute path on the submitter's machine, and the parts of the content in
                Ray's object store.

        Raises:
            OutputError: there is no room for them, say.
        """
        import ray  # noqa: PLC0415 - an extra; it is there, since it runs this

        self._forget()
        try:
            self._scratch = Scratch()
            for path, parts in files.items():
                self._scratch.put(path, (ray.get(part) for part in parts))
        except OSError as error:
            raise explain(error, Path(tempfile.gettempdir())) from None

    def begin(self, name: str, job: str, engine: str, *, skip_existing: bool) -> int | None:
        """Begin a job, or return how many frames the finished render has that is there already.

        Args:
            name: of the job.
            job: JSON of the job, its paths absolute.
            engine: JSON of its `EngineSettings`.
            skip_existing: whether a finished render is left alone.
        """
        try:
            decoded = decode_job(json.loads(job))
            if self._scratch is not None:
                decoded = self._scratch.moved(decoded)
            settings = decode(EngineSettings, json.loads(engine), path="$engine")
            if skip_existing and isinstance(decoded, RenderJob):
                folder = Path(decoded.output.directory)
                shot = Shot(name=name, job=decoded, source=name, root=folder)
                if is_finished(shot, settings):
                    return len(Record.read(folder / RECORD).numbers)
        except EngineError as error:
            self._events.put(Failed.of(name, error))
            return None
        self._local.submit(encode_job(decoded), json.loads(engine), job_id=name)
        return None

    def cancel(self, name: str) -> None:
        """Have a job end after the piece of work in hand."""
        self._local.cancel(name)

    def poll(self, seconds: float) -> list[str]:
        """Return the events since the last call as lines, waiting up to so long for the first."""
        lines: list[str] = []
        deadline = time.monotonic() + seconds
        while True:
            try:
                wait = 0.0 if lines else max(0.0, deadline - time.monotonic())
                event = self._events.get(timeout=wait) if wait else self._events.get_nowait()
            except queue.Empty:
                return lines
            line = write_line(event)
            lines.append(line if self._scratch is None else self._scratch.as_sent(line))
            if isinstance(event, Finished | Failed):
                return lines

    def results(self, places: Sequence[str]) -> tuple[dict[str, int], list[str]]:
        """Return what a job has made in folders or files, and what it has removed of them.

        Args:
            places: as the submitter knows them.

        Returns:
            The paths and sizes in bytes of files that are new or changed, and the paths of those
            that were sent and are gone.
        """
        assert self._scratch is not None
        made: dict[str, int] = {}
        gone: list[str] = []
        for place in places:
            new, missing = self._scratch.results(place)
            made |= new
            gone += missing
        return made, gone

    def read(self, path: str, offset: int) -> bytes:
        """Return a part of a result, of `marionext.batch.shipping.CHUNK` bytes at most.

        Raises:
            OutputError: it cannot be read.
        """
        assert self._scratch is not None
        try:
            return self._scratch.read(path, offset, CHUNK)
        except OSError as error:
            raise OutputError(f"{path} cannot be sent: {error.strerror or error}") from None

    def end(self) -> None:
        """Remove what lies here of the last job."""
        self._forget()

    def _forget(self) -> None:
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None
