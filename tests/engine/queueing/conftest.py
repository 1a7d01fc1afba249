"""What tests of the queue share: tiny jobs of a quick kind, and real commands."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
MapsMaker = Callable[..., Path]


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Folder of a queue that is not there yet."""
    return tmp_path / "queue"


@pytest.fixture
def make_maps(tmp_path: Path, track_file: Path) -> MapsMaker:
    """Return a maker of job files that draw seven tiny pose maps: the quickest kind of job."""

    def make(name: str, **changes: Any) -> Path:
        job = {
            "kind": "posemaps",
            "motion": {"path": str(track_file)},
            "output": name,
            "width": 48,
            "height": 64,
            **changes,
        }
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        return path

    return make


class Commands:
    """Runs ``marionext queue`` as a program."""

    def __init__(self, queue: Path, home: Path) -> None:
        self.queue = queue
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "MARIONEXT_HOME": str(home)}

    def line(self, action: str, *arguments: object) -> list[str]:
        start = [sys.executable, "-m", "marionext", "queue", action, "--queue", str(self.queue)]
        return [*start, *map(str, arguments)]

    def run(
        self, action: str, *arguments: object, **options: Any
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.line(action, *arguments),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment,
            **options,
        )

    def start(self, action: str, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.line(action, *arguments), text=True, env=self.environment, **options
        )


@pytest.fixture
def commands(queue: Path, tmp_path: Path) -> Commands:
    """The command line, with a home of its own."""
    return Commands(queue, tmp_path / "home")


@pytest.fixture(scope="session")
def kill_workers() -> ModuleType:
    """The script that kills workers."""
    path = REPOSITORY / "scripts" / "kill_workers.py"
    spec = importlib.util.spec_from_file_location("kill_workers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_workers"] = module
    spec.loader.exec_module(module)
    return module
