"""Where things are on the sheet: bands from top to bottom, frames from left to right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from marionext_desktop.ui.timeline.rows import Row

__all__ = ["LEFT", "RULER", "Band", "BandKind", "Span", "bands_of"]

LEFT = 220
"""Pixels of the column with the rows' names."""
RULER = 52

BandKind = Literal["source", "pose", "row", "curves", "sound", "result"]
_HEIGHTS: dict[BandKind, int] = {
    "source": 44,
    "pose": 24,
    "row": 18,
    "curves": 200,
    "sound": 44,
    "result": 36,
}


@dataclass(frozen=True, slots=True)
class Band:
    """A line of the sheet."""

    kind: BandKind
    top: int
    """Pixels below the ruler, unscrolled."""
    height: int
    row: int = -1
    """Which row of the poses."""

    @property
    def bottom(self) -> int:
        """Pixels below the ruler, unscrolled."""
        return self.top + self.height


def bands_of(
    rows: Sequence[Row], *, folded: bool, curves: bool, sound: bool, room: int = 0
) -> tuple[Band, ...]:
    """Lay the bands below each other.

    Args:
        rows: of the poses.
        folded: whether the poses' rows are hidden.
        curves: whether curves are shown in their place.
        sound: whether there is a band of sound.
        room: height there is; rows grow a little to fill it.
    """
    kinds: list[tuple[BandKind, int]] = [("source", -1), ("pose", -1)]
    if curves:
        kinds.append(("curves", -1))
    elif not folded:
        kinds += [("row", place) for place in range(len(rows))]
    if sound:
        kinds.append(("sound", -1))
    kinds.append(("result", -1))
    spare = room - sum(_HEIGHTS[kind] for kind, _ in kinds)
    count = sum(kind == "row" for kind, _ in kinds)
    more = min(max(spare // count, 0), 6) if count else 0
    bands, top = [], 0
    for kind, place in kinds:
        height = _HEIGHTS[kind]
        if kind == "row":
            height += more
        elif kind == "curves":
            height += max(spare, 0)
        bands.append(Band(kind, top, height, place))
        top += height
    return tuple(bands)


@dataclass(slots=True)
class Span:
    """Which frames are shown, and how wide a frame is."""

    first: float = 0.0
    """The frame at the left edge; may lie before the start."""
    scale: float = 4.0
    """Pixels for a frame."""
    width: int = 800
    """Pixels right of the names."""

    @property
    def shown(self) -> float:
        """How many frames are shown."""
        return self.width / self.scale

    def x(self, frame: float) -> float:
        """Return where the left edge of a frame is."""
        return LEFT + (frame - self.first) * self.scale

    def frame(self, x: float) -> float:
        """Return which frame is at a place, with its fraction."""
        return self.first + (x - LEFT) / self.scale

    def zoom(self, factor: float, x: float, frames: int) -> None:
        """Zoom so that what is at ``x`` stays there."""
        at = self.frame(x)
        least = self.width / max(frames * 1.25, 10)
        self.scale = min(max(self.scale * factor, min(least, 8.0)), 64.0)
        self.first = at - (x - LEFT) / self.scale
        self.keep_in(frames)

    def fit(self, frames: int) -> None:
        """Show everything, with a little room at its ends."""
        self.scale = min(max((self.width - 24) / max(frames, 1), 1e-4), 64.0)
        self.first = -8 / self.scale

    def keep_in(self, frames: int) -> None:
        """Do not scroll away from everything."""
        room = 8 / self.scale
        last = frames + self.shown * 0.1 - self.shown
        self.first = max(min(self.first, max(last, -room)), -room)
