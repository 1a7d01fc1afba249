# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of poses that a scene's settings ask for, as the engine's values.

They are laid over what is recorded, not over the rig: taking one out of the list undoes it. Those
of a file were made elsewhere, in the editor or by a script.
"""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from marionext.codec import decode
from marionext.edits import (
    Fill,
    Hide,
    Hold,
    Mirror,
    Offset,
    PoseEdit,
    Smooth,
    Swap,
    Transform,
    out_of_reach,
    resized,
)
from marionext.errors import SettingsError
from marionext.files import read_json
from marionext.frames import FrameRange

from ..state.paths import absolute
from . import choices, filmed

__all__ = ["edits_in_file", "edits_of", "idle_edits"]

_PIVOTS = {"MIDDLE": None, "NECK": "neck", "NOSE": "nose"}

_kept: dict[str, tuple[int, tuple[PoseEdit, ...]]] = {}
"""The edits of files that were read last, by path, with the time of the file."""
_MOST_KEPT = 8


def edits_of(scene: Any, size: tuple[int, int]) -> tuple[PoseEdit, ...]:
    """Return the edits that are switched on, in their order.

    Args:
        scene: with its settings.
        size: width and height of the picture that the poses lie in; what a file says in pixels is
            of the render's.

    Raises:
        SettingsError: a file cannot be read, a value is out of its range, or somebody is edited who
            is not in the shot; says which edit.
        MotionError: the poses of a file were not read yet.
    """
    return tuple(edit for _, edits in _by_place(scene, size) for edit in edits)


def idle_edits(scene: Any, size: tuple[int, int], frames: FrameRange) -> tuple[int, ...]:
    """Return which edits of the panel, from 1 on, are of other frames than those recorded.

    They change nothing: no error, but hardly what was meant.

    Args:
        scene: with its settings.
        size: as `edits_of` takes it.
        frames: the numbers of the recorded motion.

    Raises:
        EngineError: as `edits_of`.
    """
    found = _by_place(scene, size)
    return tuple(
        place for place, edits in found if edits and len(out_of_reach(edits, frames)) == len(edits)
    )


def _by_place(scene: Any, size: tuple[int, int]) -> Iterator[tuple[int, tuple[PoseEdit, ...]]]:
    """Yield the edits that each entry of the panel's list stands for, with its number."""
    order = _order(scene)
    for place, item in enumerate(scene.marionext.edits, 1):
        if not item.enabled:
            continue
        try:
            if item.kind == "FILE":
                whole = choices.render_size(scene)
                scale = (size[0] / whole[0], size[1] / whole[1])
                edits = resized(edits_in_file(item.path), scale)
                for edit in edits:
                    _refuse_nobody(edit.person, range(len(order)))
                yield place, edits
            else:
                _refuse_nobody(item.person - 1, order)
                person = order.index(item.person - 1) if order else item.person - 1
                yield place, (_edit(item, person, _numbers(scene, item), size),)
        except SettingsError as error:
            raise SettingsError(
                f"edit {place}: {error.message}",
                hint=error.hint or "Mend it or switch it off in the Edits panel.",
            ) from None


def _order(scene: Any) -> Sequence[int]:
    """Return the people of the shot by their places in the panel's list; one of a file has none."""
    if not filmed.is_filmed(scene):
        return [place for place, _ in choices.people(scene)]
    return range(filmed.track_of(scene).people) if scene.marionext.edits else ()


def _refuse_nobody(person: int, known: Sequence[int]) -> None:
    if known and person not in known:
        raise SettingsError(
            f"it is of person {person + 1}, who is not in the shot",
            hint="Choose another person, or switch the edit off, in the Edits panel.",
        )


def _edit(item: Any, person: int, frames: FrameRange | None, size: tuple[int, int]) -> PoseEdit:
    part: dict[str, Any] = {
        "frames": frames,
        "joints": tuple(sorted(item.limbs)),
        "person": person,
    }
    eased = {"ease_in": item.ease, "ease_out": item.ease} if frames is not None else {}
    match item.kind:
        case "HIDE":
            return Hide(**part)
        case "HOLD":
            return Hold(**part)
        case "SMOOTH":
            return Smooth(**part, window=2 * item.reach + 1)
        case "FILL":
            return Fill(**part, replace=item.replace)
        case "MOVE":
            by = tuple(share / 100 * side for share, side in zip(item.by, size, strict=True))
            return Offset(**part, **eased, by=(by[0], -by[1]))
        case "TRANSFORM":
            return Transform(
                **part,
                **eased,
                scale=(round(item.scale[0], 6), round(item.scale[1], 6)),
                rotation=round(math.degrees(item.rotation), 6),
                pivot_joint=_PIVOTS[item.pivot],
            )
        case "SWAP":
            return Swap(**part)
        case _:
            return Mirror(**part)


def _numbers(scene: Any, item: Any) -> FrameRange | None:
    """Return the numbers that the frames of an edit have in the recorded motion; None: all."""
    if not item.limited:
        return None
    if item.end < item.start:
        raise SettingsError(
            f"its range is empty: it starts at {item.start} and ends at {item.end}",
            hint="Choose an end that is not before the start.",
        )
    first = choices.frame_numbers(scene).start
    per_frame: Fraction = choices.frame_rate(scene).fraction / choices.scene_rate(scene).fraction
    start = math.ceil(first + (item.start - first) * per_frame)
    # Up to the next frame of the scene, so that nothing between the last two is left out.
    stop = math.ceil(first + (item.end + 1 - first) * per_frame)
    return FrameRange(start, max(stop, start + 1))


def edits_in_file(path: str) -> tuple[PoseEdit, ...]:
    """Read edits that were made elsewhere.

    Args:
        path: of a list of edits, a job file, a render's record or a project of the editor, as
            Blender names files.

    Raises:
        SettingsError: it cannot be read, or there are no edits in it.
    """
    if not path:
        raise SettingsError("no file is chosen", hint="Choose a list of edits, or a job file.")
    file = absolute(path)
    try:
        moment = file.stat().st_mtime_ns
        known = _kept.get(str(file))
        if known is not None and known[0] == moment:
            return known[1]
        data = read_json(file)
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read: {error.strerror or error}",
            hint="Choose it again, or take it out of the list.",
        ) from None
    except ValueError as error:
        raise SettingsError(f"{file.name} is no file of edits: {error}") from None
    lists = list(_lists(data))
    if len(lists) != 1:
        raise SettingsError(
            f"expected one list of edits in {file.name}, found {len(lists)}",
            hint="A list of edits, a job file, a render.json, and a project whose edits are all of "
            "one clip can be read.",
        )
    edits: tuple[PoseEdit, ...] = decode(tuple[PoseEdit, ...], lists[0], path=f"${Path(path).name}")
    while len(_kept) >= _MOST_KEPT:
        del _kept[next(iter(_kept))]
    _kept[str(file)] = (moment, edits)
    return edits


def _lists(data: object) -> Iterator[object]:
    """Yield the lists of edits of a file, wherever its kind of file has them."""
    match data:
        case list():
            yield data
        case {"edits": list(edits)} | {"pose": {"edits": list(edits)}}:
            yield edits
        case {"job": {"pose": {"edits": list(edits)}}}:
            yield edits
        case {"clips": list(clips)}:
            yield from (clip["edits"] for clip in clips if isinstance(clip, dict) and clip["edits"])
