"""A render's folder: locked, with its record, its frames, their takes and its unfinished state."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from marionext.errors import OutputError
from marionext.files import (
    check_space,
    clear_parts,
    explain,
    own_folder,
    refuse_link,
    sha256_of,
)
from marionext.frames import format_frames
from marionext.output.lock import FolderLock
from marionext.output.takes import Takes, remove_folder
from marionext.output.writer import FrameWriter
from marionext.record import COPY, RECORD, Record, Take

__all__ = ["PREVIEW", "RenderFolder", "difference", "refuse_strangers"]

logger = logging.getLogger(__name__)

PREVIEW = "preview.png"
"""A rough picture of the result, while it is made."""
_FRAMES = "frames"
_STATE = "state"
_TAKES = "takes"
_SHARE = 20
"""Recording frames takes at most one part in twenty of the time."""


class RenderFolder:
    """The folder of one render, held by one run; a context manager.

    A folder that already holds the same render is continued: `missing` is what is left to do, and
    `state` may hold what an interrupted run left. One that holds another render is refused.
    """

    FOLDERS = (_FRAMES, _STATE, _TAKES)
    """What it makes in its own folder, apart from the results."""

    def __init__(
        self,
        path: Path,
        plan: Record | None,
        *,
        overwrite: bool = False,
        warn: Callable[[str], None] = logger.warning,
    ) -> None:
        """Open or make the folder of a render.

        Args:
            path: of the folder.
            plan: the record of the render without frames, as `Record.start` gives it; None: the
                render that is there, whatever it is.
            overwrite: render again what is there, even if it is another render. Only what its
                record lists is removed.
            warn: told what the user should know.

        Raises:
            OutputError: another run is at work here, the folder holds another render, or files
                that are none of ours or links stand where results belong, or it cannot be written
                to.
        """
        self.path = path
        self._warn = warn
        if plan is None:
            Record.read(path / RECORD)  # before anything is made in a folder that is no render's
        self._unrecorded = False
        self._next_record = 0.0
        self._lock = FolderLock(path)
        try:
            for name in (_STATE, _TAKES):
                refuse_link(path / name)
            self._writer = FrameWriter(path / _FRAMES)
            self.takes = Takes(path / _TAKES)
            clear_parts(path)
            self.resumed = self._continue(plan, overwrite=overwrite)
        except OSError as error:
            self._lock.release()
            raise explain(error, path) from error
        except OutputError:
            self._lock.release()
            raise

    def _continue(self, plan: Record | None, *, overwrite: bool) -> bool:
        """Take up what is there; return whether it is of the same render."""
        path = self.path / RECORD
        if plan is not None and (overwrite or not path.is_file()):
            return self._begin(plan, path)
        found = Record.read(path)
        if plan is not None and (found.identity, found.numbers) != (plan.identity, plan.numbers):
            if found.stage.name == "new" and not found.frames and not found.takes:
                # A run that failed at once (nobody is in the character's picture, say) has made
                # nothing that would be lost.
                return self._begin(plan, path)
            raise OutputError(
                f"{self.path} holds another render: {difference(found, plan)}",
                hint="Choose another output folder, or say --overwrite to replace it.",
            )
        begun_with = found.versions
        if plan is not None:
            # What the results here were made as stays on record until they are made anew.
            job = {**plan.job, "output": found.job.get("output", plan.job.get("output"))}
            found = replace(found, job=job, versions=plan.versions)
        self.record = self._mended(found)
        if plan is not None and self.record.missing:
            self._compare_versions(begun_with, plan.versions)
        self.keep(self.record)
        return True

    def _begin(self, plan: Record, path: Path) -> bool:
        """Begin a render; nothing is resumed."""
        self._clear(path)
        self.record = plan
        plan.write(path)
        return False

    def _compare_versions(self, begun: Mapping[str, str], now: Mapping[str, str]) -> None:
        """Say where a render goes on with other libraries, or on a processor of another kind."""
        changed = [
            f"{name} {begun[name]} (now {version})"
            for name, version in now.items()
            if name != "marionext" and begun.get(name, version) != version
        ]
        if changed:
            self._warn(
                f"{self.path} was begun with {', '.join(changed)}: what is made now may differ "
                "from what it would have been by a few of 255 levels"
            )

    def _mended(self, record: Record) -> Record:
        """Return the record with what is really there, frames brought back from their takes."""
        intact = self._writer.intact(record.done)
        shown = dict(record.shown)
        for number, digest in record.done.items():
            if number in intact:
                continue
            take = shown.get(str(number), 0)
            if self.takes.holds(take, number, digest):
                self.takes.show(take, number, self._writer.path(number))
                intact[number] = digest
            else:
                # It is rendered again as the render itself has it.
                shown.pop(str(number), None)
        if lost := len(record.frames) - len(intact):
            what = "1 frame is" if lost == 1 else f"{lost} frames are"
            self._warn(f"{self.path}: {what} missing or changed and made again")
        takes = tuple(
            replace(take, frames=self.takes.intact(take.number, take.frames))
            for take in record.takes
        )
        return replace(record.with_frames(intact), shown=shown, takes=takes)

    def _clear(self, path: Path) -> None:
        """Remove the render that is here: what its record lists, and nothing else.

        Raises:
            OutputError: there are frames that it does not list; nothing is removed then.
        """
        found = self._record_or_none(path)
        own = set() if found is None else set(found.numbers)
        if strangers := [number for number in self._writer.existing() if number not in own]:
            raise OutputError(
                f"{self._writer.folder} holds {len(strangers)} pictures that no render.json speaks "
                f"of: {format_frames(tuple(strangers))}",
                hint="Choose another output folder, or move them away.",
            )
        if found is None:
            return
        # The record goes first: frames without one are refused, never mistaken for ours.
        path.unlink()
        (self.path / COPY).unlink(missing_ok=True)
        for number in own:
            self._writer.remove(number)
        for name in (*found.videos, *found.files):
            (self.path / name).unlink(missing_ok=True)
        self.takes.clear()
        remove_folder(self.path / _STATE)

    def _record_or_none(self, path: Path) -> Record | None:
        """Return the record that is here; one that cannot be read is put aside, not deleted."""
        if not path.is_file():
            return None
        try:
            return Record.read(path)
        except OutputError as error:
            number = 1
            while (aside := path.with_name(f"{path.stem}.unreadable-{number}.json")).exists():
                number += 1
            path.rename(aside)
            self._warn(f"{error.message}; it is kept as {aside.name}")
            return None

    def claim(self, files: Iterable[Path]) -> None:
        """Take files of the folder as the render's own, before any of them is written.

        Raises:
            OutputError: one is there and no record lists it: it is the user's.
        """
        record = self.record
        for path in files:
            name = path.relative_to(self.path).as_posix()
            if record.lists(name):
                continue
            refuse_strangers((path,))
            record = record.with_file(name)
        if record is not self.record:
            self.keep(record)

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of the frames still to be rendered."""
        return self.record.missing

    @property
    def frames(self) -> list[Path]:
        """The files of all frames, in order."""
        return [self._writer.path(number) for number in self.record.numbers]

    def write_frame(self, number: int, picture: NDArray[np.uint8], take: int = 0) -> Path:
        """Write a frame (height, width, 3), record it, and return its file.

        The record reaches the disk soon, at the latest when the folder is closed: rewriting it
        takes a while in a long render. A frame that a killed run did not record is rendered
        again, to the same bytes.

        Args:
            number: of the frame.
            picture: (height, width, 3) RGB.
            take: what it is of; a later take's frame is shown when all of it is there (`show`).

        Raises:
            OutputError: it cannot be written.
        """
        if take:
            digest = self.takes.write(take, number, picture)
            self.record = self.record.with_take_frame(take, number, digest)
            path = self.takes.path(take, number)
        else:
            digest = self._writer.write(number, picture)
            self.record = self.record.with_frame(number, digest)
            path = self._writer.path(number)
        self._unrecorded = True
        if time.monotonic() >= self._next_record:
            self.keep(self.record)
        return path

    def take(self, number: int) -> Take:
        """Return what is recorded of a take, from 1 on."""
        return self.record.takes[number - 1]

    def held(self, made: Sequence[int]) -> dict[int, Path]:
        """Return for all frames but these where the backend keeps the take that shows them."""
        made_anew = set(made)
        of = {n: self.record.take_of(n) for n in self.record.numbers if n not in made_anew}
        kept = {take: self.takes.kept(take) for take in set(of.values())}
        return {number: kept[take] for number, take in of.items()}

    def poses_file(self, take: int) -> Path:
        """Return where the poses of a take are written, for people and other programs."""
        return (self.takes.folder(take) if take else self.path) / "poses.npz"

    def begin_take(
        self,
        job: Mapping[str, Any],
        inputs: Mapping[str, str],
        identity: str,
        numbers: Sequence[int],
    ) -> Take:
        """Return the take that a job makes here: one that is there already, or a new one.

        Args:
            job: as JSON values.
            inputs: sha256 of the job's files.
            identity: of the job; see `marionext.record.identity_of`.
            numbers: of the frames that are made anew.

        Raises:
            OutputError: the render itself is not finished, or has not all of these frames.
        """
        absent = tuple(number for number in numbers if number not in self.record.numbers)
        if absent:
            raise OutputError(
                f"expected frames that the render in {self.path} has, "
                f"{format_frames(self.record.numbers)}, got {format_frames(absent)}"
            )
        if self.missing:
            raise OutputError(
                f"the render in {self.path} lacks {len(self.missing)} of its "
                f"{len(self.record.numbers)} frames: a part of it can be made again when it is "
                "finished",
                hint="Render it first, with the job that it was begun with.",
            )
        made = {str(number) for number in numbers}
        before = {number: take for number, take in self.record.shown.items() if number not in made}
        for take in self.record.takes:
            if (take.identity, take.before, take.numbers) == (identity, before, tuple(numbers)):
                return take
        take = Take(
            number=len(self.record.takes) + 1,
            identity=identity,
            job=dict(job),
            inputs=dict(inputs),
            numbers=tuple(numbers),
            before=before,
        )
        self.keep(replace(self.record, takes=(*self.record.takes, take)))
        return take

    def show(self, take: int, numbers: Sequence[int]) -> tuple[int, ...]:
        """Show frames of a take, and keep those that are shown now with theirs.

        Args:
            take: its number; 0 is the render itself.
            numbers: of the frames.

        Returns:
            The numbers of the frames that changed.

        Raises:
            OutputError: the take does not have them, or they cannot be written.
        """
        hashes = self.record.take_frames(take)
        absent = tuple(number for number in numbers if str(number) not in hashes)
        if absent:
            raise OutputError(
                f"take {take} of {self.path} has no frames {format_frames(absent)}",
                hint=f"It has {format_frames(tuple(sorted(map(int, hashes))))}."
                if hashes
                else None,
            )
        changed = [number for number in numbers if self.record.take_of(number) != take]
        for number in changed:
            if not self.takes.holds(take, number, hashes[str(number)]):
                raise OutputError(
                    f"frame {number} of take {take} in {self.path} is missing or changed",
                    hint="Make that take again, with the same seed.",
                )
            old, digest = self.record.take_of(number), self.record.frames[str(number)]
            self.takes.save(old, number, self._writer.path(number), digest)
        if not changed:
            return ()
        # The record goes first: a run that is killed now finds there what is to be shown, and that
        # the videos are still of what was.
        hashes_shown = {number: hashes[str(number)] for number in changed}
        self.keep(self.record.showing(take, hashes_shown).with_stage("encode"))
        for number in changed:
            self.takes.show(take, number, self._writer.path(number))
        return tuple(changed)

    def is_damaged(self, path: Path) -> bool:
        """Tell whether a file is not what the record says; one without a hash is only looked for.

        Args:
            path: of a file in the folder that is no frame and no video.
        """
        digest = self.record.files.get(path.relative_to(self.path).as_posix(), "")
        return bool(digest) and not (path.is_file() and sha256_of(path) == digest)

    def drop_damaged_kept(self, take: int) -> bool:
        """Remove what the backend keeps of a take where it is damaged: it is made again then.

        Returns:
            Whether something that the record lists was damaged or is missing.

        Raises:
            OutputError: it cannot be removed.
        """
        kept = f"{_TAKES}/{take:03d}/kept/"
        hurt = [
            path
            for name in self.record.files
            if name.startswith(kept) and self.is_damaged(path := self.path / name)
        ]
        for path in hurt:
            self._warn(f"{path} is missing or changed and made again")
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise explain(error, path) from error
        return bool(hurt)

    def _hashed(self, files: Mapping[str, str]) -> dict[str, str]:
        """Return the files with the sha256 of what will not change any more."""
        changing = {PREVIEW, *self.record.videos}
        kept = [self.takes.kept_files(take) for take in range(len(self.record.takes) + 1)]
        named = {path.relative_to(self.path).as_posix() for paths in kept for path in paths}
        return {
            name: sha256_of(path)
            if name not in changing and (path := self.path / name).is_file()
            else ""
            for name in (*files, *sorted(named - {*files}))
        }

    def finish(self, job: Mapping[str, Any], said: Iterable[str] = ()) -> None:
        """Record that everything a job asks for is there, and what was said on the way.

        Raises:
            OutputError: the record cannot be written.
        """
        record = replace(self.record, job=dict(job), files=self._hashed(self.record.files))
        record = record.with_stage("finished")
        for text in said:
            record = record.with_note(text)
        self.keep(record)
        # The render is whole without it.
        with contextlib.suppress(OutputError):
            record.write(self.path / COPY)

    def keep(self, record: Record) -> None:
        """Keep a changed record, on disk too.

        Raises:
            OutputError: it cannot be written.
        """
        started = time.monotonic()
        self.record = record
        record.write(self.path / RECORD)
        self._unrecorded = False
        ended = time.monotonic()
        self._next_record = ended + _SHARE * (ended - started)

    @property
    def state(self) -> Path:
        """The folder for what is needed to go on after a crash; made on first use."""
        folder = own_folder(self.path / _STATE)
        clear_parts(folder)
        return folder

    def clear_state(self, take: int = 0) -> None:
        """Remove what was kept for going on with a take.

        Raises:
            OutputError: it cannot be removed.
        """
        if take:
            self.takes.clear_state(take)
        else:
            remove_folder(self.path / _STATE)

    def check_space(self, needed: int) -> None:
        """Make sure there is room for that many bytes more.

        Raises:
            OutputError: there is not; the message says how much is missing.
        """
        check_space(self.path, needed)

    def close(self) -> None:
        """Record what is done and let go of the folder.

        Raises:
            OutputError: the record cannot be written.
        """
        try:
            if self._unrecorded:
                self.keep(self.record)
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
        """Let go of the folder; a fault on the way out does not hide the one that led there."""
        try:
            self.close()
        except OutputError:
            if error is None:
                raise
            self._warn(f"the last frames in {self.path} are not recorded")


def refuse_strangers(files: Iterable[Path]) -> None:
    """Make sure that files which a render will write are not there: they would be the user's.

    Raises:
        OutputError: one is.
    """
    for path in files:
        if path.exists() or path.is_symlink():
            raise OutputError(
                f"{path} is there already and is no result of this render",
                hint="Move it away, or choose another output folder.",
            )


def difference(found: Record, wanted: Record) -> str:
    """Say what sets two renders apart, the first thing that does."""
    models = [record.job.get("model") for record in (found, wanted)]
    if found.models != wanted.models and models[0] != models[1]:
        return f"its model is {models[0]!r}, not {models[1]!r}"
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
