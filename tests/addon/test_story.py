"""The whole story in a real Blender window: `scripts/addon_story.py`, with a short shot."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "addon_story.py"


@pytest.fixture(scope="module")
def addon_story() -> Any:
    spec = importlib.util.spec_from_file_location("addon_story", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(1200)
def test_an_animator_installs_renders_and_looks_at_the_result(
    addon_story: Any, tmp_path: Path
) -> None:
    missing = addon_story.missing_tools()
    if missing:
        pytest.skip(f"not on the PATH: {', '.join(missing)}")
    # It raises at the first thing that is not as it should be.
    told = addon_story.tell("blender", tmp_path, last_frame=104, seconds=1100, width=1000)
    assert told["figures"]["drawing all panels, ms"] < 50
    kept = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert {"blender-rendering.png", "blender-failed.png", "blender-result.png"} <= kept


def test_tools_that_are_missing_are_named(
    addon_story: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(addon_story.StoryError, match="Xvfb, xdotool, import, convert, blender"):
        addon_story.tell("blender", tmp_path)
