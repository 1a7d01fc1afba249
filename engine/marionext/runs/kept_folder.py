"""A folder of results and its record: what was made is kept, what is the user's is not touched.

What was made is on disk and in the record at once, the same job goes on where it stopped, and
nothing that the record does not list is replaced or removed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from marionext.codec import decode, encode
from marionext.errors import OutputError, SettingsError
from marionext.files import read_json, sha256_of, write_json
from marionext.output import FolderLock
from marionext.paths import is_inside

__all__ = [
    "KeptFolder",
    "KeptRecord",
    "begun_with",
    "damages_of",
    "find_kept",
    "read_record",
    "release",
]

_HINT = "Choose another folder, or say --overwrite to replace what Marionext wrote there."


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecord:
    """What every record of a folder of results says; each kind adds what is its own."""

    NAME: ClassVar[str]
    """Of its file."""
    SCHEMA: ClassVar[str]
    VERSION: ClassVar[int]
    WHAT: ClassVar[str]
    """What lies in the folder, in words."""

    schema: str
    version: int
    identity: str
    """sha256 of all that changes a pixel: equal means equal results."""
    job: dict[str, Any]
    """As `marionext.jobs.encode_job` gives it."""
    inputs: dict[str, str]
    """sha256 of what the job reads, by what it is."""
    models: dict[str, str]
    """sha256 of the models' files."""
    versions: dict[str, str]
    computed: dict[str, str]
    """How: ``device``, ``dtype``, ``threads``."""
    files: dict[str, str] = field(default_factory=dict)
    """sha256 of everything that was written, by its name in the folder; empty while it is made."""
    notes: tuple[str, ...] = ()
    """What was said: what was rounded, cut off, guessed."""

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the pictures that are done."""
        return tuple(name for name, hashed in self.files.items() if hashed)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of a file that it mentions."""
        return tuple(self.files)


_R = TypeVar("_R", bound=KeptRecord)


def read_record(folder: Path, kind: type[_R]) -> _R | None:
    """Read the record of a folder, or return None where there is none.

    Raises:
        OutputError: it cannot be read, or is none of that kind.
    """
    path = folder / kind.NAME
    what = f"{path}: not a record of {kind.WHAT}"
    try:
        data = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{what}: {error}", hint=_HINT) from None
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > kind.VERSION:
        raise OutputError(
            f"{path}: expected a record of version {kind.VERSION}, got {version}",
            hint="It was written by another version of Marionext; choose another folder.",
        )
    try:
        record = decode(kind, data)
    except SettingsError as error:
        raise OutputError(f"{what}: {error.message}") from None
    if record.schema != kind.SCHEMA or not all(map(is_inside, record.names)):
        raise OutputError(what)
    return record


