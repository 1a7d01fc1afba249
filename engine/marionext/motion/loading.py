"""Open a rig's motion file, whichever of the formats it is: told by content, not by name."""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from marionext.errors import MotionError
from marionext.files import check_room, open_file, reading
from marionext.frames import FrameRate, check_count
from marionext.motion.animation import JointAnimation
from marionext.motion.archive import read_animation
from marionext.motion.bvh import read_bvh
from marionext.motion.bvh_text import wide_encoding
from marionext.motion.gltf import gltf_clips, read_gltf
from marionext.motion.orientation import TURNS, Up, turned
from marionext.motion.resampling import resample
from marionext.motion.weights import JOINT_BYTES
from marionext.pose import resampled_count

__all__ = ["MOTION_SUFFIXES", "clips", "load", "load_all", "no_such_person"]

MOTION_SUFFIXES = frozenset({".bvh", ".glb", ".gltf", ".vrm", ".vrma"})
"""Suffixes of the files read here; a ``.npz`` may be an animation or a pose track."""

_START = 4096
_OPEN_IN_BLENDER = "Open it in Blender and use the Marionext panel, or export it as glTF or BVH."
_OTHERS = (
    (b"Kaydara FBX Binary", "FBX", _OPEN_IN_BLENDER),
    (b"; FBX", "FBX", _OPEN_IN_BLENDER),
    (b"BLENDER", "a Blender file", _OPEN_IN_BLENDER),
    (b"\x28\xb5\x2f\xfd", "a compressed Blender file", _OPEN_IN_BLENDER),
    (
        b"Vocaloid Motion Data",
        "MikuMikuDance motion",
        "Import model and motion in Blender with MMD Tools, then render from its panel.",
    ),
    (b"Pmd", "a MikuMikuDance model", "Import it in Blender with MMD Tools."),
    (b"PMX ", "a MikuMikuDance model", "Import it in Blender with MMD Tools."),
    (b"#usda", "USD", _OPEN_IN_BLENDER),
    (b"PXR-USDC", "USD", _OPEN_IN_BLENDER),
    (b":version", "an Acclaim skeleton (ASF/AMC)", "Convert it to BVH."),
    (b"<?xml", "XML, perhaps Collada", _OPEN_IN_BLENDER),
)


def load(
    path: Path,
    *,
    clip: str | int | None = None,
    rate: FrameRate | None = None,
    source_rate: FrameRate | None = None,
    up: Up | None = None,
    person: int = 0,
) -> JointAnimation:
    """Read one skeleton's animation from a rig file.

    Args:
        path: BVH, glTF, GLB, VRM, VRMA, or a .npz recorded by the Blender add-on.
        clip: name or number (from 0) of one of several animations, or None for the first.
        rate: frames per second of the result, or None for the file's own.
        source_rate: the file's frames per second, whatever it says; None: as it says.
        up: the axis of the file that is up, or None to tell it.
        person: which skeleton of several, from 0; the one with the most joints is first.

    Raises:
        MotionError: the file cannot be read, is of another kind, or has no such clip or person.
    """
    people = load_all(path, clip=clip, rate=rate, source_rate=source_rate, up=up)
    if not 0 <= person < len(people):
        raise no_such_person(path, people, person + 1)
    return people[person]


def no_such_person(path: Path, people: Sequence[JointAnimation], number: int) -> MotionError:
    """Return the error for a person, counted from 1, that a file does not hold."""
    listed = ", ".join(f"{i} is {animation.source!r}" for i, animation in enumerate(people, 1))
    count = "1 skeleton" if len(people) == 1 else f"{len(people)} skeletons"
    return MotionError(
        f"{path.name} has {count}, none with the number {number}",
        hint=f"People are counted from 1, the most joints first: {listed}.",
    )


