"""Edits of poses as values: what was changed by hand, where, in which order.

A job keeps a list of them (``pose.edits``), so undoing is leaving one out, and a render is the same
whenever its job is. They are applied after the clean-up by `marionext.pose.apply`; here is only
what they say, since Blender and an editor write them without numpy at hand.

An edit says which points it is about: ``frames`` in the motion's own numbers, ``joints`` by the
names of `marionext.skeleton`, and the ``person``. It changes nothing else.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from marionext.errors import SettingsError
from marionext.frames import FrameRange
from marionext.limits import quoted
from marionext.skeleton import MIRRORED, POINT_NAMES, point_numbers

__all__ = [
    "Fill",
    "Hide",
    "Hold",
    "Key",
    "Keys",
    "Mirror",
    "Offset",
    "PoseEdit",
    "SetPoints",
    "Smooth",
    "Swap",
    "Transform",
    "out_of_reach",
    "resized",
]

Place = tuple[float, float]
"""Pixels of the motion's picture, x to the right and y down."""

_FAR = 1e6
"""Pixels; what lies further away is a mistake."""
_LARGEST_SCALE = 1000.0
_MOST_EASE = 100_000
_LONGEST_WINDOW = 1001


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Which points an edit is about."""

    frames: FrameRange | None = None
    """In the motion's own numbers; None: all."""
    joints: tuple[str, ...] = ()
    """Names of `LIMB_GROUPS` or `POINT_NAMES`; empty: all."""
    person: int = 0
    """Number of the person in the motion."""

    def __post_init__(self) -> None:
        """Refuse what no motion can be changed by.

        Raises:
            SettingsError: a name is unknown, or a value is out of range.
        """
        point_numbers(self.joints)
        if self.person < 0:
            raise SettingsError(f"person: expected a number from 0, got {self.person}")
        self._check()

    def _check(self) -> None:
        """Refuse values out of range; what there is to check each kind says itself."""

    @property
    def points_changed(self) -> tuple[int, ...]:
        """Numbers of the points that the edit may change, in the order of ``joints``."""
        return point_numbers(self.joints)


