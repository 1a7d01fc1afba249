"""The files of a job on their way to a machine that does not see them, and its results back.

On the other machine each file lies under one folder at the path that it has here: `hero.png` finds
its `hero.pose.npz` and a glTF file its textures, and taking the folder's name away from a message
gives the path that the user knows. What comes back is written by the submitter, each file whole or
not at all, and never over a file that has changed or come meanwhile.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from marionext.errors import OutputError, SettingsError
from marionext.files import open_file, writing
from marionext.job_files import results_of
from marionext.jobs import ExportJob, Job, PictureJob, RenderJob, TakeJob, UpscaleJob, with_paths
from marionext.output import LOCK_FILE, FolderLock
from marionext.record import COPY, RECORD

__all__ = ["CHUNK", "Delivery", "Scratch", "chunks", "refuse_unsent"]

CHUNK = 16 * 2**20
"""Bytes that travel at once."""

_PREFIX = "marionext-ray-"
_OWN = ("state", "takes")
"""Folders of a render in which files come and go."""

_RECORDS = (RECORD, COPY)
"""Files of a render that name others by their paths."""

_Form = tuple[int, int]
"""When a file was changed (ns), and its size: by this a file that is as it was is known."""


def refuse_unsent(job: Job) -> None:
    """Make sure that a job can be done by a machine that is sent its files.

    Raises:
        SettingsError: it cannot.
    """
    if os.name == "nt":
        raise SettingsError(
            "--ray-transfer: expected Linux or macOS, whose paths are the same everywhere",
            hint="Put the files into a folder that all machines see, and leave it out.",
        )
    if isinstance(job, TakeJob | ExportJob):
        raise SettingsError(
            "--ray-transfer: a change of takes, or an export, reads the files of whole renders",
            hint="Do it here: marionext batch without --ray.",
        )
    if isinstance(job, PictureJob | UpscaleJob):
        raise SettingsError(
            "--ray-transfer: pictures read whole models or folders, which are not sent",
            hint="Have files and models in folders that all machines see, and leave it out.",
        )


def chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's content in parts; one of an empty file.

    Raises:
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        yield file.read(CHUNK)
        while part := file.read(CHUNK):
            yield part


class Delivery:
    """A job's files on the submitter's side; its results' folder is held until `close`.

    Args:
        job: anything but a change of takes, an export and pictures.
        overwrite: whether results may replace what is there, as of the job itself.

    Raises:
        EngineError: the motion or character cannot be read, something of the user's stands where
            a result belongs, or another run is at work there.
    """

    def __init__(self, job: Job, *, overwrite: bool) -> None:
        """Look at what the job reads and what is there of its results."""
        refuse_unsent(job)
        assert not isinstance(job, TakeJob | ExportJob | PictureJob | UpscaleJob)
        self._overwrite = overwrite
        self._lock: FolderLock | None = None
        self.places = tuple(_clean(result) for result in results_of(job))
        """The files or folders of the results, the chief one first."""
        self.place = self.places[0]
        read = _read_by(job)
        if isinstance(job, RenderJob):
            # As the render would, which sees only what it is sent.
            self._lock = FolderLock(self.place)
        there = [file for place in self.places for file in _files_in(place)]
        if isinstance(job, RenderJob) and not (self.place / RECORD).is_file():
            there = []
        self._sent = {file: _form(file) for file in there}
        self.files: tuple[Path, ...] = tuple(dict.fromkeys((*read, *there)))
        """What has to be sent."""

    def bring(
        self, made: dict[str, int], gone: Sequence[str], read: Callable[[str, int], bytes]
    ) -> None:
        """Write what was made where it belongs.

        Args:
            made: paths and sizes of files.
            gone: paths of files that were sent and are not needed any more.
            read: returns a part of a file, from an offset on.

        Raises:
            OutputError: one cannot be written, or something else has come in its place.
        """
        # The record first: frames without one would be taken for somebody else's, while a record
        # without its frames has them made again.
        order = sorted(made, key=lambda name: Path(name) != self.place / RECORD)
        for name in order:
            path = Path(name)
            if not any(_is_within(path, place) for place in self.places):
                raise OutputError(f"a worker has sent {name}, which is no result of its job")
            self._refuse_changed(path)
            with writing(path) as file:
                offset = 0
                while offset < made[name]:
                    part = read(name, offset)
                    if not part:
                        raise OutputError(f"{name} came cut off, after {offset} bytes")
                    file.write(part)
                    offset += len(part)
            self._sent[path] = _form(path)
        for name in gone:
            path = Path(name)
            if path in self._sent and any(_is_within(path, self.place / own) for own in _OWN):
                with contextlib.suppress(OSError):
                    path.unlink()
                    path.parent.rmdir()

    def _refuse_changed(self, path: Path) -> None:
        if not os.path.lexists(path):
            return
        known = self._sent.get(path)
        if path.is_symlink() or (known != _form(path) and not (known is None and self._overwrite)):
            raise OutputError(
                f"{path} has come or changed while its job was done elsewhere",
                hint="Move it away and start again.",
            )

    def close(self) -> None:
        """Let the results' folder go."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _read_by(job: Job) -> list[Path]:
    """Return the files that a job reads.

    Raises:
        EngineError: its motion or character cannot be read.
    """
    from marionext import bundles  # noqa: PLC0415 - what follows reads media files
    from marionext.backends import backend_of  # noqa: PLC0415
    from marionext.output import refuse_strangers  # noqa: PLC0415
    from marionext.runs.videos import result_files  # noqa: PLC0415
    from marionext.sources import open_motion, select_frames  # noqa: PLC0415

    assert not isinstance(job, TakeJob | ExportJob | PictureJob | UpscaleJob)
    motion = open_motion(job.motion)
    found = [*motion.files, *motion.presets]
    if isinstance(job, RenderJob):
        bundle = bundles.require(job.model)
        backend = backend_of(bundle, job.settings)
        for files in backend.characters(job).values():
            found += files
        if job.output.sound is not None:
            found.append(Path(job.output.sound))
        if not (Path(job.output.directory) / RECORD).is_file():
            refuse_strangers(result_files(job, select_frames(job.frames, motion.frames)))
    return [_clean(file) for file in found]


