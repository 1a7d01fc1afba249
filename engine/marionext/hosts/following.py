"""What becomes of a render's folder, seen from outside, wherever it is rendered.

The record (``render.json``) says which frames are done, the event file (``events.jsonl``), where
there is one, what the engine has said. Both are read from disk, so that a render can be followed
from another program, another day or another computer.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from marionext.errors import OutputError, ProtocolError
from marionext.protocol import Event, read_event
from marionext.record import RECORD, Record

__all__ = [
    "EVENTS_FILE",
    "EventFile",
    "FolderFollower",
    "FolderState",
    "News",
    "frame_path",
    "read_state",
]

EVENTS_FILE = "events.jsonl"
"""What a detached engine says, an event a line."""


def frame_path(folder: Path, number: int) -> Path:
    """Return where a render's folder has the frame of that number."""
    return folder / "frames" / f"{number:06d}.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderState:
    """How far the render of a folder is."""

    record: Record | None = None
    """None: there is none yet, or it cannot be read."""
    problem: OutputError | None = None
    """Why the record cannot be read: damaged, or of a newer version."""

    @property
    def frames(self) -> tuple[int, ...]:
        """The numbers of the frames that are done, in order."""
        return () if self.record is None else tuple(sorted(self.record.done))

    @property
    def finished(self) -> bool:
        """Whether the render has come to its end, videos included."""
        return self.record is not None and self.record.stage.name == "finished"


def read_state(folder: Path) -> FolderState:
    """Return how far the render of a folder is; what cannot be read is told, not raised."""
    path = folder / RECORD
    try:
        if not path.is_file():
            return FolderState()
        return FolderState(record=Record.read(path))
    except OSError as error:
        return FolderState(problem=OutputError(f"{path} cannot be read: {error}"))
    except OutputError as error:
        return FolderState(problem=error)


class EventFile:
    """Events that another process appends to a file, read as they come."""

    def __init__(self, path: Path) -> None:
        """Begin at the first event; the file may be still to come."""
        self.path = path
        self._read = 0

    def poll(self) -> list[Event]:
        """Return the events that were written since the last call.

        A line that is still being written is left for later; one that is no event, such as one of
        another age, is passed over.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:
            return []
        whole, end, _ = new.rpartition(b"\n")
        self._read += len(whole) + len(end)
        events = []
        for line in whole.splitlines():
            with suppress(ProtocolError):
                events.append(read_event(line.decode("utf-8", errors="replace")))
        return events


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What has come into a folder between two looks at it."""

    frames: tuple[int, ...] = ()
    """Numbers of the frames that are new or show another picture, in order."""
    events: tuple[Event, ...] = ()


class FolderFollower:
    """Looks at a folder again and again."""

    def __init__(self, folder: Path) -> None:
        """Know nothing yet: the first `poll` tells of everything that is there."""
        self.folder = folder
        self.state = FolderState()
        """As of the last `poll`."""
        self._events = EventFile(folder / EVENTS_FILE)
        self._seen: tuple[int, int, int] | None = None
        self._told: dict[int, str] = {}

    def poll(self) -> News:
        """Return what is new; a record that has not changed is not read again."""
        events = self._events.poll()
        form = self._form()
        if form != self._seen:
            self._seen = form
            self.state = read_state(self.folder)
        record = self.state.record
        if record is None:
            return News(events=tuple(events))
        done = record.done
        new = tuple(number for number in sorted(done) if self._told.get(number) != done[number])
        self._told = done
        return News(frames=new, events=tuple(events))

    def _form(self) -> tuple[int, int, int] | None:
        """Return what changes with every change of the record."""
        try:
            found = (self.folder / RECORD).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
