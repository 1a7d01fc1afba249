"""The files that a character is made of: a picture with what lies beside it, or a layered doll."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.casting.layered import is_layered, layered_files, read_layered
from marionext.character import Character, read_character
from marionext.doll import Doll
from marionext.files import is_folder

__all__ = ["CharacterFiles", "find_files", "pose_beside", "read_picture"]


@dataclass(frozen=True, slots=True)
class CharacterFiles:
    """What a character is made of."""

    own: tuple[Path, ...]
    """The picture, or all files of a layered doll."""
    pose: Path | None = None
    """The pose track beside the picture: ``hero.pose.npz`` belongs to ``hero.png``."""
    mask: Path | None = None
    """The picture of its outline beside it: ``hero.mask.png``."""

    @property
    def beside(self) -> dict[str, Path]:
        """What lies beside the picture, by what it is."""
        found = {"pose": self.pose, "mask": self.mask}
        return {name: path for name, path in found.items() if path is not None}

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return (*self.own, *self.beside.values())


def find_files(character: Path) -> CharacterFiles:
    """Return the files of a character; its picture itself need not be there.

    Args:
        character: a picture, or the folder of a layered doll.

    Raises:
        CharacterError: the list of a doll's files cannot be read.
    """
    if is_layered(character):
        return CharacterFiles(own=layered_files(character))
    mask = character.with_suffix(".mask.png")
    return CharacterFiles(
        own=(character,), pose=pose_beside(character), mask=mask if mask.is_file() else None
    )


def pose_beside(character: Path) -> Path | None:
    """Return the pose track that lies beside a character's picture, or None.

    ``hero.pose.npz`` belongs to ``hero.png``.
    """
    beside = character.with_suffix(".pose.npz")
    return beside if beside.is_file() and not is_layered(character) else None


def read_picture(character: Path) -> Character:
    """Read a character's picture; a layered doll's is put together of its layers.

    Raises:
        CharacterError: it cannot be read.
    """
    if is_folder(character):
        return Character(_put_together(read_layered(character)), ())
    return read_character(character)


def _put_together(doll: Doll) -> NDArray[np.uint8]:
    """Return the picture that a doll was made of: what was seen of each layer, where it was."""
    picture = doll.background.copy()
    height, width = picture.shape[:2]
    for layer in doll.layers:
        left, top = layer.corner
        rows = slice(max(top, 0), min(top + layer.pixels.shape[0], height))
        columns = slice(max(left, 0), min(left + layer.pixels.shape[1], width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        inner = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        # A layer's colours are whole at its soft edge: where it was seen they are the picture's.
        seen = (layer.seen[inner] > 127) & (layer.pixels[inner][..., 3] > 127)
        picture[rows, columns][seen] = layer.pixels[inner][..., :3][seen]
    return picture
