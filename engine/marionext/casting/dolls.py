"""The doll of a character: read from its folder, found among those kept, or made of its picture."""

import hashlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.casting.character_files import find_files
from marionext.casting.keeping import find_doll, keep_doll
from marionext.casting.layered import read_layered
from marionext.character import read_character, read_mask
from marionext.doll import MAKER, Doll, make_doll
from marionext.errors import CharacterError, DeviceError, ModelError, MotionError
from marionext.files import is_folder
from marionext.frames import FrameRate
from marionext.pose import PoseTrack
from marionext.pose.formats import read_track

__all__ = ["doll_pose", "open_doll"]

Say = Callable[[str], None]


def open_doll(
    character: Path,
    say: Say,
    *,
    pose: Path | None = None,
    mask: Path | None = None,
    detector: str = "mediapipe",
) -> Doll:
    """Return the doll of a character: of a layered folder as it is, of a picture made once.

    Args:
        character: a picture, or the folder of a layered doll.
        say: told what is worth a word.
        pose: the pose track of the picture; None: the one beside it, else it is detected.
        mask: the picture's outline; None: its transparency, the mask beside it, else a guess.
        detector: as in `marionext.jobs.MotionSource`.

    Raises:
        CharacterError: it cannot be read, or nobody whose limbs are known is in it.
        ModelError: the pose has to be detected, and the detector's networks are not there.
        DeviceError: the detector cannot be loaded on this machine.
    """
    if is_folder(character):
        return read_layered(character)
    files = find_files(character)
    picture = read_character(character)
    # What is asked for goes before the picture's own transparency, and that before what lies near.
    beside = mask or (files.mask if picture.mask is None else None)
    outline = picture.mask if beside is None else read_mask(beside, _size_of(picture.pixels))
    if outline is not None and not (outline > 127).any():
        raise CharacterError(
            f"expected the outline of a figure in {beside or character}, nothing of it is white or "
            "opaque",
            hint="In a mask the figure is white; in a picture it is what is not transparent.",
        )
    known = _known_pose(pose or files.pose, picture.pixels)
    seen = _seen_by(detector, wanted=known is None or outline is None)
    key = _key(picture.pixels, outline, known, seen)
    doll = find_doll(key, say)
    if doll is None:
        doll = _make(character, picture.pixels, outline, known, detector)
        keep_doll(key, doll, say)
    for note in doll.notes:
        say(note)
    return doll


def doll_pose(doll: Doll) -> PoseTrack:
    """Return the pose of a doll in its picture, as a track of one frame and one person."""
    return PoseTrack(
        points=np.asarray(doll.points, np.float32)[None, None],
        scores=np.asarray(doll.scores, np.float32)[None, None],
        size=doll.size,
        rate=FrameRate(Fraction(1)),
    )


def _size_of(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]


def _known_pose(path: Path | None, pixels: NDArray[np.uint8]) -> PoseTrack | None:
    """Return the pose of a track in pixels of the picture; None: there is none."""
    if path is None:
        return None
    track = read_track(path)
    if not track.people or not (track.scores[0] > 0).any():
        raise CharacterError(
            f"expected the pose of the character in {path}, nobody is in it",
            hint="Delete it to have the pose detected.",
        )
    size = _size_of(pixels)
    scale = np.array(size, np.float32) / np.array(track.size, np.float32)
    return track.with_(points=track.points * scale, size=size)


def _seen_by(detector: str, *, wanted: bool) -> str:
    """Return by what a picture would be looked at: dolls that saw more or less are others."""
    if not wanted:
        return ""
    from marionext.capture.models import models_folder  # noqa: PLC0415 - may lack a library

    networks = sorted(path.name for path in models_folder().glob("*.task"))
    return f"{detector} {' '.join(networks)}"


def _key(
    pixels: NDArray[np.uint8],
    outline: NDArray[np.uint8] | None,
    known: PoseTrack | None,
    seen: str,
) -> str:
    """Return a sha256 that is equal for dolls that are equal."""
    digest = hashlib.sha256(f"{MAKER} {seen} {pixels.shape}".encode())
    digest.update(pixels.tobytes())
    for part in (outline, *(() if known is None else (known.points[0, 0], known.scores[0, 0]))):
        digest.update(b"none" if part is None else part.tobytes())
    return digest.hexdigest()


def _make(
    character: Path,
    pixels: NDArray[np.uint8],
    outline: NDArray[np.uint8] | None,
    known: PoseTrack | None,
    detector: str,
) -> Doll:
    """Make a doll of a picture."""
    track = _detected(character, pixels, detector) if known is None else known
    mask = None if outline is None else outline.astype(np.float32) / np.float32(255)
    hint = _hint(pixels) if mask is None else None
    return make_doll(
        pixels, track.points[0, 0].copy(), track.scores[0, 0].copy(), mask=mask, hint=hint
    )


def _detected(character: Path, pixels: NDArray[np.uint8], detector: str) -> PoseTrack:
    """Return the pose that a detector finds in a picture."""
    from marionext import capture  # noqa: PLC0415 - loads a detector

    try:
        return capture.detect_picture(pixels, detector=detector)
    except MotionError:
        raise CharacterError(
            f"expected somebody in {character}, nobody was found: a doll is cut along the limbs",
            hint=f"Give the pose as {character.with_suffix('.pose.npz').name} beside it, a picture "
            "that shows the whole figure, or --model puppet, which does without.",
        ) from None
    except ModelError as error:
        raise ModelError(
            f"the pose in {character} is to be found, and {error.message}",
            hint=f"{error.hint} Or give the pose as {character.with_suffix('.pose.npz').name} "
            "beside it.",
        ) from None


def _hint(pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Return what a person segmenter sees, or None where there is none: it only helps."""
    from marionext import capture  # noqa: PLC0415 - loads a detector

    try:
        return capture.segment_person(pixels)
    except (ModelError, DeviceError):
        return None