def load_all(
    path: Path,
    *,
    clip: str | int | None = None,
    rate: FrameRate | None = None,
    source_rate: FrameRate | None = None,
    up: Up | None = None,
) -> tuple[JointAnimation, ...]:
    """Read every skeleton of a rig file, the one with the most joints first.

    Arguments and errors are those of `load`.
    """
    with reading(path, MotionError, "a motion file"):
        return _load_all(path, clip, rate, source_rate, up)


def _load_all(
    path: Path,
    clip: str | int | None,
    rate: FrameRate | None,
    source_rate: FrameRate | None,
    up: Up | None,
) -> tuple[JointAnimation, ...]:
    kind = _kind(path)
    if kind == "gltf":
        return read_gltf(path, clip=clip, rate=rate, source_rate=source_rate, up=up)
    if kind == "bvh":
        people = read_bvh(path, up=up, source_rate=source_rate)
    else:
        people = (_recorded(path, source_rate, up),)
    if clip is not None and str(clip) not in {"0", *(person.source for person in people)}:
        raise MotionError(f"{path.name} holds one clip only, and none called {clip!r}")
    if rate is None:
        return people
    counts = [resampled_count(len(person), person.rate, rate) for person in people]
    check_count(max(counts))
    needed = sum(
        count * len(person.names) * JOINT_BYTES
        for count, person in zip(counts, people, strict=True)
    )
    check_room(
        path, path.stat().st_size, needed, f"{max(counts):,} frames at {rate} frames/s",
        fault=MotionError, hint="Read it at a lower rate, or cut it into shorter parts.",
    )  # fmt: skip
    return tuple(resample(person, rate) for person in people)


def _recorded(path: Path, source_rate: FrameRate | None, up: Up | None) -> JointAnimation:
    """Read what Blender recorded, in which z is up."""
    animation = read_animation(path).with_(files=(path,))
    notes = animation.notes
    if source_rate is not None and source_rate != animation.rate:
        notes = (*notes, f"{source_rate} frames per second, as declared, not {animation.rate}")
        animation = animation.with_(rate=source_rate)
    if up is not None and up != "z":
        notes = (*notes, f"{up} is up, as --up says")
        animation = turned(animation, TURNS[up])
    return animation.with_(notes=notes)


def clips(path: Path) -> tuple[str, ...]:
    """Return the names of the animations in a file; a format that holds one only has no names.

    Raises:
        MotionError: the file cannot be read, or is of another kind.
    """
    with reading(path, MotionError, "a motion file"):
        return gltf_clips(path) if _kind(path) == "gltf" else ()


def _kind(path: Path) -> str:
    """Tell ``bvh``, ``gltf`` or ``npz`` by how the file starts."""
    try:
        with open_file(path) as file:
            start = file.read(_START)
    except FileNotFoundError:
        raise MotionError(f"there is no file {path}") from None
    except OSError as error:
        raise MotionError(f"cannot read {path}: {error.strerror or error}") from error
    if not start:
        raise MotionError(f"{path.name} is empty")
    if start.startswith(b"\x1f\x8b") and _unzips_to_blend(path):
        start = b"BLENDER"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:9].upper() == b"HIERARCHY" or wide_encoding(start) is not None:
        return "bvh"
    if start.startswith(b"glTF") or (text.startswith(b"{") and path.suffix.lower() != ".bvh"):
        return "gltf"
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    for magic, name, hint in _OTHERS:
        if start.startswith(magic) or text.startswith(magic):
            raise MotionError(f"{path.name} is {name}, which is not read directly", hint=hint)
    if path.suffix.lower() == ".bvh":
        return "bvh"  # its own reader says what is wrong, and where
    raise MotionError(
        f"{path.name} is no motion file known here",
        hint="BVH, glTF, GLB and VRM are read; anything else by way of Blender.",
    )


def _unzips_to_blend(path: Path) -> bool:
    """Tell whether a gzip file is a .blend of Blender 2.9 or older."""
    try:
        with open_file(path) as packed, gzip.open(packed) as file:
            return bool(file.read(7) == b"BLENDER")
    except (OSError, EOFError, zlib.error):
        return False
