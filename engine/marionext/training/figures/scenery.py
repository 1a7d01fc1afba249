"""What is behind a figure: walls, rooms, streets and fields, drawn once for a clip."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np

from marionext.training.figures.pen import Colour, Picture, darker, mixed

__all__ = ["Scene", "draw_scene", "random_scene"]

SceneKind = Literal["plain", "shapes", "room", "outdoors", "stripes", "checks", "theatre"]

_KINDS: dict[SceneKind, float] = {
    "plain": 0.4, "shapes": 0.14, "room": 0.2, "outdoors": 0.12, "stripes": 0.05, "checks": 0.03,
    "theatre": 0.06,
}  # fmt: skip
ACROSS, DOWN = 256, 384
"""Scenes are laid out on a sheet of this size and scaled to the picture."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A place."""

    kind: SceneKind
    colours: tuple[Colour, Colour, Colour]
    """Top and bottom of the wall or sky, floor."""
    horizon: float
    """Where the floor begins, in heights of the picture; above 1 there is none."""
    seed: int
    """Of what stands and hangs about."""


def random_scene(
    rng: np.random.Generator, random_colour: Callable[[np.random.Generator], Colour]
) -> Scene:
    """Choose a place; ``random_colour`` draws colours."""
    kinds, weights = list(_KINDS), np.array(list(_KINDS.values()))
    kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    top, other, floor = (random_colour(rng) for _ in range(3))
    bottom = top if rng.uniform() < 0.3 else mixed(top, other, rng.uniform(0.2, 1.0))
    horizon = float(rng.uniform(0.7, 0.9)) if rng.uniform() < 0.6 else 2.0
    seed = int(rng.integers(1, 1 << 30))
    if kind == "outdoors":
        day = rng.uniform()
        top = mixed((96, 160, 224), (52, 48, 96), day**3)
        bottom = mixed((208, 230, 240), (240, 150, 110), day**2)
        floor = mixed((110, 160, 80), floor, rng.uniform(0.0, 0.6))
    elif kind == "room":
        top = mixed(top, (225, 220, 210), rng.uniform(0.2, 0.8))
        bottom = mixed(top, bottom, 0.15)
        floor = mixed((150, 110, 78), floor, rng.uniform(0.0, 0.7))
    elif kind == "theatre":
        top = mixed(top, (20, 16, 36), 0.75)
        bottom = mixed(bottom, (30, 24, 48), 0.5)
        floor = mixed(floor, (40, 34, 48), 0.6)
    if kind in {"outdoors", "room", "theatre"} and horizon > 1:
        horizon = float(rng.uniform(0.7, 0.9))
    return Scene(kind, (top, bottom, floor), horizon, seed)


@lru_cache(2)
def draw_scene(scene: Scene, size: tuple[int, int]) -> Picture:
    """Draw a place: (h, w, 3) RGB, not to be written to."""
    width, height = size
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    top, bottom, floor = (np.array(colour, np.float32) for colour in scene.colours)
    picture = np.repeat(top * (1 - share) + bottom * share, width, axis=1).astype(np.uint8)
    sheet = _Sheet(picture, np.random.default_rng(scene.seed), scene)
    painter = _WALLS.get(scene.kind)
    if painter:
        painter(sheet)
    line = int(scene.horizon * height)
    if line < height:
        picture[line:] = (floor * (1.0 - 0.25 * share[line:])).astype(np.uint8)
        if scene.kind == "room":
            _boards(sheet, line)
    picture.flags.writeable = False
    return picture


