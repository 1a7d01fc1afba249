"""The keypoints of a clip as its edits make them, changed in place so that a drag costs one frame.

An edit that is laid on top changes a block of the arrays, and the block that was there is kept: to
take an edit back is to put its block back. So from any list of edits to any other only what differs
is worked out, and undoing a filter over the whole clip is a copy.

What comes out is exactly what `marionext.pose.apply` makes of the whole track and all edits.
"""

import operator
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marionext.edits import Fill, Hold, PoseEdit, Smooth, Transform
from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate
from marionext.pose import PoseTrack, apply

__all__ = ["Block", "Copied", "EditStack", "Keypoints", "block_of"]

_POINTS_AT_ONCE = 40_000
"""Points of a block that the window can work out between two pictures: 10 ms."""
_ROWS_AT_ONCE = 40
"""Frames of a track that even a filter is quick with."""
_KEPT_RESULTS = 4
"""Costly blocks that are kept after their edit was undone, for doing it again."""


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """Poses as they are now. The arrays are changed in place with every edit: look, do not keep."""

    points: NDArray[np.float32]
    """(frames, people, 134, 2) pixels of ``size``."""
    scores: NDArray[np.float32]
    """(frames, people, 134), 0 is unseen."""
    origins: NDArray[np.uint8]
    """(frames, people, 134), as `marionext.pose.Origin`."""
    depths: NDArray[np.float32]
    """(frames, people, 134) or empty."""
    size: tuple[int, int]
    rate: FrameRate

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.points)

    @property
    def people(self) -> int:
        """Number of people."""
        return int(self.points.shape[1])

    def track(self, span: FrameRange | None = None) -> PoseTrack:
        """Return a part of it as a value of its own, numbered as here; None: all."""
        part = slice(None) if span is None else slice(span.start, span.stop)
        return PoseTrack(
            points=self.points[part].copy(),
            scores=self.scores[part].copy(),
            origins=self.origins[part].copy(),
            depths=self.depths[part].copy() if self.depths.size else self.depths,
            size=self.size,
            rate=self.rate,
            first=0 if span is None else span.start,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What an edit makes of its frames, joints and person."""

    rows: FrameRange
    person: int
    joints: NDArray[np.int64]
    points: NDArray[np.float32]
    """(frames, joints, 2)."""
    scores: NDArray[np.float32]
    origins: NDArray[np.uint8]
    depths: NDArray[np.float32] | None

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        arrays = (self.points, self.scores, self.origins, self.depths)
        return sum(0 if array is None else array.nbytes for array in arrays)


@dataclass(frozen=True, slots=True, eq=False)
class Copied:
    """A part of a track that was copied to be worked on elsewhere."""

    keypoints: Keypoints
    first: int
    """Number of its first frame."""

    def block(self, edit: PoseEdit, rows: FrameRange) -> Block:
        """Return what an edit makes of it; see `block_of`."""
        return block_of(self.keypoints.track().with_(first=self.first), edit, rows)


def block_of(track: PoseTrack, edit: PoseEdit, rows: FrameRange) -> Block:
    """Work out what an edit makes of its block.

    Args:
        track: as the edits before it have left it; all that the edit looks at is in it.
        edit: the edit.
        rows: the frames that it changes, in the track's numbers.

    Raises:
        MotionError: the edit does not fit the track.
    """
    after = apply(track, [edit])
    part = slice(rows.start - track.first, rows.stop - track.first)
    joints = np.array(edit.points_changed)
    place = (part, edit.person, joints)
    return Block(
        rows=rows,
        person=edit.person,
        joints=joints,
        points=after.points[place],
        scores=after.scores[place],
        origins=after.origins[place],
        depths=after.depths[place] if after.knows_depths else None,
    )


class EditStack:
    """A track with edits on top."""

    def __init__(self, base: PoseTrack) -> None:
        """Begin without edits.

        Args:
            base: as captured or imported, numbered from 0; it stays as it is.
        """
        self.base = base
        self.edits: tuple[PoseEdit, ...] = ()
        """Those that are applied."""
        self.keypoints = Keypoints(
            points=base.points.copy(),
            scores=base.scores.copy(),
            origins=base.origins.copy(),
            depths=base.depths.copy(),
            size=base.size,
            rate=base.rate,
        )
        self._below: list[Block | None] = []
        """For each edit, what was there before it; None where it changed nothing."""
        self._results: deque[tuple[tuple[PoseEdit, ...], Block]] = deque(maxlen=_KEPT_RESULTS)

    def fork(self) -> Self:
        """Return a stack of its own in the same state."""
        other = type(self)(self.base)
        for name in ("points", "scores", "origins", "depths"):
            getattr(other.keypoints, name)[...] = getattr(self.keypoints, name)
        other.edits, other._below = self.edits, list(self._below)
        other._results = deque(self._results, maxlen=_KEPT_RESULTS)
        return other

    @property
    def nbytes(self) -> int:
        """Bytes that it takes beside its base."""
        arrays = self.keypoints
        own = sum(a.nbytes for a in (arrays.points, arrays.scores, arrays.origins, arrays.depths))
        blocks = sum(block.nbytes for block in self._below if block is not None)
        return own + blocks + sum(block.nbytes for _, block in self._results)

    def take_back_to(self, edits: Sequence[PoseEdit]) -> FrameRange | None:
        """Take back all edits that these do not begin with.

        Returns:
            The frames that have changed; None: none have.
        """
        kept = 0
        while kept < min(len(self.edits), len(edits)) and (
            self.edits[kept] is edits[kept] or self.edits[kept] == edits[kept]
        ):
            kept += 1
        changed: FrameRange | None = None
        while len(self.edits) > kept:
            below = self._below.pop()
            if below is not None:
                if not self._is_quick(self.edits[-1], below.rows):
                    self._results.append((self.edits, self._read(below)))
                self._write(below)
                changed = _both(changed, below.rows)
            self.edits = self.edits[:-1]
        return changed

    def is_quick(self, edit: PoseEdit) -> bool:
        """Tell whether the window can lay an edit on top by itself."""
        rows = self._rows(edit)
        return rows is None or self._known(edit) is not None or self._is_quick(edit, rows)

    def put(self, edit: PoseEdit) -> FrameRange | None:
        """Lay an edit on top.

        Returns:
            The frames that have changed; None: none have.

        Raises:
            MotionError: the edit does not fit the track; it is on the stack and changes nothing.
        """
        rows = self._rows(edit)
        if rows is None:
            self._push(edit, None)
            return None
        block = self._known(edit)
        if block is None:
            try:
                block = block_of(self.around(edit), edit, rows)
            except MotionError:
                self._push(edit, None)
                raise
        return self.put_block(edit, block)

    def put_block(self, edit: PoseEdit, block: Block | None) -> FrameRange | None:
        """Lay an edit on top whose block was worked out elsewhere; None: it changes nothing."""
        if block is None:
            self._push(edit, None)
            return None
        self._push(edit, self._read(block))
        self._write(block)
        return block.rows

    def rows(self, edit: PoseEdit) -> FrameRange | None:
        """Return the frames that an edit changes; None: none that are here."""
        return self._rows(edit)

    def around(self, edit: PoseEdit) -> PoseTrack:
        """Return as much of the track, as it is now, as an edit looks at."""
        return self.keypoints.track(self._looked_at(edit))

    def copied_around(self, edit: PoseEdit) -> "Copied":
        """Return the same for somebody else to work on, unchecked: checking takes time."""
        span = self._looked_at(edit)
        part = slice(None) if span is None else slice(span.start, span.stop)
        now = self.keypoints
        copied = Keypoints(
            points=now.points[part].copy(),
            scores=now.scores[part].copy(),
            origins=now.origins[part].copy(),
            depths=now.depths[part].copy() if now.depths.size else now.depths,
            size=now.size,
            rate=now.rate,
        )
        return Copied(copied, 0 if span is None else span.start)

    def _looked_at(self, edit: PoseEdit) -> FrameRange | None:
        """Return the frames that an edit looks at; None: all."""
        rows = self._rows(edit)
        if isinstance(edit, Smooth | Fill) or (
            isinstance(edit, Transform) and edit.pivot_joint is not None
        ):
            return None
        if rows is not None and isinstance(edit, Hold) and edit.at is not None:
            at = min(max(edit.at, 0), len(self.keypoints) - 1)
            rows = FrameRange(min(rows.start, at), max(rows.stop, at + 1))
        return rows

    def _rows(self, edit: PoseEdit) -> FrameRange | None:
        count = len(self.keypoints)
        start = 0 if edit.frames is None else max(edit.frames.start, 0)
        stop = count if edit.frames is None else min(edit.frames.stop, count)
        # Keys of one frame change nothing else, yet say nothing of their range.
        return FrameRange(start, stop) if start < stop else None

    def _is_quick(self, edit: PoseEdit, rows: FrameRange) -> bool:
        if isinstance(edit, Smooth | Fill):
            return len(self.keypoints) <= _ROWS_AT_ONCE
        return len(rows) * len(edit.points_changed) <= _POINTS_AT_ONCE

    def _known(self, edit: PoseEdit) -> Block | None:
        """Return the block of an edit that was done and undone before."""
        wanted = (*self.edits, edit)
        for edits, block in self._results:
            if len(edits) == len(wanted) and all(map(operator.is_, edits, wanted)):
                return block
        return None

    def _push(self, edit: PoseEdit, below: Block | None) -> None:
        self.edits = (*self.edits, edit)
        self._below.append(below)

    def _place(self, block: Block) -> tuple[slice, int, slice | NDArray[np.int64]]:
        joints: slice | NDArray[np.int64] = block.joints
        if len(block.joints) and (np.diff(block.joints) == 1).all():
            # A slice is copied in one go: ten times as fast, for a filter over everything.
            joints = slice(int(block.joints[0]), int(block.joints[-1]) + 1)
        return slice(block.rows.start, block.rows.stop), block.person, joints

    def _read(self, like: Block) -> Block:
        place, arrays = self._place(like), self.keypoints
        return Block(
            rows=like.rows,
            person=like.person,
            joints=like.joints,
            points=arrays.points[place].copy(),
            scores=arrays.scores[place].copy(),
            origins=arrays.origins[place].copy(),
            depths=None if like.depths is None else arrays.depths[place].copy(),
        )

    def _write(self, block: Block) -> None:
        place, arrays = self._place(block), self.keypoints
        arrays.points[place], arrays.scores[place] = block.points, block.scores
        arrays.origins[place] = block.origins
        if block.depths is not None and arrays.depths.size:
            arrays.depths[place] = block.depths


def _both(one: FrameRange | None, other: FrameRange) -> FrameRange:
    if one is None:
        return other
    return FrameRange(min(one.start, other.start), max(one.stop, other.stop))
