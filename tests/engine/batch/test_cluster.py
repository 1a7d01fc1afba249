"""A batch on real Ray clusters of several processes: whatever dies, every frame is the same."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from marionext.batch import Cluster as Connection
from marionext.errors import DeviceError
from marionext.record import Record

PROGRAM = (sys.executable, "-m", "marionext")
CALM = {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray keeps half a minute's faith in a machine that is gone; a test need not.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="several nodes on one machine"),
]


class Cluster:
    """A head that does no work and machines that do, each a process of its own."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from ray.cluster_utils import Cluster as Nodes

            self._nodes = Nodes(
                initialize_head=True,
                head_node_args={
                    "num_cpus": 0,
                    "include_dashboard": False,
                    "object_store_memory": 128 << 20,
                },
            )
        self.address = self._nodes.address
        self.machines: list[Any] = []

    def add(self, cpus: int = 1) -> Any:
        """Add a machine."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = self._nodes.add_node(num_cpus=cpus, object_store_memory=128 << 20)
        self.machines.append(node)
        return node

    def kill(self, node: Any) -> None:
        """Kill a machine: its Ray and its workers at one blow, as a power cut does."""
        (raylet,) = node.all_processes["raylet"]
        os.kill(raylet.process.pid, signal.SIGSTOP)  # so that it starts nothing meanwhile
        for child in children_of(raylet.process.pid):
            os.kill(child, signal.SIGKILL)
        os.kill(raylet.process.pid, signal.SIGKILL)
        self.machines.remove(node)

    def end(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._nodes.shutdown()


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="utf-8")
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == pid:
            found.append(int(stat.parent.name))
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of two machines with a processor each; its last test kills one of them."""
    pytest.importorskip("ray")
    # Ray makes sockets there, whose paths have to be short.
    folder = Path(tempfile.mkdtemp(prefix="mxt-"))
    (folder / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**CALM, "RAY_TMPDIR": str(folder)}.items():
            patch.setenv(name, value)
        made = Cluster()
        try:
            made.add()
            made.add()
            yield made
        finally:
            made.end()
            shutil.rmtree(folder, ignore_errors=True)


def command(*arguments: object) -> list[str]:
    return [*PROGRAM, "batch", *map(str, arguments), "--no-report"]


def batch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **CALM},
    )


def results(folder: Path) -> dict[str, bytes]:
    paths = [*sorted((folder / "frames").glob("*")), *sorted(folder.glob("*.mp4"))]
    return {path.name: path.read_bytes() for path in paths}


