"""Where the recorded outputs of the reference are: ``pytest tests/parity --golden DIR``."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        type=Path,
        default=Path(__file__).parent / "data",
        help="folder of recorded reference outputs (default: the copies in the repository)",
    )


@pytest.fixture(scope="session")
def golden_dir(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.getoption("--golden"))
