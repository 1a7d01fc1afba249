"""Build Blender's add-on: one zip of the add-on and the part of the engine that Blender imports.

``python scripts/build_addon.py [--out dist]`` writes ``marionext_addon-VERSION.zip``. It installs
as an extension (Blender 4.2 and later) and as a classic add-on (before).

The sources import the engine by its name (``from marionext.client import EngineProcess``), so that
editors and type checkers understand them. In the zip the engine is a sub-package of the add-on, and
every such import is rewritten to a relative one: Blender's extensions may not bring top-level
modules, and an engine that the user has installed elsewhere is never taken by mistake. Only what
the add-on reaches is packed, and it is refused if it needs more than the standard library, numpy
and Blender. The manual goes along as pages for browsers.

The same sources give the same bytes.
"""

import argparse
import ast
import io
import sys
import tokenize
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "engine"), str(ROOT)]

from scripts.manual_page import page, pictures  # noqa: E402

from marionext.errors import OutputError  # noqa: E402
from marionext.files import replacing  # noqa: E402

ADDON = ROOT / "addon" / "marionext_addon"
ENGINE = ROOT / "engine" / "marionext"
PRESETS = ROOT / "presets"

PACKAGE = "marionext_addon"
ENGINE_NAME = "marionext"
PACKED_PRESETS = ("models", "quality", "rigs")
DOCS = ROOT / "docs"
MANUAL = {"blender.md": "index.html", "blender-rigs.md": "rigs.html"}
"""Pages of the documentation that go along, and the names of their files."""
SUFFIXES = frozenset({".py", ".toml", ".md", ".png", ".blend", ".json"})
BLENDER = frozenset(
    {"addon_utils", "bl_ui", "blf", "bmesh", "bpy", "bpy_extras", "gpu", "gpu_extras", "mathutils"}
)
ALLOWED = frozenset(sys.stdlib_module_names) | BLENDER | {"numpy"}

_EARLIEST = (1980, 1, 1, 0, 0, 0)


