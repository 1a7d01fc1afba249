"""Bring files into a bundle's folder: kept apart, metered, and put in place when they are whole.

Fetching and copying share this: files first come to a hidden folder beside the bundle's, where an
interrupted run leaves them for the next, one process at a time. `adopt` takes files over from a
folder of the user's.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from marionext.bundles import (
    FileRecord,
    ModelBundle,
    ModelFile,
    card_name,
    check,
    find,
    known_as,
    read_record,
    write_record,
)
from marionext.errors import JobCancelled, ModelError, OutputError
from marionext.files import sha256_of

__all__ = [
    "Cancelled",
    "Meter",
    "OnProgress",
    "PullProgress",
    "adopt",
    "explained",
    "fetchable",
    "incoming_folder",
    "put_in_place",
    "wanted_files",
]


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a fetch is."""

    file: str
    """The file at work."""
    done: int
    """Bytes of all files that are there."""
    total: int
    """Bytes of all files."""
    bytes_per_second: float
    """Over this run."""


OnProgress = Callable[[PullProgress], None]
Cancelled = Callable[[], bool]


def fetchable(name: str) -> ModelBundle:
    """Return a known model whose files come from elsewhere.

    Raises:
        ModelError: unknown, built in, or a folder of the user's.
    """
    bundle = find(name)
    if bundle.card.built_in:
        raise ModelError(
            f"{name!r} is part of Marionext: there is nothing to fetch",
            hint="If it is damaged, install Marionext again.",
        )
    elsewhere = bundle.card.repositories or bundle.card.package is not None
    if not elsewhere or bundle.name != name:
        raise ModelError(f"{name!r} is a folder of yours; it is not known where to fetch it from")
    return bundle


def wanted_files(bundle: ModelBundle) -> list[ModelFile]:
    """Return the files of a bundle that are missing or damaged."""
    bad = {problem.path for problem in check(bundle, hashes=False) if problem.fatal}
    return [file for file in bundle.card.files if bad & set(file.names)]


def adopt(
    name: str,
    folder: Path,
    *,
    on_progress: OnProgress | None = None,
    cancelled: Cancelled | None = None,
) -> ModelBundle:
    """Take a known model's files over from a folder that holds them; nothing goes online.

    Files are linked where the file system can, else copied. In ``folder`` they may lie in the
    bundle's layout, or in the layout of the repositories they come from.

    Raises:
        ModelError: unknown model, or files are missing or damaged.
        OutputError: no room, or the folder cannot be written.
        JobCancelled: as asked.
    """
    bundle = fetchable(name)
    wanted = wanted_files(bundle)
    found = {file.path: _found_in(folder, file) for file in wanted}
    missing = [path for path, place in found.items() if place is None]
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of the {len(wanted)} files that {name!r} needs: "
            f"{', '.join(missing)}",
            hint="Copy them there, in the layout of the bundle or of their repositories.",
        )
    sources = dict(filter(None, found.values()))
    with incoming_folder(bundle) as incoming:
        sizes = {target: place.stat().st_size for target, place in sources.items()}
        meter = Meter(sum(sizes.values()), on_progress, cancelled)
        records = {}
        with explained(incoming):
            for target, place in sources.items():
                _link_or_copy(place, incoming / target, meter)
                digest = sha256_of(incoming / target, meter.reader(target))
                _refuse_other(bundle, target, place, digest)
                records[target] = FileRecord(size=sizes[target], sha256=digest, source=str(place))
                meter.file_done(target, sizes[target])
        copied = ModelBundle(name=bundle.name, folder=incoming, card=bundle.card)
        damaged = [p for p in check(copied, hashes=False) if p.what == "damaged"]
        if damaged:
            for target in records:
                (incoming / target).unlink()
            raise ModelError(f"{folder}: {damaged[0]}", hint="Fetch that file again.")
        put_in_place(bundle, incoming, records)
    return bundle


