"""The examination of an installation, and what it says about things that are wrong."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from marionext import doctor
from marionext.codec import decode
from marionext.doctor import Finding, Report


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def findings(topic: str) -> list[Finding]:
    return [finding for finding in doctor.examine().findings if finding.topic == topic]


@pytest.fixture(scope="module")
def report() -> Report:
    """One examination of this very machine; the libraries are really tried."""
    return doctor.examine()


def test_every_topic_is_looked_at(report: Report) -> None:
    topics = {finding.topic for finding in report.findings}
    assert topics >= {"python", "packages", "memory", "disk", "models", "capture", "ffmpeg"}


def test_versions_of_what_is_installed_are_told(report: Report) -> None:
    text = report.text
    for name in ("Marionext", "torch", "diffusers", "cv2", "mediapipe", "ffmpeg version"):
        assert name in text
    assert f"Python {sys.version.split()[0]}" in text
    assert "GiB of memory" in text


def test_the_report_survives_json(report: Report) -> None:
    values = json.loads(json.dumps(report.as_json()))
    assert values.pop("healthy") == (not report.problems)
    assert decode(Report, values) == report


def test_what_is_wrong_comes_with_how_to_mend_it(report: Report) -> None:
    assert all(finding.mend for finding in report.problems)


def fake_run(monkeypatch: pytest.MonkeyPatch, answers: dict[str, tuple[int, str]]) -> None:
    """Let trials whose command holds a key end as given; all others succeed in silence."""

    def run(command: list[str]) -> tuple[int, str]:
        line = " ".join(command)
        return next((answer for key, answer in answers.items() if key in line), (0, "-"))

    monkeypatch.setattr("marionext.doctor._run", run)


GOOD_TORCH = json.dumps({"version": "2.13.0", "cuda": None, "devices": [], "threads": 4})


def test_a_torch_that_is_not_there_is_one_problem_and_no_crash(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = "Traceback\nModuleNotFoundError: No module named 'torch'"
    fake_run(monkeypatch, {"torch": (1, error)})
    report = doctor.examine()
    texts = [finding.text for finding in report.problems]
    assert "torch cannot be used: ModuleNotFoundError: No module named 'torch'" in texts


def test_a_missing_system_library_names_its_package(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
    fake_run(monkeypatch, {"import cv2": (1, error), "torch": (0, GOOD_TORCH)})
    (found,) = [f for f in findings("packages") if f.level == "problem"]
    assert found.mend == "On Debian and Ubuntu: sudo apt-get install libgl1"


def test_a_library_that_takes_its_process_down_is_reported(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_run(monkeypatch, {"import av": (-11, ""), "torch": (0, GOOD_TORCH)})
    (found,) = [f for f in findings("packages") if f.level == "problem"]
    assert "av cannot be used: its process ended with status -11" in found.text


def test_a_gpu_is_told_with_its_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [["cuda", "NVIDIA H200", 100 * 2**30, 140 * 2**30]]
    torch = {"version": "2.13.0", "cuda": "13.0", "devices": devices, "threads": 4}
    fake_run(monkeypatch, {"torch": (0, json.dumps(torch))})
    (device,) = findings("device")
    assert device.text == "cuda: NVIDIA H200, 100.0 of 140.0 GiB free"


def test_a_gpu_that_torch_cannot_use_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_run(monkeypatch, {"torch": (0, GOOD_TORCH)})
    monkeypatch.setattr("marionext.doctor._nvidia_driver", lambda: True)
    (device,) = findings("device")
    assert device.level == "problem"
    assert "without" not in (device.mend or "")
    assert "no CUDA" in device.text


def test_flavours_of_opencv_of_different_versions_are_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"opencv-python": "4.10.0.84", "opencv-contrib-python": "5.0.0.93"}
    fake_run(monkeypatch, {"torch": (0, GOOD_TORCH)})
    monkeypatch.setattr("marionext.doctor._version", lambda name: versions.get(name, "0"))
    (found,) = [f for f in findings("packages") if "OpenCV" in f.text]
    assert found.level == "problem"
    assert '"opencv-python==5.0.0.93"' in (found.mend or "")


def test_a_mediapipe_that_phones_home_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_run(monkeypatch, {"torch": (0, GOOD_TORCH)})
    monkeypatch.setattr("marionext.doctor._version", lambda _: "0.10.35")
    assert any("contacts a server" in f.text for f in findings("packages"))


def test_little_disk_is_noted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_run(monkeypatch, {"torch": (0, GOOD_TORCH)})
    monkeypatch.setattr(
        "marionext.doctor.shutil.disk_usage", lambda _: SimpleNamespace(free=3 * 10**9)
    )
    (disk,) = findings("disk")
    assert (disk.level, disk.text[:11]) == ("note", "3.0 GB free")


def test_a_home_that_is_a_file_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "file"))
    fake_run(monkeypatch, {"torch": (0, GOOD_TORCH)})
    (disk,) = findings("disk")
    assert disk.level == "problem"
    assert "MARIONEXT_HOME" in (disk.mend or "")


def test_a_model_that_is_not_here_is_only_noted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_run(monkeypatch, {"torch": (0, GOOD_TORCH)})
    (svd,) = [f for f in findings("models") if "svd" in f.text]
    assert (svd.level, svd.mend) == ("note", "To fetch it: marionext models pull svd")


def test_an_ffmpeg_for_another_machine_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {
        "get_ffmpeg_exe": (0, "/opt/ffmpeg"),
        "/opt/ffmpeg": (127, "Exec format error"),
        "torch": (0, GOOD_TORCH),
    }
    fake_run(monkeypatch, answers)
    (ffmpeg,) = findings("ffmpeg")
    assert ffmpeg.level == "problem"
    assert "does not run" in ffmpeg.text
