"""Do the shots of a batch on a Ray cluster: workers that keep their models, jobs handed to them.

Ray decides where a worker runs and whether there is room for it; what is decided here is only which
job an idle worker gets, and that a job whose worker was lost goes to another one. Jobs travel as
their JSON, events as lines of the protocol (`marionext.batch.remote`).
"""

import contextlib
import json
import logging
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import marionext
from marionext.batch import sweeping
from marionext.batch.openjd import Needs, needs_of, needs_of_picture
from marionext.batch.remote import RemoteEngine
from marionext.batch.running import Batch, Row
from marionext.batch.shipping import Delivery, chunks
from marionext.codec import encode
from marionext.errors import DeviceError, EngineError, JobCancelled, OutputError
from marionext.files import in_words
from marionext.job_files import model_of, results_of
from marionext.jobs import EngineSettings, PictureJob, RenderJob, UpscaleJob, encode_job
from marionext.planning import plan
from marionext.protocol import Event, Failed, Finished, Log, read_event

__all__ = ["Cluster", "ClusterBatch"]

logger = logging.getLogger(__name__)

_INSTALL = 'Install it: pip install "marionext[farm]", on each machine of the cluster, too.'
_START_IT = (
    "Start it with 'ray start --head' on one machine and 'ray start --address' on the others, "
    "this one among them; or say --ray local."
)
_SECONDS_TO_ANSWER = 10.0
_MIB = 2**20
_LOCAL_STORE = 512 * _MIB
"""Bytes of Ray's object store on this machine alone."""
_POLL = 0.5
"""Seconds that a worker waits for something to tell."""
_SLICE = 0.2
_SECONDS_BETWEEN_HIRES = 0.5
_SECONDS_WITHOUT_MACHINE = 30.0
"""After which a job fails that no machine of the cluster has room for."""
_SECONDS_OF_PATIENCE = 15.0
"""After which it is said that the cluster has no free worker."""
_SECONDS_TO_LEAVE = 5.0
_SECONDS_OF_THE_DEAD = 60.0
"""For which a folder may seem in use after the worker that held it was lost."""
_MOST_LOST = 3
"""Workers that a job may lose in a row without getting any further."""
_MOST_FAILED_STARTS = 3

_Stage = Literal["starting", "idle", "sent", "begun", "working"]


