"""Project files: strict, versioned, with relative paths; saved whole or not at all.

What somebody else has written is never overwritten: a file that is damaged, of a newer version, or
changed since it was read (by another window, or another program) is refused with a word about what
to do. A project that is open in another window can be looked at and saved under another name.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from marionext.codec import decode, encode
from marionext.errors import OutputError, SettingsError
from marionext.files import read_bytes, write_bytes
from marionext.limits import JSON_BYTES
from marionext.locking import BusyError, FileLock
from marionext.paths import user_path
from marionext_desktop.model.project import PROJECT_VERSION, Project

__all__ = [
    "SCHEMA",
    "SUFFIX",
    "DamagedProjectError",
    "NewerProjectError",
    "OpenedProject",
    "ProjectChangedError",
    "as_text",
    "from_bytes",
    "open_project",
    "read_project",
    "save_as",
]

SCHEMA = "marionext.project"
SUFFIX = ".marionext"

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
UPGRADES: dict[int, Upgrade] = {}
"""By version, what brings a file's content to the next one."""


class DamagedProjectError(OutputError):
    """The file is no project, or a damaged one; it is left as it is."""


class NewerProjectError(OutputError):
    """The file was written by a newer Marionext; it is left as it is."""


class ProjectChangedError(OutputError):
    """The file is another than the one that was read; it is left as it is."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file's content as it was last seen."""

    digest: str


