"""The bootstrap, run as a user runs it, on a small project that needs no network.

The project has its own build backend, so that a real pip makes a real editable installation in a
real virtual environment without fetching anything.
"""

import ast
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "marionext"
version = "1.0"
[project.optional-dependencies]
test = []
lint = []
[tool.hatch.build]
"""

BACKEND = """
import base64, hashlib, os, time, zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
INFO = "marionext-1.0.dist-info"
METADATA = "Metadata-Version: 2.1\\nName: marionext\\nVersion: 1.0\\n"
METADATA += "Provides-Extra: test\\nProvides-Extra: lint\\n"

def prepare_metadata_for_build_editable(folder, config_settings=None):
    (Path(folder) / INFO).mkdir()
    (Path(folder) / INFO / "METADATA").write_text(METADATA)
    return INFO

def build_editable(folder, config_settings=None, metadata_directory=None):
    if (HERE / "fail").exists():
        raise RuntimeError("the backend was told to fail")
    with open(HERE / "builds", "a") as log:
        log.write("build\\n")
    for _ in range(600):
        if not (HERE / "wait").exists():
            break
        time.sleep(0.1)
    files = {
        "project.pth": str(HERE / "package"),
        INFO + "/METADATA": METADATA,
        INFO + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    name = "marionext-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        record = ""
        for path, text in files.items():
            wheel.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            record += f"{path},sha256={digest.decode().rstrip('=')},{len(text)}\\n"
        wheel.writestr(INFO + "/RECORD", record + INFO + "/RECORD,,\\n")
    return name

build_wheel = build_editable
"""

COMMAND = """
import sys
print("marionext", *sys.argv[1:])
sys.exit(3 if "fail" in sys.argv else 0)
"""

PRESETS = """
from pathlib import Path
def home():
    return Path(__file__).resolve().parents[2] / "user"
"""


class Project:
    """A checkout in miniature."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        package = folder / "package"
        (package / "marionext").mkdir(parents=True)
        shutil.copy(ROOT / "bootstrap.py", folder)
        (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        (folder / "constraints.txt").write_text("nothing==1.0\n", encoding="utf-8")
        (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
        (package / "marionext" / "__init__.py").write_text("", encoding="utf-8")
        (package / "marionext" / "__main__.py").write_text(COMMAND, encoding="utf-8")
        (package / "marionext" / "presets.py").write_text(PRESETS, encoding="utf-8")
        for name in ("cv2", "torch"):
            (package / f"{name}.py").write_text("", encoding="utf-8")
        (package / "pytest.py").write_text(
            "import sys; print('pytest', *sys.argv[1:]); sys.exit('bad' in sys.argv)",
            encoding="utf-8",
        )
        (folder / "scripts").mkdir()
        (folder / "scripts" / "check.py").write_text(
            "import pathlib, sys; print('checks'); sys.exit(pathlib.Path('unlinted').exists())",
            encoding="utf-8",
        )

    @property
    def builds(self) -> int:
        """How often pip has installed the project."""
        log = self.folder / "builds"
        return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Run the bootstrap; without a PATH it finds no apt to ask, and pip has no settings."""
        environment = {
            key: value
            for key, value in os.environ.items()
            if key != "PYTHONPATH" and not key.startswith("PIP_")
        }
        return subprocess.Popen(
            [sys.executable, str(self.folder / "bootstrap.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**environment, "PATH": str(self.folder), "PIP_CONFIG_FILE": os.devnull},
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the bootstrap to its end and return status and output."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def wait_for_build(self, count: int) -> None:
        """Wait until pip has come to the project."""
        deadline = time.monotonic() + 60
        while self.builds < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One installed project for the tests that leave it as it is."""
    made = Project(tmp_path_factory.mktemp("project"))
    status, output = made.run("install")
    assert status == 0, output
    assert "Making a virtual environment" in output
    assert "Ready: " in output
    if sys.platform.startswith("linux") and not Path("/proc/driver/nvidia").exists():
        assert "give --torch-index" in output
    return made


@pytest.fixture
def installed(project: Project, tmp_path: Path) -> Iterator[Project]:
    """The project, for tests that change something which they put back."""
    before = {name: (project.folder / name).read_bytes() for name in ("constraints.txt",)}
    yield project
    for name, content in before.items():
        (project.folder / name).write_bytes(content)
    for name in ("fail", "wait", "unlinted"):
        (project.folder / name).unlink(missing_ok=True)


def test_a_second_run_installs_nothing(project: Project) -> None:
    builds = project.builds
    status, output = project.run("install")
    assert (status, project.builds) == (0, builds)
    assert "installing" not in output


def test_an_installation_tells_blender_where_the_engine_is(project: Project) -> None:
    pointer = json.loads((project.folder / "user" / "engine.json").read_text(encoding="utf-8"))
    assert Path(pointer["python"]).parent.parent == project.folder / ".venv"


def test_the_demo_gets_its_arguments_and_returns_its_status(project: Project) -> None:
    assert project.run("demo", "--out", "there") == (0, "marionext demo --out there\n")
    assert project.run("demo", "fail")[0] == 3
    assert project.run("doctor")[1] == "marionext doctor\n"


def test_tests_run_after_the_checks_and_their_line_is_the_last(installed: Project) -> None:
    status, output = installed.run("test", "--", "-q", "tests/engine")
    assert status == 0, output
    lines = output.splitlines()
    assert lines.index("checks") < len(lines) - 1
    assert re.fullmatch(r"pytest --rootdir \S+ -ra -n auto .* -q tests/engine", lines[-1])
    assert installed.run("test", "bad")[0] == 1


def test_failed_checks_do_not_keep_the_tests_from_running(installed: Project) -> None:
    (installed.folder / "unlinted").touch()
    status, output = installed.run("test")
    assert status == 1
    assert output.index("pytest") < output.index("checks before the tests failed")


def test_capture_models_that_cannot_be_fetched_are_said_but_stop_nothing(
    installed: Project,
) -> None:
    status, output = installed.run("test")
    assert status == 0
    assert "marionext.capture" in output
    assert "No module named" in output
    assert "Poses from videos will not work until" in output


def test_other_requirements_are_installed(installed: Project) -> None:
    builds = installed.builds
    (installed.folder / "constraints.txt").write_text("other==2.0\n", encoding="utf-8")
    status, output = installed.run("install")
    assert (status, installed.builds) == (0, builds + 1), output


def test_a_failure_shows_the_end_of_the_log_and_the_next_run_goes_on(installed: Project) -> None:
    (installed.folder / "constraints.txt").write_text("failing==1.0\n", encoding="utf-8")
    (installed.folder / "fail").touch()
    status, output = installed.run("demo")
    assert status == 1
    assert "the backend was told to fail" in output
    assert "bootstrap.log" in output
    (installed.folder / "fail").unlink()
    status, output = installed.run("demo")
    assert status == 0
    assert output.endswith("marionext demo\n")
    assert "Making a virtual environment" not in output


def test_torch_is_taken_from_the_index_that_was_asked_for(
    installed: Project, tmp_path: Path
) -> None:
    (installed.folder / "constraints.txt").write_text("torchless==1.0\n", encoding="utf-8")
    index = tmp_path.as_uri()
    status, output = installed.run("install", "--torch-index", index)
    assert status == 1
    assert f"installing torch from {index}: FAILED" in output
    assert "pip's package source lacks this version" in output


@pytest.mark.slow
def test_what_an_interruption_left_incomplete_is_made_anew(installed: Project) -> None:
    venv = installed.folder / ".venv"
    (venv / "bootstrap.unfinished").touch()
    (venv / "bootstrap.json").unlink(missing_ok=True)
    next(venv.rglob("project.pth")).unlink()
    status, output = installed.run("install")
    assert status == 0
    assert "marionext lacks project.pth" in output
    assert "Making a virtual environment" in output
    assert installed.run("demo")[0] == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_of_an_installation_the_next_run_finishes_it(
    installed: Project, how: signal.Signals
) -> None:
    (installed.folder / "constraints.txt").write_text(f"killed=={how.value}\n", encoding="utf-8")
    (installed.folder / "wait").touch()
    builds = installed.builds
    process = installed.start("install")
    installed.wait_for_build(builds + 1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
    output, _ = process.communicate(timeout=30)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "Run the same command again" in output
    (installed.folder / "wait").unlink()
    status, output = installed.run("demo")
    assert status == 0, output
    assert "The last installation was interrupted" in output


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_alone_it_leaves_nothing_at_work_when_the_next_run_begins(
    installed: Project, how: signal.Signals
) -> None:
    (installed.folder / "constraints.txt").write_text(f"alone=={how.value}\n", encoding="utf-8")
    (installed.folder / "wait").touch()
    builds = installed.builds
    process = installed.start("install")
    installed.wait_for_build(builds + 1)
    step = json.loads((installed.folder / ".venv" / "bootstrap.step").read_text())["step"]
    process.send_signal(how)
    assert process.wait(30) == {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}[how.name]
    if how is not signal.SIGKILL:
        assert not group_is_alive(step)
    if process.stdout is not None:
        process.stdout.close()
    # The next build waits as well: had it not begun, the one left behind would still be waiting.
    following = installed.start("install")
    installed.wait_for_build(builds + 2)
    assert not group_is_alive(step)
    (installed.folder / "wait").unlink()
    output, _ = following.communicate(timeout=60)
    assert following.returncode == 0, output
    assert ("ending that" in output) == (how is signal.SIGKILL)
    assert installed.run("demo")[0] == 0


def group_is_alive(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_two_at_once_wait_for_each_other(installed: Project) -> None:
    (installed.folder / "constraints.txt").write_text("twice==1.0\n", encoding="utf-8")
    (installed.folder / "wait").touch()
    builds = installed.builds
    first = installed.start("install")
    installed.wait_for_build(builds + 1)
    second = installed.start("install")
    assert second.stdout is not None
    assert "Another bootstrap is at work" in second.stdout.readline()
    (installed.folder / "wait").unlink()
    for process in (first, second):
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
    assert installed.builds == builds + 1


def test_a_broken_environment_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    fresh = Project(tmp_path)
    venv = tmp_path / ".venv"
    (venv / "lib").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("home = /nowhere\n", encoding="utf-8")
    status, output = fresh.run("install")
    assert status == 1
    assert "did not make" in output
    assert (venv / "lib").is_dir()


def test_a_python_without_ensurepip_is_told_its_debian_package(tmp_path: Path) -> None:
    fresh = Project(tmp_path)
    (tmp_path / "ensurepip.py").write_text("raise ImportError", encoding="utf-8")
    status, output = fresh.run("install")
    assert status == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"sudo apt-get install python{version}-venv" in output


def test_an_old_python_can_read_the_file_up_to_its_message() -> None:
    ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_nothing_but_the_standard_library_is_imported() -> None:
    tree = ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"))
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert names <= set(sys.stdlib_module_names)