class BuildError(Exception):
    """The sources cannot be packed."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Build the zip of Blender's add-on.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder (default: dist)")
    options = parser.parse_args(arguments)
    try:
        path = build(options.out)
    except (BuildError, OutputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


def build(folder: Path) -> Path:
    """Write the zip into a folder and return it.

    Raises:
        BuildError: versions or addresses disagree, or something would not work inside Blender.
        OutputError: the zip cannot be written.
    """
    version = _version()
    _check_website()
    files = dict(sorted(_contents().items()))
    path = folder / f"{PACKAGE}-{version}.zip"
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(f"{PACKAGE}/{name}", _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return path


def _contents() -> dict[str, bytes]:
    """Return every file of the zip by its path in the add-on's folder."""
    files: dict[str, bytes] = {}
    reached: set[str] = set()
    for path in sorted(ADDON.rglob("*")):
        if path.is_file() and (path.suffix in SUFFIXES or path.name == "LICENSE"):
            name = path.relative_to(ADDON).as_posix()
            files[name] = path.read_bytes()
            if path.suffix == ".py":
                source = path.read_text(encoding="utf-8")
                _check_imports(source, name)
                reached |= _engine_modules(source, name)
                files[name] = rewrite_imports(source, depth=name.count("/")).encode()
    for module in sorted(_closure(reached)):
        path = _module_file(module)
        source = path.read_text(encoding="utf-8")
        name = f"{ENGINE_NAME}/{path.relative_to(ENGINE).as_posix()}"
        _check_imports(source, name)
        files[name] = rewrite_imports(source, depth=name.count("/")).encode()
    for kind in PACKED_PRESETS:
        for path in sorted((PRESETS / kind).glob("*.toml")):
            files[f"{ENGINE_NAME}/_presets/{kind}/{path.name}"] = path.read_bytes()
    files[f"{ENGINE_NAME}/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    return files | _manual()


def _manual() -> dict[str, bytes]:
    """Return the pages of the manual and their pictures."""
    files: dict[str, bytes] = {}
    for name, file in MANUAL.items():
        text = (DOCS / name).read_text(encoding="utf-8")
        files[f"manual/{file}"] = page(text, MANUAL).encode()
        for picture in pictures(text):
            if not (DOCS / picture).is_file():
                raise BuildError(f"docs/{name} shows {picture}, which is not there")
            files[f"manual/{picture}"] = (DOCS / picture).read_bytes()
    return files


# --------------------------------------------------------------------------------------- versions


def _version() -> str:
    """Return the one version that engine, manifest and ``bl_info`` agree on."""
    manifest = tomllib.loads((ADDON / "blender_manifest.toml").read_text(encoding="utf-8"))
    engine = _assigned(ENGINE / "__init__.py", "__version__")
    info = _assigned(ADDON / "__init__.py", "bl_info")
    if not isinstance(info, dict):
        raise BuildError("bl_info is no dictionary")
    classic = ".".join(str(number) for number in info["version"])
    found = {"engine": engine, "manifest": manifest["version"], "bl_info": classic}
    if len(set(found.values())) > 1:
        raise BuildError(f"expected one version everywhere, got {found}")
    return str(engine)


def _check_website() -> None:
    """Make sure that all places that may name the public address name the same one, or none."""
    manifest = tomllib.loads((ADDON / "blender_manifest.toml").read_text(encoding="utf-8"))
    info = _assigned(ADDON / "__init__.py", "bl_info")
    found = {
        "state/links.py": _assigned(ADDON / "state" / "links.py", "WEBSITE"),
        "the manifest": manifest.get("website", ""),
        "bl_info": info.get("doc_url", "") if isinstance(info, dict) else "",
    }
    if len(set(found.values())) > 1:
        raise BuildError(f"expected one website everywhere, or none, got {found}")


def _assigned(path: Path, name: str) -> object:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return ast.literal_eval(node.value)
    raise BuildError(f"{path} assigns no {name}")


# ------------------------------------------------------------------------------- rewriting imports


def _imports(source: str, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each absolute import: the module, and the names that are taken from it."""
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ()
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module, tuple(alias.name for alias in node.names)


def _check_imports(source: str, name: str) -> None:
    for module, _ in _imports(source, name):
        top = module.partition(".")[0]
        if top != ENGINE_NAME and top not in ALLOWED:
            raise BuildError(f"{name} imports {module}, which Blender's Python does not have")


def _engine_modules(source: str, name: str) -> set[str]:
    """Return the engine's modules that a source imports, at any depth of it."""
    found = set()
    for module, names in _imports(source, name):
        if module.partition(".")[0] != ENGINE_NAME:
            continue
        found.add(module)
        found |= {f"{module}.{taken}" for taken in names if _exists(f"{module}.{taken}")}
    return found


def _closure(modules: set[str]) -> set[str]:
    """Return the modules with all that they import in their turn, packages included."""
    todo, done = {ENGINE_NAME, *modules}, set[str]()
    while todo:
        module = todo.pop()
        done.add(module)
        source = _module_file(module).read_text(encoding="utf-8")
        wanted = _engine_modules(source, module)
        parts = module.split(".")
        wanted |= {".".join(parts[:end]) for end in range(1, len(parts))}
        todo |= wanted - done
    return done


def _exists(module: str) -> bool:
    base = ENGINE.parent.joinpath(*module.split("."))
    return (base / "__init__.py").is_file() or base.with_suffix(".py").is_file()


def _module_file(module: str) -> Path:
    base = ENGINE.parent.joinpath(*module.split("."))
    package = base / "__init__.py"
    if package.is_file():
        return package
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    raise BuildError(f"the engine has no module {module}")


def rewrite_imports(source: str, depth: int) -> str:
    """Return a source whose imports of the engine are relative to its place in the zip.

    ``from marionext.client import X`` becomes ``from .marionext.client import X`` in the add-on's
    own folder, with a dot more in each folder below; ``import marionext`` becomes
    ``from . import marionext``. Nothing else changes: strings and comments keep their words.

    Args:
        source: of one module.
        depth: folders between the add-on's own folder and the module.

    Raises:
        BuildError: the engine is imported as ``import marionext.x``, which has no relative form.
    """
    dots = "." * (depth + 1)
    edits: list[tuple[tuple[int, int], tuple[int, int], str]] = []
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in {tokenize.COMMENT, tokenize.NL}
    ]
    starts_line = True
    for index, token in enumerate(tokens):
        begins = starts_line
        starts_line = token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT} or (
            token.string in {";", ":"}
        )
        if token.type != tokenize.NAME or not begins or index + 1 >= len(tokens):
            continue
        following = tokens[index + 1]
        if following.string != ENGINE_NAME:
            continue
        if token.string == "from":
            edits.append((following.start, following.end, f"{dots}{ENGINE_NAME}"))
        elif token.string == "import":
            if tokens[index + 2].string in {".", ","}:
                raise BuildError(
                    f"line {token.start[0]}: write 'from marionext import x' instead of "
                    f"{token.line.strip()!r}"
                )
            edits.append((token.start, following.end, f"from {dots} import {ENGINE_NAME}"))
    lines = source.splitlines(keepends=True)
    for (row, start), (_, end), text in reversed(edits):
        line = lines[row - 1]
        lines[row - 1] = line[:start] + text + line[end:]
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main())
