"""The frames of a render as files: ``frames/000123.png`` under the source's frame numbers."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.files import clear_parts, explain, sha256_of
from marionext.frames import frame_name
from marionext.output.png import write_png

__all__ = ["FrameWriter"]

_NAME = re.compile(r"(-?\d+)\.png")


class FrameWriter:
    """Writes frames into a folder, each whole or not at all."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and clear away what a killed run left half written.

        Only one writer may be at work in a folder: see `marionext.output.lock`.

        Raises:
            OutputError: the folder cannot be made or written to.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            clear_parts(folder)
        except OSError as error:
            raise explain(error, folder) from error

    def path(self, number: int) -> Path:
        """Return where a frame is, or will be."""
        return self.folder / frame_name(number)

    def write(
        self, number: int, picture: NDArray[np.uint8], *, text: Mapping[str, str] | None = None
    ) -> str:
        """Write a frame and return the sha256 of its file.

        Args:
            number: of the frame in its source; may be negative.
            picture: (height, width, 3) red, green, blue.
            text: kept in the file, under these keys.

        Raises:
            OutputError: it cannot be written.
        """
        return write_png(self.path(number), picture, text=text)

    def existing(self) -> dict[int, Path]:
        """Return the frames that are there, by number, ascending."""
        found = {}
        for path in self.folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None and path.name == frame_name(int(match[1])):
                found[int(match[1])] = path
        return dict(sorted(found.items()))

    def intact(self, hashes: Mapping[int, str]) -> dict[int, str]:
        """Return those of some frames whose files are there and have the sha256 they should."""
        return {
            number: digest
            for number, digest in hashes.items()
            if self.path(number).is_file() and sha256_of(self.path(number)) == digest
        }

    def remove(self, number: int) -> None:
        """Remove a frame if it is there.

        Raises:
            OutputError: it cannot be removed.
        """
        try:
            self.path(number).unlink(missing_ok=True)
        except OSError as error:
            raise explain(error, self.path(number)) from error
