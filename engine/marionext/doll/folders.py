"""Dolls as folders: layered pictures that a person can open and mend, and what they are of.

All pictures of a folder are of the same size and lie exactly over each other, so that they can be
opened as the layers of one picture. ``doll.json`` says which part each one is.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from marionext import limits
from marionext.doll.model import PART_NAMES, VIEWS, Doll, Layer, Shadow
from marionext.errors import CharacterError
from marionext.files import open_file, read_json, reading, write_bytes, write_json
from marionext.paths import is_inside
from marionext.skeleton import POINT_COUNT

__all__ = ["read_doll", "write_doll"]

Picture = NDArray[np.uint8]

_VERSION = 1
_FILE = "doll.json"
_AGAIN = "Make the folder anew with: marionext doll PICTURE -o FOLDER"


def write_doll(doll: Doll, folder: Path) -> None:
    """Write a doll into a folder, which is made where it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    left, top, right, bottom = _canvas(doll)
    size = (right - left, bottom - top)

    def write(name: str, pixels: Picture, corner: tuple[int, int]) -> str:
        height, width = pixels.shape[:2]
        sheet = np.zeros((size[1], size[0], *pixels.shape[2:]), np.uint8)
        x, y = corner[0] - left, corner[1] - top
        sheet[y : y + height, x : x + width] = pixels
        order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
        sheet = sheet[..., order[sheet.shape[2]]] if sheet.ndim == 3 else sheet
        write_bytes(folder / name, cv2.imencode(".png", np.ascontiguousarray(sheet))[1].tobytes())
        return name

    opaque = np.full((*doll.background.shape[:2], 1), 255, np.uint8)
    layers = []
    for layer in doll.layers:
        name = f"{layer.part}.{layer.view}" if layer.view else layer.part
        described = {
            "part": layer.part,
            "file": write(f"{name}.png", layer.pixels, layer.corner),
            "seen": write(f"seen/{name}.png", layer.seen, layer.corner),
        }
        layers.append(described | ({"view": layer.view} if layer.view else {}))
    told = {
        "doll": _VERSION,
        "size": list(doll.size),
        "corner": [left, top],
        "background": write("background.png", np.dstack([doll.background, opaque]), (0, 0)),
        "filled": write("seen/background.png", 255 - doll.filled, (0, 0)),
        "layers": layers,
        "hem": doll.hem,
        "shadow": None
        if doll.shadow is None
        else {"dark": doll.shadow.dark, "tall": doll.shadow.tall, "wide": doll.shadow.wide},
        "notes": list(doll.notes),
        "points": np.round(doll.points.astype(float), 3).tolist(),
        "scores": np.round(doll.scores.astype(float), 4).tolist(),
    }
    write_json(folder / _FILE, told)


def _canvas(doll: Doll) -> tuple[int, int, int, int]:
    """Return the box that all layers and the picture lie in: left, top, right, bottom."""
    boxes = [(0, 0, *doll.size)]
    for layer in doll.layers:
        (x, y), (height, width) = layer.corner, layer.pixels.shape[:2]
        boxes.append((x, y, x + width, y + height))
    low = np.min(boxes, axis=0)
    high = np.max(boxes, axis=0)
    return int(low[0]), int(low[1]), int(high[2]), int(high[3])


def read_doll(folder: Path) -> Doll:
    """Read a doll from its folder.

    Layers may have been changed, left out or added by hand: a part may have several views
    (`marionext.doll.VIEWS`). Where there is no picture of what was seen of a layer, all counts as
    seen.

    Raises:
        CharacterError: the folder is no doll's, a file of it is missing or damaged, or pictures
            are not of one size.
    """
    path = folder / _FILE
    with reading(path, CharacterError, "the description of a doll", hint=_AGAIN):
        return _Reader(folder, read_json(path)).doll()


