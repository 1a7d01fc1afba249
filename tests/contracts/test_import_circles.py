"""The add-on's imports go one way: no module needs itself, not even by an import in a function."""

import ast
from pathlib import Path

import pytest

ADDON = Path(__file__).resolve().parents[2] / "addon" / "marionext_addon"

Graph = dict[str, set[str]]


def read_imports(folder: Path) -> Graph:
    """Return the modules of a package and which of each other they import, wherever they do."""
    files = {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix("__init__"): path
        for path in sorted(folder.rglob("*.py"))
    }
    files = {name.removesuffix("."): path for name, path in files.items()}
    graph: Graph = {}
    for name, path in files.items():
        inside = path.name == "__init__.py"
        package = [part for part in name.split(".") if part]
        package = package if inside else package[:-1]
        graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                above = package[: len(package) - node.level + 1]
                base = ".".join(above + (node.module.split(".") if node.module else []))
                taken = {f"{base}.{alias.name}".removeprefix(".") for alias in node.names}
                modules = taken & files.keys()
                # A name that is no module comes from the package or module itself.
                graph[name] |= modules | ({base} if taken - modules else set())
    return {name: found - {name} for name, found in graph.items()}


def circles(graph: Graph) -> list[set[str]]:
    """Return the sets of modules that need each other."""

    def reached(start: str) -> set[str]:
        todo, done = [start], set[str]()
        while todo:
            for following in graph.get(todo.pop(), set()) - done:
                done.add(following)
                todo.append(following)
        return done

    reach = {name: reached(name) for name in graph}
    found: list[set[str]] = []
    for name in graph:
        circle = {other for other in reach[name] if name in reach.get(other, set())}
        if circle and circle not in found:
            found.append(circle)
    return found


def test_the_addon_has_no_import_circle() -> None:
    graph = read_imports(ADDON)
    assert len(graph) > 40
    # An __init__ that names its room's parts is above them all: nothing may come from it but what
    # the room itself holds.
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from . import b", [{"a", "b"}]),
        ("def f():\n    from .b import x", [{"a", "b"}]),
        ("x = 1", []),
    ],
)
def test_a_circle_is_found(tmp_path: Path, line: str, expected: list[set[str]]) -> None:
    (tmp_path / "a.py").write_text(line, encoding="utf-8")
    (tmp_path / "b.py").write_text("from .a import x", encoding="utf-8")
    assert circles(read_imports(tmp_path)) == expected
