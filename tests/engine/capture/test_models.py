import hashlib
import http.client
import io
import struct
import sys
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
import pytest

from marionext.capture import models as models_module
from marionext.capture import packages
from marionext.capture.models import ensure_models, locate_models
from marionext.errors import DeviceError, ModelError

NAMES = (
    "pose_landmarker_lite.task",
    "pose_landmarker_full.task",
    "pose_landmarker_heavy.task",
    "hand_landmarker.task",
    "face_landmarker.task",
)


def store(folder: Path, names: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sums = []
    for name in names:
        (folder / name).write_bytes(name.encode())
        sums.append(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))


def test_missing_networks_are_named_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="hand_landmarker") as failure:
        locate_models()
    assert "models pull mediapipe" in str(failure.value)
    assert str(tmp_path / "home") in failure.value.message


def test_the_lightest_body_network_finds_and_the_heaviest_places(tmp_path: Path) -> None:
    store(tmp_path / "all", NAMES)
    found = locate_models(tmp_path / "all")
    assert (found.finder.name, found.body.name) == (NAMES[0], NAMES[2])


def test_the_middle_body_network_does_both_where_it_is_the_only_one(tmp_path: Path) -> None:
    store(tmp_path / "few", (NAMES[1], *NAMES[3:]))
    found = locate_models(tmp_path / "few")
    assert found.finder.name == found.body.name == NAMES[1]


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    store(tmp_path, NAMES)
    (tmp_path / NAMES[3]).write_bytes(b"something else")
    with pytest.raises(ModelError, match="damaged") as failure:
        locate_models(tmp_path)
    assert NAMES[3] in failure.value.message


def test_nothing_is_fetched_where_everything_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.run", refuse)
    store(tmp_path, NAMES)
    said: list[str] = []
    ensure_models(tmp_path, report=said.append)
    assert said
    assert "complete" in said[0]


def test_stored_files_are_taken_from_a_folder_and_unknown_ones_are_not(tmp_path: Path) -> None:
    store(tmp_path / "given", NAMES[2:])
    (tmp_path / "given" / NAMES[0]).write_bytes(b"from nowhere")
    said: list[str] = []
    found = ensure_models(tmp_path / "kept", source=tmp_path / "given", report=said.append)
    assert found.body.parent == tmp_path / "kept"
    assert not (tmp_path / "kept" / NAMES[0]).exists()
    assert any("left pose_landmarker_lite.task alone" in line for line in said)


def test_a_folder_without_known_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mediapipe-0.10.21.whl").write_bytes(b"no wheel")
    with pytest.raises(ModelError, match="none of the known"):
        ensure_models(tmp_path / "kept", source=tmp_path)
    with pytest.raises(ModelError, match="there is no"):
        ensure_models(tmp_path / "kept", source=tmp_path / "absent")


def test_a_package_of_another_content_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deliver(command: list[str], complaint: str, folder: Path | None = None) -> None:
        target = Path(command[command.index("--dest") + 1]) if folder is None else folder
        (target / "mediapipe.whl").write_bytes(b"another file")

    monkeypatch.setattr(packages, "_run", deliver)
    with pytest.raises(ModelError, match="another content"):
        ensure_models(tmp_path)
    assert not list(tmp_path.glob("*.task"))


def test_a_failing_package_tool_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.sys, "executable", "false")
    with pytest.raises(ModelError, match="pip cannot fetch") as failure:
        ensure_models(tmp_path)
    assert "--from" in str(failure.value)


def test_the_command_reports_errors_without_a_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = models_module.main(["--from", str(tmp_path / "absent"), "--to", str(tmp_path)])
    assert status == ModelError.exit_status
    assert "there is no" in capsys.readouterr().err


def tiny_network() -> bytes:
    """A graph that adds its input to itself."""
    from mediapipe.tasks.metadata import schema_py_generated as schema

    def tensor(name: str) -> object:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name, [1, 2, 2, 3], 0
        return made

    operator, code, graph, model = (
        schema.OperatorT(), schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
    )  # fmt: skip
    operator.inputs, operator.outputs = np.array([0, 0], np.int32), np.array([1], np.int32)
    graph.tensors, graph.operators = [tensor("in"), tensor("out")], [operator]
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([1], np.int32)
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def task_files() -> object:
    try:
        from marionext.capture import task_files
    except OSError as error:
        pytest.skip(f"MediaPipe cannot be loaded: {error}")
    return task_files


def test_bundles_are_stored_aligned_and_the_same_every_time() -> None:
    bundle = task_files().bundle  # type: ignore[attr-defined]
    networks = {"a.tflite": bytes(101), "bb.tflite": b"x" * 1003, "c.tflite": tiny_network()}
    content = bundle(networks)
    assert content == bundle(networks)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            header = content[info.header_offset : info.header_offset + 30]
            name_length, extra_length = struct.unpack("<HH", header[26:])
            start = info.header_offset + 30 + name_length + extra_length
            assert start % 4 == 0
            assert content[start:].startswith(networks[info.filename])


def test_scaling_is_written_once() -> None:
    with_scaling = task_files().with_scaling  # type: ignore[attr-defined]
    scaled = with_scaling(tiny_network(), 127.5, 127.5)
    assert b"TFLITE_METADATA" in scaled
    assert b"NORM" not in scaled[:4]
    assert with_scaling(scaled, 0.0, 255.0) == scaled
    assert with_scaling(tiny_network(), 127.5, 127.5) == scaled


def test_a_file_that_mediapipe_cannot_load_is_a_model_error(tmp_path: Path) -> None:
    from marionext.capture.landmarkers import BodyLandmarker

    path = tmp_path / "pose_landmarker_heavy.task"
    path.write_bytes(b"no task file")
    with pytest.raises((ModelError, DeviceError), match="MediaPipe"):
        BodyLandmarker(path)


def test_a_machine_without_mediapipes_libraries_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marionext.capture.landmarkers import FaceLandmarker

    monkeypatch.setitem(sys.modules, "mediapipe.tasks.python", None)
    with pytest.raises(DeviceError, match="cannot be loaded") as failure:
        FaceLandmarker(tmp_path / "face_landmarker.task")
    assert "libegl1" in str(failure.value)


@pytest.mark.parametrize(
    "fault",
    [
        http.client.IncompleteRead(b"half"),
        ConnectionResetError(104, "reset"),
        TimeoutError("slow"),
        b"not json",
        b"[]",
        b'{"dist": {"tarball": "file:///etc/passwd"}}',
        b"[" * 100_000,
    ],
    ids=lambda fault: type(fault).__name__ if isinstance(fault, Exception) else fault[:12].decode(),
)
def test_a_fetch_that_breaks_off_is_told_with_what_to_do(
    fault: Exception | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object, **__: object) -> io.BytesIO:
        if isinstance(fault, Exception):
            raise fault
        return io.BytesIO(fault)

    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://localhost/nothing")
    monkeypatch.setattr("urllib.request.urlopen", answer)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ModelError, match="does not give") as caught:
        packages._fetch_pose(tmp_path)
    assert "same command again" in (caught.value.hint or "")
