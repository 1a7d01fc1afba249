"""Recorded outputs of the reference implementation, found wherever ``--golden`` points.

A test asks for the cases of its folder with ``@pytest.mark.cases("c_svd_pipeline/*.safetensors")``
and gets one run for each file found, as ``case: Path``; ``golden_dir`` is the folder itself.
Nothing about a case but its folder's README is built into the tests: sizes, seeds, models and
settings come from the files.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", default=None, help="folder of recorded cases (default: tests/parity/data)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cases(pattern): run for each file of the golden folder")


def _folder(config: pytest.Config) -> Path:
    given = config.getoption("golden", default=None)
    return Path(given).resolve() if given else HERE / "data"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("cases")
    if marker is None:
        return
    folder = _folder(metafunc.config)
    found = sorted(path for pattern in marker.args for path in folder.glob(pattern))
    parameters = [
        pytest.param(path, id=str(path.relative_to(folder).with_suffix(""))) for path in found
    ] or [
        pytest.param(
            None, id="none", marks=pytest.mark.skip(reason=f"no {marker.args} in {folder}")
        )
    ]
    metafunc.parametrize("case", parameters)


@pytest.fixture(scope="session")
def golden_dir(pytestconfig: pytest.Config) -> Path:
    """The folder of recorded cases."""
    return _folder(pytestconfig)


@pytest.fixture(scope="session")
def rebuilt_weights() -> Callable[[Path], dict[str, torch.Tensor]]:
    """Rebuild a model's weights from its ``*.keys.json``."""
    spec = importlib.util.spec_from_file_location("golden_weights", HERE / "golden_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def rebuild(path: Path) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(value) for name, value in module.rebuild(path).items()}

    return rebuild


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
