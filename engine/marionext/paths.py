"""Files of the user are sacred: what is read is never written to, and names fit the file system.

Every path that a job reads and every one that it may write is compared before anything is loaded:
resolved (links, ``..``, case where the file system ignores it) and, where both exist, by what they
are on the disk (hard links). Standard library only.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from marionext.errors import OutputError

__all__ = ["LONGEST_NAME", "check_name", "fitting_name", "refuse_overlap"]

LONGEST_NAME = 255
"""Bytes of a file's name that all usual file systems take."""


def refuse_overlap(
    reads: Mapping[str, Iterable[Path]], files: Iterable[Path] = (), folders: Iterable[Path] = ()
) -> None:
    """Make sure that nothing that is read would be written to.

    Args:
        reads: what is read, by what it is to the user: ``the motion``, ``the character`` ...; a
            folder stands for all that is in it.
        files: that may be written.
        folders: in which files may be written under names of ours.

    Raises:
        OutputError: something would be; says what and where.
    """
    targets = _Places(files)
    roots = _Places(folders)
    for what, paths in reads.items():
        for path in paths:
            real = _real(path)
            if (shown := targets.at(path, real)) is not None:
                raise OutputError(
                    f"{what} {path} would be overwritten by the result {shown}",
                    hint="Choose another place for the result.",
                )
            if (shown := roots.at(path, real) or roots.above(real)) is not None:
                raise OutputError(
                    f"{what} {path} lies in {shown}, where results are written",
                    hint="Choose another folder for the result.",
                )
            if path.is_dir() and (shown := targets.below(real) or roots.below(real)) is not None:
                raise OutputError(
                    f"results would be written into {what}, {path}: {shown}",
                    hint="Choose a folder for the result that is not inside of it.",
                )


class _Places:
    """Paths that may be written, found by where they lead and by what they are on the disk."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._by_path: dict[Path, Path] = {}
        self._by_thing: dict[tuple[int, int], Path] = {}
        for path in paths:
            self._by_path[_real(path)] = path
            if (thing := _thing(path)) is not None:
                self._by_thing[thing] = path

    def at(self, path: Path, real: Path) -> Path | None:
        """Return the place that a path is, or None."""
        thing = _thing(path)
        by_thing = None if thing is None else self._by_thing.get(thing)
        return self._by_path.get(real, by_thing)

    def above(self, real: Path) -> Path | None:
        """Return the place that a path lies in, or None."""
        return next((self._by_path[up] for up in real.parents if up in self._by_path), None)

    def below(self, real: Path) -> Path | None:
        """Return a place that lies in a folder, or None."""
        return next(
            (shown for place, shown in self._by_path.items() if real in place.parents), None
        )


def _real(path: Path) -> Path:
    """Return where a path leads, as far as it exists, in the spelling of comparison."""
    return Path(os.path.normcase(os.path.realpath(path)))


def _thing(path: Path) -> tuple[int, int] | None:
    """Return what tells a file or folder from all others on this machine; None if it is not there.

    Two hard links are one thing, and so are two spellings where the file system ignores case.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None


def fitting_name(stem: str, ending: str) -> str:
    """Return a file name that every file system takes, shortened with a hash where it must be.

    Args:
        stem: of any length.
        ending: kept as it is, such as ``-with-poses.mp4``.
    """
    whole = stem + ending
    if len(os.fsencode(whole)) <= LONGEST_NAME:
        return whole
    mark = "-" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:8] + ending
    room = LONGEST_NAME - len(os.fsencode(mark))
    # Cut between characters: half of one would be no name.
    short = stem
    while len(os.fsencode(short)) > room:
        short = short[:-1]
    return short + mark


def check_name(path: Path) -> None:
    """Make sure that a file can have the name that the user gave, before hours of work.

    Raises:
        OutputError: it is too long; says by how much.
    """
    length = len(os.fsencode(path.name))
    if length > LONGEST_NAME:
        raise OutputError(
            f"expected a file name of at most {LONGEST_NAME} bytes, got {length}: {path.name}",
            hint="Choose a shorter name.",
        )
