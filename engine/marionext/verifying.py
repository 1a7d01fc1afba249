"""Compare what is in a render's folder with its record, and say what is damaged.

The record (``render.json``) has the sha256 of every frame, video and other result. Records of
older versions lack those of poses and latents; these are not judged then.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from marionext.codec import decode, encode
from marionext.errors import OutputError, SettingsError
from marionext.files import explain, is_cut_off, is_folder, read_bytes, sha256_of
from marionext.frames import format_frames, frame_name
from marionext.hosts import frame_path
from marionext.jobs import EngineSettings, Job, RenderJob, TakeJob, decode_job
from marionext.output import PREVIEW, FolderLock, RenderFolder, Takes
from marionext.record import COPY, RECORD, Record

__all__ = [
    "Computed",
    "Damage",
    "Verdict",
    "changed_since",
    "engine_of",
    "find_renders",
    "free_first_take",
    "jobs_that_repair",
    "jobs_that_show",
    "render_of",
    "restore_record",
    "verify",
]

Fault = Literal["missing", "cut off", "changed", "unreadable", "unfinished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is not as the record has it."""

    what: Literal["record", "frame", "take", "video", "file"]
    name: str
    """Path in the folder."""
    fault: Fault
    number: int | None = None
    """Of a frame in its source."""
    take: int = 0
    """What a frame or a kept file is of."""

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.name} is {self.fault}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What looking at a folder came to."""

    folder: Path
    record: Record | None
    """None: there is none that can be read."""
    damages: tuple[Damage, ...]
    problem: OutputError | None = None
    """Why the record cannot be read."""

    @property
    def whole(self) -> bool:
        """Whether everything is there and as it was made."""
        return not self.damages


class Computed(Protocol):
    """The record of a render or of pictures, as far as it says how they were computed."""

    @property
    def computed(self) -> dict[str, str]:
        """Device, number format, threads."""


def find_renders(folder: Path) -> tuple[Path, ...]:
    """Return the folders of renders at a place: itself, or all below it.

    Raises:
        OutputError: there is none.
    """
    if any((folder / name).is_file() for name in (RECORD, COPY)):
        return (folder,)
    found = tuple(sorted({path.parent for name in (RECORD, COPY) for path in folder.rglob(name)}))
    if not found:
        raise OutputError(
            f"expected the folder of a render, or one that has some below it, there is no "
            f"{RECORD} in {folder}",
            hint="Is this where the results were written?"
            if is_folder(folder)
            else "There is no such folder.",
        )
    return found


def verify(folder: Path) -> Verdict:
    """Compare every file of a render with its record; nothing is changed."""
    try:
        record = Record.read(folder / RECORD)
    except OutputError as error:
        damage = Damage(what="record", name=RECORD, fault="unreadable")
        return Verdict(folder=folder, record=None, damages=(damage,), problem=error)
    return Verdict(folder=folder, record=record, damages=tuple(_damages(folder, record)))


def restore_record(verdict: Verdict) -> None:
    """Put the copy that a finished render keeps of its record in place of one that is damaged.

    The damaged one is kept aside. Whatever came after the copy was made (an unfinished take) is
    forgotten; what the frames and videos really are, `verify` tells again.

    Raises:
        OutputError: there is no copy that can be read, or another run is at work in the folder.
    """
    folder = verdict.folder
    try:
        record = Record.read(folder / COPY)
    except OutputError:
        said = verdict.problem.message if verdict.problem is not None else f"{folder}: no record"
        raise OutputError(
            f"{said}; there is no whole copy of it either, as each finished render has one",
            hint="Nobody knows any more what its frames were made from. Keep them, and render the "
            "job again into another folder.",
        ) from None
    with FolderLock(folder):
        path = folder / RECORD
        if path.is_file():
            number = 1
            while (aside := path.with_name(f"{path.stem}.unreadable-{number}.json")).exists():
                number += 1
            try:
                path.rename(aside)
            except OSError as error:
                raise explain(error, path) from error
        record.write(path)


def _damages(folder: Path, record: Record) -> Iterator[Damage]:
    done = record.done
    for number in record.numbers:
        path = frame_path(folder, number)
        name = path.relative_to(folder).as_posix()
        fault = _fault(path, done[number]) if number in done else "unfinished"
        if fault is not None:
            take = record.take_of(number)
            yield Damage(what="frame", name=name, fault=fault, number=number, take=take)
    takes = Takes(folder / "takes")
    for take in range(len(record.takes) + 1):
        # Of the render itself only what others stand in for lies there.
        hashes = record.replaced if take == 0 else record.takes[take - 1].frames
        for number in map(int, hashes):
            fault = _fault(takes.path(take, number), hashes[str(number)])
            if fault is not None:
                name = f"takes/{take:03d}/{frame_name(number)}"
                yield Damage(what="take", name=name, fault=fault, number=number, take=take)
    for name, digest in record.videos.items():
        if (fault := _fault(folder / name, digest)) is not None:
            yield Damage(what="video", name=name, fault=fault)
    for name, digest in record.files.items():
        if not digest or name in record.videos or name == PREVIEW:
            continue
        if (fault := _fault(folder / name, digest)) is not None:
            yield Damage(what="file", name=name, fault=fault, take=_take_of_file(name))
    if not record.missing and record.stage.name != "finished":
        yield Damage(what="video", name="the videos", fault="unfinished")


def _take_of_file(name: str) -> int:
    place, _, rest = name.partition("/")
    number = rest.partition("/")[0]
    return int(number) if place == "takes" and number.isdecimal() else 0


def _fault(path: Path, digest: str) -> Fault | None:
    """Return what is wrong with a file, or None."""
    try:
        if not path.is_file():
            return "missing"
        if sha256_of(path) == digest:
            return None
        return "cut off" if path.suffix == ".png" and is_cut_off(read_bytes(path)) else "changed"
    except OSError:
        return "unreadable"


def render_of(folder: Path, job: dict[str, Any]) -> RenderJob:
    """Return a job that a record holds, for the folder where the render is now.

    Args:
        folder: of the render.
        job: of the record or of one of its takes.

    Raises:
        OutputError: it is no job of a render that can be read.
    """
    try:
        read = decode_job(job)
    except SettingsError as error:
        raise OutputError(
            f"{folder / RECORD}: its job cannot be read: {error.message}", hint=error.hint
        ) from None
    if not isinstance(read, RenderJob):
        raise OutputError(f"{folder / RECORD}: expected the job of a render, got a {read.kind!r}")
    return replace(read, output=replace(read.output, directory=str(folder.absolute())))


def engine_of(record: Computed, engine: EngineSettings) -> EngineSettings:
    """Return settings of the machine with which the bytes become those of a record.

    What was chosen by hand stays as it is.
    """
    data = encode(engine)
    for name in ("device", "dtype"):
        if data[name] == "auto" and name in record.computed:
            data[name] = record.computed[name]
    threads = record.computed.get("threads", "")
    if data["threads"] is None and re.fullmatch(r"[1-9][0-9]{0,2}", threads):
        data["threads"] = int(threads)
    try:
        return decode(EngineSettings, data)
    except SettingsError:
        return engine  # of a device that this version does not know: said where it is used


def free_first_take(verdict: Verdict) -> None:
    """Let the render itself make those of its frames again that others stand in for.

    They are shown meanwhile, so `jobs_that_show` has to follow.

    Raises:
        OutputError: another run is at work in the folder, or it cannot be written to.
    """
    hurt = {str(each.number) for each in verdict.damages if each.what == "take" and not each.take}
    if not hurt:
        return
    with RenderFolder(verdict.folder, None) as folder:
        record = folder.record

        def left(tree: Mapping[str, Any]) -> dict[str, Any]:
            return {number: value for number, value in tree.items() if number not in hurt}

        folder.keep(
            replace(
                record,
                frames=left(record.frames),
                shown=left(record.shown),
                replaced=left(record.replaced),
            )
        )


def jobs_that_repair(verdict: Verdict) -> list[Job]:
    """Return the jobs that make a folder whole again, in their order: only what lacks is made.

    Raises:
        OutputError: the record cannot be read, so nobody knows what was there.
    """
    if verdict.record is None:
        raise verdict.problem or OutputError(f"{verdict.folder / RECORD} cannot be read")
    if verdict.whole:
        return []
    record = verdict.record
    hurt = {damage.take for damage in verdict.damages if damage.take}
    jobs: list[Job] = [render_of(verdict.folder, record.job)]
    jobs += [
        render_of(verdict.folder, take.job)
        for take in record.takes
        if take.number in hurt or take.missing
    ]
    return jobs


def jobs_that_show(folder: Path, before: Record, after: Record) -> list[Job]:
    """Return the jobs after which each frame shows the take that it showed before."""
    wanted: dict[int, list[int]] = {}
    for number in before.numbers:
        if before.take_of(number) != after.take_of(number):
            wanted.setdefault(before.take_of(number), []).append(number)
    return [
        TakeJob(directory=str(folder), take=take, frames=format_frames(tuple(sorted(numbers))))
        for take, numbers in wanted.items()
    ]


def changed_since(before: Record, after: Record) -> tuple[str, ...]:
    """Return what has other bytes now than it had: names of frames, videos and files."""
    pairs = _pairs(before, after)
    return tuple(name for name, old, new in pairs if old and new and old != new)


def _pairs(before: Record, after: Record) -> Iterator[tuple[str, str, str]]:
    """Yield name and both hashes of everything that two records have."""
    for old, new in (
        (before.frames, after.frames),
        (before.videos, after.videos),
        (before.files, after.files),
    ):
        for name, digest in old.items():
            shown = frame_name(int(name)) if old is before.frames else name
            yield shown, digest, new.get(name, "")
