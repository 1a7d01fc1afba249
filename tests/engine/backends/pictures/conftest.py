"""Tiny random bases, made once for all tests of pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.backends.pictures import tiny


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a maker of bases by their family, each made when it is first wanted."""
    root = tmp_path_factory.mktemp("bases")

    def made(family: str) -> Path:
        folder = root / family
        return folder if folder.exists() else tiny.MAKERS[family](folder)

    return made
