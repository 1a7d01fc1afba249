"""What Blender imports needs nothing but numpy; the rest of the layers holds too.

Blender brings a Python with numpy and little else: a light room that imports torch by accident
would work on every developer's machine and on no user's. So each is imported in a fresh
interpreter, and what came in with it is looked at.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "engine" / "marionext"

STANDARD_LIBRARY_ONLY = (
    "marionext",
    "marionext.errors",
    "marionext.frames",
    "marionext.codec",
    "marionext.skeleton",
    "marionext.edits",
    "marionext.job_files",
    "marionext.jobs",
    "marionext.presets",
    "marionext.bundles",
    "marionext.protocol",
    "marionext.reporting",
    "marionext.client",
    "marionext.files",
    "marionext.record",
    "marionext.hosts",
)
NUMPY_ONLY = ("marionext.pose", "marionext.pose.formats", "marionext.motion")
HEAVY = {
    "av", "bpy", "cv2", "diffusers", "huggingface_hub", "mediapipe", "PIL", "PySide6", "torch",
    "transformers",
}  # fmt: skip

IMPORT_AND_TELL = """
import json, sys
before = set(sys.modules)
__import__(sys.argv[1])
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def foreign_modules(module: str) -> set[str]:
    """Return the packages that come in with a module, without Python's own and ours."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_AND_TELL, module],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout)) - set(sys.stdlib_module_names) - {"marionext"}


@pytest.mark.parametrize("module", STANDARD_LIBRARY_ONLY)
def test_the_lowest_layers_import_the_standard_library_only(module: str) -> None:
    assert foreign_modules(module) == set()


@pytest.mark.parametrize("module", NUMPY_ONLY)
def test_poses_and_motion_import_numpy_only(module: str) -> None:
    assert foreign_modules(module) <= {"numpy"}


def test_asking_for_help_loads_no_network_library() -> None:
    assert not foreign_modules("marionext.cli") & HEAVY - {"PIL"}


def test_the_check_itself_finds_a_heavy_import() -> None:
    assert "torch" in foreign_modules("marionext.backends.svd.loading")


def test_every_import_contract_is_kept() -> None:
    pytest.importorskip("importlinter", reason="needs the lint extra")
    code = "from importlinter.cli import lint_imports_command as c; c(['--no-logo', '--no-cache'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_layers_name_every_room() -> None:
    """A room that no layer names would be free of all rules, unnoticed."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = {room.strip() for layer in layers for room in layer.split("|")}
    rooms = {
        f"marionext.{path.stem}"
        for path in PACKAGE.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").is_file())
        and not path.name.startswith("__")
    }
    assert named == rooms
