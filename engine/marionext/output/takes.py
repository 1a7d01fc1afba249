"""The takes of a render's frames as files: ``takes/NNN`` beside ``frames``.

Take 0 is the render itself, the others are what was made anew later. The folder of a take holds its
frames (of take 0 those that another take's stand in for) and ``kept``, what its backend keeps of
it. ``frames`` shows one take of each frame; which, the record says, and it is written first: what
``frames`` should show and does not is copied from here, so a run may be killed at any moment.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.errors import OutputError
from marionext.files import clear_parts, explain, own_folder, read_bytes, sha256_of, write_bytes
from marionext.frames import frame_name
from marionext.output.png import write_png

__all__ = ["Takes", "remove_folder"]

_FOLDER = re.compile(r"\d{3,}")
_FRAME = re.compile(r"-?\d{6,}\.png")
_KEPT, _STATE, _POSES = "kept", "state", "poses.npz"


class Takes:
    """The folders of a render's takes."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made when there is something to put into it.

        Args:
            folder: ``takes`` in the folder of the render.
        """
        self._folder = folder

    def folder(self, take: int) -> Path:
        """Return the folder of a take; it need not exist."""
        return self._folder / f"{take:03d}"

    def path(self, take: int, number: int) -> Path:
        """Return where a frame of a take is, or will be."""
        return self.folder(take) / frame_name(number)

    def kept(self, take: int) -> Path:
        """Return the folder of what the backend keeps of a take; made on first use."""
        return _made(self.folder(take) / _KEPT)

    def kept_files(self, take: int) -> tuple[Path, ...]:
        """Return the files that the backend keeps of a take, if any."""
        folder = self.folder(take) / _KEPT
        if not folder.is_dir():
            return ()
        return tuple(sorted(path for path in folder.iterdir() if not path.name.startswith(".")))

    def state(self, take: int) -> Path:
        """Return the folder of what an unfinished take goes on from; made on first use."""
        return _made(self.folder(take) / _STATE)

    def clear_state(self, take: int) -> None:
        """Remove what an unfinished take went on from.

        Raises:
            OutputError: it cannot be removed.
        """
        remove_folder(self.folder(take) / _STATE)

    def write(self, take: int, number: int, picture: NDArray[np.uint8]) -> str:
        """Write a frame (height, width, 3) of a take and return the sha256 of its file.

        Raises:
            OutputError: it cannot be written.
        """
        return write_png(self.path(take, number), picture)

    def intact(self, take: int, hashes: Mapping[str, str]) -> dict[str, str]:
        """Return those of a take's frames whose files are there and have the sha256 they should."""
        return {
            number: digest
            for number, digest in hashes.items()
            if self.holds(take, int(number), digest)
        }

    def holds(self, take: int, number: int, digest: str) -> bool:
        """Tell whether a take's folder has a frame's file with this sha256."""
        path = self.path(take, number)
        return path.is_file() and sha256_of(path) == digest

    def save(self, take: int, number: int, frame: Path, digest: str) -> None:
        """Copy a frame that is shown to its take's folder, if it is not there.

        Raises:
            OutputError: it cannot be written.
        """
        if not self.holds(take, number, digest):
            _copy(frame, self.path(take, number))

    def show(self, take: int, number: int, frame: Path) -> None:
        """Copy a frame of a take to where it is shown.

        Raises:
            OutputError: it cannot be written.
        """
        _copy(self.path(take, number), frame)

    def clear(self) -> None:
        """Remove all takes; what somebody else put there stays.

        Raises:
            OutputError: something cannot be removed.
        """
        if not self._folder.is_dir():
            return
        try:
            for folder in self._folder.iterdir():
                if folder.is_dir() and _FOLDER.fullmatch(folder.name):
                    remove_folder(folder / _KEPT)
                    remove_folder(folder / _STATE)
                    for item in folder.iterdir():
                        if _FRAME.fullmatch(item.name) or item.name == _POSES:
                            item.unlink()
                    if not any(folder.iterdir()):
                        folder.rmdir()
            if not any(self._folder.iterdir()):
                self._folder.rmdir()
        except OSError as error:
            raise explain(error, self._folder) from error


def _made(folder: Path) -> Path:
    own_folder(folder.parent)
    own_folder(folder)
    clear_parts(folder)
    return folder


def _copy(source: Path, target: Path) -> None:
    try:
        content = read_bytes(source)
    except OSError as error:
        raise OutputError(
            f"frame {source} cannot be read: {error.strerror or error}", hint="Render it again."
        ) from None
    write_bytes(target, content)


def remove_folder(folder: Path) -> None:
    """Remove a folder that holds nothing but ours.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise explain(error, folder) from error
