"""The folder of pictures that were made, and ``picture.json``: what they are and were made of."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from marionext import __version__
from marionext.files import sha256_of
from marionext.frames import frame_name
from marionext.output import write_png
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native
from marionext.runs.kept_folder import KeptFolder, KeptRecord

__all__ = ["PICTURES", "PictureFolder", "PictureRecord", "started"]

PICTURES = "pictures"
"""Folder of the pictures, in that of the results."""
_CONTROLS = "controls"
_SHEET = "sheet.png"
_PREVIEW = f"{_CONTROLS}/preview.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRecord(KeptRecord):
    """What a folder of pictures holds."""

    NAME: ClassVar[str] = "picture.json"
    SCHEMA: ClassVar[str] = "marionext.pictures"
    VERSION: ClassVar[int] = 1
    WHAT: ClassVar[str] = "pictures"

    schema: str = SCHEMA
    version: int = VERSION
    size: tuple[int, int]
    """Width and height of the pictures."""
    seeds: dict[str, int] = field(default_factory=dict)
    """Seed of each picture that is done, by its name in the folder. Equal identities mean that the
    same seed gives the same picture."""

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the pictures that are done."""
        return tuple(self.seeds)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of a file that it mentions."""
        return (*self.files, *self.seeds)


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


class PictureFolder(KeptFolder[PictureRecord]):
    """The folder of pictures, held for one run."""

    def _continued(self, found: PictureRecord, wanted: PictureRecord) -> PictureRecord:
        seeds = {name: seed for name, seed in found.seeds.items() if wanted.files.get(name)}
        return replace(wanted, seeds=seeds)

    def _results(self, _wanted: PictureRecord) -> Iterable[str]:
        return _SHEET, PICTURES, _CONTROLS

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
        name = f"{PICTURES}/{frame_name(number)}"
        self.record = replace(self.record, seeds={**self.record.seeds, name: seed})
        return self._put(name, picture, text)

    def put_preview(self, picture: NDArray[np.uint8]) -> Path | None:
        """Write a rough picture of what is in the making, in the place of the one before.

        Returns:
            Where it is; None where something else has its name.
        """
        if _PREVIEW not in self.record.files:
            if (self.folder / _PREVIEW).exists():
                return None
            self._keep(replace(self.record, files={**self.record.files, _PREVIEW: ""}))
        path = self.folder / _PREVIEW
        write_png(path, picture)
        return path

    def __exit__(self, *_: object) -> None:
        """Let the folder go; a preview goes with the run that it was of."""
        try:
            if _PREVIEW in self.record.files:
                (self.folder / _PREVIEW).unlink(missing_ok=True)
                files = {name: each for name, each in self.record.files.items() if name != _PREVIEW}
                self._keep(replace(self.record, files=files))
        finally:
            super().__exit__(*_)

    def path_of(self, seed: int) -> Path:
        """Return where the picture of a seed is."""
        name = next(name for name, each in self.record.seeds.items() if each == seed)
        return self.folder / name

    def put_pose(self, number: int, track: PoseTrack) -> Path:
        """Write the pose that a picture was asked for beside it, as a render looks for it there."""
        name = Path(f"{PICTURES}/{frame_name(number)}").with_suffix(".pose.npz").as_posix()

        def write(path: Path) -> str:
            write_native(track, path)
            return sha256_of(path)

        return self._written(name, write)

    def _put(
        self, name: str, picture: NDArray[np.uint8], text: Mapping[str, str] | None = None
    ) -> Path:
        return self._written(name, lambda path: write_png(path, picture, text=text))


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
