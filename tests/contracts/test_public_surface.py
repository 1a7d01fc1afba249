"""Each room says what it offers, and offers what it says."""

import ast
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[2] / "engine"
MODULES = sorted((ENGINE / "marionext").rglob("*.py"))
ROOMS = [path for path in MODULES if path.name == "__init__.py" and path.parent.name != "marionext"]


def module_name(path: Path) -> str:
    parts = path.relative_to(ENGINE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def declared(path: Path) -> list[str] | None:
    """Return a module's ``__all__``, or None."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                assert node.value is not None
                return list(ast.literal_eval(node.value))
    return None


def re_exported(path: Path) -> set[str]:
    """Return the names that a room's ``__init__`` takes from its own modules."""
    room = module_name(path)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(room):
            for alias in node.names:
                is_module = (path.parent / alias.name).with_suffix(".py").is_file()
                is_room = (path.parent / alias.name).is_dir()
                if not (node.module == room and (is_module or is_room)):
                    names.add(alias.asname or alias.name)
    return names


def defined(path: Path) -> set[str]:
    """Return the names that a module defines itself."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


@pytest.mark.parametrize("path", ROOMS, ids=module_name)
def test_a_room_offers_what_it_takes_from_its_modules(path: Path) -> None:
    names = declared(path)
    if names is None:
        assert not re_exported(path)
        return
    assert len(names) == len(set(names))
    assert re_exported(path) <= set(names)
    assert set(names) - re_exported(path) <= defined(path)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_every_module_says_what_it_offers(path: Path) -> None:
    names = declared(path)
    if path.name in {"__init__.py", "__main__.py"}:
        return
    assert names is not None, f"{module_name(path)} has no __all__"
    assert names == sorted(names, key=_constants_then_classes_then_functions)


def _constants_then_classes_then_functions(name: str) -> tuple[int, str]:
    """Order names as ruff does (RUF022), which sorts them as isort does."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1 if name[:1].isupper() else 2), name
