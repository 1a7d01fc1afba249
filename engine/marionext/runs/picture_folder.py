"""The folder of pictures that were made, and ``picture.json``: what they are and were made of.

As with a render, what was made is kept at once, the same job goes on where it stopped, and nothing
that the record does not list is replaced or removed.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from marionext import __version__
from marionext.codec import decode, encode
from marionext.errors import OutputError, SettingsError
from marionext.files import read_json, sha256_of, write_json
from marionext.frames import frame_name
from marionext.output import FolderLock, write_png
from marionext.paths import is_inside
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native

__all__ = [
    "PICTURE_RECORD",
    "PictureFolder",
    "PictureRecord",
    "begun_with",
    "damages_of",
    "find_pictures",
    "read_record",
    "release",
    "started",
]

PICTURE_RECORD = "picture.json"
"""Name of the record in the folder of pictures."""

SCHEMA = "marionext.pictures"
SCHEMA_VERSION = 1

_PICTURES = "pictures"
_CONTROLS = "controls"
_SHEET = "sheet.png"
_HINT = "Choose another folder, or say --overwrite to replace what Marionext wrote there."


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRecord:
    """What a folder of pictures holds."""

    schema: str = SCHEMA
    version: int = SCHEMA_VERSION
    identity: str
    """sha256 of all that changes a pixel: equal means that the same seed gives the same picture."""
    job: dict[str, Any]
    """As `marionext.jobs.encode_job` gives it."""
    inputs: dict[str, str]
    """sha256 of what the job reads, by what it is."""
    models: dict[str, str]
    """sha256 of the files of base, autoencoder, control networks and LoRAs."""
    versions: dict[str, str]
    computed: dict[str, str]
    """How: ``device``, ``dtype``, ``threads``."""
    size: tuple[int, int]
    """Width and height of the pictures."""
    seeds: dict[str, int] = field(default_factory=dict)
    """Seed of each picture that is done, by its name in the folder."""
    files: dict[str, str] = field(default_factory=dict)
    """sha256 of everything that was written, by its name in the folder."""
    notes: tuple[str, ...] = ()
    """What was said: what was rounded, cut off, guessed."""


def identity_of(
    job: Mapping[str, Any],
    inputs: Mapping[str, str],
    models: Mapping[str, str],
    computed: Mapping[str, str],
) -> str:
    """Return a sha256 that is equal for jobs whose pictures are equal, seed by seed.

    Files count by their content and not by where they are; how many pictures there are counts not
    at all, so that more of them can be made later.
    """
    kept = {key: value for key, value in job.items() if key not in {"count", "output", "version"}}
    for name in ("base", "vae", "config"):
        kept.pop(name, None)
    kept["controls"] = [
        {
            **control,
            "weights": None,
            "estimator": None,
            "source": {k: v for k, v in control["source"].items() if k not in {"path", "rig"}},
        }
        for control in job["controls"]
    ]
    kept["loras"] = [lora["weight"] for lora in job["loras"]]
    if job["draft"] is not None:
        kept["draft"] = {k: v for k, v in job["draft"].items() if k != "path"}
    whole = {
        "job": kept,
        "inputs": dict(inputs),
        "models": dict(models),
        "computed": dict(computed),
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_record(path: Path) -> PictureRecord | None:
    """Read the record of a folder of pictures, or return None where there is none.

    Raises:
        OutputError: it cannot be read, or is none.
    """
    try:
        data = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: not a record of pictures: {error}", hint=_HINT) from None
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise OutputError(
            f"{path}: expected a record of version {SCHEMA_VERSION}, got {version}",
            hint="It was written by another version of Marionext; choose another folder.",
        )
    try:
        record = decode(PictureRecord, data)
    except SettingsError as error:
        raise OutputError(f"{path}: not a record of pictures: {error.message}") from None
    if record.schema != SCHEMA or not all(map(is_inside, (*record.files, *record.seeds))):
        raise OutputError(f"{path}: not a record of pictures")
    return record


class PictureFolder:
    """Holds the folder for one run; a context manager.

    Args:
        folder: of the results.
        wanted: the record that they are to have; its ``seeds`` and ``files`` are empty.
        overwrite: replace the pictures of another job.

    Raises:
        OutputError: another run is at work there, it holds something else, or it cannot be written.
    """

    def __init__(self, folder: Path, wanted: PictureRecord, *, overwrite: bool) -> None:
        """Look at what is there."""
        self.folder = folder
        self._claimed: set[str] = set()
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

    def _opened(self, wanted: PictureRecord, *, overwrite: bool) -> PictureRecord:
        path = self.folder / PICTURE_RECORD
        found = read_record(path)
        if found is None:
            self._refuse_strangers()
            record = wanted
        elif found.identity == wanted.identity:
            whole = {name: hashed for name, hashed in found.files.items() if self._is(name, hashed)}
            # A run that died may have written these, and not come to say so.
            self._claimed = {name for name, hashed in found.files.items() if not hashed}
            seeds = {name: seed for name, seed in found.seeds.items() if name in whole}
            record = replace(wanted, seeds=seeds, files=whole)
        elif overwrite:
            for name, hashed in found.files.items():
                if self._is(name, hashed):
                    (self.folder / name).unlink()
            self._refuse_strangers()
            record = wanted
        else:
            raise OutputError(f"{self.folder} holds the pictures of another job", hint=_HINT)
        write_json(path, encode(record))
        return record

    def _is(self, name: str, hashed: str) -> bool:
        path = self.folder / name
        try:
            return path.is_file() and sha256_of(path) == hashed
        except OSError:
            return False

    def _refuse_strangers(self) -> None:
        """Make sure that nothing of the user's lies where results will.

        Raises:
            OutputError: something does.
        """
        for name in (_SHEET, _PICTURES, _CONTROLS):
            path = self.folder / name
            if path.is_file() or (path.is_dir() and any(path.iterdir())):
                raise OutputError(
                    f"{path} is there already, and Marionext did not write it here",
                    hint="Choose another folder, or move it away.",
                )

    def has(self, seed: int) -> bool:
        """Tell whether the picture of a seed is there."""
        return seed in self.record.seeds.values()

    def put_control(self, place: int, kind: str, picture: NDArray[np.uint8]) -> Path:
        """Write a control picture; ``place`` counts from 1."""
        return self._put(f"{_CONTROLS}/{place}-{kind}.png", picture)

    def put_draft(self, picture: NDArray[np.uint8]) -> Path:
        """Write the draft that pictures begin with."""
        return self._put(f"{_CONTROLS}/draft.png", picture)

    def put_sheet(self, picture: NDArray[np.uint8]) -> Path:
        """Write the contact sheet."""
        return self._put(_SHEET, picture)

    def put_picture(
        self, number: int, seed: int, picture: NDArray[np.uint8], text: Mapping[str, str]
    ) -> Path:
        """Write a picture and say so in the record; numbers count from 1.

        Args:
            number: of the picture.
            seed: of its noise.
            picture: (height, width, 3) RGB.
            text: kept in the file.
        """
        name = f"{_PICTURES}/{frame_name(number)}"
        self.record = replace(self.record, seeds={**self.record.seeds, name: seed})
        return self._put(name, picture, text)

    def path_of(self, seed: int) -> Path:
        """Return where the picture of a seed is."""
        name = next(name for name, each in self.record.seeds.items() if each == seed)
        return self.folder / name

    def note(self, notes: tuple[str, ...]) -> None:
        """Keep what was said."""
        known = self.record.notes
        new = tuple(note for note in dict.fromkeys(notes) if note not in known)
        self._keep(replace(self.record, notes=(*known, *new)))

    def put_pose(self, number: int, track: PoseTrack) -> Path:
        """Write the pose that a picture was asked for beside it, as a render looks for it there."""
        name = Path(f"{_PICTURES}/{frame_name(number)}").with_suffix(".pose.npz").as_posix()

        def write(path: Path) -> str:
            write_native(track, path)
            return sha256_of(path)

        return self._written(name, write)

    def _put(
        self, name: str, picture: NDArray[np.uint8], text: Mapping[str, str] | None = None
    ) -> Path:
        return self._written(name, lambda path: write_png(path, picture, text=text))

    def _written(self, name: str, write: Callable[[Path], str]) -> Path:
        """Write a file whose name the record has before the file has it.

        Args:
            name: of the file in the folder.
            write: does it, and returns its sha256.
        """
        path = self.folder / name
        if path.exists() and name not in self.record.files and name not in self._claimed:
            raise OutputError(
                f"{path} is there already, and is not as Marionext wrote it",
                hint="Choose another folder, or move it away.",
            )
        self._keep(replace(self.record, files={**self.record.files, name: ""}))
        hashed = write(path)
        self._keep(replace(self.record, files={**self.record.files, name: hashed}))
        return path

    def _keep(self, record: PictureRecord) -> None:
        self.record = record
        write_json(self.folder / PICTURE_RECORD, encode(record))


def find_pictures(folder: Path) -> tuple[Path, ...]:
    """Return the folders of pictures at a place: itself, or all below it."""
    if (folder / PICTURE_RECORD).is_file():
        return (folder,)
    return tuple(sorted(path.parent for path in folder.rglob(PICTURE_RECORD)))


def damages_of(folder: Path) -> tuple[PictureRecord, dict[str, str]]:
    """Compare every file of a folder of pictures with its record; nothing is changed.

    Returns:
        The record, and what is wrong with each file that is not as it was made: ``missing``,
        ``changed``, or ``unfinished`` where a run died.

    Raises:
        OutputError: the record cannot be read.
    """
    record = read_record(folder / PICTURE_RECORD)
    if record is None:
        raise OutputError(f"{folder / PICTURE_RECORD} is not there any more")
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


def release(folder: Path, names: Iterable[str]) -> None:
    """Let files of a folder of pictures be made again, whatever is there under their names now.

    Raises:
        OutputError: another run is at work there, or it cannot be written.
    """
    with FolderLock(folder):
        record = read_record(folder / PICTURE_RECORD)
        if record is not None:
            hurt = dict.fromkeys(names, "")
            files = {**record.files, **{name: "" for name in hurt if name in record.files}}
            write_json(folder / PICTURE_RECORD, encode(replace(record, files=files)))


def begun_with(folder: Path) -> int | None:
    """Return the threads of the processor that pictures in a folder were made with, if any."""
    try:
        data = read_json(folder / PICTURE_RECORD)
    except (OSError, ValueError):
        return None  # said when it is opened
    computed = data.get("computed") if isinstance(data, dict) else None
    number = computed.get("threads") if isinstance(computed, dict) else None
    if isinstance(number, str) and number.isdecimal() and 0 < int(number) < 1000:
        return int(number)
    return None


def started(
    *,
    job: Mapping[str, Any],
    inputs: Mapping[str, str],
    models: Mapping[str, str],
    versions: Mapping[str, str],
    computed: Mapping[str, str],
    size: tuple[int, int],
) -> PictureRecord:
    """Return the record of pictures that are not made yet; see its fields."""
    return PictureRecord(
        identity=identity_of(job, inputs, models, computed),
        job=dict(job),
        inputs=dict(inputs),
        models=dict(models),
        versions={"marionext": __version__, **versions},
        computed=dict(computed),
        size=size,
    )