def events_until(
    running: "subprocess.Popen[str]", wanted: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Read events up to the first that is wanted."""
    assert running.stdout is not None
    found: list[dict[str, Any]] = []
    for line in running.stdout:
        found.append(json.loads(line))
        if wanted(found[-1]):
            break
    return found


def finished(events: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(event["job_id"] for event in events if event["type"] == "finished")


def raylet_of(node: Any) -> int:
    (raylet,) = node.all_processes["raylet"]
    return int(raylet.process.pid)


def holder_of(folder: Path) -> int:
    """Return the process that renders into a folder."""
    return int(json.loads((folder / ".marionext.lock").read_text(encoding="utf-8"))["pid"])


def test_files_travel_where_machines_share_no_folder(
    cluster: Cluster, tmp_path: Path, write_job
) -> None:
    puppet = {"model": "puppet", "settings": {"steps": 2, "window": 8}}
    jobs = [write_job("a"), write_job("b", **puppet)]
    assert batch(*jobs).returncode == 0
    calm = {name: results(tmp_path / "out" / name) for name in "ab"}
    shutil.rmtree(tmp_path / "out")
    sent = (*jobs, "--ray", cluster.address, "--ray-cpus", 1, "--ray-transfer")
    done = batch(*sent)
    assert done.returncode == 0, done.stderr
    assert {name: results(tmp_path / "out" / name) for name in "ab"} == calm
    verified = subprocess.run(
        [*PROGRAM, "verify", str(tmp_path / "out")], check=False, capture_output=True, text=True
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    record = (tmp_path / "out" / "a" / "render.json").read_text(encoding="utf-8")
    assert "marionext-ray-" not in record
    assert not list(Path(tempfile.gettempdir()).glob("marionext-ray-*"))
    # What is there is sent along, and found to be whole.
    assert "2 there already" in batch(*sent, "--skip-existing").stderr
    # The user's own file is not written over.
    shutil.rmtree(tmp_path / "out" / "a")
    (tmp_path / "out" / "a").mkdir()
    (tmp_path / "out" / "a" / "wave.mp4").write_bytes(b"mine")
    refused = batch(*sent, "--keep-going", "--skip-existing")
    assert refused.returncode == 6
    assert "wave.mp4 is there already and is no result of this render" in refused.stderr
    assert (tmp_path / "out" / "a" / "wave.mp4").read_bytes() == b"mine"


def test_a_job_that_fails_takes_no_other_along_and_what_is_whole_is_skipped(
    cluster: Cluster, tmp_path: Path, write_job
) -> None:
    (tmp_path / "nobody.npz").write_bytes(b"no track")
    jobs = [write_job("a"), write_job("bad", motion={"path": "nobody.npz"}), write_job("b")]
    done = batch(*jobs, "--ray", cluster.address, "--keep-going")
    assert done.returncode == 6
    assert "error: out/bad: " in done.stderr
    assert results(tmp_path / "out" / "a") == results(tmp_path / "out" / "b") != {}
    again = batch(*jobs, "--ray", cluster.address, "--keep-going", "--skip-existing")
    assert again.returncode == 6
    assert "2 there already" in again.stderr
    roomless = batch(jobs[0], "--ray", cluster.address, "--ray-cpus", 64)
    assert roomless.returncode == 5
    assert "no machine of the cluster has room for a worker with 64 CPUs" in roomless.stderr


def test_a_machine_is_killed_at_work_and_every_job_is_done_once_to_the_same_bytes(
    cluster: Cluster, tmp_path: Path, write_job
) -> None:
    puppet = {"model": "puppet", "settings": {"steps": 6, "window": 8}}
    jobs = [*(write_job(name) for name in "abc"), *(write_job(name, **puppet) for name in "de")]
    assert batch(*jobs).returncode == 0
    calm = {name: results(tmp_path / "out" / name) for name in "abcde"}
    shutil.rmtree(tmp_path / "out")
    line = command(*jobs, "--ray", cluster.address, "--json", "--ray-cpus", 1)
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **CALM}
    ) as running:
        events = events_until(running, lambda e: e.get("stage") == "denoise" and e["done"] > 1)
        (working,) = {e["job_id"] for e in events[-1:]}
        pid = holder_of(tmp_path / working)
        (killed,) = [m for m in cluster.machines if pid in children_of(raylet_of(m))]
        cluster.kill(killed)
        events += events_until(running, lambda _: False)
        assert running.stderr is not None
        said = running.stderr.read()
    assert running.returncode == 0, said
    assert "Traceback" not in said
    assert finished(events) == [f"out/{name}" for name in "abcde"]
    assert {name: results(tmp_path / "out" / name) for name in "abcde"} == calm
    assert any("its worker was lost" in event.get("text", "") for event in events)
    record = Record.read(tmp_path / working / "render.json")
    assert record.stage.name == "finished"


@pytest.mark.parametrize("interrupts", [1, 2])
def test_ray_on_this_machine_listens_to_nobody_else_and_leaves_nothing_behind(
    tmp_path: Path, write_job, interrupts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tempfile.mkdtemp(prefix="mxt-")
    monkeypatch.setenv("TMPDIR", folder)
    job = write_job("long", model="puppet", settings={"steps": 400, "window": 8})
    pytest.importorskip("ray")
    with subprocess.Popen(
        command(job, "--ray", "local", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **CALM},
        start_new_session=True,  # Ctrl-C reaches every process of a terminal
    ) as running:
        events_until(running, lambda e: e.get("stage") == "denoise" and e["done"] > 1)
        own = members_of(running.pid)
        assert len(own) > 3
        assert {address for pid in own for address in listening(pid)} <= {"127.0.0.1"}
        for _ in range(interrupts):
            os.killpg(running.pid, signal.SIGINT)
            time.sleep(0.3)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    deadline = time.monotonic() + 15
    while members_of(running.pid) or list(Path(folder).glob("mx-*")):
        assert time.monotonic() < deadline, members_of(running.pid)
        time.sleep(0.2)
    shutil.rmtree(folder)


def members_of(session: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def listening(pid: int) -> set[str]:
    """Return the addresses that a process waits for connections at."""
    try:
        handles = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in handles:
                raw = bytes.fromhex(fields[1].partition(":")[0])
                last = raw[-4:][::-1]  # of an address of four bytes, or one within sixteen
                within = len(raw) == 4 or raw[8:12] == b"\0\0\xff\xff"[:4]
                found.add(".".join(map(str, last)) if within or any(raw) else "everywhere")
    return found


def test_an_address_at_which_nobody_listens_is_refused_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and listening to nobody
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DeviceError, match=f"no Ray to be used at {address}") as caught:
            Connection(address)
    assert "ray start --head" in (caught.value.hint or "")
