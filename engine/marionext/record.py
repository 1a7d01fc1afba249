"""`render.json`: what a folder of frames is, how it was made, and how far it has come.

Going on after a crash, leaving alone what is there, and rendering something again from its folder
are this one file. It is rewritten as a whole, soon after each frame, and read strictly.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from marionext import __version__
from marionext.codec import decode, encode
from marionext.errors import OutputError, SettingsError
from marionext.files import read_json, write_json
from marionext.frames import FrameRate, frame_name
from marionext.limits import FRAME_NUMBER, quoted
from marionext.paths import is_inside

__all__ = ["COPY", "RECORD", "SCHEMA", "SCHEMA_VERSION", "Record", "Stage", "Take", "identity_of"]

RECORD = "render.json"
"""Name of the file in the folder of a render."""
COPY = ".render.json"
"""Name of its copy, which a finished render has beside it: where the record itself is damaged."""

SCHEMA = "marionext.render"
SCHEMA_VERSION = 2
"""2 has takes; files of version 1 are read as well."""

_NUMBER = re.compile(r"-?[0-9]{1,10}")
_HINT = "Delete it to start over."
_NOT_IN_PIXELS = ("output", "quality", "version")
"""Keys of a job that change no pixel of a frame."""
_NOTHING = object()
_AS_BEFORE: tuple[tuple[tuple[str, ...], object], ...] = (
    (("kind",), "render"),
    (("again",), None),
    (("motion", "source_rate"), None),
    (("motion", "source_size"), None),
    (("motion", "up"), None),
    (("pose", "edits"), []),
    (("settings", "kind"), "svd"),
    (("settings", "noise"), "run"),
)
"""Keys that jobs have not always had, with the value that says the same as their absence."""
_HASHED_APART = {
    "motion": ("motion", "path"),
    "character": ("character",),
    "person 2": ("settings", "others"),
}
"""Files of a job by the name of their hash: what counts is their content, not where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How far the render is."""

    name: str = "new"
    """One of the session's stages, or ``new`` or ``finished``."""
    done: int = 0
    """Units finished: steps, frames."""
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Frames that one later run made anew while the others were held; the render itself is take 0.

    Its frames lie in ``takes/NNN`` whether they are shown or not.
    """

    number: int
    """From 1."""
    identity: str
    """As that of the render: equal means the same take."""
    job: dict[str, Any]
    """As `marionext.jobs.encode_job` gives it; ``again`` holds its frames."""
    inputs: dict[str, str] = field(default_factory=dict)
    numbers: tuple[int, ...]
    """The frames' numbers, ascending."""
    before: dict[str, int] = field(default_factory=dict)
    """For each frame of the clip that is held, the take that showed it, where that is not 0."""
    frames: dict[str, str] = field(default_factory=dict)
    """sha256 of the file of each frame that is done, by number."""

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of its frames that are not done."""
        return tuple(number for number in self.numbers if str(number) not in self.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The record beside the frames; every change makes a new value, which `write` keeps."""

    schema: str = SCHEMA
    version: int = SCHEMA_VERSION
    identity: str
    """sha256 of everything that changes a pixel: equal means the same render."""
    job: dict[str, Any]
    """As `marionext.jobs.encode_job` gives it."""
    inputs: dict[str, str]
    """sha256 of the job's files: ``motion``, ``character``."""
    models: dict[str, str]
    """sha256 of the models' files by name."""
    versions: dict[str, str]
    """What computed it: ``marionext`` and its libraries."""
    computed: dict[str, str] = field(default_factory=dict)
    """How: ``device``, ``dtype`` ..."""
    size: tuple[int, int]
    """Width and height of the frames."""
    rate: FrameRate
    numbers: tuple[int, ...]
    """The frames' numbers in their source, in order."""
    frames: dict[str, str] = field(default_factory=dict)
    """sha256 of the file of each frame that is done and shown, by number."""
    stage: Stage = field(default_factory=Stage)
    videos: dict[str, str] = field(default_factory=dict)
    """sha256 of each video by its name in the folder."""
    files: dict[str, str] = field(default_factory=dict)
    """sha256 of everything else that was written, by its path in the folder; empty where it changes
    while the render runs, and until it is finished."""
    notes: tuple[str, ...] = ()
    """What was said about the render: what was rounded, guessed, left out."""
    takes: tuple[Take, ...] = ()
    """What was made anew later, in order; unfinished ones, too."""
    replaced: dict[str, str] = field(default_factory=dict)
    """sha256 of frames of the render itself that another take's stand in for, by number."""
    shown: dict[str, int] = field(default_factory=dict)
    """The take that each frame shown is of, by number; a frame that is absent is of take 0."""

    @classmethod
    def start(
        cls,
        *,
        job: Mapping[str, Any],
        inputs: Mapping[str, str],
        models: Mapping[str, str],
        size: tuple[int, int],
        rate: FrameRate,
        numbers: tuple[int, ...],
        versions: Mapping[str, str] | None = None,
        computed: Mapping[str, str] | None = None,
    ) -> Self:
        """Begin the record of a render that has no frame yet; see the fields."""
        return cls(
            identity=identity_of(job, inputs, models, computed or {}),
            job=dict(job),
            inputs=dict(inputs),
            models=dict(models),
            versions={"marionext": __version__, **(versions or {})},
            computed=dict(computed or {}),
            size=size,
            rate=rate,
            numbers=numbers,
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record.

        Raises:
            OutputError: the file is missing, or not a record this version can read.
        """
        try:
            data = read_json(path)
        except FileNotFoundError:
            raise OutputError(
                f"{path}: no such file", hint="Is this the folder of a render?"
            ) from None
        except OSError as error:
            raise OutputError(f"{path} cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise OutputError(f"{path}: not the record of a render: {error}", hint=_HINT) from None
        found = (data.get("schema"), data.get("version")) if isinstance(data, dict) else None
        if (
            found is not None
            and found[0] == SCHEMA
            and found[1] not in range(1, SCHEMA_VERSION + 1)
        ):
            raise OutputError(
                f"{path}: expected a record of version 1 to {SCHEMA_VERSION}, got {found[1]!r}",
                hint="It was written by another version of Marionext; use that one, "
                "or choose another output folder.",
            )
        if found == (SCHEMA, 1):
            data = _completed(data)
        try:
            record = decode(cls, data)
        except SettingsError as error:
            raise OutputError(f"{path}: not the record of a render: {error}", hint=_HINT) from None
        if (strange := _strange(record)) is not None:
            raise OutputError(f"{path}: not the record of a render: {strange}", hint=_HINT)
        return record

    def write(self, path: Path) -> None:
        """Replace the file with this record, all at once.

        Raises:
            OutputError: it cannot be written.
        """
        write_json(path, encode(self))

    @property
    def done(self) -> dict[int, str]:
        """The frames that are done: sha256 by number."""
        return {int(number): digest for number, digest in self.frames.items()}

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of the frames that are not done."""
        return tuple(number for number in self.numbers if str(number) not in self.frames)

    @property
    def finished(self) -> bool:
        """Tell whether every frame is done."""
        return not self.missing

    def take_of(self, number: int) -> int:
        """Return the take that a frame shown is of."""
        return self.shown.get(str(number), 0)

    def take_frames(self, take: int) -> dict[str, str]:
        """Return the frames of a take, shown or not: sha256 by number; none of an unknown one."""
        if take == 0:
            own = {n: digest for n, digest in self.frames.items() if n not in self.shown}
            return {**own, **self.replaced}
        return next((dict(each.frames) for each in self.takes if each.number == take), {})

    def showing(self, take: int, frames: Mapping[int, str]) -> Self:
        """Return the record with frames of a take (sha256 by number) shown."""
        replaced, shown = dict(self.replaced), dict(self.shown)
        for number in map(str, frames):
            if number not in shown and take:
                replaced[number] = self.frames[number]
            if take:
                shown[number] = take
            else:
                shown.pop(number, None)
                replaced.pop(number, None)
        digests = {str(number): digest for number, digest in frames.items()}
        return replace(self, frames={**self.frames, **digests}, replaced=replaced, shown=shown)

    def with_frame(self, number: int, digest: str) -> Self:
        """Return the record with one more frame of the render itself done and shown."""
        shown = {key: take for key, take in self.shown.items() if key != str(number)}
        replaced = {key: old for key, old in self.replaced.items() if key != str(number)}
        frames = {**self.frames, str(number): digest}
        return replace(self, frames=frames, shown=shown, replaced=replaced)

    def with_take_frame(self, take: int, number: int, digest: str) -> Self:
        """Return the record with one more frame of a later take done; it is not shown by that."""
        takes = tuple(
            replace(each, frames={**each.frames, str(number): digest})
            if each.number == take
            else each
            for each in self.takes
        )
        return replace(self, takes=takes)

    def with_frames(self, done: Mapping[int, str]) -> Self:
        """Return the record with just these frames done."""
        return replace(self, frames={str(number): done[number] for number in sorted(done)})

    def with_stage(self, name: str, done: int = 0, total: int = 0) -> Self:
        """Return the record at another stage."""
        return replace(self, stage=Stage(name=name, done=done, total=total))

    def lists(self, name: str) -> bool:
        """Tell whether a file of the folder, by its path in it, is one that the render wrote."""
        return name in self.videos or name in self.files

    def with_file(self, name: str, digest: str = "") -> Self:
        """Return the record with a file that is written, by its path in the folder."""
        return replace(self, files={**self.files, name: digest})

    def with_video(self, name: str, digest: str) -> Self:
        """Return the record with a video."""
        return replace(self, videos={**self.videos, name: digest})

    def with_note(self, note: str) -> Self:
        """Return the record with one more remark, each kept once."""
        return self if note in self.notes else replace(self, notes=(*self.notes, note))


def _strange(record: Record) -> str | None:
    """Return what no render has, or None: files elsewhere are removed by no record."""
    if record.schema != SCHEMA:
        return f"schema {quoted(record.schema)}"
    by_number: list[Mapping[str, object]] = [record.frames, record.replaced, record.shown]
    for place, take in enumerate(record.takes, start=1):
        if take.number != place:
            return f"take {quoted(take.number)} at place {place}"
        by_number += (take.frames, take.before)
    for numbers in by_number:
        for number in numbers:
            if not _NUMBER.fullmatch(number):
                return f"frame {quoted(number)}"
    for frame in (*record.numbers, *(n for take in record.takes for n in take.numbers)):
        if abs(frame) > FRAME_NUMBER:
            return f"frame {quoted(frame)}"
    for name in (*record.videos, *record.files):
        if not is_inside(name):
            return f"a file {quoted(name)}, which is not in its folder"
    return None


def _completed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record of version 1 holds, with what it meant by leaving it out."""
    job = data.get("job")
    for place, value in _AS_BEFORE:
        job = _with(job, place, value)
    files = ["poses.npz", "preview.png"]
    if _at(job, ("output", "pose_maps")) is True and isinstance(data.get("numbers"), list):
        files += [f"posemaps/{frame_name(number)}" for number in data["numbers"]]
    return {**data, "version": SCHEMA_VERSION, "job": job, "files": dict.fromkeys(files, "")}


def identity_of(
    job: Mapping[str, Any],
    inputs: Mapping[str, str],
    models: Mapping[str, str],
    computed: Mapping[str, str],
) -> str:
    """Return a sha256 that is equal for renders whose frames are equal.

    A file that is hashed in ``inputs`` counts by its content, so it may move; likewise a model
    whose files are hashed counts by them and not by its name.
    """
    pixels = {key: value for key, value in job.items() if key not in _NOT_IN_PIXELS}
    for place, value in _AS_BEFORE:
        if _at(pixels, place) == value:
            pixels = _without(pixels, place)
    for name, place in _HASHED_APART.items():
        if name in inputs:
            pixels = _without(pixels, place)
    if models:
        pixels.pop("model", None)
    whole = {
        "job": pixels,
        "inputs": dict(inputs),
        "models": dict(models),
        "computed": dict(computed),
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=False, allow_nan=False)
    # Surrogates: names of files that are no text in UTF-8.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _without(tree: Mapping[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    key, *rest = place
    if not rest:
        return {name: value for name, value in tree.items() if name != key}
    branch = tree.get(key)
    if not isinstance(branch, Mapping):
        return dict(tree)
    return {**tree, key: _without(branch, tuple(rest))}


def _with(tree: object, place: tuple[str, ...], value: object) -> object:
    """Return a tree with a value put at a place where nothing is yet."""
    if not isinstance(tree, Mapping):
        return tree
    key, *rest = place
    if not rest:
        return {key: value, **tree}
    return {**tree, key: _with(tree[key], tuple(rest), value)} if key in tree else tree


def _at(tree: object, place: tuple[str, ...]) -> object:
    for key in place:
        if not isinstance(tree, Mapping) or key not in tree:
            return _NOTHING
        tree = tree[key]
    return tree
