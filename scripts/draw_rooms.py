"""Draw the rooms of the code as a picture: the layers that `pyproject.toml` holds the imports to.

    python scripts/draw_rooms.py        writes docs/images/rooms.svg

Each row is a layer; imports go down only. What a room is for is the first line of its docstring.
"""

import ast
import sys
import tomllib
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"

WIDTH, GAP, MARGIN = 1000, 6, 16
LINE, SHARED = 28, 62
"""Height of a layer with one room, and of one that several rooms share."""
LIGHT = ("#e7f0f7", "#35617f")
"""Fill and line of rooms of the standard library or numpy alone: Blender imports them."""
HEAVY = ("#fbeedd", "#9a6a1f")
"""Of rooms that need torch, OpenCV, MediaPipe ..."""
HOST = ("#e9f4ea", "#3d7a45")


@dataclass(frozen=True)
class Room:
    """One box."""

    name: str
    about: str
    colours: tuple[str, str]


def layers() -> list[list[Room]]:
    """Return the rows from top to bottom: hosts, then the layers of the import contract."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    names = next(c for c in contracts if c["name"].startswith("Layers"))["layers"]
    light_contract = next(c for c in contracts if "numpy at most" in c["name"])
    light = set(light_contract["source_modules"])
    rows = [[Room("addon", "Blender's sidebar: a host, which knows the light rooms only", HOST)]]
    for layer in names:
        modules = [module.strip(" ()") for module in layer.split("|")]
        rows.append(
            [
                Room(
                    module.removeprefix("marionext."),
                    first_line(module),
                    LIGHT if module in light else HEAVY,
                )
                for module in modules
            ]
        )
    return rows


def first_line(module: str) -> str:
    """Return the first sentence of a module's docstring, without its full stop."""
    path = ROOT / "engine" / Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".").replace("`", "")


def draw(rows: list[list[Room]]) -> str:
    """Return the picture as SVG text."""
    height = 2 * MARGIN + sum(LINE if len(row) == 1 else SHARED for row in rows)
    height += GAP * len(rows) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    top = MARGIN
    for row in rows:
        width = (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        for place, room in enumerate(row):
            left = MARGIN + place * (width + GAP)
            parts.append(box(room, left, top, width, alone=len(row) == 1))
        top += (LINE if len(row) == 1 else SHARED) + GAP
    legend = (("standard library or numpy: Blender imports it", LIGHT), ("heavy", HEAVY))
    left = MARGIN
    for text, (fill, line) in legend:
        top = height - 30
        parts.append(
            f'<rect x="{left}" y="{top}" width="16" height="16" rx="3" fill="{fill}" '
            f'stroke="{line}"/><text x="{left + 24}" y="{top + 13}" fill="#444">{text}</text>'
        )
        left += 340
    return "\n".join([*parts, "</svg>"]) + "\n"


def box(room: Room, left: float, top: float, width: float, *, alone: bool) -> str:
    """Return one room: what it is for stands beside its name, or below where it is not alone."""
    fill, line = room.colours
    beside, start, below = (170, 19, 0) if alone else (12, 37, 15)
    lines = wrap(room.about, int((width - beside - 12) / 6.3), max_lines=2, placeholder=" ...")
    words = "".join(
        f'<text x="{left + beside:.1f}" y="{top + start + below * index}" fill="#444" '
        f'font-size="12">{escape(text)}</text>'
        for index, text in enumerate(lines)
    )
    return (
        f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{LINE if alone else SHARED}" '
        f'rx="5" fill="{fill}" stroke="{line}"/><text x="{left + 12:.1f}" y="{top + 19}" '
        f'font-weight="bold" fill="{line}">{escape(room.name)}</text>{words}'
    )


def main() -> int:
    """Write the picture."""
    PICTURE.write_text(draw(layers()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