class _Sheet:
    """A picture to paint on in the units of the layout."""

    def __init__(self, picture: Picture, rng: np.random.Generator, scene: Scene) -> None:
        self.picture, self.rng, self.scene = picture, rng, scene
        self.across, self.down = picture.shape[1] / ACROSS, picture.shape[0] / DOWN
        self.floor = min(scene.horizon, 1.0) * DOWN

    def box(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        one = round(x * self.across), round(y * self.down)
        two = round((x + across) * self.across), round((y + down) * self.down)
        cv2.rectangle(self.picture, one, two, colour, -1)

    def blob(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        centre = round(x * self.across * 16), round(y * self.down * 16)
        axes = round(across * self.across * 16), round(down * self.down * 16)
        cv2.ellipse(self.picture, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA, 4)

    def polygon(self, corners: list[tuple[float, float]], colour: Colour) -> None:
        scaled = np.array(corners) * (self.across * 16, self.down * 16)
        cv2.fillPoly(self.picture, [scaled.astype(np.int32)], colour, cv2.LINE_AA, 4)

    def tint(self, share: float) -> Colour:
        """Return the wall's colour with a share of a random one."""
        red, green, blue = (int(value) for value in self.rng.integers(20, 256, 3))
        return mixed(self.scene.colours[0], (red, green, blue), share)


def _shapes(sheet: _Sheet) -> None:
    for _ in range(int(sheet.rng.integers(1, 5))):
        x, y = sheet.rng.uniform(0, ACROSS), sheet.rng.uniform(0, DOWN * 0.8)
        across, down = sheet.rng.uniform(0.06, 0.3, 2) * ACROSS
        if sheet.rng.uniform() < 0.5:
            sheet.box(x, y, across, down * 1.5, sheet.tint(0.45))
        else:
            sheet.blob(x, y, across * 0.6, across * 0.6, sheet.tint(0.45))


def _room(sheet: _Sheet) -> None:
    rng, floor, wall = sheet.rng, sheet.floor, sheet.scene.colours[0]
    if rng.uniform() < 0.35:
        sheet.box(0, floor * 0.66, ACROSS, floor, darker(wall, 0.15))
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(-30, ACROSS - 30), rng.uniform(20, floor * 0.4)
        across, down = rng.uniform(35, 90), rng.uniform(40, 100)
        frame = mixed((245, 242, 236), (70, 46, 30), float(rng.uniform()))
        sheet.box(x - 4, y - 4, across + 8, down + 8, frame)
        if rng.uniform() < 0.5:  # a window
            sheet.box(x, y, across, down, mixed((190, 222, 240), (40, 52, 96), rng.uniform()))
            sheet.box(x + across / 2 - 2, y, 4, down, frame)
            sheet.box(x, y + down / 2 - 2, across, 4, frame)
        else:  # a picture
            sheet.box(x, y, across, down, sheet.tint(0.8))
            sheet.blob(x + across / 2, y + down / 2, across * 0.28, down * 0.25, sheet.tint(0.8))
    if rng.uniform() < 0.5:  # something to stand at the wall
        x, tall = rng.uniform(-20, ACROSS - 40), rng.uniform(50, 140)
        colour = sheet.tint(0.7)
        across = rng.uniform(40, 90)
        sheet.box(x, floor - tall, across, tall, colour)
        for shelf in range(1, 3):
            sheet.box(x, floor - tall * shelf / 3, across, 3, darker(colour, 0.35))
    sheet.box(0, floor - 7, ACROSS, 7, mixed(wall, (250, 248, 244), 0.5))


def _boards(sheet: _Sheet, line: int) -> None:
    """Draw the joints of floor boards, which run away from the viewer."""
    height, width = sheet.picture.shape[:2]
    colour = darker(sheet.scene.colours[2], 0.3)
    for number in range(-12, 13):
        near = (width / 2 + number * width * 0.2, float(height))
        far = (width / 2 + number * width * 0.11, float(line))
        points = (np.array([near, far]) * 16).astype(np.int32)
        cv2.polylines(sheet.picture, [points], False, colour, 1, cv2.LINE_AA, 4)


def _outdoors(sheet: _Sheet) -> None:
    rng, floor = sheet.rng, sheet.floor
    sun = rng.uniform(20, ACROSS - 20), rng.uniform(20, 110)
    if rng.uniform() < 0.5:
        sheet.blob(*sun, 17, 17, (255, 244, 200))
    for _ in range(int(rng.integers(0, 4))):
        x, y, wide = rng.uniform(0, ACROSS), rng.uniform(20, 150), rng.uniform(18, 40)
        cloud = mixed(sheet.scene.colours[1], (255, 255, 255), 0.7)
        for part in (-0.7, 0.0, 0.75):
            sheet.blob(
                x + part * wide, y - wide * 0.12 * (part == 0), wide * 0.6, wide * 0.3, cloud
            )
    green = sheet.scene.colours[2]
    if rng.uniform() < 0.5:  # hills and trees
        for _ in range(int(rng.integers(1, 4))):
            x, wide = rng.uniform(0, ACROSS), rng.uniform(70, 160)
            hill = mixed(darker(green, rng.uniform(0.1, 0.3)), sheet.scene.colours[1], 0.35)
            sheet.blob(x, floor, wide, rng.uniform(30, 110), hill)
        for _ in range(int(rng.integers(0, 4))):
            x, tall = rng.uniform(0, ACROSS), rng.uniform(50, 120)
            sheet.box(x - 4, floor - tall * 0.6, 8, tall * 0.6, (96, 68, 48))
            leaves = mixed((60, 120, 60), (190, 110, 50), rng.uniform() ** 2)
            sheet.blob(x, floor - tall * 0.75, tall * 0.32, tall * 0.36, leaves)
    else:  # a street
        x = rng.uniform(-40, 0)
        while x < ACROSS:
            wide, tall = rng.uniform(40, 90), rng.uniform(90, 240)
            front = mixed(sheet.tint(0.6), sheet.scene.colours[1], 0.3)
            sheet.box(x, floor - tall, wide, tall, front)
            glass = mixed(front, (250, 240, 180), rng.uniform(0.2, 0.8))
            for row in range(int(tall // 32)):
                for column in range(int(wide // 24)):
                    sheet.box(x + 8 + column * 24, floor - tall + 10 + row * 32, 11, 15, glass)
            x += wide + rng.uniform(0, 14)


def _stripes(sheet: _Sheet) -> None:
    wide, other = sheet.rng.uniform(14, 40), sheet.tint(sheet.rng.uniform(0.15, 0.5))
    slope = float(sheet.rng.choice([0.0, 0.0, 120.0, -120.0]))
    x = -200.0
    while x < ACROSS + 200:
        sheet.polygon([(x, 0), (x + wide, 0), (x + wide + slope, DOWN), (x + slope, DOWN)], other)
        x += 2 * wide


def _checks(sheet: _Sheet) -> None:
    wide, other = sheet.rng.uniform(20, 44), sheet.tint(sheet.rng.uniform(0.15, 0.4))
    for row in range(int(DOWN // wide) + 1):
        for column in range(row % 2, int(ACROSS // wide) + 1, 2):
            sheet.box(column * wide, row * wide, wide, wide, other)


def _theatre(sheet: _Sheet) -> None:
    """Beams of light from above, before a curtain."""
    rng, floor = sheet.rng, sheet.floor
    curtain = sheet.scene.colours[1]
    for fold in range(12):
        if fold % 2:
            sheet.box(fold * ACROSS / 12, 0, ACROSS / 12, floor, darker(curtain, 0.3))
    for _ in range(int(rng.integers(1, 4))):
        lamp, spot = rng.uniform(0, ACROSS), rng.uniform(20, ACROSS - 20)
        colour = np.array(rng.integers(90, 256, 3), np.float32)
        beam = sheet.picture.copy()
        corners = np.array([(lamp - 3, 0), (lamp + 3, 0), (spot + 50, floor), (spot - 50, floor)])
        scaled = (corners * (sheet.across * 16, sheet.down * 16)).astype(np.int32)
        red, green, blue = (int(value) for value in colour)
        cv2.fillPoly(beam, [scaled], (red, green, blue), cv2.LINE_AA, 4)
        cv2.addWeighted(beam, 0.3, sheet.picture, 0.7, 0, sheet.picture)


_WALLS: dict[str, Callable[[_Sheet], None]] = {
    "shapes": _shapes, "room": _room, "outdoors": _outdoors, "stripes": _stripes,
    "checks": _checks, "theatre": _theatre,
}  # fmt: skip
