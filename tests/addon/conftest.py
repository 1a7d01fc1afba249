"""Real Blenders for the add-on's tests: each test starts one, installs the built zip, and asks it.

A Blender is either the ``bpy`` module in an environment of its own (``.blenders/bpy-4.5``, made by
``bootstrap.py test``) or a ``blender`` on the PATH. What happens inside is in ``inside/``: a script
per story, that answers with one JSON object. Blender runs with empty user folders and finds the
engine as a user's would, by the pointer file.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).resolve().parent / "inside"
BLENDERS = ROOT / ".blenders"

pytestmark = pytest.mark.blender


@dataclass(frozen=True)
class Blender:
    """A way to run a script inside Blender."""

    name: str
    command: tuple[str, ...]
    is_module: bool

    def arguments(self, script: Path, *, window: tuple[int, int] | None = None) -> list[str]:
        if self.is_module:
            return [*self.command, str(script), "--"]
        if window:
            wide, high = map(str, window)
            display = ("xvfb-run", "-a", "-s", f"-screen 0 {wide}x{high}x24")
            size = ("--window-geometry", "0", "0", wide, high)
            ours = (*display, *self.command, "--factory-startup", *size)
            return [*ours, "--python", str(script), "--"]
        background = ("--background", "--factory-startup", "--python-exit-code", "3")
        return [*self.command, *background, "--python", str(script), "--"]


def _module(series: str) -> Blender | None:
    folder = BLENDERS / f"bpy-{series}"
    for name in ("bin/python", "Scripts/python.exe"):
        if (folder / name).is_file():
            return Blender(f"bpy {series}", (str(folder / name),), is_module=True)
    return None


def find_blender(series: str) -> Blender | None:
    """Return a Blender: a series of the bpy module, or ``window``: the program on the PATH."""
    if series != "window":
        return _module(series)
    program = shutil.which("blender")
    return Blender("blender", (program,), is_module=False) if program else None


def need_blender(series: str) -> Blender:
    """Return a Blender, or skip the test."""
    found = find_blender(series)
    if found is None:
        what = "no blender on the PATH" if series == "window" else f"no bpy {series} in .blenders"
        pytest.skip(f"{what}: 'bootstrap.py test' installs what this computer can have")
    return found


@pytest.fixture(scope="session", autouse=True)
def _blenders_own_python_first() -> Iterator[None]:
    """Let a distribution's Blender find its own Python: it takes the first one on the PATH.

    With another one before it, such as that of a version manager, it starts without numpy.
    """
    program = shutil.which("blender")
    with pytest.MonkeyPatch.context() as patch:
        if program is not None:
            patch.setenv("PATH", str(Path(program).parent), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def build_addon() -> Any:
    """The build script as a module."""
    spec = importlib.util.spec_from_file_location(
        "build_addon", ROOT / "scripts" / "build_addon.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def addon_zip(build_addon: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The add-on as users get it."""
    return Path(build_addon.build(tmp_path_factory.mktemp("dist")))


class Inside:
    """Runs the stories of ``inside/`` in a Blender, with user folders of its own."""

    def __init__(self, blender: Blender, addon_zip: Path, folder: Path) -> None:
        self.blender = blender
        self.folder = folder
        # What takes long to make is shared by the tests of one run, in all processes.
        shared = addon_zip.parents[2 if "PYTEST_XDIST_WORKER" in os.environ else 1]
        self.kept = shared / "kept"
        self.kept.mkdir(exist_ok=True)
        self._zip = addon_zip
        self.home = folder / "home"
        self.home.mkdir()
        self.point_at(sys.executable)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that Blender is started with: user folders of this test alone."""
        user = self.folder / "user"
        return {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "BLENDER_USER_RESOURCES": str(user),
            "BLENDER_USER_CONFIG": str(user / "config"),
            "BLENDER_USER_SCRIPTS": str(user / "scripts"),
            "MARIONEXT_HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def point_at(self, python: str) -> None:
        """Write the pointer file of the bootstrap."""
        pointer = {"python": python}
        (self.home / "engine.json").write_text(json.dumps(pointer), encoding="utf-8")

    def start(
        self,
        story: str,
        *,
        options: dict[str, Any] | None = None,
        window: tuple[int, int] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a story without waiting for it."""
        request = {
            "zip": str(self._zip),
            "folder": str(self.folder),
            "answer": str(self.folder / "answer.json"),
            "root": str(ROOT),
            "kept": str(self.kept),
            **(options or {}),
        }
        (self.folder / "answer.json").unlink(missing_ok=True)
        (self.folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        (self.folder / "user" / "scripts" / "addons").mkdir(parents=True, exist_ok=True)
        arguments = [
            *self.blender.arguments(INSIDE / f"{story}.py", window=window),
            str(self.folder / "request.json"),
        ]
        return subprocess.Popen(
            arguments,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def run(
        self,
        story: str,
        *,
        options: dict[str, Any] | None = None,
        timeout: float = 600,
        window: tuple[int, int] | None = None,
    ) -> dict[str, Any]:
        """Run a story to its end and return its answer."""
        process = self.start(story, options=options, window=window)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            pytest.fail(
                f"{self.blender.name} did not end {story} in {timeout} s:\n{output[-4000:]}"
            )
        answer = self.folder / "answer.json"
        if not answer.is_file():
            pytest.fail(
                f"{self.blender.name}: {story} ended with {process.returncode}:\n{output[-6000:]}"
            )
        found = dict(json.loads(answer.read_text(encoding="utf-8")))
        found["output"] = output
        found["status"] = process.returncode
        return found

    def run_in_window(
        self,
        story: str,
        *,
        options: dict[str, Any] | None = None,
        size: tuple[int, int] = (1152, 720),
    ) -> dict[str, Any]:
        """Run a story in a Blender with a window, on a display that nobody sees.

        A small window is drawn sooner: without a graphics card that is what such tests wait for.
        """
        return self.run(story, options=options, window=size)


@pytest.fixture(params=["4.2", "4.5", "5.2"])
def inside(request: pytest.FixtureRequest, addon_zip: Path, tmp_path: Path) -> Inside:
    """The long-term versions of Blender, as a module."""
    return Inside(need_blender(request.param), addon_zip, tmp_path)


@pytest.fixture
def inside_45(addon_zip: Path, tmp_path: Path) -> Inside:
    """Blender 4.5 alone: for what does not depend on the version."""
    return Inside(need_blender("4.5"), addon_zip, tmp_path)


@pytest.fixture
def inside_window(addon_zip: Path, tmp_path: Path) -> Inside:
    """The Blender on the PATH; in Debian 12 it is 3.4, before extensions."""
    return Inside(need_blender("window"), addon_zip, tmp_path)


@pytest.fixture(scope="session")
def new_inside(addon_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make an `Inside` of a series of Blender, for what is told once for several tests."""
    return lambda series: Inside(need_blender(series), addon_zip, tmp_path_factory.mktemp("inside"))
