"""The folder of pictures that were made larger, and ``upscale.json``: what each was made of."""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from marionext import __version__
from marionext.files import explain, sha256_of, write_bytes
from marionext.output import LOCK_FILE
from marionext.runs.kept_folder import KeptFolder, KeptRecord

__all__ = ["UpscaleFolder", "UpscaleRecord", "started"]

_SHARE = 20
"""Recording takes at most one part in twenty of the time."""
_ELSEWHERE = frozenset(
    {"audio", "frames", "output", "quality", "rate", "sound", "version", "videos"}
)
"""What of a job does not change a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleRecord(KeptRecord):
    """What a folder of larger pictures holds."""

    NAME: ClassVar[str] = "upscale.json"
    SCHEMA: ClassVar[str] = "marionext.upscale"
    VERSION: ClassVar[int] = 1
    WHAT: ClassVar[str] = "larger pictures"

    schema: str = SCHEMA
    version: int = VERSION
    sources: dict[str, str] = field(default_factory=dict)
    """sha256 of what each picture is made of, by its name in the folder: one whose source is
    another now is made again."""

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the pictures that are done."""
        return tuple(name for name in self.sources if self.files.get(name))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of a file that it mentions."""
        return (*self.files, *self.sources)


class UpscaleFolder(KeptFolder[UpscaleRecord]):
    """The folder of larger pictures, held for one run."""

    changed: int = 0
    """Pictures that are there, of sources that are others now."""
    before: Mapping[str, Any] | None = None
    """The job that the record was of; None: there was none."""
    _cleared = False
    _next = 0.0

    def _results(self, wanted: UpscaleRecord) -> Iterable[str]:
        return wanted.sources

    def _continued(self, found: UpscaleRecord, wanted: UpscaleRecord) -> UpscaleRecord:
        stale = {
            name
            for name, source in wanted.sources.items()
            if wanted.files.get(name) and found.sources.get(name) != source
        }
        self.changed, self.before = len(stale), found.job
        files = {**wanted.files, **dict.fromkeys(stale, "")}
        others = {name: source for name, source in found.sources.items() if name in files}
        return replace(wanted, files=files, sources={**others, **wanted.sources}, notes=found.notes)

    def claim(self, names: Sequence[str]) -> tuple[str, ...]:
        """Take the names of those pictures that are not there yet, and return them.

        Raises:
            OutputError: one of them is the user's.
        """
        missing = tuple(name for name in names if not self.record.files.get(name))
        for name in missing:
            self._refuse_unknown(name)
        files = {**self.record.files, **dict.fromkeys(missing, "")}
        self._keep(replace(self.record, files=files))
        return missing

    def put(self, name: str, content: bytes) -> Path:
        """Write a picture whose name is claimed; the record follows soon.

        Raises:
            OutputError: it cannot be written.
        """
        path = self.folder / name
        write_bytes(path, content)
        hashed = hashlib.sha256(content).hexdigest()
        self.record = replace(self.record, files={**self.record.files, name: hashed})
        started = time.monotonic()
        if started >= self._next:
            self._keep(self.record)
            ended = time.monotonic()
            self._next = ended + _SHARE * (ended - started)
        return path

    def put_video(self, name: str, path: Path) -> None:
        """Say in the record that a video was made."""
        self._keep(replace(self.record, files={**self.record.files, name: sha256_of(path)}))

    def claim_video(self, name: str) -> Path:
        """Take the name of a video before it is made, and return its path.

        Raises:
            OutputError: it is the user's.
        """
        self._refuse_unknown(name)
        self._keep(replace(self.record, files={**self.record.files, name: ""}))
        return self.folder / name

    def leave_out(self, names: Iterable[str]) -> None:
        """Take names out of the record of which there will be no picture."""
        gone = set(names)
        self._keep(
            replace(
                self.record,
                files={name: each for name, each in self.record.files.items() if name not in gone},
            )
        )

    def clear(self) -> None:
        """Remove what was written here; on leaving the folder goes, too, if nothing else is in it.

        Raises:
            OutputError: it cannot be removed.
        """
        path = self.folder
        try:
            # The record goes first: what is left of a removal is never mistaken for results.
            (path / self.record.NAME).unlink(missing_ok=True)
            for name, hashed in self.record.files.items():
                if self._is(name, hashed):
                    (path / name).unlink()
        except OSError as error:
            raise explain(error, path) from error
        self._cleared = True

    def __exit__(self, *_: object) -> None:
        """Let the folder go; what is done is on record."""
        try:
            if not self._cleared:
                self._keep(self.record)
        finally:
            super().__exit__()
        if self._cleared:
            with contextlib.suppress(OSError):
                (self.folder / LOCK_FILE).unlink()
                self.folder.rmdir()


def started(
    *,
    job: Mapping[str, Any],
    place: str,
    models: Mapping[str, str],
    versions: Mapping[str, str],
    computed: Mapping[str, str],
    sources: Mapping[str, str],
) -> UpscaleRecord:
    """Return the record of pictures that are not made yet.

    Args:
        job: as JSON values.
        place: of the source on the disk: a folder of one source is not filled up with another's.
        models: sha256 of the method's files.
        versions: of the libraries that compute it.
        computed: how, as far as that changes bits.
        sources: sha256 of what each picture is made of, by its name.
    """
    kept = {key: value for key, value in job.items() if key not in {*_ELSEWHERE, "method"}}
    method = job["method"] if not models else ""  # files count by their content
    whole = {
        "job": {**kept, "source": place, "method": method},
        "models": dict(models),
        "computed": dict(computed),
    }
    text = json.dumps(whole, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return UpscaleRecord(
        identity=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        job=dict(job),
        inputs={},
        models=dict(models),
        versions={"marionext": __version__, **versions},
        computed=dict(computed),
        sources=dict(sources),
    )
