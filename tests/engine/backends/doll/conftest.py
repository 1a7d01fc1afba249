"""What tests of dolls render: the small figure of all engine tests, as a doll."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from marionext.local import LocalEngine

JobMaker = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the user's: no doll is kept yet, and no detector is there."""
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    """One engine for all jobs of a module, as a host keeps it."""
    with LocalEngine() as engine:
        yield engine


@pytest.fixture
def make_doll_job(make_job: JobMaker) -> JobMaker:
    """Return a maker of small jobs for dolls; keyword arguments as in `make_job`.

    Frames are not mended, or their bytes would depend on the threads of the processor."""

    def make(**changes: Any) -> dict[str, Any]:
        settings = {"width": 64, "height": 96, "refine": "off", **changes.pop("settings", {})}
        return {**make_job(**changes), "model": "doll", "settings": settings}

    return make