class _Reader:
    """Reads one folder."""

    def __init__(self, folder: Path, told: Any) -> None:
        self._folder = folder
        if not isinstance(told, dict) or "layers" not in told or "doll" not in told:
            raise CharacterError(
                f"expected the description of a doll, {folder / _FILE} is something else",
                hint=_AGAIN,
            )
        self._told: dict[str, Any] = told
        if not isinstance(told["doll"], int) or told["doll"] > _VERSION:
            raise CharacterError(
                f"{folder / _FILE} is of version {limits.quoted(told['doll'])}, this Marionext "
                f"reads up to {_VERSION}",
                hint="Update Marionext.",
            )
        self._size = self._pair("size", 16, limits.PICTURE_SIDE)
        self._corner = self._pair("corner", -limits.PICTURE_SIDE, 0)
        self._canvas: tuple[int, int] | None = None

    def doll(self) -> Doll:
        """Return what the folder holds."""
        told = self._told
        left, top = (-value for value in self._corner)
        width, height = self._size
        at = np.s_[top : top + height, left : left + width]
        background = self._picture(told.get("background"), "RGB")[at]
        if background.shape[:2] != (height, width):
            raise CharacterError(
                f"{self._folder / _FILE}: a picture of {width}x{height} at {left},{top} is not "
                "within the layers",
                hint=_AGAIN,
            )
        filled = self._seen(told.get("filled"))[at]
        return Doll(
            size=self._size,
            background=np.ascontiguousarray(background),
            filled=np.ascontiguousarray(255 - filled),
            points=self._numbers("points", (POINT_COUNT, 2), limits.PICTURE_SIDE * 4.0),
            scores=self._numbers("scores", (POINT_COUNT,), 1000.0),
            layers=self._layers(),
            hem=self._hem(),
            shadow=self._shadow(),
            notes=tuple(str(note)[:500] for note in self._list("notes")[:20]),
        )

    def _layers(self) -> tuple[Layer, ...]:
        layers = []
        for each in self._list("layers"):
            if not isinstance(each, dict):
                raise self._fault("layers", "objects", each)
            part, view = each.get("part"), each.get("view", "")
            if part not in PART_NAMES[1:]:
                raise self._fault("part", f"one of {', '.join(PART_NAMES[1:])}", part)
            if view and view not in VIEWS.get(part, ()):
                known = ", ".join(VIEWS.get(part, ())) or "no view"
                raise self._fault(f"view of {part}", known, view)
            pixels = self._picture(each.get("file"), "RGBA")
            seen = self._seen(each.get("seen"))
            rows, columns = np.nonzero(pixels[..., 3])
            if not len(rows):
                continue  # rubbed out by hand: there is no such part
            # A rim of nothing around it, for looking up between pixels.
            top, left = max(int(rows.min()) - 2, 0), max(int(columns.min()) - 2, 0)
            box = np.s_[top : int(rows.max()) + 3, left : int(columns.max()) + 3]
            layers.append(
                Layer(
                    part=part,
                    pixels=np.ascontiguousarray(pixels[box]),
                    corner=(left + self._corner[0], top + self._corner[1]),
                    seen=np.ascontiguousarray(seen[box]),
                    view=view,
                )
            )
        return tuple(layers)

    def _picture(self, name: Any, mode: str) -> Picture:
        if not isinstance(name, str) or not is_inside(name):
            raise self._fault("file", "the name of a picture in the folder", name)
        path = self._folder / name
        with (
            reading(path, CharacterError, "a layer of a doll (PNG)", hint=_AGAIN),
            open_file(path) as file,
            Image.open(file) as opened,
        ):
            if self._canvas is None:
                most = limits.PICTURE_SIDE
                if max(opened.size) > most or opened.size[0] * opened.size[1] > _MOST_PIXELS:
                    raise CharacterError(
                        f"{path} is {opened.size[0]}x{opened.size[1]}, a doll's layers have up to "
                        f"{_MOST_PIXELS:,} pixels"
                    )
                self._canvas = opened.size
            if opened.size != self._canvas:
                raise CharacterError(
                    f"expected all layers of a doll to be {self._canvas[0]}x{self._canvas[1]}, "
                    f"{path} is {opened.size[0]}x{opened.size[1]}",
                    hint="Save it with the whole canvas, as it was.",
                )
            return np.asarray(opened.convert(mode), np.uint8)

    def _seen(self, name: Any) -> Picture:
        """Return what was seen of a layer; without a file, all was."""
        if name is None or (isinstance(name, str) and not (self._folder / name).exists()):
            assert self._canvas is not None
            return np.full((self._canvas[1], self._canvas[0]), 255, np.uint8)
        return self._picture(name, "L")

    def _hem(self) -> float | None:
        hem = self._told.get("hem")
        return None if hem is None else self._number("hem", hem, 0, limits.PICTURE_SIDE)

    def _shadow(self) -> Shadow | None:
        told = self._told.get("shadow")
        if not isinstance(told, dict):
            return None
        return Shadow(
            *(self._number(f"shadow.{key}", told.get(key), 0, 10) for key in _SHADOW),
        )

    def _pair(self, name: str, low: int, high: int) -> tuple[int, int]:
        value = self._told.get(name)
        if not isinstance(value, list) or len(value) != 2:
            raise self._fault(name, "two whole numbers", value)
        first, second = (int(self._number(name, each, low, high)) for each in value)
        return first, second

    def _number(self, name: str, value: Any, low: float, high: float) -> float:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        if not right or not low <= value <= high:
            raise self._fault(name, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def _numbers(self, name: str, shape: tuple[int, ...], most: float) -> NDArray[np.float32]:
        try:
            found = np.array(self._told.get(name), np.float32)
        except (TypeError, ValueError, OverflowError):
            found = np.zeros(0, np.float32)
        if found.shape != shape or not np.isfinite(found).all() or np.abs(found).max() > most:
            raise self._fault(name, f"numbers of the shape {shape}", "something else")
        return found

    def _list(self, name: str) -> list[Any]:
        value = self._told.get(name, [])
        if not isinstance(value, list):
            raise self._fault(name, "a list", value)
        return value

    def _fault(self, name: str, expected: str, found: Any) -> CharacterError:
        return CharacterError(
            f"{self._folder / _FILE}: {name}: expected {expected}, got {limits.quoted(found)}",
            hint=_AGAIN,
        )


_SHADOW = ("dark", "tall", "wide")
_MOST_PIXELS = 40_000_000
"""A doll holds some twenty layers of that size."""
