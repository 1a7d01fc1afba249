"""Installing, enabling, disabling and uninstalling the built zip in real Blenders."""

import pytest

pytestmark = pytest.mark.blender


def check(found):
    assert found["installed"]["operators"]
    assert found["installed"]["scene"]
    assert found["installed"]["session"]
    assert found["again"] == found["updated"] == found["installed"]
    assert found["is_new"], "after an update no module is the old one"
    for state in (found["disabled"], found["after"]):
        assert not state["scene"]
        assert not state["session"]
        assert not state["classes"]
        assert not state["operators"]
    assert not found["files_left"]
    assert not found["heavy"]


def test_the_extension_comes_and_goes_without_a_trace(inside) -> None:
    found = inside.run("lifecycle")
    check(found)
    # Extensions may bring no top-level modules.
    assert found["top_level"] == []


def test_the_classic_addon_comes_and_goes_without_a_trace(inside_window) -> None:
    check(inside_window.run("lifecycle"))