@dataclass(frozen=True, slots=True, kw_only=True)
class _TwoSided(_Part):
    """An edit of joints together with their counterparts on the other side."""

    @property
    def points_changed(self) -> tuple[int, ...]:
        """Numbers of the joints and of their counterparts."""
        numbers = point_numbers(self.joints)
        return tuple(dict.fromkeys((*numbers, *(MIRRORED[number] for number in numbers))))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Eased(_Part):
    """An edit that may grow and fade at the ends of its range."""

    ease_in: int = 0
    """Frames at the beginning of the range over which the edit grows to its full strength."""
    ease_out: int = 0
    """Frames at the end of the range over which it fades."""
    ease: Literal["smooth", "linear"] = "smooth"
    """How it grows and fades: starting and stopping gently, or evenly."""

    def _check(self) -> None:
        _within("ease_in", self.ease_in, 0, _MOST_EASE)
        _within("ease_out", self.ease_out, 0, _MOST_EASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPoints(_Part):
    """Put joints where they shall be: a drag on one frame, or poses pasted over a range."""

    kind: Literal["set"] = "set"
    points: tuple[tuple[Place | None, ...], ...]
    """For one frame, then meant for all of them, or for every frame of the range: a place for each
    joint in the order of ``joints``. None makes the joint unseen."""
    score: float = 1.0
    """The score of the joints that are seen; 1, since somebody knows."""

    def _check(self) -> None:
        count = len(point_numbers(self.joints))
        for row in self.points:
            _check_places("points", row, count)
        wanted = {1} if self.frames is None else {1, len(self.frames)}
        if not self.points or (self.frames is not None and len(self.points) not in wanted):
            raise SettingsError(
                f"points: expected those of {' or '.join(map(str, sorted(wanted)))} frames, "
                f"got {len(self.points)}"
            )
        _within("score", self.score, 1e-6, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset(_Eased):
    """Move joints."""

    kind: Literal["offset"] = "offset"
    by: Place
    """Pixels to the right and down."""

    def _check(self) -> None:
        _Eased._check(self)
        _check_places("by", (self.by,), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(_Part):
    """Keep joints where they are in one frame."""

    kind: Literal["hold"] = "hold"
    at: int | None = None
    """Number of that frame, or the nearest there is; None: the first of the range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hide(_Part):
    """Make joints unseen: they are not drawn."""

    kind: Literal["hide"] = "hide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap(_TwoSided):
    """Exchange left and right of joints, which one side's names are enough for."""

    kind: Literal["swap"] = "swap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror(_TwoSided):
    """Reflect joints: the picture's left becomes its right, and the left hand the right hand."""

    kind: Literal["mirror"] = "mirror"
    about: float | None = None
    """The x in pixels that stays where it is; None: the picture's middle."""

    def _check(self) -> None:
        if self.about is not None:
            _within("about", self.about, -_FAR, _FAR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth(_Part):
    """Calm joints that tremble; frames around the range are looked at and stay as they are."""

    kind: Literal["smooth"] = "smooth"
    window: int = 7
    """Frames that a parabola is laid through, odd."""

    def _check(self) -> None:
        _within("window", self.window, 5, _LONGEST_WINDOW)
        if self.window % 2 == 0:
            raise SettingsError(f"window: expected an odd number, got {self.window}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill(_Part):
    """Fill gaps of any length from what is known before and after.

    Where that is one side only, its place is held; joints that are never seen stay unseen.
    """

    kind: Literal["fill"] = "fill"
    replace: bool = False
    """Forget what is known within the range first: a stretch that was detected wrongly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform(_Eased):
    """Scale joints, then turn them, about a pivot."""

    kind: Literal["transform"] = "transform"
    scale: tuple[float, float] = (1.0, 1.0)
    """Factors across and down, greater than 0."""
    rotation: float = 0.0
    """Degrees, clockwise as seen in the picture."""
    pivot: Place | None = None
    """What stays where it is, in pixels; None: the ``pivot_joint``, or the picture's middle."""
    pivot_joint: str | None = None
    """Name of a point whose place is the pivot, frame by frame."""

    def _check(self) -> None:
        _Eased._check(self)
        for factor in self.scale:
            _within("scale", factor, 1 / _LARGEST_SCALE, _LARGEST_SCALE)
        _within("rotation", self.rotation, -36000, 36000)
        if self.pivot is not None:
            _check_places("pivot", (self.pivot,), 1)
            if self.pivot_joint is not None:
                raise SettingsError("expected a pivot or a pivot_joint, got both")
        if self.pivot_joint is not None and self.pivot_joint not in POINT_NAMES:
            point_numbers((self.pivot_joint,))
            raise SettingsError(
                f"pivot_joint: expected the name of one point, got the limb {self.pivot_joint!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Where joints are, or how far they are moved, in one frame."""

    frame: int
    points: tuple[Place, ...]
    """Pixels, for each joint in the order of ``joints``."""
    interpolation: Literal["smooth", "linear", "constant"] = "smooth"
    """The way to the next key. ``smooth``: through this key without a bend, and never beyond the
    values of two neighbouring keys; ``constant``: held until there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys(_Part):
    """Animate joints by keys. Before the first and after the last of them its value is held."""

    kind: Literal["keys"] = "keys"
    keys: tuple[Key, ...]
    """In ascending order, one a frame."""
    relative: bool = True
    """The keys hold ways that joints are moved by, on top of the motion; else they hold places,
    instead of the motion. A relative key may have a single way for all joints."""

    def _check(self) -> None:
        frames = [key.frame for key in self.keys]
        if not frames or sorted(set(frames)) != frames:
            raise SettingsError(
                f"keys: expected at least one, in ascending order of their frames, got {frames}"
            )
        count = len(point_numbers(self.joints))
        for key in self.keys:
            alone = self.relative and len(key.points) == 1
            _check_places(f"keys: frame {key.frame}", key.points, 1 if alone else count)


PoseEdit = SetPoints | Offset | Hold | Hide | Swap | Mirror | Smooth | Fill | Transform | Keys
"""Any change of poses; in JSON told apart by ``kind``."""


def out_of_reach(edits: Iterable[PoseEdit], frames: FrameRange) -> tuple[int, ...]:
    """Return the places in the list of those edits that meet none of these frames.

    Such edits change nothing. That is no error, since a part of a video may be read alone, but it
    is worth a word to the user.
    """
    return tuple(
        place
        for place, edit in enumerate(edits)
        if edit.frames is not None
        and (edit.frames.stop <= frames.start or frames.stop <= edit.frames.start)
    )


def resized(edits: Iterable[PoseEdit], scale: tuple[float, float]) -> tuple[PoseEdit, ...]:
    """Return edits for the same motion in a picture of another size.

    Args:
        edits: with places in pixels of the first picture.
        scale: pixels of the other picture for one of the first, across and down, greater than 0.
    """
    if scale == (1, 1):
        return tuple(edits)

    def moved(place: Place) -> Place:
        return place[0] * scale[0], place[1] * scale[1]

    def resize(edit: PoseEdit) -> PoseEdit:
        match edit:
            case SetPoints():
                rows = tuple(
                    tuple(None if place is None else moved(place) for place in row)
                    for row in edit.points
                )
                return replace(edit, points=rows)
            case Offset():
                return replace(edit, by=moved(edit.by))
            case Mirror() if edit.about is not None:
                return replace(edit, about=edit.about * scale[0])
            case Transform() if edit.pivot is not None:
                return replace(edit, pivot=moved(edit.pivot))
            case Keys():
                keys = tuple(
                    replace(key, points=tuple(map(moved, key.points))) for key in edit.keys
                )
                return replace(edit, keys=keys)
            case _:
                return edit

    return tuple(map(resize, edits))


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SettingsError(
            f"{name}: expected a number from {low:g} to {high:g}, got {quoted(value)}"
        )


def _check_places(name: str, places: tuple[Place | None, ...], count: int) -> None:
    """Refuse a wrong number of places, and places that cannot be.

    Raises:
        SettingsError: naming the field.
    """
    if len(places) != count:
        raise SettingsError(
            f"{name}: expected {count} places, as many as the joints are points, got {len(places)}"
        )
    for place in places:
        if place is not None:
            if not all(map(math.isfinite, place)):
                raise SettingsError(f"{name}: expected finite numbers, got {place}")
            for value in place:
                _within(name, value, -_FAR, _FAR)
