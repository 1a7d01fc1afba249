"""Draw a character in one pose for a host that waits for it: live, while an animator scrubs.

What takes long, taking the character apart, is done once and kept in memory, for the last few
characters; each is looked up again when its files change. A fit is measured on a motion, as that of
a render is, so that picture and render agree; the pose itself then counts like one that was
changed by hand.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from marionext import pose as poses
from marionext import presets
from marionext.backends.doll import REFINER
from marionext.casting import doll_pose, find_files, open_doll
from marionext.doll import Doll, DollDrawer, is_flat
from marionext.errors import CharacterError, MotionError, SettingsError
from marionext.jobs import LivePose
from marionext.limits import PICTURE_SIDE
from marionext.paths import user_path
from marionext.pose import PoseTrack
from marionext.pose.formats import read_native
from marionext.pose.skeleton import POINT_COUNT
from marionext.reporting import Reporter
from marionext.staging import cropped_pose

if TYPE_CHECKING:
    from marionext.backends.doll.refiner import Refiner, RefinerNetwork

__all__ = ["Poser"]

_CHARACTERS = 4
"""That are kept; each takes some ten megabytes."""
_MOTIONS = 4

_Stamp = tuple[tuple[str, int, int], ...]


@dataclass(slots=True)
class _Known:
    """A character that was taken apart, and what draws it at each size that was asked for."""

    stamp: _Stamp
    doll: Doll
    drawers: dict[tuple[int, int], DollDrawer] = field(default_factory=dict)


class Poser:
    """Draws poses of characters; use it on one thread."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self._characters: dict[Path, _Known] = {}
        self._motions: dict[Path, tuple[_Stamp, PoseTrack]] = {}
        self._network: RefinerNetwork | None = None
        self._refiners: dict[tuple[int, int], Refiner] = {}

    def draw(self, asked: LivePose, report: Reporter) -> NDArray[np.uint8]:
        """Draw one pose.

        Args:
            asked: the pose.
            report: told what is not known about a character that is taken apart.

        Returns:
            (height, width, 3) RGB.

        Raises:
            CharacterError: there is no such character, or nobody in its picture.
            MotionError: the motion that the fit is measured on cannot be read.
            SettingsError: the numbers are none of a pose, or something is asked that there is not.
        """
        size = (asked.width, asked.height)
        points, scores, depths = _numbers_of(asked)
        known = self._character(user_path(asked.character), report)
        if asked.fit != "none" or asked.motion is not None:
            motion = None if asked.motion is None else self._motion(user_path(asked.motion))
            reference = cropped_pose(doll_pose(known.doll), size)
            before = points
            points = poses.fit_pose(points, scores, reference, asked.fit, motion)
            if depths is not None:
                depths = depths * _growth(before, points, scores)
        drawer = known.drawers.get(size)
        if drawer is None:
            known.drawers = {size: (drawer := DollDrawer([known.doll], size))}
        drawn = drawer.draw(points, scores, depths)
        if not (asked.refine and is_flat(known.doll)):
            return np.ascontiguousarray(drawn.picture)
        return self._mended(size).refine(drawn, points, scores, drawer.background)

    def _mended(self, size: tuple[int, int]) -> "Refiner":
        """Return what mends frames of a size; the network is loaded once."""
        from marionext.backends.doll.refiner import Refiner, load_network  # noqa: PLC0415 - torch

        if self._network is None:
            self._network = load_network(presets.folder("doll") / REFINER)
        if size not in self._refiners:
            self._refiners = {size: Refiner(self._network, size)}
        return self._refiners[size]

    def _character(self, path: Path, report: Reporter) -> _Known:
        stamp = _character_stamp(path)
        known = self._characters.pop(path, None)
        if known is None or known.stamp != stamp:
            known = _Known(stamp, open_doll(path, report.log))
        # The last one used is the last one to be forgotten.
        self._characters[path] = known
        _forget_oldest(self._characters, _CHARACTERS)
        return known

    def _motion(self, path: Path) -> PoseTrack:
        stamp = _motion_stamp(path)
        known = self._motions.pop(path, None)
        if known is None or known[0] != stamp:
            known = stamp, read_native(path)
        self._motions[path] = known
        _forget_oldest(self._motions, _MOTIONS)
        return known[1]


def _forget_oldest(kept: dict[Path, Any], count: int) -> None:
    while len(kept) > count:
        del kept[next(iter(kept))]


def _character_stamp(path: Path) -> _Stamp:
    """Return what changes when a character's picture does, or a file that belongs to it.

    Raises:
        CharacterError: it is not there.
    """
    if not path.exists():
        raise CharacterError(f"no such character: {path}", hint="Was it moved? Choose it again.")
    return _stamp_of(find_files(path).all)


def _motion_stamp(path: Path) -> _Stamp:
    if not path.is_file():
        raise MotionError(f"no such motion: {path}", hint="Record it again.")
    return _stamp_of((path,))


def _stamp_of(files: Sequence[Path]) -> _Stamp:
    stamp = []
    for file in files:
        with suppress(OSError):  # who reads it says what is the matter
            found = file.stat()
            stamp.append((file.name, found.st_mtime_ns, found.st_size))
    return tuple(stamp)


def _numbers_of(
    asked: LivePose,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
    """Return points (people, 134, 2), scores and depths (people, 134) of a question.

    Raises:
        SettingsError: they are no such numbers.
    """
    points = _array("points", asked.points, (len(asked.points), POINT_COUNT, 2))
    scores = _array("scores", asked.scores, points.shape[:2])
    if asked.depths is None:
        return points, scores, None
    return points, scores, _array("depths", asked.depths, points.shape[:2])


def _array(name: str, numbers: tuple[Any, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    try:
        array = np.asarray(numbers, dtype=np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise SettingsError(f"{name}: expected numbers of shape {shape}") from None
    if array.shape != shape:
        raise SettingsError(f"{name}: expected numbers of shape {shape}, got {array.shape}")
    if not (np.abs(array) <= PICTURE_SIDE).all():  # so NaN is refused as well
        raise SettingsError(f"{name}: expected numbers from -{PICTURE_SIDE} to {PICTURE_SIDE}")
    return array.astype(np.float32)


def _growth(
    before: NDArray[np.float32], after: NDArray[np.float32], scores: NDArray[np.float32]
) -> float:
    """Return how much larger a fit has made the figures, so that depths can follow."""
    seen = scores > 0
    if seen.sum() < 2:
        return 1.0
    spread = float(before[seen].std(axis=0).sum())
    return float(after[seen].std(axis=0).sum()) / spread if spread > 0 else 1.0
