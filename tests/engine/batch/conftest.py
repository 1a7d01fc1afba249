"""What tests of batches render: the small figure of all engine tests, as a doll."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

JobMaker = Callable[..., dict[str, Any]]
JobWriter = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the user's."""
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def write_job(tmp_path: Path, make_job: JobMaker) -> JobWriter:
    """Return a writer of job files for small dolls; keyword arguments as in `make_job`."""

    def write(name: str, **changes: Any) -> Path:
        job = make_job(**{"output": {"directory": f"out/{name}"}, **changes})
        if "model" not in changes:
            settings = {"width": 64, "height": 96, **changes.get("settings", {})}
            job = {**job, "model": "doll", "settings": settings}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        return path

    return write
