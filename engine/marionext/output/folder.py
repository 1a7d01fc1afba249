"""A render's folder: locked, with its manifest, its frames and its unfinished state."""

import contextlib
import logging
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marionext.errors import OutputError
from marionext.files import check_space, clear_parts, explain
from marionext.output.lock import FolderLock
from marionext.output.writer import FrameWriter
from marionext.record import RECORD, Record

__all__ = ["RenderFolder"]

logger = logging.getLogger(__name__)

_FRAMES = "frames"
_STATE = "state"
_SHARE = 20
"""Recording frames takes one part of the time in so many at most."""


class RenderFolder:
    """The folder of one render, held by one run; a context manager.

    A folder that already holds the same render is continued: `missing` is what is left to do, and
    `state` may hold what an interrupted run left. One that holds another render is refused.
    """

    def __init__(self, path: Path, plan: Record, *, overwrite: bool = False) -> None:
        """Open or make the folder of a render.

        Args:
            path: of the folder.
            plan: the record of the render without frames, as `Record.start` gives it.
            overwrite: render again what is there, even if it is another render.

        Raises:
            OutputError: another run is at work here, the folder holds another render, or it
                cannot be written to.
        """
        self.path = path
        self._unrecorded = False
        self._next_record = 0.0
        self._lock = FolderLock(path)
        try:
            self._writer = FrameWriter(path / _FRAMES)
            clear_parts(path)
            self.resumed = self._continue(plan, overwrite=overwrite)
        except OSError as error:
            self._lock.release()
            raise explain(error, path) from error
        except OutputError:
            self._lock.release()
            raise

    def _continue(self, plan: Record, *, overwrite: bool) -> bool:
        """Take up what is there; return whether it is of the same render."""
        record = self.path / RECORD
        if overwrite or not record.is_file():
            if not overwrite and (strangers := self._writer.existing()):
                raise OutputError(
                    f"{self.path} holds {len(strangers)} frames that no render.json speaks of",
                    hint="Choose another output folder, or say --overwrite.",
                )
            self._start(plan)
            return False
        found = Record.read(record)
        if found.identity != plan.identity or found.numbers != plan.numbers:
            raise OutputError(
                f"{self.path} holds another render: {_difference(found, plan)}",
                hint="Choose another output folder, or say --overwrite to replace it.",
            )
        intact = self._writer.intact(found.done)
        if lost := len(found.frames) - len(intact):
            logger.warning("%d frames in %s are missing or changed: rendered again", lost, record)
        # The plan's own job is kept: what to make of the frames may have changed.
        self.manifest = plan.with_frames(intact).with_stage(
            found.stage.name, found.stage.done, found.stage.total
        )
        for note in found.notes:
            self.manifest = self.manifest.with_note(note)
        self.manifest.write(record)
        return True

    def _start(self, plan: Record) -> None:
        # The old record goes first: frames without one are refused, never mistaken for ours.
        (self.path / RECORD).unlink(missing_ok=True)
        for number in self._writer.existing():
            self._writer.remove(number)
        self.clear_state()
        self.manifest = plan
        self.manifest.write(self.path / RECORD)

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of the frames still to be rendered."""
        return self.manifest.missing

    @property
    def frames(self) -> list[Path]:
        """The files of all frames, in order."""
        return [self._writer.path(number) for number in self.manifest.numbers]

    def frame_path(self, number: int) -> Path:
        """Return where a frame is, or will be."""
        return self._writer.path(number)

    def write_frame(self, number: int, picture: NDArray[np.uint8]) -> Path:
        """Write a frame (height, width, 3), record it, and return its file.

        The record reaches the disk soon, at the latest when the folder is closed: rewriting it
        takes a while in a long render. A frame that a killed run did not record is rendered
        again, to the same bytes.

        Raises:
            OutputError: it cannot be written.
        """
        digest = self._writer.write(number, picture)
        self.manifest = self.manifest.with_frame(number, digest)
        self._unrecorded = True
        if time.monotonic() >= self._next_record:
            self.record(self.manifest)
        return self._writer.path(number)

    def record(self, manifest: Record) -> None:
        """Keep a changed manifest, on disk too.

        Raises:
            OutputError: it cannot be written.
        """
        started = time.monotonic()
        self.manifest = manifest
        manifest.write(self.path / RECORD)
        self._unrecorded = False
        ended = time.monotonic()
        self._next_record = ended + _SHARE * (ended - started)

    @property
    def state(self) -> Path:
        """The folder for what is needed to go on after a crash; made on first use."""
        folder = self.path / _STATE
        try:
            folder.mkdir(exist_ok=True)
            clear_parts(folder)
        except OSError as error:
            raise explain(error, folder) from error
        return folder

    def clear_state(self) -> None:
        """Remove what was kept for going on."""
        with contextlib.suppress(FileNotFoundError):
            try:
                shutil.rmtree(self.path / _STATE)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise explain(error, self.path / _STATE) from error

    def check_space(self, needed: int) -> None:
        """Make sure there is room for that many bytes more.

        Raises:
            OutputError: there is not; the message says how much is missing.
        """
        check_space(self.path, needed)

    def close(self) -> None:
        """Record what is done and give the folder free for another run.

        Raises:
            OutputError: the record cannot be written.
        """
        try:
            if self._unrecorded:
                self.record(self.manifest)
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        """Return the folder, which is already held."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the folder free; a fault on the way out does not hide the one that led there."""
        try:
            self.close()
        except OutputError:
            if error is None:
                raise
            logger.warning("the last frames in %s are not recorded", self.path)


def _difference(found: Record, wanted: Record) -> str:
    """Say what sets two renders apart, the first thing that does."""
    for name in ("inputs", "models", "computed"):
        before, after = getattr(found, name), getattr(wanted, name)
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                word = "file of the " if name == "inputs" else ""
                return f"its {word}{key} differs"
    if found.numbers != wanted.numbers:
        return f"it has {len(found.numbers)} frames from {found.numbers[0]}, not these"
    for path, before, after in _changes(found.job, wanted.job, ""):
        if path.split(".")[0] not in {"output", "quality", "version"}:
            return f"its {path} is {before!r}, not {after!r}"
    return "its settings differ"


def _changes(before: object, after: object, path: str) -> list[tuple[str, object, object]]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            change
            for key in sorted({*before, *after})
            for change in _changes(
                before.get(key), after.get(key), f"{path}.{key}" if path else str(key)
            )
        ]
    return [] if before == after else [(path, before, after)]
