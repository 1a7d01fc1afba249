"""Fetching models, against a small hub on the loopback interface."""

import hashlib
import http.server
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from marionext import bundles, hub, intake
from marionext.errors import JobCancelled, ModelError, OutputError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SVD = "stabilityai/stable-video-diffusion-img2vid-xt-1-1"
CONTROL = "Pbihao/ControlNeXt"


def safetensors(size: int) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(index % 251 for index in range(size))


def pickled(size: int) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(index % 253 for index in range(size)))
    return stream.getvalue()


def model_files() -> dict[tuple[str, str], bytes]:
    return {
        (SVD, "scheduler/scheduler_config.json"): b'{"sigma_max": 700}',
        (SVD, "image_encoder/config.json"): b'{"hidden_size": 1280}',
        (SVD, "image_encoder/model.safetensors"): safetensors(50_000),
        (SVD, "vae/config.json"): b'{"latent_channels": 4}',
        (SVD, "vae/diffusion_pytorch_model.safetensors"): safetensors(20_000),
        (SVD, "unet/config.json"): b'{"in_channels": 8}',
        (CONTROL, "ControlNeXt-SVD/v2/unet.bin"): pickled(3_000_000),
        (CONTROL, "ControlNeXt-SVD/v2/controlnet.bin"): pickled(5_000),
    }


class Hub:
    """The part of the hub's protocol that a download uses, with faults on demand."""

    def __init__(self) -> None:
        self.files = model_files()
        self.gated: dict[str, str] = {}
        """Repository -> the only token that may read it."""
        self.cut_after: dict[str, int] = {}
        """Path -> bytes after which the connection breaks, once."""
        self.stall: set[str] = set()
        self.corrupt: set[str] = set()
        self.broken = False
        self.asked: list[tuple[str, str, str | None]] = []
        """Method, path and range of every request."""
        self.released = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                server.answer(self)

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def refuse(self, request: http.server.BaseHTTPRequestHandler, status: int, code: str) -> None:
        request.send_response(status)
        if code:
            request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        path = request.path.lstrip("/").partition("?")[0]
        self.asked.append((request.command, path, wanted))
        if self.broken:
            return self.refuse(request, 503, "")
        owner, name, kind, revision, *rest = path.split("/")
        repository, file = f"{owner}/{name}", "/".join(rest)
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        if repository in self.gated and token != self.gated[repository]:
            return self.refuse(request, 403 if token else 401, "GatedRepo")
        content = self.files.get((repository, file))
        if content is None:
            known = any(key[0] == repository for key in self.files)
            return self.refuse(request, 404, "EntryNotFound" if known else "RepoNotFound")
        large = not file.endswith(".json")
        if kind == "resolve" and large:  # As the hub does: large files lie elsewhere.
            request.send_response(302)
            request.send_header("X-Repo-Commit", COMMIT)
            request.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
            request.send_header("X-Linked-Size", str(len(content)))
            place = f"{self.endpoint}/{repository}/cdn/{revision}/{file}"
            request.send_header("Location", place)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return None
        self.send(request, file, content, wanted)
        return None

    def send(
        self,
        request: http.server.BaseHTTPRequestHandler,
        file: str,
        content: bytes,
        wanted: str | None,
    ) -> None:
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if file in self.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        request.send_response(206 if wanted else 200)
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("ETag", f'"{blob}"')
        request.send_header("Content-Length", str(len(content) - start))
        if wanted:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            request.send_header("Content-Range", span)
        request.end_headers()
        if request.command == "HEAD":
            return
        body = content[start:]
        stop = self.cut_after.pop(file, None)
        request.wfile.write(body if stop is None else body[:stop])
        request.wfile.flush()
        if file in self.stall:
            self.released.wait(20)
        request.close_connection = True

    def ranges(self, file: str) -> list[str | None]:
        return [
            wanted
            for method, path, wanted in self.asked
            if path.endswith(f"cdn/{COMMIT}/{file}") and method == "GET"
        ]


@pytest.fixture
def server() -> Iterator[Hub]:
    hub_server = Hub()
    yield hub_server
    hub_server.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("marionext.hub.get_token", lambda: None)
    # What the client has not written yet when a connection breaks is lost: 10 MB at most.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 50_000)
    return tmp_path / "home"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's client give up soon."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr(
        "huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None, time=time.time)
    )


def test_a_model_is_fetched_whole_and_checked(server: Hub, home: Path) -> None:
    seen: list[intake.PullProgress] = []
    bundle = hub.pull("svd", endpoint=server.endpoint, on_progress=seen.append)
    assert bundle.folder == home / "models" / "svd"
    assert bundles.check(bundle) == []
    assert (bundle.folder / "unet.bin").read_bytes() == server.files[
        CONTROL, "ControlNeXt-SVD/v2/unet.bin"
    ]
    record = bundles.read_record(bundle.folder)
    assert record["unet.bin"].source == f"{CONTROL}@{COMMIT}:ControlNeXt-SVD/v2/unet.bin"
    assert set(record) == {file.path for file in bundle.card.files}
    assert seen[-1].done == seen[-1].total == sum(map(len, server.files.values()))
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert not list(home.rglob("*.part"))
    assert bundles.require("svd") == bundle