class Cluster:
    """A connection to Ray.

    Args:
        address: ``local`` for this machine alone, or where the cluster is, as Ray takes it
            (``auto``, ``host:port``).

    Raises:
        DeviceError: Ray is not installed, or there is no cluster.
    """

    def __init__(self, address: str) -> None:
        """Connect, or start Ray on this machine."""
        self._sweeper: subprocess.Popen[bytes] | None = None
        _refuse_nobody(address)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # Or Ray warns that it is going to change what it does; the engine is told its device.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == "local":
            # Read by Ray when it is imported: everything on the loopback interface alone.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
            # A short name: Ray makes sockets there.
            folder = Path(tempfile.mkdtemp(prefix="mx-")).resolve()
            self._sweeper = sweeping.start(folder)
            options |= {
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": str(folder),
                "object_store_memory": _LOCAL_STORE,
            }
        try:
            import ray  # noqa: PLC0415 - an extra, and slow
        except ImportError as error:
            self._sweep()
            raise DeviceError(f"--ray: Ray is not installed ({error})", hint=_INSTALL) from None
        self.ray: Any = ray
        # Ray prints what befalls its machines on stdout, among our lines, and has no setting for
        # it; what matters of that is told by us.
        with contextlib.suppress(AttributeError):
            ray._private.worker._worker_logs_enabled = False
        try:
            ray.init(address=address, **options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            self._sweep()
            said = " ".join(str(error).split()) or type(error).__name__
            raise DeviceError(
                f"--ray: there is no Ray to be used at {address}: {said[:300]}",
                hint=_START_IT,
            ) from None

    @property
    def machines(self) -> list[dict[str, float]]:
        """What each machine that is alive has: ``CPU``, ``GPU``, ``memory`` in bytes."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def close(self) -> None:
        """Leave; a Ray that was started here ends."""
        self.ray.shutdown()
        self._sweep()

    def _sweep(self) -> None:
        if self._sweeper is not None:
            self._sweeper.communicate()


def _refuse_nobody(address: str) -> None:
    """Make sure that somebody listens at ``host:port``: Ray looks for a minute, and says much.

    Raises:
        DeviceError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise DeviceError(
            f"--ray: there is no Ray to be used at {address}: {error}", hint=_START_IT
        ) from None


@dataclass(slots=True, eq=False)
class _Worker:
    """An actor, as the submitter sees it."""

    actor: Any
    needs: "_Share"
    stage: _Stage
    answer: Any
    """Reference to the answer to the last call."""
    row: Row | None = None
    delivery: Delivery | None = None
    loaded: str = ""
    """The model of its last job."""
    told_to_stop: bool = False
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class _Share:
    """What a worker takes of a machine."""

    cpus: int
    needs: Needs

    @property
    def gpus(self) -> int:
        """How many GPUs that is."""
        return 1 if self.needs.gpu_mib else 0

    def covers(self, other: "_Share") -> bool:
        """Tell whether a worker of this share can do a job of another one."""
        mine, theirs = self.needs, other.needs
        return (
            self.gpus == other.gpus
            and self.cpus == other.cpus
            and mine.memory_mib >= theirs.memory_mib
        )

    def times(self, machine: dict[str, float]) -> int:
        """Return how many of them a machine has room for when it does nothing else."""
        wanted = {
            "CPU": float(self.cpus),
            "GPU": float(self.gpus),
            "memory": float(self.needs.memory_mib * _MIB),
        }
        return min(int(machine.get(name, 0) / much) for name, much in wanted.items() if much)

    def __str__(self) -> str:
        """Say it in words."""
        gpu = ", a GPU" if self.gpus else ""
        return f"{self.cpus} CPU{'s' * (self.cpus > 1)}{gpu} and {self.needs.memory_mib} MiB"


class ClusterBatch(Batch):
    """Shots done by the workers of a cluster; else as `Batch`.

    Args:
        engine: which machine to use, on each of the cluster's.
        cluster: which is left when the batch is closed.
        cpus: processors of a worker; None: two, or all of the smallest machine's where a network
            computes on them.
        transfer: send the files of a job to its worker and bring the results back, for machines
            that share no folder.
        retries: how often a shot is tried again that failed by no fault of its own.
        keep_going: go on with the others when a shot has failed for good.
        skip_existing: leave alone what an earlier run has finished.
        tell: called on the thread of `run` whenever a row changes, with the engine's event, if any.
    """

    def __init__(
        self,
        engine: EngineSettings,
        *,
        cluster: Cluster,
        cpus: int | None = None,
        transfer: bool = False,
        retries: int = 0,
        keep_going: bool = False,
        skip_existing: bool = False,
        tell: Callable[[Row, Event | None], None] = lambda _row, _event: None,
    ) -> None:
        """Begin with nothing to do."""
        super().__init__(
            engine,
            retries=retries,
            keep_going=keep_going,
            skip_existing=skip_existing,
            tell=tell,
        )
        self._cluster, self._ray = cluster, cluster.ray
        self._cpus, self._transfer = cpus, transfer
        self._actor_class = self._ray.remote(RemoteEngine)
        self._workers: list[_Worker] = []
        self._shares: dict[str, tuple[_Share, EngineSettings]] = {}
        self._places: dict[str, Path] = {}
        self._resting: dict[str, float] = {}
        self._lost: dict[str, int] = {}
        self._last_loss: dict[str, float] = {}
        self._fractions: dict[str, float] = {}
        self._roomless: dict[_Share, float] = {}
        self._sent: dict[Path, tuple[tuple[int, int], list[Any]]] = {}
        self._failed_starts = 0
        self._next_hire = 0.0
        self._waiting_since: float | None = None

    def stop(self) -> None:
        """Stop after the units at work; to be called from a signal, too."""
        self._stopped = True  # `run` tells the workers

    def run(self) -> None:
        """Do what waits, until nothing does or something holds it up."""
        self._plan()
        self._next_hire = 0.0
        while True:
            halting = self._stopped or self.broken
            if halting:
                self._tell_to_stop()
            else:
                if time.monotonic() >= self._next_hire:
                    self._hire()
                    self._next_hire = time.monotonic() + _SECONDS_BETWEEN_HIRES
                self._hand_out()
            busy = [worker for worker in self._workers if worker.row is not None]
            left = any(row.state == "waiting" for row in self.rows)
            if not busy and (halting or not left):
                return
            self._listen()

    def close(self) -> None:
        """End the workers and leave; what has not begun is told to be so."""
        super().close()
        for worker in list(self._workers):
            self._dismiss(worker)
        self._cluster.close()

    def _plan(self) -> None:
        """Reckon what each job needs; one that cannot be planned has failed."""
        machines = self._cluster.machines
        smallest = min((int(m["CPU"]) for m in machines if m.get("CPU", 0) >= 1), default=1)
        engine = self._engine
        if engine.device == "auto":
            # What is best on the cluster, whatever this machine has.
            gpu = any(machine.get("GPU") for machine in machines)
            engine = replace(engine, device="cuda" if gpu else "cpu")
        for row in self.rows:
            if row.state != "waiting" or row.shot is None or row.name in self._shares:
                continue
            job = row.shot.job
            needs, settings = Needs(memory_mib=1024), replace(engine, device="cpu")
            cpus = min(2, smallest)
            if isinstance(job, RenderJob):
                try:
                    outline = plan(job, engine)
                except EngineError as error:
                    self._fail(row, Failed.of(row.name, error))
                    continue
                needs = needs_of(outline)
                if outline.device == "cuda":
                    settings = engine
                elif outline.evaluations:
                    cpus = smallest
            elif isinstance(job, PictureJob | UpscaleJob):
                needs, settings, cpus = needs_of_picture(job, engine), engine, smallest
            share = _Share(cpus=self._cpus or cpus, needs=needs)
            self._shares[row.name] = share, settings
            self._places[row.name] = Path(os.path.realpath(results_of(job)[0]))

    def _share(self, row: Row) -> _Share:
        return self._shares[row.name][0]

    def _hire(self) -> None:
        """Ask Ray for as many workers as there is work and room for; dismiss those without work."""
        wanted: dict[_Share, int] = {}
        for row in self.rows:
            if row.state in {"waiting", "working"}:
                share = self._share(row)
                wanted[share] = wanted.get(share, 0) + 1
        machines = self._cluster.machines
        now = time.monotonic()
        for share, count in wanted.items():
            room = sum(share.times(machine) for machine in machines)
            if room:
                self._roomless.pop(share, None)
            elif now - self._roomless.setdefault(share, now) > _SECONDS_WITHOUT_MACHINE:
                self._fail_roomless(share)
            there = sum(worker.needs == share for worker in self._workers)
            for _ in range(there, min(room, count)):
                self._workers.append(self._hired(share))
        for worker in list(self._workers):
            if worker.row is None and not any(
                worker.needs.covers(self._share(row)) for row in self.rows if row.state == "waiting"
            ):
                self._dismiss(worker)
        self._say_if_none_comes(now)

    def _hired(self, share: _Share) -> _Worker:
        actor = self._actor_class.options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            memory=share.needs.memory_mib * _MIB,
            scheduling_strategy="SPREAD",
        ).remote()
        return _Worker(actor, share, "starting", actor.hello.remote(), started=time.monotonic())

    def _dismiss(self, worker: _Worker) -> None:
        """End a worker; an idle one tidies up before."""
        self._workers.remove(worker)
        if worker.delivery is not None:
            worker.delivery.close()
        if worker.stage == "idle" and self._transfer:
            try:
                self._ray.get(worker.actor.end.remote(), timeout=_SECONDS_TO_LEAVE)
            except self._ray.exceptions.RayError as error:
                logger.debug("a worker did not tidy up: %s", error)
        self._ray.kill(worker.actor)

    def _fail_roomless(self, share: _Share) -> None:
        error = DeviceError(
            f"no machine of the cluster has room for a worker with {share}",
            hint="Add a machine that has, or ask for less: --ray-cpus, --device, a smaller render.",
        )
        for row in self.rows:
            if row.state == "waiting" and self._share(row) == share:
                self._fail(row, Failed.of(row.name, error))

    def _say_if_none_comes(self, now: float) -> None:
        """Say once in a while of waiting that the cluster gives no worker."""
        if any(worker.stage != "starting" for worker in self._workers):
            self._waiting_since = None
            return
        if self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since > _SECONDS_OF_PATIENCE:
            self._waiting_since = now + 1e9  # once
            row = next((row for row in self.rows if row.state == "waiting"), None)
            if row is not None:
                said = f"the cluster has had no worker with {self._share(row)} to give so far"
                self._tell(row, Log(job_id=row.name, level="warning", text=said))

    def _hand_out(self) -> None:
        """Give each idle worker the job that suits it best."""
        for worker in list(self._workers):
            if worker.stage == "idle" and (row := self._chosen(worker)) is not None:
                self._begin(worker, row)

    def _chosen(self, worker: _Worker) -> Row | None:
        """Return the next job for a worker: of its model, of a model nobody has, or the first."""
        now = time.monotonic()
        taken = {self._places[row.name] for row in self.rows if row.state == "working"}
        elsewhere = {other.loaded for other in self._workers if other is not worker}
        found: list[tuple[int, Row]] = []
        for row in self.rows:
            if row.state != "waiting":
                continue
            place = self._places[row.name]
            if place in taken:
                continue  # what goes into one folder is done in its order
            taken.add(place)
            if self._resting.get(row.name, 0.0) > now or not worker.needs.covers(self._share(row)):
                continue
            assert row.shot is not None
            model = model_of(row.shot.job)
            if model == worker.loaded:
                return row
            found.append((model in elsewhere, row))
        return min(found, key=lambda each: each[0])[1] if found else None

    def _begin(self, worker: _Worker, row: Row) -> None:
        assert row.shot is not None
        row.state, row.text, row.hint = "working", "beginning", ""
        row.attempts += 1
        row.frames = 0
        worker.row, worker.told_to_stop, worker.started = row, False, time.monotonic()
        self._tell(row, None)
        try:
            if self._transfer:
                worker.delivery = Delivery(row.shot.job, overwrite=self._engine.overwrite)
                sent = {str(path): self._parts(path) for path in worker.delivery.files}
                worker.stage, worker.answer = "sent", worker.actor.receive.remote(sent)
            else:
                self._submit(worker)
        except EngineError as error:
            self._ended(worker, Failed.of(row.name, error))
        except OSError as error:
            self._ended(worker, Failed.of(row.name, OutputError(in_words(error))))

    def _parts(self, path: Path) -> list[Any]:
        """Return references to a file's content; a file of many jobs is stored once."""
        found = path.stat()
        form = (found.st_mtime_ns, found.st_size)
        known = self._sent.get(path)
        if known is None or known[0] != form:
            known = self._sent[path] = (form, [self._ray.put(part) for part in chunks(path)])
        return known[1]

    def _submit(self, worker: _Worker) -> None:
        row = worker.row
        assert row is not None
        assert row.shot is not None
        _, settings = self._shares[row.name]
        worker.stage = "begun"
        worker.answer = worker.actor.begin.remote(
            row.name,
            json.dumps(encode_job(row.shot.job)),
            json.dumps(encode(settings)),
            skip_existing=self._skip_existing,
        )

    def _tell_to_stop(self) -> None:
        """Have every worker end after the piece of work in hand."""
        for worker in self._workers:
            if worker.row is not None and worker.stage == "working" and not worker.told_to_stop:
                worker.told_to_stop = True
                worker.actor.cancel.remote(worker.row.name)

    def _listen(self) -> None:
        """Wait a little for what workers have to tell."""
        asked = {worker.answer: worker for worker in self._workers if worker.stage != "idle"}
        if not asked:
            time.sleep(_SLICE)
            return
        ready, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(list(asked), num_returns=1, timeout=_SLICE)
        for answer in ready:
            worker = asked[answer]
            try:
                self._heard(worker, self._ray.get(answer))
            except EngineError as error:  # an answer may be one, and is Ray's own error, too
                if worker.row is None:
                    raise
                self._ended(worker, Failed.of(worker.row.name, error))
            except self._ray.exceptions.RayError as error:
                self._lose(worker, error)

    def _heard(self, worker: _Worker, answer: Any) -> None:
        """Go on with a worker that has answered."""
        row = worker.row
        if worker.stage == "starting":
            if answer != marionext.__version__:
                raise DeviceError(
                    f"expected Marionext {marionext.__version__} on each machine of the cluster, "
                    f"one has {answer}",
                    hint="Install the same version everywhere.",
                )
            self._failed_starts = 0
            worker.stage = "idle"
            return
        assert row is not None
        if worker.stage == "sent":
            self._submit(worker)
        elif worker.stage == "begun" and answer is not None:
            self._was_there(worker, row, answer)
        else:
            worker.stage = "working"
            for line in answer or ():
                event = read_event(line)
                if isinstance(event, Finished | Failed):
                    self._ended(worker, event)
                    return
                self._note(row, event)
            if (row.fraction or 0.0) > self._fractions.get(row.name, 0.0):
                self._fractions[row.name] = row.fraction or 0.0
                self._lost.pop(row.name, None)
            worker.answer = worker.actor.poll.remote(_POLL)

    def _was_there(self, worker: _Worker, row: Row, frames: int) -> None:
        assert row.shot is not None
        row.directory, row.frames = results_of(row.shot.job)[0], frames
        row.state, row.text, row.fraction = "there", "", 1.0
        self._free(worker)
        self._tell(row, None)

    def _ended(self, worker: _Worker, ended: Finished | Failed) -> None:
        """Keep how a job ended, with what it has made brought here."""
        row = worker.row
        assert row is not None
        if worker.delivery is not None and worker.stage == "working":
            try:
                self._bring(worker, worker.delivery)
            except EngineError as error:
                ended = Failed.of(row.name, error)
        row.seconds += time.monotonic() - worker.started
        self._loaded(worker, row)
        self._free(worker)
        lost_at = self._last_loss.get(row.name)
        if (
            isinstance(ended, Failed)
            and ended.code == OutputError.code
            and lost_at is not None
            and time.monotonic() - lost_at < _SECONDS_OF_THE_DEAD
            and not self._stopped
        ):
            # The lock of a worker that was lost may outlive it for a moment.
            row.attempts -= 1
            self._again(row, 2.0, ended.message)
            return
        seconds = self._end(row, ended)
        if seconds:
            row.state = "waiting"
            self._resting[row.name] = time.monotonic() + seconds

    def _bring(self, worker: _Worker, delivery: Delivery) -> None:
        places = [str(place) for place in delivery.places]
        made, gone = self._ray.get(worker.actor.results.remote(places))
        delivery.bring(
            made, gone, lambda path, at: bytes(self._ray.get(worker.actor.read.remote(path, at)))
        )

    @staticmethod
    def _loaded(worker: _Worker, row: Row) -> None:
        assert row.shot is not None
        worker.loaded = model_of(row.shot.job) or worker.loaded

    @staticmethod
    def _free(worker: _Worker) -> None:
        if worker.delivery is not None:
            worker.delivery.close()
        worker.row, worker.delivery, worker.stage = None, None, "idle"

    def _again(self, row: Row, seconds: float, why: str) -> None:
        """Have a job done once more, by no fault of its own."""
        row.state, row.text = "waiting", "goes on with another worker"
        row.warnings.append(why)
        self._resting[row.name] = time.monotonic() + seconds
        self._tell(row, Log(job_id=row.name, level="warning", text=why))

    def _lose(self, worker: _Worker, error: Exception) -> None:
        """Go on without a worker: its job goes to another one, from what is on the disk."""
        row, starting = worker.row, worker.stage == "starting"
        logger.info("a worker is lost: %s", error)
        if worker.delivery is not None:
            worker.delivery.close()
            worker.delivery = None
        self._workers.remove(worker)
        self._ray.kill(worker.actor)  # where it is alive after all, it must not go on
        if starting:
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                said = str(error).strip().rpartition("\n")[2]
                raise DeviceError(
                    f"no worker starts on the cluster: {said[:300]}",
                    hint="The same Python and Marionext have to be on each machine.",
                )
            return
        if row is None:
            return
        row.seconds += time.monotonic() - worker.started
        if self._stopped:
            stopped = JobCancelled("The render was stopped. What is finished is kept.")
            self._end(row, Failed.of(row.name, stopped))
            return
        self._lost[row.name] = self._lost.get(row.name, 0) + 1
        self._last_loss[row.name] = time.monotonic()
        if self._lost[row.name] >= _MOST_LOST:
            said = str(error).strip().rpartition("\n")[2]
            failed = DeviceError(
                f"{_MOST_LOST} workers died of this job one after another; the last: {said[:300]}",
                hint="See the logs of Ray on the machines; memory may be what was missing.",
            )
            self._fail(row, Failed.of(row.name, failed))
            return
        row.attempts -= 1
        self._again(row, 0.0, "its worker was lost; another one goes on")