class OpenedProject:
    """A project's file while it is open in this window; its lock keeps other windows from it."""

    def __init__(self, path: Path, seen: _Seen | None, lock: FileLock | None, holder: str) -> None:
        """Hold a file; made by `open_project` and `save_as`."""
        self.path = path
        self.holder = holder
        """Why it cannot be saved under its own name: who has it open; empty: it can."""
        self._seen = seen
        self._lock = lock

    @property
    def read_only(self) -> bool:
        """Whether it can only be saved under another name."""
        return bool(self.holder)

    def save(self, project: Project) -> None:
        """Write the project, unless the file is another than the one that was read.

        Raises:
            ProjectChangedError: it is.
            OutputError: it is open in another window, or cannot be written.
        """
        if self.holder:
            raise BusyError(self.holder, hint="Save it under another name.")
        content = as_text(project, beside=self.path.parent).encode("utf-8", "surrogatepass")
        try:
            found = _Seen(_digest(read_bytes(self.path)))
        except FileNotFoundError:
            found = None  # somebody has moved it away: nothing is lost by writing it again
        except OSError as error:
            raise OutputError(f"{self.path} cannot be read: {error.strerror or error}") from None
        if found is not None and self._seen is not None and found != self._seen:
            raise ProjectChangedError(
                f"expected {self.path.name} as it was when it was opened, another program has "
                "changed it",
                hint="Save under another name, then compare; or open it again.",
            )
        write_bytes(self.path, content)
        self._seen = _Seen(_digest(content))

    def close(self) -> None:
        """Let other windows have it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def open_project(path: Path) -> tuple[Project, OpenedProject]:
    """Open a project's file, and keep other windows from writing to it.

    Raises:
        DamagedProjectError: it is no project.
        NewerProjectError: it was written by a newer version.
        OutputError: it cannot be read.
    """
    path = path.absolute()
    lock, holder = _locked(path)
    try:
        content = _content(path)
        project = from_bytes(content, path)
    except OutputError:
        if lock is not None:
            lock.release()
        raise
    return project, OpenedProject(path, _Seen(_digest(content)), lock, holder)


def save_as(project: Project, path: Path, *, overwrite: bool = False) -> OpenedProject:
    """Write a project under a name, and hold that file from now on.

    Args:
        project: the project.
        path: of the file.
        overwrite: whether another project of that name may be replaced; the user was asked.

    Raises:
        DamagedProjectError, NewerProjectError: what is there is no project that could be replaced.
        OutputError: it is there already, open in another window, or cannot be written.
    """
    path = path.absolute()
    if path.exists():
        if not overwrite:
            raise OutputError(f"{path} is there already", hint="Choose another name.")
        read_project(path)  # what is no project of ours is not replaced, whatever was said
    lock, holder = _locked(path)
    if holder:
        raise BusyError(holder, hint="Save it under another name.")
    content = as_text(project, beside=path.parent).encode("utf-8", "surrogatepass")
    try:
        write_bytes(path, content)
    except OutputError:
        if lock is not None:
            lock.release()
        raise
    return OpenedProject(path, _Seen(_digest(content)), lock, "")


def read_project(path: Path) -> Project:
    """Read a project without holding its file.

    Raises:
        OutputError: as `open_project`.
    """
    return from_bytes(_content(path), path.absolute())


def _locked(path: Path) -> tuple[FileLock | None, str]:
    """Take the lock of a file; return it, or who has it."""
    lock_file = path.with_name(f".{path.name}.lock")
    try:
        return FileLock(
            lock_file, path.name, "Look at it here, and save it under another name."
        ), ""
    except BusyError as error:
        return None, error.message.replace("another run", "another window")
    except OutputError:
        # The folder cannot be written to: the file then cannot either, which saving will say.
        return None, ""


def _content(path: Path) -> bytes:
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        raise OutputError(
            f"expected a project, there is no {path}", hint="Was it moved or renamed?"
        ) from None
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(content) > JSON_BYTES:
        raise DamagedProjectError(f"expected a project, {path} is too large for one")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ------------------------------------------------------------------------------------ the content


def from_bytes(content: bytes, path: Path) -> Project:
    """Read what a project's file holds.

    Args:
        content: of the file.
        path: of the file: relative paths start at its folder.

    Raises:
        DamagedProjectError: it is no project.
        NewerProjectError: it was written by a newer version.
    """
    hint = "It is left as it is. After a crash, the next start offers what was autosaved."
    try:
        data = json.loads(content)
    except json.JSONDecodeError as error:
        where = "is empty" if not content.strip() else f"is damaged in line {error.lineno}"
        if content.strip() and error.pos >= len(error.doc.rstrip()):
            where = f"breaks off in line {error.lineno}"
        raise DamagedProjectError(f"expected a project, {path.name} {where}", hint=hint) from None
    except (ValueError, RecursionError):
        raise DamagedProjectError(
            f"expected a project, {path.name} holds something else", hint=hint
        ) from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise DamagedProjectError(f"{path.name} is no Marionext project", hint=hint)
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise DamagedProjectError(f"{path.name} says no version", hint=hint)
    if version > PROJECT_VERSION:
        raise NewerProjectError(
            f"{path.name} is a project of version {version}, this Marionext reads up to "
            f"{PROJECT_VERSION}",
            hint="Update Marionext.",
        )
    for step in range(version, PROJECT_VERSION):
        data = UPGRADES[step](data)
    fields = {key: value for key, value in data.items() if key != "schema"}
    try:
        project = decode(Project, {**fields, "version": PROJECT_VERSION})
        return _anchored(project, path.parent)
    except (SettingsError, KeyError, OverflowError) as error:
        raise DamagedProjectError(f"{path.name} is damaged: {error}", hint=hint) from None


def as_text(project: Project, *, beside: Path) -> str:
    """Return a project as its file has it: a line for each clip, source, edit.

    Args:
        project: the project.
        beside: folder of the file: paths are relative to it.
    """
    data = {"schema": SCHEMA, **encode(_relative(project, beside))}
    return "".join(_lines(data)) + "\n"


def _lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Write JSON so that versions of it can be compared, and numbers fill no pages."""
    yield "{\n"
    for place, (key, value) in enumerate(data.items()):
        yield ",\n" if place else ""
        yield f" {json.dumps(key)}: "
        if key == "clips" and value:
            yield "[\n  "
            yield ",\n  ".join(map(_clip, value))
            yield "\n ]"
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield "[\n  "
            yield ",\n  ".join(map(_compact, value))
            yield "\n ]"
        else:
            yield _compact(value)
    yield "\n}"


def _clip(value: dict[str, Any]) -> str:
    edits = value["edits"]
    if not edits:
        return _compact(value)
    rest = _compact({key: item for key, item in value.items() if key != "edits"})
    inner = ",\n    ".join(map(_compact, edits))
    return f'{rest[:-1]}, "edits": [\n    {inner}\n  ]}}'


def _compact(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(", ", ": "))


# -------------------------------------------------------------------------------------- the paths


def _anchored(project: Project, folder: Path) -> Project:
    return _with_paths(
        project, lambda text: str(Path(os.path.normpath(user_path(text, beside=folder))))
    )


def _relative(project: Project, folder: Path) -> Project:
    folder = folder.absolute()

    def relative(text: str) -> str:
        try:
            return Path(os.path.relpath(text, folder)).as_posix()
        except ValueError:  # another drive
            return text

    return _with_paths(project, relative)


def _with_paths(project: Project, change: Callable[[str], str]) -> Project:
    return replace(
        project,
        sources=tuple(replace(each, path=change(each.path)) for each in project.sources),
        characters=tuple(replace(each, path=change(each.path)) for each in project.characters),
        takes=tuple(replace(each, folder=change(each.folder)) for each in project.takes),
    )
