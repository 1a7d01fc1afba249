"""Media that are not where they were: told, searched for, found again."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from marionext_desktop.model.places import stamp_of
from marionext_desktop.model.project import Project, Source

__all__ = ["Missing", "missing_media", "relinked", "search"]

_MOST_FILES = 200_000


@dataclass(frozen=True, slots=True)
class Missing:
    """A file of the project that is not there."""

    id: str
    """Of the source or character."""
    name: str
    path: Path
    source: Source | None
    """None: a character."""


def missing_media(project: Project) -> tuple[Missing, ...]:
    """Return the sources and characters whose files are not there."""
    found = [
        Missing(source.id, source.name, Path(source.path), source)
        for source in project.sources
        if not _is_there(source.path)
    ]
    found += [
        Missing(each.id, each.name, Path(each.path), None)
        for each in project.characters
        if not _is_there(each.path)
    ]
    return tuple(found)


def _is_there(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where a folder is closed


def search(missing: tuple[Missing, ...], folder: Path) -> dict[str, Path]:
    """Look for missing files in a folder and all below it, by name and by content.

    Called beside the window. A file of the name counts at once where its content is the one that
    is remembered; else one of the same size and content under another name is taken, and last one
    of the name alone.

    Returns:
        What was found, by id.
    """
    found: dict[str, Path] = {}
    by_name: dict[str, list[Path]] = {}
    by_size: dict[int, list[Path]] = {}
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*files, *folders):
            count += 1
            path = Path(place) / name
            by_name.setdefault(name, []).append(path)
            with suppress(OSError):
                by_size.setdefault(path.stat().st_size, []).append(path)
        if count > _MOST_FILES:
            break
    for each in missing:
        candidates = list(by_name.get(each.path.name, ()))
        stamp = each.source.stamp if each.source is not None else None
        if stamp is not None:
            same = [*candidates, *by_size.get(stamp.size, ())]
            exact = next((path for path in same if _digest(path) == stamp.digest), None)
            if exact is not None:
                found[each.id] = exact
                continue
        if candidates:
            found[each.id] = candidates[0]
    return found


def _digest(path: Path) -> str | None:
    with suppress(OSError):
        return stamp_of(path).digest
    return None


def relinked(project: Project, found: Mapping[str, Path]) -> Project:
    """Return the project with media at other places; their poses stay those of the content.

    A file that holds something else than the one that was brought in gets its own stamp, so that
    its poses are read anew.
    """

    def moved(source: Source) -> Source:
        path = found.get(source.id)
        if path is None:
            return source
        stamp = source.stamp
        with suppress(OSError):
            stamp = stamp_of(path)
        return replace(source, path=str(path), stamp=stamp)

    return replace(
        project,
        sources=tuple(map(moved, project.sources)),
        characters=tuple(
            replace(each, path=str(found[each.id])) if each.id in found else each
            for each in project.characters
        ),
    )