class Scratch:
    """A folder on the machine that does the job, with what was sent under the paths of its origin.

    What an actor that was killed has left is removed by the next one.
    """

    def __init__(self) -> None:
        """Make the folder, which is this user's alone."""
        _sweep()
        self._top = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        self._lock = FolderLock(self._top)
        self._root = self._top / "files"
        self._root.mkdir()
        self._sent: dict[Path, _Form] = {}

    def put(self, path: str, parts: Iterable[bytes]) -> None:
        """Write a file that was sent."""
        target = self._here(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.writelines(parts)
        self._sent[target] = _form(target)

    def moved(self, job: Job) -> Job:
        """Return a job whose files are those in this folder."""
        return with_paths(job, lambda path: str(self._here(path)))

    def as_sent(self, text: str) -> str:
        """Return JSON with the submitter's paths in place of this folder's."""
        return text.replace(json.dumps(str(self._root))[1:-1], "")

    def results(self, place: str) -> tuple[dict[str, int], list[str]]:
        """Return what is new or changed in a place, and what was sent and is gone."""
        here = self._here(place)
        made = {
            str(self._origin(file)): len(self._content(file, 0, None))
            if file.name in _RECORDS
            else file.stat().st_size
            for file in _files_in(here)
            if self._sent.get(file) != _form(file)
        }
        gone = [str(self._origin(f)) for f in self._sent if _is_within(f, here) and not f.exists()]
        return made, gone

    def read(self, path: str, offset: int, count: int) -> bytes:
        """Return a part of a file."""
        return self._content(self._here(path), offset, count)

    def remove(self) -> None:
        """Remove the folder."""
        self._lock.release()
        shutil.rmtree(self._top, ignore_errors=True)

    def _content(self, file: Path, offset: int, count: int | None) -> bytes:
        if file.name in _RECORDS:
            text = self.as_sent(file.read_text(encoding="utf-8")).encode("utf-8")
            return text[offset:] if count is None else text[offset : offset + count]
        with open_file(file) as opened:
            opened.seek(offset)
            return opened.read() if count is None else opened.read(count)

    def _here(self, path: str) -> Path:
        clean = _clean(Path(path))
        return self._root / clean.relative_to(clean.anchor)

    def _origin(self, file: Path) -> Path:
        return Path("/") / file.relative_to(self._root)


def _sweep() -> None:
    """Remove the folders of actors of this user's that were killed: nobody holds their locks."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, OutputError):
            if left.is_symlink() or left.stat().st_uid != os.geteuid():
                continue
            if not (left / LOCK_FILE).is_file():
                continue  # it is being made
            FolderLock(left).release()
            shutil.rmtree(left, ignore_errors=True)


def _files_in(place: Path) -> list[Path]:
    """Return the files of a result, without what holds its folder."""
    if place.is_file() and not place.is_symlink():
        return [place.absolute()]
    return [
        Path(folder).absolute() / name
        for folder, _, names in os.walk(place)
        for name in sorted(names)
        if name != LOCK_FILE and not (Path(folder) / name).is_symlink()
    ]


def _is_within(path: Path, place: Path) -> bool:
    return _clean(path).is_relative_to(place)


def _clean(path: Path) -> Path:
    """Return a path as it is written, absolute and without dots; links are left alone."""
    return Path(os.path.normpath(path.absolute()))


def _form(path: Path) -> _Form:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