def test_a_complete_model_is_not_fetched_again(server: Hub, home: Path) -> None:
    hub.pull("svd", endpoint=server.endpoint)
    server.asked.clear()
    hub.pull("svd", endpoint=server.endpoint)
    assert server.asked == []


def test_only_what_is_missing_or_damaged_is_fetched(server: Hub, home: Path) -> None:
    bundle = hub.pull("svd", endpoint=server.endpoint)
    (bundle.folder / "vae" / "config.json").unlink()
    control = bundle.folder / "controlnet.bin"
    control.write_bytes(control.read_bytes()[:100])
    server.asked.clear()
    hub.pull("svd", endpoint=server.endpoint)
    assert bundles.check(bundle) == []
    assert not any("unet" in path for _, path, _ in server.asked)


def test_a_cut_connection_is_taken_up_where_it_broke(
    server: Hub, home: Path, impatient: None
) -> None:
    file = "ControlNeXt-SVD/v2/unet.bin"
    server.cut_after[file] = 1_000_000
    bundle = hub.pull("svd", endpoint=server.endpoint)
    assert bundles.check(bundle) == []
    first, second = server.ranges(file)
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 1_000_000


def test_a_stopped_fetch_goes_on_in_the_next_run(
    server: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = "ControlNeXt-SVD/v2/unet.bin"
    monkeypatch.setattr("marionext.intake.Meter._INTERVAL", 0)
    stopped = threading.Event()

    def stop_in_the_middle(progress: intake.PullProgress) -> None:
        if progress.file == "unet.bin" and progress.done > progress.total / 2:
            stopped.set()

    with pytest.raises(JobCancelled):
        hub.pull(
            "svd",
            endpoint=server.endpoint,
            on_progress=stop_in_the_middle,
            cancelled=stopped.is_set,
        )
    assert not (home / "models" / "svd").exists()
    bundle = hub.pull("svd", endpoint=server.endpoint)
    assert bundles.check(bundle) == []
    start = server.ranges(file)[-1]
    assert start is not None
    assert int(start.removeprefix("bytes=").rstrip("-")) > 1_000_000


def test_a_gated_licence_is_explained(server: Hub, home: Path) -> None:
    server.gated[SVD] = "good-token"
    with pytest.raises(ModelError) as caught:
        hub.pull("svd", endpoint=server.endpoint)
    assert "not logged in" in caught.value.message
    assert "401" in caught.value.message
    hint = caught.value.hint or ""
    assert SVD in hint
    assert "Stability AI" in hint
    assert "hf auth login" in hint
    assert caught.value.exit_status == 4


def test_an_account_that_has_not_accepted_is_told_so(
    server: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gated[SVD] = "good-token"
    monkeypatch.setattr("marionext.hub.get_token", lambda: "other-token")
    with pytest.raises(ModelError, match="403") as caught:
        hub.pull("svd", endpoint=server.endpoint)
    assert "may not fetch" in caught.value.message


def test_a_login_that_has_accepted_the_licence_fetches(
    server: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gated[SVD] = "good-token"
    monkeypatch.setattr("marionext.hub.get_token", lambda: "good-token")
    assert bundles.check(hub.pull("svd", endpoint=server.endpoint)) == []


@pytest.mark.parametrize("file", ["unet.bin", "vae/config.json"])
def test_a_file_that_hashes_to_something_else_is_thrown_away(
    server: Hub, home: Path, file: str
) -> None:
    remote = f"ControlNeXt-SVD/v2/{file}" if file == "unet.bin" else file
    server.corrupt.add(remote)
    with pytest.raises(ModelError, match=f"{file} does not hash"):
        hub.pull("svd", endpoint=server.endpoint)
    assert not (home / "models" / "svd").exists()
    server.corrupt.clear()
    assert bundles.check(hub.pull("svd", endpoint=server.endpoint)) == []


def test_a_file_that_is_not_there_is_named(server: Hub, home: Path) -> None:
    del server.files[CONTROL, "ControlNeXt-SVD/v2/unet.bin"]
    with pytest.raises(ModelError, match=r"no file called unet\.bin"):
        hub.pull("svd", endpoint=server.endpoint)


def test_half_precision_is_taken_where_there_is_nothing_else(server: Hub, home: Path) -> None:
    content = server.files.pop((SVD, "vae/diffusion_pytorch_model.safetensors"))
    server.files[SVD, "vae/diffusion_pytorch_model.fp16.safetensors"] = content
    bundle = hub.pull("svd", endpoint=server.endpoint)
    assert bundles.check(bundle) == []
    assert (bundle.folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").is_file()


def test_a_repository_that_is_gone_is_named(server: Hub, home: Path) -> None:
    server.files = {key: value for key, value in server.files.items() if key[0] == SVD}
    with pytest.raises(ModelError, match=f"no repository {CONTROL}"):
        hub.pull("svd", endpoint=server.endpoint)


def test_a_hub_in_trouble_is_an_error_with_its_status(server: Hub, home: Path) -> None:
    server.broken = True
    with pytest.raises(ModelError, match="503"):
        hub.pull("svd", endpoint=server.endpoint)


def test_without_a_network_the_offline_way_is_named(home: Path) -> None:
    with pytest.raises(ModelError, match="could not be reached") as caught:
        hub.pull("svd", endpoint="http://127.0.0.1:9")
    assert "--from FOLDER" in (caught.value.hint or "")


def test_a_stalled_hub_ends_in_an_error_and_keeps_what_came(
    server: Hub, home: Path, impatient: None
) -> None:
    file = "ControlNeXt-SVD/v2/unet.bin"
    server.stall.add(file)
    server.cut_after[file] = 500_000
    original = server.send

    def nothing_more(
        request: http.server.BaseHTTPRequestHandler, name: str, content: bytes, wanted: str | None
    ) -> None:
        if name == file and wanted:
            server.cut_after[file] = 0
        original(request, name, content, wanted)

    server.send = nothing_more  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="stopped sending"):
        hub.pull("svd", endpoint=server.endpoint)
    parts = list((home / "models" / ".svd.part").glob("unet.bin.*.part"))
    assert [part.stat().st_size for part in parts] == [500_000]


def test_a_full_disk_is_found_before_anything_is_fetched(
    server: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(total=10**9, used=10**9 - 1000, free=1000)
    monkeypatch.setattr("marionext.hub.shutil.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="GB are free"):
        hub.pull("svd", endpoint=server.endpoint)
    assert all(method == "HEAD" for method, _, _ in server.asked)


def test_a_second_fetch_at_the_same_time_refuses(server: Hub, home: Path) -> None:
    held = threading.Event()
    errors: list[OutputError] = []

    def second(_: intake.PullProgress) -> None:
        if not held.is_set():
            held.set()
            with pytest.raises(OutputError, match="in use by another run") as caught:
                hub.pull("svd", endpoint=server.endpoint)
            errors.append(caught.value)

    hub.pull("svd", endpoint=server.endpoint, on_progress=second)
    assert errors


def test_files_are_taken_over_from_a_folder(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "stick"
    for (_, name), content in model_files().items():
        path = source / name.removeprefix("ControlNeXt-SVD/v2/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    bundle = intake.adopt("svd", source)
    assert bundle.folder == home / "models" / "svd"
    assert bundles.check(bundle) == []
    assert (source / "unet.bin").is_file()


def test_a_folder_that_lacks_files_is_refused_with_their_names(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lacks 8 of the 8 files.*unet\.bin"):
        intake.adopt("svd", tmp_path)
    assert not (home / "models" / "svd").exists()


def test_a_truncated_file_in_a_folder_is_refused(home: Path, tmp_path: Path) -> None:
    for (_, name), content in model_files().items():
        path = tmp_path / "repositories" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[: len(content) // 2] if name.startswith("vae/diff") else content)
    with pytest.raises(ModelError, match="its header says"):
        intake.adopt("svd", tmp_path / "repositories")
    assert not (home / "models" / "svd").exists()


def test_a_hash_decides_what_a_file_is(home: Path, tmp_path: Path) -> None:
    # Of the names of ControlNeXt's files, which are all alike, nothing follows.
    folder = tmp_path / "given" / "ControlAny-SDXL" / "anime_canny"
    folder.mkdir(parents=True)
    for name in ("controlnet", "unet"):
        (folder / f"{name}.safetensors").write_bytes(safetensors(100))
    with pytest.raises(ModelError, match=r"its hash says that it is another file"):
        intake.adopt("sdxl-canny", tmp_path / "given")
    assert not (home / "models" / "sdxl-canny").exists()


def test_a_file_that_is_known_as_another_is_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = next(f for f in bundles.read_card("svd").files if f.path == "controlnet.bin")
    other = bundles.KnownFile("svd", file, "svd")
    monkeypatch.setattr(intake, "known_as", lambda _digest: other)
    for name in ("controlnet", "unet"):
        (tmp_path / f"{name}.safetensors").write_bytes(safetensors(100))
    with pytest.raises(ModelError, match=r"says that it is controlnet.bin of Stable Video"):
        intake.adopt("sd15-pose", tmp_path)


def test_the_built_in_model_is_not_fetched(home: Path) -> None:
    with pytest.raises(ModelError, match="part of Marionext"):
        hub.pull("puppet")


def test_the_address_of_the_hub_comes_from_the_environment(server: Hub, home: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": server.endpoint, "HF_HOME": str(home / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", "from marionext import hub; hub.pull('svd')"],
        env={**environment, "MARIONEXT_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert bundles.check(bundles.find("svd")) == []
    shutil.rmtree(home)
