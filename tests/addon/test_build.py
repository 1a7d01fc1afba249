"""The zip that users install: what is in it, and that Blender's own tools accept it."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLI = "scripts/addons_core/bl_pkg/cli/blender_ext.py"


def blender_tools() -> list[Path]:
    """Return the packaging tool of each Blender that is here."""
    return sorted((ROOT / ".blenders").glob(f"bpy-*/lib/python*/site-packages/bpy/*/{CLI}"))


@pytest.mark.blender
def test_blenders_own_tool_accepts_the_zip(addon_zip: Path) -> None:
    tools = blender_tools()
    if not tools:
        pytest.skip("no bpy in .blenders: 'bootstrap.py test' installs what this computer can have")
    for tool in tools:
        validated = subprocess.run(
            [sys.executable, "-I", str(tool), "validate", "--valid-tags=", str(addon_zip)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert validated.returncode == 0, validated.stdout + validated.stderr


@pytest.mark.blender
def test_blenders_own_tool_builds_the_same_files(addon_zip: Path, tmp_path: Path) -> None:
    tools = blender_tools()
    if not tools:
        pytest.skip("no bpy in .blenders: 'bootstrap.py test' installs what this computer can have")
    with zipfile.ZipFile(addon_zip) as archive:
        archive.extractall(tmp_path / "sources")
        ours = {name.partition("/")[2] for name in archive.namelist()}
    (tmp_path / "out").mkdir()
    built = subprocess.run(
        [
            *(sys.executable, "-I", str(tools[-1]), "build", "--valid-tags="),
            *("--source-dir", str(tmp_path / "sources" / "marionext_addon")),
            *("--output-dir", str(tmp_path / "out")),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    with zipfile.ZipFile(next((tmp_path / "out").glob("*.zip"))) as archive:
        assert {name for name in archive.namelist() if not name.endswith("/")} == ours


def test_the_same_sources_give_the_same_bytes(build_addon: Any, tmp_path: Path) -> None:
    first = build_addon.build(tmp_path / "a").read_bytes()
    assert first == build_addon.build(tmp_path / "b").read_bytes()


def test_no_import_in_the_zip_names_the_engine_absolutely(addon_zip: Path) -> None:
    with zipfile.ZipFile(addon_zip) as archive:
        sources = {
            name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")
        }
    assert "marionext_addon/marionext/client.py" in sources
    assert not any("/capture/" in name or "/diffusion/" in name for name in sources)
    for name, source in sources.items():
        for node in ast.walk(ast.parse(source, name)):
            if isinstance(node, ast.Import):
                tops = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                tops = {str(node.module).partition(".")[0]}
            else:
                continue
            assert not tops & {"marionext", "torch", "cv2", "PIL"}, name


def test_the_packed_engine_works_under_another_name_with_numpy_alone(
    addon_zip: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(addon_zip) as archive:
        archive.extractall(tmp_path)
    # The add-on's own package needs Blender: its engine is tried under a package without code.
    (tmp_path / "marionext_addon" / "__init__.py").write_text("", encoding="utf-8")
    code = """
import importlib, pathlib, sys
sys.path.insert(0, ".")
root = pathlib.Path("marionext_addon/marionext")
for path in sorted(root.rglob("*.py")):
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    importlib.import_module(name)
from marionext_addon.marionext.settings import default_settings
from marionext_addon.marionext.motion import load_presets
print(default_settings("puppet", "draft").size, len(load_presets()))
assert not {"torch", "cv2", "PIL", "marionext"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(128, 192) ")


@pytest.mark.parametrize(
    ("source", "depth", "expected"),
    [
        ("from marionext.client import X\n", 0, "from .marionext.client import X\n"),
        ("from marionext import presets\n", 1, "from ..marionext import presets\n"),
        ("import marionext\n", 2, "from ... import marionext\n"),
        ("def f():\n    from marionext.jobs import (\n        a,\n    )\n", 0,
         "def f():\n    from .marionext.jobs import (\n        a,\n    )\n"),
        ("if True: from marionext import a\n", 0, "if True: from .marionext import a\n"),
        ("import marionext  # marionext\n", 0, "from . import marionext  # marionext\n"),
    ],
)  # fmt: skip
def test_imports_of_the_engine_become_relative(
    build_addon: Any, source: str, depth: int, expected: str
) -> None:
    assert build_addon.rewrite_imports(source, depth) == expected


@pytest.mark.parametrize(
    "source",
    [
        "from marionext_other import X\n",
        "from .marionext import X\n",
        'TEXT = """\nfrom marionext import X\n"""\n',
        "# from marionext import X\n",
        "scene.marionext = 1\n",
        "raise E from marionext\n",
        "bpy.ops.marionext.render()\n",
    ],
)
def test_everything_else_keeps_its_words(build_addon: Any, source: str) -> None:
    assert build_addon.rewrite_imports(source, 0) == source


def test_an_import_without_a_relative_form_is_refused(build_addon: Any) -> None:
    with pytest.raises(build_addon.BuildError, match="from marionext import x"):
        build_addon.rewrite_imports("import marionext.jobs\n", 0)
