"""Marionext's own pose tracks: a ``.npz`` that numpy opens anywhere, exact and without pickles.

Arrays: ``points`` (frames, people, 134, 2) float32, ``scores`` (frames, people, 134) float32,
``size`` (width, height), ``rate`` as text (``30000/1001``), ``first``, ``version``; where not all
points are detected also ``origins`` (frames, people, 134) uint8, of a rig ``depths`` (frames,
people, 134) float32, and of a track that needs no clean-up ``cleaned``, which readers may leave
alone.

The same track is always the same bytes, so that a file's hash tells whether the motion changed.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.arrays import read_arrays
from marionext.errors import MotionError, SettingsError
from marionext.files import reading, replacing
from marionext.frames import FrameRate, check_number
from marionext.pose.track import PoseTrack

__all__ = ["NATIVE_VERSION", "read_native", "write_native"]

NATIVE_VERSION = 1

_REQUIRED = ("points", "scores", "size", "rate")
_EARLIEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def write_native(track: PoseTrack, path: Path) -> None:
    """Write a track; the file appears whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "version": np.array(NATIVE_VERSION),
        "points": track.points,
        "scores": track.scores,
        "size": np.array(track.size),
        "rate": np.array(str(track.rate)),
        "first": np.array(track.first),
    }
    if track.origins.any():
        arrays["origins"] = track.origins
    if track.knows_depths:
        arrays["depths"] = track.depths
    if track.cleaned:
        arrays["cleaned"] = np.array(True)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EARLIEST_ZIP_DATE)
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED)


def read_native(path: Path) -> PoseTrack:
    """Read a track.

    Raises:
        MotionError: the file is missing, truncated, of a newer version, or something else.
    """
    with reading(
        path,
        MotionError,
        "a pose track (.npz)",
        hint="The file may be cut off, or be something else with this name.",
    ):
        return _read(path)


def _read(path: Path) -> PoseTrack:
    arrays = read_arrays(path, MotionError)
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        found = ", ".join(arrays) or "none"
        raise MotionError(
            f"expected a pose track with the arrays {', '.join(_REQUIRED)} in {path}; "
            f"{', '.join(missing)} missing, found: {found}"
        )
    version = arrays.get("version", np.array(NATIVE_VERSION))
    if version.shape or version.dtype.kind not in "iu" or int(version) > NATIVE_VERSION:
        raise MotionError(
            f"expected a pose track of version {NATIVE_VERSION} or before in {path}, found "
            f"version {version}",
            hint="Update Marionext.",
        )
    try:
        first = int(arrays.get("first", np.array(0)).item())
        check_number("first", first)
        width, height = (int(value) for value in arrays["size"].reshape(-1))
        return PoseTrack(
            points=arrays["points"].astype(np.float32),
            scores=arrays["scores"].astype(np.float32),
            size=(width, height),
            rate=FrameRate.parse(str(arrays["rate"])),
            first=first,
            origins=arrays.get("origins", np.zeros(0)).astype(np.uint8),
            depths=arrays.get("depths", np.zeros(0)).astype(np.float32),
            cleaned=bool(arrays.get("cleaned", np.array(False)).item()),
        )
    except (TypeError, ValueError, SettingsError) as error:
        raise MotionError(f"{path} is not a sound pose track: {error}") from None
    except MotionError as error:
        raise MotionError(f"{path}: {error.message}", hint=error.hint) from None