def _refuse_other(bundle: ModelBundle, target: str, place: Path, digest: str) -> None:
    """Make sure that a file is the one it is taken for, as far as hashes are known.

    Raises:
        ModelError: it is another one; says which, where that is known.
    """
    file = next(file for file in bundle.card.files if target in file.names)
    if digest == file.sha256:
        return
    known = known_as(digest)
    if known is not None and (known.card, known.file.path) == (card_name(bundle), file.path):
        return
    if known is None and file.sha256 is None:
        return
    found = "another file" if known is None else str(known)
    raise ModelError(
        f"{place}: expected {file.path} of {bundle.card.title}, its hash says that it is {found}",
        hint="Names and shapes of these files do not tell them apart: fetch the right one.",
    )


class Meter:
    """Adds up bytes over all files, and reports a few times a second."""

    _INTERVAL = 0.1

    def __init__(
        self, total: int, on_progress: OnProgress | None, cancelled: Cancelled | None
    ) -> None:
        self._total = total
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._finished = 0
        self._moved = 0
        self._started = time.monotonic()
        self._told = 0.0

    def moved(self, file: str, position: int, count: int) -> None:
        """Take note of ``count`` bytes that came, up to ``position`` in the file."""
        if self._cancelled is not None and self._cancelled():
            raise JobCancelled("fetching was stopped; what has come is kept for the next time")
        self._moved += count
        now = time.monotonic()
        if now - self._told >= self._INTERVAL:
            self._tell(file, self._finished + position, now)

    def reader(self, file: str) -> Callable[[int], None]:
        """Return what `marionext.files.sha256_of` reports to: read again, not moved."""
        return lambda position: self.moved(file, position, 0)

    def file_done(self, file: str, size: int) -> None:
        """Take note of a file that is there."""
        self._finished += size
        self._tell(file, self._finished, time.monotonic())

    def _tell(self, file: str, done: int, now: float) -> None:
        self._told = now
        if self._on_progress is not None:
            speed = self._moved / max(now - self._started, 1e-3)
            self._on_progress(PullProgress(file, done, self._total, speed))


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Translate the errors of writing; those of the hub's client are translated before."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{error.filename or path} cannot be written: {error.strerror or error}",
            hint="Free some space or choose another folder with MARIONEXT_HOME.",
        ) from None


@contextlib.contextmanager
def incoming_folder(bundle: ModelBundle) -> Iterator[Path]:
    """Give the folder that files come to first, to one process at a time."""
    # Not above: the command line imports this module, and output brings OpenCV along.
    from marionext.output import FolderLock  # noqa: PLC0415

    folder = bundle.folder.parent / f".{bundle.name}.part"
    try:
        lock = FolderLock(bundle.folder.parent / f".{bundle.name}.lock")
    except OutputError as error:
        raise OutputError(
            f"{bundle.name!r} cannot be fetched now: {error.message}",
            hint="Should it be fetched already, wait or stop that; this then goes on where it was.",
        ) from None
    with lock:
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        yield folder


def put_in_place(bundle: ModelBundle, incoming: Path, records: dict[str, FileRecord]) -> None:
    """Move the finished files to the bundle's folder: all at once where it is new."""
    kept = {
        name: entry for name, entry in read_record(bundle.folder).items() if name not in records
    }
    with explained(bundle.folder):
        for leftover in incoming.rglob("*.part"):
            leftover.unlink()
        write_record(incoming, bundle.name, {**kept, **records})
        if not bundle.folder.exists():
            incoming.replace(bundle.folder)
            return
        for name in records:
            place = bundle.folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            (incoming / name).replace(place)
        write_record(bundle.folder, bundle.name, {**kept, **records})
        shutil.rmtree(incoming)


def _found_in(folder: Path, file: ModelFile) -> tuple[str, Path] | None:
    """Return the bundle's name for a file of a folder and where it lies there."""
    for name in file.names:
        if (folder / name).is_file():
            return name, folder / name
    if file.source is not None:
        for place in (folder / file.source, folder / Path(file.source).name):
            if place.is_file():
                return file.path, place
    return None


def _link_or_copy(source: Path, target: Path, meter: Meter) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        with source.open("rb") as old, target.open("wb") as new:
            while block := old.read(1 << 22):
                new.write(block)
                meter.moved(target.name, new.tell(), len(block))
