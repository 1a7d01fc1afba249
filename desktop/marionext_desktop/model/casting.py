"""What the engine is given of a character.

Its picture as it is; or a copy that is cut to size, with the pose that somebody has corrected
beside it.
"""

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import numpy as np

from marionext.codec import encode
from marionext.errors import CharacterError
from marionext.files import replacing
from marionext.frames import FrameRate
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native
from marionext_desktop.model.places import cache_folder, stamp_of
from marionext_desktop.model.project import Character

__all__ = ["character_file", "is_prepared", "prepare"]


def character_file(character: Character) -> Path:
    """Return the picture (or doll) that stands for a character; `prepare` may have to make it.

    Raises:
        CharacterError: there is no such picture.
    """
    path = Path(character.path)
    if character.crop is None and character.points is None:
        return path
    try:
        stamp = stamp_of(path)
    except OSError as error:
        raise CharacterError(
            f"expected the character {character.name}, {path} cannot be read: "
            f"{error.strerror or error}",
            hint="Find the picture again: File > Relink missing media.",
        ) from None
    whole = json.dumps([stamp.digest, encode(character.crop), character.points])
    name = hashlib.sha256(whole.encode()).hexdigest()[:24]
    return cache_folder("characters") / name / f"{path.stem}.png"


def is_prepared(character: Character) -> bool:
    """Tell whether the character can be given to the engine as it is."""
    path = character_file(character)
    return path == Path(character.path) or path.is_file()


def prepare(character: Character) -> Path:
    """Make the copy of a character's picture, where one is needed, and return it.

    Called beside the window: it reads and writes pictures.

    Raises:
        CharacterError: the picture cannot be read, or the crop lies outside of it.
        OutputError: the copy cannot be written.
    """
    path = character_file(character)
    if is_prepared(character):
        return path
    from PIL import Image, ImageOps  # noqa: PLC0415 - beside the window only

    try:
        with Image.open(character.path) as image:
            picture = ImageOps.exif_transpose(image)
            picture.load()
    except (OSError, ValueError) as error:
        raise CharacterError(
            f"expected a picture, {character.path} cannot be read: {error}"
        ) from None
    left, top = 0, 0
    if (crop := character.crop) is not None:
        left, top = max(crop.x, 0), max(crop.y, 0)
        right = min(crop.x + crop.width, picture.width)
        bottom = min(crop.y + crop.height, picture.height)
        if right <= left or bottom <= top:
            raise CharacterError(
                f"expected a crop within {picture.width}x{picture.height}, got one from "
                f"({crop.x}, {crop.y}) of {crop.width}x{crop.height}"
            )
        picture = picture.crop((left, top, right, bottom))
    if character.points is not None:
        values = np.array(character.points, np.float32)[None, None]
        track = PoseTrack(
            points=values[..., :2] - np.array([left, top], np.float32),
            scores=values[..., 2],
            size=picture.size,
            rate=FrameRate(Fraction(1)),
        )
        write_native(track, path.with_suffix(".pose.npz"))
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=1)
    return path