class KeptFolder(Generic[_R]):
    """Holds the folder for one run; a context manager.

    Args:
        folder: of the results.
        wanted: the record that they are to have; it lists no files yet.
        overwrite: replace the results of another job.

    Raises:
        OutputError: another run is at work there, it holds something else, or it cannot be written.
    """

    def __init__(self, folder: Path, wanted: _R, *, overwrite: bool) -> None:
        """Look at what is there."""
        self.folder = folder
        self._lock = FolderLock(folder)
        try:
            self.record = self._opened(wanted, overwrite=overwrite)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        """Return the folder itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the folder go."""
        self._lock.release()

    def _opened(self, wanted: _R, *, overwrite: bool) -> _R:
        found = read_record(self.folder, type(wanted))
        if found is None:
            self._refuse_strangers(wanted)
            record = wanted
        elif found.identity == wanted.identity:
            # Without a hash: a run that died may have written it, and not come to say so.
            files = {
                name: hashed
                for name, hashed in found.files.items()
                if not hashed or self._is(name, hashed)
            }
            record = self._continued(found, replace(wanted, files=files))
        elif overwrite:
            for name, hashed in found.files.items():
                if self._is(name, hashed):
                    (self.folder / name).unlink()
            self._refuse_strangers(wanted)
            record = wanted
        else:
            raise OutputError(f"{self.folder} holds the {wanted.WHAT} of another job", hint=_HINT)
        self._keep(record)
        return record

    def _continued(self, _found: _R, wanted: _R) -> _R:
        """Return the record to go on with.

        Args:
            _found: the record that is there.
            wanted: the new one, with those files that are whole, and those that were in the making.
        """
        return wanted

    def _results(self, _wanted: _R) -> Iterable[str]:
        """Return the names in the folder that results will have; of folders all that is in them."""
        return ()

    def _is(self, name: str, hashed: str) -> bool:
        path = self.folder / name
        try:
            return path.is_file() and sha256_of(path) == hashed
        except OSError:
            return False

    def _refuse_strangers(self, wanted: _R) -> None:
        """Make sure that nothing of the user's lies where results will.

        Raises:
            OutputError: something does.
        """
        for name in self._results(wanted):
            path = self.folder / name
            if path.is_file() or (path.is_dir() and any(path.iterdir())):
                raise OutputError(
                    f"{path} is there already, and Marionext did not write it here",
                    hint="Choose another folder, or move it away.",
                )

    def note(self, notes: tuple[str, ...]) -> None:
        """Keep what was said."""
        known = self.record.notes
        new = tuple(note for note in dict.fromkeys(notes) if note not in known)
        self._keep(replace(self.record, notes=(*known, *new)))

    def _written(self, name: str, write: Callable[[Path], str]) -> Path:
        """Write a file whose name the record has before the file has it.

        Args:
            name: of the file in the folder.
            write: does it, and returns its sha256.
        """
        path = self.folder / name
        self._refuse_unknown(name)
        self._keep(replace(self.record, files={**self.record.files, name: ""}))
        hashed = write(path)
        self._keep(replace(self.record, files={**self.record.files, name: hashed}))
        return path

    def _refuse_unknown(self, name: str) -> None:
        """Make sure that a file is not there, or of the record.

        Raises:
            OutputError: it is there, and not as it was written.
        """
        path = self.folder / name
        if path.exists() and name not in self.record.files:
            raise OutputError(
                f"{path} is there already, and is not as Marionext wrote it",
                hint="Choose another folder, or move it away.",
            )

    def _keep(self, record: _R) -> None:
        self.record = record
        write_json(self.folder / record.NAME, encode(record))


def find_kept(folder: Path, kind: type[KeptRecord]) -> tuple[Path, ...]:
    """Return the folders with a record of a kind at a place: itself, or all below it."""
    if (folder / kind.NAME).is_file():
        return (folder,)
    return tuple(sorted(path.parent for path in folder.rglob(kind.NAME)))


def damages_of(folder: Path, kind: type[_R]) -> tuple[_R, dict[str, str]]:
    """Compare every file of a folder with its record; nothing is changed.

    Returns:
        The record, and what is wrong with each file that is not as it was made: ``missing``,
        ``changed``, or ``unfinished`` where a run died.

    Raises:
        OutputError: the record cannot be read.
    """
    record = read_record(folder, kind)
    if record is None:
        raise OutputError(f"{folder / kind.NAME} is not there any more")
    found = {}
    for name, hashed in record.files.items():
        path = folder / name
        if not path.is_file():
            found[name] = "missing"
        elif not hashed:
            found[name] = "unfinished"
        elif sha256_of(path) != hashed:
            found[name] = "changed"
    return record, found


def release(folder: Path, names: Iterable[str], kind: type[KeptRecord]) -> None:
    """Let files of a folder be made again, whatever is there under their names now.

    Raises:
        OutputError: another run is at work there, or it cannot be written.
    """
    with FolderLock(folder):
        record = read_record(folder, kind)
        if record is not None:
            files = {**record.files, **{name: "" for name in names if name in record.files}}
            write_json(folder / kind.NAME, encode(replace(record, files=files)))


def begun_with(folder: Path, kind: type[KeptRecord]) -> int | None:
    """Return the threads of the processor that results in a folder were made with, if any."""
    try:
        data: Mapping[str, Any] = read_json(folder / kind.NAME)
    except (OSError, ValueError):
        return None  # said when it is opened
    computed = data.get("computed") if isinstance(data, dict) else None
    number = computed.get("threads") if isinstance(computed, dict) else None
    if isinstance(number, str) and number.isdecimal() and 0 < int(number) < 1000:
        return int(number)
    return None
